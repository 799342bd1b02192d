"""`presample expand --input FILE --output FOLDER`: processes, a kill in their midst, and what it says."""

import json
import multiprocessing
import re
import sys
import time
from pathlib import Path

import pytest
from killed_for_tests import killed

from presample.models import cli
from presample.models.cli import expand_bulk
from presample.models.tipo.bulk.folder import Results

QUICK = ["--tag-length", "very_short", "--prose-length", "very_short"]
WORDS = ("lake", "forest", "night", "snow", "moon", "castle", "city")


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    lines = [{"prompt": f"{a}, {b}", "id": f"{a} {b}"} for a in WORDS for b in WORDS]
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines[:20], {"text": "?"}, *lines[20:]]))
    return path


def expand(prompts, output, *how):
    return cli.main(["expand", "--input", str(prompts), "--output", str(output), "--part", "8", *QUICK, *how])


def contents(path):
    files = (p for p in Path(path).rglob("*") if p.name != ".lock" and p.is_file())
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in files}


def test_it_says_what_was_done_and_does_it_once(prompts, tmp_path, capsys):
    assert expand(prompts, tmp_path / "out", "--workers", "1", "--n", "2") == 0
    said = capsys.readouterr().err
    assert "49 of 50 prompts expanded" in said
    assert "tokens a second" in said
    assert "1 × prompt must be text, got None" in said
    lines = [json.loads(line) for line in (tmp_path / "out" / "000000.jsonl").read_text().splitlines()]
    assert [(line["line"], line["variation"], line["seed"]) for line in lines[:3]] == [
        (1, 0, 0),
        (1, 1, 1),
        (2, 0, 2),
    ]
    assert lines[2]["id"] == "lake forest"
    assert lines[2]["prompt"].startswith("lake, forest, ")
    assert expand(prompts, tmp_path / "out", "--workers", "1", "--n", "2") == 0
    assert "in this run" not in capsys.readouterr().err


def test_a_file_of_which_nothing_can_be_expanded_is_a_failure(tmp_path, capsys):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"text": "lake"}\n')
    assert expand(path, tmp_path / "out", "--workers", "1") == 1
    assert "0 of 1 prompts expanded" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the children of a process")
def test_processes_that_are_killed_leave_nobody_behind_and_the_rest_is_done_here(prompts, tmp_path):
    command = ["expand", "--input", prompts, "--output", tmp_path / "out", "--part", "8", *QUICK]
    children = killed(Results._finish, *command, "--workers", "2", "--rows", "2")
    assert len(children) >= 2
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    done = contents(tmp_path / "out")
    assert len([name for name in done if re.fullmatch(r"\d+\.jsonl", name)]) == 3
    assert "report.json" not in done
    assert expand(prompts, tmp_path / "out", "--workers", "1") == 0
    assert expand(prompts, tmp_path / "here", "--workers", "1", "--rows", "5") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "here")


def wait_for(done):
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


class Process:
    exitcode = -9

    def join(self):
        pass


def test_a_worker_that_dies_is_named_and_one_that_fails_says_why():
    mine, theirs = multiprocessing.Pipe()
    theirs.send(("found", ["a"]))
    theirs.close()
    lots = []
    with pytest.raises(OSError, match=r"code -9.*run the same command to go on"):
        expand_bulk._serve({mine: Process()}, iter([]), lots.append)
    assert lots == [["a"]]
    mine, theirs = multiprocessing.Pipe()
    theirs.send(("failed", "no such model"))
    with pytest.raises(ValueError, match="no such model"):
        expand_bulk._serve({mine: Process()}, iter([]), lots.append)


def test_a_worker_that_dies_before_it_gets_what_it_asked_for_is_named():
    mine, theirs = multiprocessing.Pipe()
    theirs.send(("more", None))
    theirs.close()
    with pytest.raises(OSError, match=r"code -9.*run the same command to go on") as raised:
        expand_bulk._serve({mine: Process()}, iter([]), print)
    assert not isinstance(raised.value, BrokenPipeError), "which means that nobody reads the output any more"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (["--input", "a.txt"], "--output FOLDER"),
        (["--output", "a"], "--input FILE"),
        (["--input", "a.txt", "--output", "b", "lake"], "takes the place of a prompt"),
        (["--input", "a.txt", "--output", "b", "--rows", "0"], "--rows must be at least 1"),
        (["--input", "a.txt", "--output", "b", "--workers", "-1"], "--workers must be at least 0"),
        (["--input", "a.txt", "--output", "b"], "a.txt"),
        (["--input", __file__, "--output", "b", "--layout", "<|oops|>"], "<|oops|>"),
        (["--input", __file__, "--output", "b", "--ban", "/(/"], "/(/"),
        (["--input", __file__, "--output", "b", "--model", "nobody"], "nobody"),
    ],
)
def test_what_cannot_be_is_said_at_once(tmp_path, monkeypatch, capsys, how, why):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["expand", *how]) == 1
    assert why in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
