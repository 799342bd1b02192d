"""The panel in a page of gradio, in headless Chromium, with the extension's own JavaScript and styles."""

import importlib.util
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from browser_for_tests import CHROMIUM, served

ROOT = Path(__file__).parents[2]
SHOTS = os.environ.get("PRESAMPLE_SHOTS")
MISSING = [name for name in ("gradio", "playwright") if importlib.util.find_spec(name) is None]
MISSING += [] if CHROMIUM else ["a Chromium (PATH, or PRESAMPLE_CHROMIUM)"]
if not MISSING and int(version("gradio").split(".")[0]) > 4:
    MISSING.append("a gradio that WebUIs have, 3.41 or 4.40")
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"the panel's page needs {', '.join(MISSING)}; `make webui` has both"
)

PART = "#txt2img_presample_"
LONG = "\nBREAK\n".join(["city, rain"] * 20)  # takes its time
LAKE = {"Presample": "TIPO 1", "Presample prompt": "lake", "Presample seed": "3"}


@pytest.fixture(scope="module")
def standin():
    """A hub on this machine, as the tests of downloads have it."""
    spec = importlib.util.spec_from_file_location("hub_conftest", ROOT / "tests" / "hub" / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["hub_conftest"] = module  # its dataclass looks there
    spec.loader.exec_module(module)
    with module.serving() as hub:
        yield hub


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def address(standin, models, tmp_path_factory):
    """A server of its own, for it puts a fake host's modules in place."""
    own = {"HF_ENDPOINT": standin.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(models / "hf")}
    own |= {"PRESAMPLE_MODELS": str(models / "own"), "GRADIO_ANALYTICS_ENABLED": "False"}
    program, log = Path(__file__).with_name("gradio_host.py"), tmp_path_factory.mktemp("host") / "log"
    with served(lambda port: (program, port, models), log, environment=own) as address:
        yield address


class Page:
    """The page as a host makes it: the script file is loaded as a classic script, from a served file."""

    def __init__(self, browser, address, *, theme="light", width=700, language="None"):
        from gradio_host import PAGE

        self.errors = []
        self.page = browser.new_page(viewport={"width": width, "height": 1400})
        self.page.set_default_timeout(10000)
        self.page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack}"))
        self.page.add_init_script(f"globalThis.LANGUAGE = {language!r};{PAGE}")
        self.page.goto(f"{address}/?__theme={theme}", wait_until="domcontentloaded")
        self.page.wait_for_selector("#img2img_presample_chips", state="attached")
        self.page.add_style_tag(path=str(ROOT / "style.css"))
        self.page.add_script_tag(url=f"{address}/file={ROOT}/javascript/presample.js?1.5")
        self.page.wait_for_selector("link[href$='presample.css']", state="attached")
        self.page.wait_for_timeout(200)

    def part(self, name):
        return self.page.locator(PART + name)

    @property
    def prompt(self):
        return self.page.input_value("#txt2img_prompt textarea")

    def type(self, text):
        """Types into the prompt box, which may not let it in."""
        self.page.locator("#txt2img_prompt textarea").press_sequentially(text)

    def value(self, name):
        return self.page.input_value(f"#txt2img_{name} textarea")

    def wait_for(self, what, seconds=15):
        for _ in range(seconds * 20):
            if found := what():
                return found
            self.page.wait_for_timeout(50)
        raise AssertionError(f"still not after {seconds} s; prompt {self.prompt!r}, errors {self.errors}")

    def chips(self):
        return self.part("shown").locator("button.presample-chip")

    def button(self, name):
        return self.part("shown").get_by_role("button", name=name, exact=True)

    def idle(self):
        written = self.page.locator("#txt2img_prompt textarea").is_editable()
        return written and self.part("shown").locator("[aria-busy=true]").count() == 0

    def write(self, prompt):
        self.page.fill("#txt2img_prompt textarea", prompt)
        self.part("generate").click()
        self.wait_for(lambda: self.prompt != prompt and self.idle() and self.chips().count())
        return self.chips().all_inner_texts()

    def shot(self, name):
        if SHOTS:
            import gradio

            self.page.screenshot(path=Path(SHOTS) / f"{name}-{gradio.__version__}.png", full_page=True)


