//! What an etcd can do to those who listen to it.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use hatchway_proto::catalog::{Key, Object, Objects};
use hatchway_tests::{Etcd, PATIENCE};
use hatchway_wire::catalog::Found;
use hatchway_wire::catalog::etcd::{EtcdSource, Known};

use crate::followed::{Followed, config, followed, route};

fn etcd_with(names: &[&str]) -> Etcd {
    let etcd = Etcd::start();
    for name in names {
        etcd.put(&format!("routes/{name}"), &route(&format!("/{name}")));
    }
    etcd
}

#[test]
fn killed_and_started_again() {
    let mut etcd = etcd_with(&["a", "b"]);
    let source = followed(&etcd);
    source.serves(&["a=/a", "b=/b"]);
    let before = source.found().objects;
    etcd.kill();
    source.is_lost();
    assert!(Arc::ptr_eq(&before, &source.found().objects), "nothing has changed");
    etcd.start_again();
    source.is_connected();
    assert!(Arc::ptr_eq(&before, &source.found().objects), "nothing has changed");
    etcd.put("routes/c", &route("/c"));
    etcd.delete("routes/a");
    source.serves(&["b=/b", "c=/c"]);
}

#[test]
fn changed_while_nobody_listens() {
    let mut etcd = etcd_with(&["a", "b"]);
    let source = followed(&etcd);
    source.serves(&["a=/a", "b=/b"]);
    // Whoever starts it again writes before anybody can hear of it, or not; both are the same in the end.
    etcd.start_again();
    etcd.delete("routes/a");
    etcd.put("routes/b", &route("/b2"));
    etcd.compact();
    source.serves(&["b=/b2"]);
}

#[test]
fn frozen_and_thawed() {
    let etcd = etcd_with(&["a"]);
    let source = followed(&etcd);
    source.serves(&["a=/a"]);
    etcd.freeze();
    source.is_lost();
    assert_eq!(source.routes(), ["a=/a"]);
    etcd.thaw();
    source.is_connected();
    etcd.put("routes/b", &route("/b"));
    source.serves(&["a=/a", "b=/b"]);
}

#[test]
fn not_there_at_the_start() {
    let mut etcd = etcd_with(&["a"]);
    etcd.kill();
    let source = followed(&etcd);
    source.is_lost();
    assert!(source.found().objects.is_empty());
    etcd.start_again();
    source.serves(&["a=/a"]);
}

#[test]
fn emptied_under_a_watch_and_meant_so() {
    let etcd = etcd_with(&["a", "b"]);
    let source = followed(&etcd);
    source.serves(&["a=/a", "b=/b"]);
    etcd.delete_all();
    source.says("the rules are held", |status| status.held.is_some());
    assert_eq!(source.routes(), ["a=/a", "b=/b"]);
    let held = source.status().held.expect("it says why");
    assert!(held.contains("/hatchway/v1/allow-empty"), "{held}");
    etcd.put("allow-empty", "ann: we close down");
    source.serves(&[]);
    source.says("nothing is held", |status| status.held.is_none());
}

#[test]
fn another_cluster_with_nothing_in_it() {
    let mut etcd = etcd_with(&["a", "b"]);
    let source = followed(&etcd);
    source.serves(&["a=/a", "b=/b"]);
    let before = source.status();
    etcd.start_empty();
    source.says("the rules are held", |status| status.held.is_some());
    assert!(source.status().source_revision < before.source_revision);
    // Written anew, step by step: nothing is missing on the way.
    etcd.put("routes/a", &route("/a2"));
    source.serves(&["a=/a2", "b=/b"]);
    etcd.put("routes/b", &route("/b"));
    source.says("nothing is held", |status| status.held.is_none());
    source.serves(&["a=/a2", "b=/b"]);
}

#[test]
fn restored_from_an_old_backup() {
    let mut etcd = etcd_with(&["a"]);
    etcd.backup();
    etcd.put("routes/a", &route("/newer"));
    etcd.put("routes/b", &route("/b"));
    let source = followed(&etcd);
    source.serves(&["a=/newer", "b=/b"]);
    let before = source.status().source_revision;
    etcd.restore();
    source.serves(&["a=/a"]);
    assert!(source.status().source_revision < before);
    etcd.put("routes/c", &route("/c"));
    source.serves(&["a=/a", "c=/c"]);
}

