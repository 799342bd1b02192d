"""The routes, asked over HTTP: answers, streams, refusals, and that they are in nobody's way."""

import asyncio
import gc
import json
import threading
import weakref
from types import SimpleNamespace

import pytest

from presample.models.interrupt import Interrupted
from presample.models.tipo.expand import expand_many, load_tipo
from presample.models.tipo.expansion import Progress, Request
from presample.models.tipo.options import ExpandOptions

aiohttp = pytest.importorskip("aiohttp", reason="ComfyUI's server is aiohttp's")
from aiohttp import web  # noqa: E402
from aiohttp.test_utils import TestClient, TestServer  # noqa: E402

EXPAND, OPTIONS = "/presample/expand", "/presample/options"
JSON = {"Content-Type": "application/json"}


class Server(TestServer):
    """A server as ComfyUI starts it: nobody is told of a client that has left."""

    async def _make_runner(self, **options):
        return web.AppRunner(self.app, **{**options, "handler_cancellation": False})


class Queue:
    """ComfyUI's queue, as far as it is asked."""

    def __init__(self):
        self.tasks = 0

    def get_tasks_remaining(self):
        return self.tasks


@pytest.fixture
def ask(comfy):
    """Runs a coroutine with a client of the routes, and the queue."""

    def run(work):
        async def main():
            queue, app = Queue(), web.Application()
            routes = web.RouteTableDef()
            comfy.routes.register(SimpleNamespace(routes=routes, prompt_queue=queue))
            app.add_routes(routes)
            async with TestClient(Server(app)) as client:
                return await work(client, queue)

        return asyncio.run(main())

    return run


def test_an_answer_is_what_the_engine_makes(ask):
    async def work(client, queue):
        reply = await client.post(
            EXPAND, json={"prompt": "lake, night", "count": 2, "seed": 4, "ban": "boat"}
        )
        return reply.status, await reply.json()

    status, found = ask(work)
    request = Request("lake, night", options=ExpandOptions(seed=4, ban="boat"), comments="comfyui")
    assert status == 200
    wanted = [each.prompt for each in expand_many(request, 2, load_tipo())]
    assert [each["prompt"] for each in found["expansions"]] == wanted


def test_the_model_stays_for_who_asks_again_and_then_goes(ask, comfy, monkeypatch):
    monkeypatch.setattr(comfy.routes, "KEPT", 2.0)
    loaded, body = [], {"prompt": "lake", "tag_length": "none", "prose_length": "very_short"}

    def watched(name):
        loaded.append(weakref.ref(found := load(name)))
        return found

    load = comfy.routes.load
    monkeypatch.setattr(comfy.routes, "load", watched)

    async def work(client, queue):
        for _ in range(2):
            await client.post(EXPAND, json=body)
        first, second = (each() for each in loaded)
        same = first is second is not None
        del first, second
        for _ in range(100):
            await asyncio.sleep(0.1)
            gc.collect()
            if loaded[0]() is None:
                break
        return same, loaded[0]()

    assert ask(work) == (True, None)


