//! Saving is deploying: the next request runs the new version, those under way finish on the old one.

use std::sync::atomic::{AtomicBool, Ordering};

use hatchway_tests::{Client, Project, Up, eventually, proc};

const MANIFEST: &str = "
[function.word]
runtime = \"node\"
handler = \"word.mjs#word\"
http = { path = \"/word\" }
";

fn says(word: &str) -> String {
    format!("export function word(ctx, ...args) {{ return '{word}'; }}\n")
}

fn project() -> Project {
    Project::new(MANIFEST).file("word.mjs", says("one"))
}

/// Waits until a new version answers; each answer on the way is a whole one of the old or of the new.
#[track_caller]
fn wait_for_word(up: &Client, old: &str, new: &str) {
    eventually(&format!("an answer {new:?}"), || {
        let answer = up.get("/word");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = answer.text();
        assert!(text == old || text == new, "{text:?}");
        (text == new).then_some(())
    });
}

#[test]
fn the_next_request_after_a_save_runs_the_new_version_and_the_old_sandbox_goes() {
    let project = project();
    let up = Up::start(&project);
    assert_eq!(up.get("/word").text(), "one");
    let old = up.admin.sandbox("word");
    project.write("word.mjs", says("two"));
    up.output().wait_for("reload  word is now ");
    wait_for_word(&up, "one", "two");
    up.output().wait_for(&format!("reaped  word sb-{} (retired)", old.id));
    let new = up.admin.sandbox("word");
    assert_ne!(new.version, old.version);
    assert_eq!(up.admin.function("word")["version"], new.version);
    up.stop();
}

#[test]
fn a_request_under_way_finishes_on_the_version_that_it_began_with() {
    let project = project();
    let up = Up::start(&project);
    let mut client = up.raw();
    client.post("/word", 2);
    up.admin.wait_in_flight("word", 1);
    let pid = up.admin.sandbox("word").pid.and_then(proc::Process::with_id).expect("it runs");

    project.write("word.mjs", says("two"));
    wait_for_word(&up, "one", "two");
    eventually("the old sandbox takes nothing new", || {
        let phases = up.admin.sandboxes_of("word").into_iter().map(|sandbox| sandbox.phase);
        phases.collect::<Vec<_>>().contains(&"draining".to_owned()).then_some(())
    });

    client.send("{}");
    let head = client.head();
    assert_eq!(head.status, 200);
    let length = head.field("content-length").parse().expect("a number");
    assert_eq!(client.exactly(length).expect("a body"), b"one");
    eventually("the end of the old sandbox", || (!pid.is_alive()).then_some(()));
    up.stop();
}

#[test]
fn a_broken_manifest_is_told_and_what_ran_before_goes_on() {
    let project = project();
    let up = Up::start(&project);
    let pid = up.get("/word").text();
    project.write("hatchway.toml", MANIFEST.replace("handler =", "handlre ="));
    up.output().wait_for("unknown field `handlre`");
    up.output().wait_for("what ran before the edit goes on");
    assert_eq!(up.get("/word").text(), pid);

    project.write("hatchway.toml", MANIFEST);
    project.write("word.mjs", says("two"));
    wait_for_word(&up, "one", "two");
    up.stop();
}

#[test]
fn a_module_that_does_not_parse_is_told_and_the_last_good_one_goes_on() {
    let project = project();
    let up = Up::start(&project);
    assert_eq!(up.get("/word").text(), "one");
    project.write("word.mjs", "export function word( {");
    up.output().wait_for("what ran before the edit goes on");
    assert_eq!(up.get("/word").text(), "one");
    project.write("word.mjs", says("two"));
    wait_for_word(&up, "one", "two");
    up.stop();
}

#[test]
fn functions_come_and_go_with_their_tables() {
    let project = project();
    let up = Up::start(&project);
    assert_eq!(up.get("/word").text(), "one");
    let both = MANIFEST.to_owned() + &MANIFEST.replace("word]", "more]").replace("/word", "/more");
    project.write("hatchway.toml", &both);
    up.output().wait_for("new     more is now ");
    eventually("the new function", || (up.get("/more").status == 200).then_some(()));

    project.write(
        "hatchway.toml",
        both.replace("[function.word]", "[function.other]").replace("/word", "/other"),
    );
    up.output().wait_for("gone    word");
    eventually("no such route", || (up.get("/word").status == 404).then_some(()));
    eventually("no such sandbox", || up.admin.sandboxes_of("word").is_empty().then_some(()));
    assert_eq!(up.get("/more").text(), "one");
    up.stop();
}

#[test]
fn a_new_environment_is_a_new_version() {
    let manifest = |greeting: &str| format!("{MANIFEST}env = {{ GREETING = \"{greeting}\" }}\n");
    let source = "export function word() { return process.env.GREETING; }\n";
    let project = Project::new(&manifest("one")).file("word.mjs", source);
    let up = Up::start(&project);
    assert_eq!(up.get("/word").text(), "one");
    project.write("hatchway.toml", manifest("two"));
    wait_for_word(&up, "one", "two");
    up.stop();
}

#[test]
fn a_save_that_changes_nothing_hatches_nothing() {
    let project = project();
    let up = Up::start(&project);
    assert_eq!(up.get("/word").text(), "one");
    project.write("word.mjs", says("one"));
    // Seen after the first: whatever that did is done.
    project.write("hatchway.toml", MANIFEST.replace("handler =", "handlre ="));
    up.output().wait_for("unknown field `handlre`");
    assert_eq!(up.get("/word").text(), "one");
    assert_eq!(up.admin.hatches("word"), 1.0);
    up.stop();
}

#[test]
fn no_request_fails_while_versions_change_under_load() {
    let project = project();
    let up = Up::start(&project);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let client = up.client();
                while !is_over.load(Ordering::Relaxed) {
                    let answer = client.get("/word");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
        let mut last = "one".to_owned();
        for round in 0..5 {
            let next = format!("word {round}");
            project.write("word.mjs", says(&next));
            wait_for_word(&up.client(), &last, &next);
            last = next;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    up.stop();
}
