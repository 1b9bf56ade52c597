//! Decisions, with times made by hand: no runtime, no sandbox, no clock.

use std::time::{Duration, Instant};

use hatchway_proto::catalog::Version;
use hatchway_proto::growth::Share;
use hatchway_proto::name::SandboxId;

use super::kit::{MIB, MS, SECOND, config, version};
use crate::pool::budget::Used;
use crate::pool::decide::decide;
use crate::pool::hatchery::{Exit, HatchFailure};
use crate::pool::phase::Phase;
use crate::pool::plan::{Action, Bar, Ended, Event, Listen};
use crate::pool::state::{Spec, State, VersionKey};
use crate::pool::{Budget, PoolConfig, ReapWhy, SlotRefused};

/// A state, and the time at which it stands.
struct Book {
    state: State,
    t0: Instant,
    now: Instant,
}

impl Book {
    fn with_config(config: PoolConfig) -> Self {
        let t0 = Instant::now();
        Self { state: State::new(config), t0, now: t0 }
    }

    /// With these versions, keys 1, 2, ...
    fn with(versions: &[Version]) -> Self {
        let mut book = Self::with_config(config());
        book.serve(versions);
        book
    }

    fn serve(&mut self, versions: &[Version]) {
        let known = (1..).map(VersionKey).zip(versions.iter().map(Spec::of)).collect();
        self.happens(Event::Catalog { known, adopted: vec![], retired: vec![] });
    }

    fn at(&mut self, since_t0: Duration) -> &mut Self {
        self.now = self.t0 + since_t0;
        self
    }

    fn happens(&mut self, event: Event) -> Vec<Action> {
        decide(&mut self.state, self.now, 0, event)
    }

    fn looks(&mut self) -> Vec<Action> {
        self.happens(Event::Looked)
    }

    fn waiting(&mut self, key: u64, waiting: u32) -> &mut Self {
        self.state.see_line(VersionKey(key), waiting, false);
        self
    }

    fn see(&mut self, key: u64, id: u64, phase: Phase) -> &mut Self {
        self.state.see(VersionKey(key), SandboxId(id), phase);
        self
    }

    fn idle(&mut self, key: u64, id: u64, since_t0: Duration) -> &mut Self {
        let since = self.t0 + since_t0;
        self.see(key, id, Phase::Idle { since })
    }

    fn busy(&mut self, key: u64, id: u64, in_flight: u16) -> &mut Self {
        self.see(key, id, Phase::Busy { in_flight })
    }

    /// Hatches for the version until `count` sandboxes are open, and returns their numbers.
    fn open(&mut self, key: u64, count: u32) -> Vec<u64> {
        let concurrency = u32::from(self.state.versions[&VersionKey(key)].spec.concurrency);
        self.waiting(key, count * concurrency).looks();
        self.waiting(key, 0);
        let key = VersionKey(key);
        let ids: Vec<_> = self.state.versions[&key].sandboxes.keys().copied().collect();
        assert_eq!(ids.len(), count as usize, "room for all");
        for id in &ids {
            self.happens(Event::Hatched { key, id: *id });
        }
        ids.into_iter().map(|id| id.0).collect()
    }

    fn fails(&mut self, key: u64, id: u64, reason: &'static str) -> Vec<Action> {
        let failure = HatchFailure { reason, message: "why".to_owned() };
        self.happens(Event::HatchFailed { key: VersionKey(key), id: SandboxId(id), failure })
    }

    fn next_look(&self) -> Option<Duration> {
        self.state.next_look(self.now).map(|at| at - self.t0)
    }
}

fn hatches(actions: &[Action]) -> Vec<u64> {
    let id = |action: &Action| match action {
        Action::Hatch { id, .. } => Some(id.0),
        _ => None,
    };
    actions.iter().filter_map(id).collect()
}

fn reaps(actions: &[Action]) -> Vec<u64> {
    let id = |action: &Action| match action {
        Action::Reap { id, .. } => Some(id.0),
        _ => None,
    };
    actions.iter().filter_map(id).collect()
}

fn refusals(actions: &[Action]) -> Vec<&SlotRefused> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Refuse { refusal, .. } => Some(refusal),
            _ => None,
        })
        .collect()
}

