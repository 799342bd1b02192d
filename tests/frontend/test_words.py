"""The chips in the languages of the pack."""

import pytest
from test_chips import LAKE

WORDS = 'const { wordsOf, LANGUAGES } = await import("/extensions/presample/words.mjs");'


@pytest.fixture
def speak(page):
    """Chooses the page's language, and gives English back."""

    def choose(language):
        page.run('await app.extensionManager.setting.set("Comfy.Locale", argument);', language)

    yield choose
    choose("en")


def test_every_language_has_a_word_of_its_own_for_everything(page):
    lacking = page.run(
        WORDS
        + """const english = wordsOf("en"); const wrong = [];
        for (const language of LANGUAGES.filter((each) => each !== "en"))
            for (const [name, word] of Object.entries(wordsOf(language)))
                if (word === english[name] || typeof word !== typeof english[name])
                    wrong.push([language, name]);
        return wrong;"""
    )
    assert lacking == []


def test_a_language_that_is_not_there_is_english(page):
    for language in ("fr", "constructor", None):
        assert page.run(WORDS + "return wordsOf(argument).copy;", language) == "Copy"


def test_the_chips_speak_the_language_of_the_page(page, speak):
    speak("ja")
    node = page.add()
    assert node.button("残りを引き直す").is_visible()
    node.take([LAKE])
    assert node.status == "タグ3個、文2個を追加"
    groups = node.root.locator(".presample-row").evaluate_all("e => e.map(x => x.ariaLabel)")
    assert groups == ["人数など", "一般", "品質"]
    night = node.chip("night")
    for said in ("night, 残す", "night, 禁止", "night"):
        night.click()
        assert night.get_attribute("aria-label") == said
    page.shot("japanese")
