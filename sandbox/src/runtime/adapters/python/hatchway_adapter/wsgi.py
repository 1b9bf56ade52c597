"""A WSGI application, served by the gunicorn among its own packages: one threaded worker, in this process.

gunicorn's master is left out. It would restart a worker that dies, which is the node scheduler's part; without it a start
saves a fork and an idle sandbox a process, and an application that opened threads or connections while it was loaded
(before any fork) keeps them.
"""

import os
import signal

from .ready import LISTENER, park, ready
from .server import concurrency

# The node scheduler closes idle connections; a second clock here would only race with it.
KEEP_ALIVE_S = 24 * 3600


def server(application):
    from gunicorn.app.base import BaseApplication
    from gunicorn.sock import UnixSocket
    from gunicorn.workers.gthread import ThreadWorker

    class Application(BaseApplication):
        def load_config(self):
            for name, value in _settings().items():
                self.cfg.set(name, value)

        def load(self):
            return application

    served = Application()
    config = served.cfg
    make_log = config.logger_class  # imports it

    def serve():
        park()
        log = make_log(config)
        listener = UnixSocket("the node's socket", config, log, fd=LISTENER)
        worker = ThreadWorker(0, os.getppid(), [listener], served, 0, config, log)
        worker.init_process()

    return serve


def _settings():
    return {
        "bind": "fd://%d" % LISTENER,
        "workers": 1,
        "worker_class": "gthread",
        "threads": concurrency(),
        # Also how many connections it holds at once: a few idle ones beside those in use.
        "worker_connections": max(1000, 2 * concurrency()),
        "keepalive": KEEP_ALIVE_S,
        "timeout": 0,
        "forwarded_allow_ips": "*",
        "post_worker_init": lambda worker: ready(),
    }
