//! Envoy with one worker, and without what it counts per request by default.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Certificate, Running, Site, free_address};
use crate::child::{find, output_of};
use crate::error::{BenchError, During as _, Result};
use crate::front::Front;

/// On the path, or inside the wheel that `make setup-bench` has installed.
fn program(site: &Site) -> Result<PathBuf> {
    if let Ok(found) = find("envoy") {
        return Ok(found);
    }
    let versions = fs::read_dir(site.envoy.join("lib")).into_iter().flatten().flatten();
    let mut inside = versions.map(|python| python.path().join("site-packages/envoy/_bin/envoy"));
    let found = inside.find(|file| file.is_file());
    found.ok_or_else(|| BenchError::NotInstalled { program: "envoy".to_owned() })
}

pub(super) fn version(site: &Site) -> Result<String> {
    let said = output_of(Command::new(program(site)?).arg("--version"))?;
    let behind_hash = said.rsplit_once("version:").and_then(|(_, rest)| rest.split('/').nth(1));
    Ok(behind_hash.unwrap_or_default().to_owned())
}

pub(super) fn start(site: &Site, front: Front) -> Result<Running> {
    let address = free_address()?;
    let mut chain = serde_json::json!({ "filters": [{
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": connection_manager(),
    }] });
    if front.is_tls() {
        chain["transport_socket"] = tls(&Certificate::of(site)?);
    }
    let configuration = serde_json::json!({
        "static_resources": {
            "listeners": [{
                "address": socket_address(address.ip().to_string(), address.port()),
                "filter_chains": [chain],
            }],
            "clusters": [{
                "name": "function",
                "connect_timeout": "10s",
                "load_assignment": { "cluster_name": "function", "endpoints": [{ "lb_endpoints": [
                    { "endpoint": { "address": { "pipe": { "path": site.function_socket() } } } },
                ] }] },
                "circuit_breakers": { "thresholds": [
                    { "max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000 },
                ] },
            }],
        },
    });
    let file = site.dir.join("envoy.json");
    fs::write(&file, configuration.to_string()).at("write", &file)?;
    let mut command = Command::new(program(site)?);
    command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"]);
    command.arg(&file);
    Running::in_front(site, "envoy", address, command)
}

fn tls(pair: &Certificate) -> serde_json::Value {
    let package = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
    serde_json::json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": format!("{package}.DownstreamTlsContext"),
            "common_tls_context": { "tls_certificates": [{
                "certificate_chain": { "filename": pair.certificate },
                "private_key": { "filename": pair.key },
            }] },
        },
    })
}

fn socket_address(ip: String, port: u16) -> serde_json::Value {
    serde_json::json!({ "socket_address": { "address": ip, "port_value": port } })
}

fn connection_manager() -> serde_json::Value {
    let package = "type.googleapis.com/envoy.extensions.filters";
    serde_json::json!({
        "@type": format!("{package}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "bench",
        "use_remote_address": true,
        "generate_request_id": true,
        "stream_idle_timeout": "0s",
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": format!("{package}.http.router.v3.Router"),
                "dynamic_stats": false,
                "suppress_envoy_headers": true,
            },
        }],
        "route_config": { "virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "function", "timeout": "0s" } }],
        }] },
    })
}
