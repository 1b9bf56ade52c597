//! What a node may ask of its spawner.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::packet;
use crate::spec::{Entry, Isolation, SandboxSpec};

/// Raised whenever a packet changes its meaning: a spawner of an earlier build serves no node of a later one.
pub(crate) const FORMAT: u32 = 2;

/// The first packet on the socket: what the spawner is to work with, sent before the node
/// drops its privileges and never changed after. A node that comes later has to [ask for as much](Charter::covers).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Charter {
    pub(crate) format: u32,
    pub(crate) init: PathBuf,
    pub(crate) run_dir: PathBuf,
    pub(crate) cgroup_name: String,
    pub(crate) isolation: Isolation,
    pub(crate) uid_base: u32,
    /// Below these lies everything that may be mounted into a sandbox.
    pub(crate) mounts: Vec<PathBuf>,
    /// How long sandboxes outlive a node that goes without a word, for the next one to adopt, in milliseconds.
    pub(crate) orphan_ms: u64,
}

impl Charter {
    /// Whether a spawner that works by this one can serve a node that asks for `heir`. The program that isolates is
    /// the one that came with the spawner, and the first node has said how long to wait.
    ///
    /// # Errors
    /// What is not the same, in words.
    pub(crate) fn covers(&self, heir: &Self) -> Result<(), String> {
        if self.format != heir.format {
            return Err(format!("packets of format {}, not {}", self.format, heir.format));
        }
        if self.run_dir != heir.run_dir || self.cgroup_name != heir.cgroup_name {
            return Err("another state folder".to_owned());
        }
        if self.isolation != heir.isolation || self.uid_base != heir.uid_base {
            return Err("another isolation".to_owned());
        }
        if heir.orphan_ms == 0 {
            return Err("nothing is to be adopted".to_owned());
        }
        let may_be_mounted =
            |path: &&PathBuf| self.mounts.iter().any(|base| path.starts_with(base));
        match heir.mounts.iter().find(|path| !may_be_mounted(path)) {
            Some(path) => Err(format!("{} could not be mounted", path.display())),
            None => Ok(()),
        }
    }
}

/// One order. Those that name an id are ignored when it is not, or no longer, there: the
/// sandbox may have ended while the order was on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Order {
    /// Beside it: standard output, standard error, and for an inherited entry the listener
    /// and the writing end of the ready pipe.
    Hatch {
        spec: Box<SandboxSpec>,
        /// When the node decided, by the monotonic clock, in nanoseconds.
        decided_ns: u64,
        /// The id of the stem cell that is to become it, which has ended as one by that; none for a new process.
        stem: Option<u64>,
    },
    /// Makes a stem cell: answered like `Hatch`; that it has booted is its own word, on its ready pipe. Its package is ours,
    /// nothing of a tenant's. Beside it: as for `Zygote`.
    Stem {
        spec: Box<SandboxSpec>,
        decided_ns: u64,
    },
    /// Makes a zygote: answered like `Hatch`; that it can be forked is its own word, on its
    /// ready pipe. Beside it: standard output, standard error, the writing end of that pipe.
    Zygote {
        spec: Box<SandboxSpec>,
        decided_ns: u64,
    },
    /// Forks a sandbox from a zygote and parks it: answered like `Hatch`, once it is parked.
    /// Beside it: as for `Hatch` with an inherited entry.
    Park {
        id: u64,
        /// The id of the zygote.
        zygote: u64,
        decided_ns: u64,
    },
    /// Lets a parked sandbox serve, by this name.
    Go {
        id: u64,
        sandbox: String,
    },
    Terminate {
        id: u64,
    },
    /// Of a zygote it ends the zygote itself and what is parked, not what serves.
    Kill {
        id: u64,
    },
    /// Changes the limit of processor time, in thousandths of a core.
    LimitCpu {
        id: u64,
        cpu_millis: u32,
    },
    /// Gives the spawner what the next node would need to adopt this sandbox: its output, and what the node calls it,
    /// in words of the node's own. Beside it: the reading ends of standard output and standard error.
    Keep {
        id: u64,
        record: String,
    },
    /// It serves: it is worth adopting. `door` is where a probed one has answered.
    Serves {
        id: u64,
        door: Option<Door>,
    },
    /// Asks for a connection to a probed function; `call` returns with the answer.
    Connect {
        id: u64,
        call: u64,
        door: Door,
    },
    /// No other node will come: once this one is gone, everything ends.
    Farewell,
    /// Another node commands from now on: as if this one had gone without a word. Nothing follows on this socket.
    HandOver,
    Stop,
}

