//! One gateway serves by a change before all others do, and the change is taken back if more fails there then.

use std::time::Duration;

use hatchway_proto::catalog::{Applied, Trial};

use super::{Author, Change, PushError};
use crate::catalog::etcd::EtcdError;
use crate::catalog::etcd::followers::{FollowerView, Followers};
use crate::catalog::etcd::push::Store;
use crate::catalog::etcd::trial::OnTrial;

/// A gateway that is alive has taken up what is on trial within this.
const TAKEN_UP: Duration = Duration::from_secs(10);

/// Who tries, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    /// By its name.
    pub gateway: String,
    /// Before all others do the same.
    pub lasting: Duration,
}

/// A change that one gateway has tried, and serves by still: all others follow without a break.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) on_trial: OnTrial,
    /// How it went.
    pub(super) note: String,
}

impl First {
    /// Puts `changes` on trial and watches. None where there is nothing to try. Cancel safe: dropped, the trial ends with
    /// its lease.
    ///
    /// # Errors
    /// Why it was taken back. Who is killed meanwhile takes it back too: the trial lives with this process.
    pub(super) async fn try_out(
        &self,
        store: &Store,
        changes: &[Change],
        author: &Author,
    ) -> Result<Option<Tried>, PushError> {
        let changes = store.differing(changes.to_vec());
        if changes.is_empty() {
            return Ok(None);
        }
        let view = FollowerView::of_gateways(store.config()).await?;
        let before = view.list().await?;
        let known = before.get(&self.gateway).ok_or_else(|| self.not_alive(&before))?;
        let trial = store.begin_trial(&self.gateway, &changes, author).await?;
        let mut on_trial = trial.ok_or_else(|| {
            PushError::Trial(format!("{} tries another change already", self.gateway))
        })?;
        let keys: Vec<String> = changes.iter().map(|change| change.key().to_string()).collect();
        let revision = on_trial.revision;
        let ended = tokio::select! {
            ended = self.watch(&view, known, &keys, revision) => ended,
            lost = on_trial.keep() => lost.map(|never| match never {}),
        };
        match ended.map_err(PushError::from).and_then(|ended| ended.map_err(PushError::Trial)) {
            Ok(note) => Ok(Some(Tried { on_trial, note })),
            Err(error) => {
                // Without etcd it goes by itself, with its lease.
                let _ = on_trial.take_back().await;
                Err(error)
            }
        }
    }

    fn not_alive(&self, followers: &Followers) -> PushError {
        let alive: Vec<&str> = followers.keys().map(String::as_str).collect();
        PushError::Trial(format!(
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
    ) -> Result<Result<String, String>, EtcdError> {
        let gateway = &self.gateway;
        let of = |followers: &Followers| followers.get(gateway).cloned();
        let is_taken_up =
            |applied: &Applied| applied.trial.is_some_and(|it| it.revision == revision);
        let refused = |applied: &Applied| {
            let all = applied.refused_since(Some(before), keys);
            let all: Vec<_> = all.map(|(key, why)| format!("{key}: {why}")).collect();
            (!all.is_empty()).then(|| format!("{gateway} refuses\n  {}", all.join("\n  ")))
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
            None => return Ok(Err(format!("{gateway} did not take it up; it was taken back"))),
        }
        let is_bad = |followers: &Followers| match of(followers) {
            Some(applied) if is_taken_up(&applied) => {
                refused(&applied).or_else(|| applied.trial.and_then(|trial| worse(&trial)))
            }
            Some(_) | None => Some("it is not followed any more".to_owned()),
        };
        let (followers, bad) = view.until(self.lasting, is_bad).await?;
        if let Some(why) = bad {
            return Ok(Err(format!("{why}\nit was taken back from {gateway}")));
        }
        let trial = of(&followers).and_then(|applied| applied.trial).unwrap_or_default();
        let said = match trial.since.all {
            0 => "had no request meanwhile: nothing is known of how it does".to_owned(),
            all => {
                format!("served {all} requests by it, {:.2} % failed", 100.0 * trial.since.share())
            }
        };
        Ok(Ok(format!("{gateway} {said}")))
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