#[test]
fn as_many_hatch_as_who_waits_asks_for_and_looking_again_hatches_no_more() {
    let mut book = Book::with(&[Version { concurrency: 16, max: 100, ..version() }]);
    assert_eq!(hatches(&book.waiting(1, 33).looks()).len(), 3);
    assert_eq!(hatches(&book.looks()), [0; 0]);
    assert_eq!(hatches(&book.waiting(1, 48).looks()), [0; 0]);
    assert_eq!(hatches(&book.waiting(1, 49).looks()).len(), 1);
}

#[test]
fn no_more_than_max_hatch() {
    let mut book = Book::with(&[Version { max: 4, ..version() }]);
    assert_eq!(hatches(&book.waiting(1, 1000).looks()).len(), 4);
}

#[test]
fn the_keeper_is_called_when_more_wait_than_the_starts_cover_and_never_at_max() {
    let mut book = Book::with(&[Version { concurrency: 16, max: 2, ..version() }]);
    let listen = |book: &Book| book.state.versions[&VersionKey(1)].listen.waiting;
    assert_eq!(listen(&book), 1);
    book.waiting(1, 1).looks();
    assert_eq!(listen(&book), 17);
    book.waiting(1, 17).looks();
    assert_eq!(listen(&book), Listen::NEVER);
}

#[test]
fn a_peak_between_two_looks_hatches_early_and_a_lone_request_does_not() {
    let mut book = Book::with(&[Version { concurrency: 10, ..version() }, version()]);
    let (wide, narrow) = (book.open(1, 1)[0], book.open(2, 1)[0]);
    assert_eq!(book.state.versions[&VersionKey(1)].listen.in_flight, 7);
    assert_eq!(hatches(&book.busy(1, wide, 6).busy(2, narrow, 1).looks()), [0; 0]);
    book.state.see_line(VersionKey(1), 0, true);
    assert_eq!(hatches(&book.looks()).len(), 1);
}

#[test]
fn the_start_clock_runs_out_at_its_time_and_not_before() {
    let mut book = Book::with(&[version()]);
    book.waiting(1, 1).looks();
    assert_eq!(book.next_look(), Some(10 * SECOND));
    assert_eq!(book.at(10 * SECOND - MS).looks(), []);
    let actions = book.at(10 * SECOND).looks();
    assert!(matches!(actions[0], Action::GiveUp { failure: Some(_), .. }));
    let retry_after = 100 * MS;
    assert_eq!(refusals(&actions), [&SlotRefused::StartClock { limit: 10 * SECOND, retry_after }]);
}

#[test]
fn a_sandbox_expires_when_its_idle_timeout_has_passed_and_not_before() {
    let mut book = Book::with(&[version()]);
    let id = book.open(1, 1)[0];
    book.at(2 * SECOND).idle(1, id, 2 * SECOND);
    book.state.measured_at = Some(book.t0 + 100 * SECOND);
    assert_eq!(book.next_look(), Some(32 * SECOND));
    assert_eq!(reaps(&book.at(32 * SECOND - MS).looks()), [0; 0]);
    assert_eq!(reaps(&book.at(32 * SECOND).looks()), [id]);
}

#[test]
fn a_busy_sandbox_is_looked_at_again_when_it_could_have_been_idle_for_long_enough() {
    let mut book = Book::with(&[version()]);
    let id = book.open(1, 1)[0];
    book.state.measured_at = Some(book.t0 + 100 * SECOND);
    book.at(7 * SECOND).busy(1, id, 1);
    assert_eq!(book.next_look(), Some(37 * SECOND));
}

#[test]
fn a_busy_sandbox_without_idle_timeout_is_not_looked_at_without_end() {
    let mut book = Book::with(&[Version { idle_timeout: Duration::ZERO, ..version() }]);
    let id = book.open(1, 1)[0];
    book.state.measured_at = Some(book.t0);
    assert_eq!(book.busy(1, id, 1).next_look(), Some(10 * MS));
}

