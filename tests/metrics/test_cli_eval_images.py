"""`presample eval images`: folders, prompts and MJHQ-30K in, a table or JSON out."""

import json

import pytest
from scorers_for_tests import save_pictures

from presample.models import cli
from presample.models.metrics.sets import Wanted, read_mjhq, read_prompts
from presample.models.tinyworld.following import visible_demands
from presample.models.tinyworld.scores import Attributes


@pytest.fixture
def mjhq(tmp_path):
    """Two categories with three pictures each, and what was generated for them in one folder."""
    root, meta = tmp_path / "mjhq", {}
    for category, start in (("art", 0), ("people", 3)):
        save_pictures(root / "mjhq30k_imgs" / category, 3, seed=start)
        for i in range(3):
            path = root / "mjhq30k_imgs" / category / f"{i}.png"
            path.rename(path.with_name(f"{start + i}.png"))
            meta[str(start + i)] = {"category": category, "prompt": "lake moon"}
    (root / "meta_data.json").write_text(json.dumps(meta))
    save_pictures(tmp_path / "made", 6, seed=9)
    return root, tmp_path / "made"


def _nothing_of_ones_own(tmp_path, monkeypatch):
    """No models of whoever runs the tests; returns the folder in which they would be."""
    monkeypatch.setenv("PRESAMPLE_MODELS", str(tmp_path / "own"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "own" / "scorers"


def run(capsys, *arguments):
    code = cli.main(["eval", "images", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_mjhq_is_measured_as_a_whole_and_by_category(mjhq, clip, capsys):
    root, made = mjhq
    metrics = ("--metric", f"fd-clip={clip}", "--metric", f"clip={clip}", "--metric", f"vendi-clip={clip}")
    code, out, _ = run(capsys, made, "--mjhq", root, *metrics, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["counts"] == {"all": 6, "art": 3, "people": 3}
    scores = found["metrics"]["clip"]
    assert scores["values"]["art"] == pytest.approx(sum(scores["pictures"][str(i)] for i in range(3)) / 3)
    assert set(found["metrics"]["fd-clip"]["values"]) == {"all", "art", "people"}
    assert 1 <= found["metrics"]["vendi-clip"]["values"]["art"] <= 3
    code, out, _ = run(capsys, made, "--mjhq", root, *metrics[:2])
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["pictures", "fd-clip"],
        ["all", "6"],
        ["art", "3"],
        ["people", "3"],
    ]


def test_a_set_of_which_pictures_are_missing_is_measured_and_says_so(mjhq, clip, capsys):
    root, made = mjhq
    asked = (made, "--mjhq", root, "--metric", f"fd-clip={clip}")
    assert "fewer" not in run(capsys, *asked)[2]
    (made / "4.png").unlink()
    (root / "mjhq30k_imgs" / "art" / "0.png").unlink()
    code, out, err = run(capsys, *asked)
    assert code == 0
    assert out.splitlines()[1].split()[:2] == ["all", "5"]
    assert "the set has 6 prompts, and pictures are fewer: 5 here, 5 of its own;" in err


def test_a_metric_without_a_place_takes_the_model_that_was_fetched(mjhq, clip, tmp_path, capsys, monkeypatch):
    made, own = mjhq[1], _nothing_of_ones_own(tmp_path, monkeypatch)
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({str(i): "lake" for i in range(6)}))
    given = (made, "--prompts", prompts, "--json", "--metric")
    _, wanted, _ = run(capsys, *given, f"clip={clip}")
    own.mkdir(parents=True)
    (own / "clip").symlink_to(clip, target_is_directory=True)
    assert run(capsys, *given, "clip")[1] == wanted
    (own / "clip").rename(tmp_path / "clip")
    host = tmp_path / "host" / "models" / "scorers"
    host.mkdir(parents=True)
    (tmp_path / "clip").rename(host / "clip")
    assert run(capsys, *given, "clip")[0] == 1
    assert run(capsys, *given, "clip", "--base", tmp_path / "host")[1] == wanted


def test_a_folder_is_as_far_from_itself_as_nothing(mjhq, clip, capsys):
    made = mjhq[1]
    _, out, _ = run(capsys, made, "--against", made, "--metric", f"fd-clip={clip}", "--json")
    assert json.loads(out)["metrics"]["fd-clip"]["values"]["all"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--metric", "beauty=x"], "must be one of"),
        (["--metric", "clip"], "--metric clip=PATH"),
        (["--metric", "vendi-fdd"], "presample models download fdd"),
        (["--metric", "tiny-clip=x"], "needs no path"),
        (["--metric", "clip=x", "--metric", "clip=y"], "asked for once, got clip"),
        (["--metric", "tiny-clip", "--batch", "0"], "--batch must be at least 1"),
        (["--metric", "fid=x"], "--against"),
        (["--metric", "clip=x"], "--prompts"),
        (["--metric", "fid=x", "--mjhq", "m", "--against", "n"], "leave out"),
    ],
)
def test_what_does_not_fit_is_said(arguments, said, tmp_path, capsys, monkeypatch):
    _nothing_of_ones_own(tmp_path, monkeypatch)
    save_pictures(tmp_path, 2)
    code, _, err = run(capsys, tmp_path, *arguments)
    assert code == 1
    assert said in err


def test_pictures_that_are_not_of_the_set_or_have_no_prompt_are_named(mjhq, clip, tmp_path, capsys):
    root, made = mjhq
    (made / "0.png").rename(made / "strange.png")
    code, _, err = run(capsys, made, "--mjhq", root, "--metric", f"fd-clip={clip}")
    assert code == 1
    assert "strange.png" in err
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({str(i): "lake" for i in range(6)}))
    code, _, err = run(capsys, made, "--prompts", prompts, "--metric", f"clip={clip}")
    assert code == 1
    assert "strange" in err


def test_prompts_are_read_in_all_their_forms(tmp_path):
    for name, text in {
        "a.json": '{"1": "lake"}',
        "b.json": '{"1": {"prompt": "lake"}}',
        "c.jsonl": '{"id": 1, "prompt": "lake"}\n',
    }.items():
        (tmp_path / name).write_text(text)
        assert {k: v.prompt for k, v in read_prompts(tmp_path / name).items()} == {"1": "lake"}
    (tmp_path / "d.json").write_text("[1]")
    with pytest.raises(ValueError, match="ids to prompts"):
        read_prompts(tmp_path / "d.json")
    (tmp_path / "meta_data.json").write_text('{"1": {"prompt": "x", "category": "boats"}}')
    with pytest.raises(ValueError, match="ten categories"):
        read_mjhq(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", '{"1": "a lake\u2028at dusk\x85"}'),
        ("p.json", '\ufeff{"1": {"prompt": "a lake\u2028at dusk\x85", "category": null}}'),
        ("p.jsonl", '\ufeff{"id": 1, "prompt": "a lake\u2028at dusk\x85"}\r\n\r\n'),
    ],
)
def test_prompts_of_any_editor_are_read_as_they_are(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert read_prompts(tmp_path / name) == {"1": Wanted("a lake\u2028at dusk\x85")}


@pytest.mark.parametrize("entry", [None, 3, {"prompt": None}, {"prompt": ["lake"]}, {"category": "art"}])
def test_a_prompt_that_is_no_text_is_named_by_its_id(tmp_path, entry):
    (tmp_path / "p.json").write_text(json.dumps({"0": "lake", "x7": entry}))
    line = entry if isinstance(entry, dict) else {"prompt": entry}
    (tmp_path / "p.jsonl").write_text(json.dumps({"id": "x7", **line}))
    (tmp_path / "meta_data.json").write_text(json.dumps({"x7": entry}))
    for read in (
        lambda: read_prompts(tmp_path / "p.json"),
        lambda: read_prompts(tmp_path / "p.jsonl"),
        lambda: read_mjhq(tmp_path),
    ):
        with pytest.raises(ValueError, match="the prompt of x7 must be text"):
            read()


def test_categories_may_be_numbers_and_none_takes_the_place_of_all_pictures(tmp_path, capsys):
    save_pictures(tmp_path / "made", 2)
    prompts = tmp_path / "p.json"
    asked = (tmp_path / "made", "--prompts", prompts, "--metric", "tiny-attributes")
    prompts.write_text(json.dumps({str(i): {"prompt": "night", "category": i} for i in range(2)}))
    code, out, _ = run(capsys, *asked)
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [["all", "2"], ["0", "1"], ["1", "1"]]
    prompts.write_text(json.dumps({str(i): {"prompt": "night", "category": "all"} for i in range(2)}))
    code, out, err = run(capsys, *asked)
    assert (code, out) == (1, "")
    assert "must not be called 'all'" in err


@pytest.mark.parametrize(
    "prompt",
    [
        "full moon, winter",
        "winter, full moon\nThe picture shows a view across a lake after dark.",
        "(full moon:1.3), [winter]",
        "full moon\nwinter",
        "Full_Moon, winter",
        "winter，full moon",
        "full moon BREAK winter",
    ],
)
def test_attributes_find_the_tags_of_a_prompt_however_it_is_written(prompt):
    class Reading:
        def __init__(self, **values):
            self.values = values

    wanted = visible_demands(["full moon", "winter"])
    right = {name: next(iter(values)) for name, values in wanted.items()}
    others = [right | {name: "none of them"} for name in right]
    scorer = Attributes(lambda images: [Reading(**values) for values in (right, *others)])
    found = scorer.score(None, [prompt] * (1 + len(others)))
    assert found.tolist() == pytest.approx([1.0] + [1 - 1 / len(right)] * len(others))


def test_attributes_count_what_a_prompt_demands_and_nothing_where_it_demands_nothing():
    class Reading:
        def __init__(self, **values):
            self.values = values

    scorer = Attributes(lambda images: [Reading(season="winter"), Reading(season="summer"), Reading()])
    first, second, third = scorer.score(None, ["winter", "winter", "nothing of this world"])
    assert (float(first), float(second)) == (1.0, 0.0)
    assert third.isnan()
