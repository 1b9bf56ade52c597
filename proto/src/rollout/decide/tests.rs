use super::*;
use crate::rollout::{Command, Counts, Plan, Progress};

const STABLE: &str = "0000000000000000";
const CANARY: &str = "00000000000000aa";

/// A rollout, the release that it moves, and a clock.
struct World {
    rollout: Rollout,
    evidence: Evidence,
    release: Release,
    now: u64,
}

impl World {
    fn of(steps: &str, analysis: &str) -> Self {
        let text = format!(
            r#"{{"stable": "{STABLE}", "canary": "{CANARY}", "steps": [{steps}], "analysis": {analysis}}}"#
        );
        let plan: Plan = serde_json::from_str(&text).unwrap();
        plan.check().unwrap();
        let release = Release::of(plan.stable);
        let evidence = Evidence::of(&plan);
        let progress = Progress::start(0, "a test".into());
        Self { rollout: Rollout { plan, progress }, evidence, release, now: 0 }
    }

    /// Sees so many requests and errors of stable and canary, then makes every move that is due.
    fn look(&mut self, stable: (u64, u64), canary: (u64, u64)) {
        let counts = |(requests, errors)| Counts { requests, errors, ..Counts::default() };
        let mut seen = Seen { stable: counts(stable), canary: counts(canary) };
        loop {
            let rollout = &mut self.rollout;
            match rollout.decide(self.now, Some(&self.release), &mut self.evidence, &seen) {
                Next::Hold => break,
                Next::Moved(done) => self.apply(done),
            }
            seen = Seen::default();
        }
    }

    fn apply(&mut self, done: Option<Move>) {
        let plan = &self.rollout.plan;
        match done {
            None => {}
            Some(Move::SetWeight(weight)) => self.release = plan.with_weight(&self.release, weight),
            Some(Move::Return) => self.release = plan.with_weight(&self.release, 0),
            Some(Move::Promote) => self.release = plan.promoted(&self.release),
        }
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now += seconds * 1000;
        self
    }

    fn tell(&mut self, command: Command) -> Result<(), String> {
        let done = self.rollout.command(command, self.now, "ann", &self.release)?;
        self.apply(done);
        Ok(())
    }

    fn weight(&self) -> u16 {
        self.release.shares.iter().map(|share| share.basis_points).sum()
    }

    fn phase(&self) -> &Phase {
        &self.rollout.progress.phase
    }

    fn told(&self) -> Vec<&str> {
        self.rollout.progress.journal.iter().map(|entry| entry.what.as_str()).collect()
    }

    fn last_reason(&self) -> &str {
        &self.rollout.progress.journal.last().unwrap().why
    }
}

const TWO: &str = r#"{"set_weight": 500}, {"analysis": {"for": "1m"}},
                     {"set_weight": 5000}, {"analysis": {"for": "1m"}}"#;

#[test]
fn a_good_canary_goes_from_step_to_step_and_serves_everybody() {
    let mut world = World::of(TWO, "{}");
    world.look((0, 0), (0, 0));
    assert_eq!((world.weight(), world.rollout.progress.step), (500, 1));
    world.after(59).look((5000, 50), (300, 3));
    assert_eq!(world.weight(), 500, "its minute is not over");
    world.after(1).look((100, 1), (5, 0));
    assert_eq!(world.weight(), 5000);
    world.after(60).look((2500, 25), (2500, 25));
    assert_eq!((world.release.stable.as_str(), world.weight()), (CANARY, 0));
    assert_eq!(world.told(), ["start", "set_weight", "passed", "set_weight", "passed", "promote"]);
    assert_eq!(world.phase(), &Phase::Healthy);
    world.after(60).look((0, 0), (1000, 1000));
    assert_eq!(world.release.stable.as_str(), CANARY, "what is over is over");
}

#[test]
fn a_bad_canary_is_returned_at_once_and_the_reason_is_kept() {
    let mut world = World::of(TWO, "{}");
    world.look((0, 0), (0, 0));
    world.after(5).look((1000, 10), (50, 25));
    assert_eq!((world.release.stable.as_str(), world.weight()), (STABLE, 0));
    assert_eq!((world.phase(), world.told().last()), (&Phase::Degraded, Some(&"return")));
    assert!(
        world
            .last_reason()
            .starts_with("the canary fails more often: canary: 50.00% of 50 requests")
    );
    assert!(world.tell(Command::Promote).unwrap_err().contains("over (degraded)"));
}

