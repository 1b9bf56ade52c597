//! `hatchway.toml`: a project's functions as people write them, and as the catalog keeps them.
//!
//! A text goes through four hands, each of which reports every mistake it finds where it stands:
//! `syntax` makes tables of it; `written` says which tables and fields there are, and `read` types what
//! stands in them (`quantity`, `entry`, `trigger`, `env`, `egress`, `warmup`, `object`); `check` fills in `defaults` and
//! decides what must agree (`run`, `limits`); `clash` compares functions with each other.
//! What passes becomes catalog objects in `compile`. Files are looked at by whoever has a disk.

mod check;
mod clash;
mod compile;
pub mod defaults;
mod diagnostic;
mod egress;
mod entry;
mod env;
mod limits;
mod nearest;
mod object;
mod quantity;
mod read;
mod run;
mod schema;
mod syntax;
#[cfg(test)]
mod tests;
mod trigger;
mod warmup;
mod written;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

pub use clash::clashes;
pub use compile::{objects, version_id};
pub use diagnostic::{Diagnostic, Place, Source};
pub use nearest::nearest;
pub use schema::schema;

use crate::catalog::{self, Clocks, Egress, Network, Protocol, Resources, Route, Runtime, Warmup};
use crate::name::{FunctionName, TenantName};

/// What the file is called.
pub const FILE_NAME: &str = "hatchway.toml";

/// A manifest that is right as far as its text goes.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// What people call the project.
    pub name: Option<String>,
    /// Who owns its functions.
    pub tenant: TenantName,
    /// In the order in which they are written; at least one where there are no mistakes.
    pub functions: Vec<Function>,
    /// The text, to report what only a look at the files can tell.
    pub source: Source,
}

/// One function, defaults filled in.
#[derive(Clone, Debug)]
pub struct Function {
    /// Tenant and name.
    pub name: FunctionName,
    /// Its folder, relative to the manifest's; `.` for that folder itself. Never leaves it.
    pub package: String,
    /// How it is started; paths in it are relative to the package and never leave it.
    pub runtime: Runtime,
    /// What holds for every version of it.
    pub settings: catalog::Function,
    /// What leads to it; at least one where there are no mistakes.
    pub routes: Vec<Route>,
    /// What one sandbox may use.
    pub resources: Resources,
    /// Copies of its requests.
    pub mirror: Option<catalog::Mirror>,
    /// How many sandboxes, and requests in each.
    pub scale: Scale,
    /// How long an idle sandbox is kept.
    pub idle_timeout: Duration,
    /// The five clocks.
    pub clocks: Clocks,
    /// Environment beside what the platform sets.
    pub env: BTreeMap<String, String>,
    /// What network its sandboxes see.
    pub network: Network,
    /// Where the proxy of their node lets them go.
    pub egress: Vec<Egress>,
    /// What its server speaks.
    pub protocol: Protocol,
    /// A folder of the package that is answered without starting the function.
    pub assets: Option<String>,
    /// What it is asked before it is forked.
    pub warmup: Vec<Warmup>,
    /// Where its words stand in the manifest.
    pub places: Places,
}

/// How many sandboxes, and requests in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Requests that one sandbox runs at a time, at least 1.
    pub concurrency: u16,
    /// Sandboxes kept even when idle, at most `max`.
    pub min: u32,
    /// Sandboxes at most on one node, at least 1.
    pub max: u32,
}

/// Where a function's words stand in its manifest, in bytes: for [`Source::at`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Its name.
    pub name: Range<usize>,
    /// What it runs: the value of `handler`, `main`, `app` or `command`.
    pub runtime: Range<usize>,
    /// The value of `package`, or else its name.
    pub package: Range<usize>,
    /// The value of `assets`.
    pub assets: Option<Range<usize>>,
    /// Each of its routes, in order.
    pub routes: Vec<Range<usize>>,
}

/// Reads a manifest; `file_name` is what its mistakes call it.
///
/// # Errors
/// Every mistake of the text, in the order of the text. With a mistake in the syntax, what is missing or
/// does not agree is not reported yet: it may stand in what could not be read.
pub fn parse(file_name: &str, text: &str) -> Result<Manifest, Vec<Diagnostic>> {
    match examine(file_name, text) {
        (Some(manifest), mistakes) if mistakes.is_empty() => Ok(manifest),
        (_, mistakes) => Err(mistakes),
    }
}

/// Reads a manifest as [`parse`] does, and keeps what its mistakes leave whole: the functions whose name and
/// program are known, so that their files can be looked at in the same go. None when the syntax is broken.
pub fn examine(file_name: &str, text: &str) -> (Option<Manifest>, Vec<Diagnostic>) {
    let source = Source::new(file_name, text);
    let mut report = read::Report { source: &source, found: Vec::new() };
    let manifest = syntax::document(&mut report).map(|document| {
        let manifest = check::manifest(document, &mut report);
        report.found.extend(clash::within(&manifest));
        manifest
    });
    let mut mistakes = report.found;
    diagnostic::sort(&mut mistakes);
    (manifest, mistakes)
}
