//! Hostile clients against the real programs: memory stays bounded, what runs stays bounded, and an honest client is
//! answered all the while.
//!
//! [`frames`] writes HTTP/2 by hand, [`floods`] are the attacks.

mod floods;
mod frames;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use hatchway_tests::{PUPPET, Project, Up, eventually, puppet, skipped};

/// What the peak of the daemon may grow by under any of the attacks here. Sixteen connections with all that they may
/// make it keep (windows of 1 MiB, heads of 64 KiB, 100 streams of 128 KiB) would be 230 MiB; none reaches a half of it.
const GROWTH_BYTES: u64 = 128 * 1024 * 1024;

/// Attackers at a time.
const ATTACKERS: usize = 16;

/// One function that is attacked, and one that honest clients ask: whoever holds the slots of a function, and be it by a
/// body that comes byte by byte, holds those of no other.
fn project() -> Project {
    let functions =
        puppet("puppet", "max = 2\nconcurrency = 16\n") + &puppet("honest", "max = 1\n");
    Project::new(&functions).file("puppet.mjs", PUPPET)
}

/// The most that the daemon has ever had in memory (proc_pid_status(5)).
fn peak_bytes(up: &Up) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", up.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("Linux tells") * 1024
}

/// Runs `attack` while an honest client asks, one request after the other, each on a connection of its own.
fn under(up: &Up, name: &str, attack: impl FnOnce() + Send) {
    let is_over = AtomicBool::new(false);
    let answered = std::thread::scope(|scope| {
        scope.spawn(|| {
            attack();
            is_over.store(true, Ordering::Release);
        });
        let mut answered = 0;
        while !is_over.load(Ordering::Acquire) || answered == 0 {
            up.client().get("/honest").ok();
            assert_eq!(up.admin.get("/healthz").status, 200, "{name}");
            answered += 1;
        }
        answered
    });
    println!("{name}: {answered} honest requests answered meanwhile");
}

/// Nothing of an attack is left, and it never took more than it may.
fn assert_calm(up: &Up, name: &str, peak_before: u64) {
    up.admin.wait_in_flight("puppet", 0);
    eventually("the end of the attackers' connections", || {
        (up.admin.metrics().sum("gateway_connections", &[]) <= 1.0).then_some(())
    });
    let grown = peak_bytes(up).saturating_sub(peak_before);
    println!("{name}: {} KiB more at the peak", grown / 1024);
    assert!(grown < GROWTH_BYTES, "{name}: {grown} bytes more at the peak");
}

#[test]
fn floods_of_frames_cost_no_memory_and_keep_nobody_waiting() {
    let project = project();
    let up = Up::start(&project);
    up.get("/puppet").ok();
    up.get("/honest").ok();
    let before = peak_bytes(&up);
    for flood in floods::ALL {
        under(&up, flood.name, || {
            std::thread::scope(|scope| {
                for _ in 0..ATTACKERS {
                    scope.spawn(|| floods::run(flood, up.address));
                }
            });
        });
        assert_calm(&up, flood.name, before);
    }
    up.stop();
}

#[test]
fn slow_heads_bodies_and_readers_cost_no_memory_and_keep_nobody_waiting() {
    if Command::new("slowhttptest").arg("-h").stdout(Stdio::null()).status().is_err() {
        return skipped("slow clients", "slowhttptest");
    }
    let project = project();
    let up = Up::start(&project);
    up.get("/puppet").ok();
    up.get("/honest").ok();
    let before = peak_bytes(&up);
    let url = format!("http://{}/puppet", up.address);
    let modes: [(&str, &[&str]); 3] = [
        ("slow heads", &["-H"]),
        ("slow bodies", &["-B", "-s", "100000"]),
        ("slow readers", &["-X", "-w", "1", "-y", "2", "-n", "5", "-z", "1", "-k", "10"]),
    ];
    for (name, mode) in modes {
        under(&up, name, || {
            let mut command = Command::new("slowhttptest");
            command.args(mode).args(["-c", "500", "-r", "250", "-i", "1", "-l", "10", "-u", &url]);
            let output = command.output().expect("it starts");
            // It ends with 0 or with what it thinks of the server; its own mistakes are told.
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.trim().is_empty(), "{said}");
        });
        assert_calm(&up, name, before);
    }
    up.stop();
}