#[test]
fn restored_and_written_past_what_was_known() {
    let mut etcd = etcd_with(&["a"]);
    etcd.backup();
    etcd.put("routes/a", &route("/one-history"));
    let source = followed(&etcd);
    source.serves(&["a=/one-history"]);
    let known = source.status().source_revision;
    etcd.freeze();
    source.is_lost();
    etcd.thaw();
    etcd.restore();
    // The same revision of the same key, and another value.
    etcd.put("routes/a", &route("/other-history"));
    source.serves(&["a=/other-history"]);
    assert!(source.status().source_revision >= known);
}

#[test]
fn filled_with_garbage() {
    let etcd = etcd_with(&["a"]);
    let source = followed(&etcd);
    source.serves(&["a=/a"]);
    let long = format!(r#"{{"path":"/{}","function":"local/f"}}"#, "x".repeat(100_000));
    for (key, value) in [
        ("", "x"),
        ("routes/", "x"),
        ("routes/../../etc", "x"),
        ("routes/bad", "\u{1}\u{2}"),
        (
            "routes/bomb",
            r#"{"path":"(((((a{100}){100}){100}){100}){100})","path_match":"regex","function":"local/f"}"#,
        ),
        ("routes/deep", &"[".repeat(10_000)),
        ("routes/a", "null"),
        ("elsewhere/x", "{}"),
        ("nodes/n1", "no node"),
    ] {
        etcd.put(key, value);
    }
    etcd.put("routes/long", &long);
    source.says("each is refused", |status| status.quarantined.len() == 9);
    let path = format!("long=/{}", "x".repeat(100_000));
    source.serves(&["a=/a", &path]);
    let again = followed(&etcd);
    again.serves(&[&path]);
    assert_eq!(again.status().quarantined, source.status().quarantined);
}

/// That one finds what is lost is proven beside the code, where events can be lost.
#[test]
fn compares_find_nothing_where_nothing_is_lost() {
    let etcd = etcd_with(&["a"]);
    let source = EtcdSource::new(config(&etcd), None).comparing_every(Duration::from_millis(20));
    let source = Followed::start(source);
    source.serves(&["a=/a"]);
    for n in 0..20 {
        etcd.put("routes/b", &route(&format!("/{n}")));
        etcd.delete("routes/c");
        etcd.put("routes/c", &route("/c"));
    }
    etcd.compact();
    source.serves(&["a=/a", "b=/19", "c=/c"]);
    let seen = source.status().counts.compares;
    source.says("more compares", |status| status.counts.compares > seen + 2);
    assert_eq!(source.status().counts.drifts, 0);
}

#[test]
fn rules_from_disk_until_it_is_heard() {
    let mut etcd = etcd_with(&["a", "b"]);
    etcd.kill();
    let mut objects = Objects::default();
    for name in ["a", "gone"] {
        let json = route(&format!("/{name}"));
        objects.put(Object::parse(Key::Route(name.into()), json.as_bytes()).expect("a route"));
    }
    let known = Known { objects: Arc::new(objects), revision: 1000, cluster: 7 };
    let source = Followed::start(EtcdSource::new(config(&etcd), Some(known)));
    source.is_lost();
    assert_eq!(source.routes(), ["a=/a", "gone=/gone"]);
    assert!(source.status().from_disk);
    let before = source.found().objects;
    etcd.start_again();
    source.serves(&["a=/a", "b=/b"]);
    assert!(!source.status().from_disk);
    assert!(Arc::ptr_eq(&before.routes["a"], &source.found().objects.routes["a"]));
}

/// What was listed is compacted before it is watched: etcd ends the watch, and everything is read anew.
#[test]
fn compacted_under_a_watch() {
    let etcd = etcd_with(&["a", "b"]);
    let (told, hears) = mpsc::channel::<Found>();
    let (go, gate) = mpsc::channel::<()>();
    let source = EtcdSource::new(config(&etcd), None);
    let source = Followed::telling(source, move |found| {
        let is_first = told.send(found.clone()).is_ok();
        // The source stands, as on a machine that is far too busy. A test that has ended does not hold it.
        let _ = is_first && gate.recv().is_ok();
    });
    let first = hears.recv_timeout(PATIENCE).expect("the first list");
    assert_eq!(first.objects.routes.len(), 2);
    etcd.delete("routes/a");
    etcd.put("routes/b", &route("/b2"));
    etcd.compact();
    drop(hears);
    go.send(()).expect("it stands");
    source.serves(&["b=/b2"]);
    let counts = source.status().counts;
    assert_eq!((counts.losses, counts.relists), (0, 2));
}
