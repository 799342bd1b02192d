"""A real ComfyUI, headless, with its own base directory; and a client that queues prompts over HTTP."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parents[3]
FOLDERS = ("custom_nodes", "models/tipo", "input", "output", "temp", "user")
OUT = Path(os.environ.get("PRESAMPLE_SHOTS", "out/hosts"))
ENDS = ("execution_success", "execution_error", "execution_interrupted")


def note(text: str) -> None:
    """Keeps a measured number, as test output."""
    OUT.mkdir(parents=True, exist_ok=True)
    with (OUT / "numbers.txt").open("a", encoding="utf-8") as file:
        file.write(text + "\n")
    sys.stdout.write(f"\n{text}\n")


class Server:
    """A running ComfyUI with the pack, and with `packs` beside it."""

    def __init__(self, base: Path, packs: tuple[Path, ...] = ()):
        self.checkout = Path(os.environ["COMFYUI_PATH"])
        self.python = os.environ.get("COMFYUI_PYTHON", sys.executable)
        self.base = base
        for folder in FOLDERS:
            (base / folder).mkdir(parents=True, exist_ok=True)
        for name, pack in (("presample", ROOT), *((pack.name, pack) for pack in packs)):
            link = base / "custom_nodes" / name
            if not link.exists():
                link.symlink_to(pack)
        self.log = base / "server.log"
        self.start()

    def start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        own = {"PRESAMPLE_MODELS": str(self.base / "none"), "HF_HUB_CACHE": str(self.base / "none")}
        command = [self.python, "main.py", "--cpu", "--base-directory", str(self.base), "--port"]
        command += [str(self.port), "--database-url", "sqlite:///:memory:", "--disable-api-nodes"]
        command += ["--front-end-root", front] if (front := os.environ.get("COMFYUI_FRONTEND")) else []
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=self.checkout, stdout=log, stderr=log, env=os.environ | own
            )
        for _ in range(600):
            if self.process.poll() is not None:
                raise RuntimeError(f"ComfyUI ended:\n{self.log.read_text()[-3000:]}")
            try:
                self.version = self.get("/system_stats")["system"]["comfyui_version"]
                self.definitions = self.get("/object_info")
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise RuntimeError(f"ComfyUI did not answer:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path, timeout=30) as answer:
            return json.load(answer)

    def resident(self) -> float:
        """Returns the resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def import_seconds(self) -> str:
        """Returns what ComfyUI printed of the import of the pack."""
        lines = self.log.read_text().splitlines()
        line = next(line for line in lines if "seconds" in line and line.endswith("presample"))
        return line[line.index("seconds") - 5 :].partition(":")[0].strip()

    def run(self, prompt: dict, **more: Any) -> "Result":
        """Queues a prompt and waits for its end."""

        async def once():
            async with Client(self) as client:
                return await client.run(prompt, **more)

        return asyncio.run(once())


class Result:
    """What became of a prompt; `events` are (seconds, type, data) in their order."""

    def __init__(self, status: int, answer: Any):
        self.status, self.answer, self.events = status, answer, []

    @property
    def end(self) -> str:
        return self.events[-1][1] if self.events else "refused"

    @property
    def error(self) -> str:
        return self.events[-1][2].get("exception_message", "") if self.events else json.dumps(self.answer)

    @property
    def ran(self) -> list[str]:
        """Returns the ids of the nodes that ran, without those that were cached."""
        return [data["node"] for _, kind, data in self.events if kind == "executing" and data["node"]]

    def output(self, node: str) -> dict:
        """Returns what the page was given of a node."""
        return next(d["output"] for _, k, d in self.events if k == "executed" and d["node"] == node)

    def variations(self, node: str) -> list[dict]:
        """Returns the variations that the page was given of a node."""
        return [json.loads(each) for each in self.output(node)["presample"]]

    def times(self, kind: str, node: str | None = None) -> list[float]:
        return [when for when, k, data in self.events if k == kind and node in (None, data.get("node"))]


class Client:
    """One page's connection."""

    def __init__(self, server: Server):
        self.server, self.name = server, uuid.uuid4().hex

    async def __aenter__(self):
        self.session = aiohttp.ClientSession()
        address = f"{self.server.address}/ws?clientId={self.name}"
        self.socket = await self.session.ws_connect(address, max_msg_size=0)
        return self

    async def __aexit__(self, *_):
        await self.socket.close()
        await self.session.close()

    async def post(self, path: str, data: Any) -> tuple[int, Any]:
        async with self.session.post(self.server.address + path, json=data) as answer:
            text = await answer.text()
        return answer.status, json.loads(text) if text[:1] in ("{", "[") else text

    async def run(self, prompt: dict, *, workflow: dict | None = None, on_event=None) -> Result:
        sent = {"prompt": prompt, "client_id": self.name}
        if workflow is not None:
            sent["extra_data"] = {"extra_pnginfo": {"workflow": workflow}}
        result = Result(*await self.post("/prompt", sent))
        if result.status == 200:
            await asyncio.wait_for(self._follow(result, on_event), 120)
        return result

    async def _follow(self, result: Result, on_event) -> None:
        async for message in self.socket:
            if message.type != aiohttp.WSMsgType.TEXT:
                continue
            said = json.loads(message.data)
            data = said.get("data") or {}
            result.events.append((time.monotonic(), said["type"], data))
            if on_event:
                await on_event(self, said["type"], data)
            if said["type"] in ENDS and data.get("prompt_id") == result.answer["prompt_id"]:
                return
