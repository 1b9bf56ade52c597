//! What holds for any bytes, as a function that property tests and a fuzz target share.

use std::path::{Component, Path};

use super::order::Order;
use super::packet::{decode, encode};
use super::plan::Report;
use super::zygote::Answer;
use crate::spec::SandboxSpec;

/// Claims about what others send to the spawner, the first byte being how many descriptors come along. What a node sends
/// is refused, or is an order that is read as it was written and names nothing that could be a way out. What a sandbox
/// sends is refused, or read as it was written.
pub fn spawner_packets(data: &[u8]) {
    let Some((descriptors, bytes)) = data.split_first() else { return };
    let descriptors = usize::from(*descriptors % 40);
    if let Ok(order) = Order::read(bytes, descriptors) {
        look(&order);
        let again = encode(&order).expect("what fitted a packet does so again");
        assert_eq!(Order::read(&again, descriptors).expect("it was an order"), order);
        assert!(Order::read(&again, descriptors + 1).is_err(), "one descriptor more");
    }
    if let Ok(report) = decode::<Report>(bytes) {
        let again = encode(&report).expect("it fits");
        assert_eq!(decode::<Report>(&again).expect("it was a report"), report);
    }
    if let Ok(answer) = decode::<Answer>(bytes) {
        let again = encode(&answer).expect("it fits");
        assert_eq!(decode::<Answer>(&again).expect("it was an answer"), answer);
    }
}

fn look(order: &Order) {
    match order {
        Order::Hatch { spec, .. } | Order::Zygote { spec, .. } | Order::Stem { spec, .. } => {
            look_at_spec(spec);
        }
        Order::Go { sandbox, .. } => assert!(!sandbox.contains(['/', '\0']), "{sandbox:?}"),
        Order::LimitCpu { cpu_millis, .. } => assert!((10..=1_024_000).contains(cpu_millis)),
        Order::Keep { record, .. } => assert!(record.len() <= 1024),
        Order::Park { .. }
        | Order::Serves { .. }
        | Order::Farewell
        | Order::HandOver
        | Order::Terminate { .. }
        | Order::Kill { .. }
        | Order::Connect { .. }
        | Order::Stop => {}
    }
}

/// In other words than those of its own check.
fn look_at_spec(spec: &SandboxSpec) {
    let goes_down = |path: &Path| {
        path.is_absolute()
            && !path.components().any(|part| part == Component::ParentDir)
            && !path.as_os_str().as_encoded_bytes().contains(&0)
    };
    assert!(goes_down(&spec.package), "{:?}", spec.package);
    for (host, inside) in &spec.read_only {
        assert!(goes_down(host) && goes_down(inside), "{host:?} at {inside:?}");
        let first = inside.components().nth(1).map(Component::as_os_str);
        let ours = ["app", "dev", "etc", "proc", "run", "sys", "tmp"];
        let first = first.expect("not the root itself").to_str().expect("it came as text");
        assert!(!ours.contains(&first), "{inside:?}");
    }
    assert!(spec.read_only.len() <= 16 && !spec.argv.is_empty());
    assert!(spec.pids > 0 && spec.pids <= 32_768 && spec.files <= 1 << 20);
    assert!(spec.memory_bytes <= 1 << 40 && spec.tmp_bytes <= 1 << 40);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_kept_input_breaks_a_claim() {
        hatchway_proto::corpus::replay("spawner_packets", spawner_packets);
    }

    /// A packet that is an order, but for a piece of it.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        const GOOD: &str = r#"{"hatch":{"spec":{"id":1,"name":"a","argv":["x"],"env":[],"package":"/p",
            "read_only":[["/opt","/opt"]],"memory_bytes":67108864,"cpu_millis":500,"pids":8,"files":64,
            "tmp_bytes":0,"network":"None","entry":"Inherited"},"decided_ns":1,"stem":2}}"#;
        let piece = prop_oneof![
            Just("/../"),
            Just("/"),
            Just("/etc"),
            Just("-1"),
            Just("0"),
            Just("\\u0000"),
            Just("18446744073709551615"),
            Just("null"),
            Just("{}"),
            Just("\"\""),
        ];
        (0..GOOD.len(), 0usize..12, piece).prop_map(|(at, length, piece)| {
            let end = (at + length).min(GOOD.len());
            let text = [&GOOD[..at], piece, &GOOD[end..]].concat();
            [&[4], text.as_bytes()].concat()
        })
    }

    proptest! {
        #[test]
        fn no_bytes_break_a_claim(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            spawner_packets(&bytes);
        }

        #[test]
        fn no_order_with_a_piece_changed_breaks_a_claim(bytes in nearly()) {
            spawner_packets(&bytes);
        }
    }
}
