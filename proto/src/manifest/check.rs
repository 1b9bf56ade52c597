//! From the manifest as written to the manifest as checked: one file, one function after the other.

use super::defaults;
use super::egress;
use super::limits;
use super::read::{At, Given, Report};
use super::run;
use super::trigger;
use super::warmup;
use super::written::{Document, FunctionTable};
use super::{Function, Manifest, Places};
use crate::catalog;
use crate::name::{FunctionName, TenantName};

/// Checks a whole document. Mistakes go to the report; what they leave whole is in the answer.
pub(super) fn manifest(document: Document, report: &mut Report<'_>) -> Manifest {
    let project = document.project.value().unwrap_or_default();
    let tenant = project.tenant.value().unwrap_or_else(TenantName::local);
    if document.function.is_absent() {
        let end = report.source.text().len();
        let help = "add a table such as `[function.hello]`";
        report.wrong_with_help(&(end..end), "the manifest has no function", help);
    }
    let written = document.function.value().unwrap_or_default().0;
    let functions =
        written.into_iter().filter_map(|(name, table)| function(&tenant, &name, table, report));
    Manifest {
        functions: functions.collect(),
        name: project.name.value().map(|label| label.0),
        tenant,
        source: report.source.clone(),
    }
}

fn function(
    tenant: &TenantName,
    at_name: &At<String>,
    table: FunctionTable,
    report: &mut Report<'_>,
) -> Option<Function> {
    let name = FunctionName::new(tenant, &at_name.value)
        .map_err(|error| report.wrong(&at_name.span, error.to_string()))
        .ok();
    let run = run::runtime(at_name, &table, report);
    let protocol = run::protocol(&table, report);
    let routes = trigger::routes(at_name, &table.http, report);
    let resources = limits::resources(&table, report);
    let clocks = limits::clocks(&table.timeouts, report);
    let scale = limits::scale(&table, report);
    let settings = settings(&table, report);
    if let Some(name) = &name {
        for mistake in settings.mistakes(name) {
            let is_growth = mistake.field.starts_with("growth");
            let span = if is_growth { table.growth.span() } else { table.degrade.span() };
            report.wrong(&span.unwrap_or_else(|| at_name.span.clone()), mistake.to_string());
        }
    }
    let assets = assets(&table.assets, report);
    let (network, egress) = egress::network(&table, report);
    let warmup = warmup::paths(&table, protocol, report);
    let places = Places {
        name: at_name.span.clone(),
        runtime: run.as_ref().map(|at| at.span.clone()).unwrap_or_default(),
        package: table.package.span().unwrap_or_else(|| at_name.span.clone()),
        assets: table.assets.span(),
        routes: routes.iter().map(|route| route.span.clone()).collect(),
    };
    let name = name?;
    let mirror = mirror(&name, &table.mirror, report);
    let route = |at: At<trigger::Trigger>| at.value.route(name.clone());
    Some(Function {
        routes: routes.into_iter().map(route).collect(),
        name: name.clone(),
        package: table.package.value().map_or_else(|| ".".to_owned(), |path| path.0),
        runtime: run?.value,
        settings,
        mirror,
        resources,
        scale,
        idle_timeout: table.idle_timeout.value().map_or(defaults::IDLE_TIMEOUT, |span| span.0),
        clocks,
        env: table.env.value().unwrap_or_default().0,
        network,
        egress,
        protocol,
        assets,
        warmup,
        places,
    })
}

fn settings(table: &FunctionTable, report: &mut Report<'_>) -> catalog::Function {
    catalog::Function {
        rate_per_second: limits::within(&table.rate, "rate", 1, u32::MAX, report),
        max_in_flight: limits::within(&table.max_in_flight, "max_in_flight", 1, u32::MAX, report),
        queue_depth: limits::within(&table.queue, "queue", 1, defaults::MAX_QUEUE, report)
            .unwrap_or(catalog::DEFAULT_QUEUE_DEPTH),
        server_timing: table.server_timing.as_right().is_some_and(|flag| flag.value),
        degrade: table
            .degrade
            .as_right()
            .map(|list| list.value.0.clone().into())
            .unwrap_or_default(),
        growth: table.growth.as_right().map(|growth| growth.value.clone()).into(),
    }
}

fn mirror(
    name: &FunctionName,
    mirror: &Given<catalog::Mirror>,
    report: &mut Report<'_>,
) -> Option<catalog::Mirror> {
    let At { span, value } = mirror.as_right()?;
    for mistake in value.mistakes(name) {
        report.wrong(span, mistake.to_string());
    }
    if value.version.is_some() {
        let message = "versions are made of a manifest, and none is known in it";
        report.wrong_with_help(span, message, "name another function");
    }
    Some(value.clone())
}

fn assets(assets: &Given<super::entry::Inside>, report: &mut Report<'_>) -> Option<String> {
    let At { span, value } = assets.as_right()?;
    if value.0 == "." {
        let message = "the whole package would be public, its source and settings too";
        report.wrong_with_help(span, message, "put what is public in a folder such as \"public\"");
        return None;
    }
    Some(value.0.clone())
}
