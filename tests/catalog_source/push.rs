//! Writing: what is there already is left alone, and nobody overwrites what he has not seen.

use hatchway_proto::catalog::{Key, Object};
use hatchway_tests::Etcd;
use hatchway_wire::catalog::etcd::push::{Author, Change, PushError, Record, Store};

use crate::followed::{config, followed, route};

fn author(who: &str) -> Author {
    Author { who: who.to_owned(), why: format!("{who} wants it so") }
}

fn put(name: &str, path: &str) -> Change {
    let json = route(path);
    Change::Put(Object::parse(Key::Route(name.to_owned()), json.as_bytes()).expect("a route"))
}

/// A connection lives with its runtime: one for all of a test.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

async fn open(etcd: &Etcd) -> Store {
    Store::open(&config(etcd)).await.expect("etcd answers")
}

#[test]
fn only_what_differs_is_written_and_who_and_why_are_kept() {
    let etcd = Etcd::start();
    let source = followed(&etcd);
    block_on(async {
        let push = async |changes: Vec<Change>| {
            let pushed = open(&etcd).await.push(changes, &author("ann")).await;
            pushed.expect("nobody else is there").changes
        };
        assert_eq!(push(vec![put("a", "/a"), put("b", "/b")]).await, 2);
        assert_eq!(push(vec![put("a", "/a"), put("b", "/b2")]).await, 1);
        assert_eq!(push(vec![Change::Delete(Key::Route("a".into()))]).await, 1);
        assert_eq!(push(vec![Change::Delete(Key::Route("a".into()))]).await, 0);
    });
    source.serves(&["b=/b2"]);
    let records = etcd.ctl(&["get", "--prefix", "--print-value-only", "/hatchway/v1-history/"]);
    let records: Vec<Record> = records
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).expect("a record"))
        .collect();
    let keys = |record: &Record| {
        let keys: Vec<_> = record.touched.iter().map(|touched| &*touched.key).collect();
        keys.join(" ")
    };
    let keys: Vec<_> = records.iter().map(keys).collect();
    assert_eq!(keys, ["routes/a routes/b", "routes/b", "routes/a"]);
    assert!(records.iter().all(|record| record.who == "ann" && record.why == "ann wants it so"));
}

#[test]
fn nobody_overwrites_what_he_has_not_seen() {
    let etcd = Etcd::start();
    etcd.put("routes/a", &route("/a"));
    block_on(async {
        let (anns, bens) = (open(&etcd).await, open(&etcd).await);
        anns.push(vec![put("a", "/ann"), put("new", "/ann")], &author("ann")).await.expect("first");
        let changes = vec![put("other", "/ben"), put("new", "/ben")];
        let error = bens.push(changes, &author("ben")).await.expect_err("ann was there");
        let text = error.to_string();
        assert!(text.starts_with("routes/new was changed meanwhile by ann"), "{text}");
        assert!(text.contains("(ann wants it so)"), "{text}");
        assert!(text.contains(r#"new, {"function":"local/f","path":"/ann"}"#), "{text}");
        assert!(matches!(error, PushError::Conflict { written: 0, .. }), "{error:?}");
    });
    let source = followed(&etcd);
    source.serves(&["a=/ann", "new=/ann"]);

    // By hand, and without a record.
    let error = block_on(async {
        let bens = open(&etcd).await;
        etcd.delete("routes/a");
        bens.push(vec![put("a", "/ben")], &author("ben")).await
    });
    let text = error.expect_err("it was deleted").to_string();
    assert!(text.contains("by somebody who left no record"), "{text}");
}

#[test]
fn many_changes_are_written_in_their_order_a_hundred_at_a_time() {
    let etcd = Etcd::start();
    let changes: Vec<_> = (0..250).map(|n| put(&format!("r{n:03}"), &format!("/{n}"))).collect();
    let written = block_on(async { open(&etcd).await.push(changes, &author("ann")).await });
    assert_eq!(written.expect("nobody else is there").changes, 250);
    let store = block_on(open(&etcd));
    assert_eq!(store.objects.routes.len(), 250);
    let records = etcd.ctl(&["get", "--prefix", "--keys-only", "/hatchway/v1-history/"]);
    assert_eq!(records.lines().filter(|line| !line.is_empty()).count(), 3);
}

#[test]
fn a_bad_value_is_put_right() {
    let etcd = Etcd::start();
    etcd.put("routes/a", "garbage");
    let written = block_on(async {
        let store = open(&etcd).await;
        assert!(store.quarantined.contains_key("routes/a"));
        store.push(vec![put("a", "/a")], &author("ann")).await
    });
    assert_eq!(written.expect("nobody else is there").changes, 1);
    let source = followed(&etcd);
    source.serves(&["a=/a"]);
}
