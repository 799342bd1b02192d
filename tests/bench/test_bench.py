"""The speed bench: same weights in every file, ratios within rounds, honest reasons, three outputs."""

import argparse
import json
import sys

import pytest
import torch

from presample.models.bench import alone, chart, files, lm, peers, table, vocabulary
from presample.models.bench.contestants import Contestant, Model, Timing, Unavailable, line_up
from presample.models.bench.engines import open_writer
from presample.models.cli import bench as cli_bench
from presample.models.cli import main
from presample.models.lm.checkpoint import load_language_model
from presample.models.lm.llama import Cache

TINY = files.SHAPES["tiny"]
OURS, THEIRS, LLAMA = (
    Model("presample", "int8"),
    Model("transformers", "float32"),
    Model("llama.cpp", "Q8_0", "Q8_0"),
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return files.prepare(tmp_path_factory.mktemp("bench"), TINY)


def settings(**changes):
    return lm.Settings(TINY, **{"repeats": 1, "new_tokens": 3, "prompt_tokens": 5, **changes})


def prompt_logits(path, *, precision="float32"):
    language = load_language_model(path, device="cpu", precision=precision)
    prompt = settings().prompts(Contestant(OURS), 0)
    cache = Cache(language.config, 1, 16)
    with torch.inference_mode():
        hidden = language.model(torch.tensor(prompt), cache, torch.arange(5)[None], extent=5)
        return language.model.head(hidden)[0]


def raced(**rates):
    """A race with the given tokens a second in each round: ours, theirs, llama."""
    found = lm.Race(settings(new_tokens=10))
    models = {"ours": OURS, "theirs": THEIRS, "slower": Model("transformers", "float16"), "llama": LLAMA}
    for name, speeds in rates.items():
        found.timings[Contestant(models[name])] = [Timing(0.5 / v, 10 / v, 10) for v in speeds]
    return found


def reported(found, alone_facts=None, **more):
    return lm.report(found, alone_facts or {}, machine=lm.facts_of_machine("cpu"), **more)


# The weights


@pytest.mark.parametrize("file", ["F16", "Q8_0"])
def test_a_gguf_file_holds_the_weights_of_the_folder(tiny, file):
    pytest.importorskip("gguf")
    expected = prompt_logits(tiny.folder)
    found = prompt_logits(tiny.path(file))
    assert torch.allclose(found, expected, atol=1e-4 if file == "F16" else 0.05)
    assert expected.std() > 0.1


def test_transformers_reads_the_same_weights(tiny):
    transformers = pytest.importorskip("transformers")
    model = transformers.LlamaForCausalLM.from_pretrained(tiny.folder, torch_dtype=torch.float32)
    with torch.inference_mode():
        expected = model(torch.tensor(settings().prompts(Contestant(OURS), 0))).logits[0]
    assert torch.allclose(prompt_logits(tiny.folder), expected, atol=1e-4)


def test_files_are_written_once_and_another_seed_has_its_own(tmp_path):
    written = []
    one = files.prepare(tmp_path, TINY, on_file=written.append)
    assert "model.safetensors" in written
    count = len(written)
    assert files.prepare(tmp_path, TINY, on_file=written.append) == one
    assert len(written) == count
    assert files.prepare(tmp_path, TINY, seed=1).folder != one.folder
    assert not list(tmp_path.rglob("*.part"))


def test_a_write_that_fails_leaves_no_file_behind(tmp_path, monkeypatch):
    def fail(path, shape, seed):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(files, "_save_weights", fail)
    with pytest.raises(OSError, match="no space"):
        files.prepare(tmp_path, TINY)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_shape_of_200m_has_the_parameters_of_tipo_200m():
    assert files.SHAPES["200m"].parameters == pytest.approx(202.6e6, rel=0.001)
    assert files.SHAPES["500m"].parameters == 507_989_760


def test_the_tokenizers_of_folder_and_gguf_agree_with_the_reference(tiny):
    tokenizers = pytest.importorskip("tokenizers")
    reference = tokenizers.Tokenizer.from_file(str(tiny.folder / "tokenizer.json"))
    tokens = vocabulary.pieces(TINY.vocab_size)
    assert len(tokens) == len(set(tokens)) == TINY.vocab_size == reference.get_vocab_size()
    for path in (tiny.folder, tiny.f16) if not tiny.no_gguf else (tiny.folder,):
        language = load_language_model(path, device="cpu", precision="float32")
        for text in ("a b, ab cd", "<|added_3|>aa", "日"):
            assert language.tokenizer.encode(text) == reference.encode(text).ids


# The race


def test_a_ratio_is_the_median_of_the_ratios_within_the_rounds():
    found = raced(ours=[10, 40, 90], theirs=[5, 10, 10])
    ratios = reported(found)["results"][0]["ratios"]["transformers"]
    assert ratios == {"median": pytest.approx(4), "low": pytest.approx(2), "high": pytest.approx(9)}


def test_the_baseline_is_the_fastest_single_text_of_transformers_and_q8_of_llama_cpp():
    found = raced(ours=[10], theirs=[6], slower=[5], llama=[8])
    found.timings[Contestant(THEIRS, 4)] = [Timing(0.1, 1.0, 40)]
    assert found.baselines() == {"transformers": Contestant(THEIRS), "llama.cpp": Contestant(LLAMA)}
    assert raced(ours=[10]).baselines() == {}


def test_rates_count_all_tokens_and_step_rates_those_after_the_first():
    timing = Timing(first=1.0, total=3.0, tokens=12)
    assert timing.rate == 4.0
    assert timing.step_rate(rows=2) == 5.0
    assert Timing(1.0, 1.0, 2).step_rate(rows=2) == 0.0


def test_everyone_writes_every_round_in_turn_and_all_that_was_asked(tiny):
    turns = []
    who = [Contestant(OURS), Contestant(OURS, 3), Contestant(OURS, 3, ragged=True)]
    chosen = settings(repeats=3)
    found = lm.race(who, tiny, chosen, on_step=turns.append)
    assert len(turns) == lm.steps(who, chosen) == 1 + 3 + 9
    names = [contestant.name for contestant in who]
    rounds = [turns[4 + 3 * i : 7 + 3 * i] for i in range(3)]
    assert all(sorted(each) == sorted(names) for each in rounds)
    assert len({each[0] for each in rounds}) == 3
    for contestant, timings in found.timings.items():
        assert [timing.tokens for timing in timings] == [3 * contestant.batch] * 3
        assert all(0 < timing.first < timing.total for timing in timings)


def test_prompts_are_new_each_round_and_the_same_for_every_contestant():
    chosen = settings(prompt_tokens=20)
    same = chosen.prompts(Contestant(OURS, 4), 2)
    assert same == chosen.prompts(Contestant(THEIRS), 2) * 4
    assert same != chosen.prompts(Contestant(OURS, 4), 3)
    mixed = chosen.prompts(Contestant(OURS, 4, ragged=True), 2)
    assert [len(prompt) for prompt in mixed] == [20, 18, 15, 13]
    assert len({tuple(prompt[:10]) for prompt in mixed}) == 4
    assert all(0 <= token < TINY.vocab_size for prompt in mixed for token in prompt)


@pytest.mark.parametrize(("model", "module"), [(THEIRS, "transformers"), (LLAMA, "llama_cpp")])
def test_peers_write_as_many_tokens_as_we_do(tiny, model, module):
    pytest.importorskip(module)
    if model.file != "safetensors" and tiny.no_gguf:
        pytest.skip(tiny.no_gguf)
    before = torch.get_rng_state()
    found = lm.race([Contestant(model)], tiny, settings(), on_step=lambda name: None)
    [timing] = found.timings[Contestant(model)]
    assert timing.tokens == 3
    assert 0 < timing.first < timing.total
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("model", "module"), [(THEIRS, "transformers"), (LLAMA, "llama_cpp")])
def test_a_peer_that_is_not_installed_is_skipped_with_the_reason(tiny, monkeypatch, model, module):
    monkeypatch.setitem(sys.modules, module, None)
    found = lm.race([Contestant(OURS), Contestant(model)], tiny, settings(), on_step=lambda name: None)
    assert [contestant.model for contestant in found.timings] == [OURS]
    assert model.name in found.skipped
    assert "installed" in found.skipped[model.name] or "gguf" in found.skipped[model.name]