@pytest.fixture(scope="module")
def opened(browser, address):
    return Page(browser, address)


@pytest.fixture
def page(opened):
    yield opened
    assert not opened.errors, opened.errors
    if opened.button("Clear").is_visible():
        opened.button("Clear").click()


def test_a_new_panel_shows_what_is_needed_first_and_no_chips(page):
    for name in ("generate", "vary", "undo", "prose", "tag_length", "prose_length", "model", "seed"):
        assert page.part(name).is_visible(), name
    for name in (
        "stop",
        "shown",
        "ban",
        "temperature",
        "layout_template",
        "result",
        "chips",
        "take",
        "reroll",
    ):
        assert not page.part(name).is_visible(), name
    assert "How many tags" in page.part("tag_length").get_attribute("title")
    page.shot("new")


def test_the_prompt_is_written_shown_as_chips_and_counted(page):
    words = page.write("lake, night")
    assert page.prompt.startswith("lake, night, ")
    assert page.part("shown").locator(".presample-own").all_inner_texts() == ["lake", "night"]
    assert all(word.replace("(", "\\(").replace(")", "\\)") in page.prompt for word in words)
    page.wait_for(lambda: page.page.evaluate("counted.at(-1)") == page.prompt)
    page.shot("chips")


def test_undo_takes_it_back_and_counts_again(page):
    page.write("lake, night")
    page.part("undo").click()
    page.wait_for(lambda: page.prompt == "lake, night" == page.page.evaluate("counted.at(-1)"))


def test_decisions_reach_the_buttons_and_the_generation(page):
    keep, ban = page.write("lake, night")[:2]
    page.chips().nth(0).click()
    page.chips().nth(1).click(click_count=2, delay=20)
    said = json.dumps({"keep": [keep], "ban": [ban]}, separators=(",", ":"))
    page.page.click("#txt2img_generate")
    page.wait_for(lambda: said in page.value("arguments"))
    before = page.prompt
    page.button("Reroll the rest").click()
    page.wait_for(lambda: page.prompt != before and page.idle() and page.chips().count())
    words = page.prompt.replace("\\", "").partition("\n")[0].split(", ")
    assert words[:2] == ["lake", "night"]
    assert keep in words
    assert ban not in words


def test_the_keyboard_alone_decides(page):
    page.write("lake, night")
    page.part("undo").focus()
    for _ in range(4):
        page.page.keyboard.press("Tab")
        if first := page.page.evaluate("document.activeElement.dataset.tag"):
            break
    page.page.keyboard.press("Enter")
    assert page.page.evaluate("document.activeElement.getAttribute('aria-label')") == f"{first}, keep"
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press(" ")
    page.page.keyboard.press(" ")
    assert page.page.evaluate("document.activeElement.getAttribute('aria-label')").endswith(", ban")


def test_a_stop_gives_the_prompt_and_the_focus_back(page):
    page.page.fill("#txt2img_prompt textarea", LONG)
    page.part("generate").focus()
    page.page.keyboard.press("Enter")
    page.part("stop").wait_for()
    assert not page.part("generate").is_visible()
    page.page.wait_for_function("document.activeElement.id === 'txt2img_presample_stop'")
    page.wait_for(lambda: page.prompt != LONG)
    page.page.keyboard.press("Enter")
    page.part("generate").wait_for()
    assert page.prompt == LONG
    assert "Stopped" in page.part("status").inner_text()


