//! Namespaces of its own: after the group, so that they are charged to it, and before the
//! mounts, which must not be seen outside.
//!
//! The process-id namespace is not here: the spawner's clone made it, since a process cannot
//! change its own.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::UnshareFlags;
use std::os::fd::AsFd;

use super::{AtStep, Step, StepError};
use crate::spec::Network;
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
    if has(Step::NetworkNamespace) && network == Network::None {
        unshare(UnshareFlags::NEWNET).at(Step::NetworkNamespace, "")?;
        let kind = SocketType::DGRAM;
        let socket = socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None)
            .at(Step::NetworkNamespace, "loopback")?;
        raise_loopback(socket.as_fd()).at(Step::NetworkNamespace, "loopback")?;
    }
    Ok(())
}
