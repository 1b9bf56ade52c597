//! Rules as the commands see them that change them: in a file, in etcd, or at a gateway; the same for all three.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hatchway_proto::api;
use hatchway_proto::catalog::history::{Timeline, Told};
use hatchway_proto::catalog::{Difference, Key, Objects};
use hatchway_wire::catalog::etcd::EtcdArgs;
use hatchway_wire::catalog::store::{
    Author, Change, DEFAULT_KEPT, Done, First, PushError, StoreError, Terms, check,
};
use hatchway_wire::catalog::{SourceArgs, Store};
use hatchway_wire::process;
use tokio::runtime::Runtime;
use ureq::http::Method;

use crate::access::AccessArgs;
use crate::admin::{Admin, typed};
use crate::failure::Failure;
use crate::{gateways, report};

/// Where the rules are.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RulesArgs {
    /// The file that gateways and nodes read.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["etcd", "gateway"])]
    catalog: Option<PathBuf>,
    /// Or etcd.
    #[command(flatten)]
    etcd: EtcdArgs,
    /// Or the admin API of a gateway, which reads and writes them; HATCHWAY_ADMIN where nothing is said.
    #[arg(long, value_name = "URL", conflicts_with = "etcd")]
    gateway: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
}

/// Who changes them, and why, and what is waited for.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ChangeArgs {
    /// Why, for those who look at the history later.
    #[arg(long, short = 'm', value_name = "TEXT")]
    message: Option<String>,
    /// Who, in place of USER@HOST.
    #[arg(long = "as", value_name = "WHO")]
    who: Option<String>,
    /// Wait until every live gateway serves by the change, but not longer than so many seconds; fail where one does not,
    /// or refuses a part of it.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "30")]
    wait: Option<u64>,
    /// Let this gateway serve by the change before all others do, and take it back if more of its requests fail then.
    #[arg(long, value_name = "GATEWAY")]
    first: Option<String>,
    /// For so many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds, default_value = "30", requires = "first")]
    try_for: Duration,
    /// Changes that the history keeps.
    #[arg(long, value_name = "COUNT", env = "HATCHWAY_KEEP_HISTORY", default_value_t = DEFAULT_KEPT,
          hide_short_help = true)]
    keep_history: usize,
}

/// `30` or `30s`.
fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    let seconds = number.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    let wrong = || format!("{text:?} is no number of seconds between 1 and 86400");
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

/// The rules as they were read, for one change.
#[derive(Debug)]
pub(crate) struct Rules {
    place: Place,
    /// As a person named them.
    pub(crate) name: String,
}

/// Where they were read.
#[derive(Debug)]
enum Place {
    /// A connection lives with its runtime.
    Store { store: Store, runtime: Runtime },
    /// At a gateway, which reads and writes them for us.
    Gateway { admin: Admin, rules: api::Rules },
}

impl ChangeArgs {
    /// With a reason, in place of the one that was not given.
    pub(crate) fn author(&self, otherwise: &str) -> Author {
        let who = self.who.clone().unwrap_or_else(who);
        Author { who, why: self.message.clone().unwrap_or_else(|| otherwise.to_owned()) }
    }
}

/// As other tools would show it: `ann@laptop`. Behind sudo it is still ann.
fn who() -> String {
    let mut names =
        ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|it| std::env::var(it).ok());
    let user = names.find(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", host.trim())
}

/// Who reads and writes the rules for us, or where we do it ourselves.
#[derive(Debug)]
pub(crate) enum Where<'a> {
    /// A gateway.
    Gateway(Admin),
    /// etcd.
    Etcd(&'a EtcdArgs),
    /// A file.
    File,
}

impl RulesArgs {
    /// Where the rules are. What is said here goes before what the environment says.
    pub(crate) fn place(&self) -> Result<Where<'_>, Failure> {
        if self.catalog.is_some() {
            return Ok(Where::File);
        }
        if !self.etcd.etcd.is_empty() {
            return Ok(Where::Etcd(&self.etcd));
        }
        let said = self.gateway.clone().or_else(|| std::env::var("HATCHWAY_ADMIN").ok());
        match said.filter(|said| !said.is_empty()) {
            Some(address) => Ok(Where::Gateway(Admin::at(&address, &self.access)?)),
            None => Err(Failure::Settings(
                "say where the rules are: --gateway URL (or HATCHWAY_ADMIN), --etcd URL or --catalog FILE"
                    .to_owned(),
            )),
        }
    }

    /// Rules that stand in a file, whole.
    pub(crate) fn is_file(&self) -> bool {
        self.catalog.is_some()
    }
}

