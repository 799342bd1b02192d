"""HTTP for other front ends: POST /presample/expand and GET /presample/options.

Convention: JSON in, as `application/json`, which no page of another site may send unasked; JSON out. With
`"stream": true` one object a line, progress first and the result last; a slow reader gets only the newest of
each text. A request is refused while ComfyUI has work, and stopped when work comes. The model of the last one
is kept for a while, for who asks again.
"""

import asyncio
import functools
import json
import threading
from typing import Any

import torch
from aiohttp import web

from ..models.interrupt import Interrupted
from ..models.options import describe
from ..models.tipo.choices import model_labels, model_name
from ..models.tipo.expand import expand_many
from ..models.tipo.expansion import Progress, Request
from ..models.tipo.options import ExpandOptions
from .tipo import MOST_VARIATIONS, check_count
from .tipo_model import LoadedTipo, available, load

MOST_BYTES = 2**20
WRITE_TIMEOUT = 30.0  # seconds for a client to take a line
KEPT = 300.0  # seconds that a model is kept after a request
TEXTS = ("prompt", "prose")
LISTS = ("keep", "drop")
BESIDE = {  # what a request may hold beside options
    "prompt": "text",
    "prose": "natural language, where it is apart from the prompt",
    "count": f"how many variations, 1 to {MOST_VARIATIONS}",
    "keep": "a list of tags that must be in the result; [1, tag] is for the second part of a prompt",
    "drop": "a list of tags that must not come",
    "stream": "true: one JSON object a line, progress first",
}


def register(server: Any) -> None:
    """Adds the routes to ComfyUI's server, which mirrors them below /api."""
    service = Service(server.prompt_queue)
    server.routes.post("/presample/expand")(functools.partial(expand, service=service))
    server.routes.get("/presample/options")(options)


class Service:
    """Where requests are served, one at a time and while ComfyUI has nothing to do."""

    def __init__(self, queue: Any):
        self.queue = queue
        self.lock = threading.Lock()
        self.model: LoadedTipo | None = None
        self._clearing: asyncio.TimerHandle | None = None

    def is_busy(self) -> bool:
        """Returns whether ComfyUI runs or waits to run a workflow."""
        return self.queue.get_tasks_remaining() > 0

    def load(self, name: str) -> LoadedTipo:
        """Returns the model called `name`, and keeps it in the place of the one before."""
        self.model = load(name)
        return self.model

    def close(self) -> None:
        """Ends what `lock` began; the model stays for `KEPT` seconds from now on."""
        if self._clearing:
            self._clearing.cancel()
        self._clearing = asyncio.get_running_loop().call_later(KEPT, self.clear)
        self.lock.release()

    def clear(self) -> None:
        """Lets the model go, unless a request is just using it."""
        if not self.lock.locked():
            self.model = None


async def options(request: web.Request) -> web.Response:
    """Answers what `expand` understands: every option, and the models."""
    facts = [
        {
            "name": fact.name,
            "type": fact.type.__name__,
            "default": fact.default,
            "low": fact.low,
            "high": fact.high,
            "choices": list(fact.choices),
            "presets": list(fact.presets),
            "help": fact.help,
        }
        for fact in describe(ExpandOptions)
    ]
    models = await asyncio.to_thread(lambda: model_labels(available()))
    return web.json_response({"request": BESIDE, "options": facts, "models": models})


async def expand(request: web.Request, *, service: Service) -> web.StreamResponse:
    """Answers with expansions, or with a status and an `error` that says what to do."""
    if request.content_type != "application/json":
        return _error(415, f"Content-Type must be application/json, got {request.content_type}")
    try:
        asked, count, stream = read(await body(request))
    except (ValueError, TypeError) as error:
        return _error(400, error)
    if service.is_busy():
        return _error(409, "ComfyUI is working; ask again when its queue is empty")
    if not service.lock.acquire(blocking=False):
        return _error(409, "another expansion is being written; ask again when it is done")
    return await answer(request, asked, count=count, stream=stream, service=service)


async def body(request: web.Request) -> dict:
    """Returns the JSON object that was sent; raises ValueError."""
    data = await request.content.read(MOST_BYTES + 1)
    while not request.content.at_eof() and len(data) <= MOST_BYTES:
        data += await request.content.read(MOST_BYTES)
    if len(data) > MOST_BYTES:
        raise ValueError(f"a request must have at most {MOST_BYTES} bytes")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"a request must be JSON, but {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"a request must be a JSON object, got {type(found).__name__}")
    return found


