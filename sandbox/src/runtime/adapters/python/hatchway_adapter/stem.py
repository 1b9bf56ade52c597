"""A stem cell: Python that has booted and loaded our half of every function, and waits at descriptor 3 to be told what to become.

What is said, and what it may do before and after, is told with the spawner (`protocol/stem.rs`). It then carries out an
ordinary start in its own process: the same arguments, the same environment, the same adapter.
"""

# What an application loads that is like most, and what the adapters do.
import asyncio
import concurrent.futures
import contextvars
import datetime
import functools
import http.client
import inspect
import json
import logging
import os
import resource
import socket
import sys
import time
import traceback
import typing
import urllib.parse
import urllib.request
from importlib import util

from . import app, asynchronous, handler, ready, structured

SOCKET = 3
HANDED = (1, 2, ready.LISTENER, ready.PIPE)  # standard output, standard error, listener, ready pipe
MESSAGE_LIMIT = 160 << 10


def main():
    os.set_inheritable(SOCKET, False)
    os.set_inheritable(ready.PIPE, False)
    version = ".".join(map(str, sys.version_info[:3]))
    os.write(ready.PIPE, b'{"ready":{"runtime":"python %s"}}\n' % version.encode())
    _take(ready.PIPE)
    spawner = socket.socket(fileno=SOCKET)
    data, handed, _, _ = socket.recv_fds(spawner, MESSAGE_LIMIT, len(HANDED))
    if not data:
        os._exit(0)  # nobody needs this cell any more
    # Its number is about to be the listener's; this object must not close that.
    spawner.detach()
    for source, target in zip(handed, HANDED):
        os.dup2(source, target, inheritable=target <= 2)
        os.close(source)
    _become(**json.loads(data))


def _take(number):
    """Closes a descriptor, and keeps its number from being given to whatever is opened next."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, number, inheritable=False)
    os.close(null)


def _become(argv, env, cwd, files, processes):
    _lower(resource.RLIMIT_NOFILE, files)
    if processes is not None:
        _lower(resource.RLIMIT_NPROC, processes)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    # The program, flags, then a script with its arguments.
    at = next(index for index, word in enumerate(argv) if index > 0 and not word.startswith("-"))
    sys.argv[:], sys.orig_argv[:] = argv[at:], argv
    ready.begin()
    adapter = {"handler.py": handler, "app.py": app}[os.path.basename(argv[at])]
    adapter.main(*argv[at + 1 :])


def _lower(limit, wanted):
    """As the spawner does it for an ordinary start: to what is wanted, or to what we have where that is less."""
    _, ours = resource.getrlimit(limit)
    wanted = wanted if ours == resource.RLIM_INFINITY else min(ours, wanted)
    resource.setrlimit(limit, (wanted, wanted))
