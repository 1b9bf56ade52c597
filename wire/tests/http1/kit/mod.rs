//! A client, a scripted upstream, and the engine between them, all in one runtime: a test is the only one
//! that moves.

pub(crate) mod clock;
pub(crate) mod peer;
pub(crate) mod scripted;
pub(crate) mod tap;
pub(crate) mod world;

use std::future::Future;
use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

pub(crate) use clock::Still;
pub(crate) use peer::{Message, Peer};
pub(crate) use scripted::Event;
pub(crate) use tap::Tap;
pub(crate) use world::World;

/// Longer than any test takes on a busy machine; a test that hangs should say so.
const GUARD: Duration = Duration::from_secs(120);

/// Runs a test on a core of its own.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let (over, is_over) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        if is_over.recv_timeout(GUARD) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Not by `eprintln`, which is kept until the test ends.
            let _ = writeln!(std::io::stderr(), "{name} hangs");
            std::process::abort();
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    let result = tokio::task::LocalSet::new().block_on(&runtime, test);
    drop(over);
    result
}