def test_without_the_gguf_package_there_is_a_reason_and_no_file(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    prepared = files.prepare(tmp_path, TINY)
    assert not prepared.f16.exists()
    with pytest.raises(Unavailable, match="gguf"):
        open_writer(LLAMA, prepared, device="cpu", threads=1)


def test_what_breaks_while_warming_up_is_skipped_and_the_others_run(tiny, monkeypatch):
    def fail(self, prompts, new_tokens, *, seed):
        raise RuntimeError("not implemented for 'Half'")

    pytest.importorskip("transformers")
    monkeypatch.setattr(peers.Transformers, "write", fail)
    found = lm.race([Contestant(THEIRS), Contestant(OURS)], tiny, settings(), on_step=lambda name: None)
    assert list(found.timings) == [Contestant(OURS)]
    assert "Half" in found.skipped["transformers float32"]


def test_who_takes_part_depends_on_the_device():
    cpu = [contestant.name for contestant in line_up("cpu", batches=[1, 4])]
    assert "presample int8 × 4" in cpu
    assert "transformers float32" in cpu
    assert "transformers float32 × 4" not in cpu
    cuda = [contestant.name for contestant in line_up("cuda", batches=[1, 4], only="ours", ragged=True)]
    assert "presample bfloat16 × 4 mixed no graph" in cuda
    assert not [name for name in cuda if "int8" in name or "float32" in name]
    assert {c.model.ours for c in line_up("cpu", batches=[1], only="peers")} == {False}


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"repeats": 0}, "repeats"), ({"prompt_tokens": 1}, "prompt_tokens"), ({"new_tokens": 300}, "must fit")],
)
def test_settings_that_cannot_be_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        settings(**changes)


