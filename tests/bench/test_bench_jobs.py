"""The bench of jobs: the same texts both ways, and a table of both times."""

import json
from types import SimpleNamespace

import pytest

from presample.models.bench import jobs
from presample.models.cli import main
from presample.models.tipo.expand import load_tipo


def test_it_measures_both_ways_of_writing_the_same_texts(monkeypatch):
    clock = iter([0, 1, 4, 10, 12, 13, 20, 24, 32])  # before, between and after the two ways of each round
    monkeypatch.setattr(jobs, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    rounds = []
    result = jobs.measure(
        jobs.requests(2, trained=True), load_tipo(), rounds=3, on_round=lambda: rounds.append(1)
    )
    assert len(rounds) == 3
    assert result.prompts == 2
    assert result.tokens > 2
    assert (result.together, result.single, result.ratio) == (2, 3, 2)


def test_texts_that_differ_are_no_result(monkeypatch):
    monkeypatch.setattr(jobs, "expand", lambda request, tipo: jobs.expand_each([request], tipo)[0].request)
    with pytest.raises(ValueError, match="texts written together"):
        jobs.measure(jobs.requests(1, trained=True), load_tipo(), rounds=1)


@pytest.mark.parametrize("count", [0, 9])
def test_there_are_so_many_prompts(count):
    with pytest.raises(ValueError, match="1 to 8"):
        jobs.requests(count, trained=False)


def test_the_command_prints_a_table(capsys, tmp_path):
    file = tmp_path / "jobs.json"
    assert main(["bench", "jobs", "--prompts", "1", "--rounds", "1", "--json", str(file)]) == 0
    assert "| tipo-tiny |" in capsys.readouterr().out
    assert json.loads(file.read_text())["prompts"] == 1
