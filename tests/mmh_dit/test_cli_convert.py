"""`presample convert`: a file of other names becomes one that loads by itself."""

import json

import pytest
import torch
from safetensors.torch import save_file

from presample.models import cli
from presample.models.mmh_dit import checkpoint
from presample.models.mmh_dit.config import MMHDiTConfig
from presample.models.mmh_dit.model import MMHDiT


@pytest.fixture
def model():
    config = MMHDiTConfig(hidden=48, heads=(2, 4), in_ch=4, text_dim=16, text_len=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = MMHDiT(config)
        for weight in made.parameters():
            torch.nn.init.normal_(weight, std=0.02)
    return made


@pytest.fixture
def foreign(model, tmp_path):
    """The model as another program might name it: its blocks are layers, and q, k, v lie apart."""
    tensors, rules = {}, []
    for name, tensor in model.state_dict().items():
        theirs = name.replace("blocks.", "layers.")
        if name.endswith("attn.qkv.weight"):
            stem = theirs.removesuffix("qkv.weight")
            tensors.update(
                {f"{stem}{c}.weight": each.clone() for c, each in zip("qkv", tensor.chunk(3), strict=True)}
            )
        else:
            tensors[theirs] = tensor
    for i, c in enumerate("qkv"):
        source = rf"layers\.(\d+)\.attn\.{c}\.weight"
        rules.append({"from": source, "to": r"blocks.\1.attn.qkv.weight", "part": [i, 3]})
    for name in model.state_dict():
        if name.startswith("blocks.0.") and not name.endswith("attn.qkv.weight"):
            rest = name.removeprefix("blocks.0.")
            escaped = rest.replace(".", r"\.")
            rules.append({"from": rf"layers\.(\d+)\.{escaped}", "to": rf"blocks.\1.{rest}"})
        elif not name.startswith("blocks."):
            rules.append({"from": name.replace(".", r"\."), "to": name})
    save_file({**tensors, "ema.step": torch.zeros(1)}, tmp_path / "theirs.safetensors")
    (tmp_path / "map.json").write_text(
        json.dumps({"rules": rules, "config": {"text_len": 8}}), encoding="utf-8"
    )
    return tmp_path / "theirs.safetensors"


def convert(path, *flags):
    return cli.main(["convert", str(path), *map(str, flags)])


def test_a_foreign_file_becomes_one_that_loads_by_itself(foreign, model, tmp_path, capsys):
    out = tmp_path / "ours.safetensors"
    assert convert(foreign, out, "--key-map", tmp_path / "map.json", "--heads", "2,4") == 0
    said = capsys.readouterr().out
    assert "block 1: 4 heads of size 12" in said
    assert "not used (1):\n  ema.step" in said
    loaded = checkpoint.load(out)
    assert loaded.config == model.config
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], weight, rtol=0, atol=0)


def test_weights_are_written_in_the_type_that_is_asked_for(foreign, tmp_path):
    out = tmp_path / "half.safetensors"
    flags = ["--key-map", tmp_path / "map.json", "--heads", "2,4", "--dtype", "bf16"]
    assert convert(foreign, out, *flags) == 0
    assert checkpoint.load(out).image_in.weight.dtype == torch.bfloat16


def test_without_a_file_to_write_there_is_only_the_report(foreign, tmp_path, capsys):
    before = set(tmp_path.iterdir())
    assert convert(foreign, "--key-map", tmp_path / "map.json", "--heads", "2,4") == 0
    assert "tensors fit" in capsys.readouterr().out
    assert set(tmp_path.iterdir()) == before


def test_what_is_missing_is_named_and_nothing_is_written(model, tmp_path, capsys):
    state = model.state_dict()
    state.pop("blocks.1.attn.out.weight")
    checkpoint.save_state(state, model.config, tmp_path / "part.safetensors")
    out = tmp_path / "out.safetensors"
    assert convert(tmp_path / "part.safetensors", out) == 1
    said = capsys.readouterr()
    assert "missing (1):\n  blocks.1.attn.out.weight" in said.out
    assert "nothing is written" in said.err
    assert not out.exists()


def test_weights_that_are_no_numbers_and_files_that_are_there_are_refused(model, tmp_path, capsys):
    state = {name: weight.clone() for name, weight in model.state_dict().items()}
    state["blocks.0.attn.out.weight"][0, 0] = 1e5
    checkpoint.save_state(state, model.config, tmp_path / "large.safetensors")
    half = tmp_path / "half.safetensors"
    assert convert(tmp_path / "large.safetensors", half, "--dtype", "fp16") == 1
    assert "finite numbers in float16, and blocks.0.attn.out.weight" in capsys.readouterr().err
    assert not half.exists()
    state["blocks.0.attn.out.weight"][0, 0] = torch.nan
    save_file(
        {**state, checkpoint.CONFIG_KEY: checkpoint.config_tensor(model.config)}, tmp_path / "nan.safetensors"
    )
    assert convert(tmp_path / "nan.safetensors", tmp_path / "out.safetensors") == 1
    assert "must be finite, blocks.0.attn.out.weight" in capsys.readouterr().err
    checkpoint.save(model, tmp_path / "good.safetensors")
    assert convert(tmp_path / "good.safetensors", tmp_path / "nan.safetensors") == 1
    assert "must not be there yet" in capsys.readouterr().err