def test_a_stream_has_progress_first_and_the_result_last(ask):
    async def work(client, queue):
        reply = await client.post(EXPAND, json={"prompt": "lake", "stream": True, "prose_length": "none"})
        return [json.loads(line) for line in (await reply.read()).splitlines()]

    *progress, last = ask(work)
    assert len(progress) > 5
    assert all(list(line) == ["progress"] for line in progress)
    fractions = [line["progress"]["fraction"] for line in progress]
    assert fractions == sorted(fractions)
    assert last["expansions"][0]["prompt"].startswith("lake, ")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("[1", "must be JSON"),
        ("[]", "must be a JSON object"),
        ("[" * 100_000, "must be JSON"),
        ('{"prompt": "a", "x": 1}', "unknown: x"),
        ('{"prompt": 3}', "prompt must be text"),
        ('{"prompt": "a", "count": 0}', "count must be"),
        ('{"prompt": "a", "count": 1000}', "count must be"),
        ('{"prompt": "a", "temperature": 9}', "temperature must lie in"),
        ('{"prompt": "a", "count": true}', "count must be"),
        ('{"prompt": "a", "keep": [3]}', "a tag must be"),
        ('{"prompt": "a", "keep": "night"}', "keep must be a list"),
        ('{"prompt": "a", "drop": "night"}', "drop must be a list"),
        ('{"prompt": "a", "drop": [[0, "night"]]}', "drop must be a list"),
        ('{"prompt": "a", "model": "../x"}', "no model named"),
        ('{"prompt": "a", "ban": "/(/"}', "ban pattern"),
        ('{"prompt": "' + "a" * 2**21 + '"}', "at most"),
    ],
)
def test_a_wrong_request_is_told_why(ask, body, says):
    async def work(client, queue):
        reply = await client.post(EXPAND, data=body, headers=JSON)
        return reply.status, await reply.json()

    status, found = ask(work)
    assert status == 400
    assert says in found["error"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_page_of_another_site_may_send_unasked_is_refused(ask, kind):
    async def work(client, queue):
        reply = await client.post(EXPAND, data='{"prompt": "lake"}', headers={"Content-Type": kind})
        return reply.status, await reply.json()

    status, found = ask(work)
    assert status == 415
    assert "Content-Type must be application/json" in found["error"]


def test_nothing_is_written_while_comfyui_has_work(ask, comfy, monkeypatch):
    monkeypatch.setattr(comfy.routes, "load", None)

    async def work(client, queue):
        queue.tasks = 1
        reply = await client.post(EXPAND, json={"prompt": "lake"})
        return reply.status, (await reply.json())["error"]

    status, error = ask(work)
    assert status == 409
    assert "working" in error


def test_work_that_comes_while_the_model_is_read_keeps_its_room(ask, comfy, monkeypatch):
    made = []

    async def work(client, queue):
        def slow(name):
            queue.tasks = 1
            return SimpleNamespace(ready=made.append)

        monkeypatch.setattr(comfy.routes, "load", slow)
        reply = await client.post(EXPAND, json={"prompt": "lake"})
        return reply.status, (await reply.json())["error"]

    status, error = ask(work)
    assert (status, made) == (409, [])
    assert "ComfyUI got work" in error


def test_work_that_comes_stops_what_is_being_written(ask, comfy, monkeypatch):
    begun = threading.Event()

    def slow(request, count, tipo, *, on_progress, should_stop):
        def stop():
            begun.set()
            return should_stop()

        return expand_many(request, 64, tipo, on_progress=on_progress, should_stop=stop)

    monkeypatch.setattr(comfy.routes, "expand_many", slow)

    async def work(client, queue):
        task = asyncio.create_task(client.post(EXPAND, json={"prompt": "lake", "tag_length": "very_long"}))
        await asyncio.to_thread(begun.wait, 20)
        second = await client.post(EXPAND, json={"prompt": "lake"})
        queue.tasks = 1
        first = await task
        queue.tasks = 0
        third = await client.post(EXPAND, json={"prompt": "lake", "task": "long_to_tag"})
        return second.status, first.status, (await first.json())["error"], third.status

    second, first, error, third = ask(work)
    assert (second, first, third) == (409, 409, 400)
    assert "got work" in error


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_what_is_written_for_it(ask, comfy, monkeypatch, stream, caplog):
    begun, ended, stopped = threading.Event(), threading.Event(), []

    def watched(request, count, tipo, *, on_progress, should_stop):
        def progress(each):
            begun.set()
            on_progress(each)

        try:
            return expand_many(request, 64, tipo, on_progress=progress, should_stop=should_stop)
        except Interrupted:
            stopped.append(True)
            raise
        finally:
            ended.set()

    monkeypatch.setattr(comfy.routes, "expand_many", watched)

    async def work(client, queue):
        body = {"prompt": "lake", "tag_length": "very_long", "stream": stream}
        asking = asyncio.create_task(client.post(EXPAND, json=body))
        await asyncio.to_thread(begun.wait, 20)
        if stream:
            (await asking).close()
        else:
            asking.cancel()
        return await asyncio.to_thread(ended.wait, 20)

    assert ask(work)
    assert stopped
    assert not caplog.records


def test_a_client_that_never_reads_keeps_nobody_else_waiting(ask, comfy, monkeypatch, caplog):
    streamed, over = comfy.routes._streamed, threading.Event()

    async def watched(*args):
        try:
            return await streamed(*args)
        finally:
            over.set()

    def flood(request, count, tipo, *, on_progress, should_stop):
        for variation in range(64):
            on_progress(Progress(variation, 0, "tags", "x" * 2**20, "", variation / 64))
        return expand_many(request, count, tipo)

    monkeypatch.setattr(comfy.routes, "_streamed", watched)
    monkeypatch.setattr(comfy.routes, "expand_many", flood)
    monkeypatch.setattr(comfy.routes, "WRITE_TIMEOUT", 3.0)

    async def work(client, queue):
        body = b'{"prompt": "lake", "stream": true}'
        head = f"POST {EXPAND} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        _, writer = await asyncio.open_connection(client.host, client.port, limit=1024)
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        found = []
        while 200 not in found and not over.is_set():
            await asyncio.sleep(0.05)
            found.append((await client.post(EXPAND, json={"prompt": "lake"})).status)
        before = over.is_set()
        ended = await asyncio.to_thread(over.wait, 20)
        writer.close()
        return found[-1], before, ended

    assert ask(work) == (200, False, True)
    assert not caplog.records


def test_a_client_whose_connection_breaks_is_no_error_of_ours(ask, monkeypatch, caplog):
    async def broken(self, data):
        raise ConnectionAbortedError("gone")

    monkeypatch.setattr(web.StreamResponse, "write", broken)

    async def work(client, queue):
        reply = await client.post(EXPAND, json={"prompt": "lake", "stream": True})
        return await reply.read()

    assert ask(work) == b""
    assert not caplog.records


def test_of_each_text_only_the_newest_progress_waits(comfy):
    queue = comfy.routes.ProgressQueue()
    for step in range(10_000):
        queue.put(Progress(step % 2, 0, "tags", "x" * step, "", step / 10_000))
    queue.put(Progress(0, 0, "prose", "", "", 1.0))
    assert [len(queue.take().text) for _ in range(3)] == [9_998, 9_999, 0]
    assert not queue.waiting


def test_the_options_are_all_there(ask):
    async def work(client, queue):
        return await (await client.get(OPTIONS)).json()

    found = ask(work)
    assert [each["name"] for each in found["options"]] == list(ExpandOptions.__dataclass_fields__)
    assert found["models"][0] == "tipo-tiny"
    assert set(found["request"]) == {"prompt", "prose", "count", "keep", "drop", "stream"}
