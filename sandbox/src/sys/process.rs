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

/// A descriptor that can be read when children of this process have ended since it was last
/// read (signalfd(2)). Blocks the signal itself, which a fork from here on would inherit.
pub(crate) fn watch_children() -> io::Result<OwnedFd> {
    // SAFETY: an all-zero set is an empty one, and both calls only write to it.
    let fd = check(unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into()
    })?;
    let fd = RawFd::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the kernel has just made `fd` for us, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

    use super::*;
    use crate::cgroup::find;

    /// Starts `cat`, which waits for its input, and ends it after `look` has seen it.
    fn with_cat(group: Option<BorrowedFd<'_>>, look: impl FnOnce(i32)) {
        let (_ours, theirs) = UnixStream::pair().expect("socket pair");
        let program = Program { path: c"/bin/cat", stdin: theirs.as_fd(), own_pids: false, group };
        let child = start(&program).expect("start");
        look(child.pid.as_raw_nonzero().get());
        pidfd_send_signal(&child.pidfd, Signal::KILL).expect("kill");
        let ended = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED);
        assert_eq!(ended.expect("wait").and_then(|end| end.terminating_signal()), Some(9));
    }

    #[test]
    fn a_child_that_borrows_our_memory_becomes_its_program() {
        with_cat(None, |pid| {
            // The name in `comm` is set a moment later than we are let go on.
            let program = std::fs::read_link(format!("/proc/{pid}/exe")).expect("exe");
            assert!(program.ends_with("cat"), "{program:?}");
        });
    }

    #[test]
    fn a_child_is_born_in_the_group_that_is_given() {
        let read = |path| std::fs::read_to_string(path).expect("proc");
        let layout = find::parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        let leaf =
            layout.v2.map(|tree| tree.own.join(format!("hatchway-born-{}", std::process::id())));
        let Some(leaf) = leaf.filter(|leaf| std::fs::create_dir(leaf).is_ok()) else {
            let why = "SKIPPED a_child_is_born_in_the_group_that_is_given: no writable cgroup2\n";
            std::io::stderr().write_all(why.as_bytes()).expect("standard error");
            return;
        };
        let dir = std::fs::File::open(&leaf).expect("group");
        with_cat(Some(dir.as_fd()), |pid| {
            let members = std::fs::read_to_string(leaf.join("cgroup.procs")).expect("members");
            assert_eq!(members.trim(), pid.to_string());
        });
        std::fs::remove_dir(&leaf).expect("nobody is in it");
    }

    #[test]
    fn a_program_that_is_not_there_ends_with_the_number_of_why() {
        let (_ours, theirs) = UnixStream::pair().expect("socket pair");
        let path = c"/nonexistent/program";
        let program = Program { path, stdin: theirs.as_fd(), own_pids: false, group: None };
        let child = start(&program).expect("the process itself starts");
        let ended = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED);
        let code = ended.expect("wait").and_then(|end| end.exit_status());
        assert_eq!(code, Some(libc::ENOENT));
    }
}
