"""A new user's first minutes in the real ComfyUI: a template, chips, a run, a saved picture dragged back in.

Pictures of the page are kept in out/hosts.
"""

import base64
import importlib.util
import json
import os
import shutil
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "frontend"))

CHROMIUM = os.environ.get("PRESAMPLE_CHROMIUM") or shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    not CHROMIUM or importlib.util.find_spec("playwright") is None,
    reason="the page needs playwright and a Chromium (PATH, or PRESAMPLE_CHROMIUM)",
)
DONE = """() => new Promise((done) => {
    const { api } = window.comfyAPI.api, { app } = window.comfyAPI.app;
    for (const kind of ["execution_success", "execution_error", "execution_interrupted"])
        api.addEventListener(kind, () => setTimeout(() => done(kind), 300), { once: true });
    app.queuePrompt(0, 1);
})"""
SAVE = """const add = (kind, at) => {
    const node = window.LiteGraph.createNode(kind); node.pos = at; app.graph.add(node); return node; };
const tipo = nodes.find((n) => n.type === "PresampleTIPOExpand");
const image = add("EmptyImage", [1400, 60]), save = add("SaveImage", [1720, 60]);
const wire = (from, name, to, input) => from.connect(
    from.outputs.findIndex((o) => o.name === name), to, to.inputs.findIndex((i) => i.name === input));
wire(tipo, "seeds", image, "color"); wire(image, "IMAGE", save, "images");"""
DROP = """async (data) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], "picture.png", { type: "image/png" }));
    const event = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
    document.querySelector("#graph-canvas").dispatchEvent(event);
}"""


class Settings:
    """The settings of a user, at the server."""

    def __init__(self, address):
        self.address = address

    def update(self, settings):
        for name, value in settings.items():
            request = urllib.request.Request(
                f"{self.address}/api/settings/{name}", data=json.dumps(value).encode(), method="POST"
            )
            urllib.request.urlopen(request, timeout=20).read()


class Backend:
    """What a Page needs to know of a real server."""

    def __init__(self, server):
        self.address, self.settings, self.prompts = server.address, Settings(server.address), []


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--force-prefers-reduced-motion"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(params=["classic", "vue"])
def page(request, browser, server, monkeypatch):
    """The page of the real server, in both renderers."""
    import page_for_tests
    from server_for_tests import OUT

    monkeypatch.setattr(page_for_tests, "SHOTS", OUT)

    class Page(page_for_tests.Page):
        def open(self):
            self.page.set_default_timeout(30000)  # a real server has other things to do too
            super().open()

    page = Page(browser, Backend(server), request.param)
    page.page.set_viewport_size({"width": 1720, "height": 1200})
    yield page
    errors = list(page.errors)
    page.close()
    assert not errors, errors


def run(page):
    assert page.page.evaluate(DONE) == "execution_success"
    page.settle()


def template(page, name):
    with urllib.request.urlopen(
        f"{page.backend.address}/api/workflow_templates/presample/{name}.json", timeout=20
    ) as answer:
        page.load(answer.read().decode())
    page.run("app.canvas.ds.offset = [40, 60]; app.canvas.ds.scale = 1; app.canvas.setDirty(true, true);")
    page.settle()


def test_the_browser_of_templates_has_them_with_their_pictures(server, templates):
    listed = server.get("/api/workflow_templates")["presample"]
    assert set(listed) == set(templates)
    for name in listed:
        with urllib.request.urlopen(
            f"{server.address}/api/workflow_templates/presample/{urllib.parse.quote(name)}.jpg", timeout=20
        ) as answer:
            assert answer.read(3) == b"\xff\xd8\xff"


def test_a_template_runs_and_its_chips_decide_and_come_back(page, server):
    template(page, "expand_and_show")
    run(page)
    node = page.only_node()
    added = [tag for tag in node.chips() if tag not in ("1girl", "lake", "night")]
    keep, ban = added[0], added[1]
    node.chip(keep).click()
    node.chip(ban).click()
    node.chip(ban).click()
    assert node.decisions == {"keep": [keep], "ban": [ban]}
    page.run(SAVE)
    page.settle()
    run(page)
    page.shot("template")
    shown = node.run("return node.properties.presample;")
    words = [chip["text"] for chip in shown[0]["chips"]]
    assert keep in words
    assert ban not in words
    saved = page.workflow()
    page.open()  # as the user's reload does
    page.load(saved)
    again = page.only_node()
    assert again.decisions == {"keep": [keep], "ban": [ban]}
    assert keep in again.chips()
    dropped(page, server, shown)


def dropped(page, server, shown):
    """The newest picture, dragged into an empty page, brings back what was written."""
    picture = max((server.base / "output").glob("*.png"), key=lambda path: path.stat().st_mtime)
    page.new_tab()
    page.page.evaluate(DROP, base64.b64encode(picture.read_bytes()).decode())
    page.page.wait_for_function(
        "() => (window.comfyAPI.app.app.rootGraph ?? window.comfyAPI.app.app.graph).nodes"
        ".some((n) => n.type === 'PresampleTIPOExpand' && n.properties.presample)"
    )
    node = page.only_node()
    node.root.locator(".presample-chip").first.wait_for()
    assert node.run("return node.properties.presample;") == shown
    page.shot("dropped")


@pytest.mark.parametrize("name", ["variations", "before_and_after", "freeze_and_edit"])
def test_the_other_templates_run_from_the_page(page, name):
    template(page, name)
    run(page)
    assert page.only_node().chips()
    page.shot(name)