# Alone


def test_a_model_alone_tells_its_loading_and_a_mark_that_never_falls(tiny):
    facts = alone.measure(OURS, tiny, settings(), batches=[4, 1])
    assert facts["load_seconds"] > 0
    assert list(facts["peak_bytes"]) == ["1", "4"]
    if facts["before_bytes"] is not None:
        assert facts["before_bytes"] < facts["peak_bytes"]["1"] <= facts["peak_bytes"]["4"]


def test_several_runs_alone_become_their_medians():
    one = {"import_seconds": 1, "load_seconds": 2, "first_answer_seconds": 3, "before_bytes": None}
    runs = [{**one, "load_seconds": s, "peak_bytes": {"1": s * 10}} for s in (2, 9, 4)]
    found = alone.summary(runs)
    assert found["load_seconds"] == 4
    assert found["load_rounds"] == [2, 9, 4]
    assert found["before_bytes"] is None
    assert found["peak_bytes"] == {"1": 40}


# What comes out


def test_the_table_has_80_columns_and_the_ratios():
    who = line_up("cpu", batches=[1, 4, 16], ragged=True)
    found = lm.Race(settings(), {c: [Timing(0.1, 1.0, 1000 * c.batch)] for c in who}, {"x": "y" * 200 + " z"})
    facts = {c.model.name: {"load_seconds": 12.34, "peak_bytes": {"16": 2e9}} for c in who}
    text = table.terminal(reported(found, facts))
    lines = [line for line in text.splitlines() if "y" * 200 not in line]
    assert max(map(len, lines)) <= 80
    assert "  int8 × 16            16000.0    16.00    16.00" in text
    assert "12.3 s  2.00 GB" in text


