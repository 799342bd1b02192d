"""The chips in a WebUI's page, here a stand-in: the panel's elements, and files served as hosts do."""

import functools
import json
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from test_chips import LAKE, chip, variation

ROOT = Path(__file__).parents[2]
FOLDER = "/sub/file=extensions/any%20name%20(1)"
PAGE = f"""<!doctype html><title>WebUI</title>
<link rel="stylesheet" href="{FOLDER}/style.css">
<textarea id="box"></textarea>
<div id="txt2img_presample_buttons">
  <button id="txt2img_presample_generate">Generate prompt</button>
  <button id="txt2img_presample_stop">Stop</button>
</div>
<div id="txt2img_presample_shown" class="presample-web">
  <div class="block"><div hidden data-help='{{"seed": "a &lt;b&gt; c"}}'></div></div>
</div>
<div id="txt2img_presample_seed"></div>
<div id="txt2img_presample_chips"><textarea>{{}}</textarea></div>
<button id="txt2img_presample_take"></button><button id="txt2img_presample_reroll"></button>
<button id="txt2img_presample_vary"></button><button id="txt2img_presample_undo"></button>
<script>
  const heard = [], later = [];
  globalThis.opts = {{ localization: new URLSearchParams(location.search).get("language") }};
  globalThis.onUiLoaded = (callback) => later.push(callback);
  for (const name of ["take", "reroll"])
    document.getElementById("txt2img_presample_" + name).addEventListener("click", () => heard.push(name));
  document.querySelector("#txt2img_presample_chips textarea").addEventListener("input",
    ({{ target }}) => heard.push(JSON.parse(target.value)));
  const tell = (detail) => document.dispatchEvent(new CustomEvent("presample", {{ detail }}));
</script>
<script src="{FOLDER}/javascript/presample.js?1763712000.5"></script>
<script>for (const callback of later) callback();</script>"""


class Host(SimpleHTTPRequestHandler):
    """Serves the page at the root of a subpath, and the extension's files below its folder."""

    def do_GET(self):
        self.server.asked.append((unquote(self.path), self.headers.get("Cache-Control")))
        if self.path.split("?")[0] == "/sub/":
            body = PAGE.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def translate_path(self, path):
        return super().translate_path(path.removeprefix(FOLDER))

    def log_message(self, *said):
        pass


@pytest.fixture(scope="module")
def host():
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Host, directory=str(ROOT)))
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Panel:
    """The stand-in page."""

    def __init__(self, browser, host, language=""):
        self.errors = []
        self.page = browser.new_page()
        self.page.set_default_timeout(4000)
        self.page.set_default_navigation_timeout(20_000)  # a busy machine
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"http://127.0.0.1:{host.server_port}/sub/?language={language}")
        self.root = self.page.locator("#txt2img_presample_shown")
        self.root.locator(".presample").wait_for(state="attached")

    def tell(self, **said):
        self.page.evaluate("said => tell({ tab: 'txt2img', result: JSON.stringify(said) })", said)

    def heard(self):
        return self.page.evaluate("heard.splice(0)")

    def chip(self, text):
        return self.root.locator("button.presample-chip", has_text=text)


@pytest.fixture
def panel(browser, host):
    panel = Panel(browser, host)
    yield panel
    panel.page.close()
    assert not panel.errors, panel.errors


def test_files_are_found_beside_the_script_whatever_its_folder_is_called_and_never_old(panel, host):
    files = [path.split("/javascript/")[1] for path, cache in host.asked if cache == "max-age=0"]
    modules = [*(ROOT / "javascript" / "webui").glob("*.mjs")]
    assert {f"webui/{path.name}" for path in modules} <= set(files)
    assert {"comfyui/chips.mjs", "comfyui/words.mjs", "comfyui/presample.css"} <= set(files)
    asked = {path.split("/javascript/")[1].split("?")[0] for path, _ in host.asked if "/javascript/" in path}
    assert asked == {"presample.js", *files}


def test_nothing_is_shown_before_there_is_something(panel):
    assert "presample-full" not in (panel.root.get_attribute("class") or "")
    panel.tell(shown=[LAKE])
    panel.chip("night").wait_for()
    assert "presample-full" in panel.root.get_attribute("class")


