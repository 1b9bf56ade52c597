//! The manifest as written: its tables, their fields, and what each field holds. The JSON schema and the
//! reader both come from this file, so that neither knows a field the other does not.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::egress::EgressList;
use super::entry::{App, Argv, Handler, Inside};
use super::env::Env;
use super::object::Degrades;
use super::quantity::{Bytes, CpuMillis, Label, RuntimeWord, Span, Whole};
use super::read::{At, Field, Given, Kind, Report, Table, Text, read_table, take, wrong_type};
use super::trigger::{Host, RoutePath, Triggers};
use super::warmup::WarmupList;
use crate::catalog::{Filters, Growth, Mirror, Network, Protocol};
use crate::name::TenantName;

/// Declares a table: each field with its kind and, as TOML, a value that would be right. Every field is
/// optional here; what must be there is decided by `check`, where it can be said in context.
macro_rules! table {
    (
        $(#[$doc:meta])*
        $name:ident$(, stray $stray:expr)?;
        $($(#[$field_doc:meta])* $field:ident: $kind:ty = $example:tt,)*
    ) => {
        #[derive(Clone, Debug, Default, JsonSchema)]
        $(#[$doc])*
        #[schemars(default, deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$field_doc])* pub(super) $field: Given<$kind>,)*
        }

        impl Table for $name {
            const FIELDS: &'static [Field] =
                &[$(Field { name: stringify!($field), example: stringify!($example) }),*];

            $(fn stray(field: &str) -> Option<String> {
                $stray(field)
            })?

            fn read_fields(table: &DeTable<'_>, report: &mut Report<'_>) -> Self {
                Self {
                    $($field: take(
                        table,
                        &Field { name: stringify!($field), example: stringify!($example) },
                        report,
                    ),)*
                }
            }
        }

        impl Kind for $name {
            fn read(
                value: &Spanned<DeValue<'_>>,
                field: &Field,
                report: &mut Report<'_>,
            ) -> Option<Self> {
                match value.get_ref().as_table() {
                    Some(table) => Some(read_table(table, report)),
                    None => wrong_type(value, field, "a table", report),
                }
            }

            fn schema(generator: &mut SchemaGenerator) -> Schema {
                generator.subschema_for::<Self>()
            }
        }
    };
}

table! {
    /// hatchway.toml: a project and its functions.
    #[schemars(extend("required" = ["function"]))]
    Document;
    /// The project as a whole.
    project: ProjectTable = { name = "shop" },
    /// A table per function: `[function.hello]`. The name is a DNS label.
    function: Functions = { hello = { runtime = "node" } },
}

table! {
    /// `[project]`: what its functions share.
    ProjectTable;
    /// What people call the project; the folder's name when absent.
    name: Label = "shop",
    /// Who owns its functions; "local" when absent.
    tenant: TenantName = "local",
}

table! {
    /// `[function.NAME]`: how a function is started, what it may use and what leads to it.
    #[schemars(extend("required" = ["runtime", "http"]))]
    FunctionTable, stray stray_in_function;
    /// How it is run.
    runtime: RuntimeWord = "node",
    /// For node and python: a file in the package and the function it exports, called as
    /// `handler(ctx, ...args)`.
    handler: Handler = "src/hello.mjs#hello",
    /// For node: the script of an unmodified HTTP server.
    main: Inside = "server.js",
    /// For python: module and name of a WSGI or ASGI application.
    app: App = "main:app",
    /// For command: an HTTP server that listens on $PORT or on the Unix socket $HATCHWAY_SOCKET. A program
    /// with a `/` is a file of the package, one without is looked up in PATH.
    command: Argv = ["./server", "--quiet"],
    /// The function's folder, relative to the manifest; "." when absent.
    package: Inside = "hello",
    /// A folder of the package whose files are answered without starting the function.
    assets: Inside = "public",
    /// What leads to it: a table with path and host, or a list of them.
    http: Triggers = { path = "/hello" },
    /// Memory of one sandbox; "128MiB" when absent.
    memory: Bytes = "128MiB",
    /// Share of the cores that one sandbox may use; "1000m" when absent.
    cpu: CpuMillis = "500m",
    /// Processes and threads in one sandbox; 64 when absent.
    pids: Whole = 64,
    /// Open files of one process; 1024 when absent.
    files: Whole = 1024,
    /// Size of the sandbox's private /tmp; "64MiB" when absent.
    tmp: Bytes = "64MiB",
    /// Requests that one sandbox runs at a time; 16 when absent.
    concurrency: Whole = 16,
    /// Sandboxes that are kept even when idle; 0 when absent.
    min: Whole = 0,
    /// Sandboxes at most on one node; 4 when absent.
    max: Whole = 4,
    /// How many sandboxes are kept ready over all nodes, and by what that grows, where the rules are in etcd. Where there is a
    /// plan, its numbers take the place of `min`.
    growth: Growth = { min = 4, max = 40 },
    /// How long an idle sandbox is kept; "5m" when absent.
    idle_timeout: Span = "30s",
    /// The five clocks.
    timeouts: TimeoutsTable = { first_byte = "30s" },
    /// Requests that may wait for a sandbox before the next is refused; 1000 when absent.
    queue: Whole = 1000,
    /// Requests in flight at a time over one gateway, whatever there are of sandboxes; those beyond wait in the queue. No limit when
    /// absent.
    max_in_flight: Whole = 200,
    /// Requests per second that are let through, by all gateways together; no limit when absent.
    rate: Whole = 100,
    /// Whether answers say in `Server-Timing` what the platform's share was; false when absent.
    server_timing: bool = true,
    /// What takes the place of failures of the platform: a static answer, or another function.
    degrade: Degrades = [{ on = ["any"], answer = { status = 503, body = "back soon" } }],
    /// Copies of its requests for another function, whose answers are thrown away. Of a release that is there already it
    /// changes nothing.
    mirror: Mirror = { function = "next", basis_points = 500 },
    /// What network the function sees: "none", "egress-proxy" for the hosts of `egress`, or "open"; "none" when absent.
    network: Network = "open",
    /// The hosts that it may reach through its node's proxy, which its environment names (HTTP_PROXY, HTTPS_PROXY): a name, an
    /// address, or `*.` before a domain; with a port, or else 80 and 443.
    egress: EgressList = ["api.example.com", "*.example.com:8443"],
    /// What its server speaks: "http1", or "h2c" for HTTP/2 without TLS, as gRPC servers do; "http1" when absent.
    protocol: Protocol = "h2c",
    /// For node: a path, or a list of them, that each process asks of the function by GET before it is forked, some ten times,
    /// so that every fork has what such a request loads. Nobody hears the answers, and no fork asks again; the code must do
    /// nothing for them that counts.
    warmup: WarmupList = ["/products?limit=1"],
    /// Environment of the function, beside what the platform sets.
    env: Env = { GREETING = "hi" },
}

fn stray_in_function(field: &str) -> Option<String> {
    let stands_in = |fields: &'static [Field]| fields.iter().find(|known| known.name == field);
    if let Some(Field { name, example }) = stands_in(HttpTable::FIELDS) {
        return Some(format!("write it inside `http`: `http = {{ {name} = {example} }}`"));
    }
    let Field { name, example } = stands_in(TimeoutsTable::FIELDS)?;
    Some(format!("write it inside `timeouts`: `timeouts = {{ {name} = {example} }}`"))
}

table! {
    /// A host and a path that lead to a function.
    HttpTable;
    /// A prefix in whole segments: "/a" matches /a and /a/b, not /ab; "/" when absent.
    path: RoutePath = "/hello",
    /// Lower-case host without port; every host that no other function names when absent.
    host: Host = "shop.localhost",
    /// What is done with its requests and their answers, in the words of the Kubernetes Gateway API.
    filters: Filters = { request_header_modifier = { remove = ["cookie"] } },
}

table! {
    /// Five clocks, each named in the error when it runs out.
    TimeoutsTable;
    /// Waiting while every sandbox is busy; "5s" when absent.
    queue: Span = "5s",
    /// Until a new sandbox can answer; "10s" when absent.
    start: Span = "10s",
    /// From the request handed to the function until the head of its answer; "30s" when absent.
    first_byte: Span = "30s",
    /// Between two moves of either body; "60s" when absent.
    idle: Span = "60s",
    /// The whole run in the function; "300s" when absent.
    run: Span = "300s",
}

/// The functions by name, and where each name stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Functions(pub(super) Vec<(At<String>, FunctionTable)>);

impl Kind for Functions {
    fn read(value: &Spanned<DeValue<'_>>, field: &Field, report: &mut Report<'_>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            return wrong_type(value, field, "a table per function", report);
        };
        let mut functions = Vec::new();
        for (key, value) in table {
            let name = At { span: key.span(), value: key.get_ref().clone().into_owned() };
            match value.get_ref().as_table() {
                Some(table) => functions.push((name, read_table(table, report))),
                None => report.wrong_with_help(
                    &name.span,
                    format!("`{}` is not a function", name.value),
                    "a function is a table: `[function.hello]`",
                ),
            }
        }
        functions.sort_by_key(|(name, _)| name.span.start);
        Some(Self(functions))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let function = generator.subschema_for::<FunctionTable>();
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": <TenantName as Text>::PATTERN },
            "additionalProperties": function,
        })
    }
}
