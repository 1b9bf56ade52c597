//! What starts, what does not, and what is said of it.

use hatchway_sandbox::{ExitKind, NotReady};

use crate::common::{read_all, unique};
use crate::kit::{Nursery, call, child, json, park, within};

const HELLO: &str = "
import os
loaded_by = os.getpid()
def main(ctx):
    return {'pid': os.getpid(), 'loaded_by': loaded_by, 'sandbox': os.environ.get('HATCHWAY_SANDBOX'),
            'mark': os.environ.get('HATCHWAY_ZYGOTE_FD')}
";

#[tokio::test]
async fn a_child_serves_with_the_code_that_its_zygote_has_loaded() {
    let Some(nursery) = Nursery::open(HELLO) else { return };
    let zygote = nursery.zygote().await;
    let child = child(&zygote).await;
    let answer = json(&child, "/").await;
    assert_ne!(answer["pid"], answer["loaded_by"]);
    assert_eq!(answer["sandbox"], "sb-7");
    assert!(answer["mark"].is_null(), "the mark is removed before the function sees it");
    let again = json(&child, "/").await;
    assert_eq!(again, answer);
}

#[tokio::test]
async fn the_number_that_a_child_has_on_the_host_is_told() {
    let Some(nursery) = Nursery::open(HELLO) else { return };
    let zygote = nursery.zygote().await;
    let child = child(&zygote).await;
    let inner = json(&child, "/").await["pid"].to_string();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.pid)).unwrap();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    assert_eq!(numbers.split_whitespace().last(), Some(inner.as_str()));
}

#[tokio::test]
async fn a_parked_child_serves_only_when_it_is_let_go() {
    let Some(nursery) = Nursery::open(HELLO) else { return };
    let zygote = nursery.zygote().await;
    let parked = park(&zygote).await;
    // Itself, and perhaps the thread by which it makes itself ready.
    let pids = parked.usage().unwrap().pids;
    assert!((1..=2).contains(&pids), "{pids} in a group of its own");
    let child = parked.go("sb-9");
    within("its word", child.ready()).await.unwrap();
    assert_eq!(json(&child, "/").await["sandbox"], "sb-9");
}

#[tokio::test]
async fn each_child_has_an_output_of_its_own() {
    let code = "print('loaded')\ndef main(ctx):\n    print('called')\n    return 'ok'\n";
    let Some(nursery) = Nursery::open(code) else { return };
    let zygote = nursery.zygote().await;
    let (stdout, _stderr) = zygote.take_output().unwrap();
    let child = child(&zygote).await;
    let (child_out, _) = child.take_output().unwrap();
    call(&child, "/").await;
    child.terminate();
    assert_eq!(child.exited().await.kind, ExitKind::Code(0));
    assert_eq!(read_all(child_out), "\u{1e}r1 called\n");
    drop(zygote);
    assert_eq!(read_all(stdout), "loaded\n");
}

#[tokio::test]
async fn code_that_does_not_load_says_why() {
    let Some(nursery) = Nursery::open("import no_such_module\n") else { return };
    let zygote = nursery.start().await;
    let error = within("its word", zygote.ready()).await.unwrap_err();
    assert!(error.to_string().contains("no_such_module"), "{error}");
    assert_eq!(within("its end", zygote.exited()).await.kind, ExitKind::Code(1));
    zygote.park(unique()).await.unwrap_err();
}

/// The word of a zygote that may not be forked.
async fn unfit(code: &str) -> Option<(String, String)> {
    let nursery = Nursery::open(&format!("{code}\ndef main(ctx):\n    return 'ok'\n"))?;
    let zygote = nursery.start().await;
    let NotReady::Failed { report } = within("its word", zygote.ready()).await.unwrap_err() else {
        panic!("not its own word");
    };
    assert_eq!(report["reason"], "unfit", "{report}");
    let text = |name: &str| report[name].as_str().unwrap().to_owned();
    Some((text("what"), text("message")))
}

#[tokio::test]
async fn code_that_cannot_be_forked_is_refused_by_name() {
    let thread = "
import threading
threading.Thread(target=threading.Event().wait, name='heart', daemon=True).start()";
    let Some((what, message)) = unfit(thread).await else { return };
    assert_eq!(what, "threads");
    assert!(message.contains("heart"), "{message}");
    for (expected, code) in [
        ("sockets", "import socket\nkept = socket.socket()"),
        ("handles", "import os\nkept = os.pipe()"),
        ("files", "kept = open('/tmp/kept', 'w')"),
        ("timers", "import signal\nsignal.alarm(1000)"),
        ("children", "import subprocess\nkept = subprocess.Popen(['sleep', '1000'])"),
    ] {
        let (what, message) = unfit(code).await.unwrap();
        assert_eq!(what, expected, "{message}");
    }
}
