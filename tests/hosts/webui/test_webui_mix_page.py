"""Encoder Mix and the bucket buttons in a real WebUI's page; PRESAMPLE_SHOTS names a folder for pictures."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.host

CHROMIUM = os.environ.get("PRESAMPLE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
SECONDS = 60_000  # milliseconds, as Playwright counts
MIX = "#txt2img_presample_mix_"
NAMES = ("aesthetic", "moonlit", "vivid")


@pytest.fixture
def page(webui, tmp_path):
    if importlib.util.find_spec("playwright") is None or not CHROMIUM:
        pytest.skip("needs playwright and a Chromium (PATH, or PRESAMPLE_CHROMIUM)")
    from playwright.sync_api import sync_playwright

    for name in NAMES:
        (tmp_path / f"{name}.safetensors").touch()
    webui.call("/sdapi/v1/options", {"presample_encoders": str(tmp_path)})
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 1800}, device_scale_factor=1.5)
        page.set_default_timeout(SECONDS)
        page.goto(webui.url, timeout=2 * SECONDS)
        page.wait_for_selector("#txt2img_prompt textarea", timeout=2 * SECONDS)
        page.wait_for_timeout(3000)
        yield page
        browser.close()
    webui.call("/sdapi/v1/options", {"presample_encoders": ""})


def shot(page, name, selector):
    if folder := os.environ.get("PRESAMPLE_SHOTS"):
        page.locator(selector).first.screenshot(path=Path(folder) / f"{name}.png")


def sizes(page):
    fields = (page.locator(f"#txt2img_{name} input[type=number]").first for name in ("width", "height"))
    return tuple(int(field.input_value()) for field in fields)


def until(page, what, seconds=30):
    for _ in range(10 * seconds):
        if found := what():
            return found
        page.wait_for_timeout(100)
    raise AssertionError(f"still not after {seconds} s")


def choose(page, slot, name):
    box = page.locator(f"{MIX}encoder_{slot} input").first
    box.click()
    page.locator(f"{MIX}encoder_{slot} .options li", has_text=name).first.click()
    until(page, lambda: box.input_value().startswith(name))


def test_buckets_and_slots_are_there_and_do_what_they_say(page):
    for name in ("width", "height"):
        field = page.locator(f"#txt2img_{name} input[type=number]").first
        field.fill("512")
        field.press("Tab")
    page.click("#txt2img_presample_buckets_3to2")
    until(page, lambda: sizes(page) == (768, 512))
    page.click("#txt2img_presample_buckets_swap")
    until(page, lambda: sizes(page) == (512, 768))
    page.locator(f"{MIX}panel .label-wrap").first.click()  # opens and ticks
    page.click(f"{MIX}refresh")
    page.wait_for_timeout(1000)
    assert not page.locator(f"{MIX}encoder_2").first.is_visible()
    choose(page, 1, "vivid")
    until(page, lambda: page.locator(f"{MIX}encoder_2").first.is_visible())
    assert not page.locator(f"{MIX}weight_1").first.is_visible()
    choose(page, 2, "moonlit")
    until(page, lambda: page.locator(f"{MIX}weight_1").first.is_visible())
    page.wait_for_timeout(1000)
    shot(page, "mix", f"{MIX}panel")
    shot(page, "settings", "#txt2img_settings")
