//! Rounds, interleaved: every gateway meets the machine's good and bad minutes alike, and ratios are
//! taken within a round only.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::cases::Case;
use crate::front::Front;
use crate::measure::{self, Sample};
use crate::peers::{Peer, Site};
use crate::stats::Spread;

/// All that was seen of one gateway in one case.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) peer: Peer,
    /// By round; a round that failed is missing.
    pub(crate) samples: BTreeMap<u32, Sample>,
    pub(crate) system_calls_per_request: Option<f64>,
    pub(crate) failures: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CaseFigures {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) connections: u32,
    /// Requests came at a given pace.
    pub(crate) is_paced: bool,
    /// Whose time is set against that of the others.
    pub(crate) ours: Peer,
    pub(crate) series: Vec<Series>,
}

/// Measures every case for every peer, round by round, telling `progress` before each run.
pub(crate) fn run(
    cases: &[&'static Case],
    peers: &[Peer],
    rounds: u32,
    duration: Duration,
    site: &Site,
    progress: &dyn Fn(&str),
) -> Vec<CaseFigures> {
    let mut figures: Vec<CaseFigures> = cases.iter().map(|case| empty(case, peers)).collect();
    for round in 0..rounds {
        for (case, figures) in cases.iter().zip(&mut figures) {
            for series in rotated(&mut figures.series, round) {
                progress(&format!(
                    "round {} of {rounds}: {}, {}",
                    round + 1,
                    case.name,
                    series.peer.name()
                ));
                match measure::sample(series.peer, case, site, duration) {
                    Ok(sample) => drop(series.samples.insert(round, sample)),
                    Err(error) => series.failures.push(error.to_string()),
                }
            }
        }
    }
    for (case, figures) in cases.iter().zip(&mut figures) {
        for series in figures.series.iter_mut().filter(|series| !series.samples.is_empty()) {
            progress(&format!("system calls: {}, {}", case.name, series.peer.name()));
            series.system_calls_per_request =
                measure::system_calls(series.peer, case, site).ok().flatten();
        }
    }
    figures
}

fn empty(case: &Case, peers: &[Peer]) -> CaseFigures {
    let series = |&peer| Series {
        peer,
        samples: BTreeMap::new(),
        system_calls_per_request: None,
        failures: Vec::new(),
    };
    CaseFigures {
        name: case.name,
        label: case.label,
        connections: case.connections,
        is_paced: matches!(case.front, Front::Paced { .. }),
        ours: case.peers.iter().copied().find(|peer| peer.is_ours()).unwrap_or(Peer::Hatchway),
        series: case.peers.iter().filter(|peer| peers.contains(peer)).map(series).collect(),
    }
}

/// Each round begins with another one: what runs first meets a colder machine.
fn rotated(series: &mut [Series], round: u32) -> impl Iterator<Item = &mut Series> {
    let start = round as usize % series.len().max(1);
    let (front, back) = series.split_at_mut(start);
    back.iter_mut().chain(front)
}

impl Series {
    pub(crate) fn spread(&self, value: impl Fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.samples.values().map(value))
    }

    /// How many times the processor time of `other` this one needs: the median of the rounds' ratios.
    pub(crate) fn cpu_ratio_to(&self, other: &Self) -> Option<f64> {
        let ratio = |(round, mine): (&u32, &Sample)| {
            let theirs = other.samples.get(round)?;
            Some(mine.cpu_us_per_request / theirs.cpu_us_per_request)
        };
        Some(Spread::of(self.samples.iter().filter_map(ratio))?.median)
    }
}

impl CaseFigures {
    /// True where the time of a call is the call's own, and not its wait behind others.
    pub(crate) fn is_one_client(&self) -> bool {
        self.connections == 1
    }

    /// What each gateway adds to a time of the function alone: medians of the rounds' differences.
    pub(crate) fn added_us(&self, time: impl Fn(&Sample) -> f64) -> Vec<(Peer, f64)> {
        let Some(alone) = self.of(Peer::Direct) else { return Vec::new() };
        let added = |series: &Series| {
            let difference = |(round, sample): (&u32, &Sample)| {
                Some(time(sample) - time(alone.samples.get(round)?))
            };
            let spread = Spread::of(series.samples.iter().filter_map(difference))?;
            Some((series.peer, spread.median))
        };
        self.series.iter().filter(|series| series.peer != Peer::Direct).filter_map(added).collect()
    }

    pub(crate) fn of(&self, peer: Peer) -> Option<&Series> {
        self.series.iter().find(|series| series.peer == peer && !series.samples.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu_us_per_request: f64) -> Sample {
        Sample {
            requests_per_s: 1.0,
            p50_us: 1.0,
            p99_us: 1.0,
            cpu_us_per_request,
            utilisation: 1.0,
            load_core_busy: 1.0,
            foreign: 0.0,
            peak_bytes: 1,
            errors: 0,
        }
    }

    fn series(peer: Peer, samples: &[(u32, f64)]) -> Series {
        Series {
            peer,
            samples: samples.iter().map(|&(round, cpu)| (round, sample(cpu))).collect(),
            system_calls_per_request: None,
            failures: Vec::new(),
        }
    }

    #[test]
    fn a_ratio_uses_rounds_that_both_have() {
        let mine = series(Peer::Hatchway, &[(0, 8.0), (1, 30.0), (3, 5.0)]);
        let theirs = series(Peer::Nginx, &[(0, 10.0), (1, 30.0), (2, 1.0)]);
        assert_eq!(mine.cpu_ratio_to(&theirs), Some(0.9));
        assert_eq!(mine.cpu_ratio_to(&series(Peer::Envoy, &[(9, 1.0)])), None);
    }

    #[test]
    fn what_a_gateway_adds_is_over_the_function_alone_in_the_same_round() {
        let p50 = |us| Sample { p50_us: us, ..sample(1.0) };
        let mut alone = series(Peer::Direct, &[]);
        alone.samples = BTreeMap::from([(0, p50(50.0)), (1, p50(90.0))]);
        let mut nginx = series(Peer::Nginx, &[]);
        nginx.samples = BTreeMap::from([(0, p50(80.0)), (1, p50(120.0))]);
        let series = vec![alone, nginx];
        let figures = CaseFigures {
            name: "one",
            label: "",
            connections: 1,
            is_paced: false,
            ours: Peer::Hatchway,
            series,
        };
        assert_eq!(figures.added_us(|sample| sample.p50_us), [(Peer::Nginx, 30.0)]);
    }

    #[test]
    fn every_peer_runs_once_in_each_round_and_another_begins() {
        let mut all: Vec<Series> = Peer::ALL.iter().map(|&peer| series(peer, &[])).collect();
        let order = |round, all: &mut [Series]| -> Vec<Peer> {
            rotated(all, round).map(|series| series.peer).collect()
        };
        assert_eq!(order(1, &mut all)[0], Peer::ALL[1]);
        let all_around = u32::try_from(Peer::ALL.len()).expect("there are few");
        assert_eq!(order(all_around, &mut all), Peer::ALL);
    }
}
