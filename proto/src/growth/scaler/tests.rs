//! Loads made by hand, and what they ask for.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn version(concurrency: u16) -> Version {
    serde_json::from_value(serde_json::json!({
        "function": "local/a", "package": {"root": "/", "digest": ""}, "runtime": {"kind": "command", "argv": ["a"]},
        "resources": {"cpu_millis": 500, "memory_bytes": 134_217_728, "pids": 1, "files": 1, "tmp_bytes": 1},
        "concurrency": concurrency, "min": 0, "max": 1000, "idle_timeout": "1s",
        "clocks": {"queue": "1s", "start": "1s", "first_byte": "1s", "idle": "1s", "run": "1s"}
    }))
    .expect("it is a version")
}

fn growth(window: u64, delay: u64) -> Growth {
    let (window, delay) = (Duration::from_secs(window), Duration::from_secs(delay));
    Growth { window, delay, ..Growth::default() }
}

fn in_flight(in_flight: f64) -> Load {
    Load { in_flight, ..Load::default() }
}

/// What each second's requests in flight ask for, where as many are ready as were wished for the second before.
fn wishes(loads: &[f64], growth: &Growth, concurrency: u16) -> Vec<u32> {
    let targets = Targets::new(growth, &version(concurrency));
    let (mut scaler, mut alive) = (Scaler::default(), 0);
    let wish = |(second, load): (usize, &f64)| {
        let wish = scaler.wish(second as u64, in_flight(*load), alive, &targets);
        alive = wish.within(growth, 0).count;
        alive
    };
    loads.iter().enumerate().map(wish).collect()
}

/// The example of the system that this rule is from (Meituan Nest): at least 4 sandboxes, 100 requests in flight fill one, and it grows
/// at 0.7 of that; every request is to succeed.
mod nest {
    use super::*;

    /// From asking for a sandbox to its answering, at Nest.
    const START: usize = 2;

    fn nest() -> Growth {
        Growth { min: 4, in_flight: Some(100), early_percent: 70, ..growth(60, 30) }
    }

    #[test]
    fn it_wants_a_fifth_sandbox_when_four_are_full_to_seven_tenths() {
        for (load, count) in
            [(0.0, 4), (100.0, 4), (280.0, 4), (281.0, 5), (350.0, 5), (400.0, 6), (700.0, 10)]
        {
            assert_eq!(wishes(&[load], &nest(), 100), [count], "{load}");
        }
    }

    #[test]
    fn a_load_that_rises_to_ten_times_what_four_bear_never_finds_a_full_sandbox() {
        // From 40 to 4,000 in three minutes, as steep as 22 a second, and back.
        let up = (0..=180).map(|second| 40.0 + 22.0 * f64::from(second));
        let loads: Vec<f64> = up.clone().chain(up.rev()).chain([40.0; 200]).collect();
        let wished = wishes(&loads, &nest(), 100);
        for (second, load) in loads.iter().enumerate() {
            let ready = if second < START { 4 } else { wished[second - START] };
            assert!(*load <= f64::from(ready) * 100.0, "{load} on {ready} in second {second}");
        }
        let first = wished.iter().position(|wish| *wish > 4).expect("it grows");
        assert!(loads[first] < 400.0, "before four are full: at {}", loads[first]);
        assert_eq!(wished.iter().max(), Some(&57), "3,978 / 70: six seconds around the peak");
        assert_eq!(wished.last(), Some(&4));
    }
}

#[test]
fn of_several_loads_the_one_that_asks_for_most_is_heard() {
    let all = Growth {
        requests_per_second: Some(100),
        cpu_percent: Some(50),
        memory_percent: Some(50),
        max: Some(100),
        ..growth(60, 0)
    };
    let targets = Targets::new(&all, &version(10));
    let mib = 1024.0 * 1024.0;
    let load =
        Load { in_flight: 7.0, per_second: 70.0, cpu_millis: 250.0, memory_bytes: 64.0 * mib };
    for (load, count, because) in [
        (load, 1, Because::InFlight),
        (Load { in_flight: 7.1, ..load }, 2, Because::InFlight),
        (Load { per_second: 141.0, ..load }, 3, Because::PerSecond),
        (Load { cpu_millis: 760.0, ..load }, 4, Because::Cpu),
        (Load { memory_bytes: 300.0 * mib, ..load }, 5, Because::Memory),
    ] {
        let wish = Scaler::default().wish(0, load, 10, &targets);
        assert_eq!(wish, Wish { count, because });
    }
    let deaf = Targets::new(&growth(60, 0), &version(10));
    let wish = Scaler::default().wish(0, Load { in_flight: 0.0, ..load }, 10, &deaf);
    assert_eq!(wish, Wish { count: 0, because: Because::Quiet });
}

