"""A function that says what it knows of itself."""

import os
import socket


def describe(ctx):
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
