"""The text format: exact requests, and reading back what was written."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presample.models.published.tipo import TASKS as ASKED
from presample.models.tipo import wire
from presample.models.tipo.wire import SPECIAL_TOKENS, TASKS, Fields, aspect_ratio, open_field, parse, render

MIKU = Fields(
    {
        "general": ("solo", "long hair"),
        "special": ("1girl",),
        "quality": ("masterpiece",),
        "characters": ("hatsune miku",),
        "copyrights": ("vocaloid",),
        "rating": ("safe",),
        "meta": ("absurdres",),
    },
    short="A girl stands.",
)


def test_the_published_example_of_a_request_is_written_exactly():
    assert render(MIKU, task="short_to_tag", length="long") == (
        "meta: absurdres\n"
        "rating: safe\n"
        "characters: hatsune miku\n"
        "copyrights: vocaloid\n"
        "quality: masterpiece\n"
        "target: <|long|> <|short_to_tag|>\n"
        "short: A girl stands.\n"
        "tag: 1girl, solo, long hair"
    )


def test_the_model_cards_form_is_written_exactly():
    fields = Fields(
        {"quality": ("masterpiece",), "special": ("1girl",)}, aspect_ratio=aspect_ratio(1024, 1024)
    )
    assert render(fields, task="tag_to_long", length="short") == (
        "quality: masterpiece\naspect ratio: 1.0\ntarget: <|short|> <|tag_to_long|>\ntag: 1girl"
    )


@pytest.mark.parametrize(
    ("task", "length", "options", "after_target"),
    [
        (None, "long", {}, "<|long|>\ntag: 1girl, solo"),
        (None, "none", {}, "tag: 1girl, solo"),
        (None, "long", {"fresh": True}, "<|long|>\ntag:"),
        ("tag_to_long", "short", {}, "<|short|> <|tag_to_long|>\ntag: 1girl, solo\nlong: L"),
        ("tag_to_long", "short", {"fresh": True}, "<|short|> <|tag_to_long|>\ntag: 1girl, solo\nlong:"),
        ("long_to_tag", "very_long", {}, "<|very_long|> <|long_to_tag|>\nlong: L\ntag: 1girl, solo"),
        ("short_to_long", "long", {}, "<|short_to_long|>\nshort: S\nlong: L"),
        ("short_to_long", "long", {"fresh": True}, "<|short_to_long|>\nshort: S\nlong:"),
        (
            "short_to_tag_to_long",
            "very_short",
            {"fresh": True},
            "<|very_short|> <|short_to_tag_to_long|>\nshort: S\ntag: 1girl, solo\nlong:",
        ),
        (
            "short_to_tag_to_long",
            "long",
            {"fresh": True, "start": "tag"},
            "<|long|> <|short_to_tag_to_long|>\nshort: S\ntag:",
        ),
        (
            "tag_to_short_to_long",
            "long",
            {},
            "<|long|> <|tag_to_short_to_long|>\ntag: 1girl, solo\nshort: S\nlong: L",
        ),
        (None, "long", {"gen_meta": True}, "<|long|> <|gen_meta|>\ntag: 1girl, solo"),
        (
            "short_to_tag",
            "long",
            {"gen_meta": True},
            "<|long|> <|short_to_tag|> <|gen_meta|>\nshort: S\ntag: 1girl, solo",
        ),
    ],
)
def test_every_kind_of_request_ends_where_the_model_goes_on(task, length, options, after_target):
    fields = Fields({"special": ("1girl",), "general": ("solo",)}, short="S", long="L")
    head, _, rest = render(fields, task=task, length=length, **options).partition("target:")
    assert head == ""
    assert rest.lstrip(" \n") == after_target
    assert not rest.endswith((" ", "\n"))


def test_a_field_without_text_leaves_no_empty_line():
    assert (
        render(Fields(long="L"), task="tag_to_long", length="long")
        == "target: <|long|> <|tag_to_long|>\nlong: L"
    )
    assert render(Fields(), task=None, length="long") == "target: <|long|>"


def test_the_users_prose_goes_where_the_task_wants_it():
    asked = {"short_to_tag": "short", "long_to_tag": "long", "tag_to_short_to_long": "short"}
    assert {task: TASKS[task].prose_field for task in asked} == asked


def test_special_tokens_have_the_numbers_of_the_published_vocabulary():
    assert dict(zip(range(32000, 32013), SPECIAL_TOKENS, strict=True)) == {
        32000: "<|empty|>",
        32001: "<|very_short|>",
        32002: "<|short|>",
        32003: "<|long|>",
        32004: "<|very_long|>",
        32005: "<|tag_to_long|>",
        32006: "<|long_to_tag|>",
        32007: "<|short_to_tag|>",
        32008: "<|short_to_long|>",
        32009: "<|tag_to_short_to_long|>",
        32010: "<|short_to_tag_to_long|>",
        32011: "<|short_to_long_to_tag|>",
        32012: "<|gen_meta|>",
    }


def test_a_tasks_name_is_its_fields_in_order_and_published_models_know_the_same_tasks():
    for name, task in TASKS.items():
        assert task.fields == tuple(name.split("_to_")) if name else ("tag",)
    assert set(ASKED) == {name for name in TASKS if name}


@pytest.mark.parametrize("task", ["tag_to_short", "tag_to_long_to_short", "", "None", "nonsense"])
def test_a_task_that_no_model_was_trained_on_is_refused(task):
    with pytest.raises(ValueError, match=r"trained on .* got"):
        render(MIKU, task=task, length="long")


@pytest.mark.parametrize("options", [{"length": "huge"}, {"length": "long", "fresh": True, "start": "long"}])
def test_an_unknown_length_or_start_is_refused(options):
    with pytest.raises(ValueError, match="must be"):
        render(MIKU, task="short_to_tag", **options)


def test_a_category_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"got character$"):
        Fields({"character": ("hatsune miku",)})


@pytest.mark.parametrize(
    ("size", "text"),
    [((1024, 1024), "1.0"), ((832, 1216), "0.7"), ((1216, 832), "1.5"), ((1536, 640), "2.4")],
)
def test_the_aspect_ratio_has_one_decimal(size, text):
    assert aspect_ratio(*size) == text


# Reading


def test_a_line_with_a_colon_inside_prose_opens_nothing():
    text = (
        "target: <|long|> <|tag_to_long|>\ntag: 1girl\nlong: A girl.\nIn the back: many trees.\nmood: happy"
    )
    assert parse(text).long == "A girl.\nIn the back: many trees.\nmood: happy"


@pytest.mark.parametrize(
    "last", ["clouds", "glasses", "outdoors", "solo focus", *"abcdefghijklmnopqrstuvwxyz<>/"]
)
def test_no_letter_is_lost_at_the_end(last):
    assert parse(f"target: <|long|>\ntag: 1girl, {last}").tags["general"] == (last,)
    assert parse(f"long: {last}").long == last


def test_the_first_line_with_text_for_a_key_wins():
    fields = parse("short: one\nshort: two\nlong:\nlong: three\ntag: a, b\ntag: c")
    assert (fields.short, fields.long, fields.content_tags) == ("one", "three", ("a", "b"))
    assert parse("short: <|empty|>\nshort: two").short == "two"


def test_an_empty_field_is_no_field():
    assert parse("short: <|empty|>\nlong: <|empty|>\ntag: <|empty|>") == Fields()
    assert Fields(short="<|empty|>") == Fields()


def test_prose_without_a_blank_after_the_colon_is_read_as_short_to_long_was_trained():
    assert parse("target: <|short_to_long|>\nshort: A cat.\nlong:A cat sits.") == Fields(
        short="A cat.", long="A cat sits."
    )


def test_metadata_written_after_the_last_field_is_read():
    fields = parse(
        "target: <|long|> <|gen_meta|>\ntag: 1girl, smile\nartist: wlop, ask\naspect ratio: 0.7\nrating: safe"
    )
    assert fields.tags == {
        "rating": ("safe",),
        "artist": ("wlop", "ask"),
        "special": ("1girl",),
        "general": ("smile",),
    }
    assert fields.aspect_ratio == parse("aspect_ratio: 0.7").aspect_ratio == "0.7"


def test_tags_are_classified_as_asked():
    names = {"hatsune miku": "characters", "1girl": "special"}
    fields = parse(
        "characters: kagamine rin\ntag: 1girl, hatsune miku, smile", lambda tag: names.get(tag, "general")
    )
    assert fields.tags["characters"] == ("kagamine rin", "hatsune miku")
    assert fields.content_tags == ("1girl", "smile")


def test_a_line_of_prose_that_would_open_a_field_is_joined_to_the_line_before():
    fields = Fields(long="A poster.\ntag: sale\nThe end.")
    assert fields.long == "A poster. tag: sale\nThe end."
    assert parse(render(fields, task="tag_to_long", length="long")) == fields


WORDS = [
    "smile",
    "re:zero",
    "^_^",
    "6+girls",
    "mr. fox",
    "3.5",
    "東方",
    "é",
    "a b",
    "</s>",
    ":3",
    "o_o",
    "long: x",
    "🌸",
    "x (y)",
]


def random_prose(rng: random.Random) -> str:
    words = [*WORDS, "Tag:", "In the back:", "A 3.5 m statue.", "quality"]
    return "\n".join(" ".join(rng.choices(words, k=rng.randint(1, 9))) for _ in range(rng.randrange(4)))


def random_record(rng: random.Random) -> tuple[Fields, str]:
    """Fields of every kind, with colons, dots, unicode and paragraphs, and a task of all three fields."""
    task = rng.choice(["tag_to_short_to_long", "short_to_tag_to_long", "short_to_long_to_tag"])
    tags = {key: tuple(rng.choices(WORDS, k=rng.randrange(3))) for key in wire.METADATA}
    tags["special"] = tuple(rng.sample(["1girl", "2boys", "multiple others"], rng.randrange(3)))
    tags["general"] = tuple(w for w in rng.choices(WORDS, k=rng.randrange(9)) if w != "6+girls")
    return Fields(tags, random_prose(rng), random_prose(rng), rng.choice(["", "0.7", "1.0"])), task


def test_a_thousand_records_are_read_back_as_they_were_written():
    rng = random.Random(20)
    for _ in range(1000):
        fields, task = random_record(rng)
        text = render(
            fields, task=task, length=rng.choice(list(wire.LENGTH_TOKENS)), gen_meta=rng.random() < 0.3
        )
        assert parse(text) == fields, text


@given(st.text(max_size=60), st.text(max_size=60), st.lists(st.text(max_size=12), max_size=5))
def test_any_text_at_all_is_read_back(short, long, names):
    fields = Fields({"characters": tuple(names), "special": ("1girl",)}, short=short, long=long)
    assert parse(render(fields, task="short_to_tag_to_long", length="long")) == fields


@given(st.text())
def test_reading_never_fails_and_reads_its_own_writing(text):
    fields = parse(text)
    again = parse(render(fields, task="short_to_tag_to_long", length="long"))
    assert again == fields


def test_the_field_at_the_end_is_known_with_its_place():
    text = "target: <|long|>\ntag: 1girl, solo\nlong: A girl.\nIn the"
    key, begin = open_field(text)
    assert (key, text[begin:]) == ("long", " A girl.\nIn the")
    assert open_field("nothing") == ("", 0)