def read(data: dict) -> tuple[Request, int, bool]:
    """Returns the request, how many variations are wanted, and whether to stream."""
    names = {fact.name for fact in describe(ExpandOptions)}
    unknown = set(data) - names - set(BESIDE)
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; GET /presample/options lists what there is")
    count = data.get("count", 1)
    check_count(count)
    lists = {name: _tags(name, data.get(name, [])) for name in LISTS}
    chosen = ExpandOptions(**{name: value for name, value in data.items() if name in names})
    texts = {name: data.get(name, "") for name in TEXTS}
    return Request(**texts, options=chosen, comments="comfyui", **lists), count, data.get("stream") is True


def _tags(name: str, items: Any) -> tuple[str | tuple[int, str], ...]:
    if not isinstance(items, list) or (name == "drop" and not all(isinstance(i, str) for i in items)):
        raise ValueError(f"{name} must be a list of tags, got {items!r}")
    return tuple(map(_tag, items))


def _tag(item: Any) -> str | tuple[int, str]:
    if isinstance(item, str):
        return item
    if isinstance(item, list) and [type(part) for part in item] == [int, str]:
        return tuple(item)
    raise ValueError(f"a tag must be a text, or the number of a part and a text; got {item!r}")


def has_left(request: web.Request) -> bool:
    """Returns whether the client is gone, which a server as ComfyUI starts it tells nobody by itself."""
    transport = request.transport
    return transport is None or transport.is_closing()


class ProgressQueue:
    """Progress that a client has yet to get: of each text only the newest, whatever time the client takes."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[int, int, str], Progress] = {}
        self.some = asyncio.Event()

    def put(self, progress: Progress) -> None:
        """Adds progress, as the newest of all."""
        text = (progress.variation, progress.region, progress.writes)
        self.waiting.pop(text, None)
        self.waiting[text] = progress
        self.some.set()

    def take(self) -> Progress:
        """Returns the oldest that waits."""
        return self.waiting.pop(next(iter(self.waiting)))


async def answer(
    request: web.Request, asked: Request, *, count: int, stream: bool, service: Service
) -> web.StreamResponse:
    """Writes in a thread, so that the server goes on; stops when the client is gone or ComfyUI has work.

    The service is free again when nothing is written any more, whether or not the client has read it.
    """
    gone, queue = threading.Event(), ProgressQueue()
    loop = asyncio.get_running_loop()

    def on_progress(progress: Progress) -> None:
        if stream:
            loop.call_soon_threadsafe(queue.put, progress)

    def should_stop() -> bool:
        return gone.is_set() or has_left(request) or service.is_busy()

    def work() -> list[dict]:
        with torch.inference_mode():
            loaded = service.load(model_name(asked.options.model))
            if should_stop():  # room for the model is made at the cost of a workflow's
                raise Interrupted("prompt expansion was interrupted")
            tipo = loaded.ready(count)
            made = expand_many(asked, count, tipo, on_progress=on_progress, should_stop=should_stop)
        return [expansion.as_dict() for expansion in made]

    def ended(task: asyncio.Task) -> None:
        service.close()
        queue.some.set()

    task = asyncio.create_task(asyncio.to_thread(work))
    task.add_done_callback(ended)
    try:
        if stream:
            return await _streamed(request, task, queue)
        return web.json_response({"expansions": await asyncio.shield(task)})
    except Interrupted:
        return _error(409, "stopped, since ComfyUI got work; ask again when its queue is empty")
    except (ValueError, TypeError) as error:
        return _error(400, error)
    finally:
        gone.set()
        await asyncio.wait({task})  # nothing else may be written until this has ended
        if not task.cancelled():
            task.exception()  # seen, or asyncio would log it where the client is gone


async def _streamed(request: web.Request, task: asyncio.Task, queue: ProgressQueue) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    try:
        await response.prepare(request)
        while queue.waiting or not task.done():
            await queue.some.wait()
            queue.some.clear()
            while queue.waiting:
                await _line(response, {"progress": vars(queue.take())})
        await _line(response, _last(task))
        await response.write_eof()
    except ConnectionError:  # the client has left, which is no error of ours
        pass
    except asyncio.TimeoutError:  # it reads nothing, and the end of the answer would wait for ever
        if request.transport:
            request.transport.abort()
    return response


def _last(task: asyncio.Task) -> dict:
    try:
        return {"expansions": task.result()}
    except (Interrupted, ValueError, TypeError) as error:
        return {"error": str(error)}


async def _line(response: web.StreamResponse, data: dict) -> None:
    await asyncio.wait_for(response.write(json.dumps(data).encode() + b"\n"), WRITE_TIMEOUT)


def _error(status: int, reason: object) -> web.Response:
    return web.json_response({"error": str(reason)}, status=status)