def test_nothing_is_typed_into_the_box_that_is_written_into(page):
    page.page.fill("#txt2img_prompt textarea", LONG)
    page.part("generate").click()
    assert not page.page.locator("#txt2img_prompt textarea").is_editable()
    page.type("x")
    page.part("stop").click()
    page.part("generate").wait_for()
    assert page.prompt == LONG
    page.type("x")
    assert page.prompt == LONG + "x"
    page.write("lake, night")
    page.type("x")
    assert page.prompt.endswith("x")


def test_a_button_whose_server_is_gone_gives_the_box_back(browser, address):
    page = Page(browser, address)
    try:
        page.page.fill("#txt2img_prompt textarea", "lake")
        page.page.context.set_offline(True)
        page.part("generate").click()
        page.wait_for(lambda: page.page.locator("#txt2img_prompt textarea").is_editable())
        page.type(", night")
        assert page.prompt == "lake, night"
    finally:
        page.page.close()


def test_a_handler_that_fails_without_a_word_ends_on_the_page_too(page):
    tell = """said => document.dispatchEvent(
        new CustomEvent("presample", { detail: { tab: "txt2img", ...said } }))"""
    page.page.evaluate(tell, {"result": '{"live": []}'})
    page.part("stop").wait_for()
    page.page.evaluate(tell, {"ended": True})
    assert not page.idle()  # the last word may still be on its way
    page.wait_for(page.idle)
    assert page.part("generate").is_visible()


def test_while_one_thing_is_written_no_other_is_begun(page):
    page.write("lake, night")
    page.page.fill("#txt2img_prompt textarea", LONG)
    page.part("generate").click()
    page.part("stop").wait_for()
    assert page.part("vary").is_disabled()
    assert page.part("undo").is_disabled()
    page.button("Reroll the rest").evaluate("e => e.click()")
    page.part("stop").click()
    page.part("generate").wait_for()
    page.wait_for(lambda: page.prompt == LONG)
    assert page.part("vary").is_enabled()
    page.page.wait_for_timeout(500)
    assert page.prompt == LONG


def test_a_page_stops_its_own_writing_and_no_other_pages(browser, address):
    first, second = Page(browser, address), Page(browser, address)
    try:
        for page in (first, second):
            page.page.fill("#txt2img_prompt textarea", LONG)
            page.part("generate").click()
            page.part("stop").wait_for()
        second.part("stop").click()
        second.part("generate").wait_for()
        assert second.prompt == LONG
        first.wait_for(lambda: first.prompt != LONG)
        assert first.part("stop").is_visible()
        first.part("stop").click()
        first.part("generate").wait_for()
        assert "Stopped" in first.part("status").inner_text()
    finally:
        first.page.close()
        second.page.close()


def test_the_chips_speak_the_hosts_language_which_is_known_late(browser, address):
    page = Page(browser, address, language="ja_JP")
    try:
        assert page.part("shown").locator(".presample-action").first.text_content() == "コピー"
    finally:
        page.page.close()


def test_a_click_takes_a_variation_and_shows_its_chips(page):
    page.page.fill("#txt2img_prompt textarea", "forest")
    page.part("vary").click()
    items = page.part("shown").locator(".presample-choice")
    items.nth(3).wait_for()
    assert page.chips().count() == 0 or not page.chips().first.is_visible()
    page.shot("variations")
    items.nth(2).click()
    page.wait_for(lambda: page.prompt != "forest")
    assert items.evaluate_all("all => all.map(e => e.ariaPressed)") == ["false", "false", "true", "false"]
    words = page.prompt.replace("\\", "").partition("\n")[0].split(", ")
    assert set(words) == {"forest", *page.chips().all_inner_texts()}
    page.wait_for(lambda: page.page.evaluate("counted.at(-1)") == page.prompt)


