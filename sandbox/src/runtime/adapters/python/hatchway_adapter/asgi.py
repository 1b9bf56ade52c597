"""An ASGI application, served by the uvicorn among its own packages."""

import signal
import socket
import sys

from .ready import LISTENER, failed, park, ready
from .server import concurrency

# The node scheduler closes idle connections; a second clock here would only race with it.
KEEP_ALIVE_S = 24 * 3600


def server(application, kind):
    try:
        import uvicorn
    except ImportError:
        failed("missing_dependency", "an ASGI application needs uvicorn among its packages: add `uvicorn` to its requirements")

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets=sockets)
            if not self.should_exit:
                ready()

    config = uvicorn.Config(
        application,
        interface=kind,
        # Both are the node scheduler's: it logs calls, and it is the only one who can connect and name the caller.
        access_log=False,
        forwarded_allow_ips="*",
        timeout_keep_alive=KEEP_ALIVE_S,
        backlog=max(128, concurrency()),
    )
    # Otherwise the server would, once it runs: protocols, loop and all.
    config.load()

    def serve():
        park()
        # uvicorn stops gracefully, then raises the signal again for whoever was there before.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        Server(config).run(sockets=[socket.socket(fileno=LISTENER)])

    return serve
