//! The network of a function: what it sees of it, and where it may go.

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::DeValue;

use super::read::{Field, Given, Kind, Report, wrong_type};
use super::written::FunctionTable;
use crate::catalog::{Egress, Network};

/// `["api.example.com:443", "*.example.com"]`.
#[derive(Clone, Debug, Default)]
pub(super) struct EgressList(Vec<Egress>);

impl Kind for EgressList {
    fn read(value: &Spanned<DeValue<'_>>, field: &Field, report: &mut Report<'_>) -> Option<Self> {
        let Some(array) = value.get_ref().as_array() else {
            return wrong_type(value, field, "a list of strings", report);
        };
        if array.len() > Egress::MOST {
            let message = format!("`egress` has {} lines", array.len());
            let help = format!("write at most {}, or one for a whole domain", Egress::MOST);
            report.wrong_with_help(&value.span(), message, help);
            return None;
        }
        let lines: Vec<_> = array.iter().map(|line| read_line(line, field, report)).collect();
        lines.into_iter().collect::<Option<_>>().map(Self)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let line = json_schema!({ "type": "string", "pattern": Egress::PATTERN });
        json_schema!({ "type": "array", "items": line, "maxItems": Egress::MOST })
    }
}

fn read_line(
    line: &Spanned<DeValue<'_>>,
    field: &Field,
    report: &mut Report<'_>,
) -> Option<Egress> {
    let Some(text) = line.get_ref().as_str() else {
        return wrong_type(line, field, "a list of strings", report);
    };
    text.parse().map_err(|why: String| report.wrong(&line.span(), why)).ok()
}

/// What network a function sees, and where it may go in it.
pub(super) fn network(table: &FunctionTable, report: &mut Report<'_>) -> (Network, Vec<Egress>) {
    let network = table.network.as_right().map(|at| at.value).unwrap_or_default();
    let list = table.egress.as_right().map(|at| at.value.0.clone()).unwrap_or_default();
    if matches!((&table.network, &table.egress), (Given::Wrong, _) | (_, Given::Wrong)) {
        return (network, list);
    }
    match (network, table.network.span(), table.egress.span()) {
        (Network::EgressProxy, Some(span), written) if list.is_empty() => {
            let help = "list the hosts that it may reach: `egress = [\"api.example.com\"]`";
            let message = "the proxy leads nowhere without `egress`";
            report.wrong_with_help(&written.unwrap_or(span), message, help);
        }
        (Network::None | Network::Open, _, Some(span)) => {
            let message = "`egress` is what the proxy of the node allows";
            report.wrong_with_help(&span, message, "write `network = \"egress-proxy\"` with it");
        }
        (Network::EgressProxy | Network::None | Network::Open, _, _) => {}
    }
    (network, list)
}
