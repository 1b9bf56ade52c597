//! Nodes that are there for a lane: its requests go to them, and to others only while none of them is up.

use hatchway_tests::{GatewayProgram, eventually};
use serde_json::Value;

use crate::site::{Site, state};

/// Functions `f0` at `/f0`, and at `/blue` in the lane blue; the third node is there for that lane.
fn site() -> Site {
    let mut site = Site::start(1, 2, 2);
    site.etcd.put("routes/blue", r#"{"path": "/blue", "function": "local/f0", "lane": "blue"}"#);
    site.add_node_with(&["--label", "lane=blue"]);
    for gateway in &site.gateways {
        eventually("the rules", || (explained(gateway)["lane"] == "blue").then_some(()));
    }
    site
}

/// Why a request for `/blue` goes where it goes.
fn explained(gateway: &GatewayProgram) -> Value {
    gateway.admin.get("/v1/explain?url=http%3A%2F%2Fh%2Fblue").ok()
}

fn placed(gateway: &GatewayProgram) -> String {
    let steps = explained(gateway)["steps"].clone();
    let place =
        steps.as_array().and_then(|steps| steps.iter().find(|step| step["stage"] == "place"));
    place.expect("a place is told").to_string()
}

/// Requests that each node has run.
fn served(site: &Site) -> Vec<u64> {
    let of =
        |host: &crate::site::Host| host.node.admin.sandboxes().iter().map(|one| one.requests).sum();
    site.hosts.iter().map(of).collect()
}

#[test]
fn requests_of_a_lane_go_to_its_nodes_and_to_others_while_none_is_up() {
    let site = &mut site();
    for gateway in &site.gateways {
        assert!(placed(gateway).contains("of the nodes of lane blue"), "{}", placed(gateway));
        (0..10).for_each(|_| _ = gateway.get("/blue").ok());
        (0..5).for_each(|_| _ = gateway.get("/f0").ok());
    }
    eventually("all are counted", || {
        let served = served(site);
        assert!(served[2] <= 20 && served[0] + served[1] <= 10, "{served:?}");
        (served[2] == 20 && served[0] + served[1] == 10).then_some(())
    });

    let blue = site.hosts.pop().expect("it is the last");
    blue.node.stop();
    for gateway in &site.gateways {
        (0..5).for_each(|_| _ = gateway.get("/blue").ok());
        eventually("it has left", || state(gateway, "node-2").is_none().then_some(()));
        assert!(placed(gateway).contains("no node of lane blue is up"), "{}", placed(gateway));
    }

    site.add_node_with(&["--label", "lane=blue"]);
    for gateway in &site.gateways {
        eventually("its requests are back on it", || {
            let before = served(site)[2];
            (0..5).for_each(|_| _ = gateway.get("/blue").ok());
            (served(site)[2] >= before + 5).then_some(())
        });
    }
}
