//! Limits hold for each child by itself.

use hatchway_sandbox::{ExitKind, SandboxSpec};

use crate::common::unique;
use crate::kit::{Nursery, call, child, json, within};

const GREEDY: &str = "
import os, threading
kept = []
def main(ctx, query=None):
    if query is None:
        return os.getpid()
    if 'memory' in query:
        while True:
            kept.append(bytearray(1 << 20))
    started = 0
    try:
        for _ in range(1000):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            started += 1
    except RuntimeError:
        pass
    return started
";

#[tokio::test]
async fn a_memory_hog_among_siblings_dies_alone() {
    let Some(nursery) = Nursery::open(GREEDY) else { return };
    let spec = SandboxSpec { id: unique(), memory_bytes: 64 << 20, ..nursery.spec.clone() };
    let zygote = nursery.house.spawner.zygote(spec).await.unwrap();
    within("its word", zygote.ready()).await.unwrap();
    let (hog, other) = (child(&zygote).await, child(&zygote).await);
    let pid = json(&other, "/").await;
    let mut connection = hog.connect().await.unwrap();
    let request = b"GET /?memory=1 HTTP/1.1\r\nhost: tested\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut connection, request).await.unwrap();
    let exit = within("the hog's end", hog.exited()).await;
    assert_eq!(exit.kind, ExitKind::OutOfMemory, "{exit}");
    assert_eq!(json(&other, "/").await, pid);
    let next = child(&zygote).await;
    json(&next, "/").await;
}

#[tokio::test]
async fn each_child_may_have_as_many_threads_as_its_limit_says() {
    let Some(nursery) = Nursery::open(GREEDY) else { return };
    let zygote = nursery.zygote().await;
    for _ in 0..2 {
        let child = child(&zygote).await;
        let started: u32 = call(&child, "/?threads=1").await.parse().unwrap();
        // Beside the main one and the one that serves.
        assert_eq!(started, nursery.spec.pids - 2);
    }
}

#[tokio::test]
async fn a_child_is_charged_what_it_uses_itself() {
    let code = "
loaded = bytearray(b'x' * (24 << 20))
def main(ctx):
    return len(loaded)
";
    let Some(nursery) = Nursery::open(code) else { return };
    let zygote = nursery.zygote().await;
    let child = child(&zygote).await;
    call(&child, "/").await;
    let (above, own) = (zygote.usage().unwrap(), child.usage().unwrap());
    assert!(above.memory_bytes > 24 << 20, "{above:?}");
    assert!(own.memory_bytes < 12 << 20, "{own:?}");
    assert!(own.cpu > std::time::Duration::ZERO, "{own:?}");
}
