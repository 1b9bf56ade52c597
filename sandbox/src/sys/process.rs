//! Making processes and becoming another program.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::process::Pid;

use super::check;

/// Enough for the dozen system calls between clone and exec.
const CHILD_STACK_BYTES: usize = 64 << 10;

/// Be born in the group of the descriptor in `clone_args` (clone3(2), Linux 5.7); the C
/// library's headers have it, its Rust bindings do not.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Mark instead of close (close_range(2), Linux 5.11).
const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;

/// A program to start in a new process.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) path: &'a CStr,
    /// Its descriptor 0; everything else of ours closes at the exec.
    pub(crate) stdin: BorrowedFd<'a>,
    /// True to start as number 1 of a new process-id namespace.
    pub(crate) own_pids: bool,
    /// The version 2 group to be born in.
    pub(crate) group: Option<BorrowedFd<'a>>,
}

/// A child, and the descriptor by which it is waited for and killed.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
}

/// What the child needs after the clone, laid out before it.
struct Launch {
    path: *const c_char,
    argv: [*const c_char; 2],
    envp: [*const c_char; 1],
    stdin: RawFd,
}

/// Starts `program` with an empty environment (clone(2), clone3(2)).
///
/// Without a group to be born in, the child borrows our memory until its exec, so that no page
/// table is copied: half the price of a fork. clone3 has no wrapper that gives the child a
/// stack, so a child born in a group gets its own memory.
///
/// What fails in the child before the exec is told by its exit code: the error number.
pub(crate) fn start(program: &Program<'_>) -> io::Result<Child> {
    let mut launch = Launch {
        path: program.path.as_ptr(),
        argv: [program.path.as_ptr(), ptr::null()],
        envp: [ptr::null()],
        stdin: program.stdin.as_raw_fd(),
    };
    let (pid, pidfd) = match program.group {
        None => clone_borrowing(&mut launch, program.own_pids)?,
        Some(group) => clone_into(&mut launch, program.own_pids, group)?,
    };
    // SAFETY: the kernel has just made this descriptor for us, and nothing else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
    Ok(Child { pid, pidfd })
}

fn clone_borrowing(launch: &mut Launch, own_pids: bool) -> io::Result<(c_int, RawFd)> {
    let mut stack = vec![0u8; CHILD_STACK_BYTES];
    let top = stack.as_mut_ptr_range().end;
    // Stacks grow down from an address that is a multiple of 16 (System V ABI).
    let top = top.wrapping_sub(top.addr() % 16);
    let mut flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    if own_pids {
        flags |= libc::CLONE_NEWPID;
    }
    let mut pidfd: RawFd = -1;
    // SAFETY: CLONE_VFORK keeps us here until the child has left this memory, so `stack`,
    // `launch` and `pidfd` outlive its use of them; `become_init` makes system calls only, and
    // never returns.
    let pid = unsafe {
        libc::clone(
            become_init,
            top.cast::<c_void>(),
            flags,
            ptr::from_mut(launch).cast::<c_void>(),
            ptr::from_mut(&mut pidfd),
        )
    };
    check(pid.into())?;
    Ok((pid, pidfd))
}

fn clone_into(
    launch: &mut Launch,
    own_pids: bool,
    group: BorrowedFd<'_>,
) -> io::Result<(c_int, RawFd)> {
    let mut pidfd: RawFd = -1;
    let namespaces = if own_pids { libc::CLONE_NEWPID } else { 0 };
    // SAFETY: all-zero is a valid value of this structure of integers.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = (libc::CLONE_PIDFD | namespaces).unsigned_abs().into();
    args.flags |= CLONE_INTO_CGROUP;
    args.pidfd = ptr::from_mut(&mut pidfd).addr() as u64;
    args.exit_signal = libc::SIGCHLD.unsigned_abs().into();
    args.cgroup = group.as_raw_fd().unsigned_abs().into();
    // SAFETY: without CLONE_VM this is a fork of a process with one thread, and `args` says
    // where the descriptor is to be written: into a variable that is alive.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_clone3, ptr::from_mut(&mut args), size_of::<libc::clone_args>())
    })?;
    if pid == 0 {
        become_init(ptr::from_mut(launch).cast::<c_void>());
    }
    let pid = c_int::try_from(pid).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok((pid, pidfd))
}

/// The child between clone and exec. It may share our memory, so it makes system calls and
/// nothing else: no allocation, no lock, no panic.
extern "C" fn become_init(launch: *mut c_void) -> c_int {
    // SAFETY: `launch` is what `start` has laid out, alive until our exec or exit.
    let launch = unsafe { &*launch.cast::<Launch>() };
    reset_signals();
    // SAFETY: integers by value.
    if unsafe { libc::dup2(launch.stdin, 0) } != -1 {
        // SAFETY: a string and two arrays that end in null, as `start` has laid them out.
        unsafe { libc::execve(launch.path, launch.argv.as_ptr(), launch.envp.as_ptr()) };
    }
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    // SAFETY: ends this process without running anything of the parent's.
    unsafe { libc::_exit(errno) }
}

/// Every signal back to its default action and none blocked: both survive an exec.
pub(crate) fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: sets a default action; SIGKILL, SIGSTOP and the two that the C library
        // keeps are refused, which is as well.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an all-zero set is an empty one, and the kernel only reads it.
    unsafe {
        let none: libc::sigset_t = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// Lets `signal` do nothing to this process; lost at an exec by [`reset_signals`].
pub(crate) fn ignore_signal(signal: c_int) {
    // SAFETY: sets an action that runs no code of ours.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Splits this process in two (fork(2)): the child is given `None`, the parent its number.
/// Only for a process with one thread: the child would find the others' locks taken for ever.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: sandbox-init has one thread, so the child may do what the parent could.
    let pid = check(unsafe { libc::fork() }.into())?;
    Ok(c_int::try_from(pid).ok().and_then(Pid::from_raw))
}

/// Becomes another program (execve(2)); comes back only with the reason why not.
pub(crate) fn exec(path: &CStr, argv: &[CString], env: &[CString]) -> io::Error {
    let argv = pointers(argv);
    let env = pointers(env);
    // SAFETY: a string and two arrays of strings that end in null, all alive during the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let pointers = strings.iter().map(|string| string.as_ptr());
    pointers.chain(std::iter::once(ptr::null())).collect()
}

/// Marks every descriptor from `first` on to close at an exec (Linux 5.11).
pub(crate) fn close_from_at_exec(first: u32) -> io::Result<()> {
    let flags = CLOSE_RANGE_CLOEXEC;
    // SAFETY: integers by value; nothing is closed now.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) })?;
    Ok(())
}

/// Makes `to` a copy of `from` that stays open at an exec (dup2(2)).
pub(crate) fn place_descriptor(from: BorrowedFd<'_>, to: RawFd) -> io::Result<()> {
    // SAFETY: integers by value; what `to` was before is closed, which the caller means.
    check(unsafe { libc::dup2(from.as_raw_fd(), to) }.into())?;
    Ok(())
}

/// Takes ownership of descriptor 0, by which the spawner and sandbox-init are spoken to.
/// To be called once, first thing in `main`.
pub(crate) fn take_stdin() -> OwnedFd {
    // SAFETY: `main` calls this once, before anything else could own descriptor 0.
    unsafe { OwnedFd::from_raw_fd(0) }
}

/// Ends this process at once, without destructors or exit handlers.
pub(crate) fn exit_now(code: c_int) -> ! {
    // SAFETY: takes an integer and does not return.
    unsafe { libc::_exit(code) }
}
