"""ComfyUI's real page in headless Chromium, with a stand-in backend; skipped where one of them is missing.

PRESAMPLE_CHROMIUM names the browser, PRESAMPLE_FRONTEND the `static` folder of another version of the page.
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NEEDED = ("playwright", "aiohttp", "comfyui_frontend_package")


def pytest_collection_modifyitems(items):
    """Skips with what is missing, so that nobody takes a green run for a look at the page."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not browser_path():
        missing.append("a Chromium (PATH, or PRESAMPLE_CHROMIUM)")
    if missing:
        skip = pytest.mark.skip(reason=f"the page's tests need {', '.join(missing)}")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(skip)


def browser_path() -> str | None:
    named = os.environ.get("PRESAMPLE_CHROMIUM")
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.fixture(scope="session")
def backend():
    """The stand-in backend, with the installed frontend."""
    from definitions_for_tests import definitions
    from standin_for_tests import StandIn

    package = importlib.util.find_spec("comfyui_frontend_package").submodule_search_locations[0]
    static = os.environ.get("PRESAMPLE_FRONTEND") or Path(package) / "static"
    backend = StandIn(Path(static), definitions())
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path(),
            args=["--no-sandbox", "--disable-gpu", "--force-prefers-reduced-motion"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(backend, browser):
    """Returns the open page of a renderer; each is opened once, since that takes seconds."""
    from page_for_tests import Page

    opened = {}

    def page(renderer: str) -> Page:
        if renderer not in opened:
            opened[renderer] = Page(browser, backend, renderer)
        return opened[renderer]

    yield page
    for open_page in opened.values():
        open_page.close()


@pytest.fixture(params=["classic", "vue"])
def page(request, pages):
    """An empty workflow in the page, in both renderers."""
    page = pages(request.param)
    page.clear()
    yield page
    errors, page.errors[:] = list(page.errors), []
    assert not errors, errors


@pytest.fixture
def node(page):
    """A TIPO Expand node in the page."""
    return page.add()
