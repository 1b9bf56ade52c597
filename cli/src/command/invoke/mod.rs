//! `hatchway invoke`: one call of a function, through the gateway as any client's.
//!
//! [`call`] makes the request out of what was typed; this file sends it and shows the answer as it comes.

mod call;

use std::io::{self, IsTerminal, Read, Write};
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use ureq::Body;
use ureq::http::response::Parts;
use ureq::http::{HeaderMap, Response};

use self::call::Call;
use super::status::Status;
use crate::admin::{self, Admin, AdminArgs};
use crate::failure::{Failure, Outcome};
use crate::output;

/// What `hatchway invoke` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The function.
    name: String,
    /// What it is given: JSON or text, @FILE, or - for the standard input.
    #[arg(long, value_name = "JSON|@FILE|-", conflicts_with = "args")]
    data: Option<String>,
    /// An argument by name; a value that is JSON is sent as such, anything else as text.
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = call::argument)]
    args: Vec<(String, Value)>,
    /// A header of the request.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = call::header)]
    headers: Vec<call::Header>,
    /// Method of the request; POST with data or arguments, else GET.
    #[arg(short = 'X', long)]
    method: Option<ureq::http::Method>,
    /// What follows the function's own path, query included.
    #[arg(long, value_name = "PATH", default_value = "")]
    path: String,
    /// Show the request, the status and the headers as well.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    admin: AdminArgs,
    /// Print status, headers and body as one JSON document.
    #[arg(long)]
    json: bool,
}

/// How much of an answer is shown at a time, at most.
const CHUNK_BYTES: usize = 16 << 10;

/// Calls, shows the answer as it comes, and fails when its status is an error.
pub(crate) fn run(args: &Args) -> Outcome {
    let admin = Admin::new(&args.admin)?;
    let status = Status::ask(&admin)?;
    let function = status.function(&args.name)?;
    let call = Call::new(args, function, &status.listen, admin.host())?;
    if args.verbose {
        call.show();
    }
    let spinner = spinner(&args.name);
    let answer = admin::agent().run(call.request);
    spinner.finish_and_clear();
    let (head, body) = answer.map(Response::into_parts).map_err(|error| Failure::Unavailable {
        what: format!("no answer from the gateway at {}", status.listen),
        source: Box::new(error),
    })?;
    if args.verbose {
        show_head(&head);
    }
    if args.json {
        output::json(&whole(&head, body)?)?;
    } else {
        copy(body.into_reader())?;
    }
    if head.status.is_client_error() || head.status.is_server_error() {
        return Err(Failure::Refused(format!("{} answered {}", function.name, head.status)));
    }
    Ok(())
}

/// Turns while a sandbox may be hatching, where a person is watching.
fn spinner(name: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(format!("waiting for {name}"));
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

fn show_head(head: &Parts) {
    eprintln!("< {:?} {}", head.version, head.status);
    for (name, value) in &head.headers {
        eprintln!("< {name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    eprintln!("<");
}

/// Passes the body on as it comes: an event is shown when it is sent.
fn copy(mut body: impl Read) -> Outcome {
    let mut stdout = io::stdout().lock();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut last = b'\n';
    loop {
        let read = body.read(&mut chunk).map_err(broke_off)?;
        let Some(end) = chunk[..read].last() else { break };
        last = *end;
        stdout.write_all(&chunk[..read]).and_then(|()| stdout.flush()).map_err(output::broken)?;
    }
    if last != b'\n' && stdout.is_terminal() {
        writeln!(stdout).map_err(output::broken)?;
    }
    Ok(())
}

fn broke_off(source: io::Error) -> Failure {
    let what = "the answer broke off".to_owned();
    Failure::Unavailable { what, source: Box::new(source) }
}

fn whole(head: &Parts, body: Body) -> Result<Value, Failure> {
    let mut bytes = Vec::new();
    body.into_reader().read_to_end(&mut bytes).map_err(broke_off)?;
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes)));
    let headers = headers(&head.headers);
    Ok(json!({ "status": head.status.as_u16(), "headers": headers, "body": body }))
}

/// A header that comes twice is joined as RFC 9110 section 5.3 joins it.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let join = |name| {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        values.collect::<Vec<_>>().join(", ")
    };
    headers.keys().map(|name| (name.to_string(), join(name).into())).collect()
}
