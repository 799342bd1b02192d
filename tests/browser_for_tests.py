"""Pages that a program serves on this machine, and whether there is a Chromium to look at them with."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest

CHROMIUM = os.environ.get("PRESAMPLE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def served(program, log, *, environment=None):
    """Gives the address of what a program serves: `program` makes its arguments of a port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {**os.environ, "no_proxy": "127.0.0.1,localhost", **(environment or {})}
    with log.open("w") as said:
        server = subprocess.Popen([sys.executable, *map(str, program(port))], env=own, stderr=said)
    try:
        yield _ready(f"http://127.0.0.1:{port}", server, log)
    finally:
        server.terminate()
        server.wait(10)


def _ready(address, server, log, seconds=120):
    end = time.monotonic() + seconds
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end and server.poll() is None:
        try:
            opener.open(address, timeout=2).read()
        except OSError:
            time.sleep(0.2)
        else:
            return address
    pytest.fail(f"no page within {seconds} s: {log.read_text()}")
