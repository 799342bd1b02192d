"""The benchmark of bulk expansion: what it compares, how it counts, and that it would see another text."""

from dataclasses import replace

import pytest

from presample.models import cli
from presample.models.bench.bulk import (
    Setup,
    Timing,
    Way,
    Worker,
    report,
    table,
    together,
    ways,
    write_prompts,
)

ONE, ALL, BULK = Way("one", 1, bulk=False), Way("all", 2, bulk=False), Way("bulk", 1, 2)


def timing(prompts, seconds, cpu, texts=("a", "b")):
    return Timing(prompts, seconds, cpu, 10 * prompts, dict(enumerate(texts)))


def test_ratios_are_those_of_the_rounds_to_the_faster_single_way():
    rounds = [
        {ONE: timing(2, 1.0, 0.9), ALL: timing(2, 2.0, 4.0), BULK: timing(20, 1.0, 1.8)},
        {ONE: timing(2, 4.0, 0.9), ALL: timing(2, 2.0, 4.0), BULK: timing(20, 2.0, 1.8)},
        {ONE: timing(2, 1.0, 0.9), ALL: timing(2, 2.0, 4.0), BULK: timing(20, 0.5, 0.9)},
    ]
    one, everything, bulk = report(rounds, cores=2)
    assert (one["faster"], one["prompts_per_second"]) == (1.0, 2.0)
    assert everything["faster"] == 0.5
    assert bulk["faster"] == 10.0
    assert bulk["faster_by_cpu"] == pytest.approx(2 * (0.9 / 2) / (1.8 / 20))
    assert one["faster_by_cpu"] == 1.0
    assert "| bulk | 20 | 20.0 | 200 | 90.0 | 10.0 x |" in table([bulk])


def test_other_texts_are_an_error():
    taken = {ONE: timing(2, 1.0, 1.0), BULK: timing(20, 1.0, 1.0, "ac")}
    with pytest.raises(ValueError, match="must be those written alone"):
        report([taken], cores=1)


def test_processes_that_ran_at_once_take_the_time_of_the_last():
    both = together([timing(2, 1.0, 0.5), replace(timing(3, 2.0, 0.25), digests={7: "x"})])
    assert (both.prompts, both.seconds, both.cpu, both.tokens) == (5, 2.0, 0.75, 50)
    assert both.digests == {0: "a", 1: "b", 7: "x"}


def test_all_cores_are_shared_by_the_workers():
    assert [(way.threads, way.workers, way.bulk) for way in ways([1, 2, 8], 4, [1, 4])] == [
        (1, 1, False),
        (4, 1, False),
        (4, 1, True),
        (2, 2, True),
        (1, 8, True),
    ]


def test_shares_are_all_of_the_prompts_and_have_the_texts_of_each_alone(tmp_path, monkeypatch):
    from presample.models.bench import bulk

    monkeypatch.setattr(bulk, "PART", 2)
    write_prompts(tmp_path / "a.jsonl", 6)
    worker = Worker(Setup(rows=4), tmp_path / "a.jsonl")
    alone = worker.one_by_one(3)
    shares = together([worker.share(0, 2), worker.share(1, 2)])
    assert (alone.prompts, shares.prompts) == (3, 6)
    assert {n: shares.digests[n] for n in alone.digests} == alone.digests
    assert len(set(shares.digests.values())) == 6
    assert min(alone.seconds, alone.cpu, shares.tokens / 100) > 0


@pytest.mark.parametrize(("flag", "value"), [("--workers", "0"), ("--threads", "one"), ("--rounds", "0")])
def test_numbers_are_checked_before_anything_is_loaded(flag, value, capsys):
    assert cli.main(["bench", "bulk", flag, value]) == 1
    assert flag in capsys.readouterr().err
