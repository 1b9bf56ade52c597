//! Connecting to a probed function: its socket lies in a folder that it can write, its port in
//! a network namespace that the node cannot enter.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::resident::{Guest, Resident};
use crate::protocol::order::Door;
use crate::spec::{Network, SOCKET_NAME};
use crate::steps::Step;
use crate::sys::namespace::socket_in_network_of;

/// A connection through `door`, perhaps still on its way.
pub(super) fn open(resident: &Resident, door: Door, steps: &[Step]) -> io::Result<OwnedFd> {
    let guest = resident.guest.as_ref().ok_or(io::ErrorKind::NotConnected)?;
    let has_network = steps.contains(&Step::NetworkNamespace);
    match (door, resident.network) {
        (Door::Unix, _) => open_unix(guest),
        (Door::Tcp, Network::None | Network::Proxied) if has_network => {
            socket_in_network_of(resident.child.pidfd.as_fd(), guest.port)
        }
        (Door::Tcp, Network::None | Network::Proxied | Network::Open) => open_loopback(guest.port),
    }
}

/// To a port of the network that we ourselves are in: the function shares it.
fn open_loopback(port: u16) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// The name in the private folder may be anything the function likes, a link to the host's
/// most precious socket among it. So the name is looked up without following any link and
/// without leaving the folder, what is found has to be a socket, and it is that thing, not the
/// name again, to which the connection goes.
fn open_unix(guest: &Guest) -> io::Result<OwnedFd> {
    let absent = || io::Error::from_raw_os_error(libc::ENOENT);
    let dir = guest.private.as_ref().ok_or_else(absent)?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = openat2(dir, SOCKET_NAME, flags, Mode::empty(), resolve)?;
    if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::Socket {
        return Err(io::Error::from_raw_os_error(libc::ENOTSOCK));
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
    connect(&socket, &address)?;
    Ok(socket)
}