#[test]
fn a_sandbox_that_a_request_took_after_all_counts_again() {
    let mut book = Book::with(&[Version { max: 1, ..version() }]);
    let id = book.open(1, 1)[0];
    assert_eq!(reaps(&book.at(60 * SECOND).idle(1, id, MS).looks()), [id]);
    assert_eq!(hatches(&book.busy(1, id, 1).waiting(1, 1).looks()), [0; 0]);
    // And it is reaped like any other when its time has come again.
    book.waiting(1, 0).idle(1, id, 61 * SECOND);
    assert_eq!(reaps(&book.at(91 * SECOND).looks()), [id]);
}

#[test]
fn a_closed_sandbox_ends_with_its_last_slot_and_is_killed_after_the_grace_period() {
    let mut book = Book::with(&[version()]);
    let id = book.open(1, 1)[0];
    assert_eq!(book.see(1, id, Phase::Draining { in_flight: 1 }).looks(), []);
    let terminate = Action::Terminate { key: VersionKey(1), id: SandboxId(id) };
    assert!(book.see(1, id, Phase::Draining { in_flight: 0 }).looks().contains(&terminate));
    assert_eq!(book.next_look(), Some(5 * SECOND));
    assert_eq!(book.at(5 * SECOND - MS).looks(), []);
    let kill = Action::Kill { key: VersionKey(1), id: SandboxId(id) };
    assert_eq!(book.at(5 * SECOND).looks(), [kill]);
    assert_eq!(book.at(50 * SECOND).looks(), []);
}

#[test]
fn of_idle_sandboxes_the_idlest_go_first_and_min_stay() {
    let mut book = Book::with(&[Version { min: 1, max: 3, ..version() }]);
    let id = book.open(1, 3);
    book.idle(1, id[0], 2 * MS).idle(1, id[1], 3 * MS).idle(1, id[2], MS);
    assert_eq!(reaps(&book.at(60 * SECOND).looks()), [id[2], id[0]]);
}

#[test]
fn a_failed_start_is_not_repeated_before_its_pause_is_over() {
    let mut book = Book::with(&[Version { min: 1, ..version() }]);
    let actions = book.fails(1, 1, "crashed");
    assert_eq!(hatches(&actions), [0; 0]);
    assert!(matches!(
        &actions[0],
        Action::Bar { bar: Some(Bar::BackingOff { reason: "crashed", .. }), .. }
    ));
    assert_eq!(book.next_look(), Some(100 * MS));
    assert_eq!(hatches(&book.at(100 * MS - MS).looks()), [0; 0]);
    let actions = book.at(100 * MS).looks();
    assert_eq!(hatches(&actions), [2]);
    assert!(actions.contains(&Action::Bar { key: VersionKey(1), bar: None }));
}

#[test]
fn who_waits_hears_of_a_failure_only_when_no_other_sandbox_can_serve() {
    let mut book = Book::with(&[version()]);
    let ids = hatches(&book.waiting(1, 2).looks());
    assert_eq!(refusals(&book.fails(1, ids[0], "crashed")), [] as [&SlotRefused; 0]);
    let actions = book.fails(1, ids[1], "crashed");
    assert!(matches!(refusals(&actions)[..], [SlotRefused::StartFailed { reason: "crashed", .. }]));
}

#[test]
fn the_first_death_is_made_good_at_once_and_the_second_after_a_pause() {
    let mut book = Book::with(&[version()]);
    let die = |id| Event::Exited { key: VersionKey(1), id: SandboxId(id), exit: Exit::Code(1) };
    let first = book.open(1, 1)[0];
    let actions = book.waiting(1, 1).happens(die(first));
    assert!(matches!(actions[0], Action::Gone { ended: Ended::Died, .. }));
    let second = hatches(&actions)[0];
    book.waiting(1, 0).happens(Event::Hatched { key: VersionKey(1), id: SandboxId(second) });
    let actions = book.waiting(1, 1).happens(die(second));
    // Who waits goes on waiting: requests that did no wrong are not refused.
    assert_eq!((hatches(&actions), refusals(&actions)), (vec![], vec![]));
    assert_eq!(book.next_look(), Some(100 * MS));
    assert_eq!(hatches(&book.at(100 * MS).looks()).len(), 1);
}

