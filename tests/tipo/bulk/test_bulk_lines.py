"""Files of prompts: parts that can be read by themselves, and records that are wrong but stop nothing."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presample.models.tipo.bulk.lines import Problem, Rules, ask, list_parts, read_part
from presample.models.tipo.options import ExpandOptions

RULES = Rules(ExpandOptions(seed=10))


def records(path, **how):
    listing = list_parts(path, **how)
    return [record for part in listing.parts for record in read_part(listing.source, part)]


def asked(path, rules=RULES, **how):
    """What each record asks for, or what is wrong with it."""
    found = []
    for record in records(path, **how):
        try:
            found.append(ask(record, rules))
        except ValueError as error:
            found.append(str(error))
    return found


def write(path, *lines):
    path.write_bytes(b"".join(line if isinstance(line, bytes) else line.encode() + b"\n" for line in lines))
    return path


TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1)


@given(texts=TEXTS, part=st.integers(1, 5))
def test_parts_are_the_file_again_whatever_the_prompts_are(tmp_path_factory, texts, part):
    folder = tmp_path_factory.mktemp("parts")
    lines = write(folder / "a.jsonl", *(json.dumps({"prompt": text}, ensure_ascii=False) for text in texts))
    assert [record.fields for record in records(lines, part=part)] == [{"prompt": text} for text in texts]
    table = io.StringIO(newline="")
    csv.writer(table).writerows([["id", "prompt"], *([str(i), text] for i, text in enumerate(texts))])
    path = folder / "a.csv"
    path.write_bytes(table.getvalue().encode())
    found = records(path, part=part)
    # As Python's own reader has them: a carriage return alone ends a line there.
    assert [r.fields["prompt"] for r in found] == texts
    assert [r.index for r in found] == list(range(len(texts)))


def test_records_know_the_line_on_which_they_begin(tmp_path):
    path = write(tmp_path / "a.csv", "prompt,id", '"two', 'lines",a', "one,b", "", "x,c")
    found = records(path, part=2)
    assert [(r.line, r.fields) for r in found if isinstance(r.fields, dict)] == [
        (2, {"prompt": "two\nlines", "id": "a"}),
        (4, {"prompt": "one", "id": "b"}),
        (6, {"prompt": "x", "id": "c"}),
    ]
    assert found[2].fields == Problem("the line is empty")


@pytest.mark.parametrize("part", [1, 2, 512])
def test_a_quotation_mark_too_many_costs_its_own_line_and_no_other(tmp_path, part):
    path = write(tmp_path / "a.csv", "prompt,id", '"a cat, night,2', "lake,3", '"Hello" sign,4', "boat,5")
    found = records(path, part=part)
    assert [record.line for record in found] == [2, 3, 4, 5]
    assert [isinstance(record.fields, Problem) for record in found] == [True, False, True, False]
    assert "it is no row of CSV" in found[0].fields.why
    assert [found[i].fields["prompt"] for i in (1, 3)] == ["lake", "boat"]


@pytest.mark.parametrize("part", [1, 2, 512])
def test_tabs_part_prompts_with_quotation_marks_of_their_own(tmp_path, part):
    prompts = ['"Hello" sign, lake', '"1girl', "boat", 'a "red" boat', '"', '"moon']
    path = write(tmp_path / "a.tsv", "prompt\tid", *(f"{prompt}\t{i}" for i, prompt in enumerate(prompts)))
    expected = [{"prompt": prompt, "id": str(i)} for i, prompt in enumerate(prompts)]
    assert [record.fields for record in records(path, part=part)] == expected
    path = write(tmp_path / "b.tsv", "prompt\tid", '"two', 'lines, ""quoted"""\t1')
    assert records(path)[0].fields == {"prompt": 'two\nlines, "quoted"', "id": "1"}


def test_names_of_columns_may_begin_with_capitals(tmp_path):
    path = write(tmp_path / "a.tsv", "Prompt\tSEED\tNote", "lake\t3\tx")
    (found,) = asked(path)
    assert (found.request.prompt, found.request.options.seed, found.unused) == ("lake", 3, ("note",))
    path = write(tmp_path / "b.csv", "Prompt,prompt", "a,lake")
    assert asked(path)[0].request.prompt == "lake"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
