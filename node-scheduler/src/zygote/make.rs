//! Making a zygote, and seeing its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hatchway_proto::catalog::Version;
use hatchway_proto::name::{SandboxId, VersionId};
use hatchway_sandbox::{ExitKind, NotReady, SandboxSpec, Zygote};
use tokio::net::unix::pipe;
use tokio::time::{sleep, timeout};

use super::nursery::{Children, Family, Zygotes};
use super::table::{BACK_OFF, Bar};
use super::trial::Trial;
use crate::egress::Outlet;
use crate::logs::Origin;
use crate::package::Held;

/// The start that made us think of a zygote is answered by then, mostly, and a function that was called once has shown
/// whether it is called again.
const MAKE_AFTER: Duration = Duration::from_millis(50);

/// The sandbox that lines are said to be from which a version prints while a zygote loads it: none has this number.
const NOBODY: SandboxId = SandboxId(0);

/// How a zygote of a version is made.
#[derive(Debug)]
pub(crate) struct Blueprint {
    pub(crate) id: VersionId,
    pub(crate) version: Arc<Version>,
    /// Its id is not looked at.
    pub(crate) spec: SandboxSpec,
    /// The files that it names.
    pub(crate) package: Held,
    /// For a runtime that is tried before it is forked.
    pub(crate) trial: Option<Trial>,
}

impl Blueprint {
    async fn may_be_forked(&self) -> Result<(), Bar> {
        let Some(trial) = &self.trial else { return Ok(()) };
        trial.verdict().await.map_err(|detail| Bar { reason: "runtime", detail })
    }
}

impl Zygotes {
    pub(super) async fn make(self, blueprint: Blueprint) {
        sleep(MAKE_AFTER).await;
        let _turn = self.turn().await;
        let version = blueprint.id;
        let clock = blueprint.version.clocks.start;
        let late = || Bar { reason: "load-slow", detail: format!("not loaded within {clock:?}") };
        let made = match blueprint.may_be_forked().await {
            Ok(()) => timeout(clock, self.load(&blueprint)).await.unwrap_or_else(|_| Err(late())),
            Err(bar) => Err(bar),
        };
        match made {
            Ok((zygote, outlet)) => self.keep(version, zygote, outlet, blueprint.package),
            Err(bar) => {
                tracing::info!(function = %blueprint.version.function, reason = bar.reason, detail = bar.detail, "no zygote");
                drop(self.table().bar(&version, bar, None));
            }
        }
    }

    /// Starts a zygote and waits until it can be forked.
    async fn load(&self, blueprint: &Blueprint) -> Result<(Zygote, Option<Outlet>), Bar> {
        let spec = SandboxSpec { id: self.id(), ..blueprint.spec.clone() };
        let failed = |reason, detail| Bar { reason, detail };
        let zygote = self.0.spawner.zygote(spec).await;
        let zygote =
            zygote.map_err(|error| failed("isolation", hatchway_wire::process::chain(&error)))?;
        let outlet = self.0.egress.open(&blueprint.version, zygote.take_proxy());
        self.capture(&zygote, blueprint);
        match zygote.ready().await {
            Ok(_) => Ok((zygote, outlet)),
            Err(why) => Err(Bar { reason: reason_word(&why), detail: detail(&why) }),
        }
    }

    /// What a version prints while it is loaded is printed once for all its forks.
    fn capture(&self, zygote: &Zygote, blueprint: &Blueprint) {
        let Some((stdout, stderr)) = zygote.take_output() else { return };
        for (stream, descriptor) in [("stdout", stdout), ("stderr", stderr)] {
            let function = blueprint.version.function.clone();
            let origin = Origin { function, version: blueprint.id, sandbox: NOBODY, stream };
            match pipe::Receiver::from_owned_fd(descriptor) {
                Ok(reader) => {
                    drop(tokio::spawn(self.0.logs.clone().capture(origin, reader, || None)))
                }
                Err(error) => tracing::warn!(%error, "the output of a zygote is not read"),
            }
        }
    }

    fn keep(&self, version: VersionId, zygote: Zygote, outlet: Option<Outlet>, package: Held) {
        let memory_bytes = zygote.usage().map_or(0, |usage| usage.memory_bytes);
        let ended = zygote.exited();
        let zygote = Arc::new(zygote);
        let family = Family {
            zygote: Arc::clone(&zygote),
            parked: None,
            outlet,
            children: Children::default(),
            _package: package,
        };
        if self.table().ready(&version, family, memory_bytes, Instant::now()).is_err() {
            return;
        }
        self.0.metrics.made.inc();
        self.refill_later(version);
        let (zygotes, known) = (self.clone(), Arc::downgrade(&zygote));
        tokio::spawn(async move {
            let exit = ended.await;
            // One that was let go is known to nobody.
            let mut table = zygotes.table();
            let is_kept = table
                .kept(&version)
                .is_some_and(|kept| known.ptr_eq(&Arc::downgrade(&kept.zygote.zygote)));
            if is_kept {
                let reason = if exit.kind == ExitKind::OutOfMemory { "oom" } else { "died" };
                tracing::warn!(%version, %exit, "a zygote died");
                let bar = Bar { reason, detail: exit.to_string() };
                let family = table.bar(&version, bar, Some(Instant::now() + BACK_OFF));
                drop(table);
                drop(family);
            }
        });
    }
}

/// What an adapter says is let into labels only if it is a word of ours.
fn reason_word(why: &NotReady) -> &'static str {
    const UNFIT: [&str; 9] = [
        "threads", "sockets", "files", "timers", "children", "handles", "random", "runtime",
        "warmup",
    ];
    match why {
        NotReady::Failed { report } if report["reason"] == "unfit" => {
            let what = report["what"].as_str();
            what.and_then(|what| UNFIT.into_iter().find(|word| *word == what)).unwrap_or("unfit")
        }
        NotReady::Failed { .. } => "load-failed",
        NotReady::Ended(exit) if exit.kind == ExitKind::OutOfMemory => "oom",
        NotReady::Ended(_) | NotReady::Silent | NotReady::Garbled { .. } | NotReady::Io { .. } => {
            "load-failed"
        }
    }
}

fn detail(why: &NotReady) -> String {
    match why {
        NotReady::Failed { report } => {
            report["message"].as_str().map_or_else(|| why.to_string(), str::to_owned)
        }
        NotReady::Ended(_) | NotReady::Silent | NotReady::Garbled { .. } | NotReady::Io { .. } => {
            why.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_words_of_ours_become_labels() {
        let word = |report| reason_word(&NotReady::Failed { report });
        assert_eq!(word(json!({"reason": "unfit", "what": "threads"})), "threads");
        assert_eq!(word(json!({"reason": "unfit", "what": "anything"})), "unfit");
        assert_eq!(word(json!({"reason": "unfit"})), "unfit");
        assert_eq!(word(json!({"reason": "module_failed", "what": "threads"})), "load-failed");
    }
}
