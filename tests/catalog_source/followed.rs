//! A source that is followed on a thread of its own.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use clap::Parser;
use hatchway_tests::{Etcd, eventually};
use hatchway_wire::catalog::etcd::{EtcdArgs, EtcdConfig, EtcdSource};
use hatchway_wire::catalog::{Found, Link, Source, Status};
use tokio::sync::oneshot;

/// What was heard last.
#[derive(Debug)]
pub(crate) struct Followed {
    last: Arc<Mutex<Found>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Followed {
    pub(crate) fn start<S: Source + Send + 'static>(source: S) -> Self {
        Self::telling(source, |_| {})
    }

    /// Tells another one first.
    pub(crate) fn telling<S: Source + Send + 'static>(
        source: S,
        mut other: impl FnMut(&Found) + Send + 'static,
    ) -> Self {
        let last = Arc::new(Mutex::new(source.first()));
        let told = Arc::clone(&last);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let tell = |found| {
                    other(&found);
                    *told.lock().expect("nobody panics with it") = found;
                };
                tokio::select! {
                    () = source.follow(tell) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { last, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn found(&self) -> Found {
        self.last.lock().expect("nobody panics with it").clone()
    }

    pub(crate) fn status(&self) -> Status {
        self.found().status
    }

    /// `name=path` of each route.
    pub(crate) fn routes(&self) -> Vec<String> {
        let objects = self.found().objects;
        objects.routes.iter().map(|(name, route)| format!("{name}={}", route.path)).collect()
    }

    /// Waits until these are the routes, as `name=path`.
    #[track_caller]
    pub(crate) fn serves(&self, routes: &[&str]) {
        let what = format!("{routes:?}; it is {:?}", self.found());
        eventually(&what, || (self.routes() == routes).then_some(()));
    }

    /// Waits until the status is so.
    #[track_caller]
    pub(crate) fn says(&self, what: &str, is_so: impl Fn(&Status) -> bool) {
        eventually(what, || is_so(&self.status()).then_some(()));
    }

    #[track_caller]
    pub(crate) fn is_lost(&self) {
        self.says("it is lost", |status| matches!(status.link, Link::Lost { .. }));
    }

    #[track_caller]
    pub(crate) fn is_connected(&self) {
        self.says("it is connected", |status| matches!(status.link, Link::Connected { .. }));
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("following does not panic");
        }
    }
}

/// The JSON of a route.
pub(crate) fn route(path: &str) -> String {
    format!(r#"{{"path":"{path}","function":"local/f"}}"#)
}

pub(crate) fn config(etcd: &Etcd) -> EtcdConfig {
    config_with(etcd, &[])
}

/// With more to say than where it is.
pub(crate) fn config_with(etcd: &Etcd, more: &[&str]) -> EtcdConfig {
    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        etcd: EtcdArgs,
    }
    let words = Words::parse_from([&["x", "--etcd", &etcd.url()], more].concat());
    words.etcd.check().expect("the settings are good")
}

pub(crate) fn followed(etcd: &Etcd) -> Followed {
    Followed::start(EtcdSource::new(config(etcd), None))
}
