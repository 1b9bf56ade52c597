//! `make bench-cluster`: four gateways and eight nodes on one machine, five hundred functions.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hatchway_tests::{Client, Project, eventually, program_path, together};

use crate::draw::{Draw, Zipf};
use crate::load::Load;
use crate::site::Site;

const FUNCTIONS: usize = 500;
const GATEWAYS: usize = 4;
const NODES: usize = 8;
const CLIENTS: usize = 16;

/// Of one measurement.
const WHILE: Duration = Duration::from_secs(10);

fn project() -> Project {
    let mut manifest = String::new();
    for n in 0..FUNCTIONS {
        write!(
            manifest,
            "[function.f{n}]\nruntime = \"command\"\ncommand = [\"./server\"]\nmemory = \"16MiB\"\ntmp = \"1MiB\"\n\
             http = {{ path = \"/f{n}\" }}\nidle_timeout = \"120s\"\nconcurrency = 16\nmax = 4\n\n"
        )
        .expect("a string takes every write");
    }
    Project::new(&manifest).program("server", &program_path("hatchway-bench-function"))
}

/// Requests of clients that ask as fast as they are answered: how many, how long each took, and what failed.
#[derive(Default)]
struct Asked {
    times: Vec<Duration>,
    failures: Vec<String>,
}

/// Asks for `long`, each client by all gateways in turn; `choose` says for which function.
fn ask(site: &Site, long: Duration, choose: impl Fn(&mut Draw) -> usize + Sync) -> Asked {
    let all = Mutex::new(Asked::default());
    let end = Instant::now() + long;
    together(CLIENTS, |client| {
        let mut draw = Draw::new(client as u64 + 1);
        let clients: Vec<_> =
            site.gateways.iter().map(|gateway| Client::new(gateway.address)).collect();
        let mut mine = Asked::default();
        for turn in 0.. {
            let began = Instant::now();
            if began >= end {
                break;
            }
            let path = format!("/f{}/64", choose(&mut draw));
            match clients[turn % clients.len()].request("GET", &path, &[], b"") {
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) => mine.failures.push(format!("{} {}", answer.status, answer.text())),
                Err(error) => mine.failures.push(error.to_string()),
            }
            mine.times.push(began.elapsed());
        }
        let all = &mut *all.lock().expect("nobody panics with it");
        all.times.append(&mut mine.times);
        all.failures.append(&mut mine.failures);
    });
    let mut all = all.into_inner().expect("all have ended");
    all.times.sort_unstable();
    all
}

impl Asked {
    fn p99(&self) -> Duration {
        self.times[self.times.len() * 99 / 100]
    }
}

fn hatches(site: &Site) -> f64 {
    let of = |n: usize| site.hosts[n].node.admin.metrics().sum("node_hatches_total", &[]);
    (0..site.hosts.len()).map(of).sum()
}

#[test]
#[ignore = "takes minutes, of an optimised build: make bench-cluster runs it"]
fn figures_of_a_cluster_on_one_machine() {
    let site = &mut Site::over(project(), NODES, GATEWAYS);
    let zipf = Zipf::new(FUNCTIONS);
    let mut report = String::from("| | |\n|---|--:|\n");
    let mut row = |what: &str, figure: String| {
        println!("{what}: {figure}");
        let _ = writeln!(report, "| {what} | {figure} |");
    };

    // Every function once by every gateway: what is cold once is cold no more.
    for gateway in &site.gateways {
        (0..FUNCTIONS).for_each(|n| assert_eq!(gateway.get(&format!("/f{n}/64")).status, 200));
    }
    let nodes = site.nodes_of(FUNCTIONS);
    let spread = nodes.iter().sum::<usize>() as f64 / FUNCTIONS as f64;
    row("nodes per function, every gateway has asked for each", format!("{spread:.3}"));

    let before = hatches(site);
    let many = ask(site, WHILE, |draw| zipf.draw(draw));
    let cold = hatches(site) - before;
    let warm = 100.0 * (1.0 - cold / many.times.len() as f64);
    row("warm hits, 500 functions by Zipf, %", format!("{warm:.3} of {}", many.times.len()));
    assert!(many.failures.is_empty(), "{:?}", &many.failures[..1]);

    let one = ask(site, WHILE, |_| 0);
    let even = ask(site, WHILE, |draw| {
        usize::try_from(draw.below(FUNCTIONS as u64)).expect("there are fewer functions")
    });
    let ratio = even.times.len() as f64 / one.times.len() as f64;
    row("throughput of 500 functions evenly, over that of one", format!("{ratio:.2}"));

    let victim = site.hosts.remove(0);
    let failed = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(site, WHILE, |draw| zipf.draw(draw)));
        eventually("it is under way", || {
            (victim.node.admin.sandboxes().iter().any(|one| one.requests > 0)).then_some(())
        });
        victim.node.kill();
        asking.join().expect("it does not panic")
    });
    row(
        "kill -9 of one of 8 nodes under load: failed, of all",
        format!(
            "{} of {}, p99 {:.1} ms",
            failed.failures.len(),
            failed.times.len(),
            failed.p99().as_secs_f64() * 1e3
        ),
    );

    let answers = together(100, |n| {
        let client = Client::new(site.gateways[n % GATEWAYS].address);
        let burst = |_| client.request("GET", "/f499/64", &[], b"").is_ok_and(|a| a.status == 200);
        (0..10).map(burst).filter(|is_ok| *is_ok).count()
    });
    row(
        "a burst of 1,000 on one function: answered 200",
        answers.iter().sum::<usize>().to_string(),
    );

    let addresses = |site: &Site| site.gateways.iter().map(|gateway| gateway.address).collect();
    let load = Load::start(8, 100, addresses(site));
    load.go_on(1000);
    for _ in 0..site.hosts.len() {
        site.add_node();
        site.hosts.remove(0).node.stop();
        load.go_on(200);
    }
    for _ in 0..GATEWAYS {
        let next = site.gateway(&[]);
        site.gateways.push(next);
        let leaving = site.gateways.remove(0);
        load.spread_over(addresses(site));
        leaving.stop();
        load.go_on(200);
    }
    let (asked, failures) = load.end();
    row(
        "every node and gateway replaced under load: failed, of all",
        format!("{} of {asked}", failures.len()),
    );
    println!("\n{report}");
    assert!(failures.is_empty(), "{failures:#?}");
}
