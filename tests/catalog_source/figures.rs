//! How it is with a hundred thousand functions, each with a version, a route and a release.
//!
//! `cargo test --profile quick -p hatchway-tests --test catalog_source -- --ignored --nocapture figures`

use std::fs;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hatchway_proto::catalog::{Key, Object, Objects};
use hatchway_tests::Etcd;
use hatchway_wire::catalog::disk::Folder;
use hatchway_wire::catalog::etcd::EtcdSource;
use hatchway_wire::catalog::etcd::push::{Author, Change, Store};

use crate::followed::{Followed, config};

const COUNT: usize = 100_000;

fn objects() -> Objects {
    let mut objects = Objects::default();
    for n in 0..COUNT {
        let id = format!("{n:016x}");
        let name = format!("team-{}/function-{n}", n % 100);
        let version = format!(
            r#"{{"function":"{name}","package":{{"root":"/srv/functions/{n}","digest":"{n:064x}"}},
            "runtime":{{"kind":"node_handler","module":"src/main.mjs","export":"handle"}},
            "resources":{{"cpu_millis":1000,"memory_bytes":134217728,"pids":64,"files":1024,"tmp_bytes":67108864}},
            "concurrency":10,"min":0,"max":10,"idle_timeout":"5m",
            "clocks":{{"queue":"10s","start":"10s","first_byte":"60s","idle":"60s","run":"300s"}},"env":{{}}}}"#
        );
        let host = format!("{}.example.com", n % 1000);
        for (key, json) in [
            (format!("functions/{name}"), "{}".to_owned()),
            (format!("versions/{id}"), version),
            (
                format!("routes/route-{n}"),
                format!(r#"{{"host":"{host}","path":"/{n}","function":"{name}"}}"#),
            ),
            (format!("releases/{name}"), format!(r#"{{"stable":"{id}"}}"#)),
        ] {
            let key = Key::parse(&key).expect("a key");
            objects.put(Object::parse(key, json.as_bytes()).expect("an object"));
        }
    }
    objects
}

/// Of this process, in MiB.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("it is Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("KiB");
    kib / 1024.0
}

/// Of all threads of this process, in seconds.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("it is Linux");
    let ticks = stat.rsplit(')').next().expect("a name in brackets").split_whitespace();
    ticks.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (begun, used) = (Instant::now(), cpu());
    let result = work();
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu() - used);
    println!("{what}: {wall:.3} s, {cpu:.2} s of CPU, {:.0} MiB resident", resident());
    result
}

#[test]
#[ignore = "a measurement of minutes"]
fn figures() {
    let before = resident();
    let made = Arc::new(timed("make", objects));
    println!("objects: {:.0} bytes a function", (resident() - before) * 1_048_576.0 / COUNT as f64);

    let dir = tempfile::tempdir().expect("a folder");
    let mut folder = Folder::open(dir.path(), "/").expect("own folder");
    timed("write to disk", || folder.write(1, 1, &made)).expect("there is room");
    let bytes = fs::metadata(dir.path().join("catalog")).expect("it was written").len();
    println!("on disk: {:.1} MB", bytes as f64 / 1e6);
    for _ in 0..3 {
        let kept = timed("read from disk", || folder.read());
        assert_eq!(kept.content.expect("it is whole").objects.len(), 4 * COUNT);
    }

    let etcd = Etcd::start();
    let author = Author { who: "figures".to_owned(), why: "to measure".to_owned() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let open = || async { Store::open(&config(&etcd)).await.expect("etcd answers") };
    let all = made.iter().map(Change::Put).collect();
    let pushing = async { open().await.push(all, &author).await.expect("nobody else is there") };
    timed("push all", || runtime.block_on(pushing));
    drop(made);

    let before = resident();
    let (told, hears) = mpsc::channel();
    let source = EtcdSource::new(config(&etcd), None).comparing_every(Duration::from_secs(3600));
    let source = timed("list from etcd", || {
        let source = Followed::telling(source, move |found| {
            // Nobody listens at the end.
            let _ = told.send((Instant::now(), found.objects.functions.len()));
        });
        source.says("everything", |status| status.counts.relists == 1);
        source
    });
    println!("source: {:.0} bytes a function", (resident() - before) * 1_048_576.0 / COUNT as f64);

    let mut latencies: Vec<f64> =
        (0..20).map(|n| latency(&runtime, &etcd, &author, &hears, n)).collect();
    latencies.sort_by(f64::total_cmp);
    println!("one change, from before its transaction to handed on: {latencies:.2?} ms");

    let used = cpu();
    let many = |round: usize| {
        (0..2000).map(move |n| change(n, &format!("/many-{round}-{n}"))).collect::<Vec<_>>()
    };
    let store = runtime.block_on(open());
    let opened = cpu();
    runtime.block_on(store.push(many(0), &author)).expect("nobody else is there");
    source.says("it is heard", |_| true);
    println!(
        "open: {:.2} s of CPU; 2000 changes, both ends: {:.3} s",
        opened - used,
        cpu() - opened
    );

    let mut etcd = etcd;
    let before = source.status().counts;
    timed("etcd killed, started, everything read anew", || {
        etcd.start_again();
        source.says("again", |status| status.counts.relists > before.relists);
    });
}

fn change(n: usize, path: &str) -> Change {
    let name = format!("team-{}/function-{n}", n % 100);
    let json = format!(r#"{{"path":"{path}","function":"{name}"}}"#);
    let key = Key::Route(format!("route-{n}"));
    Change::Put(Object::parse(key, json.as_bytes()).expect("a route"))
}

/// In milliseconds.
fn latency(
    runtime: &tokio::runtime::Runtime,
    etcd: &Etcd,
    author: &Author,
    hears: &mpsc::Receiver<(Instant, usize)>,
    n: usize,
) -> f64 {
    let (begun, _) = runtime.block_on(async {
        let store = Store::open(&config(etcd)).await.expect("etcd answers");
        while hears.try_recv().is_ok() {}
        let begun = Instant::now();
        (begun, store.push(vec![change(n, &format!("/new-{n}"))], author).await)
    });
    let (heard, _) = hears.recv_timeout(hatchway_tests::PATIENCE).expect("a change");
    heard.duration_since(begun).as_secs_f64() * 1000.0
}
