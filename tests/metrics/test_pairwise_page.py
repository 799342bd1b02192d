"""The pairwise page in headless Chromium: clicks, keys, a reload, and two people at once."""

import importlib.util
import os
import sqlite3
from pathlib import Path
from urllib.parse import urlparse

import pytest
from browser_for_tests import CHROMIUM, served

SHOTS = os.environ.get("PRESAMPLE_SHOTS")
MISSING = [name for name in ("gradio", "playwright", "PIL") if importlib.util.find_spec(name) is None]
MISSING += [] if CHROMIUM else ["a Chromium (PATH, or PRESAMPLE_CHROMIUM)"]
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"the pairwise page needs {', '.join(MISSING)}; presample[eval] has gradio"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture(scope="module")
def address(folder):
    """The page as the command serves it."""
    program = Path(__file__).with_name("pairwise_server_for_tests.py")
    with served(lambda port: (program, folder, port), folder / "log") as address:
        yield address


class Person:
    """Somebody with a browser of their own; what is wanted from elsewhere than this machine is kept."""

    def __init__(self, browser, address):
        self.errors, self.elsewhere = [], []
        self.page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
        self.page.set_default_timeout(30000)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.route("**/*", self._only_here)
        self.page.goto(address, wait_until="domcontentloaded")

    def _only_here(self, route):
        here = urlparse(route.request.url).hostname == "127.0.0.1" or route.request.url.startswith("data:")
        if not here:
            self.elsewhere.append(route.request.url)
        route.continue_() if here else route.abort()

    def begin(self, name):
        self.page.locator("#name input, #name textarea").first.fill(name)
        self.page.locator("#begin").click()
        self.counted(0)

    def counted(self, done):
        self.page.wait_for_selector(f".pair .count:has-text('{done} of 3 judged')")

    def sides(self):
        return [each.get_attribute("src") for each in self.page.locator(".pair figure img").all()]

    def shot(self, name):
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{SHOTS}/pairwise-{name}.png")


@pytest.fixture(scope="module")
def people(browser, address):
    return Person(browser, address), Person(browser, address)


def votes(folder):
    with sqlite3.connect(folder / "votes.sqlite") as file:
        return file.execute("select voter, pair, choice, shown_left from votes order by number").fetchall()


def test_two_people_judge_all_pairs_by_clicks_and_keys_and_survive_a_reload(people, folder):
    ann, bob = people
    ann.page.wait_for_selector("#gate")
    ann.shot("gate")
    ann.begin("Ann")
    ann.shot("pair")
    shown = ann.sides()
    assert len(set(shown)) == 2
    assert all(each.startswith("data:image/png;base64,") for each in shown)
    for secret in ("ours", "theirs"):
        assert secret not in ann.page.content()

    ann.page.reload(wait_until="domcontentloaded")
    ann.counted(0)
    assert ann.sides() == shown

    ann.page.keyboard.press("ArrowRight")
    ann.counted(1)
    (first,) = votes(folder)
    assert first[0] == "Ann"
    assert first[2] != first[3]  # for the one that was not on the left
    assert ann.sides() != shown

    bob.begin("Bob <i>")
    bob.page.locator(".pair figure").first.click()
    bob.counted(1)
    second = votes(folder)[-1]
    assert second[0] == "Bob <i>"
    assert second[2] == second[3]

    ann.page.keyboard.press("Backspace")
    ann.counted(0)
    assert ann.sides() == shown
    ann.page.locator("#same").click()
    ann.counted(1)
    ann.page.reload(wait_until="domcontentloaded")
    ann.counted(1)

    for person, key in ((ann, "1"), (bob, "2"), (ann, "0")):
        done = sum(voter.startswith("A" if person is ann else "B") for voter, *_ in votes(folder))
        person.page.keyboard.press(key)
        if done < 2:
            person.counted(done + 1)
    ann.page.wait_for_selector(".thanks:has-text('You judged 3 pairs')")
    assert ann.page.locator(".thanks table").count() == 0  # Bob has a pair left
    bob.page.keyboard.press("ArrowDown")
    bob.page.wait_for_selector(".thanks table")
    bob.shot("thanks")
    assert sorted({(voter, pair) for voter, pair, *_ in votes(folder)}) == sorted(
        (voter, pair) for voter in ("Ann", "Bob <i>") for pair in ("0", "2", "people/1")
    )


def test_another_person_at_the_same_browser_gives_a_name_of_their_own(browser, address):
    page = Person(browser, address).page
    for name in ("Anna", "Ben"):
        field = page.locator("#name input, #name textarea").first
        assert field.input_value() == ""
        field.fill(name)
        page.locator("#begin").click()
        page.wait_for_selector(f"#who:has-text('You are {name}. Not you?')")
        page.locator("#who").click()
        page.wait_for_selector("#gate")
    page.reload(wait_until="domcontentloaded")
    page.wait_for_selector("#gate")


def test_a_prompt_is_text_and_the_page_has_no_error_and_wants_no_other_machine(people):
    ann, _ = people
    for person in people:
        assert person.errors == []
        assert [url for url in person.elsewhere if "iframe-resizer" not in url] == []  # gradio 4's own page
    ann.page.keyboard.press("Backspace")
    ann.counted(2)
    said = set()
    for _ in range(3):
        if ann.page.locator(".pair .prompt").count():
            said.add(ann.page.locator(".pair .prompt").inner_text())
        before = ann.page.locator(".pair .count").inner_text()
        ann.page.keyboard.press("Backspace")
        ann.page.wait_for_function(
            "before => document.querySelector('.pair .count').innerText !== before || before.startsWith('0')",
            arg=before,
        )
    assert said == {"a hazy <b>moon</b> over a lake", "two people at a fire, night"}
