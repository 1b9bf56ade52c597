//! What a person reads while `hatchway up` runs: where functions are, what is hatched and reaped, what
//! functions print.

use std::sync::Arc;

use hatchway_gateway::admin::urls;
use hatchway_gateway::catalog::Snapshot;
use hatchway_node::logs::LogLine;
use hatchway_node::pool::PoolEvent;
use hatchway_proto::name::FunctionName;
use hatchway_sandbox::Grants;
use hatchway_wire::listen::Address;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::output::{self, short_name};
use crate::project::Project;

/// A reader of our output that has left is no reason to stop serving.
fn say(line: &str) {
    let _ = output::line(line);
}

/// What the machine does not give.
pub(super) fn isolation(grants: &Grants) {
    for (step, why) in grants.missing() {
        say(&format!("isolation: no {step}: {why}"));
    }
}

/// Where the same functions are behind TLS.
pub(super) fn tls(address: &Address) {
    say(&format!("tls              https://{address}"));
}

/// Where every function is, with a line to try.
pub(super) fn ready(project: &Project, snapshot: &Snapshot, listen: &str, admin: &str) {
    for function in &project.functions {
        for url in urls(snapshot, &function.name, listen) {
            let name = short_name(&function.name);
            say(&format!("{name:<16} {url}\n{:<16}   {}", "", curl(&url, listen)));
        }
    }
    say(&format!("admin            {admin}\nready"));
}

/// A curl line that works without a resolver: the host of the URL is looked up nowhere.
fn curl(url: &str, listen: &str) -> String {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split(['/', ':']).next());
    match host {
        Some(host) if !listen.starts_with(host) => {
            let port = listen.rsplit(':').next().unwrap_or("80");
            let address = listen.strip_suffix(port).unwrap_or(listen).trim_end_matches(':');
            format!("curl --resolve {host}:{port}:{address} {url}")
        }
        Some(_) | None => format!("curl {url}"),
    }
}

/// One line for each hatch and each end of a sandbox.
pub(super) fn event(event: &PoolEvent) {
    let of = event.of();
    let who = format!("{} {}", short_name(&of.function), of.sandbox);
    match event {
        // `up` ends with all that it has started.
        PoolEvent::Hatching { .. } | PoolEvent::Adopted { .. } | PoolEvent::Left { .. } => {}
        PoolEvent::Hatched { phases, took, .. } => {
            let parts: Vec<_> = phases
                .0
                .iter()
                .map(|(name, spent)| format!("{name} {:.1}", spent.as_secs_f64() * 1000.0))
                .collect();
            let took = took.as_secs_f64() * 1000.0;
            say(&format!("hatched {who} in {took:.1} ms ({})", parts.join(", ")));
        }
        PoolEvent::HatchFailed { failure, .. } => say(&format!("failed  {who}: {failure}")),
        PoolEvent::Reaped { why, lived, served, .. } => say(&format!(
            "reaped  {who} ({why}) after {:.1} s and {served} requests",
            lived.as_secs_f64()
        )),
        PoolEvent::Died { exit, in_flight, .. } => {
            say(&format!("died    {who}: {exit}, with {in_flight} requests under way"));
        }
    }
}

/// A reload took effect.
pub(super) fn reloaded(before: &Project, after: &Project) {
    let version_of = |project: &Project, name: &FunctionName| {
        project.functions.iter().find(|function| function.name == *name).map(|f| f.version)
    };
    for function in &after.functions {
        let old = version_of(before, &function.name);
        if old != Some(function.version) {
            let verb = if old.is_some() { "reload " } else { "new    " };
            say(&format!("{verb} {} is now {}", short_name(&function.name), function.version));
        }
    }
    for function in &before.functions {
        if version_of(after, &function.name).is_none() {
            say(&format!("gone    {}", short_name(&function.name)));
        }
    }
}

/// The end begins.
pub(super) fn draining() {
    say("draining: running requests finish, then every sandbox ends");
}

/// Prints what functions print.
pub(super) async fn lines(mut lines: Receiver<Arc<LogLine>>) {
    loop {
        match lines.recv().await {
            Ok(line) => say(&format!("[{}] {}", short_name(&line.function), line.line)),
            Err(RecvError::Lagged(missed)) => say(&format!("({missed} lines were too fast)")),
            Err(RecvError::Closed) => return,
        }
    }
}
