//! An upgrade without a failed request: `hatchway-node --replace` takes the place of the daemon that runs.
//!
//! Who owns what when:
//!
//! 1. The heir starts beside the daemon of the same state folder, reads its rules, and asks through a socket in there whether
//!    it may come: both have to be of one user, listen on the same address, and work with the same spawner. Nothing
//!    has changed so far, and whatever goes wrong ends the heir alone.
//! 2. The heir takes. The daemon tells its gateways by DRAIN that another process takes over at this address; they connect there,
//!    and wait in its backlog. It closes every sandbox to new calls, refuses who waits for one, which gateways offer
//!    again to the heir, and leaves the spawner. From here on it commands nothing.
//! 3. The heir gets the listeners, the lock of the folder, and how many slots of each sandbox are still out; then it
//!    [adopts](crate::pool) all sandboxes from the spawner, and serves.
//!    One whose way out is the daemon's own egress proxy is not kept: it ends, with what it runs.
//! 4. The daemon relays the calls that it has to their ends, over the connections that it has, and says of each sandbox when the last one
//!    is over. When it ends, by whatever end, all slots are the heir's.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::Builder;

use hatchway_proto::name::SandboxId;
use hatchway_sandbox::packet::{self, Receiver};
use hatchway_sandbox::{Grants, Spawner};
use hatchway_wire::listen::{Address, Listener};
use rustix::net::{
    AddressFamily, RecvFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind,
    connect, listen, shutdown, socket_with, sockopt,
};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, oneshot};

use crate::pool::{Estate, PoolEvent};

/// Raised whenever what the two say to each other changes its meaning.
const FORMAT: u32 = 1;

/// Where the daemon is found, in the folder of its sockets.
const NAME: &str = "daemon.sock";

/// What an heir says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Says {
    /// First, and then nothing until the answer.
    Ask {
        format: u32,
        listen: String,
        spawner: String,
    },
    Take,
}

/// What a daemon answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Answers {
    Refused {
        reason: String,
    },
    May {
        grants: Grants,
    },
    /// Beside it: one of its listeners.
    Listener,
    /// Behind the last listener. Beside it: the lock of the folder.
    All {
        address: String,
        instance: String,
        slots_out: Vec<(u64, u16)>,
    },
    /// The last slot of this sandbox has come back.
    Freed {
        sandbox: u64,
    },
}

/// Why a daemon cannot be replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// Nobody answers, or not as a daemon would.
    #[error("the daemon that holds the state folder does not answer at {}", path.display())]
    Silent {
        /// Its socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else answers.
    #[error("{} belongs to user {user}", path.display())]
    Stranger {
        /// Its socket.
        path: PathBuf,
        /// Who.
        user: u32,
    },
    /// It says why.
    #[error("the daemon that runs cannot be replaced: {reason}; stop it first")]
    Refused {
        /// Its words.
        reason: String,
    },
}

/// The daemon whose place is to be taken: it has agreed, and goes on serving until it is [taken](Predecessor::take).
#[derive(Debug)]
pub(crate) struct Predecessor {
    socket: OwnedFd,
    receiver: Receiver,
    path: PathBuf,
    pub(crate) grants: Grants,
}

/// What it has given.
#[derive(Debug)]
pub(crate) struct Legacy {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) address: Address,
    pub(crate) instance: u128,
    pub(crate) lock: OwnedFd,
    pub(crate) slots_out: Estate,
    pub(crate) rest: Rest,
}

/// What it still has to say.
#[derive(Debug)]
pub(crate) struct Rest {
    socket: OwnedFd,
    receiver: Receiver,
}

fn garbled() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it says something else")
}

fn hear(receiver: &mut Receiver, socket: &OwnedFd) -> io::Result<(Answers, Vec<OwnedFd>)> {
    let packet = receiver.receive(socket, RecvFlags::empty())?;
    let (bytes, attached) = packet.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((packet::decode(bytes)?, attached))
}

