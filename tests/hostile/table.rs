//! What a hostile function tries, and what has to come of it: one table for C, Python and Node, which differ in how
//! they try.

use libc::{EACCES, EAFNOSUPPORT, ECONNREFUSED, EHOSTUNREACH, EINVAL, EMFILE, ENETUNREACH, ENOENT};
use libc::{ENOSPC, ENOSYS, ENOTDIR, EPERM, EPROTONOSUPPORT, EROFS, ESRCH, c_long};
use serde::Deserialize;

use crate::bait::Bait;

/// One attempt.
pub(crate) struct Attempt {
    /// A verb and its words, with tabs between them: see `tests/functions/hostile/attempts.c`.
    pub(crate) line: String,
    pub(crate) expected: Expected,
}

/// What may come of an attempt.
pub(crate) enum Expected {
    /// It fails with one of these.
    Fails(&'static [i32]),
    /// It works, and gives just this.
    Gives(&'static str),
    /// It goes on until it fails with that error, having got no more than this.
    Ends(i32, u64),
    /// It works, for the next one to build on or to show that the verb can.
    Works,
}

use Expected::{Ends, Fails, Gives, Works};

/// What came of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Outcome {
    errno: i32,
    got: String,
}

impl Expected {
    pub(crate) fn is_met_by(&self, outcome: &Outcome) -> bool {
        let Outcome { errno, got } = outcome;
        match self {
            Fails(errors) => errors.contains(errno),
            Gives(wanted) => *errno == 0 && got.trim_end() == *wanted,
            Ends(error, most) => errno == error && got.parse().is_ok_and(|got: u64| got <= *most),
            Works => *errno == 0,
        }
    }
}

/// There is no such thing in here. Landlock says "denied" before anybody looks where there is no root of its own.
const ABSENT: Expected = Fails(&[ENOENT, ENOTDIR, EACCES]);
const DENIED: Expected = Fails(&[EACCES, EPERM, EROFS, ENOENT]);
const REFUSED: Expected = Fails(&[EPERM]);
/// No way leads there: no such address, no interface for it (of a link-local address none at all), or nobody there.
const UNREACHED: Expected = Fails(&[ENETUNREACH, EHOSTUNREACH, ECONNREFUSED, EINVAL]);
/// Nobody is found.
const NOBODY: Expected = Gives("");

/// The limits that the functions under test have.
pub(crate) const LIMITS: &str = "tmp = \"1MiB\"\nfiles = 128\npids = 48\nmemory = \"192MiB\"\n";
const TMP_BYTES: u64 = 1 << 20;
/// One for each KiB of `/tmp`, and a few.
const TMP_NAMES: u64 = 1024 + 64;
const FILES: u64 = 128;

/// Of two lists that the C library's bindings do not name on every machine (asm-generic/unistd.h).
const CLONE3: c_long = 435;
const PIDFD_GETFD: c_long = 438;
const MOUNT_SETATTR: c_long = 442;
const MEMFD_SECRET: c_long = 447;

/// Everything, in the order in which it is tried.
pub(crate) fn attempts(bait: &Bait) -> Vec<Attempt> {
    let mut table = Table(Vec::new());
    files(&mut table, bait);
    processes(&mut table, bait);
    network(&mut table, bait);
    kernel(&mut table);
    rights(&mut table);
    exhaustion(&mut table);
    table.0
}

pub(crate) struct Table(Vec<Attempt>);

impl Table {
    fn add(&mut self, words: &[&str], expected: Expected) {
        self.0.push(Attempt { line: words.join("\t"), expected });
    }

    fn call(&mut self, number: c_long, words: &str, expected: Expected) {
        let number = number.to_string();
        let words = words.split(' ').filter(|word| !word.is_empty());
        let words: Vec<&str> = ["call", &number].into_iter().chain(words).collect();
        self.add(&words, expected);
    }

