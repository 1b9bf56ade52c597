//! A canary that real gateways move, with their rules in a real etcd: forward while it is as good as stable, back when it
//! is not, and on when the one that leads is killed.

mod guard;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use hatchway_tests::{
    Client, Etcd, GatewayProgram, NodeProgram, Project, apply_to, eventually, program_path,
};
use serde_json::Value;

const MANIFEST: &str = "[function.hello]\nruntime = \"node\"\nhandler = \"hello.mjs#hello\"\n\
                        http = { path = \"/hello\" }\nmax = 1\n";

/// None of these outlives its warm-up: times, which are the machine's here, are not compared.
const HASTY: [&str; 4] = ["--interval", "100ms", "--min-requests", "30"];

/// A project whose function runs this.
fn build(body: &str) -> Project {
    Project::new(MANIFEST).file("hello.mjs", format!("export const hello = () => {{ {body} }};\n"))
}

fn stable() -> Project {
    build("return 'stable';")
}

/// An etcd, a node, and gateways that agree.
struct Site {
    gateways: Vec<GatewayProgram>,
    _node: NodeProgram,
    etcd: Etcd,
    _project: Project,
}

impl Site {
    fn start(gateways: usize) -> Self {
        let (etcd, project) = (Etcd::start(), stable());
        let rules = ["--etcd".to_owned(), etcd.url()];
        apply_to(&project, &rules);
        let node = NodeProgram::start_with(&project, &rules);
        let gateways = (0..gateways).map(|index| {
            let state = project.root().join(format!("g{index}")).display().to_string();
            GatewayProgram::start_with(
                &project,
                &[&rules[..], &["--state".to_owned(), state]].concat(),
            )
        });
        let gateways: Vec<_> = gateways.collect();
        for gateway in &gateways {
            eventually("it serves", || (gateway.get("/hello").text() == "stable").then_some(()));
        }
        Self { gateways, _node: node, etcd, _project: project }
    }

    /// `hatchway rollout`: what it prints, or what it says when it refuses.
    fn rollout(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program_path("hatchway"));
        command.arg("rollout").args(words).args(["--etcd", &self.etcd.url()]);
        let output = command.output().expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn begin(&self, canary: &Project, steps: &str) {
        let folder = canary.folder();
        let folder = folder.to_str().expect("the path is UTF-8");
        let words = ["start", "hello", "--add", folder, "--steps", steps];
        self.rollout(&[&words[..], &HASTY].concat()).expect("it begins");
    }

    fn status(&self) -> Value {
        let told = self.rollout(&["status", "hello", "--json"]).expect("there is one");
        serde_json::from_str(&told).expect("JSON")
    }

    /// Waits until the rollout is in this phase; its status then.
    #[track_caller]
    fn phase(&self, phase: &str) -> Value {
        eventually(phase, || {
            let status = self.status();
            let is = status["rollout"]["progress"]["phase"].as_str()?.to_owned();
            assert!(
                is == phase || !["healthy", "degraded"].contains(&is.as_str()),
                "{phase} was expected: {status:#}"
            );
            (is == phase).then_some(status)
        })
    }

    /// What every gateway answers, at length.
    #[track_caller]
    fn all_answer(&self, word: &str) {
        for gateway in &self.gateways {
            eventually(word, || {
                (0..20).all(|_| gateway.get("/hello").text() == word).then_some(())
            });
        }
    }

    /// Calls all gateways for as long as `work` runs. A gateway that is killed is no failure.
    fn under_load<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let is_over = AtomicBool::new(false);
        let addresses: Vec<_> = self.gateways.iter().map(|gateway| gateway.address).collect();
        std::thread::scope(|scope| {
            for address in addresses {
                let is_over = &is_over;
                scope.spawn(move || {
                    let client = Client::new(address);
                    while !is_over.load(Ordering::Relaxed) {
                        if client.request("GET", "/hello", &[], &[]).is_err() {
                            break;
                        }
                    }
                });
            }
            let _until = Until(&is_over);
            work(self)
        })
    }
}

/// Ends the load, also when a test fails before it would.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn journal(status: &Value) -> Vec<(String, String)> {
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let entries = status["rollout"]["progress"]["journal"].as_array().expect("a list");
    entries.iter().map(|entry| (text(entry, "what"), text(entry, "why"))).collect()
}

fn done(status: &Value) -> Vec<String> {
    journal(status).into_iter().map(|(what, _)| what).collect()
}

fn leads(gateway: &GatewayProgram) -> bool {
    gateway.output().to_string().contains("this gateway leads rollouts")
}

#[test]
fn a_canary_that_fails_is_returned_by_itself() {
    let mut site = Site::start(2);
    // Every fourth request.
    let bad = build("if (Math.random() < 0.25) throw new Error('bad luck'); return 'canary';");
    let status = site.under_load(|site| {
        site.begin(&bad, "20%:1h");
        site.phase("degraded")
    });
    let journal = journal(&status);
    let (what, why) = journal.last().expect("something was done");
    assert_eq!(what, "return");
    assert!(why.starts_with("the canary fails more often: canary: "), "{why}");
    assert_eq!(done(&status), ["start", "set_weight", "return"]);
    assert!(status["release"]["shares"].is_null(), "{status:#}");
    site.all_answer("stable");
    // The history of the rules says who it was.
    let history = site.etcd.ctl(&["get", "--prefix", "/hatchway/v1-history/"]);
    assert!(history.contains("rollout of local/hello"), "{history}");
    // Nothing is left that would be kept alive or counted.
    let left = || site.etcd.ctl(&["get", "--prefix", "--keys-only", "/hatchway/v1-rollouts/"]);
    eventually("no seat is kept", || {
        let left = left();
        (!left.contains("counts") && !left.contains("leader")).then_some(())
    });
}

