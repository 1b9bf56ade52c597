//! What a function may use, and that nobody else notices when it wants more.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use hatchway_tests::{PUPPET, Project, Up, eventually, proc, puppet, skipped};

const FORKS: &str = include_str!("functions/forks.py");

fn project(manifest: &str) -> Project {
    Project::new(manifest).file("puppet.mjs", PUPPET).file("forks.py", FORKS)
}

/// Whether limits are enforced here; says so when they are not.
fn has_groups(up: &Up, test: &str) -> bool {
    let has = !up.admin.lacks("control group");
    if !has {
        skipped(test, "control groups");
    }
    has
}

/// The control group of a process for one controller, wherever that is mounted.
fn group_file(pid: u32, controller: &str, file: &str) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, path) = (parts.next()?, parts.next()?);
        let is_v2 = names.is_empty();
        if !is_v2 && !names.split(',').any(|name| name == controller) {
            continue;
        }
        for mount in mounts.lines() {
            let (place, kind) = mount.split_once(" - ")?;
            let is_it = if is_v2 {
                kind.starts_with("cgroup2 ")
            } else {
                kind.starts_with("cgroup ")
                    && kind.split([',', ' ']).any(|option| option == controller)
            };
            let folder = place.split(' ').nth(4)?;
            let found = PathBuf::from(format!("{folder}{path}")).join(file);
            if is_it && found.exists() {
                return Some(found);
            }
        }
    }
    None
}

#[test]
fn a_memory_hog_dies_alone_with_oom_in_the_answer() {
    let project = project(&(puppet("hog", "memory = \"96MiB\"") + &puppet("neighbour", "")));
    let up = Up::start(&project);
    if !has_groups(&up, "a_memory_hog_dies_alone_with_oom_in_the_answer") {
        return;
    }
    let neighbour = up.get("/neighbour").ok()["pid"].clone();
    let before = proc::resident_bytes(up.pid());

    let answer = up.get("/hog?do=eat&mib=384");
    assert_eq!((answer.status, answer.proxy_error()), (502, "http_response_incomplete"));
    let problem = answer.problem();
    assert_eq!((problem.component.as_str(), problem.reason.as_str()), ("sandbox", "oom"));
    eventually("its death in the metrics", || {
        (up.admin.metrics().sum("node_deaths_total", &["how=\"oom\""]) == 1.0).then_some(())
    });

    assert_eq!(up.get("/neighbour").ok()["pid"], neighbour, "the neighbour is the same process");
    let grown = proc::resident_bytes(up.pid()).saturating_sub(before);
    assert!(grown < 8 << 20, "the daemon has grown by {grown} bytes");
    up.get("/hog").ok();
    up.stop();
}

#[test]
fn a_function_that_does_not_fit_its_limit_at_all_says_oom_at_its_start() {
    let project = project(&puppet("large", "memory = \"4MiB\"\ntmp = \"1MiB\""));
    let up = Up::start(&project);
    if !has_groups(&up, "a_function_that_does_not_fit_its_limit_at_all_says_oom_at_its_start") {
        return;
    }
    let answer = up.get("/large");
    assert_eq!((answer.status, answer.problem().reason.as_str()), (503, "oom"));
    up.stop();
}

fn forks(lines: &str) -> String {
    format!(
        "[function.forks]\nruntime = \"python\"\nhandler = \"forks.py#run\"\nhttp = {{ path = \"/forks\" }}\n{lines}\n"
    )
}

#[test]
fn processes_are_counted_and_the_one_too_many_is_refused_to_the_function_alone() {
    let project = project(&(forks("pids = 24") + &puppet("neighbour", "")));
    let up = Up::start(&project);
    if !has_groups(&up, "processes_are_counted") {
        return;
    }
    let forked = up.get("/forks?do=fork&count=1000").ok()["forked"].as_u64();
    assert!((1..24).contains(&forked.expect("a number")), "{forked:?}");
    up.get("/neighbour").ok();
    // The children of a function end with it: the audit counts them all.
    up.stop();
}

#[test]
fn a_fork_bomb_is_contained_and_gone_with_its_sandbox() {
    let manifest = forks("pids = 32\nmax = 1") + &puppet("neighbour", "idle_timeout = \"1ms\"");
    let project = project(&manifest);
    let mut up = Up::start(&project);
    if !has_groups(&up, "a_fork_bomb_is_contained_and_gone_with_its_sandbox") {
        return;
    }
    up.get("/forks?do=bomb").ok();
    let pid = up.admin.sandbox("forks").pid.expect("it runs");
    let current = group_file(pid, "pids", "pids.current").expect("a group for pids");
    let count = || fs::read_to_string(&current).ok()?.trim().parse::<u64>().ok();
    // By the kernel's own count: its processes come and go, and who looks now and then may never see all of them.
    let events = group_file(pid, "pids", "pids.events").expect("a group for pids");
    eventually("a bomb that has hit its limit", || {
        let text = fs::read_to_string(&events).ok()?;
        let hits: u64 = text.strip_prefix("max ")?.trim().parse().ok()?;
        (hits > 0).then_some(())
    });
    let seen = count().expect("it runs");
    assert!(seen <= 33, "{seen} processes with pids = 32, and our reaper");
    let everything = up.traces().clone();
    for _ in 0..3 {
        // A hatch is a fork: the machine still has processes to give.
        up.get("/neighbour").ok();
        up.output().wait_for("reaped  neighbour ");
    }
    up.stop();
    everything.assert_none("after the end");
    assert!(!current.exists(), "its group is still there");
}

