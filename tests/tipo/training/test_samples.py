"""Training samples obey the published construction (specification 1.12)."""

import math
import re
from collections import Counter

import pytest
import torch

from presample.models.tipo import wire
from presample.models.tipo.lengths import BUCKETS, LIMITS, PARAGRAPHS, bucket
from presample.models.tipo.training import samples
from presample.models.tipo.training.samples import Habits, Record, build, candidates

DRAWS = 5000
GENERAL = tuple(f"tag {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(80))
SENTENCES = [f"Here is sentence {word}." for word in ("one", "two", "three", "four", "five", "six", "seven")]
RECORD = Record(
    tags={
        "special": ("1girl",),
        "general": GENERAL[:40],
        "quality": ("masterpiece",),
        "rating": ("safe",),
        "meta": ("absurdres", "highres"),
    },
    short=" ".join(SENTENCES[:6]),
    long="\n".join(" ".join(SENTENCES) for _ in range(4)),
    aspect_ratio="1.3",
)
LINES = {"quality: masterpiece", "rating: safe", "meta: absurdres, highres", "aspect ratio: 1.3"}


def draw(record=RECORD, count=DRAWS, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return [build(record, generator, **options) for _ in range(count)]


@pytest.fixture(scope="module")
def drawn():
    return draw()


def close(count: int, probability: float, draws: int = DRAWS) -> bool:
    """Whether a count is within four standard deviations of its expectation."""
    return abs(count - draws * probability) < 4 * math.sqrt(draws * probability * (1 - probability))


def given_lines(sample) -> set[str]:
    return set(sample.text[: sample.start].split("\ntarget:")[0].split("\n")) & LINES


def total_drop(sample) -> bool:
    return sample.given == ("1girl",) and not given_lines(sample)


def test_the_given_tags_are_a_prefix_of_all_tags_of_the_sample(drawn):
    for s in drawn:
        parsed = wire.parse(s.text).content_tags
        assert parsed == (*s.given, *s.withheld)
        assert parsed[0] == "1girl"
        assert len(set(parsed)) == len(parsed)
        assert set(parsed) <= {"1girl", *GENERAL}


def test_a_request_that_begins_with_tags_shows_the_given_ones_and_no_more(drawn):
    for s in drawn:
        if wire.find_task(s.task).fields[0] == "tag":
            assert wire.parse(s.text[: s.start]).content_tags == s.given
            assert s.text[s.start :].startswith(", " + ", ".join(s.withheld))


def test_a_request_that_begins_with_prose_ends_with_it(drawn):
    for s in drawn:
        first = wire.find_task(s.task).fields[0]
        if first != "tag":
            assert s.text[s.start] == "\n"
            assert not wire.parse(s.text[: s.start]).content_tags
            assert wire.open_field(s.text[: s.start])[0] == first


def test_fields_come_in_the_order_of_the_task(drawn):
    for s in drawn:
        keys = re.findall(r"^(tag|short|long):", s.text, re.MULTILINE)
        assert tuple(keys) == wire.find_task(s.task).fields


@pytest.mark.parametrize("count", [1, 17, 18, 35, 36, 47, 48, 72, 80])
def test_the_length_is_the_largest_bucket_reached_and_its_cap_holds(count):
    record = Record({"general": GENERAL[:count]})
    for s in draw(record, 40):
        assert s.length == max((n for n in BUCKETS if BUCKETS[n] <= count), key=BUCKETS.get) == bucket(count)
        assert len(s.given) + len(s.withheld) == min(count, LIMITS[s.length].max_tags)
        assert s.text.splitlines()[0] == f"target: <|{s.length}|>"


def test_the_number_given_is_uniform_from_one_to_three_fifths_and_one(drawn):
    counts = Counter(len(s.given) - 1 for s in drawn if not total_drop(s))
    most = 3 * 40 // 5 + 1
    assert set(counts) == set(range(1, most + 1))
    total = sum(counts.values())
    statistic = sum((c - total / most) ** 2 / (total / most) for c in counts.values())
    assert statistic < most - 1 + 4 * math.sqrt(2 * (most - 1))


def test_one_in_ten_drops_everything(drawn):
    assert close(sum(total_drop(s) for s in drawn), samples.TOTAL_DROP)
    assert samples.TOTAL_DROP == 0.10


def test_three_in_ten_of_the_others_drop_some_metadata(drawn):
    lines = [given_lines(s) | (set(s.text.split("\n")) & LINES) for s in drawn if not total_drop(s)]
    dropped = 0.30 * (1 - 0.65**4)  # not every info drop loses a line
    assert close(sum(len(found) < 4 for found in lines), dropped, len(lines))


def test_some_metadata_is_generated_only_where_nothing_was_dropped(drawn):
    generated = [s for s in drawn if wire.GEN_META in s.text]
    for s in generated:
        before, after = given_lines(s), set(s.text[s.start :].split("\n")) & LINES
        assert before | after == LINES
        assert not before & after
        assert 1 <= len(before) <= 3
        assert s.text.endswith(tuple(after))
    assert close(len(generated), 0.9 * 0.7 * 0.3)
    assert not [
        s for s in drawn if wire.GEN_META not in s.text and set(s.text[s.start :].split("\n")) & LINES
    ]


def test_a_single_line_of_metadata_is_given_even_when_some_should_be_generated():
    record = Record({"general": GENERAL[:10], "quality": ("masterpiece",)})
    found = [s for s in draw(record, 300) if wire.GEN_META in s.text]
    assert found
    assert all("quality: masterpiece" in s.text[: s.start] for s in found)


def test_metadata_lines_come_in_every_order(drawn):
    firsts = Counter(s.text.split("\n")[0] for s in drawn if given_lines(s) == LINES)
    assert set(firsts) == LINES
    total = sum(firsts.values())
    assert all(close(c, 1 / 4, total) for c in firsts.values())


def test_tasks_have_their_weights(drawn):
    counts = Counter(s.task for s in drawn)
    once = ("tag_to_long", "long_to_tag", "short_to_tag")
    twice = ("tag_to_short_to_long", "short_to_tag_to_long", "short_to_long_to_tag")
    assert set(counts) == {None, *once, *twice}
    assert all(close(counts[t], 1 / 10) for t in (None, *once))
    assert all(close(counts[t], 2 / 10) for t in twice)


def test_candidates_follow_what_a_record_has():
    assert candidates(tags=True, short=False, long=False) == ()
    assert candidates(tags=True, short=True, long=False) == ("short_to_tag",)
    assert candidates(tags=True, short=False, long=True) == ("tag_to_long", "long_to_tag")
    assert len(candidates(tags=True, short=True, long=True)) == 9
    assert candidates(tags=False, short=True, long=True) == ("short_to_long",)


def test_a_pair_of_captions_makes_short_to_long_without_a_length():
    (s,) = draw(Record(short="A lake.", long="A lake at night."), 1)
    assert s.text == "target: <|short_to_long|>\nshort: A lake.\nlong: A lake at night."
    assert s.text[: s.start] == "target: <|short_to_long|>\nshort: A lake."


def test_a_record_with_nothing_to_learn_from_is_refused():
    with pytest.raises(ValueError, match="must have tags"):
        draw(Record(short="A lake."), 1)


def test_prose_is_cut_to_the_bucket_and_keeps_its_beginning_and_order(drawn):
    paragraphs, sentences = PARAGRAPHS["long"]
    originals = RECORD.long.split("\n")[0]
    for s in drawn:
        parsed = wire.parse(s.text)
        found = [p.split(". ") for p in parsed.long.split("\n")] if parsed.long else []
        found += [parsed.short.split(". ")] if parsed.short else []
        assert len(parsed.long.split("\n")) in ((paragraphs,) if parsed.long else (1,))
        for paragraph in found:
            assert len(paragraph) == sentences
            places = [originals.index(sentence.rstrip(".")) for sentence in paragraph]
            assert places[0] == 0
            assert places == sorted(places)


def test_seven_in_ten_train_on_the_request_too(drawn):
    assert close(sum(s.whole for s in drawn), 0.7)
    assert all(s.loss_start == (0 if s.whole else s.start) for s in drawn)


def test_what_a_person_would_ask_is_the_beginning_of_a_sample():
    record = Record({"special": ("1girl",), "general": GENERAL[:20], "quality": ("masterpiece",)})
    for s in draw(record, 200):
        if wire.GEN_META not in s.text and "quality" in s.text:
            tags = {"special": ("1girl",), "general": s.given[1:], "quality": ("masterpiece",)}
            assert s.text[: s.start] == wire.render(wire.Fields(tags), task=s.task, length=s.length)


def test_no_tags_at_all_leave_the_field_open():
    found = [s for s in draw(Record({"general": GENERAL[:5]}), 300) if not s.given]
    assert found
    assert all(s.text[: s.start].endswith("tag:") and s.text[s.start] == " " for s in found)


def test_the_same_seed_makes_the_same_samples_and_leaves_the_global_state_alone():
    before = torch.random.get_rng_state()
    assert draw(count=50, seed=9) == draw(count=50, seed=9)
    assert torch.equal(before, torch.random.get_rng_state())


def test_strangers_stand_only_in_what_is_given_and_are_not_learned():
    strangers = ("robot", "dragon", "teapot", "neon lights")
    for s in draw(count=500, habits=Habits(strangers, mix=1.0)):
        found = [w for w in strangers if w in s.text]
        assert 1 <= len(found) <= 3
        assert not [w for w in strangers if w in s.text[s.start :]]
        assert not s.whole
        if wire.find_task(s.task).fields[0] == "tag":
            assert set(found) <= set(s.given)
            assert s.length == bucket(len({*s.given, *s.withheld} - {"1girl"}))


def test_tags_that_end_early_are_followed_by_prose_at_once():
    for s in draw(count=500, habits=Habits(early=1.0)):
        if s.task in ("tag_to_long", "tag_to_short_to_long", "short_to_tag_to_long"):
            key = wire.find_task(s.task).fields[wire.find_task(s.task).fields.index("tag") + 1]
            assert s.text[: s.start].endswith(f"\n{key}:")
            assert s.text[s.start :].startswith(" Here is sentence one.")
            assert not s.withheld
            assert not s.whole
            assert wire.parse(s.text).content_tags == s.given


def test_rough_prose_has_no_capitals_and_no_last_stop():
    for s in draw(count=300, habits=Habits(rough=1.0)):
        first = wire.find_task(s.task).fields[0]
        if first != "tag":
            prose = getattr(wire.parse(s.text[: s.start]), first)
            assert prose == prose.lower()
            assert not prose.endswith(".")
            assert not s.whole
