"""The panel in a real WebUI's page, in headless Chromium; PRESAMPLE_SHOTS names a folder for pictures."""

import importlib.util
import json
import os
import re
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.host

CHROMIUM = os.environ.get("PRESAMPLE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
SECONDS = 60_000  # milliseconds, as Playwright counts
PROMPT = "#txt2img_prompt textarea"
STATUS = "#txt2img_presample_status"
CHIP = "button.presample-chip"


class Page:
    """A WebUI's txt2img tab with the panel open."""

    def __init__(self, page, url):
        self.page, self.errors = page, []
        page.on("pageerror", lambda error: self.errors.append(f"{error.message}\n{error.stack}"))
        page.on("console", self.heard)
        page.goto(url, timeout=2 * SECONDS)
        page.wait_for_selector(PROMPT, timeout=2 * SECONDS)
        page.wait_for_selector("link[href*='presample.css']", state="attached", timeout=SECONDS)
        for name, value in (("width", 64), ("height", 64), ("steps", 1)):
            field = page.locator(f"#txt2img_{name} input[type=number]").first
            field.fill(str(value))
            field.press("Tab")
        self.open()

    def heard(self, said):
        if said.type == "error":
            self.errors.append(f"{said.text} {said.location.get('url')}")

    def open(self):
        """Opens the panel, which switches it on; pasting a picture's own prompt has closed it."""
        if not self.page.locator("#txt2img_presample_generate").is_visible():
            self.page.locator("#txt2img_presample_tipo .label-wrap").first.click()
        self.page.wait_for_selector("#txt2img_presample_generate", state="visible", timeout=SECONDS)

    @property
    def prompt(self):
        return self.page.input_value(PROMPT)

    @prompt.setter
    def prompt(self, text):
        self.page.fill(PROMPT, text)

    def press(self, name):
        self.page.click(f"#txt2img_presample_{name}")

    def wait_for(self, what, seconds=60):
        """Waits until `what()` is true, which Playwright has no way to say for a value."""
        for _ in range(seconds * 10):
            if found := what():
                return found
            self.page.wait_for_timeout(100)
        self.shot("stuck")
        raise AssertionError(f"still not after {seconds} s; prompt {self.prompt!r}, errors {self.errors}")

    def said(self):
        return self.page.locator(STATUS).first.inner_text()

    def enabled(self):
        return self.page.evaluate("document.querySelector('#txt2img_presample_tipo-checkbox input').checked")

    def choose(self, name, value):
        box = self.page.locator(f"#txt2img_presample_{name} input").first
        box.click()
        self.page.click(f"#txt2img_presample_{name} .options li[aria-label={value}]")
        self.page.wait_for_timeout(200)

    def chip(self, number):
        return self.page.locator(f"#txt2img_presample_shown {CHIP}").nth(number)

    def chips(self):
        return self.page.locator(f"#txt2img_presample_shown {CHIP}").all_inner_texts()

    def summary(self):
        return self.page.locator("#txt2img_presample_shown .presample-status").inner_text()

    def write(self, prompt):
        """Has the prompt expanded with the button, and waits for the chips."""
        self.prompt = prompt
        self.press("generate")
        self.wait_for(lambda: self.prompt != prompt and self.chips())

    def decisions(self):
        return json.loads(self.page.input_value("#txt2img_presample_chips textarea"))

    def shot(self, name):
        if folder := os.environ.get("PRESAMPLE_SHOTS"):
            self.page.locator("#txt2img_presample_tipo").scroll_into_view_if_needed()
            self.page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture(scope="module")
def page(webui):
    if not CHROMIUM or importlib.util.find_spec("playwright") is None:
        pytest.skip("the page's tests need playwright and a Chromium (PATH, or PRESAMPLE_CHROMIUM)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield Page(browser.new_page(viewport={"width": 1400, "height": 1500}), webui.url)
        browser.close()


def test_a_button_writes_into_the_prompt_box_and_undo_takes_it_back(page):
    page.choose("tag_length", "short")
    page.write("lake, night")
    assert page.prompt.startswith("lake, night, ")
    assert "added" in page.summary()
    page.wait_for(
        lambda: page.page.inner_text("#txt2img_token_counter").split("/")[0].strip() not in ("", "0")
    )
    page.shot("generated")
    page.press("undo")
    page.wait_for(lambda: page.prompt == "lake, night")


def test_chips_decide_and_the_rest_is_written_anew(page):
    page.write("lake, night")
    before = page.prompt
    keep, ban = page.chips()[:2]
    page.chip(0).click()
    page.chip(1).click()
    page.chip(1).focus()
    page.page.keyboard.press("Enter")  # a second time: banned
    assert page.decisions() == {"keep": [keep], "ban": [ban]}
    assert page.chip(0).get_attribute("aria-label") == f"{keep}, keep"
    page.page.locator("#txt2img_presample_shown").get_by_role("button", name="Reroll the rest").click()
    page.wait_for(lambda: page.prompt != before and page.chips() and keep in page.chips())
    page.wait_for(lambda: page.page.locator("#txt2img_presample_shown [aria-busy=true]").count() == 0)
    words = page.prompt.replace("\\", "").partition("\n")[0].split(", ")
    assert words[:2] == ["lake", "night"]
    assert keep in words
    assert ban not in words
    page.shot("chips")
    page.page.locator("#txt2img_presample_shown").get_by_role("button", name="Clear", exact=True).click()
    assert page.decisions() == {"keep": [], "ban": []}


def test_a_stop_leaves_the_prompt_as_it_was(page):
    long = "\nBREAK\n".join(["city, rain"] * 40)  # or it is written before one can press anything
    page.prompt = long
    page.choose("tag_length", "very_long")
    page.choose("prose_length", "very_long")
    page.press("generate")
    page.wait_for(lambda: page.prompt != long)
    page.press("stop")
    page.wait_for(lambda: "Stopped" in page.said())
    assert page.prompt == long
    page.wait_for(lambda: page.page.locator("#txt2img_presample_generate").is_visible())
    page.choose("tag_length", "short")
    page.choose("prose_length", "none")


def test_a_click_takes_one_of_the_variations(page):
    page.prompt = "forest"
    page.press("vary")
    items = page.page.locator("#txt2img_presample_shown .presample-choice")
    page.wait_for(lambda: items.count() == 4 and items.first.is_visible())
    page.shot("variations")
    items.nth(1).click()
    page.wait_for(lambda: page.prompt != "forest")
    assert items.nth(1).get_attribute("aria-pressed") == "true"
    assert page.chips()
    words = page.prompt.replace("\\", "").partition("\n")[0].split(", ")
    assert set(words) == {"forest", *page.chips()}


def test_a_generated_picture_says_how_it_came_about_and_pasting_restores_it(page):
    page.prompt = "mountain, snow"
    assert page.enabled()
    page.page.click("#txt2img_generate")
    info = page.page.locator("#html_info_txt2img").first
    page.wait_for(lambda: "Presample seed" in info.inner_text(), 120)
    said = info.inner_text()
    seed = re.search(r"Presample seed: (\d+)", said)[1]
    final = said.partition("\nSteps:")[0].strip()
    page.wait_for(lambda: page.chips() and all(tag in final.replace("\\", "") for tag in page.chips()))
    page.shot("infotext")
    page.prompt = said
    page.page.click("#paste")
    page.wait_for(lambda: not page.enabled())
    assert final.startswith("mountain, snow, ")
    assert page.wait_for(lambda: page.prompt == final)
    assert page.page.input_value("#txt2img_presample_seed input") == seed


def test_completion_of_tags_finds_the_box_for_natural_language(page):
    box = page.page.locator("#txt2img_presample_prose textarea")
    assert box.evaluate("e => e.matches('.prompt > label > textarea')")  # a1111-sd-webui-tagcomplete's


@pytest.mark.parametrize("width", [1400, 980, 700])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_panel_fits_and_can_be_read(page, width, theme):
    page.page.set_viewport_size({"width": width, "height": 1300})
    page.page.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
    page.open()
    page.write("lake, night")
    page.chip(1).click()
    page.page.wait_for_timeout(300)
    page.shot(f"{theme}-{width}")
    wide = page.page.locator("#txt2img_presample_tipo").evaluate("e => e.scrollWidth - e.clientWidth")
    assert wide <= 1
    row = [f"#txt2img_presample_{name}" for name in ("model", "refresh", "seed", "random_seed", "reuse_seed")]
    ends = [page.page.locator(part).evaluate("e => e.getBoundingClientRect().bottom") for part in row]
    assert max(ends) - min(ends) <= 6, ends
    page.chip(1).click()
    page.chip(1).click()


def test_the_page_has_no_errors_of_ours(page):
    assert not [error for error in page.errors if "presample" in error.lower()]
