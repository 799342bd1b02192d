"""What the pages of the hosts show of an expansion, and what comes back from them."""

import json

import pytest

from presample.models.tipo.chips import payload, progress_payload, read_decisions, write_decisions
from presample.models.tipo.expand import expand, load_tipo
from presample.models.tipo.expansion import Progress, Request


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
