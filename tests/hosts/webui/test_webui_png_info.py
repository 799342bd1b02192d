"""As a new user: tick, generate, read the infotext, drop the picture into PNG Info, send it back."""

import hashlib
import importlib.util
import io
import os
import re
import shutil

import pytest

pytestmark = pytest.mark.host

CHROMIUM = os.environ.get("PRESAMPLE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
SECONDS = 120_000  # milliseconds, as Playwright counts
PROMPT = "#txt2img_prompt textarea"
TICK = "document.querySelector('#txt2img_presample_tipo-checkbox input').checked"
GALLERY = "#txt2img_gallery img"


@pytest.fixture
def page(webui):
    if not CHROMIUM or importlib.util.find_spec("playwright") is None:
        pytest.skip("the page's tests need playwright and a Chromium (PATH, or PRESAMPLE_CHROMIUM)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 1500})
        page.goto(webui.url, timeout=SECONDS)
        page.wait_for_selector(PROMPT, timeout=SECONDS)
        page.wait_for_timeout(3000)
        yield page
        browser.close()


def until(page, what):
    """Waits until `what()` is true, and returns it."""
    for _ in range(SECONDS // 200):
        if found := what():
            return found
        page.wait_for_timeout(200)
    raise AssertionError("it did not come about")


def shown(page):
    """The file of the picture in the gallery, or nothing."""
    images = page.locator(GALLERY)
    return images.first.get_attribute("src") if images.count() else None


def generate(page):
    """Generates and returns the picture's file."""
    before = shown(page)
    page.click("#txt2img_generate")
    source = until(page, lambda: (now := shown(page)) and now != before and now)
    return page.request.get(page.evaluate("(path) => new URL(path, location).href", source)).body()


def pixels(file):
    from PIL import Image

    return hashlib.sha256(Image.open(io.BytesIO(file)).convert("RGB").tobytes()).hexdigest()


def test_a_picture_sent_back_from_png_info_is_made_again(page):
    for name, value in (("width", 64), ("height", 64), ("steps", 1)):
        field = page.locator(f"#txt2img_{name} input[type=number]").first
        field.fill(str(value))
        field.press("Tab")
    page.locator("#txt2img_presample_tipo .label-wrap").first.click()  # opens and ticks
    page.fill(PROMPT, "forest, autumn, (leaf:1.1)")
    first = generate(page)
    said = page.locator("#html_info_txt2img").first.inner_text()
    assert re.search(r"Presample prompt: \"?forest, autumn", said)

    page.fill(PROMPT, "something else")
    page.locator("#tabs > div button", has_text="PNG Info").first.click()
    picture = {"name": "picture.png", "mimeType": "image/png", "buffer": first}
    page.locator("#pnginfo_image input[type=file]").set_input_files(picture)
    until(page, lambda: "Presample seed" in page.locator("#tab_pnginfo").inner_text())
    page.locator("#tab_pnginfo button", has_text=re.compile("txt2img", re.IGNORECASE)).first.click()
    final = until(page, lambda: (now := page.input_value(PROMPT)) != "something else" and now)
    assert final.startswith("forest, autumn, (leaf:1.1), ")
    until(page, lambda: not page.evaluate(TICK))
    page.locator("#tabs > div button", has_text="txt2img").first.click()
    page.wait_for_timeout(1000)
    assert pixels(generate(page)) == pixels(first)