def test_a_decision_goes_into_the_hidden_box(panel):
    panel.tell(shown=[LAKE])
    panel.chip("night").click()
    panel.chip("hazy moon").click(click_count=2, delay=20)
    assert panel.heard()[-1] == {"keep": ["night"], "ban": ["hazy moon"]}
    panel.root.get_by_role("button", name="Clear", exact=True).click()
    assert panel.heard() == [{"keep": [], "ban": []}]
    assert panel.page.evaluate("document.activeElement.dataset.tag") == "night"
    panel.root.get_by_role("button", name="Reroll the rest").click()
    assert panel.heard() == ["reroll"]


def test_decisions_that_were_pasted_are_shown_and_not_sent_back(panel):
    panel.page.evaluate(
        "text => tell({ tab: 'txt2img', chips: text })", json.dumps({"keep": ["boat"], "ban": []})
    )
    assert panel.chip("boat").get_attribute("aria-label") == "boat, keep"
    assert panel.heard() == []


def test_there_is_no_freezing_and_no_node(panel):
    panel.tell(shown=[LAKE])
    names = panel.root.locator(".presample-actions button:visible").all_inner_texts()
    assert names == ["Copy", "Reroll the rest"]
    assert "node" not in panel.root.get_by_role("button", name="Reroll the rest").get_attribute("title")


def test_while_it_is_written_stop_stands_in_the_place_of_generate_with_its_focus(panel):
    panel.tell(shown=[LAKE])
    panel.page.locator("#txt2img_presample_generate").focus()
    panel.tell(live=[])
    buttons = panel.page.locator("#txt2img_presample_buttons")
    assert "presample-busy" in buttons.get_attribute("class")
    assert panel.page.evaluate("document.activeElement.id") == "txt2img_presample_stop"
    progress = {"variation": 0, "writes": "tags", "text": "lake, ni", "settled": "lake", "fraction": 0.5}
    panel.tell(live=[progress])
    assert panel.root.locator(".presample-body").inner_text() == "lake, ni"
    panel.tell()
    assert "presample-busy" not in buttons.get_attribute("class")
    assert panel.page.evaluate("document.activeElement.id") == "txt2img_presample_generate"
    assert panel.chip("night").is_visible()


def test_variations_are_a_list_and_the_place_of_the_chosen_one_is_answered(panel):
    panel.tell(shown=[variation(chip("one"), seed=4), variation(chip("two"), seed=5)], listed=True)
    assert not panel.chip("one").is_visible()
    panel.root.locator(".presample-choice").nth(1).click()
    assert panel.chip("two").is_visible()
    assert panel.heard() == ["take"]
    ask = """() => { const detail = { tab: "txt2img" };
        document.dispatchEvent(new CustomEvent("presample-ask", { detail })); return detail; }"""
    assert panel.page.evaluate(ask) == {"tab": "txt2img", "place": 1, "seed": 5}
    panel.tell(shown=[LAKE])
    assert not panel.root.locator(".presample-list").is_visible()
    panel.tell(shown=[LAKE | {"seed": str(2**60)}])
    assert "seed" not in panel.page.evaluate(ask), "a number that JavaScript has not is no answer"


def test_what_cannot_be_read_is_nothing(panel):
    for text in ("", "{", "null", "3", "[]", '{"shown": 7}', '{"live": 7}', '{"shown": [{"chips": {}}]}'):
        panel.page.evaluate("text => tell({ tab: 'txt2img', result: text })", text)
        panel.page.evaluate("text => tell({ tab: 'txt2img', chips: text })", text)
        panel.page.evaluate("text => tell({ tab: 'other', result: text })", text)
    panel.tell(shown=[variation(chip("<img src=x onerror=alert(1)>"))], listed=True)
    panel.root.locator(".presample-choice").click()
    assert panel.chip("<img").is_visible()
    assert panel.root.locator("img").count() == 0


def test_help_is_a_tooltip(panel):
    assert panel.page.locator("#txt2img_presample_seed").get_attribute("title") == "a <b> c"


@pytest.mark.parametrize(("language", "word"), [("ja_JP", "残りを引き直す"), ("None", "Reroll the rest")])
def test_the_chips_speak_the_language_of_the_host(browser, host, language, word):
    panel = Panel(browser, host, language)
    panel.tell(shown=[LAKE])
    assert panel.root.get_by_role("button", name=word).is_visible()
    panel.page.close()