impl Predecessor {
    /// Asks the daemon whose sockets are in `run_dir`, and that is `user` by now, whether one may come that listens on `listen` and
    /// wants of a spawner what `spawner` says.
    pub(crate) fn ask(
        run_dir: &Path,
        user: u32,
        (listen, spawner): (&Address, String),
    ) -> Result<Self, ReplaceError> {
        let path = run_dir.join(NAME);
        let silent = |source| ReplaceError::Silent { path: path.clone(), source };
        let socket = knock(&path).map_err(silent)?;
        let peer = sockopt::socket_peercred(&socket).map_err(|error| silent(error.into()))?;
        if ![user, geteuid().as_raw()].contains(&peer.uid.as_raw()) {
            return Err(ReplaceError::Stranger { path, user: peer.uid.as_raw() });
        }
        let ask = Says::Ask { format: FORMAT, listen: listen.to_string(), spawner };
        let mut receiver = Receiver::new();
        let answer = packet::send_message(&socket, &ask, &[])
            .and_then(|()| hear(&mut receiver, &socket))
            .map_err(silent)?;
        match answer.0 {
            Answers::May { grants } => Ok(Self { socket, receiver, path, grants }),
            Answers::Refused { reason } => Err(ReplaceError::Refused { reason }),
            Answers::Listener | Answers::All { .. } | Answers::Freed { .. } => {
                Err(silent(garbled()))
            }
        }
    }

    /// Takes its place: from here on there is no way back.
    pub(crate) fn take(self) -> Result<Legacy, ReplaceError> {
        let path = self.path.clone();
        self.receive().map_err(|source| ReplaceError::Silent { path, source })
    }

    fn receive(mut self) -> io::Result<Legacy> {
        packet::send_message(&self.socket, &Says::Take, &[])?;
        let mut descriptors = Vec::new();
        loop {
            let (answer, attached) = hear(&mut self.receiver, &self.socket)?;
            let descriptor = attached.into_iter().next().ok_or_else(garbled)?;
            match answer {
                Answers::Listener => descriptors.push(descriptor),
                Answers::All { address, instance, slots_out } => {
                    let address: Address = address.parse().map_err(|_| garbled())?;
                    let listeners = descriptors.into_iter().map(|one| listener(one, &address));
                    let slots_out = slots_out.into_iter().map(|(id, out)| (SandboxId(id), out));
                    let rest = Rest { socket: self.socket, receiver: self.receiver };
                    return Ok(Legacy {
                        listeners: listeners.collect(),
                        instance: u128::from_str_radix(&instance, 16).map_err(|_| garbled())?,
                        address,
                        lock: descriptor,
                        slots_out: slots_out.collect(),
                        rest,
                    });
                }
                Answers::Refused { .. } | Answers::May { .. } | Answers::Freed { .. } => {
                    return Err(garbled());
                }
            }
        }
    }
}

fn knock(path: &Path) -> io::Result<OwnedFd> {
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

fn listener(descriptor: OwnedFd, address: &Address) -> Listener {
    match address {
        Address::Tcp(_) => Listener::Tcp(TcpListener::from(descriptor)),
        Address::Unix(_) => Listener::Unix(UnixListener::from(descriptor)),
    }
}

impl Rest {
    /// Says of each sandbox that the predecessor does not use it any more, then, with none, that it uses nothing any more.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn follow(
        self,
        freed: impl Fn(Option<SandboxId>) + Send + 'static,
    ) -> io::Result<()> {
        let Self { socket, mut receiver } = self;
        let run = move || {
            while let Ok((Answers::Freed { sandbox }, _)) = hear(&mut receiver, &socket) {
                freed(Some(SandboxId(sandbox)));
            }
            freed(None);
        };
        // It ends with the predecessor, whose own end is bounded.
        Builder::new().name("predecessor".to_owned()).spawn(run).map(drop)
    }
}

/// Where the next daemon knocks. Closed and removed when dropped; its thread, which may be listening to a visitor by then, ends with
/// the process at the latest.
#[derive(Debug)]
pub struct Door {
    socket: Arc<OwnedFd>,
    path: PathBuf,
    taken: oneshot::Receiver<Heir>,
}

/// A daemon that takes this one's place.
#[derive(Debug)]
pub struct Heir(OwnedFd);

/// Of this daemon, what an heir has to agree with.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) listen: Address,
    pub(crate) spawner: Spawner,
    pub(crate) grants: Grants,
}