impl ChangeArgs {
    fn terms(&self, otherwise: &str) -> Terms {
        let lasting = self.try_for;
        Terms {
            author: self.author(otherwise),
            keep: self.keep_history,
            wait: self.wait.map(Duration::from_secs),
            first: self.first.clone().map(|gateway| First { gateway, lasting }),
        }
    }

    /// The same for a gateway, as parameters.
    pub(crate) fn query(&self, otherwise: &str) -> Vec<(&'static str, String)> {
        let Terms { author, keep, wait, first } = self.terms(otherwise);
        let mut query = vec![("why", author.why), ("who", author.who), ("keep", keep.to_string())];
        query.extend(wait.map(|wait| ("wait", wait.as_secs().to_string())));
        if let Some(First { gateway, lasting }) = first {
            query.extend([("first", gateway), ("for", lasting.as_secs().to_string())]);
        }
        query
    }
}

/// As a client of the API writes them.
pub(crate) fn borrowed<'q>(query: &'q [(&'static str, String)]) -> Vec<(&'static str, &'q str)> {
    query.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

impl Rules {
    /// Reads them. A file stays locked for as long as they live.
    pub(crate) fn open(args: &RulesArgs) -> Result<Self, Failure> {
        let source = SourceArgs { catalog: args.catalog.clone(), etcd: args.etcd.clone() };
        let name = match args.place()? {
            Where::Gateway(admin) => {
                let rules = typed(&admin.get("/v1/rules", &[])?)?;
                return Ok(Self { name: admin.name(), place: Place::Gateway { admin, rules } });
            }
            Where::Etcd(etcd) => etcd.etcd.join(","),
            Where::File => {
                args.catalog.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
            }
        };
        let runtime = gateways::runtime()?;
        let store = runtime.block_on(Store::open(&source));
        let store = store.map_err(|error| unread(&name, error))?;
        Ok(Self { place: Place::Store { store, runtime }, name })
    }

    /// Every good object.
    pub(crate) fn objects(&self) -> &Objects {
        match &self.place {
            Place::Store { store, .. } => store.objects(),
            Place::Gateway { rules, .. } => &rules.objects,
        }
    }

    /// The newest changes, of everything or of one object.
    pub(crate) fn history(&self, only: Option<&Key>, limit: usize) -> Result<Vec<Told>, Failure> {
        let only = only.map(Key::to_string);
        match &self.place {
            Place::Store { store, runtime } => {
                Ok(self.timeline(store, runtime)?.told(only.as_deref(), limit))
            }
            Place::Gateway { admin, .. } => {
                let limit = limit.to_string();
                let mut query = vec![("limit", &*limit)];
                query.extend(only.as_deref().map(|only| ("object", only)));
                typed(&admin.get("/v1/history", &query)?)
            }
        }
    }

    /// What differs between two revisions, or between one and what is there now.
    pub(crate) fn between(&self, from: i64, to: Option<i64>) -> Result<Differing, Failure> {
        match &self.place {
            Place::Store { store, runtime } => {
                let known = self.timeline(store, runtime)?;
                let found = known.between(from, to.unwrap_or_else(|| known.newest()));
                found.map_err(|error| Failure::Refused(error.to_string()))
            }
            Place::Gateway { admin, .. } => {
                let (from, to) = (from.to_string(), to.map(|to| to.to_string()));
                let mut query = vec![("from", &*from)];
                query.extend(to.as_deref().map(|to| ("to", to)));
                let api::Diff { objects } = typed(&admin.get("/v1/diff", &query)?)?;
                Ok(objects)
            }
        }
    }

    /// Makes everything, or one object, what it was.
    pub(crate) fn roll_back(
        self,
        revision: i64,
        only: Option<&Key>,
        args: &ChangeArgs,
    ) -> Result<(Vec<String>, Done), Failure> {
        let why = format!("rollback to {revision}");
        let changes = match &self.place {
            Place::Gateway { admin, .. } => {
                let body = api::Rollback { revision, object: only.map(Key::to_string) };
                let query = args.query(&why);
                let path = "/v1/rollback";
                return Ok(done(typed(&admin.send(
                    Method::POST,
                    path,
                    &borrowed(&query),
                    &body,
                )?)?));
            }
            Place::Store { store, runtime } => {
                let known = self.timeline(store, runtime)?;
                let changes = check::back_to(&known, revision, only).map_err(Failure::Refused)?;
                if let Some(broken) = check::broken(store.objects(), &changes).first() {
                    return Err(Failure::Refused(format!(
                        "{broken}: roll that back first, or everything"
                    )));
                }
                changes
            }
        };
        let keys = changes.iter().map(|change| change.key().to_string()).collect();
        Ok((keys, self.push(changes, args, &why)?))
    }

    /// What `changes` would do to the requests of now, as a gateway has kept them: the one that we write through, or else the
    /// one that HATCHWAY_ADMIN names.
    pub(crate) fn rehearse(
        &self,
        args: &RulesArgs,
        changes: &[Change],
    ) -> Result<api::Rehearsal, Failure> {
        let named;
        let (admin, at) = match &self.place {
            Place::Gateway { admin, rules } => (admin, rules.revision),
            Place::Store { store, .. } => {
                let address = std::env::var("HATCHWAY_ADMIN").map_err(|_| {
                    Failure::Settings(
                        "recent requests are known to gateways: say --gateway URL, or set HATCHWAY_ADMIN".to_owned(),
                    )
                })?;
                named = Admin::at(&address, &args.access)?;
                (&named, store.revision())
            }
        };
        let body = api::Changes { changes: changes.iter().map(written).collect(), at };
        typed(&admin.send(Method::POST, "/v1/rehearsals", &[], &body)?)
    }

    fn timeline(&self, store: &Store, runtime: &Runtime) -> Result<Timeline, Failure> {
        runtime.block_on(store.timeline()).map_err(|error| unread(&self.name, error))
    }

    /// Writes `changes`, unless somebody else has changed any of it since, and waits where that is asked for. `why`
    /// stands in the history where no reason was given.
    pub(crate) fn push(
        self,
        changes: Vec<Change>,
        args: &ChangeArgs,
        why: &str,
    ) -> Result<Done, Failure> {
        let done = match self.place {
            Place::Store { store, runtime } => {
                let made = runtime.block_on(store.carry_out(changes, &args.terms(why)));
                made.map_err(|error| unmade(&self.name, error))?
            }
            Place::Gateway { admin, rules } => {
                let changes = changes.iter().map(written).collect();
                let body = api::Changes { changes, at: rules.revision };
                let query = args.query(why);
                let path = "/v1/changes";
                done(typed(&admin.send(Method::POST, path, &borrowed(&query), &body)?)?).1
            }
        };
        report::print_notes(&done.notes);
        Ok(done)
    }
}

/// Differences by key.
pub(crate) type Differing = BTreeMap<String, Vec<Difference>>;

fn written(change: &Change) -> api::ObjectChange {
    let object = match change {
        Change::Put(object) => serde_json::from_slice(&object.json()).ok(),
        Change::Delete(_) => None,
    };
    api::ObjectChange { key: change.key().to_string(), object }
}

/// The keys, and what has come of the change.
fn done(changed: api::Changed) -> (Vec<String>, Done) {
    let api::Changed { written, revision, gateways, objects, notes } = changed;
    (objects, Done { changes: written, revision, gateways, notes })
}

fn unmade(name: &str, error: PushError) -> Failure {
    match error {
        PushError::Conflict { .. }
        | PushError::FileChanged { .. }
        | PushError::Trial(_)
        | PushError::NotServed(_) => Failure::Refused(error.to_string()),
        PushError::NobodyTold => Failure::Settings(error.to_string()),
        PushError::Store(error) => unread(name, error),
        PushError::Etcd(error) => unread(name, StoreError::Etcd(error)),
    }
}

fn unread(name: &str, error: StoreError) -> Failure {
    match error {
        StoreError::Etcd(source) => {
            let what = format!("could not read or write the rules in etcd at {name}");
            Failure::Unavailable { what, source: Box::new(source) }
        }
        StoreError::Io { what, path, source } => {
            Failure::Io { what: format!("{what} {}", path.display()), source }
        }
        StoreError::File(_) | StoreError::Journal { .. } | StoreError::EtcdConfig(_) => {
            Failure::Settings(process::chain(&error))
        }
    }
}
