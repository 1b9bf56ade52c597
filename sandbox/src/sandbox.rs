//! A sandbox whose program runs.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::cgroup::usage::read_usage;
use crate::cgroup::{GroupPaths, Usage};
pub use crate::door::Connection;
use crate::equipment::{Guard, Kept, SocketFile};
use crate::exit::Exit;
use crate::link::Hatched;
use crate::protocol::order::{Door, Order};
use crate::ready::{NotReady, ReadyPipe, ReadyReport};

use crate::spec::{Entry, Network, SandboxSpec};
use crate::tier::Tier;

/// Between two tries to connect: soon at first, for a native server listens within a
/// millisecond, then rarely enough not to cost a slow one its share of the processor.
const FIRST_PAUSE: Duration = Duration::from_micros(500);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// How long the parts of a start took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// From the node's decision until the spawner had the order.
    pub order: Duration,
    /// Making the group and the process, and every step of isolation.
    pub isolate: Duration,
    /// Until the function's program had taken over.
    pub exec: Duration,
}

/// How a function is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Inherited,
    Probed { port: u16, network: Network },
}

impl Way {
    pub(crate) fn new(entry: Entry, network: Network) -> Self {
        match entry {
            Entry::Inherited => Self::Inherited,
            Entry::Probed { port } => Self::Probed { port, network },
        }
    }
}

/// A running sandbox. Dropping it kills it.
#[derive(Debug)]
pub struct Sandbox {
    guard: Guard,
    /// The function's process as the host numbers it.
    pub pid: i32,
    /// What it was started from.
    pub tier: Tier,
    pub phases: Phases,
    groups: GroupPaths,
    exit: watch::Receiver<Option<Exit>>,
    output: Mutex<Option<(OwnedFd, OwnedFd)>>,
    proxy: Mutex<Option<OwnedFd>>,
    ready: Option<ReadyPipe>,
    socket: Option<SocketFile>,
    way: Way,
    /// Where a probed function has answered.
    door: Mutex<Option<Door>>,
}

impl Sandbox {
    pub(crate) fn new(
        guard: Guard,
        hatched: Hatched,
        exit: watch::Receiver<Option<Exit>>,
        kept: Kept,
        way: Way,
    ) -> Self {
        Self {
            guard,
            pid: hatched.pid,
            tier: hatched.tier,
            phases: hatched.phases.into(),
            groups: hatched.groups,
            exit,
            output: Mutex::new(Some((kept.stdout, kept.stderr))),
            proxy: Mutex::new(hatched.proxy),
            ready: kept.ready.map(ReadyPipe::new),
            socket: kept.socket,
            way,
            door: Mutex::default(),
        }
    }

    /// One that serves already, started by an earlier node.
    pub(crate) fn adopted(
        guard: Guard,
        hatched: Hatched,
        exit: watch::Receiver<Option<Exit>>,
        kept: Kept,
        (way, door): (Way, Option<Door>),
    ) -> Self {
        Self { door: Mutex::new(door), ..Self::new(guard, hatched, exit, kept, way) }
    }

    /// The id it was ordered by.
    pub fn id(&self) -> u64 {
        self.guard.id
    }

    /// The reading ends of its standard output and standard error; the first caller gets them.
    /// A sandbox whose output nobody reads stops when the pipe is full.
    pub fn take_output(&self) -> Option<(OwnedFd, OwnedFd)> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The listener on [`PROXY_PORT`](crate::spec::PROXY_PORT) of a [proxied](Network::Proxied) sandbox; the first caller
    /// gets it. Whatever is forked from a zygote shares that of the zygote. Nobody answers there until somebody accepts.
    pub fn take_proxy(&self) -> Option<OwnedFd> {
        self.proxy.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Has it live on, once it [serves](Self::serves), when this node goes without a word: `record` is what the next one
    /// is told of it, at most 1,024 bytes. Its output has to be there still: the next node reads on where this one ended.
    ///
    /// # Errors
    /// When no further descriptor is to be had; it ends with this node then.
    pub fn keep(&self, record: String) -> io::Result<()> {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((stdout, stderr)) = output.as_ref().filter(|_| self.guard.link.keeps) else {
            return Ok(());
        };
        let copies = vec![stdout.try_clone()?, stderr.try_clone()?];
        self.guard.link.order_with(&Order::Keep { id: self.id(), record }, copies);
        Ok(())
    }

    /// It is ready, and from now on worth [keeping](Self::keep).
    pub fn serves(&self) {
        if !self.guard.link.keeps {
            return;
        }
        let door = *self.door.lock().unwrap_or_else(PoisonError::into_inner);
        self.guard.link.order(&Order::Serves { id: self.id(), door });
    }

    /// Waits until the function serves. Cancel safe.
    ///
    /// # Errors
    /// What the function itself said, or how it ended. There is no clock in here: the caller
    /// has one.
    pub async fn ready(&self) -> Result<ReadyReport, NotReady> {
        let waited = async {
            match &self.ready {
                Some(pipe) => pipe.read().await,
                None => self.probe().await,
            }
        };
        tokio::select! {
            // What it said last is more telling than that it ended.
            biased;
            waited = waited => match waited {
                Err(NotReady::Silent) => Err(self.ended_or_silent().await),
                waited => waited,
            },
            exit = self.exited() => {
                let said = self.ready.as_ref().and_then(ReadyPipe::last_words);
                said.unwrap_or(Err(NotReady::Ended(exit)))
            }
        }
    }

    /// What it says after its word on the ready pipe: the beginning, and where the rest comes from, to its end. None for a
    /// probed function.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn rest(&self) -> io::Result<Option<(Vec<u8>, OwnedFd)>> {
        self.ready.as_ref().map(ReadyPipe::rest).transpose()
    }

