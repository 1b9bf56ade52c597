//! A gateway and a node with their rules in a real etcd: followed while it is there, not missed while it is not.

use std::fs;

use hatchway_tests::{Etcd, GatewayProgram, NodeProgram, Project, apply_to, eventually};
use serde_json::Value;

fn source(word: &str) -> String {
    format!("export function word() {{ return '{word}'; }}\n")
}

fn manifest(path: &str) -> String {
    format!(
        "[function.word]\nruntime = \"node\"\nhandler = \"word.mjs#word\"\nhttp = {{ path = \"{path}\" }}\n"
    )
}

/// A project, an etcd, and the programs that follow it.
struct Site {
    gateway: GatewayProgram,
    node: NodeProgram,
    etcd: Etcd,
    project: Project,
}

impl Site {
    fn start() -> Self {
        let etcd = Etcd::start();
        let project = Project::new(&manifest("/word")).file("word.mjs", source("one"));
        let node = NodeProgram::start_with(&project, &rules(&etcd));
        let gateway = gateway(&project, &etcd);
        Self { gateway, node, etcd, project }
    }

    fn serving() -> Self {
        let site = Self::start();
        site.apply();
        site.answers("one");
        site
    }

    fn apply(&self) -> String {
        apply_to(&self.project, &rules(&self.etcd))
    }

    #[track_caller]
    fn answers(&self, word: &str) {
        eventually(word, || (self.gateway.get("/word").text() == word).then_some(()));
    }

    /// The gateway's word on its rules.
    fn catalog(&self) -> Value {
        self.gateway.admin.status()["catalog"].take()
    }

    #[track_caller]
    fn link_is(&self, state: &str) {
        eventually(state, || (self.catalog()["link"]["state"] == state).then_some(()));
    }

    /// Waits until what is served is on disk; at which revision.
    #[track_caller]
    fn is_kept(&self) -> i64 {
        eventually("the catalog on disk", || {
            let catalog = self.catalog();
            let kept = catalog["disk"]["source_revision"].as_i64();
            kept.filter(|kept| *kept == revision(&catalog))
        })
    }
}

fn revision(catalog: &Value) -> i64 {
    catalog["source_revision"].as_i64().expect("a number")
}

fn rules(etcd: &Etcd) -> [String; 2] {
    ["--etcd".to_owned(), etcd.url()]
}

fn gateway(project: &Project, etcd: &Etcd) -> GatewayProgram {
    let state = project.root().join("g").display().to_string();
    let words = [&rules(etcd)[..], &["--state".to_owned(), state]].concat();
    GatewayProgram::start_with(project, &words)
}

#[test]
fn what_is_applied_is_served() {
    let site = Site::start();
    assert!(site.apply().contains("4 changes written"));
    site.answers("one");
    assert_eq!(site.gateway.admin.get("/readyz").status, 200);
    assert!(site.apply().contains("0 changes written"));

    site.project.write("word.mjs", source("two"));
    site.apply();
    site.answers("two");

    site.project.write("hatchway.toml", manifest("/moved"));
    site.apply();
    let moved = || (site.gateway.get("/moved").text() == "two").then_some(());
    eventually("the new route", moved);
    eventually("the old route", || (site.gateway.get("/word").status == 404).then_some(()));
    eventually("one sandbox of the last version", || {
        (site.node.admin.sandboxes().len() == 1).then_some(())
    });
}

#[test]
fn requests_are_answered_while_etcd_is_killed_frozen_and_back() {
    let mut site = Site::serving();
    site.etcd.kill();
    site.link_is("lost");
    assert_eq!(site.gateway.get("/word").text(), "one");
    assert_eq!(site.gateway.admin.get("/readyz").status, 200);
    assert_eq!(site.gateway.admin.metrics().sum("catalog_source_connected", &[]), 0.0);
    site.etcd.start_again();
    site.link_is("connected");

    site.etcd.freeze();
    site.link_is("lost");
    assert_eq!(site.gateway.get("/word").text(), "one");
    site.etcd.thaw();
    site.link_is("connected");

    site.project.write("word.mjs", source("two"));
    site.apply();
    site.answers("two");
}

#[test]
fn an_emptied_etcd_is_not_believed_and_a_bad_object_is_refused_alone() {
    let mut site = Site::serving();
    let key = "releases/local/word";
    let good = site.etcd.ctl(&["get", "--print-value-only", &format!("/hatchway/v1/{key}")]);
    site.etcd.put(key, "{\"stable\": 7}");
    eventually("it is refused", || {
        site.catalog()["quarantined"][key]
            .as_str()
            .is_some_and(|why| why.contains("invalid type"))
            .then_some(())
    });
    assert_eq!(site.gateway.admin.metrics().sum("catalog_quarantined_objects", &[]), 1.0);
    assert_eq!(site.gateway.get("/word").text(), "one");
    site.etcd.put(key, good.trim());
    eventually("nothing is refused", || {
        site.catalog()["quarantined"].as_object()?.is_empty().then_some(())
    });

    site.etcd.start_empty();
    eventually("the rules are held", || site.catalog()["held"].is_string().then_some(()));
    assert_eq!(site.gateway.admin.metrics().sum("catalog_held", &[]), 1.0);
    assert_eq!(site.gateway.get("/word").text(), "one");
    site.apply();
    eventually("nothing is held", || site.catalog()["held"].is_null().then_some(()));
    assert_eq!(site.gateway.get("/word").text(), "one");
}

#[test]
fn killed_and_started_without_etcd_they_serve_from_disk() {
    let mut site = Site::serving();
    site.is_kept();
    site.etcd.kill();
    for _ in 0..50 {
        site.gateway.kill();
        site.gateway = gateway(&site.project, &site.etcd);
        // The first request, without any wait.
        assert_eq!(site.gateway.get("/word").text(), "one");
        assert_eq!(site.catalog()["from_disk"], true);
    }
    site.node.kill();
    site.node = NodeProgram::start_with(&site.project, &rules(&site.etcd));
    site.answers("one");

    // The newest generation is damaged, then both.
    site.etcd.start_again();
    site.link_is("connected");
    site.project.write("word.mjs", source("two"));
    site.apply();
    site.answers("two");
    let newest = site.is_kept();
    site.etcd.kill();
    let disk = site.project.root().join("g/catalog");
    site.gateway.kill();
    let current = disk.join("catalog");
    let half = fs::read(&current).expect("it was written");
    fs::write(&current, &half[..half.len() / 2]).expect("own folder");
    site.gateway = gateway(&site.project, &site.etcd);
    assert!(revision(&site.catalog()) < newest);
    site.gateway.output().wait("the damage is named", |line| {
        line.contains("a catalog on disk is not believed").then_some(())
    });
    site.gateway.kill();
    for name in ["catalog", "catalog.before"] {
        fs::write(disk.join(name), "").expect("own folder");
    }
    site.gateway = gateway(&site.project, &site.etcd);
    assert_eq!(site.gateway.admin.get("/readyz").status, 503);
    site.etcd.start_again();
    site.answers("two");
}
