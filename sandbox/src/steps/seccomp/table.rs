//! Which system calls a function may make.
//!
//! Allowed is what ordinary servers, interpreters and compilers use on their own files,
//! sockets, memory and children. Not allowed is what administers the machine (mounts, modules,
//! clocks, quotas, namespaces), what looks into other processes (ptrace, process_vm_*, kcmp,
//! pidfd_getfd), and what has been a way into the kernel (bpf, perf, userfaultfd, keys,
//! io_uring, old AIO).
//!
//! A call that is refused says "not permitted". One that this table has never heard of says
//! "not implemented": a C library then falls back to an older one.

use libc::c_long;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    /// EPERM.
    Refuse,
    /// ENOSYS.
    Unknown,
    /// Allowed unless it asks for a new namespace.
    CheckClone,
    /// Allowed for Unix, IPv4, IPv6, and netlink's routing family, by which addresses are listed.
    CheckSocket,
    /// Allowed but for the two by which a terminal's input is forged.
    CheckIoctl,
    /// Allowed for asking and for the ordinary one.
    CheckPersonality,
    /// Allowed where the first argument says the caller: siblings forked from one zygote have one user id, by which the
    /// kernel would let each set the limits of the others, and of the zygote.
    CheckOwn,
}

/// A run of numbers with one verdict; it ends where the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) verdict: Verdict,
}

/// From here on numbers mean the same on every architecture (Linux 5.1 and later).
const FIRST_COMMON: u32 = 424;
/// One more than the newest call this table was checked against (Linux 6.13).
const END: u32 = 467;

/// Calls with one number on all architectures, which the C library's bindings do not all name.
const ALLOWED_COMMON: [u32; 23] = [
    424, // pidfd_send_signal
    434, // pidfd_open
    436, // close_range
    437, // openat2
    439, // faccessat2
    440, // process_madvise
    441, // epoll_pwait2
    444, 445, 446, // landlock_*: to confine itself further
    448, // process_mrelease
    449, // futex_waitv
    451, // cachestat
    452, // fchmodat2
    453, // map_shadow_stack
    454, 455, 456, // futex_wake, futex_wait, futex_requeue
    462, // mseal
    463, 464, 465, 466, // setxattrat, getxattrat, listxattrat, removexattrat
];
/// Its flags lie behind a pointer, where no filter can look: "not implemented" makes the C
/// library use clone instead.
const CLONE3: u32 = 435;

