//! Functions that die.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hatchway_tests::proc::{Process, descendants};
use hatchway_tests::{Answer, PUPPET, Project, Sandbox, Up, eventually, puppet, together};
use rustix::process::{Pid, Signal, kill_process};

/// Kills what a sandbox shows as its process; everything that ends with it.
fn kill(sandbox: &Sandbox) -> Vec<Process> {
    let pid = sandbox.pid.expect("it has a process");
    let everything = Process::with_id(pid).into_iter().chain(descendants(pid)).collect();
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id is positive");
    kill_process(pid, Signal::KILL).expect("it is alive");
    everything
}

fn project(lines: &str) -> Project {
    Project::new(&puppet("puppet", lines)).file("puppet.mjs", PUPPET)
}

/// A server that ends before it listens, which nobody can see before it is started.
const EXITS: &str = "process.stderr.write('no database\\n'); process.exit(3);";

fn dead_at_start() -> Project {
    Project::new(
        "[function.dead]\nruntime = \"command\"\ncommand = [\"node\", \"exits.js\"]\nhttp = { path = \"/dead\" }\n",
    )
    .file("exits.js", EXITS)
}

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.proxy_error(), "destination_unavailable");
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
    let problem = answer.problem();
    assert_eq!((problem.component.as_str(), problem.reason.as_str()), ("sandbox", "crashed"));
    assert!(problem.detail.contains("ended with code 3"), "{}", problem.detail);
}

#[test]
fn a_function_that_ends_at_its_start_is_answered_for_with_the_cause_and_is_not_started_per_request()
{
    let project = dead_at_start();
    let up = Up::start(&project);
    for _ in 0..50 {
        assert_unavailable(&up.get("/dead"));
    }
    let hatches = up.admin.hatches("dead");
    assert!((1.0..25.0).contains(&hatches), "{hatches} starts for 50 requests");
    assert!(up.logs_of("dead").contains("no database"), "what it said at its end is kept");
    up.stop();
}

/// What a function has printed, by the admin port.
trait Logs {
    fn logs_of(&self, function: &str) -> String;
}

impl Logs for Up {
    fn logs_of(&self, function: &str) -> String {
        let lines = self.admin.logs(&format!("function={function}&lines=1000"));
        lines.iter().filter_map(|line| line["line"].as_str()).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn a_hundred_at_once_on_a_function_that_cannot_start_are_all_told_so() {
    let project = dead_at_start();
    let up = Up::start(&project);
    let answers = together(100, |_| up.client().get("/dead"));
    answers.iter().for_each(assert_unavailable);
    up.stop();
}

#[test]
fn a_module_that_throws_is_answered_for_with_what_it_threw() {
    let manifest = "[function.broken]\nruntime = \"node\"\nmain = \"broken.js\"\nhttp = { path = \"/broken\" }\n";
    let project = Project::new(manifest).file("broken.js", "throw new Error('out of cheese')");
    let up = Up::start(&project);
    let problem = up.get("/broken").problem();
    assert_eq!((problem.status, problem.reason.as_str()), (503, "module-failed"));
    assert!(problem.detail.contains("out of cheese"), "{}", problem.detail);
    up.stop();
}

#[test]
fn a_process_that_ends_during_a_request_is_named_and_the_next_request_is_served() {
    let project = project("");
    let up = Up::start(&project);
    let answer = up.get("/puppet?do=exit&code=7");
    assert_eq!((answer.status, answer.proxy_error()), (502, "connection_terminated"));
    let problem = answer.problem();
    assert_eq!((problem.component.as_str(), problem.reason.as_str()), ("sandbox", "crashed"));
    assert!(problem.detail.contains("code 7"), "{}", problem.detail);
    up.output().wait_for("died    puppet sb-1");
    up.get("/puppet").ok();
    assert_eq!(up.admin.metrics().sum("node_deaths_total", &["how=\"code\""]), 1.0);
    up.stop();
}

#[test]
fn a_kill_of_an_idle_sandbox_is_noticed_by_no_request() {
    let project = project("");
    let up = Up::start(&project);
    // A few times only: a version whose sandboxes keep dying is hatched more slowly each time.
    for _ in 0..4 {
        up.get("/puppet").ok();
        let killed = kill(&up.admin.sandbox("puppet"));
        // Until the kernel has ended it, a request can still be given to it; the node may hear of the end later.
        eventually("its end", || killed.iter().all(|one| !one.is_alive()).then_some(()));
        up.get("/puppet").ok();
    }
    up.stop();
}

#[test]
fn a_kill_under_load_fails_what_was_in_flight_there_and_nothing_else() {
    let project = project("concurrency = 4\nmax = 4\nmin = 4");
    let up = Up::start(&project);
    eventually("four sandboxes", || {
        up.admin.sandboxes().iter().all(|one| one.phase == "idle").then_some(())?;
        (up.admin.sandboxes().len() == 4).then_some(())
    });
    let (failed, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let is_over = AtomicBool::new(false);
    let lost = std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let client = up.client();
                while !is_over.load(Ordering::Relaxed) {
                    let answer = client.get("/puppet?do=work&ms=20");
                    if answer.status == 200 {
                        served.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    assert_eq!((answer.status, answer.problem().reason.as_str()), (502, "crashed"));
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..=5 {
            let busy = eventually("a busy sandbox", || {
                up.admin
                    .sandboxes()
                    .into_iter()
                    .find(|one| one.phase == "busy" && one.in_flight > 1)
            });
            kill(&busy);
            eventually("the node's word of its death", || {
                (up.output().with("died    puppet ").len() == round).then_some(())
            });
            let served_then = served.load(Ordering::Relaxed);
            eventually("more answers", || {
                (served.load(Ordering::Relaxed) > served_then + 50).then_some(())
            });
        }
        is_over.store(true, Ordering::Relaxed);
        let lost = |line: &String| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let at = words.iter().position(|word| *word == "with")?;
            words[at + 1].parse::<usize>().ok()
        };
        up.output().with("died    puppet ").iter().filter_map(lost).sum::<usize>()
    });
    let failed = failed.load(Ordering::Relaxed);
    assert!(failed <= lost, "{failed} requests failed, {lost} were in flight on what was killed");
    up.admin.wait_in_flight("puppet", 0);
    up.stop();
}

#[test]
fn an_error_that_a_function_throws_is_its_own_answer_and_not_the_platforms() {
    let project = project("");
    let up = Up::start(&project);
    let answer = up.get("/puppet?do=throw&status=418");
    assert_eq!((answer.status, answer.header("proxy-status")), (418, ""));
    let answer = up.get("/puppet?do=throw");
    assert_eq!((answer.status, answer.header("proxy-status")), (500, ""));
    assert_eq!(up.admin.hatches("puppet"), 1.0, "a thrown error ends no process");
    up.stop();
}