#[test]
fn without_traffic_it_waits_and_then_does_as_it_was_told() {
    for (too_little, version) in [("return", STABLE), ("promote", CANARY)] {
        let analysis = format!(r#"{{"max_wait": "10m", "too_little": "{too_little}"}}"#);
        let mut world = World::of(r#"{"set_weight": 500}, {"analysis": {"for": "1m"}}"#, &analysis);
        world.look((0, 0), (0, 0));
        world.after(60).look((1900, 0), (99, 0));
        world.after(300).look((0, 0), (0, 0));
        assert_eq!((world.told().last(), world.weight()), (Some(&"wait"), 500));
        assert!(
            world.last_reason().contains("99 requests of the canary, 1900 of stable, 100 of each")
        );
        world.after(300).look((0, 0), (0, 0));
        assert_eq!((world.release.stable.as_str(), world.weight()), (version, 0), "{too_little}");
    }
    let mut world = World::of(r#"{"set_weight": 500}, {"analysis": {"for": "1m"}}"#, "{}");
    world.look((0, 0), (0, 0));
    world.after(60).look((1900, 0), (99, 0));
    world.after(1).look((19, 0), (1, 0));
    assert_eq!(world.phase(), &Phase::Healthy, "they came in time");
}

#[test]
fn a_release_that_somebody_has_changed_is_left_alone_until_somebody_says_so() {
    let mut world = World::of(TWO, "{}");
    world.look((0, 0), (0, 0));
    world.release = world.rollout.plan.with_weight(&world.release, 700);
    world.after(5).look((1000, 0), (50, 50));
    assert_eq!((world.phase(), world.weight()), (&Phase::HandsOff, 700));
    world.after(3600).look((1000, 0), (50, 50));
    assert_eq!(world.weight(), 700, "not even when it is bad");
    world.tell(Command::Resume).unwrap();
    assert_eq!((world.phase(), world.weight()), (&Phase::Progressing, 500));

    world.release.stable = world.rollout.plan.canary;
    world.look((0, 0), (0, 0));
    assert!(world.tell(Command::Resume).unwrap_err().contains("abort it"));
    assert!(world.tell(Command::Promote).is_err());
    world.tell(Command::Abort).unwrap();
    assert_eq!(world.release, Release::of(world.rollout.plan.canary), "the new stable stays");
    let gone = world.rollout.decide(0, None, &mut world.evidence, &Seen::default());
    assert_eq!(gone, Next::Hold);
}

#[test]
fn pauses_end_by_time_by_the_clock_or_by_a_word() {
    let steps = r#"{"set_weight": 100}, {"pause": {"for": "1h"}}, {"pause": {"until_unix_ms": 7201000}}, {"pause": {}}"#;
    let mut world = World::of(steps, "{}");
    world.look((0, 0), (0, 0));
    world.after(3599).look((0, 0), (0, 0));
    assert_eq!(world.rollout.progress.step, 1);
    world.after(1).look((0, 0), (0, 0));
    assert_eq!(world.rollout.progress.step, 2);
    world.after(3601).look((0, 0), (0, 0));
    assert_eq!((world.rollout.progress.step, world.phase()), (3, &Phase::Paused));
    world.after(100_000).look((1000, 10), (10, 0));
    world.tell(Command::Resume).unwrap();
    world.look((0, 0), (0, 0));
    assert_eq!(world.phase(), &Phase::Healthy);
}

#[test]
fn people_may_stop_it_let_it_go_on_and_end_it() {
    let mut world = World::of(TWO, "{}");
    world.look((0, 0), (0, 0));
    assert!(world.tell(Command::Resume).unwrap_err().contains("going on already"));
    world.tell(Command::Pause).unwrap();
    assert!(world.tell(Command::Pause).is_err());
    world.after(600).look((5000, 50), (300, 3));
    assert_eq!(world.weight(), 500);
    world.tell(Command::Resume).unwrap();
    world.after(30).look((0, 0), (0, 0));
    assert_eq!(world.weight(), 500, "its minute begins anew");
    world.tell(Command::Promote).unwrap();
    assert_eq!((world.release.stable.as_str(), world.phase()), (CANARY, &Phase::Healthy));
    assert!(world.last_reason().contains("asked for by ann"));

    let mut world = World::of(TWO, "{}");
    world.look((0, 0), (0, 0));
    world.tell(Command::Pause).unwrap();
    world.after(5).look((1000, 10), (50, 40));
    assert_eq!(world.phase(), &Phase::Degraded, "a pause is no reason to let users suffer");
}

#[test]
fn a_canary_that_warms_up_is_not_slow_yet() {
    let run = |warm_up: &str| {
        let analysis = format!(r#"{{"warm_up": "{warm_up}"}}"#);
        let mut world = World::of(r#"{"set_weight": 500}, {"analysis": {"for": "1h"}}"#, &analysis);
        world.look((0, 0), (0, 0));
        let counts = |requests, bucket| Counts {
            requests,
            latency: [(bucket, requests)].into_iter().collect(),
            ..Counts::default()
        };
        for _ in 0..10 {
            world.now += 1000;
            let seen = Seen { stable: counts(1000, 90), canary: counts(50, 120) };
            let release = world.release.clone();
            let (rollout, evidence) = (&mut world.rollout, &mut world.evidence);
            rollout.decide(world.now, Some(&release), evidence, &seen);
        }
        world.phase().clone()
    };
    assert_eq!((run("1s"), run("1m")), (Phase::Degraded, Phase::Progressing));
}