/// What every architecture of ours has, by name.
#[rustfmt::skip]
const ALLOWED: &[c_long] = &[
    // Files and folders.
    libc::SYS_read, libc::SYS_write, libc::SYS_close, libc::SYS_fstat, libc::SYS_lseek,
    libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_readv, libc::SYS_writev, libc::SYS_preadv,
    libc::SYS_pwritev, libc::SYS_preadv2, libc::SYS_pwritev2, libc::SYS_sendfile,
    libc::SYS_copy_file_range, libc::SYS_splice, libc::SYS_tee, libc::SYS_vmsplice,
    libc::SYS_dup, libc::SYS_dup3, libc::SYS_fcntl, libc::SYS_flock, libc::SYS_fsync,
    libc::SYS_fdatasync, libc::SYS_sync_file_range, libc::SYS_syncfs, libc::SYS_truncate,
    libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_fadvise64, libc::SYS_readahead,
    libc::SYS_getdents64, libc::SYS_getcwd, libc::SYS_chdir, libc::SYS_fchdir, libc::SYS_openat,
    libc::SYS_faccessat, libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchown,
    libc::SYS_fchownat, libc::SYS_mkdirat, libc::SYS_mknodat, libc::SYS_unlinkat,
    libc::SYS_linkat, libc::SYS_symlinkat, libc::SYS_readlinkat, libc::SYS_renameat,
    libc::SYS_renameat2, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_statfs,
    libc::SYS_fstatfs, libc::SYS_utimensat, libc::SYS_umask, libc::SYS_memfd_create,
    libc::SYS_inotify_init1, libc::SYS_inotify_add_watch, libc::SYS_inotify_rm_watch,
    libc::SYS_getxattr, libc::SYS_lgetxattr, libc::SYS_fgetxattr, libc::SYS_setxattr,
    libc::SYS_lsetxattr, libc::SYS_fsetxattr, libc::SYS_listxattr, libc::SYS_llistxattr,
    libc::SYS_flistxattr, libc::SYS_removexattr, libc::SYS_lremovexattr, libc::SYS_fremovexattr,
    // Waiting.
    libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_epoll_create1, libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait, libc::SYS_eventfd2, libc::SYS_signalfd4, libc::SYS_pipe2,
    libc::SYS_timerfd_create, libc::SYS_timerfd_settime, libc::SYS_timerfd_gettime,
    libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_get_robust_list,
    libc::SYS_restart_syscall, libc::SYS_membarrier, libc::SYS_rseq,
    // Sockets.
    libc::SYS_socketpair, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4,
    libc::SYS_connect, libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_sendto,
    libc::SYS_recvfrom, libc::SYS_setsockopt, libc::SYS_getsockopt, libc::SYS_shutdown,
    libc::SYS_sendmsg, libc::SYS_recvmsg, libc::SYS_sendmmsg, libc::SYS_recvmmsg,
    // Memory.
    libc::SYS_brk, libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_mprotect,
    libc::SYS_madvise, libc::SYS_mincore, libc::SYS_msync, libc::SYS_mlock, libc::SYS_mlock2,
    libc::SYS_munlock, libc::SYS_mlockall, libc::SYS_munlockall, libc::SYS_pkey_alloc,
    libc::SYS_pkey_free, libc::SYS_pkey_mprotect, libc::SYS_get_mempolicy,
    libc::SYS_shmget, libc::SYS_shmat, libc::SYS_shmdt, libc::SYS_shmctl, libc::SYS_semget,
    libc::SYS_semop, libc::SYS_semtimedop, libc::SYS_semctl, libc::SYS_msgget, libc::SYS_msgsnd,
    libc::SYS_msgrcv, libc::SYS_msgctl,
    // Processes and threads.
    libc::SYS_execve, libc::SYS_execveat, libc::SYS_exit, libc::SYS_exit_group, libc::SYS_wait4,
    libc::SYS_waitid, libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_getpid,
    libc::SYS_getppid, libc::SYS_gettid, libc::SYS_setpgid, libc::SYS_getpgid, libc::SYS_setsid,
    libc::SYS_getsid, libc::SYS_set_tid_address, libc::SYS_prctl, libc::SYS_seccomp,
    libc::SYS_getrlimit, libc::SYS_setrlimit, libc::SYS_getrusage,
    libc::SYS_getpriority, libc::SYS_setpriority, libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity, libc::SYS_sched_setaffinity, libc::SYS_sched_getparam,
    libc::SYS_sched_setparam, libc::SYS_sched_getscheduler, libc::SYS_sched_setscheduler,
    libc::SYS_sched_getattr, libc::SYS_sched_setattr, libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min, libc::SYS_sched_rr_get_interval, libc::SYS_getcpu,
    // Identities: without capabilities they only ask, or stay who they are.
    libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid,
    libc::SYS_getresuid, libc::SYS_getresgid, libc::SYS_getgroups, libc::SYS_setuid,
    libc::SYS_setgid, libc::SYS_setreuid, libc::SYS_setregid, libc::SYS_setresuid,
    libc::SYS_setresgid, libc::SYS_setgroups, libc::SYS_setfsuid, libc::SYS_setfsgid,
    libc::SYS_capget, libc::SYS_capset,
    // Signals.
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending, libc::SYS_rt_sigtimedwait, libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo, libc::SYS_sigaltstack,
    // Time and the machine.
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep, libc::SYS_gettimeofday, libc::SYS_getitimer, libc::SYS_setitimer,
    libc::SYS_timer_create, libc::SYS_timer_settime, libc::SYS_timer_gettime,
    libc::SYS_timer_getoverrun, libc::SYS_timer_delete, libc::SYS_times, libc::SYS_uname,
    libc::SYS_sysinfo, libc::SYS_getrandom,
];

