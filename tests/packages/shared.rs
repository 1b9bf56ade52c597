//! The way of a version: packed on one machine, served by others.

use std::time::Instant;

use hatchway_tests::{eventually, together};

use crate::kit::{Site, machine, packages, plain, project, shelf, wait_for, write};

#[test]
fn two_nodes_that_share_nothing_but_the_store_serve_what_was_deployed() {
    let site = Site::start();
    let (here, there, edge) = (machine(), machine(), machine());
    let (first, second) = (site.node(&here, &[]), site.node(&there, &[]));
    let gateway = site.gateway(&edge, &[&first, &second]);
    let project = project("one");

    let begun = Instant::now();
    let told = site.deploy(&project, &["--wait"]);
    let answer =
        eventually("an answer", || Some(gateway.get("/word")).filter(|it| it.status == 200));
    eprintln!("from the command to the first answer: {:?}", begun.elapsed());
    assert_eq!(answer.text(), "one");
    assert_eq!((&told["packages"], &told["uploaded"]), (&1.into(), &1.into()));
    for node in [&first, &second] {
        wait_for(node, "ready", 1);
        assert_eq!(packages(node)[0]["is_named"], true, "fetched ahead, whether asked or not");
    }

    // One of them goes, whoever served until now.
    first.stop();
    assert_eq!(gateway.get("/word").text(), "one");
    assert_eq!(gateway.get("/word/word.txt").text(), "one", "a file that needs no sandbox");

    // The same again is nothing new; another one is for some first, then for all.
    assert_eq!(site.deploy(&project, &[])["uploaded"], 0);
    write(&project, "two");
    let version = &site.deploy(&project, &["--share", "50%"])["versions"]["local/word"];
    let both = || {
        let words = together(16, |_| gateway.get("/word").text());
        words.iter().any(|word| word == "one") && words.iter().any(|word| word == "two")
    };
    eventually("both versions answer", || both().then_some(()));
    let output = site.run_deploy(&project, &[]);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && why.contains("release of local/word is under way"),
        "{why}"
    );
    assert_eq!(&site.deploy(&project, &["--end-releases"])["versions"]["local/word"], version);
    eventually("all get it", || {
        together(16, |_| gateway.get("/word").text()).iter().all(|word| word == "two").then_some(())
    });

    write(&project, "three");
    site.deploy(&project, &["--no-release"]);
    assert_eq!(gateway.get("/word").text(), "two");
    site.deploy(&project, &["--stable", "--wait"]);
    eventually("all get it", || (gateway.get("/word").text() == "three").then_some(()));
    assert!(shelf(&there).len() >= 2);
}

#[test]
fn a_first_request_waits_for_its_package_and_says_how_long() {
    let site = Site::start();
    let (here, edge) = (machine(), machine());
    site.deploy(&plain("one"), &[]);
    let node = site.node(&here, &["--no-fetch-ahead"]);
    let gateway = site.serving(&edge, &[&node]);
    assert_eq!(packages(&node).len(), 0);
    let answers = together(10, |_| gateway.get("/word"));
    assert!(answers.iter().all(|answer| answer.text() == "one"));
    let metrics = node.admin.metrics();
    assert_eq!(metrics.sum("node_package_fetches_total", &[]), 1.0);
    let waited = metrics.sum("node_start_phase_seconds_count", &["phase=\"fetch\""]);
    assert!(waited >= 1.0, "a start says that it waited");
}
