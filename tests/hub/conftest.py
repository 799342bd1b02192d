"""A stand-in for the Hugging Face hub on the loopback, and surroundings of our own.

It answers HEAD and GET of /<repo>/resolve/<revision>/<file> as the hub does, and large files by way of a
storage host of another name.
"""

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

COMMIT = "c0ffee" * 6 + "c0de"


@dataclass
class StandIn:
    """What the server holds, how it misbehaves, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    announce: dict[str, str] = field(default_factory=dict)  # path -> an ETag of its own
    cut_after: int | None = None  # close each connection after so many bytes
    hang_after: int | None = None  # stop sending after so many bytes, and keep the connection
    ignore_range: bool = False
    moved: bool = False  # the repository has another name now
    status: int | None = None
    url: str = ""
    storage: str = ""
    served: int = 0
    ranges: list[str | None] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    tokens: list[tuple[str, str | None]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)


def _handler(standin: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def answer(self, status, **headers):
            self.send_response(status)
            headers = {"Content-Length": "0", **{k.replace("_", "-"): v for k, v in headers.items()}}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def entry(self):
            """The file asked for, or None after an answer that says why not."""
            at_hub = self.path.partition("/resolve/")[2].partition("/")[2]
            name = unquote(at_hub or self.path.removeprefix("/storage/"))
            if standin.moved and "/new-name/" not in self.path and at_hub:
                return self.answer(307, Location=self.path.replace("/TIPO-200M/", "/new-name/"))
            if standin.status:
                return self.answer(standin.status)
            if name not in standin.files:
                return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
            return name, standin.files[name]

        def do_HEAD(self):
            standin.heads.append(self.path)
            standin.tokens.append(("hub", self.headers.get("Authorization")))
            if not (entry := self.entry()):
                return
            name, data = entry
            large = name.endswith((".gguf", ".safetensors", "tokenizer.model", ".pt", ".pth", ".onnx"))
            etag = standin.announce.get(name) or (hashlib.sha256(data).hexdigest() if large else _blob(data))
            if large:
                self.answer(
                    302,
                    Location=f"{standin.storage}/{name}",
                    X_Linked_ETag=f'"{etag}"',
                    X_Linked_Size=str(len(data)),
                    X_Repo_Commit=COMMIT,
                )
            else:
                self.answer(200, ETag=f'"{etag}"', Content_Length=str(len(data)), X_Repo_Commit=COMMIT)

        def do_GET(self):
            at_storage = self.headers["Host"].startswith("localhost")
            standin.tokens.append(("storage" if at_storage else "hub", self.headers.get("Authorization")))
            if not (entry := self.entry()):
                return
            name, data = entry
            if not at_storage and name.endswith(".gguf"):
                return self.answer(302, Location=f"{standin.storage}/{name}")
            self.send(data)

        def send(self, data):
            asked = None if standin.ignore_range else self.headers.get("Range")
            standin.ranges.append(self.headers.get("Range"))
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            rest = data[start:]
            span = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.answer(206 if asked else 200, Content_Length=str(len(rest)), Content_Range=span)
            limit = min(x for x in (standin.cut_after, standin.hang_after, len(rest)) if x is not None)
            for at in range(0, limit, 16_384):
                piece = rest[at : min(at + 16_384, limit)]
                standin.served += len(piece)
                try:
                    self.wfile.write(piece)
                except OSError:  # the other side has gone, as it does when it is killed or stopped
                    break
            if standin.hang_after is not None:
                standin.release.wait(30)
            self.close_connection = limit < len(rest)

    return Handler


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def serving():
    """A hub without files yet."""
    state = StandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    state.storage = f"http://localhost:{server.server_port}/storage"
    yield state
    state.release.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def standin(monkeypatch):
    """The same in the place of huggingface.co."""
    with serving() as state:
        monkeypatch.setenv("HF_ENDPOINT", state.url + "/")
        yield state


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch, tmp_path):
    """No variable, token or folder of whoever runs the tests."""
    for name in (
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "XDG_CACHE_HOME",
        "HF_ENDPOINT",
        "PRESAMPLE_MODELS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
