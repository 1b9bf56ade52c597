//! Rules as the commands see them that change them: in a file or in etcd, the same for both.

use std::path::PathBuf;

use hatchway_proto::catalog::Objects;
use hatchway_wire::catalog::etcd::EtcdArgs;
use hatchway_wire::catalog::store::{Author, Change, DEFAULT_KEPT, PushError, Pushed, StoreError};
use hatchway_wire::catalog::{SourceArgs, Store};
use hatchway_wire::process;
use tokio::runtime::Runtime;

use crate::failure::Failure;

/// Where the rules are.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RulesArgs {
    /// The file that gateways and nodes read.
    #[arg(long, value_name = "FILE", required_unless_present = "etcd", conflicts_with = "etcd")]
    catalog: Option<PathBuf>,
    /// Or etcd.
    #[command(flatten)]
    etcd: EtcdArgs,
}

/// Who changes them, and why.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AuthorArgs {
    /// Why, for those who look at the history later.
    #[arg(long, short = 'm', value_name = "TEXT")]
    message: Option<String>,
    /// Who, in place of USER@HOST.
    #[arg(long = "as", value_name = "WHO")]
    who: Option<String>,
    /// Changes that the history keeps.
    #[arg(long, value_name = "COUNT", env = "HATCHWAY_KEEP_HISTORY", default_value_t = DEFAULT_KEPT, hide = true)]
    keep_history: usize,
}

/// The rules as they were read, for one change.
#[derive(Debug)]
pub(crate) struct Rules {
    store: Store,
    /// A connection lives with its runtime.
    runtime: Runtime,
    /// As a person named them.
    pub(crate) name: String,
}

impl AuthorArgs {
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

impl RulesArgs {
    /// As a person named them.
    fn name(&self) -> String {
        match &self.catalog {
            Some(path) => path.display().to_string(),
            None => self.etcd.etcd.join(","),
        }
    }

    /// True for rules that stand in a file, whole.
    pub(crate) fn is_file(&self) -> bool {
        self.catalog.is_some()
    }
}

impl Rules {
    /// Reads them. A file stays locked for as long as they live.
    pub(crate) fn open(args: &RulesArgs) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let what = "could not start a runtime".to_owned();
        let runtime = runtime.map_err(|source| Failure::Io { what, source })?;
        let (name, source) =
            (args.name(), SourceArgs { catalog: args.catalog.clone(), etcd: args.etcd.clone() });
        let store = runtime.block_on(Store::open(&source));
        let store = store.map_err(|error| unread(&name, error))?;
        Ok(Self { store, runtime, name })
    }

    /// Every good object.
    pub(crate) fn objects(&self) -> &Objects {
        self.store.objects()
    }

    /// Writes `changes`, unless somebody else has changed any of it since.
    pub(crate) fn push(
        self,
        changes: Vec<Change>,
        author: &Author,
        args: &AuthorArgs,
    ) -> Result<Pushed, Failure> {
        let Self { store, runtime, name } = self;
        let store = store.keeping(args.keep_history);
        let pushed = runtime.block_on(store.push(changes, author));
        pushed.map_err(|error| match error {
            PushError::Conflict { .. } | PushError::FileChanged { .. } => {
                Failure::Refused(error.to_string())
            }
            PushError::Store(error) => unread(&name, error),
            PushError::Etcd(error) => unread(&name, StoreError::Etcd(error)),
        })
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
