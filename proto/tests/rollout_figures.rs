//! How soon a rollout finds a canary that is worse, and how often it returns one that is not: whole rollouts, simulated
//! over many seeded runs. `make rollout-figures` prints the table for 2,000 runs of each.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use hatchway_proto::catalog::Release;
use hatchway_proto::rollout::counts::{BUCKETS, bound};
use hatchway_proto::rollout::decide::Next;
use hatchway_proto::rollout::{Counts, Evidence, Move, Phase, Plan, Progress, Rollout, Seen};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Distribution, Poisson};

/// What the versions do.
struct World {
    name: &'static str,
    /// Of both versions together.
    requests_per_second: f64,
    steps: &'static str,
    stable: Version,
    canary: Version,
    /// By what the rates of both are multiplied at a time, in seconds.
    weather: fn(f64) -> f64,
    /// Before this share, the canary is as stable is.
    fault_from_bp: u16,
    /// The part of all rollouts that may be returned.
    returned: RangeInclusive<f64>,
    /// Half of those that are returned are, after so many seconds at the latest.
    half_within: f64,
}

/// Failures by chance, and times that are log-logistic: a median of 50 ms, and a p99 of 193 ms.
#[derive(Clone, Copy)]
struct Version {
    errors: f64,
    slower: f64,
}

const USUAL: Version = Version { errors: 0.01, slower: 1.0 };
const MEDIAN: f64 = 0.05;
const SHAPE: f64 = 3.4;

/// 5, 25 and 50 %, ten minutes each.
const QUICK: &str = r#"{"set_weight": 500}, {"analysis": {"for": "10m"}}, {"set_weight": 2500},
    {"analysis": {"for": "10m"}}, {"set_weight": 5000}, {"analysis": {"for": "10m"}}"#;

/// The share stays as it is for two hours.
const LONG: &str = r#"{"set_weight": 500}, {"analysis": {"for": "2h"}}"#;

/// At most one false alarm in a hundred is what a plan promises by default, whatever the weather.
const FALSE_ALARMS: RangeInclusive<f64> = 0.0..=0.01;

const WORLDS: [World; 9] = [
    World { name: "equal, 100 requests/s", ..USUAL_WORLD },
    World {
        name: "equal, errors of both rise tenfold for 5 min",
        weather: |time| if (600.0..900.0).contains(&time) { 10.0 } else { 1.0 },
        ..USUAL_WORLD
    },
    World {
        name: "errors 1 % -> 3 %",
        canary: Version { errors: 0.03, ..USUAL },
        returned: 0.999..=1.0,
        half_within: 180.0,
        ..USUAL_WORLD
    },
    World {
        name: "errors 1 % -> 3 %, but from a share of 50 % on",
        canary: Version { errors: 0.03, ..USUAL },
        fault_from_bp: 5000,
        returned: 0.999..=1.0,
        half_within: 1260.0,
        ..USUAL_WORLD
    },
    World {
        name: "20 % slower",
        canary: Version { slower: 1.2, ..USUAL },
        returned: 0.99..=1.0,
        half_within: 330.0,
        ..USUAL_WORLD
    },
    World { name: "equal, canary has 20 requests/min", ..SLOW_WORLD },
    World {
        name: "errors 1 % -> 3 %, 20 requests/min",
        canary: Version { errors: 0.03, ..USUAL },
        returned: 0.85..=1.0,
        half_within: 3900.0,
        ..SLOW_WORLD
    },
    World {
        name: "errors 1 % -> 50 %, 20 requests/min",
        canary: Version { errors: 0.5, ..USUAL },
        returned: 0.999..=1.0,
        half_within: 60.0,
        ..SLOW_WORLD
    },
    World {
        name: "20 % slower, 20 requests/min",
        canary: Version { slower: 1.2, ..USUAL },
        returned: 0.75..=1.0,
        half_within: 4500.0,
        ..SLOW_WORLD
    },
];

const USUAL_WORLD: World = World {
    name: "",
    requests_per_second: 100.0,
    steps: QUICK,
    stable: USUAL,
    canary: USUAL,
    weather: |_| 1.0,
    fault_from_bp: 0,
    returned: FALSE_ALARMS,
    half_within: f64::INFINITY,
};

/// Five in a hundred of 400 requests a minute.
const SLOW_WORLD: World = World { requests_per_second: 400.0 / 60.0, steps: LONG, ..USUAL_WORLD };

/// What became of many rollouts.
struct Figures {
    returned: f64,
    /// Seconds until it was, sorted.
    times: Vec<f64>,
}

impl Figures {
    /// The time after which so many percent of those were returned that are.
    fn time(&self, percent: usize) -> Option<f64> {
        let last = self.times.len().checked_sub(1)?;
        Some(self.times[last * percent / 100])
    }
}

impl World {
    fn run(&self, runs: u32) -> Figures {
        let of_stable = chances(self.stable);
        let of_canary = chances(self.canary);
        let mut times: Vec<f64> = (0..runs)
            .filter_map(|run| self.rollout(u64::from(run), &of_stable, &of_canary))
            .collect();
        times.sort_by(f64::total_cmp);
        Figures { returned: times.len() as f64 / f64::from(runs), times }
    }