/// Older forms of the calls above, which newer architectures never had.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ALLOWED_LEGACY: &[c_long] = &[
    libc::SYS_open, libc::SYS_creat, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access,
    libc::SYS_mkdir, libc::SYS_rmdir, libc::SYS_unlink, libc::SYS_rename, libc::SYS_link,
    libc::SYS_symlink, libc::SYS_readlink, libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown,
    libc::SYS_mknod, libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat, libc::SYS_getdents,
    libc::SYS_dup2, libc::SYS_pipe, libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_create,
    libc::SYS_epoll_wait, libc::SYS_eventfd, libc::SYS_signalfd, libc::SYS_inotify_init,
    libc::SYS_fork, libc::SYS_vfork, libc::SYS_getpgrp, libc::SYS_pause, libc::SYS_alarm,
    libc::SYS_time, libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_LEGACY: &[c_long] = &[];

const CHECKED: [(c_long, Verdict); 5] = [
    (libc::SYS_clone, Verdict::CheckClone),
    (libc::SYS_socket, Verdict::CheckSocket),
    (libc::SYS_ioctl, Verdict::CheckIoctl),
    (libc::SYS_personality, Verdict::CheckPersonality),
    (libc::SYS_prlimit64, Verdict::CheckOwn),
];

/// What happens to the call `number`.
fn verdict(number: u32) -> Verdict {
    let is_it = |call: &c_long| u32::try_from(*call) == Ok(number);
    if let Some((_, verdict)) = CHECKED.iter().find(|(call, _)| is_it(call)) {
        return *verdict;
    }
    let is_allowed = match number {
        FIRST_COMMON.. => ALLOWED_COMMON.contains(&number),
        _ => ALLOWED.iter().chain(ALLOWED_LEGACY).any(is_it),
    };
    match number {
        _ if is_allowed => Verdict::Allow,
        CLONE3 | END.. => Verdict::Unknown,
        _ => Verdict::Refuse,
    }
}

/// The whole table, runs of equal verdicts put together, from number 0 on.
pub(super) fn ranges() -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for first in 0..=END {
        let verdict = verdict(first);
        if ranges.last().is_none_or(|last| last.verdict != verdict) {
            ranges.push(Range { first, verdict });
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict_of(call: c_long) -> Verdict {
        verdict(u32::try_from(call).expect("a number"))
    }

    #[test]
    fn ways_into_the_kernel_and_into_others_are_refused() {
        for call in [
            libc::SYS_ptrace,
            libc::SYS_bpf,
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_process_vm_readv,
            libc::SYS_init_module,
            libc::SYS_open_by_handle_at,
            libc::SYS_chroot,
            libc::SYS_pivot_root,
            libc::SYS_pidfd_getfd,
        ] {
            assert_eq!(verdict_of(call), Verdict::Refuse, "{call}");
        }
    }

    #[test]
    fn what_is_not_known_yet_is_not_implemented() {
        assert_eq!(verdict(435), Verdict::Unknown);
        assert_eq!(verdict(END), Verdict::Unknown);
        assert_eq!(ranges().last().map(|range| range.verdict), Some(Verdict::Unknown));
    }

    #[test]
    fn numbers_above_the_old_ones_are_only_in_the_common_list() {
        let old = ALLOWED.iter().chain(ALLOWED_LEGACY);
        for call in old {
            assert!(*call < c_long::from(FIRST_COMMON), "{call}");
        }
    }

    #[test]
    fn the_table_is_made_of_few_runs() {
        assert!(ranges().len() < 120, "{}", ranges().len());
    }
}