/// What a sandbox may be called: `sb-7`, and whatever a node may come to say instead.
const MAX_NAME_BYTES: usize = 64;
/// What a node may write down about a sandbox.
const MAX_RECORD_BYTES: usize = 1024;

/// The two places where a probed function may listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// Its socket in the private folder.
    Unix,
    /// Its port on the loopback.
    Tcp,
}

impl Order {
    /// Reads an order and checks it against what a node may ask: `descriptors` is how many
    /// came along.
    ///
    /// # Errors
    /// `InvalidData`, with what is wrong. A node that sends such an order is broken or taken
    /// over, so the spawner answers by ending everything.
    pub(crate) fn read(bytes: &[u8], descriptors: usize) -> io::Result<Self> {
        let order: Self = packet::decode(bytes)?;
        let wanted = match &order {
            Self::Hatch { spec, stem, .. } => {
                spec.check().map_err(invalid)?;
                if stem.is_some() && spec.entry != Entry::Inherited {
                    return Err(invalid("a stem cell opens no door"));
                }
                match spec.entry {
                    Entry::Inherited => 4,
                    Entry::Probed { .. } => 2,
                }
            }
            Self::Zygote { spec, .. } | Self::Stem { spec, .. } => {
                spec.check().map_err(invalid)?;
                if spec.entry != Entry::Inherited {
                    return Err(invalid("what waits for its start opens no door"));
                }
                3
            }
            Self::Park { .. } => 4,
            Self::Go { sandbox, .. } => {
                check_name(sandbox)?;
                0
            }
            Self::LimitCpu { cpu_millis, .. } => {
                SandboxSpec::check_cpu(*cpu_millis).map_err(invalid)?;
                0
            }
            Self::Keep { record, .. } => {
                if record.len() > MAX_RECORD_BYTES {
                    return Err(invalid(format!("a record of {} bytes", record.len())));
                }
                2
            }
            Self::Terminate { .. }
            | Self::Kill { .. }
            | Self::Serves { .. }
            | Self::Connect { .. }
            | Self::Farewell
            | Self::HandOver
            | Self::Stop => 0,
        };
        if descriptors != wanted {
            return Err(invalid(format!("{descriptors} descriptors, not {wanted}")));
        }
        Ok(order)
    }
}

