//! Runs a test on a core of its own.

use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

/// Longer than any test takes on a busy machine; a test that hangs should say so.
const GUARD: Duration = Duration::from_secs(120);

/// Everybody in a test shares one runtime: the test is the only one that moves.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let (over, is_over) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        if is_over.recv_timeout(GUARD) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("{name} hangs");
            std::process::abort();
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    let result = tokio::task::LocalSet::new().block_on(&runtime, test);
    drop(over);
    result
}
