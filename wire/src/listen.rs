//! A listener per core on one address (SO_REUSEPORT, socket(7)): the kernel spreads the connections.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net;

use crate::Stream;

/// Connections that may wait for accept(2); the kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// A bound socket that is not yet tied to a core.
#[derive(Debug)]
pub enum Listener {
    /// Over IP.
    Tcp(TcpListener),
    /// On this machine; every core accepts from the same one.
    Unix(UnixListener),
}

impl Listener {
    /// The same socket again: connections that wait for one are accepted by whichever asks first.
    ///
    /// # Errors
    /// As dup(2).
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener) => listener.try_clone().map(Self::Unix),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// Where to listen: `127.0.0.1:8080` or `unix:/run/hatchway/node.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Over IP.
    Tcp(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            format!("{text:?} is not an address: write IP:PORT, [IP6]:PORT or unix:/path")
        })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Binds `address` once per core; with port 0 all share the port that the first one got. Gives the
/// address as bound.
///
/// # Errors
/// As bind(2) and listen(2).
pub fn bind(address: &Address, cores: usize) -> io::Result<(Vec<Listener>, Address)> {
    match address {
        Address::Tcp(address) => {
            let first = bind_tcp(*address, Share::After)?;
            let bound = first.local_addr()?;
            let mut listeners = vec![Listener::Tcp(first)];
            for _ in 1..cores {
                listeners.push(Listener::Tcp(bind_tcp(bound, Share::Before)?));
            }
            Ok((listeners, Address::Tcp(bound)))
        }
        Address::Unix(path) => {
            let first = bind_unix(path)?;
            let mut listeners = Vec::with_capacity(cores);
            for _ in 1..cores {
                listeners.push(Listener::Unix(first.try_clone()?));
            }
            listeners.push(Listener::Unix(first));
            Ok((listeners, address.clone()))
        }
    }
}

/// When a socket agrees to share its port. The first binds alone and agrees after it: agreeing before, two
/// programs of one user would have the same port, each with half of the connections, and neither would know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    Before,
    After,
}

fn bind_tcp(address: SocketAddr, share: Share) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share == Share::Before)?;
    socket.set_nonblocking(true)?;
    // Small messages are sent at once; what is accepted has it from its listener, which saves a call each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.set_reuse_port(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket file that an earlier run left is replaced; one that somebody listens on is not.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A listener in the hands of one core.
#[derive(Debug)]
pub enum Accept {
    /// Over IP.
    Tcp(net::TcpListener),
    /// On this machine.
    Unix(net::UnixListener),
}

impl Accept {
    /// Ties a listener to the runtime of this thread.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn from_listener(listener: Listener) -> io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => net::TcpListener::from_std(listener).map(Self::Tcp),
            Listener::Unix(listener) => net::UnixListener::from_std(listener).map(Self::Unix),
        }
    }

    /// The next connection, and the peer where it has an address. Cancel safe.
    ///
    /// # Errors
    /// As accept(2), but for those that concern one connection alone; `EMFILE` and the like pass, the
    /// listener stays good.
    pub async fn accept(&self) -> io::Result<Accepted> {
        loop {
            let accepted = match self {
                Self::Tcp(listener) => {
                    let accepted = listener.accept().await;
                    accepted.map(|(stream, peer)| (Stream::Tcp(stream), Some(peer)))
                }
                Self::Unix(listener) => {
                    let accepted = listener.accept().await;
                    accepted.map(|(stream, _)| (Stream::Unix(stream), None))
                }
            };
            match accepted {
                Err(error) if is_of_one_connection(&error) => {}
                accepted => return accepted,
            }
        }
    }

    /// A connection that waits already, as far as the kernel knows; does not wait itself. Closing a listener
    /// resets what waits in its queue, so a drain takes these first.
    pub fn accept_waiting(&self) -> Option<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (socket, peer) = SockRef::from(listener).accept().ok()?;
                socket.set_nonblocking(true).ok()?;
                let stream = net::TcpStream::from_std(socket.into()).ok()?;
                Some((Stream::Tcp(stream), peer.as_socket()))
            }
            Self::Unix(listener) => {
                let (socket, _) = SockRef::from(listener).accept().ok()?;
                socket.set_nonblocking(true).ok()?;
                Some((Stream::Unix(net::UnixStream::from_std(socket.into()).ok()?), None))
            }
        }
    }
}

/// A connection, and its peer where that has an address.
pub type Accepted = (Stream, Option<SocketAddr>);

/// Errors of a connection that was gone before it was taken (accept(2), "Error handling"): the next one is as
/// good as any.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::PermissionDenied
            | Kind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_shared_by_our_cores_and_by_no_second_program() {
        let any_port = Address::Tcp(([127, 0, 0, 1], 0).into());
        let (listeners, address) = bind(&any_port, 3).unwrap();
        assert_eq!(listeners.len(), 3);
        assert_eq!(bind(&address, 3).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listeners);
        assert_eq!(bind(&address, 3).unwrap().1, address);
    }

    #[tokio::test]
    async fn what_waits_in_the_queue_is_taken_without_waiting_and_sends_small_messages_at_once() {
        let any_port = Address::Tcp(([127, 0, 0, 1], 0).into());
        let (mut listeners, Address::Tcp(address)) = bind(&any_port, 1).unwrap() else {
            panic!("bound to a path");
        };
        let accept = Accept::from_listener(listeners.remove(0)).unwrap();
        assert!(accept.accept_waiting().is_none());
        let clients = [(); 3].map(|()| std::net::TcpStream::connect(address).unwrap());
        for client in &clients {
            let (stream, peer) = accept.accept_waiting().unwrap();
            assert_eq!(peer, client.local_addr().ok());
            let Stream::Tcp(stream) = stream else { panic!("accepted over TCP") };
            assert!(stream.nodelay().unwrap());
        }
        assert!(accept.accept_waiting().is_none());
    }
}
