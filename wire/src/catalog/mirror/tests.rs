use proptest::prelude::*;

use super::*;

const A: &str = "/hatchway/v1/routes/a";
const B: &str = "/hatchway/v1/routes/b";

fn route(path: &str) -> String {
    format!(r#"{{"path":"{path}","function":"local/f"}}"#)
}

fn empty() -> Mirror {
    Mirror::new(Keys::default(), Arc::default())
}

fn listed(mirror: &mut Mirror, entries: &[(&str, &str, i64)], revision: i64) {
    let mut listing = mirror.list();
    for (key, value, revision) in entries {
        mirror.take(&mut listing, key.as_bytes(), value.as_bytes(), *revision);
    }
    mirror.replace(listing, revision);
}

fn event(mirror: &mut Mirror, key: &str, value: Option<&str>, revision: i64) -> bool {
    mirror.events([(key.as_bytes(), value.map(str::as_bytes), revision)])
}

/// `name=path` of each route that is served.
fn served(mirror: &Mirror) -> Vec<String> {
    mirror.objects().routes.iter().map(|(name, route)| format!("{name}={}", route.path)).collect()
}

fn two() -> Mirror {
    let mut mirror = empty();
    listed(&mut mirror, &[(A, &route("/a"), 3), (B, &route("/b"), 4)], 5);
    mirror
}

#[test]
fn what_is_listed_is_served_and_what_is_not_listed_any_more_goes() {
    let mut mirror = two();
    assert_eq!(served(&mirror), ["a=/a", "b=/b"]);
    let before = mirror.objects();
    listed(&mut mirror, &[(A, &route("/a"), 3), (B, &route("/b"), 4)], 9);
    assert!(Arc::ptr_eq(&before, &mirror.objects()), "nothing has changed");
    listed(&mut mirror, &[(B, &route("/b2"), 10)], 10);
    assert_eq!(served(&mirror), ["b=/b2"]);
}

#[test]
fn objects_from_disk_give_way_to_the_first_list() {
    let disk = two().objects();
    let mut mirror = Mirror::new(Keys::default(), Arc::clone(&disk));
    listed(&mut mirror, &[(A, &route("/a"), 3), ("/hatchway/v1/routes/c", "{", 4)], 5);
    assert_eq!(served(&mirror), ["a=/a"]);
    assert!(Arc::ptr_eq(&disk.routes["a"], &mirror.objects().routes["a"]));
}

#[test]
fn a_value_of_another_history_under_the_same_revision_is_noticed() {
    let mut mirror = two();
    listed(&mut mirror, &[(A, &route("/other"), 3), (B, &route("/b"), 4)], 5);
    assert_eq!(served(&mirror), ["a=/other", "b=/b"]);
}

#[test]
fn a_bad_object_is_quarantined_and_its_last_good_form_serves() {
    let mut mirror = two();
    event(&mut mirror, A, Some("{"), 6);
    event(&mut mirror, B, Some(&route("/b2")), 7);
    assert_eq!(served(&mirror), ["a=/a", "b=/b2"]);
    assert!(mirror.quarantined()["routes/a"].contains("EOF"));

    // It stays so over a list, and over a list in which it is bad in another way.
    listed(&mut mirror, &[(A, "{", 6), (B, &route("/b2"), 7)], 8);
    assert_eq!(served(&mirror), ["a=/a", "b=/b2"]);
    assert!(mirror.quarantined()["routes/a"].contains("EOF"));
    listed(&mut mirror, &[(A, &route("a"), 9), (B, &route("/b2"), 7)], 9);
    assert!(mirror.quarantined()["routes/a"].contains("does not start with /"));
    assert_eq!(served(&mirror), ["a=/a", "b=/b2"]);

    event(&mut mirror, A, Some(&route("/good")), 10);
    assert_eq!(served(&mirror), ["a=/good", "b=/b2"]);
    assert!(mirror.quarantined().is_empty());
    event(&mut mirror, A, Some("garbage"), 11);
    event(&mut mirror, A, None, 12);
    assert_eq!(served(&mirror), ["b=/b2"]);
    assert!(mirror.quarantined().is_empty());
}

#[test]
fn keys_that_are_none_are_named() {
    let mut mirror = two();
    event(&mut mirror, "/hatchway/v1/router/a", Some("{}"), 6);
    event(&mut mirror, "/hatchway/v1/nodes/n1", Some("{}"), 7);
    assert_eq!(mirror.quarantined().keys().collect::<Vec<_>>(), ["nodes/n1", "router/a"]);
    event(&mut mirror, "/hatchway/v1/router/a", None, 8);
    event(&mut mirror, "/hatchway/v1/nodes/n1", None, 9);
    assert!(mirror.quarantined().is_empty());
}

#[test]
fn what_comes_late_or_twice_does_nothing() {
    let mut mirror = two();
    event(&mut mirror, A, Some(&route("/new")), 8);
    event(&mut mirror, A, Some(&route("/old")), 7);
    event(&mut mirror, A, Some(&route("/older")), 5);
    event(&mut mirror, B, None, 9);
    event(&mut mirror, B, Some(&route("/late")), 8);
    event(&mut mirror, A, None, 6);
    assert_eq!(served(&mirror), ["a=/new"]);
}

#[test]
fn an_emptied_source_is_not_believed_until_an_operator_says_so() {
    let mut mirror = two();
    listed(&mut mirror, &[], 2);
    assert!(mirror.is_held());
    assert_eq!(served(&mirror), ["a=/a", "b=/b"]);

    // What is put is served; what is not there yet is kept.
    event(&mut mirror, A, Some(&route("/a2")), 3);
    assert!(mirror.is_held());
    assert_eq!(served(&mirror), ["a=/a2", "b=/b"]);
    event(&mut mirror, B, Some(&route("/b")), 4);
    assert!(!mirror.is_held(), "all of it is back");

    listed(&mut mirror, &[], 5);
    assert!(event(&mut mirror, "/hatchway/v1/allow-empty", Some(""), 6), "read it anew");
    listed(&mut mirror, &[("/hatchway/v1/allow-empty", "", 6)], 6);
    assert!(!mirror.is_held());
    assert!(mirror.objects().is_empty());
}

#[test]
fn deleting_everything_at_once_is_not_believed_either() {
    let mut mirror = two();
    let delete = |key: &'static str| (key.as_bytes(), None, 6);
    mirror.events([delete(A), delete(B)]);
    assert!(mirror.is_held());
    assert_eq!(served(&mirror), ["a=/a", "b=/b"]);
    // A source with something in it is believed when it is read the next time.
    listed(&mut mirror, &[(B, &route("/b"), 7)], 8);
    assert_eq!(served(&mirror), ["b=/b"]);
    assert!(!mirror.is_held());
}

fn drift(mirror: &mut Mirror, keys: &[(&str, i64)]) -> usize {
    let mut list = mirror.key_list();
    for (key, revision) in keys {
        list.note(key.as_bytes(), *revision);
    }
    mirror.compare(&list, 5)
}

#[test]
fn a_compare_finds_what_no_event_has_told_of_and_nothing_else() {
    let mut mirror = two();
    let c = "/hatchway/v1/routes/c";
    assert_eq!(drift(&mut mirror, &[(A, 3), (B, 4)]), 0);
    assert_eq!(drift(&mut mirror, &[(A, 3), (B, 5)]), 1, "a lost put");
    assert_eq!(drift(&mut mirror, &[(A, 3)]), 1, "a lost delete");
    assert_eq!(drift(&mut mirror, &[(A, 3), (B, 4), (c, 5)]), 1, "a lost key");
    event(&mut mirror, A, Some(&route("/a2")), 6);
    event(&mut mirror, B, None, 7);
    event(&mut mirror, c, Some(&route("/c")), 8);
    assert_eq!(drift(&mut mirror, &[(A, 3), (B, 4)]), 0, "changed since");
    event(&mut mirror, B, Some(&route("/late")), 6);
    assert_eq!(served(&mirror), ["a=/a2", "c=/c"], "deletions since are remembered");
}

/// A change of one of four keys: a value or none.
fn history() -> impl Strategy<Value = Vec<(u8, Option<u8>)>> {
    prop::collection::vec((0..4_u8, prop::option::of(0..9_u8)), 1..40)
}

proptest! {
    /// However events are delayed, repeated or reordered, and wherever a list comes between them, what is served in
    /// the end is the last state.
    #[test]
    fn the_order_of_events_does_not_matter(
        history in history(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
        list_after in any::<prop::sample::Index>(),
    ) {
        let key = |key: u8| format!("/hatchway/v1/routes/r{key}");
        let mut events: Vec<(String, Option<String>, i64)> = (2..)
            .zip(&history)
            .map(|(at, (name, path))| (key(*name), path.map(|path| route(&format!("/{path}"))), at))
            .collect();
        // A key that is never deleted, for an emptied source is another matter.
        let anchor = ("/hatchway/v1/routes/z".to_owned(), route("/"), 1);

        let mut expected = std::collections::BTreeMap::from([("z".to_owned(), "/".to_owned())]);
        let mut states = vec![vec![anchor.clone()]];
        for (key, value, at) in &events {
            let mut state: Vec<_> = states.last().unwrap().iter().filter(|it| it.0 != *key).cloned().collect();
            state.extend(value.clone().map(|value| (key.clone(), value, *at)));
            states.push(state);
        }
        for (name, path) in &history {
            match path {
                Some(path) => expected.insert(format!("r{name}"), format!("/{path}")),
                None => expected.remove(&format!("r{name}")),
            };
        }

        // Repeat some, then deliver all of them in another order.
        let repeats: Vec<_> = order.iter().map(|index| index.get(&events).clone()).collect();
        events.extend(repeats);
        for (index, at) in order.iter().enumerate() {
            let (from, to) = (index % events.len(), at.index(events.len()));
            events.swap(from, to);
        }
        let mut mirror = empty();
        listed(&mut mirror, &[(&anchor.0, &anchor.1, 1)], 1);
        let list_at = list_after.index(events.len());
        let listed_state = list_after.index(states.len());
        for (index, (key, value, at)) in events.iter().enumerate() {
            event(&mut mirror, key, value.as_deref(), *at);
            if index == list_at {
                // A list shows at least what was heard, so only the newest one may come here.
                let newest = events[..=index].iter().map(|event| event.2).max().unwrap_or(1);
                let shown = listed_state.max(usize::try_from(newest).unwrap() - 1);
                let entries: Vec<_> = states[shown].iter().map(|it| (&*it.0, &*it.1, it.2)).collect();
                listed(&mut mirror, &entries, i64::try_from(shown).unwrap() + 1);
            }
        }
        let expected: Vec<_> = expected.iter().map(|(name, path)| format!("{name}={path}")).collect();
        prop_assert_eq!(served(&mirror), expected);
    }
}

fn registered(mirror: &Mirror) -> Vec<(String, String)> {
    let nodes = mirror.nodes();
    nodes.iter().map(|(name, node)| (name.clone(), node.address.clone())).collect()
}

fn node(address: &str) -> String {
    format!(r#"{{"address":"{address}","instance":"1","capacity_mib":1}}"#)
}

#[test]
fn nodes_come_and_go_beside_the_objects() {
    const N: &str = "/hatchway/v1/nodes/n";
    let mut mirror = two();
    listed(&mut mirror, &[(A, &route("/a"), 3), (N, &node("unix:/n"), 6)], 9);
    assert_eq!(registered(&mirror), [("n".to_owned(), "unix:/n".to_owned())]);
    let before = mirror.nodes();
    event(&mut mirror, A, Some(&route("/a2")), 10);
    assert!(Arc::ptr_eq(&before, &mirror.nodes()), "no node has changed");
    event(&mut mirror, N, Some("{}"), 11);
    assert_eq!(registered(&mirror).len(), 1, "the last good form stays");
    assert!(mirror.quarantined().contains_key("nodes/n"));
    event(&mut mirror, N, None, 12);
    event(&mut mirror, N, Some(&node("unix:/late")), 8);
    assert_eq!(registered(&mirror), []);
    assert_eq!(served(&mirror), ["a=/a2"]);
    assert!(!mirror.quarantined().contains_key("nodes/n"));
    listed(&mut mirror, &[(N, &node("unix:/n"), 14)], 20);
    assert!(mirror.is_held() && registered(&mirror).len() == 1, "nodes are no objects");
}
