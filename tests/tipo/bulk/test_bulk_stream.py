"""A stream of prompts: each is what it is alone, whatever is beside it, before it or wrong with it."""

import json
import random
from dataclasses import replace

import pytest

from presample.models.tipo import writer
from presample.models.tipo.bulk.lines import Rules, list_parts
from presample.models.tipo.bulk.stream import Stream
from presample.models.tipo.expand import expand_many
from presample.models.tipo.expansion import Request
from presample.models.tipo.options import ExpandOptions

QUICK = ExpandOptions(tag_length="very_short", prose_length="very_short", seed=3)
RECORDS = [
    {"prompt": "1girl, lake, night"},
    {"prompt": ""},
    {"prompt": "forest\nBREAK\ncity, rain\nBREAK\nA small boat."},
    {"prompt": "lake", "temperature": 1.2},
    {"prompt": "tree, " * 60, "tag_length": "short", "max_new_tokens": 300},
    {"prompt": "lake", "task": "long_to_tag"},
    {"prompt": "a \ud800 b"},
    {"prompt": "A girl stands by the water.", "tag_length": "none", "prose_length": "none"},
    {"prompt": "tree, " * 110, "tag_length": "short"},
    {"prompt": "moon, sea", "seed": 99},
    {"prompt": "lake", "ban": "/(/"},
    {"prompt": "mountain, snow", "temperature": 1.2, "prose": "The moon is out."},
    {"prompt": "castle"},
]


def stream(path, tipo, records, *, part=4, done=frozenset(), **rules):
    """What is found, by the record's number, in the order in which it is."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    listing = list_parts(path, part=part)
    found = []
    rules = Rules(rules.pop("options", QUICK), **rules)
    Stream(listing.source, tipo, rules).run([(p, done) for p in listing.parts], found.append)
    return {each.index: each for each in found}, found


def alone(record, index, tipo, count=1):
    fields = dict(record)
    prompt, prose = fields.pop("prompt"), fields.pop("prose", "")
    options = replace(QUICK, **{"seed": QUICK.seed + index * count, **fields})
    return [found.prompt for found in expand_many(Request(prompt, prose, options), count, tipo)]


@pytest.fixture(scope="module")
def singles(tipo):
    """What each record becomes alone; None where it cannot."""
    return [None if i in (5, 10) else alone(record, i, tipo)[0] for i, record in enumerate(RECORDS)]


@pytest.mark.parametrize("rows", [2, 64])
def test_each_record_is_what_it_is_alone(tipo, singles, tmp_path, rows):
    found, order = stream(tmp_path / "a.jsonl", tipo, RECORDS, rows=rows)
    assert len(order) == len(found) == len(RECORDS)
    wrong = {index for index, each in found.items() if each.error}
    assert wrong == {5, 10}
    assert "starts from prose" in found[5].text
    for index in set(found) - wrong:
        assert json.loads(found[index].text)["prompt"] == singles[index]


def test_neither_order_nor_parts_nor_rows_change_a_result(tipo, tmp_path):
    numbered = [{"seed": 3 + i, **record, "id": i} for i, record in enumerate(RECORDS) if i != 8]
    shuffled = random.Random(1).sample(numbered, len(numbered))

    def by_id(records, **how):
        texts = [json.loads(each.text) for each in stream(tmp_path / "a.jsonl", tipo, records, **how)[1]]
        return {text.pop("id"): {**text, "line": 0} for text in texts}

    assert by_id(numbered, rows=5) == by_id(shuffled, part=2, rows=16)


@pytest.mark.parametrize("variety", ["independent", "tree"])
def test_variations_are_those_of_the_prompt_alone(tipo, tmp_path, variety):
    records = [{"prompt": "lake", "variety": variety}, {"prompt": "city, rain", "variety": variety}]
    found, _ = stream(tmp_path / "a.jsonl", tipo, records, count=3, rows=4)
    for index, record in enumerate(records):
        lines = [json.loads(line) for line in found[index].text.splitlines()]
        assert [line["prompt"] for line in lines] == alone(record, index, tipo, count=3)
        assert [line["variation"] for line in lines] == [0, 1, 2]


def test_a_place_that_comes_free_is_taken_and_parts_are_asked_for_when_needed(tipo, tmp_path, monkeypatch):
    decodes, running, taken = [], [], []
    decode = writer.decode

    def counted(session, rows, sampling, *, refill, on_step, **how):
        decodes.append(1)

        def watched():
            running.append(len({id(row) for row in rows}))
            return refill()

        return decode(session, rows, sampling, refill=watched, on_step=on_step, **how)

    monkeypatch.setattr(writer, "decode", counted)
    path = tmp_path / "a.txt"
    path.write_text("lake\nmoon, sea\n" * 6)
    listing = list_parts(path, part=2)
    found = []

    def parts():
        for part in listing.parts:
            taken.append(len(found))
            yield part, frozenset()

    Stream(listing.source, tipo, Rules(QUICK, rows=3)).run(parts(), found.append)
    assert len(found) == 12
    assert len(decodes) == 1, "one batch for all"
    assert taken[0] == taken[1] == 0
    assert 0 < taken[3] < taken[5] < 12


def test_what_is_written_of_an_id_that_is_no_finite_number_is_json(tipo, tmp_path):
    records = [{"prompt": "lake", "id": float("nan")}, {"prompt": 3, "id": float("inf")}]
    found, _ = stream(tmp_path / "a.jsonl", tipo, records)
    for each, said in zip(
        found.values(), ("id must be text or a finite number", "prompt must be"), strict=True
    ):
        told = json.loads(each.text, parse_constant=pytest.fail)
        assert list(told) == ["line", "error"]
        assert said in told["error"]


def test_records_that_are_done_are_left_alone(tipo, tmp_path):
    found, _ = stream(tmp_path / "a.jsonl", tipo, RECORDS, done=frozenset(range(11)))
    assert sorted(found) == [11, 12]


def test_all_that_is_known_is_told_when_it_is_wanted_but_nothing_that_changes(tipo, tmp_path):
    found, _ = stream(tmp_path / "a.jsonl", tipo, [{"prompt": "lake", "id": "a"}], full=True)
    told = json.loads(found[0].text)
    assert told["request"]["options"]["seed"] == 3
    assert told["regions"]
    assert not {"seconds", "passes"} & set(told)
