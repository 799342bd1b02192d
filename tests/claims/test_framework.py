"""Cells are measured once and kept, verdicts follow from checks, and the page is made of records alone."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from presample.models.claims import plots, record, registry, report, runner
from presample.models.claims.experiment import Experiment, Job, Results
from presample.models.claims.judgement import Check, Judgement, Line, Panel, Table, verdict
from presample.models.claims.statistics import paired
from presample.models.cli import claims as cli_claims

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Settings:
    gain: float = 1.0
    least: float = 0.5


def measure(job):
    base = float(torch.rand((), generator=job.generator(0)))
    shared = job.tensors("base", lambda: {"x": torch.tensor([base])})["x"]
    return {"value": float(shared) + job.settings.gain * (job.arm == "new"), "curve": [base, base + 1]}


def judge(settings, found):
    gain = paired(found.values("new", "value"), found.values("old", "value"))
    bars = Panel("Gain", "", "", (Line("new", (0.0,), (gain.mean,), (gain.low,), (gain.high,)),), kind="bars")
    curves = Panel("Curves", "x", "y", (Line("a", (1.0, 2.0), (1.0, 3.0)), Line("b", (1.0, 2.0), (1.0, 3.0))))
    return Judgement(
        (Check("gain | of new", "above 0.5", str(gain), gain.low > settings.least),),
        (Table("Values", ("arm", "value"), (("new", "1"),)),),
        (bars, curves),
        ("A note.",),
    )


def experiment(**changes):
    facts = {"name": "demo", "group": "group", "title": "A demo: new", "claim": "New is better."}
    facts |= {"how": "It is tried.", "settings": Settings(), "arms": ("old", "new"), "minutes": 0.1}
    facts |= {"measure": measure, "judge": judge}
    return Experiment(**facts | changes)


def run(e, work, seeds=(0, 1, 2, 3, 4)):
    return [runner.measure(e, arm, seed, work=work, device=CPU) for arm, seed in e.cells(seeds)]


def made(e, work):
    return record.judged(e, runner.kept(e, work), date="2026-01-02")


def test_arms_of_a_seed_have_the_same_draws_and_share_what_is_made_once(tmp_path):
    e = experiment()
    cells = run(e, tmp_path, seeds=(0, 1))
    assert [cell.values["curve"] for cell in cells[:1]] == [cells[1].values["curve"]]
    assert cells[0].values["curve"] != cells[2].values["curve"]
    assert cells[1].values["value"] - cells[0].values["value"] == pytest.approx(1, abs=1e-5)
    assert sorted(p.name for p in runner.place(e, tmp_path).glob("seed-0/*")) == ["base.safetensors"]


def test_a_cell_is_measured_once_and_anew_with_other_settings(tmp_path):
    seen = []

    def counting(job):
        seen.append((job.arm, job.seed, job.settings.gain))
        return measure(job)

    e = experiment(measure=counting)
    run(e, tmp_path, seeds=(0,))
    assert runner.missing(e, (0, 1), tmp_path) == [("old", 1), ("new", 1)]
    run(e, tmp_path, seeds=(0, 1))
    assert len(seen) == 4
    other = replace(e, settings=Settings(gain=2.0))
    run(other, tmp_path, seeds=(0,))
    assert seen[-2:] == [("old", 0, 2.0), ("new", 0, 2.0)]
    assert len(runner.kept(e, tmp_path)) == 4


def test_cells_are_measured_anew_where_the_files_that_are_read_are_others(tmp_path, monkeypatch):
    monkeypatch.setattr("presample.models.hub.BUNDLED", tmp_path)
    e, plain = experiment(bundled=("tiny-eye/model.safetensors",)), experiment()
    assert e.missing() == "the bundled tiny-eye must be made first (docs/training.md)"
    places = set()
    (tmp_path / "tiny-eye").mkdir()
    for weights in (b"old", b"new"):
        (tmp_path / "tiny-eye" / "model.safetensors").write_bytes(weights)
        places |= {runner.place(e, tmp_path), runner.place(plain, tmp_path)}
        run(e, tmp_path, seeds=(0,))
        (tmp_path / "tiny-eye" / "CARD.md").write_text("measured again", encoding="utf-8")
    assert len(places) == 3
    assert e.missing() is None


def test_a_record_names_the_machines_that_its_cells_come_from_and_not_the_one_that_writes_it(
    tmp_path, monkeypatch
):
    e = experiment()
    monkeypatch.setattr(runner, "machine_class", lambda device: "one H200, torch 9")
    run(e, tmp_path, seeds=(0,))
    assert made(e, tmp_path).machine == "one H200, torch 9"
    monkeypatch.undo()
    run(e, tmp_path, seeds=(1,))
    assert made(e, tmp_path).machine == f"one H200, torch 9; {record.machine_class(CPU)}"
    path = runner.place(e, tmp_path) / "old-1.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({k: v for k, v in facts.items() if k != "machine"}), encoding="utf-8")
    assert "not noted" in made(e, tmp_path).machine


def test_cells_that_share_stay_in_one_process():
    todo = [("old", 0), ("new", 0), ("old", 1)]
    assert runner.batches(experiment(), todo) == [[cell] for cell in todo]
    assert runner.batches(experiment(together=True), todo) == [todo[:2], todo[2:]]


@pytest.mark.parametrize(
    ("met", "control", "seeds", "said"),
    [
        ((True, True), True, 5, "holds"),
        ((True, False), True, 5, "does not hold"),
        ((True, True), False, 5, "undecided"),
        ((False, True), True, 4, "undecided"),
        ((), True, 5, "undecided"),
    ],
)
def test_a_verdict_needs_every_criterion_and_enough_seeds(met, control, seeds, said):
    checks = tuple(Check("", "", "", each) for each in met)
    checks += (Check("", "", "", control, control=True),) * bool(met)
    assert verdict(checks, seeds) == said


def test_only_seeds_with_all_arms_count(tmp_path):
    e = experiment()
    run(e, tmp_path, seeds=(0, 1))
    runner.measure(e, "old", 2, work=tmp_path, device=CPU)
    found = made(e, tmp_path)
    assert found.seeds == (0, 1)
    assert found.verdict == "undecided"
    with pytest.raises(ValueError, match="all of its arms"):
        made(e, tmp_path / "elsewhere")


def test_a_record_is_read_as_it_was_written(tmp_path):
    e = experiment()
    run(e, tmp_path)
    found = made(e, tmp_path)
    path = record.write(found, tmp_path / "docs")
    again = record.read(path)
    assert again.verdict == "holds"
    assert again.judgement.panels[1] == found.judgement.panels[1]
    assert again.cells == found.cells
    assert record.write(again, tmp_path / "copy").read_bytes() == path.read_bytes()
    assert max(map(len, path.read_text(encoding="utf-8").splitlines())) < 200
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="must be a record"):
        record.read(path)


def test_the_page_prints_verdicts_failures_and_what_was_not_run(tmp_path):
    pytest.importorskip("matplotlib")
    good, bad = experiment(), experiment(name="bad", title="Bad", settings=Settings(gain=0.1))
    out, waiting = experiment(name="out", title="Out"), experiment(name="late", title="Late")
    for e in (good, bad):
        run(e, tmp_path)
        record.write(made(e, tmp_path), tmp_path / "docs" / report.FOLDER)
    skipped = record.skipped(out, "no model", date="2026-01-02")
    record.write(skipped, tmp_path / "docs" / report.FOLDER)
    page = report.publish(tmp_path / "docs", (good, bad, out, waiting)).read_text(encoding="utf-8")
    assert "| group | [A demo: new](#a-demo-new) | **holds** | 5 |" in page
    assert "| group | [Bad](#bad) | **does not hold** | 5 |" in page
    assert "| group | [Out](#out) | not run | 0 |" in page
    assert "| group | Late | not run | 0 | some 1 |" in page
    assert "**Does not hold** at toy size." in page
    assert "| **no** | gain \\| of new | above 0.5 | 0.1 [0.1, 0.1] |" in page
    assert "**Not run:** no model" in page
    assert "`presample eval claims demo` · 5 seeds" in page
    picture = (tmp_path / "docs" / report.FOLDER / "demo.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    report.publish(tmp_path / "docs", (good, bad, out, waiting))
    assert (tmp_path / "docs" / report.FOLDER / "demo.png").read_bytes() == picture


def test_a_plot_of_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind must be one of"):
        Panel("", "", "", (), kind="cake")
    assert len(set(plots.COLOURS)) == len(plots.COLOURS) == len(plots.MARKS)


def test_names_and_groups_find_experiments():
    every = registry.experiments()
    assert len({e.name for e in every}) == len({e.title for e in every}) == len(every)
    assert registry.named(["all"]) == list(every)
    assert [e.name for e in registry.named(["icfm-ring", "data"])] == ["icfm-ring", "data-dedup", "data-tags"]
    with pytest.raises(ValueError, match="no experiment is called nonsense"):
        registry.named(["nonsense"])


def test_every_experiment_can_be_recorded_and_named_in_files():
    for e in registry.experiments():
        json.dumps(record.rounded({"settings": record.asdict(e.settings)}))
        for word in (e.name, e.group, *e.arms):
            assert word == "".join(c for c in word if c.isalnum() or c in "-."), word
        assert e.minutes > 0
        assert len(e.seeds) >= 5


def test_the_command_runs_keeps_records_and_lists(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    from presample.models.cli import main

    e = experiment()
    monkeypatch.setattr(registry, "experiments", lambda: (e,))
    places = ["--work", str(tmp_path / "work"), "--docs", str(tmp_path / "docs")]
    assert main(["eval", "claims", "demo", "--seeds", "0,1", *places]) == 0
    assert "demo: undecided" in capsys.readouterr().out
    assert main(["eval", "claims", "all", *places]) == 0
    assert "demo: holds" in capsys.readouterr().out
    page = (tmp_path / "docs" / "claims.md").read_text(encoding="utf-8")
    assert main(["eval", "claims", "report", *places]) == 0
    assert (tmp_path / "docs" / "claims.md").read_text(encoding="utf-8") == page
    assert main(["eval", "claims", "--list"]) == 0
    assert "A demo: new" in capsys.readouterr().out.splitlines()[-1]
    assert main(["eval", "claims", "demo", "--seeds", "x", *places]) == 1
    assert "--seeds must be numbers" in capsys.readouterr().err
    assert main(["eval", "claims", "nothing", *places]) == 1


def test_a_worker_measures_by_name(tmp_path, monkeypatch):
    e = experiment()
    monkeypatch.setattr(registry, "experiments", lambda: (e,))
    assert cli_claims._cells("demo", [("old", 0), ("new", 0)], tmp_path, "cpu") == 2
    assert runner.missing(e, (0,), tmp_path) == []


def test_results_are_paired_by_seed():
    cells = {
        ("a", 1): {"x": 1},
        ("a", 0): {"x": 0},
        ("b", 0): {"x": 5},
        ("b", 1): {"x": 6},
        ("a", 2): {"x": 9},
    }
    found = Results(cells, ("a", "b"))
    assert found.seeds == (0, 1)
    assert found.values("a", "x") == [0.0, 1.0]
    assert found.values("b", "x") == [5.0, 6.0]


def test_a_generator_follows_from_the_seed_and_not_from_the_arm(tmp_path):
    a, b, c = (Job(Settings(), arm, seed, CPU, tmp_path) for arm, seed in (("x", 0), ("y", 0), ("x", 1)))
    assert a.generator(3).initial_seed() == b.generator(3).initial_seed() != c.generator(3).initial_seed()


def test_the_page_in_docs_is_made_of_the_records_beside_it():
    docs = Path(__file__).parents[2] / "docs"
    made = report.page(report.records(docs), registry.experiments())
    again = "run presample eval claims report"
    assert (docs / report.PAGE).read_text(encoding="utf-8") == made, again
    for found in report.records(docs):
        assert not found.judgement.panels or (docs / report.FOLDER / f"{found.name}.png").exists(), again
