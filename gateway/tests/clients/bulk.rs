//! Long bodies in plain text, which go around the memory of gateway and node.

use std::process::Command;

use crate::world::{LARGE, World, output};

fn curl(world: &World, arguments: &[&str], path: &str) -> Vec<u8> {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "60"]).args(arguments);
    output(command.arg(format!("http://{}/site{path}", world.address)), b"").stdout
}

fn large() -> Vec<u8> {
    (0..=250).cycle().take(LARGE).collect()
}

#[test]
fn long_bodies_pass_whole_beside_each_other_and_beside_short_ones() {
    let world = World::start();
    let body = large();
    std::thread::scope(|scope| {
        let long =
            [&["--limit-rate", "20M"][..], &[], &["--limit-rate", "40M"], &[]].map(|arguments| {
                let (world, body) = (&world, &body);
                scope.spawn(move || {
                    let got = curl(world, arguments, "/large");
                    assert!(got == *body, "{arguments:?}: {} bytes", got.len());
                })
            });
        for _ in 0..20 {
            assert_eq!(curl(&world, &[], "/a"), b"hello");
        }
        long.into_iter().for_each(|long| long.join().expect("it was whole"));
    });
}

#[test]
fn a_client_that_leaves_in_a_long_body_takes_nobody_with_it() {
    let world = World::start();
    for _ in 0..10 {
        let script =
            format!("curl -sS http://{}/site/large | head -c 300000 | wc -c", world.address);
        let got = output(Command::new("sh").args(["-c", &script]), b"");
        assert_eq!(String::from_utf8_lossy(&got.stdout).trim(), "300000");
        assert_eq!(curl(&world, &[], "/a"), b"hello");
    }
    assert!(curl(&world, &[], "/large") == large());
}
