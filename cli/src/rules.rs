//! Rules as the commands see them that change them: in a file or in etcd, the same for both.

use std::path::PathBuf;
use std::time::Duration;

use hatchway_proto::catalog::Objects;
use hatchway_proto::catalog::history::Timeline;
use hatchway_wire::catalog::etcd::EtcdArgs;
use hatchway_wire::catalog::store::{Author, Change, DEFAULT_KEPT, PushError, Pushed, StoreError};
use hatchway_wire::catalog::{SourceArgs, Store};
use hatchway_wire::process;
use tokio::runtime::Runtime;

use crate::failure::{Failure, count};
use crate::gateways::{self, Waiting};
use crate::trial::First;

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
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "30",
          requires = "etcd")]
    wait: Option<u64>,
    /// Let this gateway serve by the change before all others do, and take it back if more of its requests fail then.
    #[arg(long, value_name = "GATEWAY", requires = "etcd")]
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

/// What has come of a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) changes: usize,
    pub(crate) revision: i64,
    /// Gateways that serve by it, where they were waited for.
    pub(crate) gateways: Option<usize>,
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} written, revision {}", count(self.changes, "change"), self.revision)?;
        match self.gateways {
            None => Ok(()),
            Some(0) => f.write_str("; no gateway is alive to apply it"),
            Some(gateways) => write!(f, ", applied by {}", count(gateways, "gateway")),
        }
    }
}

/// The rules as they were read, for one change.
#[derive(Debug)]
pub(crate) struct Rules {
    store: Store,
    /// A connection lives with its runtime.
    runtime: Runtime,
    /// As a person named them.
    pub(crate) name: String,
    etcd: EtcdArgs,
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

impl RulesArgs {
    /// As a person named them.
    fn name(&self) -> String {
        match &self.catalog {
            Some(path) => path.display().to_string(),
            None => self.etcd.etcd.join(","),
        }
    }

    /// Rules in etcd; none in a file.
    pub(crate) fn etcd(&self) -> Option<&EtcdArgs> {
        self.catalog.is_none().then_some(&self.etcd)
    }

    /// True for rules that stand in a file, whole.
    pub(crate) fn is_file(&self) -> bool {
        self.catalog.is_some()
    }
}

impl Rules {
    /// Reads them. A file stays locked for as long as they live.
    pub(crate) fn open(args: &RulesArgs) -> Result<Self, Failure> {
        let runtime = gateways::runtime()?;
        let (name, source) =
            (args.name(), SourceArgs { catalog: args.catalog.clone(), etcd: args.etcd.clone() });
        let store = runtime.block_on(Store::open(&source));
        let store = store.map_err(|error| unread(&name, error))?;
        Ok(Self { store, runtime, name, etcd: args.etcd.clone() })
    }

    /// Every good object.
    pub(crate) fn objects(&self) -> &Objects {
        self.store.objects()
    }

    /// What was changed before, and how it was.
    pub(crate) fn timeline(&self) -> Result<Timeline, Failure> {
        let read = self.runtime.block_on(self.store.timeline());
        read.map_err(|error| unread(&self.name, error))
    }

    /// Writes `changes`, unless somebody else has changed any of it since, and waits where that is asked for. `why`
    /// stands in the history where no reason was given.
    pub(crate) fn push(
        self,
        mut changes: Vec<Change>,
        args: &ChangeArgs,
        why: &str,
    ) -> Result<Done, Failure> {
        let Self { store, runtime, name, etcd } = self;
        let keys: Vec<String> = changes.iter().map(|change| change.key().to_string()).collect();
        let author = args.author(why);
        let failed = |error| match error {
            PushError::Conflict { .. } | PushError::FileChanged { .. } => {
                Failure::Refused(error.to_string())
            }
            PushError::Store(error) => unread(&name, error),
            PushError::Etcd(error) => unread(&name, StoreError::Etcd(error)),
        };
        runtime.block_on(async {
            let mut added = 0;
            let (store, trial) = match (&args.first, store) {
                (Some(gateway), Store::Etcd(mut store)) => {
                    let written = store.add_versions(changes, &author).await;
                    (changes, added) = written.map_err(failed)?;
                    let first = First { gateway, seconds: args.try_for, etcd: &etcd };
                    let trial = first.try_out(&store, &changes, &author, failed).await?;
                    let store = match &trial {
                        Some(trial) => store.ending_trial(trial.key()),
                        None => *store,
                    };
                    (Store::Etcd(Box::new(store)), trial)
                }
                (_, store) => (store, None),
            };
            let waiting = match args.wait {
                Some(seconds) => Some(Waiting::begin(&etcd, keys, seconds).await?),
                None => None,
            };
            let store = store.keeping(args.keep_history);
            let pushed = store.push(changes, &author).await.map_err(failed);
            if let Some(trial) = trial {
                // Its key has gone with the change; where that has failed, this takes it back, or the end of its lease.
                let _ = trial.take_back().await;
            }
            let Pushed { changes, revision } = pushed?;
            let gateways = match waiting {
                Some(waiting) => Some(waiting.end(revision).await?),
                None => None,
            };
            Ok(Done { changes: added + changes, revision, gateways })
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
