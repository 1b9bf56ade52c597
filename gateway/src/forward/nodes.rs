//! All nodes of one core: how they stand, who is asked for a request, and who is asked next.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hatchway_proto::name::VersionId;
use hatchway_wire::link::{Again, Call, Link, Placer, Security, Settings, Tries, Why};
use hatchway_wire::random::draw;
use hatchway_wire::ticker::Ticker;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::fleet::{Fleet, Member, Members};
use super::slot::{Dialer, SLOW_CONNECT, Slot};
use crate::place::order::rank;
use crate::place::{Because, Board, Group, Pick, Place, RetryBudget, Standing, Tiers};
use crate::spread::spread;

/// Versions whose place is remembered on a core; an order costs a hash a node to make again.
const PLACES: usize = 16 * 1024;

/// How old the board may be: what a node says of its load is older.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// So often all nodes are looked at without a request: who has none is connected to, and who rested is tried.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// Connections begun in one go, before somebody needs them.
const DIALS: usize = 64;

/// All nodes of one core.
#[derive(Debug)]
pub(super) struct Nodes {
    fleet: Fleet,
    view: RefCell<View>,
    retries: Cell<RetryBudget>,
    dialer: Dialer,
}

/// What is known at the moment.
#[derive(Debug, Default)]
struct View {
    /// Of the fleet.
    generation: u64,
    slots: Vec<Rc<Slot>>,
    /// Some nodes are there for a lane.
    has_lanes: bool,
    /// By version and group, with the generation that each has its order from.
    places: HashMap<(VersionId, Group), (u64, Place), RandomState>,
    board: Board,
    look_at: Option<Instant>,
}

impl Nodes {
    pub(super) fn new(
        fleet: &Fleet,
        security: Security,
        ticker: &Ticker,
        settings: Settings,
    ) -> Rc<Self> {
        let this = Rc::new(Self {
            fleet: fleet.clone(),
            view: RefCell::default(),
            retries: Cell::default(),
            dialer: Dialer::new(security, ticker, settings),
        });
        tokio::task::spawn_local(tend(Rc::downgrade(&this)));
        this
    }

    /// The node to ask now, which is put among `tries`; none when nobody is left, or as many have been asked as may.
    pub(super) fn pick(&self, tries: &mut Tries, now: Instant) -> Option<Rc<Slot>> {
        let view = &mut *self.view.borrow_mut();
        if view.look_at.is_none_or(|at| at <= now) {
            view.look(&self.fleet, now);
        }
        let at = (tries.version, view.group(tries));
        let View { slots, places, board, generation, .. } = view;
        if places.len() > PLACES {
            places.clear();
        }
        let (group, has_lanes) = (at.1, view.has_lanes);
        let new = || (*generation, place(&tries.version, (group, has_lanes), slots, now));
        let (of, place) = places.entry(at).or_insert_with(new);
        if *of != *generation {
            let (order, tiers) = order(place.version(), (group, has_lanes), slots);
            place.reorder(order, tiers, now);
            *of = *generation;
        }
        loop {
            let Pick { node, is_choosy, because } = place.pick(board, now, tries.asked(), draw)?;
            let slot = &slots[node];
            if slot.is_leaving() && because != Because::Trial {
                board.put_out(node);
                continue;
            }
            if !tries.ask(node) {
                return None;
            }
            tries.is_choosy = is_choosy && !tries.is_over() && self.retries.get().is_ample();
            return Some(Rc::clone(slot));
        }
    }

    /// A call is offered to the node that was picked last.
    pub(super) fn offered(&self, tries: &Tries) {
        if tries.asked().len() == 1 {
            self.retries.set(self.retries.get().offered());
        }
    }

    /// The link to `slot`, which was picked last; none when it cannot be reached, and then it does not count as asked while
    /// others are there.
    pub(super) async fn reach(&self, slot: &Rc<Slot>, tries: &mut Tries) -> Option<Link> {
        if let Some(link) = slot.link() {
            return Some(link);
        }
        let has_others = self.view.borrow().board.present() > 1;
        let reaching = slot.reach(&self.dialer);
        // The attempt goes on by itself.
        let link = match has_others {
            true => timeout(SLOW_CONNECT, reaching).await.unwrap_or_default(),
            false => reaching.await,
        };
        if link.is_none() {
            let board = &mut self.view.borrow_mut().board;
            if let Some(node) = tries.asked().last()
                && board.standing(*node) != Standing::Out
            {
                board.put_out(*node);
                tries.undo();
            }
        }
        link
    }

    /// The node that a call has gone to, while the link to it is known.
    pub(super) fn name(&self, call: &Call) -> Option<Box<str>> {
        let view = self.view.borrow();
        let slot = view.slots.iter().find(|slot| slot.carries(call))?;
        let name = slot.member.borrow().node.facts.name.clone();
        Some(name)
    }