#[test]
fn a_burst_is_remembered_for_a_window_and_a_slow_rise_is_not() {
    let burst = [&[10.0; 60][..], &[100.0; 6], &[10.0; 100]].concat();
    let wished = wishes(&burst, &growth(60, 0), 10);
    assert_eq!(wished[59], 2);
    assert_eq!(wished[65], 15);
    // Panicking since the burst began, and until a window after it was seen last.
    assert_eq!(wished[66 + 50], 15);
    assert_eq!(wished.last(), Some(&2));
}

#[test]
fn who_takes_over_gives_nothing_up_before_the_delay() {
    let targets = Targets::new(&growth(60, 30), &version(10));
    let mut scaler = Scaler::resumed(100, 8);
    let wished: Vec<u32> =
        (100..140).map(|second| scaler.wish(second, Load::default(), 8, &targets).count).collect();
    assert_eq!(wished[..=30], [8; 31]);
    assert_eq!(wished[31..36], [4, 2, 1, 0, 0], "half at a time");
}

#[test]
fn what_is_kept_and_what_may_be_bound_every_wish() {
    let bounds = Growth { min: 2, max: Some(5), ..Growth::default() };
    let within = |count, scheduled| {
        let wish = Wish { count, because: Because::InFlight }.within(&bounds, scheduled);
        (wish.count, wish.because)
    };
    assert_eq!(within(1, 0), (2, Because::Min));
    assert_eq!(within(3, 0), (3, Because::InFlight));
    assert_eq!(within(3, 4), (4, Because::Schedule));
    assert_eq!(within(3, 9), (5, Because::Max));
    assert_eq!(within(9, 0), (5, Because::Max));
}

fn load() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 0.0..50.0_f64, 0.0..2000.0_f64]
}

proptest! {
    #[test]
    fn a_steady_load_has_what_it_asks_for_and_no_more(
        load in load(),
        concurrency in 1..100_u16,
        window in 6..120_u64,
        delay in 0..60_u64,
    ) {
        let growth = growth(window, delay);
        let enough = sandboxes(load, f64::from(concurrency) * 70.0 / 100.0);
        for wish in wishes(&[load; 200], &growth, concurrency) {
            prop_assert_eq!(wish, enough);
        }
    }

    #[test]
    fn more_load_never_asks_for_fewer(
        loads in prop::collection::vec((load(), 0.0..100.0_f64), 1..200),
        delay in 0..60_u64,
    ) {
        let growth = growth(60, delay);
        let targets = Targets::new(&growth, &version(10));
        let (mut one, mut other) = (Scaler::default(), Scaler::default());
        for (second, (load, more)) in (0..).zip(loads) {
            let less = one.wish(second, in_flight(load), 3, &targets).count;
            let more = other.wish(second, in_flight(load + more), 3, &targets).count;
            prop_assert!(more >= less, "{} {}", more, less);
        }
    }

    #[test]
    fn it_grows_within_a_tenth_of_the_window_and_shrinks_only_after_the_delay(
        low in 0.0..100.0_f64,
        more in 1.0..1000.0_f64,
        delay in 1..60_usize,
    ) {
        let growth = growth(60, delay as u64);
        let loads = [vec![low; 70], vec![low + more; 30], vec![0.0; 300]].concat();
        let wished = wishes(&loads, &growth, 10);
        let enough = |load: f64| sandboxes(load, 7.0);
        for wish in &wished[75..100] {
            prop_assert!(*wish >= enough(low + more));
        }
        for wish in &wished[100..100 + delay] {
            prop_assert!(*wish >= enough(low + more), "{} {:?}", wish, &wished[95..]);
        }
        prop_assert_eq!(wished.last(), Some(&0));
    }

    #[test]
    fn a_load_that_comes_and_goes_starts_nothing_anew(
        half in 1..15_usize,
        high in 10.0..1000.0_f64,
    ) {
        let loads: Vec<f64> =
            (0..600).map(|second| if second / half % 2 == 0 { high } else { 0.0 }).collect();
        let wished = wishes(&loads, &growth(60, 30), 10);
        let moves = wished[120..].windows(2).filter(|pair| pair[0] != pair[1]).count();
        prop_assert_eq!(moves, 0, "{:?}", &wished[120..]);
    }

    #[test]
    fn the_same_counts_always_come_to_the_same(
        loads in prop::collection::vec(load(), 1..100),
    ) {
        prop_assert_eq!(wishes(&loads, &growth(30, 10), 4), wishes(&loads, &growth(30, 10), 4));
    }
}