impl Door {
    /// Opens it in the folder of sockets.
    pub(crate) fn open(run_dir: &Path, house: House) -> io::Result<Self> {
        let path = run_dir.join(NAME);
        hatchway_sandbox::folder::remove(&path)?;
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        bind(&socket, &SocketAddrUnix::new(&path)?)?;
        listen(&socket, 1)?;
        let (tell, taken) = oneshot::channel();
        let socket = Arc::new(socket);
        let door = Arc::clone(&socket);
        let run = move || {
            if let Some(heir) = wait(&door, &house) {
                // Nobody waits in a daemon that ends.
                let _ = tell.send(heir);
            }
        };
        Builder::new().name("heirs".to_owned()).spawn(run)?;
        Ok(Self { socket, path, taken })
    }

    /// Waits until somebody takes this daemon's place. Cancel safe; to be asked once.
    pub async fn taken(&mut self) -> Heir {
        match (&mut self.taken).await {
            Ok(heir) => heir,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Wakes the thread (accept(2): `EINVAL` for what does not listen any more).
        let _ = shutdown(&self.socket, Shutdown::Both);
        // An heir makes its own once this one is gone.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The first visitor that may come and takes; none once the door is closed.
fn wait(door: &OwnedFd, house: &House) -> Option<Heir> {
    loop {
        let visitor = match accept_with(door, SocketFlags::CLOEXEC) {
            Ok(visitor) => visitor,
            Err(rustix::io::Errno::INVAL) => return None,
            // Of one visitor alone, who will try again.
            Err(_) => continue,
        };
        match house.receive(&visitor) {
            Ok(true) => return Some(Heir(visitor)),
            Ok(false) => {}
            Err(error) => tracing::info!(%error, "a daemon that would take over has left"),
        }
    }
}

impl House {
    /// Hears a visitor out. True when it takes over.
    fn receive(&self, visitor: &OwnedFd) -> io::Result<bool> {
        let peer = sockopt::socket_peercred(visitor)?.uid;
        if !peer.is_root() && peer != geteuid() {
            return Ok(false);
        }
        let mut receiver = Receiver::new();
        let Some(Says::Ask { format, listen, spawner }) = said(&mut receiver, visitor)? else {
            return Ok(false);
        };
        if let Err(reason) = self.agrees(format, &listen, &spawner) {
            tracing::warn!(reason, "a daemon that would take over is refused");
            packet::send_message(visitor, &Answers::Refused { reason }, &[])?;
            return Ok(false);
        }
        let may = Answers::May { grants: self.grants.clone() };
        packet::send_message(visitor, &may, &[])?;
        Ok(matches!(said(&mut receiver, visitor)?, Some(Says::Take)))
    }

    fn agrees(&self, format: u32, listen: &str, spawner: &str) -> Result<(), String> {
        if format != FORMAT {
            return Err(format!("it speaks format {FORMAT}, not {format}"));
        }
        if listen != self.listen.to_string() {
            return Err(format!("it listens on {}, not on {listen}", self.listen));
        }
        self.spawner.covers(spawner)
    }
}

fn said(receiver: &mut Receiver, visitor: &OwnedFd) -> io::Result<Option<Says>> {
    match receiver.receive(visitor, RecvFlags::empty())? {
        Some((bytes, _)) => packet::decode(bytes).map(Some),
        None => Ok(None),
    }
}

impl Heir {
    /// Gives it the place of this daemon.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn give(
        &self,
        listeners: &[Listener],
        lock: BorrowedFd<'_>,
        (address, instance): (&Address, u128),
        estate: &Estate,
    ) -> io::Result<()> {
        for listener in listeners {
            packet::send_message(&self.0, &Answers::Listener, &[listener.as_fd()])?;
        }
        let all = Answers::All {
            address: address.to_string(),
            instance: format!("{instance:032x}"),
            slots_out: estate.iter().map(|(id, out)| (id.0, *out)).collect(),
        };
        packet::send_message(&self.0, &all, &[lock])
    }

    /// Tells it of every sandbox that is not used here any more, until there is no pool to say so, or no heir to hear it. Blocks.
    pub fn follow(&self, mut events: broadcast::Receiver<PoolEvent>) {
        loop {
            let left = match events.blocking_recv() {
                Ok(PoolEvent::Left { of }) => Answers::Freed { sandbox: of.sandbox.0 },
                Ok(_) => continue,
                // What was missed is the heir's when this daemon has ended.
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return,
            };
            if packet::send_message(&self.0, &left, &[]).is_err() {
                return;
            }
        }
    }
}