def test_text_of_another_encoding_is_named(tmp_path, name, encoding):
    path = write(tmp_path / name, "\ufeffprompt\nlake\n".encode(encoding))
    with pytest.raises(ValueError, match=r"must be UTF-8 text, got UTF-16; save it as UTF-8"):
        list_parts(path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
def test_marks_of_other_editors_are_no_part_of_a_prompt(tmp_path, name):
    line = '{"prompt": "lake"}' if name == "a.jsonl" else "lake"
    first = [b"\xef\xbb\xbfprompt\r\n", b"lake\r\n"] if name == "a.csv" else [b"\xef\xbb\xbf", line + "\r"]
    assert [r.fields for r in records(write(tmp_path / name, *first))] == [{"prompt": "lake"}]


def test_the_format_follows_the_name_or_what_is_said(tmp_path):
    path = write(tmp_path / "prompts.txt", '{"prompt": "lake"}')
    assert records(path)[0].fields == {"prompt": '{"prompt": "lake"}'}
    assert records(path, format="jsonl")[0].fields == {"prompt": "lake"}
    assert records(write(tmp_path / "a.tsv", "id\tprompt", "1\tlake"))[0].fields == {
        "id": "1",
        "prompt": "lake",
    }


def test_what_is_wrong_with_a_record_is_said_and_the_others_are_read(tmp_path):
    bad = {
        "": "the line is empty",
        b"\xff\xfe\n": "no UTF-8",
        '{"prompt": ': "it is no JSON",
        "[1]": "must be a JSON object",
        "[" * 100_000: "it is no JSON",
        '{"text": "lake"}': "prompt must be text, got None",
        '{"prompt": 3}': "prompt must be text, got 3",
        '{"prompt": "a", "seed": -1}': "seed must lie in 0",
        '{"prompt": "a", "seed": 1.5}': "seed must be int",
        '{"prompt": "a", "temperature": "hot"}': "temperature must be a number, got 'hot'",
        '{"prompt": "a", "tag_length": "huge"}': "tag_length must be one of",
        '{"prompt": "a", "model": "TIPO-200M"}': "model must be the same for all",
        '{"prompt": "a", "id": [1]}': "id must be text or a finite number",
        '{"prompt": "a", "id": NaN}': "id must be text or a finite number, got nan",
        '{"prompt": "a", "id": -1e999}': "id must be text or a finite number, got -inf",
    }
    good = '{"prompt": "lake", "tag_length": "short"}'
    path = write(tmp_path / "a.jsonl", *(line for wrong in bad for line in (wrong, good)))
    found = asked(path, part=5)
    assert len(found) == 2 * len(bad)
    for got, why in zip(found[::2], bad.values(), strict=True):
        assert why in got
    assert {each.request.options.tag_length for each in found[1::2]} == {"short"}


def test_a_row_of_csv_states_options_as_text_and_leaves_out_what_is_empty(tmp_path):
    head = "prompt,seed,temperature,avoid_conflicts,tag_length,url"
    rows = ("lake,7,0.9,false,short,x", "lake,,,,,", "lake,,,maybe,,", "lake,1")
    first, second, third, fourth = asked(write(tmp_path / "a.csv", head, *rows))
    options = first.request.options
    assert (options.seed, options.temperature, options.avoid_conflicts) == (7, 0.9, False)
    assert first.unused == ("url",)
    assert second.request.options == ExpandOptions(seed=11)
    assert "must be true or false" in third
    assert "6 columns, got 2" in fourth


def test_seeds_count_on_or_are_the_same_or_follow_the_id(tmp_path):
    lines = ['{"prompt": "a", "id": "x"}', '{"prompt": "a", "id": 2}', '{"prompt": "a", "seed": 5}']
    path = write(tmp_path / "a.jsonl", *lines)

    def seeds(path, **rules):
        found = asked(path, Rules(ExpandOptions(seed=10), **rules))
        return [each if isinstance(each, str) else each.request.options.seed for each in found]

    assert seeds(path) == [10, 11, 5]
    assert seeds(path, count=4) == [10, 14, 5]
    assert seeds(path, seeds="same") == [10, 10, 5]
    turned = write(tmp_path / "b.jsonl", *reversed(lines))
    assert seeds(turned, seeds="id") == seeds(path, seeds="id")[::-1]
    assert "must have an id" in seeds(write(tmp_path / "c.jsonl", '{"prompt": "a"}'), seeds="id")[0]


def test_a_file_without_prompts_is_refused(tmp_path):
    with pytest.raises(ValueError, match="it is empty"):
        list_parts(write(tmp_path / "a.jsonl"))
    with pytest.raises(ValueError, match="one of them prompt, got text, id"):
        list_parts(write(tmp_path / "a.csv", "text,id", "lake,1"))