#[test]
fn newcomers_are_not_turned_away_while_a_sandbox_serves_or_for_a_failure_that_was_mended() {
    let mut book = Book::with(&[version()]);
    let is_bar = |action: &Action| matches!(action, Action::Bar { .. });
    let serves = book.open(1, 1)[0];
    let grows = hatches(&book.busy(1, serves, 1).waiting(1, 1).looks())[0];
    assert!(!book.fails(1, grows, "crashed").iter().any(is_bar));
    book.at(SECOND);
    let mended = hatches(&book.looks())[0];
    book.waiting(1, 0).happens(Event::Hatched { key: VersionKey(1), id: SandboxId(mended) });
    for id in [serves, mended] {
        let exit = Exit::Code(1);
        let died = Event::Exited { key: VersionKey(1), id: SandboxId(id), exit };
        assert!(!book.happens(died).iter().any(is_bar), "they wait for the successor");
    }
}

fn used(mib: u64) -> Used {
    Used { memory_bytes: mib * MIB, pids: 1 }
}

/// Room for this many sandboxes of [`version`], which are charged what they reserve.
fn room_for(sandboxes: u64) -> Book {
    let config = config();
    let memory_bytes = sandboxes * version().resources.memory_bytes;
    Book::with_config(PoolConfig { budget: Budget { memory_bytes, ..config.budget }, ..config })
}

#[test]
fn room_is_made_by_the_idlest_sandbox_of_the_version_with_the_most_spare_ones() {
    let mut book = room_for(5);
    let kept = Version { min: 1, ..version() };
    book.serve(&[version(), version(), kept, version()]);
    let (one, two, three) = (book.open(1, 2), book.open(2, 1), book.state.next_sandbox - 1);
    assert_eq!(three, 4, "min of the third was hatched at the beginning");
    book.happens(Event::Hatched { key: VersionKey(3), id: SandboxId(1) });
    let four = book.open(4, 1)[0];
    book.busy(4, four, 1).idle(3, 1, MS).idle(2, two[0], 2 * MS);
    book.idle(1, one[0], 9 * MS).idle(1, one[1], 8 * MS);
    let actions = book.at(10 * MS).waiting(4, 2).looks();
    // One of the first, then there are two versions with one spare each, and the second's is idler.
    assert_eq!((reaps(&actions), hatches(&actions)), (vec![one[1], two[0]], vec![]));
    // Both are promised already: looking again ends nobody else.
    book.see(1, one[1], Phase::Draining { in_flight: 0 }).see(
        2,
        two[0],
        Phase::Draining { in_flight: 0 },
    );
    assert_eq!(reaps(&book.looks()), [0; 0]);
    let exit = Exit::Signal(15);
    let gone = Event::Exited { key: VersionKey(1), id: SandboxId(one[1]), exit };
    assert_eq!(hatches(&book.happens(gone)).len(), 1);
}

#[test]
fn who_has_no_sandbox_and_finds_no_room_hears_so_when_patience_is_over() {
    let mut book = room_for(1);
    book.serve(&[version(), version()]);
    let id = book.open(1, 1)[0];
    book.busy(1, id, 1);
    assert_eq!(refusals(&book.waiting(2, 1).looks()), [] as [&SlotRefused; 0]);
    assert_eq!(book.next_look(), Some(Duration::ZERO), "a measurement is due");
    book.happens(Event::Measured(vec![(VersionKey(1), SandboxId(id), used(100))]));
    assert_eq!(book.next_look(), Some(10 * MS));
    assert_eq!(refusals(&book.at(249 * MS).looks()), [] as [&SlotRefused; 0]);
    let actions = book.at(250 * MS).looks();
    assert!(matches!(refusals(&actions)[..], [SlotRefused::NoRoom { what: "memory", .. }]));
    // The first version's own waiter may still get the slot there is.
    assert_eq!(
        refusals(&book.at(9 * SECOND).waiting(1, 1).waiting(2, 0).looks()),
        [] as [&SlotRefused; 0]
    );
}