def test_the_markdown_has_a_cell_for_every_heading():
    text = table.markdown(reported(raced(ours=[10], theirs=[5], llama=[8])))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
    assert "| **presample int8** | 10.0 | 2.00 | 1.25 | 50 ms |" in text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0084, "8 ms"), (0.0996, "0.10 s"), (9.94, "9.94 s"), (9.96, "10.0 s")]
)
def test_durations_are_short(value, text):
    assert table.seconds(value) == text


def test_a_chart_is_drawn_with_and_without_peers(tmp_path):
    pytest.importorskip("matplotlib")
    for name, found in (("all", raced(ours=[10], theirs=[5], llama=[8])), ("ours", raced(ours=[10]))):
        found.timings[Contestant(OURS, 4)] = [Timing(0.1, 1.0, 40)]
        path = tmp_path / f"{name}.png"
        chart.draw(reported(found), path)
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 10_000


def test_a_chart_of_nothing_or_without_matplotlib_says_so(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="nothing could be measured"):
        chart.draw(reported(raced()), tmp_path / "x.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="--chart"):
        chart.draw(reported(raced(ours=[1])), tmp_path / "x.png")


SCHEMA = {
    "": "benchmark version date machine settings baselines results alone skipped",
    "machine": "processor cores threads system python load_average device torch transformers llama_cpp",
    "settings": "shape device threads repeats new_tokens prompt_tokens seed parameters sampling",
    "results": "name label engine precision file batch ragged cuda_graph tokens_per_second "
    "step_tokens_per_second first_token_seconds ratios load_seconds peak_bytes rounds",
    "alone": "import_seconds load_seconds first_answer_seconds before_bytes peak_bytes",
}


def test_the_command_writes_json_and_a_table(tiny, tmp_path, capsys):
    out = tmp_path / "new" / "bench.json"
    words = "bench lm --shape tiny --device cpu --only ours --quick --no-alone"
    words += f" --new-tokens 2 --prompt-tokens 4 --batch 1,2 --workdir {tiny.folder.parents[1]} --json {out}"
    assert main(words.split()) == 0
    facts = json.loads(out.read_text(encoding="utf-8"))
    assert set(facts) == set(SCHEMA[""].split())
    assert set(facts["machine"]) == set(SCHEMA["machine"].split())
    assert set(facts["settings"]) == set(SCHEMA["settings"].split())
    assert all(set(row) == set(SCHEMA["results"].split()) for row in facts["results"])
    assert [row["batch"] for row in facts["results"] if row["precision"] == "float32"] == [1, 2]
    printed = capsys.readouterr()
    assert "float32 × 2" in printed.out
    assert "numbers:" in printed.err


def test_a_fresh_process_measures_one_model_or_says_why_not(tiny):
    words = "bench lm --shape tiny --device cpu --new-tokens 2 --prompt-tokens 4 --batch 1,2"
    parser = argparse.ArgumentParser()
    cli_bench.add_parser(parser.add_subparsers())
    args = parser.parse_args([*words.split(), "--workdir", str(tiny.folder.parents[1])])
    facts = cli_bench._in_fresh_process(Model("presample", "float32"), args)
    assert set(facts) == set(SCHEMA["alone"].split())
    assert list(facts["peak_bytes"]) == ["1", "2"]
    args.prompt_tokens = 1
    assert "prompt_tokens must be" in cli_bench._in_fresh_process(THEIRS, args)["unavailable"]


@pytest.mark.parametrize(
    ("words", "said"), [("--batch 1,x", "--batch"), ("--batch 0", "--batch"), ("--threads 0", "--threads")]
)
def test_a_wrong_command_says_what_must_hold(tmp_path, capsys, words, said):
    assert main(["bench", "lm", "--shape", "tiny", "--workdir", str(tmp_path), *words.split()]) == 1
    assert said in capsys.readouterr().err