fn check_name(name: &str) -> io::Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(invalid(format!("{name:?} is no name for a sandbox")))
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use proptest::strategy::ValueTree;

    use super::*;
    use crate::spec::Network;

    fn specs() -> impl Strategy<Value = SandboxSpec> {
        let words = proptest::collection::vec("[^\0]{1,40}", 1..8);
        let variables = proptest::collection::vec(("[A-Z_]{1,12}", "[^\0]{0,40}"), 0..8);
        let path = "(/[a-z0-9.]{0,2}[a-z]{1,8}){1,4}";
        let entry =
            prop_oneof![Just(Entry::Inherited), (1u16..).prop_map(|port| Entry::Probed { port }),];
        let network = prop_oneof![Just(Network::None), Just(Network::Proxied), Just(Network::Open)];
        let numbers = (1u64..1 << 50, 4u64 << 20..1 << 40, 10u32..1_024_000, 1u32..32_768);
        (words, variables, path, numbers, network, entry).prop_map(
            |(argv, env, package, (id, memory_bytes, cpu_millis, pids), network, entry)| {
                SandboxSpec {
                    id,
                    name: "acme/hello@1".into(),
                    argv,
                    env,
                    package: package.into(),
                    read_only: vec![("/opt/node".into(), "/opt/node".into())],
                    memory_bytes,
                    cpu_millis,
                    pids,
                    files: 64,
                    tmp_bytes: 1 << 20,
                    network,
                    entry,
                }
            },
        )
    }

    fn hatch(spec: SandboxSpec) -> (Order, usize) {
        let descriptors = if spec.entry == Entry::Inherited { 4 } else { 2 };
        (Order::Hatch { spec: Box::new(spec), decided_ns: 7, stem: None }, descriptors)
    }

    proptest! {
        #[test]
        fn an_order_is_read_as_it_was_written(spec in specs()) {
            let (order, descriptors) = hatch(spec);
            let bytes = packet::encode(&order).expect("fits a packet");
            prop_assert_eq!(Order::read(&bytes, descriptors).expect("reads"), order);
        }

        #[test]
        fn a_wrong_number_of_descriptors_is_refused(spec in specs(), wrong in 0usize..40) {
            let (order, descriptors) = hatch(spec);
            prop_assume!(wrong != descriptors);
            let bytes = packet::encode(&order).expect("fits a packet");
            prop_assert!(Order::read(&bytes, wrong).is_err());
        }

        /// What is read passes the check, whatever was done to the bytes on the way.
        #[test]
        fn a_changed_byte_never_gets_past_the_check(
            spec in specs(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let (order, descriptors) = hatch(spec);
            let mut bytes = packet::encode(&order).expect("fits a packet");
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(Order::Hatch { spec, .. }) = Order::read(&bytes, descriptors) {
                prop_assert_eq!(spec.check(), Ok(()));
            }
        }

        #[test]
        fn any_bytes_are_an_answer_and_not_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            prop_assert!(Order::read(&bytes, 0).is_err());
        }
    }

    #[test]
    fn a_zygote_is_checked_like_any_sandbox_and_opens_no_door() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let mut spec = specs().new_tree(&mut runner).expect("a specification").current();
        spec.entry = Entry::Inherited;
        let read = |spec: &SandboxSpec| {
            let order = Order::Zygote { spec: Box::new(spec.clone()), decided_ns: 7 };
            Order::read(&packet::encode(&order).expect("fits a packet"), 3)
        };
        read(&spec).expect("an order");
        assert!(read(&SandboxSpec { pids: 0, ..spec.clone() }).is_err(), "no process");
        assert!(read(&SandboxSpec { entry: Entry::Probed { port: 80 }, ..spec }).is_err());
    }

    #[test]
    fn a_spawner_serves_a_node_that_asks_for_no_more_than_the_one_before() {
        let charter = Charter {
            format: FORMAT,
            init: "/old/init".into(),
            run_dir: "/state/run".into(),
            cgroup_name: "hatchway-a".into(),
            isolation: Isolation::Strict,
            uid_base: 7,
            mounts: vec!["/state".into(), "/opt".into()],
            orphan_ms: 10_000,
        };
        let heir = Charter { init: "/new/init".into(), orphan_ms: 1, ..charter.clone() };
        let below = Charter { mounts: vec!["/opt/node".into()], ..heir.clone() };
        assert_eq!((charter.covers(&heir), charter.covers(&below)), (Ok(()), Ok(())));
        for other in [
            Charter { format: FORMAT + 1, ..heir.clone() },
            Charter { run_dir: "/other/run".into(), ..heir.clone() },
            Charter { cgroup_name: "hatchway-b".into(), ..heir.clone() },
            Charter { isolation: Isolation::BestEffort, ..heir.clone() },
            Charter { uid_base: 8, ..heir.clone() },
            Charter { mounts: vec!["/etc".into()], ..heir.clone() },
            Charter { orphan_ms: 0, ..heir.clone() },
        ] {
            assert!(charter.covers(&other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn a_record_is_short_and_comes_with_two_pipes() {
        let keep = |record: &str| Order::Keep { id: 7, record: record.to_owned() };
        let bytes = packet::encode(&keep("hello")).expect("fits a packet");
        assert_eq!(Order::read(&bytes, 2).expect("an order"), keep("hello"));
        assert!(Order::read(&bytes, 1).is_err());
        let long = packet::encode(&keep(&"x".repeat(1025))).expect("fits a packet");
        assert!(Order::read(&long, 2).is_err());
    }

    #[test]
    fn what_a_node_may_not_ask_is_refused() {
        for text in [
            r#"{"kill":{"id":1,"signal":9}}"#,
            r#"{"kill":{"id":-1}}"#,
            r#"{"kill":{}}"#,
            r#"{"mount":{"path":"/"}}"#,
            r#"{"limit_cpu":{"id":1,"cpu_millis":0}}"#,
            r#""stop" "stop""#,
            r#"{"connect":{"id":1,"call":1,"door":"udp"}}"#,
            r#"{"go":{"id":1,"sandbox":""}}"#,
            r#"{"go":{"id":1,"sandbox":"sb-1\nsb-2"}}"#,
            r#"{"park":{"id":1,"zygote":2,"decided_ns":0}}"#,
        ] {
            assert!(Order::read(text.as_bytes(), 0).is_err(), "{text}");
        }
        assert_eq!(Order::read(br#""stop""#, 0).expect("an order"), Order::Stop);
        assert!(Order::read(br#""stop""#, 1).is_err(), "nothing comes with it");
    }
}