#[test]
fn a_good_canary_is_promoted_though_the_one_that_leads_is_killed() {
    let mut site = Site::start(3);
    let good = build("return 'canary';");
    let status = site.under_load(|site| {
        site.begin(&good, "20%:1s,60%:1s,80%:pause");
        eventually("the second step", || {
            done(&site.status()).contains(&"passed".to_owned()).then_some(())
        });
        let leader = site.gateways.iter().position(leads).expect("one of them leads");
        site.gateways.remove(leader).kill();
        site.phase("paused");
        assert!(site.gateways.iter().any(leads), "another one leads");
        site.rollout(&["resume", "hello"]).expect("it is paused");
        site.phase("healthy")
    });
    let expected = [
        "start",
        "set_weight",
        "passed",
        "set_weight",
        "passed",
        "set_weight",
        "pause",
        "resume",
        "promote",
    ];
    let done: Vec<String> = done(&status).into_iter().filter(|what| what != "wait").collect();
    assert_eq!(done, expected, "{status:#}");
    assert_eq!(status["release"]["stable"], status["rollout"]["plan"]["canary"]);
    site.all_answer("canary");
}

#[test]
fn people_have_the_last_word() {
    let site = Site::start(1);
    let file = ["status", "hello", "--catalog", "x"];
    let mut command = Command::new(program_path("hatchway"));
    let refused = command.arg("rollout").args(file).output().expect("the program starts");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("through etcd"));
    assert!(site.rollout(&["status", "hello"]).unwrap_err().contains("has no rollout"));

    let good = build("return 'canary';");
    site.begin(&good, "50%:1h");
    let weight = |status: &Value| status["release"]["shares"][0]["basis_points"].as_u64();
    eventually("the first step", || (weight(&site.status()) == Some(5000)).then_some(()));
    assert!(site.rollout(&["start", "hello", "--canary", "0"]).unwrap_err().contains("under way"));
    assert!(site.rollout(&["resume", "hello"]).unwrap_err().contains("going on already"));
    site.rollout(&["pause", "hello"]).expect("it goes on");
    site.phase("paused");

    // Somebody changes the release by hand: nobody changes it back.
    let canary = site.status()["rollout"]["plan"]["canary"].as_str().expect("an id").to_owned();
    let mut command = Command::new(program_path("hatchway"));
    let share = format!("{canary}=7%");
    command.args(["release", "hello", "--share", &share, "--etcd", &site.etcd.url()]);
    assert!(command.output().expect("the program starts").status.success());
    let status = site.phase("hands_off");
    assert_eq!(weight(&status), Some(700));

    site.rollout(&["resume", "hello"]).expect("it is hands off");
    assert_eq!(weight(&site.phase("progressing")), Some(5000), "in one step with the word");
    site.rollout(&["abort", "hello"]).expect("it goes on");
    let status = site.phase("degraded");
    assert_eq!(weight(&status), None);
    site.all_answer("stable");
    assert!(site.rollout(&["promote", "hello"]).unwrap_err().contains("over (degraded)"));

    // A second one, to the end by a word.
    let words = ["start", "hello", "--canary", &canary, "--steps", "5%:pause"];
    site.rollout(&words).expect("the first is over");
    site.phase("paused");
    site.rollout(&["promote", "hello"]).expect("it waits");
    site.phase("healthy");
    site.all_answer("canary");
}

/// Seconds since 1970, as RFC 3339 has it.
fn rfc3339(unix_s: u64) -> String {
    let mut command = Command::new("date");
    let output = command.args(["--utc", &format!("--date=@{unix_s}"), "+%FT%TZ"]).output();
    String::from_utf8_lossy(&output.expect("date is there").stdout).trim().to_owned()
}

#[test]
fn a_rollout_begins_at_the_time_it_is_told() {
    let site = Site::start(1);
    let canary = build("return 'canary';");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let folder = canary.folder().display().to_string();
    let late = format!("0%:until:{}", rfc3339(now - 60));
    let why = site.rollout(&["start", "hello", "--add", &folder, "--steps", &late]).unwrap_err();
    assert!(why.contains("(UTC) is over already"), "{why}");

    let at = now + 3;
    site.begin(&canary, &format!("0%:until:{},50%:pause", rfc3339(at)));
    let status = site.phase("paused");
    assert_eq!(done(&status), ["start", "set_weight", "passed", "set_weight", "pause"]);
    let journal = &status["rollout"]["progress"]["journal"];
    let when = |entry: usize| journal[entry]["at_unix_ms"].as_u64().expect("a time");
    assert!(when(1) < at * 1000 && when(3) >= at * 1000, "{journal:#}");
    assert_eq!(status["release"]["shares"][0]["basis_points"], 5000);
    site.rollout(&["abort", "hello"]).expect("it waits");
}