def test_the_seed_of_what_is_shown_can_be_used_again(page):
    page.write("lake, night")
    page.part("reuse_seed").click()
    seed = page.wait_for(lambda: page.page.input_value(f"{PART}seed input").replace("-1", ""))
    page.part("shown").locator("summary").click()
    assert f"seed {seed}" in page.part("shown").inner_text()
    before = page.prompt
    page.part("generate").click()
    page.wait_for(lambda: page.idle() and page.prompt == before)
    page.part("random_seed").click()
    page.wait_for(lambda: page.page.input_value(f"{PART}seed input") == "-1")


def test_what_is_pasted_decides_and_resets(page):
    pairs = {
        **LAKE,
        "Presample chips": '{"keep": ["boat"], "ban": ["tree"]}',
        "Presample restore": "original",
    }
    for given, shown in ((pairs, ["boat", "tree"]), (LAKE, [])):
        page.page.evaluate(
            """text => { const box = document.querySelector("#txt2img_pasted textarea");
            box.value = text; box.dispatchEvent(new Event("input", { bubbles: true })); }""",
            repr(given),
        )
        page.page.click("#txt2img_paste")
        marked = page.part("shown").locator(".presample-keep, .presample-ban")
        page.wait_for(lambda marked=marked, shown=shown: sorted(marked.all_inner_texts()) == shown)
    page.wait_for(lambda: page.page.input_value(f"{PART}seed input") == "3")
    page.part("random_seed").click()


def test_pictures_show_their_chips_with_a_pager(page):
    page.page.fill("#txt2img_prompt textarea", "lake, a pager")
    box = page.page.locator(f"{PART}tipo-checkbox input")
    box.evaluate("e => e.click()")
    page.page.click("#txt2img_generate")
    page.wait_for(lambda: page.part("shown").locator(".presample-place").inner_text() == "1 / 2")
    assert page.prompt == "lake, a pager"
    page.button("Next variation").click()
    made = json.loads(page.page.input_value("#generation_info_txt2img textarea"))["all_prompts"]
    words = made[1].replace("\\", "").partition("\n")[0].split(", ")
    assert set(page.chips().all_inner_texts()) <= set(words)
    box.evaluate("e => e.click()")


def test_a_template_is_shown_where_the_layout_is_custom(page):
    page.part("places").locator(".label-wrap").click()
    layout = page.page.locator(f"{PART}layout input").first
    for value, seen in (("custom", True), ("verbatim", False)):
        layout.click()
        page.part("layout").locator(f".options li[aria-label={value}]").click()
        page.wait_for(lambda seen=seen: page.part("layout_template").is_visible() == seen)
    page.part("places").locator(".label-wrap").click()


def choose(page, name):
    page.page.locator(f"{PART}model input").first.click()
    page.part("model").locator(f".options li[aria-label='{name}']").click()


def test_a_model_is_fetched_when_its_button_is_pressed_and_then_chosen(browser, address, standin, models):
    standin.files["TIPO-100M-F16.gguf"] = bytes(3_000_000)
    page = Page(browser, address)
    try:
        assert not page.part("fetch").is_visible()
        choose(page, "TIPO-100M (not downloaded, 202 MB, Apache-2.0)")
        page.part("fetch").wait_for()
        assert page.part("fetch").inner_text() == "Download TIPO-100M (202 MB, Apache-2.0)"
        assert str(models / "tipo") in page.part("fetching").inner_text()
        page.shot("download")
        assert standin.heads == []
        standin.hang_after = 1_000_000
        page.part("fetch").click()
        page.wait_for(lambda: "1 of 3 MB" in page.part("fetching").inner_text())
        page.shot("downloading")
        assert not page.part("fetch").is_visible()
        page.part("fetch_stop").click()
        page.wait_for(lambda: "Stopped" in page.part("status").inner_text())
        page.part("fetch").wait_for()
        standin.hang_after = None
        standin.release.set()
        page.wait_for(lambda: not list(models.rglob("*.lock")))
        page.part("fetch").click()
        page.wait_for(lambda: "TIPO-100M is here" in page.part("status").inner_text())
        assert standin.ranges[-1] != standin.ranges[0] is None
        name = "TIPO-100M_TIPO-100M-F16.gguf"
        page.wait_for(lambda: page.page.input_value(f"{PART}model input") == name)
        page.wait_for(lambda: not page.part("fetching").is_visible())
        page.part("generate").click()  # gradio takes the new choice, and the file is read
        page.wait_for(lambda: "gguf" in page.part("status").inner_text().lower())
    finally:
        page.page.close()