    /// A whole rollout; when it was returned, if it was.
    fn rollout(&self, seed: u64, of_stable: &[f64], of_canary: &[f64]) -> Option<f64> {
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut rollout = self.start();
        let mut release = Release::of(rollout.plan.stable);
        let (mut evidence, mut now) = (Evidence::of(&rollout.plan), 0_u64);
        let interval = rollout.plan.analysis.interval;
        let mut seen = Seen::default();
        loop {
            while let Next::Moved(done) =
                rollout.decide(now, Some(&release), &mut evidence, &std::mem::take(&mut seen))
            {
                match done {
                    Some(Move::SetWeight(weight)) => {
                        release = rollout.plan.with_weight(&release, weight);
                    }
                    Some(Move::Return) => release = rollout.plan.with_weight(&release, 0),
                    Some(Move::Promote) | None => {}
                }
            }
            let seconds = Duration::from_millis(now).as_secs_f64();
            match rollout.progress.phase {
                Phase::Degraded => return Some(seconds),
                Phase::Healthy => return None,
                Phase::Progressing | Phase::Paused | Phase::HandsOff => {}
            }
            let weight = f64::from(rollout.progress.weight_bp) / 10_000.0;
            let requests = self.requests_per_second * interval.as_secs_f64();
            let is_faulty = rollout.progress.weight_bp >= self.fault_from_bp;
            let (canary, times) =
                if is_faulty { (self.canary, of_canary) } else { (self.stable, of_stable) };
            let weather = (self.weather)(seconds);
            let mut count = |version: Version, requests: f64, times: &[f64]| {
                drawn(&mut dice, requests, version.errors * weather, times)
            };
            seen = Seen {
                stable: count(self.stable, requests * (1.0 - weight), of_stable),
                canary: count(canary, requests * weight, times),
            };
            now += u64::try_from(interval.as_millis()).expect("it is short");
        }
    }

    fn start(&self) -> Rollout {
        let text = format!(
            r#"{{"stable": "0000000000000000", "canary": "00000000000000aa", "steps": [{}]}}"#,
            self.steps
        );
        let plan: Plan = serde_json::from_str(&text).expect("it is a plan");
        plan.check().expect("it is a good one");
        Rollout { plan, progress: Progress::start(0, "simulated".into()) }
    }
}

/// How likely each bucket of time is.
fn chances(version: Version) -> Vec<f64> {
    let below = |bucket: usize| {
        if bucket >= BUCKETS {
            return 1.0;
        }
        let time = bound(bucket).as_secs_f64() / (MEDIAN * version.slower);
        1.0 - 1.0 / (1.0 + time.powf(SHAPE))
    };
    (0..BUCKETS).map(|bucket| below(bucket + 1) - below(bucket)).collect()
}

/// Requests arrive as they like: each kind of them is a Poisson number by itself.
fn drawn(dice: &mut Xoshiro256PlusPlus, requests: f64, errors: f64, times: &[f64]) -> Counts {
    let mut poisson = |mean: f64| {
        if mean < 1e-9 {
            return 0;
        }
        let drawn = Poisson::new(mean).expect("it is above 0").sample(dice);
        #[expect(clippy::cast_possible_truncation, reason = "whole numbers up to a few thousand")]
        #[expect(clippy::cast_sign_loss, reason = "and none below zero")]
        let drawn = drawn as u64;
        drawn
    };
    let latency: Vec<(usize, u64)> = times
        .iter()
        .enumerate()
        .map(|(bucket, chance)| (bucket, poisson(requests * chance)))
        .collect();
    let errors = poisson(requests * errors);
    let requests: u64 = latency.iter().map(|(_, count)| count).sum();
    Counts { requests, errors: errors.min(requests), latency: latency.into_iter().collect() }
}

/// Four standard deviations of what `runs` throws of a coin show: once in 15,000 by chance, and the seeds are fixed.
fn slack(chance: f64, runs: u32) -> f64 {
    4.0 * (chance * (1.0 - chance) / f64::from(runs)).sqrt()
}

fn figures(runs: u32) {
    let figures: Vec<Figures> = thread::scope(|scope| {
        let threads: Vec<_> = WORLDS.iter().map(|world| scope.spawn(|| world.run(runs))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a rollout ends")).collect()
    });
    let mut table =
        format!("{:48}  RETURNED  AFTER p50     p90\n", format!("{runs} rollouts each"));
    for (world, figures) in WORLDS.iter().zip(&figures) {
        let time =
            |percent| figures.time(percent).map_or("-".into(), |time| format!("{time:.0} s"));
        let (returned, p50, p90) = (100.0 * figures.returned, time(50), time(90));
        writeln!(table, "{:48} {returned:7.2} %  {p50:>9}  {p90:>6}", world.name)
            .expect("a string takes every write");
    }
    println!("{table}");
    for (world, figures) in WORLDS.iter().zip(&figures) {
        let (least, most) = (*world.returned.start(), *world.returned.end());
        let bounds = least - slack(least, runs)..=most + slack(most, runs);
        assert!(bounds.contains(&figures.returned), "{}: {}", world.name, figures.returned);
        let half = figures.time(50).unwrap_or_default();
        assert!(half <= world.half_within, "{}: {half} s", world.name);
    }
}

#[test]
fn a_few_rollouts_keep_what_is_promised() {
    figures(24);
}

/// The figures: `make rollout-figures`.
#[test]
#[ignore = "minutes of an unoptimised build"]
fn many_rollouts_keep_what_is_promised() {
    figures(2000);
}
