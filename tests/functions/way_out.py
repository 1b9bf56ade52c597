"""Goes out by the means that it is told: curl, urllib or a socket."""

import json
import socket
import subprocess
import urllib.error
import urllib.request


def main(ctx, order):
    return MEANS[order["by"]](*order["words"])


def curl(*words):
    """The status, an error's text where there is none, and the body."""
    line = ["curl", "-sS", "--max-time", "20", "-w", "\n%{http_code} %{http_connect}", *words]
    done = subprocess.run(line, capture_output=True, text=True)
    body, _, codes = done.stdout.rpartition("\n")
    status, connect = codes.split()
    return {"status": int(status), "connect": int(connect), "body": body, "error": done.stderr}


def by_urllib(url):
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return {"status": answer.status, "body": answer.read().decode()}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": error.read().decode()}


def by_socket(host, port):
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
        return {"error": ""}
    except OSError as error:
        return {"error": str(error)}


MEANS = {"curl": curl, "urllib": by_urllib, "socket": by_socket}