def test_the_list_of_models_is_read_again_and_keeps_the_choice(page, models):
    (models / "tipo").mkdir(exist_ok=True)
    (models / "tipo" / "mine.gguf").write_bytes(b"1")
    page.part("refresh").click()
    page.page.wait_for_timeout(500)
    choose(page, "mine.gguf")
    (models / "tipo" / "mine.gguf").unlink()
    page.part("refresh").click()
    page.page.wait_for_timeout(500)
    assert page.page.input_value(f"{PART}model input") == "mine.gguf"
    page.part("generate").click()
    page.wait_for(lambda: "no model named 'mine.gguf' is here" in page.part("status").inner_text())
    assert "presample models" not in page.part("status").inner_text()
    choose(page, "tipo-tiny")


def test_completion_of_tags_finds_the_box_for_natural_language(page):
    assert page.part("prose").locator("textarea").evaluate("e => e.matches('.prompt > label > textarea')")


def test_text_from_elsewhere_stays_text(page):
    said = {
        "shown": [
            {"prompt": "<img src=x onerror=alert(1)>", "chips": [{"text": "<b>x</b>"}], "seed": "<i>"},
            {"chips": [{"text": "<script>1</script>"}], "prose": [{"text": "<u>y</u>"}]},
        ],
        "listed": True,
    }
    event = 'new CustomEvent("presample", { detail: { tab: "txt2img", result: text } })'
    page.page.evaluate(f"text => document.dispatchEvent({event})", json.dumps(said))
    page.part("shown").locator(".presample-choice").nth(1).click()
    for text in ("not json", "[]", "null", '{"shown": 3}', '{"live": 3}', '{"shown": [null, {"chips": {}}]}'):
        page.page.evaluate(f"text => document.dispatchEvent({event})", text)
    assert page.part("shown").locator("b, i, u, script, img").count() == 0


CONTRAST = """(element) => {
    const paper = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const layers = [];
    for (let box = element; box; box = box.parentElement)
        layers.unshift(getComputedStyle(box).backgroundColor);
    const light = (...colours) => {
        for (const colour of colours) { paper.fillStyle = colour; paper.fillRect(0, 0, 1, 1); }
        const [r, g, b] = [...paper.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const back = light("white", ...layers), text = light("white", ...layers, getComputedStyle(element).color);
    return (Math.max(back, text) + 0.05) / (Math.min(back, text) + 0.05);
}"""


@pytest.mark.parametrize("width", [1400, 700])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_panel_fits_and_can_be_read(browser, address, theme, width):
    page = Page(browser, address, theme=theme, width=width)
    try:
        page.write("lake, night")
        page.chips().nth(1).click()
        page.chips().nth(2).click(click_count=2, delay=20)
        page.page.mouse.move(0, 0)
        page.part("vary").click()
        page.part("shown").locator(".presample-choice").nth(3).click()
        page.wait_for(lambda: page.chips().count())
        page.shot(f"{theme}-{width}")
        parts = ".presample-chip, .presample-label, .presample-sentence, .presample-status, .presample-action"
        contrasts = (
            page.part("shown")
            .locator(f"{parts}, .presample-text, .presample-number")
            .evaluate_all(f"(all) => all.map((e) => [e.className + ': ' + e.textContent, ({CONTRAST})(e)])")
        )
        assert len(contrasts) > 15
        assert [part for part in contrasts if part[1] < 4.5] == []
        assert page.part("tipo").evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    finally:
        page.page.close()
