//! What siblings share, and what they must not: random numbers, signals, memory.

use serde_json::{Value, json};

use crate::kit::{Nursery, child, json};

/// Drawn at load as well, so that a generator that was copied with its state is caught.
const DRAWS: &str = "
import random, secrets, ssl, tempfile, uuid
random.random(), uuid.uuid4(), secrets.token_hex(), ssl.RAND_bytes(8)
def main(ctx):
    return {'random': random.random(), 'uuid4': str(uuid.uuid4()), 'uuid1': str(uuid.uuid1()),
            'secrets': secrets.token_hex(16), 'ssl': ssl.RAND_bytes(16).hex(),
            'shuffle': random.sample(range(1000000), 4), 'name': tempfile.mktemp()}
";

#[tokio::test]
async fn siblings_draw_different_random_numbers() {
    let Some(nursery) = Nursery::open(DRAWS) else { return };
    let zygote = nursery.zygote().await;
    let mut drawn: Vec<Value> = Vec::new();
    for _ in 0..4 {
        let child = child(&zygote).await;
        drawn.push(json(&child, "/").await);
    }
    for name in ["random", "uuid4", "uuid1", "secrets", "ssl", "shuffle", "name"] {
        for (index, one) in drawn.iter().enumerate() {
            assert!(!one[name].is_null(), "{one}");
            for other in &drawn[index + 1..] {
                assert_ne!(one[name], other[name], "{name}");
            }
        }
    }
}

/// Tries everything on the process `?` names, by its number inside.
const HOSTILE: &str = "
import ctypes, os, signal, errno
libc = ctypes.CDLL(None, use_errno=True)
def attempt(call):
    try:
        call()
        return 'ok'
    except OSError as error:
        return errno.errorcode[error.errno]
def attach(pid):
    if libc.ptrace(16, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), 'ptrace')
def main(ctx, query=None):
    if query is None:
        return os.getpid()
    pid = int(query['pid'])
    return {
        'kill': attempt(lambda: os.kill(pid, signal.SIGTERM)),
        'probe': attempt(lambda: os.kill(pid, 0)),
        'all': attempt(lambda: os.kill(-1, signal.SIGTERM)),
        'mem': attempt(lambda: open('/proc/%d/mem' % pid, 'rb')),
        'environ': attempt(lambda: open('/proc/%d/environ' % pid, 'rb').read()),
        'fd': attempt(lambda: os.listdir('/proc/%d/fd' % pid)),
        'ptrace': attempt(lambda: attach(pid)),
        'seen': str(pid) in os.listdir('/proc'),
        'own_session': os.getsid(0) == os.getpid(),
    }
";

/// Landlock keeps signals apart from version 6 on (Linux 6.12).
fn has_signal_scope() -> bool {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = kernel.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 12)
}

fn assert_apart(found: &Value) {
    for what in ["mem", "environ", "fd"] {
        // Hidden, or there and not to be opened.
        let answer = found[what].as_str().unwrap();
        assert!(["EACCES", "EPERM", "ENOENT"].contains(&answer), "{what}: {found}");
    }
    assert_eq!(found["ptrace"], "EPERM", "{found}");
    assert_eq!(found["seen"], json!(false), "{found}");
    assert_eq!(found["own_session"], json!(true), "{found}");
    if has_signal_scope() {
        for what in ["kill", "probe"] {
            assert_eq!(found[what], "EPERM", "{what}: {found}");
        }
    }
}

#[tokio::test]
async fn siblings_cannot_signal_trace_or_read_each_other() {
    let Some(nursery) = Nursery::open(HOSTILE) else { return };
    let zygote = nursery.zygote().await;
    let (victim, hostile) = (child(&zygote).await, child(&zygote).await);
    let pid = json(&victim, "/").await;
    let found = json(&hostile, &format!("/?pid={pid}")).await;
    assert_apart(&found);
    assert_eq!(json(&victim, "/").await, pid, "it lives");
    // The other way round as well: neither is above the other.
    let pid = json(&hostile, "/").await;
    assert_apart(&json(&victim, &format!("/?pid={pid}")).await);
}

#[tokio::test]
async fn a_child_cannot_reach_its_zygote_or_what_is_parked() {
    let Some(nursery) = Nursery::open(HOSTILE) else { return };
    let zygote = nursery.zygote().await;
    let hostile = child(&zygote).await;
    // Number 2 of its nest, behind the one that waits.
    assert_apart(&json(&hostile, "/?pid=2").await);
    let next = child(&zygote).await;
    json(&next, "/").await;
}

#[tokio::test]
async fn siblings_share_tmp_and_each_has_its_own_descriptors() {
    let code = "
import os
def main(ctx, query=None):
    if query is None:
        open('/tmp/note', 'w').write('left by a sibling')
    return {'note': open('/tmp/note').read(),
            'open': sorted(int(n) for n in os.listdir('/proc/self/fd') if int(n) < 5)}
";
    let Some(nursery) = Nursery::open(code) else { return };
    let zygote = nursery.zygote().await;
    let (one, other) = (child(&zygote).await, child(&zygote).await);
    json(&one, "/").await;
    let found = json(&other, "/?read=1").await;
    assert_eq!(found["note"], "left by a sibling", "documented: they share it");
    assert!(found["open"].as_array().unwrap().len() >= 4, "{found}");
}
