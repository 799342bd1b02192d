"""Tags and prose told apart."""

import csv
from pathlib import Path

import pytest

from presample.models.prompt.document import read

DATA = Path(__file__).parents[1] / "data"
NAMES = Path(__file__).parents[3] / "shared" / "data" / "danbooru_names.csv"


def forms(prompt, **how):
    return [(unit.text, unit.prose) for region in read(prompt, **how).regions for unit in region.units]


def prose(prompt, **how):
    return [text for text, is_prose in forms(prompt, **how) if is_prose]


@pytest.mark.parametrize(
    "prompt",
    [
        "A girl stands in the rain.",
        "a red car",
        "a cat",
        "two dogs running in the park",
        "In the rain, a girl stands.",
        "a cat, black and small, on a chair.",
        "a baby penguin wearing a blue hat, red gloves, green shirt, and yellow pants",
        "an ornate, high-backed mahogany chair with a red cushion",
        "A girl stands. She smiles. It rains.",
        "(A girl stands in the rain:1.2)",
        "A girl with (red hair:1.2), a hat and <lora:x:1> blue eyes.",
        "女の子が雨の中に立っている。",
    ],
)
def test_a_sentence_is_prose_as_a_whole(prompt):
    assert prose(prompt) == [prompt]


@pytest.mark.parametrize(
    "prompt",
    [
        "1girl",
        "1girl, solo, looking at viewer.",
        "1girl, love live!, k-on!, love live! school idol project",
        "1girl, princess zelda, the legend of zelda, blonde hair",
        "hatsune miku \\(append\\), monkey d. luffy, dr. stone, st. louis \\(azur lane\\)",
        "1girl, ?, !?, ..., :), standing on one leg",
        "a girl, 1boy, looking at another",
        "masterpiece, best quality, long hair, artoria pendragon \\(alter swimsuit rider\\) \\(fate\\)",
        "{a|b}, <lora:x:1>, __w__",
    ],
)
def test_tags_are_tags(prompt):
    assert prose(prompt) == []


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (
            "masterpiece, a girl with red hair, standing in the rain, smiling.",
            ["a girl with red hair, standing in the rain, smiling."],
        ),
        ("A girl stands in the rain. 1girl, solo", ["A girl stands in the rain."]),
        (
            "1girl, solo. A girl stands in the park, holding an umbrella.",
            ["A girl stands in the park, holding an umbrella."],
        ),
        ("a girl standing in the rain\n1girl, solo, long hair.", ["a girl standing in the rain"]),
        (
            "a girl standing in the rain, 1girl, solo, masterpiece, long hair.",
            ["a girl standing in the rain"],
        ),
        ("<lora:x:1> 1girl\nA girl stands in the rain. <lora:y:1>", ["A girl stands in the rain."]),
        ("1girl BREAK A boy runs in the park.", ["A boy runs in the park."]),
    ],
)
def test_prose_is_found_among_tags(prompt, expected):
    assert prose(prompt) == expected


def test_the_form_can_be_forced():
    assert prose("1girl, solo\nhat, <lora:x:1>", form="prose") == ["1girl, solo", "hat"]
    assert forms("A girl stands. It rains, a lot.", form="tags") == [
        ("A girl stands. It rains", False),
        ("a lot.", False),
    ]


def test_known_tags_are_never_prose():
    title = "a certain very long title of a series"
    assert prose(f"1girl, {title}") == [title]
    assert prose(f"1girl, {title}", known={title}.__contains__) == []


def test_published_prompts_in_natural_language_are_prose():
    prompts = (DATA / "prompts.txt").read_text(encoding="utf-8").splitlines()
    long = [prompt for prompt in prompts if len(prompt.split()) >= 4]
    whole = sum(all(is_prose for _, is_prose in forms(prompt)) for prompt in long)
    assert whole >= 0.94 * len(long)
    assert all(prose(prompt) for prompt in long)


@pytest.mark.skipif(
    not NAMES.is_file(), reason="there is no list of names at ../shared/data/danbooru_names.csv"
)
def test_names_of_characters_and_series_among_tags_are_tags():
    with NAMES.open(encoding="utf-8", newline="") as file:
        names = [row[0].replace("_", " ") for row in list(csv.reader(file))[1:40_000:20]]
    escaped = [name.replace("(", "\\(").replace(")", "\\)") for name in names]
    wrong = [name for name in escaped if prose(f"1girl, solo, {name}, long hair")]
    assert len(wrong) <= 0.02 * len(names)