    /// A pipe that closes without a word mostly belongs to a function that has ended, whose
    /// end is then on its way. One that lives has closed it on purpose.
    async fn ended_or_silent(&self) -> NotReady {
        const ON_ITS_WAY: Duration = Duration::from_millis(250);
        match tokio::time::timeout(ON_ITS_WAY, self.exited()).await {
            Ok(exit) => NotReady::Ended(exit),
            Err(_) => NotReady::Silent,
        }
    }

    /// Tries both doors until one answers.
    async fn probe(&self) -> Result<ReadyReport, NotReady> {
        let mut pause = FIRST_PAUSE;
        loop {
            for door in [Door::Unix, Door::Tcp] {
                if self.connect_by(door).await.is_ok() {
                    *self.door.lock().unwrap_or_else(PoisonError::into_inner) = Some(door);
                    return Ok(ReadyReport { value: Value::Null, door: Some(door) });
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Connects to the function. For an inherited entry this works from the start: the
    /// connection waits in the listener until it is accepted. Cancel safe.
    ///
    /// # Errors
    /// `NotConnected` for a probed function that has not answered yet; what connect(2) says.
    pub async fn connect(&self) -> io::Result<Connection> {
        match self.way {
            Way::Inherited => {
                let gone = || io::Error::from(io::ErrorKind::NotConnected);
                let socket = self.socket.as_ref().ok_or_else(gone)?;
                Ok(Connection::Unix(UnixStream::connect(&socket.path).await?))
            }
            Way::Probed { .. } => {
                let door = *self.door.lock().unwrap_or_else(PoisonError::into_inner);
                self.connect_by(door.ok_or(io::ErrorKind::NotConnected)?).await
            }
        }
    }

    async fn connect_by(&self, door: Door) -> io::Result<Connection> {
        let link = &self.guard.link;
        match (door, self.way) {
            (Door::Tcp, Way::Probed { port, network: Network::Open }) => {
                Connection::loopback(port).await
            }
            (Door::Tcp, _) => Connection::tcp(link.connect(self.id(), door).await?).await,
            (Door::Unix, _) => Connection::unix(link.connect(self.id(), door).await?),
        }
    }

    /// Changes the limit of processor time, in thousandths of a core (10 to 1,024,000): a
    /// function may start with more than it runs with. Its weight among neighbours stays.
    /// Out of range it is left as it was.
    pub fn limit_cpu(&self, cpu_millis: u32) {
        if SandboxSpec::check_cpu(cpu_millis).is_ok() {
            self.guard.link.order(&Order::LimitCpu { id: self.id(), cpu_millis });
        }
    }

    pub(crate) fn order(&self, order: &Order) {
        self.guard.link.order(order);
    }

    /// Asks the function to end, by SIGTERM.
    pub fn terminate(&self) {
        self.guard.link.order(&Order::Terminate { id: self.id() });
    }

    /// Ends everything in it at once.
    pub fn kill(&self) {
        self.guard.link.order(&Order::Kill { id: self.id() });
    }

    /// Waits for its end: no process of it is left then. May be called by many, and again.
    pub fn exited(&self) -> impl Future<Output = Exit> + Send + use<> {
        let mut exit = self.exit.clone();
        async move {
            let ended = exit.wait_for(Option::is_some).await;
            match ended.as_deref() {
                Ok(Some(exit)) => exit.clone(),
                Ok(None) | Err(_) => Exit::lost("the spawner is gone"),
            }
        }
    }

    /// True once it has ended.
    pub fn has_ended(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// What it uses at this moment; reads a few files, needs no privilege.
    ///
    /// # Errors
    /// `NotFound` once it has ended; `Unsupported` without a control group.
    pub fn usage(&self) -> io::Result<Usage> {
        read_usage(&self.groups)
    }
}