#[test]
fn a_spinner_gets_its_share_of_a_core_and_no_more() {
    let project = project(&puppet("spinner", "cpu = \"200m\""));
    let up = Up::start(&project);
    if !has_groups(&up, "a_spinner_gets_its_share_of_a_core_and_no_more") {
        return;
    }
    up.get("/spinner").ok();
    let pid = up.admin.sandbox("spinner").pid.expect("it runs");
    let stat = group_file(pid, "cpu", "cpu.stat").expect("a group for cpu");
    let counter = |name: &str| -> u64 {
        let text = fs::read_to_string(&stat).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
    };
    let (throttled, periods) = (counter("nr_throttled "), counter("nr_periods "));
    let begun = Instant::now();
    up.get("/spinner?do=spin&ms=400").ok();
    let elapsed_ms = begun.elapsed().as_millis();
    assert!(counter("nr_throttled ") > throttled, "it was never held back");
    // By the kernel's own count of periods: a fifth of each, so more than three of them for what was used.
    let used = counter("nr_periods ") - periods;
    assert!(used >= 15, "400 ms of processor time within {used} periods of 100 ms");
    assert!(elapsed_ms >= 1500, "400 ms of processor time at a fifth of a core in {elapsed_ms} ms");
    up.stop();
}

/// What the groups of a daemon may use of the processor, in microseconds per period; those without a limit left out.
fn quotas(groups: &[PathBuf]) -> Vec<u64> {
    let (mut found, mut folders) = (Vec::new(), groups.to_vec());
    while let Some(folder) = folders.pop() {
        for file in ["cpu.cfs_quota_us", "cpu.max"] {
            let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
            found.extend(text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()));
        }
        let inner = fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(inner.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    found
}

#[test]
fn a_start_has_two_cores_until_it_has_answered_and_then_its_limit() {
    let manifest = "[function.slow]\nruntime = \"node\"\nhandler = \"slow.mjs#run\"\n\
        http = { path = \"/slow\" }\ncpu = \"100m\"\ntimeouts = { start = \"60s\" }\n";
    let project = project(manifest).file(
        "slow.mjs",
        "import { existsSync } from 'node:fs';\n\
         const go = new URL('./go', import.meta.url);\n\
         while (!existsSync(go)) await new Promise((next) => setTimeout(next, 5));\n\
         export const run = () => ({ ran: true });\n",
    );
    let mut up = Up::start(&project);
    if !has_groups(&up, "a_start_has_two_cores_until_it_has_answered_and_then_its_limit") {
        return;
    }
    let groups = up.traces().groups();
    let has = |quota: u64| quotas(&groups).contains(&quota).then_some(());
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| up.client().get("/slow").ok());
        eventually("two cores for the start", || has(200_000));
        project.write("go", "");
        assert_eq!(caller.join().expect("it is answered")["ran"], true);
    });
    eventually("the limit of the function", || has(10_000));
    assert_eq!(has(200_000), None, "nobody starts any more");
    up.stop();
}

#[test]
fn open_files_end_at_their_limit_and_the_daemon_has_its_own() {
    let project = project(&(forks("files = 64") + &puppet("neighbour", "")));
    let up = Up::start(&project);
    let opened = up.get("/forks?do=open&count=100000").ok()["opened"].as_u64();
    assert!((1..64).contains(&opened.expect("a number")), "{opened:?}");
    up.get("/neighbour").ok();
    up.stop();
}

#[test]
fn a_full_tmp_is_full_for_its_function_alone() {
    let project = project(&(forks("tmp = \"2MiB\"") + &puppet("neighbour", "")));
    let up = Up::start(&project);
    if up.admin.lacks("root") {
        return skipped("a_full_tmp_is_full_for_its_function_alone", "a root of its own");
    }
    let written = up.get("/forks?do=fill&mib=64").ok()["written"].as_u64();
    assert!(written.is_some_and(|bytes| bytes <= 2 << 20), "{written:?}");
    up.get("/neighbour").ok();
    up.stop();
}

#[test]
fn output_without_end_is_dropped_beyond_its_rate_and_nothing_waits_for_it() {
    let project = project(&puppet("puppet", ""));
    let up = Up::start(&project);
    up.get("/puppet").ok();
    let before = proc::resident_bytes(up.pid());
    up.get("/puppet?do=print&line=noise&count=200000").ok();
    eventually("dropped lines", || {
        (up.admin.metrics().sum("node_log_lines_dropped_total", &[]) > 0.0).then_some(())
    });
    assert!(up.admin.logs("function=puppet&lines=5000").len() <= 1000);
    let grown = proc::resident_bytes(up.pid()).saturating_sub(before);
    assert!(grown < 8 << 20, "the daemon has grown by {grown} bytes");
    up.stop();
}

/// A node holds files for every sandbox, and most systems start programs with room for a thousand.
#[test]
fn the_daemon_and_its_spawner_open_as_many_files_as_they_may_and_a_function_does_not() {
    let project = project(&puppet("puppet", "files = 96"));
    let up = Up::start(&project);
    up.get("/puppet").ok();
    let limits = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/limits")).expect("it runs");
        let line = text.lines().find(|line| line.starts_with("Max open files")).expect("a line");
        let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
        [numbers[0].to_owned(), numbers[1].to_owned()]
    };
    let spawner = proc::descendants(up.pid()).into_iter().find(|one| {
        let name = fs::read_to_string(format!("/proc/{}/comm", one.pid)).unwrap_or_default();
        name.starts_with("hatchway-spawne")
    });
    for pid in [up.pid(), spawner.expect("it was started").pid] {
        let [soft, hard] = limits(pid);
        assert_eq!(soft, hard);
    }
    let function = up.admin.sandbox("puppet").pid.expect("it runs");
    assert_eq!(limits(function), ["96", "96"]);
    up.stop();
}
