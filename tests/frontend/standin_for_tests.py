"""A small backend for ComfyUI's real page: it answers what the page asks and sends what a test tells it to.

Routes and messages as ComfyUI 0.33.0 has them (server.py).
"""

import asyncio
import json
import threading
import uuid
from pathlib import Path

from aiohttp import WSMsgType, web

PACK = Path(__file__).parents[2] / "javascript" / "comfyui"

EMPTY = {
    "/api/embeddings": [],
    "/api/experiment/models": [],
    "/api/global_subgraphs": {},
    "/api/node_replacements": {},
    "/api/i18n": {},
    "/api/workflow_templates": {},
    "/api/queue": {"queue_running": [], "queue_pending": []},
    "/api/history": {},
    "/api/jobs": {"jobs": [], "pagination": {"offset": 0, "limit": None, "total": 0, "has_more": False}},
    "/api/features": {"supports_preview_metadata": True, "node_replacements": True, "assets": False},
    "/api/users": {"storage": "server", "migrated": False},
    "/api/extensions": ["/extensions/presample/presample.js"],
    "/api/system_stats": {
        "system": {"os": "linux", "comfyui_version": "0.33.0", "python_version": "3", "argv": ["main.py"]},
        "devices": [],
    },
}


class StandIn:
    """Serves the page from `static` on a free port of this machine until `close` is called."""

    def __init__(self, static: Path, definitions: dict):
        self.static, self.definitions = static, definitions
        self.settings: dict = {}
        self.prompts: list[dict] = []
        self.sockets: dict[web.WebSocketResponse, str] = {}
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        if not self.started.wait(20):
            raise RuntimeError("the stand-in backend did not start within 20 seconds")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send(self, kind: str, data: dict) -> None:
        """Sends a message to every open page, as ComfyUI does while it works."""
        asyncio.run_coroutine_threadsafe(self._send(kind, data), self.loop).result(10)

    def executed(self, node: str, variations: list, run: str = "") -> None:
        """Sends the messages of a run of `node` that gave `variations`, from its start to its end.

        The run is that which was queued last, where none is named.
        """
        prompt_id = run or (self.prompts[-1]["id"] if self.prompts else str(uuid.uuid4()))
        self.send("execution_start", {"prompt_id": prompt_id})
        self.send("executing", {"node": node, "display_node": node, "prompt_id": prompt_id})
        self.send(
            "executed",
            {
                "node": node,
                "display_node": node,
                "output": {"presample": [json.dumps(each) for each in variations]},
                "prompt_id": prompt_id,
            },
        )
        self.send("execution_success", {"prompt_id": prompt_id})
        self.send("executing", {"node": None, "prompt_id": prompt_id})

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._start())
        self.started.set()
        self.loop.run_forever()
        self.loop.run_until_complete(self.runner.cleanup())
        self.loop.close()

    async def _start(self) -> None:
        self.runner = web.AppRunner(self._application(), shutdown_timeout=0.5)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]

    def _application(self) -> web.Application:
        app = web.Application()
        for route, answer in EMPTY.items():
            app.router.add_get(route, lambda _, answer=answer: web.json_response(answer))
        app.router.add_get("/ws", self._socket)
        app.router.add_get("/api/object_info", lambda _: web.json_response(self.definitions))
        app.router.add_get("/api/settings", lambda _: web.json_response(self.settings))
        app.router.add_post("/api/settings", self._set_settings)
        app.router.add_post("/api/settings/{id}", self._set_setting)
        app.router.add_get("/api/prompt", lambda _: web.json_response({"exec_info": {"queue_remaining": 0}}))
        app.router.add_post("/api/prompt", self._prompt)
        app.router.add_get("/", lambda _: web.FileResponse(self.static / "index.html"))
        app.router.add_static("/extensions/presample", PACK)
        app.router.add_route("*", "/api/{rest:.*}", lambda _: web.json_response({}, status=404))
        app.router.add_get("/user.css", lambda _: web.Response(text="", content_type="text/css"))
        app.router.add_static("/", self.static)
        return app

    async def _set_settings(self, request: web.Request) -> web.Response:
        self.settings.update(await request.json())
        return web.Response()

    async def _set_setting(self, request: web.Request) -> web.Response:
        self.settings[request.match_info["id"]] = await request.json()
        return web.Response()

    async def _prompt(self, request: web.Request) -> web.Response:
        sent = await request.json()
        sent["id"] = str(uuid.uuid4())
        self.prompts.append(sent)
        answer = {"prompt_id": sent["id"], "number": len(self.prompts), "node_errors": {}}
        return web.json_response(answer)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = request.query.get("clientId") or uuid.uuid4().hex
        self.sockets[socket] = client
        status = {"status": {"exec_info": {"queue_remaining": 0}}, "sid": client}
        await socket.send_json({"type": "status", "data": status})
        async for message in socket:
            if message.type == WSMsgType.ERROR:
                break
        self.sockets.pop(socket, None)
        return socket

    async def _send(self, kind: str, data: dict) -> None:
        for socket in list(self.sockets):
            await socket.send_str(json.dumps({"type": kind, "data": data}))
