"""What the pages of the hosts show of an expansion, and what comes back from them."""

import json

import pytest

from presample.models.tipo.chips import payload, progress_payload, read_decisions, write_decisions
from presample.models.tipo.expand import expand, load_tipo
from presample.models.tipo.expansion import Expansion, Progress, RegionExpansion, Request
from presample.models.tipo.options import ExpandOptions


def test_decisions_are_read_and_anything_else_is_named():
    assert read_decisions("") == read_decisions("{}") == ((), ())
    assert read_decisions('{"keep": ["a", [1, "b"]], "ban": ["c"], "more": 1}') == (("a", (1, "b")), ("c",))
    for text in (
        "[1",
        "[]",
        '{"keep": [1]}',
        '{"keep": [["a", 1]]}',
        '{"ban": [[]]}',
        '{"ban": 3}',
        '{"ban": "boat"}',
        '{"keep": "boat"}',
        "[" * 9**5,
    ):
        with pytest.raises(ValueError, match="chips must be like"):
            read_decisions(text)


def test_decisions_come_back_as_they_were_written():
    for keep, drop in (((), ()), (("a, b", (2, 'the "night"')), ()), ((), ("夜", "c:d"))):
        assert read_decisions(write_decisions(keep, drop)) == (keep, drop)
    assert write_decisions((), ()) == ""


def test_what_is_being_written_is_json():
    shown = progress_payload(Progress(1, 0, "tags", "lake, nig", "lake", 0.25))
    assert json.loads(json.dumps(shown)) == {
        "variation": 1,
        "region": 0,
        "writes": "tags",
        "text": "lake, nig",
        "settled": "lake",
        "fraction": 0.25,
    }


def test_the_page_gets_every_tag_once_with_its_owner_and_part():
    made = expand(Request("1girl, lake\nBREAK\nnight\nA boat drifts."), load_tipo())
    shown = payload(made)
    chips = [(chip["text"], chip["own"], chip["region"]) for chip in shown["chips"]]
    assert len(set(chips)) == len(chips)
    assert chips[:2] == [("1girl", True, 0), ("lake", True, 0)]
    assert ("night", True, 1) in chips
    assert {chip["category"] for chip in shown["chips"]} >= {"special", "general"}
    assert {"text": "A boat drifts.", "own": True} in shown["prose"]
    assert shown["prompt"] == made.prompt
    assert isinstance(shown["seed"], str)
    assert shown["tokens"] > 0


def absent(prompt, **options):
    shown = payload(expand(Request(prompt, options=ExpandOptions(seed=3, **options)), load_tipo()))
    added = [item for item in (*shown["chips"], *shown["prose"]) if not item["own"]]
    return {item["text"] for item in added if item.get("in_prompt") is False}, {
        item["text"] for item in added
    }


def test_additions_that_a_layout_leaves_out_are_told_apart_from_those_in_the_prompt():
    assert absent("1girl, lake") == (set(), absent("1girl, lake")[1])
    left_out, every = absent("1girl, the sky at night\nA boat drifts under the sky.", layout="flux")
    assert {text for text in every if not text.endswith(".")} == left_out
    assert "night sky" in left_out
    left_out, every = absent("1girl, lake", layout="tags")
    assert {text for text in every if text.endswith(".")} == left_out
    left_out, every = absent("1girl, lake BREAK night", layout="Tags: <|tags|>. <|kept|>")
    assert {text for text in every if text.endswith(".")} == left_out


def made_of(prompt, plain, layout="verbatim", prose=(), **tags):
    region = RegionExpansion("", {}, tags, "", caption=prose)
    request = Request("", options=ExpandOptions(layout=layout))
    return Expansion(request, "", prompt, plain, "", "", "", 0, (region,))


def test_a_tag_is_only_in_the_prompt_where_it_stands_there_by_itself():
    expansion = made_of(
        r"rating_safe, night sky, star \(sky\), :), sea. Trees at the sea.",
        "sea",
        "pony",
        ("Trees at the sea.", "A road."),
        rating=("safe",),
        general=("sky", "night sky", "star (sky)", ":)", "trees", "Trees", "sea"),
    )
    shown = payload(expansion)
    left_out = [part["text"] for part in (*shown["chips"], *shown["prose"]) if "in_prompt" in part]
    assert left_out == ["sky", "trees", "Trees", "sea", "A road."]
    shown = payload(expansion, stored=True)
    assert all("in_prompt" not in part for part in (*shown["chips"], *shown["prose"]))
