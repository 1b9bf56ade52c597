//! Namespaces of its own: after the group, so that they are charged to it, and before the
//! mounts, which must not be seen outside.
//!
//! The process-id namespace is not here: the spawner's clone made it, since a process cannot
//! change its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::thread::UnshareFlags;

use super::{AtStep, Step, StepError};
use crate::spec::{Network, PROXY_PORT};
use crate::sys::namespace::{raise_loopback, set_host_name, unshare};

/// What a function reads as the name of its machine.
const HOST_NAME: &str = "sandbox";

/// Leaves the namespaces of the host, those that `steps` names.
pub(crate) fn leave(steps: &[Step], network: Network) -> Result<(), StepError> {
    let has = |step| steps.contains(&step);
    if has(Step::GroupNamespace) {
        unshare(UnshareFlags::NEWCGROUP).at(Step::GroupNamespace, "")?;
    }
    if has(Step::MountNamespace) {
        unshare(UnshareFlags::NEWNS).at(Step::MountNamespace, "")?;
    }
    if has(Step::IpcNamespace) {
        unshare(UnshareFlags::NEWIPC).at(Step::IpcNamespace, "")?;
    }
    if has(Step::HostName) {
        unshare(UnshareFlags::NEWUTS).at(Step::HostName, "")?;
        set_host_name(HOST_NAME).at(Step::HostName, HOST_NAME)?;
    }
    if has(Step::NetworkNamespace) && network.of_nest() == Network::None {
        unshare(UnshareFlags::NEWNET).at(Step::NetworkNamespace, "")?;
        let kind = SocketType::DGRAM;
        let socket = socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None)
            .at(Step::NetworkNamespace, "loopback")?;
        raise_loopback(socket.as_fd()).at(Step::NetworkNamespace, "loopback")?;
    }
    Ok(())
}

/// Connections that may wait for the node to accept them.
const BACKLOG: i32 = 128;

/// A listener for the node's proxy on the loopback of the own namespace, made before the function runs: it cannot take the
/// port first. A socket belongs to the namespace that it was made in, whoever holds it.
///
/// # Errors
/// Where the sandbox shares the host's network: a proxy that can be walked past is none.
pub(crate) fn listen_for_proxy(steps: &[Step]) -> Result<OwnedFd, StepError> {
    const DETAIL: &str = "the proxy's port";
    if !steps.contains(&Step::NetworkNamespace) {
        let shared = io::Error::from_raw_os_error(libc::EOPNOTSUPP);
        return Err(StepError::new(Step::NetworkNamespace, DETAIL, &shared));
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
        .at(Step::NetworkNamespace, DETAIL)?;
    bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, PROXY_PORT))
        .and_then(|()| listen(&listener, BACKLOG))
        .at(Step::NetworkNamespace, DETAIL)?;
    Ok(listener)
}
