//! The gateways that follow rules in etcd, as operators see them: who has come how far, and what was refused.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hatchway_wire::catalog::etcd::followers::{FollowerView, Followers};
use hatchway_wire::catalog::etcd::{EtcdArgs, EtcdError};
use tokio::runtime::Runtime;

use crate::failure::{Failure, Outcome, count};
use crate::output;

/// A change that is about to be made, and is to be waited for.
#[derive(Debug)]
pub(crate) struct Waiting {
    view: FollowerView,
    before: Followers,
    /// What the change is about.
    keys: Vec<String>,
    limit: Duration,
}

/// What gateways say.
pub(crate) async fn view(etcd: &EtcdArgs) -> Result<FollowerView, Failure> {
    let config = etcd.check().map_err(|error| Failure::Settings(error.to_string()))?;
    FollowerView::of_gateways(&config).await.map_err(unheard)
}

pub(crate) fn unheard(error: EtcdError) -> Failure {
    let what = "could not ask etcd what the gateways say".to_owned();
    Failure::Unavailable { what, source: Box::new(error) }
}

impl Waiting {
    /// Remembers how it stands before the change.
    pub(crate) async fn begin(
        etcd: &EtcdArgs,
        keys: Vec<String>,
        seconds: u64,
    ) -> Result<Self, Failure> {
        let view = view(etcd).await?;
        let before = view.list().await.map_err(unheard)?;
        Ok(Self { view, before, keys, limit: Duration::from_secs(seconds) })
    }

    /// Waits until all serve by `revision`; how many they are.
    ///
    /// # Errors
    /// Who does not, and what was refused that was not refused before.
    pub(crate) async fn end(self, revision: i64) -> Result<usize, Failure> {
        let after = self.view.wait(revision, self.limit).await.map_err(unheard)?;
        let problems = problems(&self.before, &after, &self.keys, revision);
        if problems.is_empty() {
            return Ok(after.len());
        }
        let (all, seconds) = (count(after.len(), "gateway"), self.limit.as_secs());
        Err(Failure::Refused(format!(
            "revision {revision} is written; of {all}, within {seconds} s:\n  {}",
            problems.join("\n  ")
        )))
    }
}

/// Shows every live gateway, and what it has refused.
pub(crate) fn show(etcd: &EtcdArgs, is_json: bool) -> Outcome {
    let followers =
        runtime()?.block_on(async { view(etcd).await?.list().await.map_err(unheard) })?;
    if is_json {
        return output::json(&followers);
    }
    if followers.is_empty() {
        return output::line("no gateway is alive");
    }
    let now = unix_ms();
    let mut table = output::table(&["GATEWAY", "REVISION", "APPLIED", "REFUSED", "PROGRAM"]);
    for (name, applied) in &followers {
        let since = Duration::from_millis(now.saturating_sub(applied.at_unix_ms));
        table.add_row([
            name,
            &applied.revision.to_string(),
            &format!("{} ago", output::span(since)),
            &(applied.refused.len() + applied.more_refused).to_string(),
            &applied.version,
        ]);
    }
    output::show(&table)?;
    for (name, applied) in &followers {
        for (key, why) in &applied.refused {
            output::line(&format!("{name} refuses {key}: {why}"))?;
        }
    }
    Ok(())
}

/// For one thing after the other.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let what = "could not start a runtime".to_owned();
    runtime.map_err(|source| Failure::Io { what, source })
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn problems(before: &Followers, after: &Followers, keys: &[String], revision: i64) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, applied) in after {
        if applied.revision < revision {
            problems.push(format!("{name} has not applied it: it serves by {}", applied.revision));
        }
        for (key, why) in applied.refused_since(before.get(name), keys) {
            problems.push(format!("{name} refuses {key}: {why}"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hatchway_proto::catalog::Applied;

    use super::*;

    #[test]
    fn who_is_behind_and_who_refuses_are_named() {
        let refused = BTreeMap::from([("routes/a".to_owned(), "no slash".to_owned())]);
        let old = BTreeMap::from([("routes/old".to_owned(), "as ever".to_owned())]);
        let said = |revision, refused| Applied::new("1", revision, 0, refused);
        let before = Followers::from([("gw-3".to_owned(), said(6, old.clone()))]);
        let after = Followers::from([
            ("gw-1".to_owned(), said(7, refused)),
            ("gw-2".to_owned(), said(6, BTreeMap::new())),
            ("gw-3".to_owned(), said(8, old)),
        ]);
        assert_eq!(
            problems(&before, &after, &[], 7),
            ["gw-1 refuses routes/a: no slash", "gw-2 has not applied it: it serves by 6"]
        );
    }
}
