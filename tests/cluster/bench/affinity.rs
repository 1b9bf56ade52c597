//! Where functions go while all is well: eight nodes, four gateways, five hundred functions.

use hatchway_tests::Zipf;

use super::clients::ask;
use super::functions::{self, FUNCTIONS};
use super::{GATEWAYS, MANNER, NODES, Report, addresses, hatches, sound};
use crate::site::Site;

/// What each node may use, so that all functions together need about half of it: a sandbox takes 0.4 MiB. With less, the 4 MiB that
/// each is planned with until it is measured are a tenth of a node, and starts push out what they are compared with.
const MEMORY_MIB: usize = 56;

pub(crate) fn measure(report: &mut Report) {
    let site = &functions::start(MEMORY_MIB, GATEWAYS);
    let used = used(site);
    let mean = used.iter().sum::<f64>() / NODES as f64;
    let fullest = used.iter().copied().fold(0.0, f64::max);
    report.row(
        "memory of all nodes that is taken, and of the fullest",
        "60 %",
        &format!("{mean:.0} %, {fullest:.0} %"),
    );
    let nodes: usize = site.nodes_of(FUNCTIONS).iter().sum();
    let spread = nodes as f64 / FUNCTIONS as f64;
    report.row("nodes per function, asked by 4 gateways", "<= 1.1", &format!("{spread:.3}"));

    let zipf = Zipf::new(FUNCTIONS);
    let warm = |gateways: &[_]| {
        let before = hatches(site);
        let asked = sound(ask(gateways, MANNER, |draw| functions::path(zipf.draw(draw))));
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
    let nodes: usize = site.nodes_of(FUNCTIONS).iter().sum();
    let spread = nodes as f64 / FUNCTIONS as f64;
    report.row("nodes per function after that", "<= 1.1", &format!("{spread:.3}"));
}

/// Of what each node may use, in percent.
fn used(site: &Site) -> Vec<f64> {
    let metrics = site.gateways[0].admin.metrics();
    let of = |host: &crate::site::Host| {
        let label = format!("node=\"{}\"", host.name);
        metrics.sum("gateway_node_used_permille", &[&label]) / 10.0
    };
    site.hosts.iter().map(of).collect()
}
