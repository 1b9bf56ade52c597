//! `--first`: one gateway serves by a change before all others do, and the change is taken back if more fails there then.

use std::time::Duration;

use hatchway_proto::catalog::{Applied, Trial};
use hatchway_wire::catalog::etcd::followers::{FollowerView, Followers};
use hatchway_wire::catalog::etcd::push::Store;
use hatchway_wire::catalog::etcd::trial::OnTrial;
use hatchway_wire::catalog::etcd::{EtcdArgs, EtcdError};
use hatchway_wire::catalog::store::{Author, Change, PushError};

use crate::failure::Failure;
use crate::gateways::{unheard, view};
use crate::report;

/// A gateway that is alive has taken up what is on trial within this.
const TAKEN_UP: Duration = Duration::from_secs(10);

/// Who tries, and for how long.
#[derive(Debug)]
pub(crate) struct First<'a> {
    pub(crate) gateway: &'a str,
    pub(crate) seconds: Duration,
    pub(crate) etcd: &'a EtcdArgs,
}

impl First<'_> {
    /// Puts `changes` on trial and watches. It is on trial still when it has gone well, so that the gateway serves by it
    /// without a break. None where there is nothing to try.
    ///
    /// # Errors
    /// Why it was taken back. Who is killed meanwhile takes it back too: the trial lives with this process.
    pub(crate) async fn try_out(
        &self,
        store: &Store,
        changes: &[Change],
        author: &Author,
        failed: impl Fn(PushError) -> Failure,
    ) -> Result<Option<OnTrial>, Failure> {
        let changes = store.differing(changes.to_vec());
        if changes.is_empty() {
            return Ok(None);
        }
        let view = view(self.etcd).await?;
        let before = view.list().await.map_err(unheard)?;
        let known = before.get(self.gateway).ok_or_else(|| self.not_alive(&before))?;
        let trial = store.begin_trial(self.gateway, &changes, author).await.map_err(&failed)?;
        let mut trial = trial.ok_or_else(|| {
            Failure::Refused(format!("{} tries another change already", self.gateway))
        })?;
        let keys: Vec<String> = changes.iter().map(|change| change.key().to_string()).collect();
        let revision = trial.revision;
        let ended = tokio::select! {
            ended = self.watch(&view, known, &keys, revision) => ended,
            lost = trial.keep() => lost.map(|never| match never {}),
        };
        let ended = ended.map_err(unheard).and_then(|ended| ended.map_err(Failure::Refused));
        match ended {
            Ok(()) => Ok(Some(trial)),
            Err(failure) => {
                // Without etcd it goes by itself, with its lease.
                let _ = trial.take_back().await;
                Err(failure)
            }
        }
    }

    fn not_alive(&self, followers: &Followers) -> Failure {
        let alive: Vec<&str> = followers.keys().map(String::as_str).collect();
        Failure::Refused(format!(
            "no gateway {:?} is alive; there are: {}",
            self.gateway,
            alive.join(", ")
        ))
    }

    /// Until the time is over, or the change has shown itself to be a bad one.
    async fn watch(
        &self,
        view: &FollowerView,
        before: &Applied,
        keys: &[String],
        revision: i64,
    ) -> Result<Result<(), String>, EtcdError> {
        let of = |followers: &Followers| followers.get(self.gateway).cloned();
        let is_taken_up =
            |applied: &Applied| applied.trial.is_some_and(|it| it.revision == revision);
        let refused = |applied: &Applied| {
            let all = applied.refused_since(Some(before), keys);
            let all: Vec<_> = all.map(|(key, why)| format!("{key}: {why}")).collect();
            (!all.is_empty()).then(|| format!("{} refuses\n  {}", self.gateway, all.join("\n  ")))
        };
        let taken_up = |followers: &Followers| {
            let applied = of(followers)?;
            match refused(&applied) {
                Some(why) => Some(Err(why)),
                None => is_taken_up(&applied).then_some(Ok(())),
            }
        };
        match view.until(TAKEN_UP, taken_up).await?.1 {
            Some(Ok(())) => {}
            Some(Err(why)) => return Ok(Err(format!("{why}\nit was taken back"))),
            None => {
                return Ok(Err(format!("{} did not take it up; it was taken back", self.gateway)));
            }
        }
        let is_bad = |followers: &Followers| match of(followers) {
            Some(applied) if is_taken_up(&applied) => {
                refused(&applied).or_else(|| applied.trial.and_then(|trial| worse(&trial)))
            }
            Some(_) | None => Some("it is not followed any more".to_owned()),
        };
        let (followers, bad) = view.until(self.seconds, is_bad).await?;
        if let Some(why) = bad {
            return Ok(Err(format!("{why}\nit was taken back from {}", self.gateway)));
        }
        let trial = of(&followers).and_then(|applied| applied.trial).unwrap_or_default();
        let said = match trial.since.all {
            0 => "had no request meanwhile: nothing is known of how it does".to_owned(),
            all => {
                format!("served {all} requests by it, {:.2} % failed", 100.0 * trial.since.share())
            }
        };
        report::print_notes(&[format!("{} {said}", self.gateway)]);
        Ok(Ok(()))
    }
}

fn worse(trial: &Trial) -> Option<String> {
    trial.is_worse().then(|| {
        let (since, before) = (trial.since, trial.before);
        format!(
            "{} of {} requests failed, {:.2} %; before it was {:.2} %",
            since.failed,
            since.all,
            100.0 * since.share(),
            100.0 * before.share()
        )
    })
}
