"""The folder of results: whoever kills the program loses nothing that was found, and nothing comes twice."""

import json
import os
import random

import pytest

from presample.models.tipo.bulk import folder as results_folder
from presample.models.tipo.bulk import run as running
from presample.models.tipo.bulk.lines import Rules, read_part
from presample.models.tipo.bulk.run import expand_file
from presample.models.tipo.bulk.stream import Found
from presample.models.tipo.options import ExpandOptions

RULES = Rules(ExpandOptions())
COUNT, PART = 23, 5


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(f'{{"prompt": "lake {i}"}}\n' if i % 6 else "oops\n" for i in range(COUNT)))
    return path


class Engine:
    """Needs no model: says what it was asked, two parts mixed, and is killed after so many records."""

    def __init__(self, killed_after=10**9, lot=3):
        self.left, self.lot, self.made = killed_after, lot, []

    def __call__(self, job, todo, on_lot):
        todo = list(todo)
        records = [
            (part.number, record)
            for part, done in todo
            for record in read_part(job.source, part)
            if record.index not in done
        ]
        random.Random(self.lot).shuffle(records)
        for begin in range(0, len(records), self.lot):
            lot = records[begin : begin + self.lot]
            self.left -= len(lot)
            if self.left < 0:
                raise KeyboardInterrupt
            self.made += [record.index for _, record in lot]
            on_lot([self.found(part, record) for part, record in lot])

    def found(self, part, record):
        wrong = not isinstance(record.fields, dict)
        told = {"line": record.line} | (
            {"error": "oops"} if wrong else {"prompt": f"{record.fields} \u2028 é"}
        )
        return Found(part, record.index, json.dumps(told, ensure_ascii=False) + "\n", wrong, tokens=2)


def contents(path):
    return {
        p.relative_to(path).as_posix(): p.read_bytes()
        for p in path.rglob("*")
        if p.name != ".lock" and p.is_file()
    }


def expand(prompts, output, engine, **how):
    return expand_file(prompts, output, RULES, part=PART, engine=engine, **how)


def whole(prompts, folder):
    expand(prompts, folder, Engine(lot=7))
    return contents(folder)


def test_results_lie_in_the_order_of_the_file_and_errors_apart(prompts, tmp_path):
    summary = expand(prompts, tmp_path / "out", Engine())
    files = contents(tmp_path / "out")
    told = [
        json.loads(line) for i in range(5) for line in files[f"{i:06d}.jsonl"].decode().split("\n") if line
    ]
    assert [each["line"] for each in told] == [i + 1 for i in range(COUNT) if i % 6]
    errors = [json.loads(line) for line in files["errors.jsonl"].splitlines()]
    assert [error["line"] for error in errors] == [i + 1 for i in range(COUNT) if i % 6 == 0]
    assert json.loads(files["report.json"]) == summary.facts
    assert (summary.facts["expanded"], summary.facts["errors"], summary.tokens) == (19, 4, 46)
    assert not [name for name in files if name.endswith((".journal", ".part"))]


@pytest.mark.parametrize("killed_after", range(0, COUNT + 3, 3))
def test_a_run_that_was_stopped_goes_on_and_makes_nothing_twice(prompts, tmp_path, killed_after):
    first, second = Engine(killed_after), Engine(lot=4)
    if killed_after < COUNT:
        with pytest.raises(KeyboardInterrupt):
            expand(prompts, tmp_path / "out", first)
    else:
        expand(prompts, tmp_path / "out", first)
    expand(prompts, tmp_path / "out", second)
    assert sorted(first.made + second.made) == list(range(COUNT))
    assert contents(tmp_path / "out") == whole(prompts, tmp_path / "whole")


class Killed(BaseException):
    """The program ends here and now."""


@pytest.mark.parametrize("at", range(0, 24, 2))
def test_a_kill_between_any_two_changes_of_the_disk_is_healed(prompts, tmp_path, monkeypatch, at):
    left = at

    def counting(change):
        def changed(*args, **how):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return change(*args, **how)

        return changed

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink", "fsync"):
            patch.setattr(os, name, counting(getattr(os, name)))
        patch.setattr(results_folder.Results, "_put_down", counting(results_folder.Results._put_down))
        with pytest.raises(Killed):
            expand(prompts, tmp_path / "out", Engine())
    expand(prompts, tmp_path / "out", Engine(lot=4))
    expected = whole(prompts, tmp_path / "whole")
    assert {name: text for name, text in contents(tmp_path / "out").items() if name in expected} == expected


def test_of_a_journal_whose_last_line_was_torn_the_whole_lines_count(prompts, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        expand(prompts, tmp_path / "out", Engine(12))
    for journal in (tmp_path / "out").glob("*.journal"):
        journal.write_bytes(journal.read_bytes()[:-3])
    second = Engine()
    expand(prompts, tmp_path / "out", second)
    assert len(second.made) > COUNT - 12
    assert contents(tmp_path / "out") == whole(prompts, tmp_path / "whole")


def test_what_is_finished_needs_no_model(prompts, tmp_path):
    expand(prompts, tmp_path / "out", Engine())
    summary = expand(prompts, tmp_path / "out", None)
    assert summary.records == 0
    assert summary.facts["records"] == COUNT


def test_another_file_other_options_and_other_folders_are_refused(prompts, tmp_path):
    expand(prompts, tmp_path / "out", Engine())
    with pytest.raises(ValueError, match=r"options\..* now .*choose another folder"):
        expand_file(prompts, tmp_path / "out", Rules(ExpandOptions(seed=1)), part=PART, engine=Engine())
    with pytest.raises(ValueError, match="part 5, now 6"):
        expand_file(prompts, tmp_path / "out", RULES, part=6, engine=Engine())
    prompts.write_text(prompts.read_text() + "oops\n")
    with pytest.raises(ValueError, match="input"):
        expand(prompts, tmp_path / "out", Engine())
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").touch()
    with pytest.raises(ValueError, match="new or empty folder"):
        expand(prompts, tmp_path / "holiday", Engine())


def test_two_programs_do_not_write_to_one_folder(prompts, tmp_path):
    def second(job, todo, on_lot):
        with pytest.raises(ValueError, match="another program is at work"):
            expand(prompts, tmp_path / "out", Engine())
        Engine()(job, todo, on_lot)

    assert expand(prompts, tmp_path / "out", second).records == COUNT


def test_what_is_found_before_a_stop_is_handed_over(monkeypatch):
    class Stopped:
        def __init__(self, *args):
            pass

        def run(self, todo, on_found):
            on_found("found")
            raise KeyboardInterrupt

    monkeypatch.setattr(running, "Stream", Stopped)
    lots = []
    with pytest.raises(KeyboardInterrupt):
        running.expand_parts(running.Job(None, RULES), None, [], lots.append)
    assert lots == [["found"]]