#[test]
fn an_idle_sandbox_takes_no_processor_time_and_a_busy_one_does() {
    let budget = Budget { cpu_millis: 500, cpu_overcommit_percent: 100, ..config().budget };
    let mut book = Book::with_config(PoolConfig { budget, ..config() });
    book.serve(&[version(), version()]);
    let id = book.open(1, 1)[0];
    assert_eq!(hatches(&book.busy(1, id, 1).waiting(2, 1).looks()), [0; 0]);
    let actions = book.at(250 * MS).looks();
    assert!(matches!(refusals(&actions)[..], [SlotRefused::NoRoom { what: "cpu", .. }]));
    let since_t0 = 250 * MS;
    assert_eq!(hatches(&book.idle(1, id, since_t0).waiting(2, 1).looks()).len(), 1);
}

#[test]
fn a_guess_about_the_future_ends_nobody() {
    let mut book = room_for(3);
    book.serve(&[version(), version()]);
    let (busy, idle) = (book.open(1, 2), book.open(2, 1)[0]);
    book.idle(2, idle, MS).busy(1, busy[0], 1).busy(1, busy[1], 1);
    let actions = book.looks();
    assert_eq!((hatches(&actions), reaps(&actions)), (vec![], vec![]));
}

#[test]
fn pressure_ends_idle_sandboxes_down_to_the_low_mark() {
    let mut book = Book::with_config(PoolConfig {
        budget: Budget { memory_bytes: 1000 * MIB, ..config().budget },
        ..config()
    });
    book.serve(&[version()]);
    let ids = book.open(1, 4);
    for (n, id) in (1..).zip(&ids) {
        book.idle(1, *id, n * MS);
    }
    let uses = |mib: u64| {
        let use_of = |id: &u64| (VersionKey(1), SandboxId(*id), used(mib));
        Event::Measured(ids.iter().map(use_of).collect())
    };
    assert_eq!(reaps(&book.happens(uses(225))), [0; 0]);
    assert_eq!(reaps(&book.happens(uses(226))), [ids[0]]);
}

#[test]
fn a_retired_version_hatches_for_who_waits_and_is_forgotten_at_its_end() {
    let mut book = Book::with(&[version()]);
    let retired = vec![VersionKey(1)];
    let actions =
        book.waiting(1, 1).happens(Event::Catalog { known: vec![], adopted: vec![], retired });
    assert_eq!(hatches(&actions), [1]);
    assert!(actions.contains(&Action::Bar { key: VersionKey(1), bar: Some(Bar::Retired) }));
    book.waiting(1, 0).busy(1, 1, 1);
    let close = Action::Close { key: VersionKey(1), id: SandboxId(1) };
    assert!(book.looks().contains(&close));
    book.see(1, 1, Phase::Draining { in_flight: 0 }).looks();
    let exit = Exit::Code(0);
    let actions = book.happens(Event::Exited { key: VersionKey(1), id: SandboxId(1), exit });
    let (key, ended) = (VersionKey(1), Ended::Asked(ReapWhy::Retired));
    assert_eq!(
        actions,
        [Action::Gone { key, id: SandboxId(1), ended, exit }, Action::Forget { key }]
    );
}

#[test]
fn nothing_of_a_retired_version_ends_before_newcomers_are_turned_away() {
    let mut book = Book::with(&[Version { max: 1, ..version() }, version()]);
    let id = book.open(1, 1)[0];
    book.busy(1, id, 1);
    let retired = vec![VersionKey(1), VersionKey(2)];
    // While this is carried out, a request that was not seen may join the line.
    let actions = book.happens(Event::Catalog { known: vec![], adopted: vec![], retired });
    let bar = |key| Action::Bar { key: VersionKey(key), bar: Some(Bar::Retired) };
    assert!(actions.contains(&bar(1)) && actions.contains(&bar(2)));
    assert!(
        !actions
            .iter()
            .any(|action| matches!(action, Action::Close { .. } | Action::Forget { .. }))
    );
    let actions = book.waiting(1, 1).waiting(2, 1).looks();
    assert_eq!(hatches(&actions).len(), 1, "for the second, which has no sandbox");
    let close = Action::Close { key: VersionKey(1), id: SandboxId(id) };
    assert!(book.waiting(1, 0).looks().contains(&close));
}

