//! Where functions go while all is well: eight nodes, four gateways, five hundred functions.

use std::fmt::Write as _;

use hatchway_tests::{Client, Project, Zipf, program_path};

use super::clients::{Asked, Manner, ask};
use super::{CLIENTS, Report, WHILE, addresses, hatches};
use crate::site::Site;

const FUNCTIONS: usize = 500;
const GATEWAYS: usize = 4;
const NODES: usize = 8;

/// Room for all functions to start at once: a sandbox is planned with what its function may use until it is measured,
/// and with a few MiB then.
const MEMORY_MIB: &str = "700";

const MANNER: Manner = Manner { clients: CLIENTS, per_second: None, long: WHILE };

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

pub(crate) fn measure(report: &mut Report) {
    let site = &Site::told(project(), NODES, GATEWAYS, &["--memory-mib", MEMORY_MIB]);
    // Every function once by every gateway: what is cold once is cold no more.
    for gateway in &site.gateways {
        let client = Client::new(gateway.address);
        for n in 0..FUNCTIONS {
            let answer = client.get(&format!("/f{n}/64"));
            assert_eq!(answer.status, 200, "f{n}: {}", answer.text());
        }
    }
    let nodes: usize = site.nodes_of(FUNCTIONS).iter().sum();
    let spread = nodes as f64 / FUNCTIONS as f64;
    report.row("nodes per function, asked by 4 gateways", "<= 1.1", &format!("{spread:.3}"));
    report.row("memory of all nodes that is taken", "-", &format!("{:.0} %", used(site)));

    let zipf = Zipf::new(FUNCTIONS);
    let zipf = |draw: &mut _| format!("/f{}/64", zipf.draw(draw));
    let warm = |gateways: &[_]| {
        let before = hatches(site);
        let asked = sound(ask(gateways, MANNER, zipf));
        let cold = hatches(site) - before;
        (100.0 * (1.0 - cold / asked.count() as f64), asked.rate())
    };
    let (by_all, rate) = warm(&addresses(site));
    let (by_one, _) = warm(&addresses(site)[..1]);
    report.row(
        "warm hits, 500 functions by Zipf, 4 gateways",
        ">= 99.5 %, one gateway less 0.3",
        &format!("{by_all:.2} % (one gateway: {by_one:.2} %), {rate:.0}/s"),
    );

    let of = |functions: u64| {
        sound(ask(&addresses(site), MANNER, |draw| format!("/f{}/64", draw.below(functions))))
            .rate()
    };
    // Interleaved: this machine is not always as fast.
    let (one, many) = (0..3).fold((0.0, 0.0), |(one, many), _| (one + of(1), many + of(500)));
    report.row(
        "throughput of 500 functions, over that of one",
        ">= 0.90",
        &format!("{:.2} ({:.0}/s of {:.0}/s)", many / one, many / 3.0, one / 3.0),
    );
}

/// Of what all nodes may use, in percent.
fn used(site: &Site) -> f64 {
    let metrics = site.gateways[0].admin.metrics();
    metrics.sum("gateway_node_used_permille", &[]) / NODES as f64 / 10.0
}

#[track_caller]
fn sound(asked: Asked) -> Asked {
    assert!(asked.failures.is_empty(), "{:#?}", &asked.failures[..asked.failures.len().min(5)]);
    asked
}
