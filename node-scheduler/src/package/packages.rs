//! What the rest of the node asks for the files of a version.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hatchway_package::Digest;
use hatchway_package::store::Store;
use hatchway_proto::catalog::Package;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use super::failure::FetchFailure;
use super::fetch::fetch;
use super::settings::PackageArgs;
use super::shelf::Shelf;
use super::table::{Look, PackageStatus, Shelved, Table};
use crate::metrics::PackageMetrics;

/// While there is too much, and all of it is needed: a sandbox that ends does not say that its package is free now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Fetched at a time: more would share the same connection and the same disk.
const FLIGHTS: usize = 8;

/// The files of a version, which stay where they are for as long as this lives.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// The folder.
    pub(crate) root: PathBuf,
    _shelved: Option<Arc<Shelved>>,
}

/// A package to be fetched; who waits for it is told by the drop of the sender.
type Wanted = (Digest, watch::Sender<()>);

/// The packages of a node. Cloning it shares it.
#[derive(Clone, Debug)]
pub struct Packages(Option<Arc<Inner>>);

/// What [`Packages`] needs done on the node's own thread, for as long as the node runs.
#[derive(Debug)]
pub(crate) struct Tending {
    packages: Packages,
    /// Bounded by the table: nothing is wanted twice.
    wanted: mpsc::UnboundedReceiver<Wanted>,
}

#[derive(Debug)]
pub(super) struct Inner {
    store: Store,
    shelf: Arc<Shelf>,
    table: Mutex<Table>,
    pub(super) disk_budget: u64,
    pub(super) is_ahead: bool,
    wanted: mpsc::UnboundedSender<Wanted>,
    /// Tells who fetches ahead that the rules name others.
    pub(super) named: watch::Sender<()>,
    flights: Semaphore,
    metrics: PackageMetrics,
}

impl Packages {
    /// Takes up what is in the `state` folder. Blocks on files.
    ///
    /// # Errors
    /// When that folder cannot be read or written.
    pub(crate) fn open(
        args: Option<&PackageArgs>,
        state: &Path,
        metrics: PackageMetrics,
    ) -> io::Result<(Self, Tending)> {
        let (sender, wanted) = mpsc::unbounded_channel();
        let Some((args, store)) = args.and_then(|args| Some((args, args.store.clone()?))) else {
            let packages = Self(None);
            return Ok((packages.clone(), Tending { packages, wanted }));
        };
        let (shelf, found) = Shelf::open(state)?;
        let mut table = Table::default();
        let (now, wall) = (Instant::now(), SystemTime::now());
        for found in found {
            // What was kept a day ago was used a day ago, as far as anybody knows.
            let age = wall.duration_since(found.kept_at).unwrap_or(Duration::ZERO);
            let used_at = now.checked_sub(age).unwrap_or(now);
            table.ready(&found.digest, shelf.files(&found.digest), found.disk_bytes, used_at);
        }
        metrics.disk_bytes.set(i64::try_from(table.disk_bytes()).unwrap_or(i64::MAX));
        let packages = Self(Some(Arc::new(Inner {
            store,
            shelf: Arc::new(shelf),
            table: Mutex::new(table),
            disk_budget: args.package_disk,
            is_ahead: !args.no_fetch_ahead,
            wanted: sender,
            named: watch::Sender::default(),
            flights: Semaphore::new(FLIGHTS),
            metrics,
        })));
        Ok((packages.clone(), Tending { packages, wanted }))
    }

    /// The files of a version, if they are here already. Without waiting.
    pub(crate) fn at_once(&self, package: &Package) -> Option<Held> {
        if let Some(root) = &package.root {
            return Some(Held { root: root.clone(), _shelved: None });
        }
        let digest = package.digest.parse().ok()?;
        match self.0.as_ref()?.look(&digest) {
            Look::Ready(shelved) => Some(Held::from(shelved)),
            Look::Claimed(sender) => {
                self.0.as_ref()?.want(digest, sender);
                None
            }
            Look::Fetching(_) | Look::Failed(_) => None,
        }
    }

    /// The files of a version, fetched if need be. Cancel safe: who comes next finds what has come until then.
    ///
    /// # Errors
    /// [`FetchFailure`]: at once, if that was found out a short while ago.
    pub(crate) async fn obtain(&self, package: &Package) -> Result<Held, FetchFailure> {
        if let Some(root) = &package.root {
            return Ok(Held { root: root.clone(), _shelved: None });
        }
        let inner = self.0.as_ref().ok_or_else(FetchFailure::no_store)?;
        let digest: Digest =
            package.digest.parse().map_err(|error| FetchFailure::not_a_digest(&error))?;
        inner.wait(digest).await.map(Held::from)
    }

    /// The rules name these as well from now on, each once more.
    pub(crate) fn name<'a>(&self, packages: impl Iterator<Item = &'a Package>) {
        self.renamed(packages, Table::name);
    }

    /// The rules name these once less.
    pub(crate) fn forget<'a>(&self, packages: impl Iterator<Item = &'a Package>) {
        self.renamed(packages, Table::forget);
    }

    fn renamed<'a>(
        &self,
        packages: impl Iterator<Item = &'a Package>,
        change: impl Fn(&mut Table, Digest),
    ) {
        let Some(inner) = &self.0 else { return };
        let in_store = packages.filter(|package| package.root.is_none());
        let digests: Vec<Digest> =
            in_store.filter_map(|package| package.digest.parse().ok()).collect();
        if !digests.is_empty() {
            let mut table = inner.table();
            digests.into_iter().for_each(|digest| change(&mut table, digest));
            inner.named.send_replace(());
        }
    }

    /// Every package that was asked for.
    pub(crate) fn status(&self) -> Vec<PackageStatus> {
        self.0.as_ref().map_or_else(Vec::new, |inner| inner.table().status())
    }
}