    /// A call for every number that another process might have.
    fn each(&mut self, number: c_long, words: &str, expected: Expected) {
        let number = number.to_string();
        let words: Vec<&str> = ["each", &number].into_iter().chain(words.split(' ')).collect();
        self.add(&words, expected);
    }
}

fn files(table: &mut Table, bait: &Bait) {
    table.add(&["read", "/etc/hosts"], Works);
    for path in &bait.files {
        table.add(&["read", path], ABSENT);
    }
    for path in ["/etc/shadow", "/root/.bashrc", "/run/docker.sock", "/dev/sda", "/dev/vda"] {
        table.add(&["read", path], ABSENT);
    }
    for path in
        ["/dev/mem", "/dev/kmsg", "/dev/userfaultfd", "/dev/fuse", "/proc/kcore", "/proc/kmsg"]
    {
        table.add(&["read", path], DENIED);
    }
    for folder in &bait.folders {
        table.add(&["list", folder], ABSENT);
    }
    for folder in ["/", "/app", "/usr", "/etc", "/bin", "/hatchway", "/proc", "/run", "/dev"] {
        table.add(&["write", &format!("{folder}/new")], DENIED);
    }
    for name in ["sysrq-trigger", "1/oom_score_adj", "self/uid_map", "sys/vm/drop_caches"] {
        table.add(&["write", &format!("/proc/{name}")], DENIED);
    }
    for name in ["core_pattern", "hostname", "modprobe", "ns_last_pid"] {
        table.add(&["write", &format!("/proc/sys/kernel/{name}")], DENIED);
    }
    for name in ["memory/tasks", "cgroup.procs", "unified/cgroup.procs"] {
        table.add(&["read", &format!("/sys/fs/cgroup/{name}")], ABSENT);
        table.add(&["write", &format!("/sys/fs/cgroup/{name}")], DENIED);
    }
    // What a neighbour has put there.
    for path in ["/tmp/neighbour", "/dev/shm/neighbour"] {
        table.add(&["read", path], ABSENT);
    }
    // A link leads no further than what it is written in.
    let secret = &bait.files[0];
    table.call(libc::SYS_symlinkat, &format!("s:{secret} -100 s:/tmp/link"), Works);
    table.add(&["read", "/tmp/link"], ABSENT);
    table.call(
        libc::SYS_linkat,
        "-100 s:/etc/hosts -100 s:/tmp/hard 0",
        Fails(&[libc::EXDEV, EPERM, EACCES]),
    );
    table.call(libc::SYS_unlinkat, "-100 s:/tmp/link 0", Works);
}

fn processes(table: &mut Table, bait: &Bait) {
    for name in
        ["environ", "maps", "mem", "stack", "syscall", "io", "root/etc/hosts", "cwd/hostile.py"]
    {
        table.add(&["peek", name], NOBODY);
    }
    for pid in &bait.pids {
        table.call(libc::SYS_kill, &format!("{pid} 0"), Fails(&[ESRCH, EPERM]));
    }
    // Signal 0: whether one would have been delivered.
    table.each(libc::SYS_kill, "n 0", NOBODY);
    table.each(libc::SYS_tkill, "n 0", NOBODY);
    table.each(libc::SYS_tgkill, "n n 0", NOBODY);
    table.call(libc::SYS_kill, "1 9", REFUSED);
    table.each(libc::SYS_ptrace, "16 n 0 0", NOBODY);
    table.each(libc::SYS_process_vm_readv, "n z:64 1 z:64 1 0", NOBODY);
    table.each(libc::SYS_process_vm_writev, "n z:64 1 z:64 1 0", NOBODY);
    table.each(libc::SYS_prlimit64, "n 7 0 z:16", NOBODY);
    table.call(libc::SYS_ptrace, "16 1 0 0", REFUSED);
    table.call(libc::SYS_process_vm_readv, "1 z:64 1 z:64 1 0", REFUSED);
    table.call(libc::SYS_kcmp, "1 1 0 0 0", REFUSED);
    table.call(PIDFD_GETFD, "0 0 0", REFUSED);
    // Of the system's shared memory and queues, those of a neighbour.
    table.call(libc::SYS_shmget, &format!("{} 0 0", Bait::SHARED_MEMORY), Fails(&[ENOENT]));
}

fn network(table: &mut Table, bait: &Bait) {
    for (host, port) in &bait.addresses {
        table.add(&["tcp", host, port], UNREACHED);
    }
    for path in &bait.sockets {
        table.add(&["unix", path], ABSENT);
    }
    for name in &bait.abstracts {
        table.add(&["abstract", name], Fails(&[ECONNREFUSED, EPERM]));
    }
    const UNKNOWN: Expected = Fails(&[EPERM, EAFNOSUPPORT, EPROTONOSUPPORT]);
    // Packets past everybody, of any protocol, netfilter's rules, the kernel's ciphers, the machine around this one.
    for words in ["17 3 0", "2 3 1", "10 3 58", "16 3 12", "38 5 0", "40 1 0"] {
        table.call(libc::SYS_socket, words, UNKNOWN);
    }
}

fn kernel(table: &mut Table) {
    for (number, words) in [
        (libc::SYS_mount, "s:none s:/tmp s:tmpfs 0 0"),
        (libc::SYS_mount, "s:none s:/ s:none 32 0"),
        (libc::SYS_mount, "s:none s:/tmp s:cgroup 0 0"),
        (libc::SYS_umount2, "s:/app 2"),
        (libc::SYS_pivot_root, "s:/tmp s:/tmp"),
        (libc::SYS_chroot, "s:/tmp"),
        (libc::SYS_fsopen, "s:tmpfs 0"),
        (libc::SYS_open_tree, "-100 s:/ 1"),
        (libc::SYS_move_mount, "-100 s:/app -100 s:/tmp 0"),
        (MOUNT_SETATTR, "-100 s:/ 0 z:32 32"),
        (libc::SYS_unshare, "0x10000000"),
        (libc::SYS_unshare, "0x00020000"),
        (libc::SYS_unshare, "0x20000000"),
        (libc::SYS_unshare, "0x40000000"),
        (libc::SYS_unshare, "0x02000000"),
        (libc::SYS_setns, "0 0"),
        (libc::SYS_clone, "0x10000011 0 0 0 0"),
        (libc::SYS_bpf, "0 z:128 128"),
        (libc::SYS_keyctl, "0 -3 0"),
        (libc::SYS_add_key, "s:user s:x s:x 1 -3"),
        (libc::SYS_request_key, "s:user s:x 0 -3"),
        (libc::SYS_io_uring_setup, "8 z:128"),
        (libc::SYS_perf_event_open, "z:128 0 -1 -1 0"),
        (libc::SYS_userfaultfd, "0"),
        (MEMFD_SECRET, "0"),
        (libc::SYS_fanotify_init, "0 0"),
        (libc::SYS_open_by_handle_at, "-100 z:128 0"),
        (libc::SYS_name_to_handle_at, "-100 s:/ z:128 z:8 0"),
        (libc::SYS_init_module, "z:128 128 z:8"),
        (libc::SYS_kexec_load, "0 0 0 0"),
        (libc::SYS_reboot, "0 0 0 0"),
        (libc::SYS_syslog, "3 z:128 128"),
        (libc::SYS_acct, "0"),
        (libc::SYS_swapon, "s:/tmp 0"),
        (libc::SYS_quotactl, "0 0 0 0"),
        (libc::SYS_sethostname, "s:hostile 7"),
        (libc::SYS_clock_settime, "0 z:16"),
        (libc::SYS_adjtimex, "z:256"),
        (libc::SYS_mq_open, "s:hostile 66 0x1a4 0"),
        (libc::SYS_io_setup, "8 z:8"),
        (libc::SYS_vhangup, ""),
        (libc::SYS_ioprio_set, "1 0 0x2000"),
        (libc::SYS_move_pages, "1 0 0 0 0 0"),
    ] {
        table.call(number, words, REFUSED);
    }
    // A disk, and the memory of the machine.
    table.call(libc::SYS_mknodat, "-100 s:/tmp/disk 0x61b6 0x800", Fails(&[EPERM, EACCES]));
    table.call(libc::SYS_mknodat, "-100 s:/tmp/memory 0x21b6 0x101", Fails(&[EPERM, EACCES]));
    table.call(CLONE3, "z:88 88", Fails(&[ENOSYS]));
    // A terminal's input, forged (TIOCSTI).
    table.call(libc::SYS_ioctl, "0 0x5412 z:1", REFUSED);
    // Memory at fixed places, by its personality.
    table.call(libc::SYS_personality, "0x0040000", REFUSED);
}

fn rights(table: &mut Table) {
    table.call(libc::SYS_setresuid, "0 0 0", Fails(&[EPERM, EINVAL]));
    table.call(libc::SYS_setresgid, "0 0 0", Fails(&[EPERM, EINVAL]));
    table.call(libc::SYS_setgroups, "1 z:4", REFUSED);
    // More files, a core dump and the processor for itself: its limits only go down.
    for limit in ["7", "4", "13", "14"] {
        let raised =
            "s:\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}";
        table.call(libc::SYS_prlimit64, &format!("0 {limit} {raised} 0"), REFUSED);
    }
    table.call(libc::SYS_setpriority, "0 0 -5", Fails(&[EACCES, EPERM]));
    // A program with the set-user-id bit, and one that no file system knows, have no more rights than this one.
    let ask = "grep -hE '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\n'";
    const NONE: &str = "CapEff:\t0000000000000000NoNewPrivs:\t1Seccomp:\t2";
    table.add(&["run", "/bin/sh", "-c", ask], Gives(NONE));
    table.add(&["memory", "/bin/sh", "-c", ask], Gives(NONE));
    let as_root = "cp /bin/sh /tmp/sh && chmod 4755 /tmp/sh && /tmp/sh -p -c 'grep CapEff /proc/self/status'; rm /tmp/sh";
    table.add(&["run", "/bin/sh", "-c", as_root], Gives("CapEff:\t0000000000000000"));
    let switch = "for try in su sudo mount umount passwd chsh newgrp; do command -v $try >/dev/null && $try -c id </dev/null 2>/dev/null | grep uid=0; done";
    table.add(&["run", "/bin/sh", "-c", switch], NOBODY);
}

fn exhaustion(table: &mut Table) {
    table.add(&["files"], Ends(EMFILE, FILES));
    for folder in ["/tmp", "/dev/shm"] {
        table.add(&["names", folder], Ends(ENOSPC, TMP_NAMES));
        table.add(&["space", folder], Ends(ENOSPC, TMP_BYTES));
    }
}
