//! Entering namespaces, and acting in somebody else's.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::thread::UnshareFlags;

use super::check;

/// Leaves the parent's namespaces of the kinds in `flags` (unshare(2)).
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    assert!(!flags.contains(UnshareFlags::FILES), "descriptors are never unshared");
    // SAFETY: unsharing anything but the descriptor table cannot invalidate one, and that is
    // excluded above.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// Names this machine as seen from the own host name namespace (sethostname(2)).
pub(crate) fn set_host_name(name: &str) -> io::Result<()> {
    // SAFETY: a pointer with its length; the kernel only reads it.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }.into())?;
    Ok(())
}

/// Brings the loopback of the own network namespace up (netdevice(7)).
pub(crate) fn raise_loopback(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: all-zero is a valid value of this structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = (*from).cast_signed();
    }
    let up = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = i16::try_from(up).expect("two low bits fit");
    // An unsigned long with glibc, an int with musl.
    let set_flags = libc::SIOCSIFFLAGS as libc::Ioctl;
    // SAFETY: an open socket and an interface request that is alive during the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), set_flags, &raw mut request) }.into())?;
    Ok(())
}

/// What the helper of [`socket_in_network_of`] is given and gives back.
struct Errand {
    pidfd: RawFd,
    port: u16,
    socket: c_int,
    errno: c_int,
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the family is 2 and the address 16 bytes long, in whatever type they are wanted"
)]
mod narrow {
    pub(super) const FAMILY: libc::sa_family_t = libc::AF_INET as libc::sa_family_t;
    pub(super) const ADDRESS_BYTES: libc::socklen_t =
        size_of::<libc::sockaddr_in>() as libc::socklen_t;
}
use narrow::{ADDRESS_BYTES, FAMILY};

/// Enough for four system calls.
const HELPER_STACK_BYTES: usize = 32 << 10;

/// A TCP socket in the network namespace of the process behind `pidfd`, on its way to `port` of
/// the loopback there: a socket belongs to the namespace it was made in, whoever holds it.
///
/// A helper that shares our memory and descriptors goes there (setns(2)), so that we ourselves
/// never leave our own namespace, from which an ordinary user could not come back.
pub(crate) fn socket_in_network_of(pidfd: BorrowedFd<'_>, port: u16) -> io::Result<OwnedFd> {
    let mut stack = vec![0u8; HELPER_STACK_BYTES];
    let top = stack.as_mut_ptr_range().end;
    let top = top.wrapping_sub(top.addr() % 16);
    let mut errand = Errand { pidfd: pidfd.as_raw_fd(), port, socket: -1, errno: 0 };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::SIGCHLD;
    // SAFETY: CLONE_VFORK keeps us here until the helper has exited, so `stack` and `errand`
    // outlive its use of them; `run_errand` makes system calls only.
    let pid = check(
        unsafe {
            libc::clone(
                run_errand,
                top.cast::<c_void>(),
                flags,
                ptr::from_mut(&mut errand).cast::<c_void>(),
            )
        }
        .into(),
    )?;
    let helper = c_int::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::waitpid(helper, rustix::process::WaitOptions::empty())?;
    if errand.socket == -1 {
        return Err(io::Error::from_raw_os_error(errand.errno));
    }
    // SAFETY: the helper has made it in the table that we share, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(errand.socket) })
}

/// The helper: goes there, makes the socket, begins to connect. It shares our memory, so it
/// makes system calls and nothing else.
extern "C" fn run_errand(errand: *mut c_void) -> c_int {
    // SAFETY: what `socket_in_network_of` has laid out, alive until we exit; it waits
    // meanwhile, so nobody else looks at it.
    let errand = unsafe { &mut *errand.cast::<Errand>() };
    // SAFETY: an open descriptor and a flag.
    if unsafe { libc::setns(errand.pidfd, libc::CLONE_NEWNET) } == -1 {
        errand.errno = last_errno();
        return 0;
    }
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: integers by value.
    let socket = unsafe { libc::socket(libc::AF_INET, kind, 0) };
    if socket == -1 {
        errand.errno = last_errno();
        return 0;
    }
    let address = libc::sockaddr_in {
        sin_family: FAMILY,
        sin_port: errand.port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    };

    // SAFETY: an address of this family and its size.
    let connected = unsafe { libc::connect(socket, (&raw const address).cast(), ADDRESS_BYTES) };
    if connected == -1 && last_errno() != libc::EINPROGRESS {
        errand.errno = last_errno();
        // SAFETY: ours, made above, given to nobody.
        unsafe { libc::close(socket) };
        return 0;
    }
    errand.socket = socket;
    0
}

fn last_errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