impl From<Arc<Shelved>> for Held {
    fn from(shelved: Arc<Shelved>) -> Self {
        Self { root: shelved.files.clone(), _shelved: Some(shelved) }
    }
}

impl Tending {
    /// Fetches what is wanted and removes what is too much, until it is dropped.
    pub(crate) async fn run(self) {
        let Self { packages: Packages(inner), mut wanted } = self;
        let Some(inner) = inner else { return };
        let mut named = inner.named.subscribe();
        let flying = async {
            let mut flights = JoinSet::new();
            let mut again = interval(LOOK_AGAIN);
            again.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    next = wanted.recv() => {
                        let Some((digest, told)) = next else { return };
                        flights.spawn(Arc::clone(&inner).fly(digest, told));
                    }
                    Some(_) = flights.join_next() => drop(inner.prune(inner.disk_budget)),
                    Ok(()) = named.changed() => drop(inner.prune(inner.disk_budget)),
                    _ = again.tick(), if inner.is_over_budget() => drop(inner.prune(inner.disk_budget)),
                }
            }
        };
        tokio::join!(flying, inner.ahead());
    }
}

impl Inner {
    /// Nothing is awaited while it is held.
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, digest: &Digest) -> Look {
        self.table().look(digest, Instant::now())
    }

    fn want(&self, digest: Digest, told: watch::Sender<()>) {
        if self.wanted.send((digest, told)).is_err() {
            let failure = FetchFailure::unavailable("the node is going down".to_owned());
            self.table().failed(&digest, failure, Instant::now());
        }
    }

    pub(super) async fn wait(&self, digest: Digest) -> Result<Arc<Shelved>, FetchFailure> {
        loop {
            let mut done = match self.look(&digest) {
                Look::Ready(shelved) => return Ok(shelved),
                Look::Failed(failure) => return Err(failure),
                Look::Fetching(done) => done,
                Look::Claimed(told) => {
                    let done = told.subscribe();
                    self.want(digest, told);
                    done
                }
            };
            // It says nothing, but goes when there is something to see.
            let _ = done.changed().await;
        }
    }

    /// Fetches one package, and says what came of it.
    async fn fly(self: Arc<Self>, digest: Digest, told: watch::Sender<()>) {
        let _flight = self.flights.acquire().await.expect("the semaphore is never closed");
        let begun = Instant::now();
        let mut fetched = fetch(&self.store, &self.shelf, &digest).await;
        let is_disk_full = fetched.as_ref().is_err_and(FetchFailure::is_of_disk);
        if is_disk_full && self.prune(0).await.is_ok_and(|removed| removed > 0) {
            fetched = fetch(&self.store, &self.shelf, &digest).await;
        }
        let took = begun.elapsed();
        let result = fetched.as_ref().map_or_else(|failure| failure.reason, |_| "ok");
        self.metrics.fetches.with_label_values(&[result]).inc();
        match fetched {
            Ok(unpacked) => {
                self.metrics.seconds.observe(took.as_secs_f64());
                let (entries, bytes) = (unpacked.entries, unpacked.disk_bytes);
                tracing::info!(%digest, entries, bytes, took_ms = took.as_millis(), "a package was fetched");
                let files = self.shelf.files(&digest);
                self.table().ready(&digest, files, bytes, Instant::now());
                if self.is_over_budget() {
                    tracing::info!(
                        budget_bytes = self.disk_budget,
                        "packages take more disk than they should"
                    );
                }
            }
            Err(failure) => {
                tracing::warn!(%digest, reason = failure.reason, detail = failure.detail, "a package cannot be had");
                self.table().failed(&digest, failure, Instant::now());
            }
        }
        drop(told);
    }

    fn is_over_budget(&self) -> bool {
        self.table().disk_bytes() > self.disk_budget
    }

    /// Takes away what is beyond the budget and not needed. How many packages that were is known when their files are
    /// gone; nobody has to wait for that.
    fn prune(&self, budget_bytes: u64) -> JoinHandle<usize> {
        let (gone, left_bytes) = {
            let mut table = self.table();
            let evicted = table.evict(budget_bytes);
            // Under the lock: who asks for one of them next finds neither a row nor a folder.
            let taken = evicted.iter().map(|digest| self.shelf.take_away(digest));
            (taken.collect::<Vec<_>>(), table.disk_bytes())
        };
        self.metrics.disk_bytes.set(i64::try_from(left_bytes).unwrap_or(i64::MAX));
        self.metrics.evicted.inc_by(gone.len() as u64);
        spawn_blocking(move || {
            let count = gone.len();
            for taken in gone {
                if let Err(error) = taken.and_then(std::fs::remove_dir_all) {
                    tracing::warn!(%error, "a package is still on the disk");
                }
            }
            if count > 0 {
                tracing::info!(count, "packages were removed");
            }
            count
        })
    }
}
