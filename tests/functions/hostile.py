"""A function that tries to get out of its sandbox, and tells of every attempt what came of it.

`run` answers {attempt: result}: null where the attempt failed as it should, else what was got.
"""

import ctypes
import os
import platform
import socket
import stat

libc = ctypes.CDLL(None, use_errno=True)

# x86_64, aarch64 (asm/unistd.h)
CALLS = {
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "io_uring_setup": (425, 425),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
    "pivot_root": (155, 41),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "ptrace of number 1": (101, 117),
    "process_vm_readv of number 1": (310, 270),
}
ARGUMENTS = {
    "ptrace of number 1": (16, 1, 0, 0),
    "process_vm_readv of number 1": (1, 0, 0, 0, 0, 0),
    "pivot_root": (b"/tmp", b"/tmp"),
}
FLAGS = {"user": 0x10000000, "mount": 0x00020000, "pid": 0x20000000, "network": 0x40000000}


def run(ctx, targets):
    found = {}

    def attempt(name, action):
        try:
            found[name] = action()
        except OSError:
            found[name] = None

    attempt("read what it may", lambda: read("/proc/self/comm"))
    for path in targets["files"] + FORBIDDEN:
        attempt("read " + path, lambda: read(path))
    for path in targets["folders"]:
        attempt("list " + path, lambda: os.listdir(path))
    for folder in ("/", "/app", "/usr", "/etc", "/bin", "/hatchway", "/proc", "/run", "/dev"):
        attempt("write in " + folder, lambda: write(folder + "/hostile"))
    for path in ("/proc/sys/kernel/core_pattern", "/proc/1/oom_score_adj", "/proc/sysrq-trigger"):
        attempt("write " + path, lambda: write(path))
    for pid in targets["pids"]:
        attempt("signal %s" % pid, lambda: signal(pid))
    attempt("see other processes", others)
    for address in targets["addresses"]:
        attempt("connect to " + address, lambda: connect(address))
    for path in targets["sockets"]:
        attempt("connect to " + path, lambda: connect_unix(path))
    for name, family in (("packet", 17), ("raw", socket.AF_INET)):
        attempt("open a %s socket" % name, lambda: socket.socket(family, socket.SOCK_RAW, 1).fileno())
    for name, numbers in CALLS.items():
        attempt("call " + name, lambda: call(numbers, ARGUMENTS.get(name, ())))
    for name, flag in FLAGS.items():
        attempt("unshare a %s namespace" % name, lambda: checked(libc.unshare(flag)))
    attempt("mount", lambda: checked(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)))
    attempt("mount anew for writing", lambda: checked(libc.mount(None, b"/", None, 32, None)))
    attempt("unmount", lambda: checked(libc.umount2(b"/app", 2)))
    attempt("chroot", lambda: os.chroot("/tmp") or "done")
    attempt("make a device", lambda: os.mknod("/tmp/disk", stat.S_IFBLK | 0o666, 0x800) or "done")
    attempt("become root", lambda: os.setuid(0) or "done")
    attempt("become another", lambda: os.setuid(os.getuid() + 1) or "done")
    attempt("rename the host", lambda: socket.sethostname("hostile") or "done")
    attempt("more files", lambda: raise_limit())
    attempt("join the namespaces of number 1", lambda: setns("/proc/1/ns/mnt"))
    return found


FORBIDDEN = [
    "/etc/shadow",
    "/root/.bashrc",
    "/proc/1/environ",
    "/proc/1/maps",
    "/proc/1/root/etc/hostname",
    "/proc/kcore",
    "/proc/kallsyms",
    "/sys/fs/cgroup/memory/tasks",
    "/sys/kernel/uevent_seqnum",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/sda",
    "/dev/vda",
    "/run/docker.sock",
]


def read(path):
    with open(path, "rb") as file:
        text = file.read(64)
    # Addresses that are all zero tell nothing.
    return None if not text.strip(b"0 \n") or text.startswith(b"0000000000000000") else repr(text)


def write(path):
    with open(path, "w") as file:
        file.write("1")
    return "written"


def signal(pid):
    os.kill(pid, 0)
    return "it would have been delivered"


def others():
    """Every process that is seen and is neither this one nor its parent."""
    own = (os.getpid(), os.getppid())
    seen = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in seen if pid not in own] or None


def connect(address):
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=5):
        return "connected"


def connect_unix(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        return "connected"


def call(numbers, arguments):
    number = numbers[platform.machine() == "aarch64"]
    return checked(libc.syscall(number, *(arguments or (0, 0, 0, 0, 0, 0))))


def checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "gave %d" % result


def setns(path):
    with open(path) as file:
        return checked(libc.setns(file.fileno(), 0))


def raise_limit():
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))
    except ValueError:
        return None
    return "raised"


def describe(ctx):
    """What it knows of itself without any effort."""
    status = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
    files = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            files[name] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            pass  # the listing's own
    open("/tmp/mine", "w").close()
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "environment": dict(os.environ),
        "descriptors": files,
        "tmp": os.listdir("/tmp"),
        "shm": os.listdir("/dev/shm"),
        "host": socket.gethostname(),
        "interfaces": [name for _, name in socket.if_nameindex()],
        "status": {key: status[key] for key in ("CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp")},
    }