    /// A node has not taken the call that was offered to it.
    fn not_taken(&self, tries: &Tries, why: Why) {
        let view = &mut *self.view.borrow_mut();
        let at = (tries.version, view.group(tries));
        let View { places, board, .. } = view;
        let Some(node) = tries.asked().last() else { return };
        match why {
            Why::Refused => {
                if let Some((_, place)) = places.get_mut(&at) {
                    place.refused(*node, Instant::now());
                }
            }
            Why::NotSent => board.put_out(*node),
            Why::Moved => {}
        }
    }

    /// Connects to nodes before somebody needs them, and to those whose rest is over.
    fn tend(&self, now: Instant) {
        let view = &mut *self.view.borrow_mut();
        view.look(&self.fleet, now);
        for slot in view.slots.iter().filter(|slot| slot.wants_link(now)).take(DIALS) {
            slot.dial(&self.dialer);
        }
    }
}

/// Looks after the nodes of a core for as long as somebody asks them.
async fn tend(nodes: Weak<Nodes>) {
    let mut ticks = interval(TEND_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(nodes) = nodes.upgrade() else { return };
        nodes.tend(Instant::now());
    }
}

/// What a version is ranked by.
pub(crate) fn key(version: &VersionId) -> u64 {
    spread([version.as_str(), ""])
}

/// A version that is asked for here for the first time.
fn place(
    version: &VersionId,
    (group, has_lanes): (Group, bool),
    slots: &[Rc<Slot>],
    now: Instant,
) -> Place {
    let key = key(version);
    let (order, tiers) = order(key, (group, has_lanes), slots);
    Place::new(key, order, now).within(tiers)
}

fn order(
    key: u64,
    (group, has_lanes): (Group, bool),
    slots: &[Rc<Slot>],
) -> (Box<[usize]>, Option<Tiers>) {
    let members: Vec<_> = slots.iter().map(|slot| Arc::clone(&slot.member.borrow())).collect();
    let present = slots.iter().enumerate().filter(|(_, slot)| !slot.is_gone.get());
    let order = rank(key, present.map(|(node, _)| (node, &members[node].node.facts)), group);
    let facts = members.iter().map(|member| &member.node.facts);
    (order, has_lanes.then(|| Tiers::new(group, facts)))
}

impl View {
    /// Whose nodes a call is for. Where no node is there for a lane, all calls are alike.
    fn group(&self, tries: &Tries) -> Group {
        if self.has_lanes { Group::of_key(tries.lane) } else { Group::BASE }
    }

    /// Works out how all nodes stand.
    fn look(&mut self, fleet: &Fleet, now: Instant) {
        self.look_at = Some(now + LOOK_EVERY);
        let members = fleet.members();
        if members.generation != self.generation {
            self.take_in(&members, now);
        }
        let members: Vec<_> =
            self.slots.iter().map(|slot| Arc::clone(&slot.member.borrow())).collect();
        let seen = self.slots.iter().zip(&members).map(|(slot, member)| {
            (!slot.is_gone.get()).then(|| (&member.node.facts, slot.look(now)))
        });
        self.board.look(seen);
    }

    /// Other nodes are there. Those that stay keep their place, and what they serve.
    fn take_in(&mut self, members: &Members, now: Instant) {
        let joins = (self.generation > 0).then_some(now);
        self.generation = members.generation;
        let is_of_lane = |member: &Arc<Member>| member.node.facts.group() != Group::BASE;
        self.has_lanes = members.list.iter().any(is_of_lane);
        let place_of: HashMap<Box<str>, usize> = (self.slots.iter().enumerate())
            .map(|(at, slot)| (slot.member.borrow().node.facts.name.clone(), at))
            .collect();
        let names: HashSet<&str> = members.list.iter().map(|one| &*one.node.facts.name).collect();
        for slot in &self.slots {
            let stays = names.contains(&*slot.member.borrow().node.facts.name);
            if !stays {
                slot.leave();
            }
        }
        for member in &members.list {
            match place_of.get(&member.node.facts.name) {
                Some(at) => self.slots[*at].is_now(member, now),
                None => self.slots.push(Slot::new(Arc::clone(member), joins)),
            }
        }
    }
}

impl Placer for Nodes {
    fn again(self: Rc<Self>, mut tries: Tries, why: Why) -> Again {
        Box::pin(async move {
            match why {
                // It has not been asked yet, by this name or another.
                Why::Moved => tries.undo(),
                Why::Refused | Why::NotSent => {
                    self.not_taken(&tries, why);
                    self.retries.set(self.retries.get().again()?);
                }
            }
            while let Some(slot) = self.pick(&mut tries, Instant::now()) {
                if let Some(link) = self.reach(&slot, &mut tries).await {
                    return Some((link, tries));
                }
            }
            None
        })
    }
}
