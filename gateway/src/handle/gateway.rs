//! What all requests of a core share, and what clients are told before they have asked for anything.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use hatchway_wire::backend::{Backend, answer_failure};
use hatchway_wire::http1::{Answer, Peer};
use hatchway_wire::tls::Certificates;
use hatchway_wire::trace::{Tracer, Tracers};

use crate::accept::{Door, Full};
use crate::access::{Scribe, Scribes};
use crate::answer;
use crate::catalog::CachedCatalog;
use crate::metrics::{Connected, EdgeMetrics};
use crate::mirror::Copies;
use crate::overload::Load;
use crate::rehearse::{Heads, Recorder};
use crate::trigger::{self, Trigger};

/// The gateway, as one core has it.
#[derive(Debug)]
pub struct Gateway<B> {
    pub(super) catalog: RefCell<CachedCatalog>,
    pub(super) trigger: Trigger,
    pub(super) backend: Rc<B>,
    pub(super) copies: Copies,
    pub(super) metrics: Arc<EdgeMetrics>,
    /// Without bounds where nobody has set any.
    pub(super) load: Option<Load>,
    /// What clients over TLS are shown.
    pub(super) certificates: Option<Arc<Certificates>>,
    /// Where requests are put down that are over.
    pub(super) scribe: Option<Scribe>,
    /// Where spans are left of those that are sampled.
    pub(super) tracer: Option<Tracer>,
    /// Where some heads are kept for a while.
    pub(super) recorder: Option<Recorder>,
}

impl<B: Backend> Gateway<B> {
    /// Puts the stages together for one core.
    pub fn new(catalog: CachedCatalog, backend: B, metrics: Arc<EdgeMetrics>) -> Self {
        let (catalog, trigger) = (RefCell::new(catalog), Trigger::default());
        let (backend, copies) = (Rc::new(backend), Copies::default());
        Self {
            catalog,
            trigger,
            backend,
            copies,
            metrics,
            load: None,
            certificates: None,
            scribe: None,
            tracer: None,
            recorder: None,
        }
    }

    /// Takes on no more than `door` says, and believes whom it trusts. Called on the core.
    #[must_use]
    pub(crate) fn within(self, door: &Door) -> Self {
        let trigger = Trigger::new(door.trusted.clone());
        Self { load: Some(Load::within(door)), trigger, ..self }
    }

    /// Shows clients over TLS these, and serves each host only to whom its own was shown.
    #[must_use]
    pub(crate) fn showing(self, certificates: Option<&Arc<Certificates>>) -> Self {
        Self { certificates: certificates.cloned(), ..self }
    }

    /// True where a request for `host` came over a connection that is for others.
    pub(super) fn is_misdirected(&self, sender: Peer<'_>, host: &str) -> bool {
        let known = sender.shown.zip(self.certificates.as_ref());
        known.is_some_and(|(shown, certificates)| certificates.misdirects(shown, host))
    }

    /// Puts requests down that are over. Called on the core.
    #[must_use]
    pub fn put_down(self, scribes: Option<&Scribes>) -> Self {
        Self { scribe: scribes.map(Scribes::scribe), ..self }
    }

    /// Tells of requests that are sampled. Called on the core.
    #[must_use]
    pub fn tell(self, tracers: Option<&Tracers>) -> Self {
        Self { tracer: tracers.map(Tracers::tracer), ..self }
    }

    /// Keeps some heads for a while. Called on the core.
    #[must_use]
    pub fn remember(self, heads: Option<&Arc<Heads>>) -> Self {
        Self { recorder: heads.map(Heads::recorder), ..self }
    }

    /// True while no more may come in, whatever it is.
    pub(crate) fn has_no_memory(&self) -> bool {
        self.load.as_ref().is_some_and(Load::has_no_memory)
    }

    /// Counts a connection for as long as the result lives.
    pub(crate) fn connected(&self) -> Connected {
        self.metrics.connected()
    }

    /// What a connection is told for which there is no room.
    pub(crate) fn turn_away(&self, why: Full) -> Answer {
        let failure = answer::full(why);
        self.metrics.refused(failure.reason);
        answer_failure(&failure, &trigger::next_id())
    }

    /// Counts a connection that is closed without a word.
    pub(crate) fn ignored(&self, reason: &str) {
        self.metrics.refused(reason);
    }

    /// What a request is told that came without TLS to a port for it.
    pub(crate) fn wants_tls(&self) -> Answer {
        let failure = answer::wants_tls();
        self.metrics.refused(failure.reason);
        answer_failure(&failure, &trigger::next_id())
    }

    /// Counts a handshake by how it ended.
    pub(crate) fn shook_hands(&self, result: &str) {
        self.metrics.handshakes.with_label_values(&[result]).inc();
    }
}