#[test]
fn a_drain_ends_at_its_limit_whatever_still_runs() {
    let mut book = Book::with(&[Version { max: 1, ..version() }]);
    let id = book.open(1, 1)[0];
    book.busy(1, id, 1).waiting(1, 1).happens(Event::Drain);
    assert_eq!(refusals(&book.at(25 * SECOND - MS).looks()), [] as [&SlotRefused; 0]);
    let actions = book.at(25 * SECOND).looks();
    assert_eq!(refusals(&actions), [&SlotRefused::Draining]);
    assert!(actions.contains(&Action::Kill { key: VersionKey(1), id: SandboxId(id) }));
    assert!(!book.state.is_over(book.now));
    // A process that outlives even that does not keep the node up.
    let end = book.t0 + 30 * SECOND;
    assert!(book.state.is_over(end));
}

/// Version 1 goes by a share from now on.
fn share(book: &mut Book, keep: u32, most: Option<u32>) -> Vec<Action> {
    let share = Share { keep, most, ..Share::default() };
    book.happens(Event::Shares(vec![(VersionKey(1), Some(share))]))
}

#[test]
fn by_a_plan_so_many_are_kept_ready_and_no_more_than_it_gives() {
    let mut book = Book::with(&[Version { concurrency: 1, min: 1, max: 4, ..version() }]);
    let ids = hatches(&share(&mut book, 3, None));
    assert_eq!(ids.len(), 2, "one was kept before");
    for id in 1..=3 {
        book.happens(Event::Hatched { key: VersionKey(1), id: SandboxId(id) });
    }
    let later = Duration::from_secs(3600);
    assert_eq!(reaps(&book.at(later).looks()), [0; 0], "all three are kept");
    assert_eq!(hatches(&share(&mut book, 9, None)).len(), 1, "one node has four at most");
    book.happens(Event::Hatched { key: VersionKey(1), id: SandboxId(4) });
    let actions = share(&mut book, 2, Some(4));
    assert_eq!(hatches(&actions), [0; 0]);
    assert_eq!(reaps(&actions).len(), 2, "those beyond what is kept were idle for long");
    assert_eq!(hatches(&book.happens(Event::Shares(vec![(VersionKey(1), None)]))), [0; 0]);
}

#[test]
fn what_a_plan_gives_to_others_ends_the_idlest_first_and_nothing_that_runs_is_cut() {
    let mut book = Book::with(&[Version { concurrency: 2, max: 3, ..version() }]);
    assert_eq!(book.open(1, 3), [1, 2, 3]);
    book.idle(1, 1, SECOND).idle(1, 2, Duration::ZERO).busy(1, 3, 1);
    assert_eq!(reaps(&share(&mut book, 0, Some(2))), [2]);
    let actions = share(&mut book, 0, Some(0));
    assert_eq!(reaps(&actions), [1]);
    assert!(actions.contains(&Action::Close { key: VersionKey(1), id: SandboxId(3) }));
    book.see(1, 3, Phase::Draining { in_flight: 1 });
    let ends = |actions: &[Action]| {
        actions.contains(&Action::Terminate { key: VersionKey(1), id: SandboxId(3) })
    };
    assert!(!ends(&book.looks()), "it runs something");
    book.see(1, 3, Phase::Draining { in_flight: 0 });
    assert!(ends(&book.looks()));
}

#[test]
fn where_a_plan_gives_nothing_who_comes_is_sent_elsewhere_at_once() {
    let mut book = Book::with(&[Version { concurrency: 1, max: 4, ..version() }]);
    book.waiting(1, 2);
    let actions = share(&mut book, 0, Some(0));
    assert_eq!(hatches(&actions), [0; 0]);
    assert!(actions.contains(&Action::Bar { key: VersionKey(1), bar: Some(Bar::Elsewhere) }));
    assert_eq!(refusals(&actions), [&SlotRefused::Saturated]);
    let actions = share(&mut book, 0, Some(1));
    assert!(actions.contains(&Action::Bar { key: VersionKey(1), bar: None }));
    assert_eq!(hatches(&book.waiting(1, 2).looks()).len(), 1);
}
