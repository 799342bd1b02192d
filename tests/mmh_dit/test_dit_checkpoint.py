"""Files: what is written is read, and whatever is wrong with a stranger's file is named."""

import json
import logging

import pytest
import torch
from dit_for_tests import SMALL, inputs, small_model
from safetensors.torch import save_file

from presample.models.mmh_dit import checkpoint
from presample.models.mmh_dit.checkpoint import CONFIG_KEY, infer_config, load, read, save
from presample.models.mmh_dit.config import FULL
from presample.models.mmh_dit.key_map import KeyMap
from presample.models.mmh_dit.model import MMHDiT


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture
def written(model, tmp_path):
    """Writes the model's tensors, changed, and returns the file."""

    def write(change=None, *, config=SMALL, metadata=None):
        state = dict(model.state_dict())
        if change:
            change(state)
        path = tmp_path / "model.safetensors"
        facts = {} if config is None else {CONFIG_KEY: json.dumps(config.to_dict())}
        save_file(state, path, metadata={**facts, **(metadata or {})} or None)
        return path

    return write


def test_a_model_is_the_same_after_its_file(model, tmp_path):
    path = tmp_path / "new" / "model.safetensors"
    save(model, path, {"steps": "100"})
    assert [each.name for each in path.parent.iterdir()] == ["model.safetensors"]
    loaded = load(path)
    assert loaded.config == SMALL
    assert not loaded.training
    given = inputs()
    assert torch.equal(loaded(*given), model(*given))
    assert read(path).metadata["steps"] == "100"
    assert read(path).report.fits


def test_a_type_can_be_asked_for_and_is_else_the_files(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save(small_model(dtype=torch.bfloat16), path)
    assert {weight.dtype for weight in load(path).parameters()} == {torch.bfloat16}
    loaded = load(path, dtype=torch.float32)
    assert loaded.dtype == torch.float32
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}


def test_a_file_of_fp8_must_be_asked_for_in_a_type_that_computes(written):
    def narrow(state):
        state.update({name: tensor.to(torch.float8_e4m3fn) for name, tensor in state.items()})

    path = written(narrow)
    with pytest.raises(ValueError, match="ask for dtype bfloat16"):
        load(path)
    assert load(path, dtype=torch.bfloat16)(inputs()[0].bfloat16(), inputs()[1]).isfinite().all()


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "diffusion_model."])
def test_a_file_that_a_host_saved_loads_too(model, written, prefix, caplog):
    def rename(state):
        for name in list(state):
            state[prefix + name] = state.pop(name)
        state["vae.encoder.weight"] = torch.ones(2)

    with caplog.at_level(logging.WARNING, logger="presample"):
        loaded = load(written(rename))
    assert torch.equal(loaded(*inputs()), model(*inputs()))


def test_tensors_that_nobody_asked_for_are_told(written, caplog):
    with caplog.at_level(logging.WARNING, logger="presample"):
        load(written(lambda state: state.update(extra=torch.ones(1))))
    assert "1 tensors are not used: extra" in caplog.text


def test_sizes_follow_from_shapes_and_head_counts_do_not(model, written):
    path = written(config=None)
    with pytest.raises(
        ValueError, match=r"head counts of 3 blocks of width 48 .*`presample convert FILE OUT --heads"
    ):
        load(path)
    found = load(path, heads=SMALL.heads)
    for name in ("hidden", "heads", "mlp_hidden", "text_dim", "cond_dim", "in_ch"):
        assert getattr(found.config, name) == getattr(SMALL, name)
    assert torch.equal(found(*inputs()), model(*inputs()))


def test_the_full_size_is_known_by_its_shapes():
    state = MMHDiT(FULL, device="meta").state_dict()
    assert infer_config(state, None, {"heads": FULL.heads}) == FULL


def drop(name):
    return lambda state: state.pop(name)


def put(name, value):
    return lambda state: state.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop("blocks.1.attn.qkv.weight"), r"missing \(1\): blocks.1.attn.qkv.weight.*get the file again"),
        (drop("bos.weight"), r"missing \(1\): bos.weight"),
        (drop("image_in.weight"), "has a matrix image_in.weight, which is missing among 43 tensors"),
        (put("bos.weight", torch.ones(1, 50)), r"bos.weight is \(1, 50\) and must be \(1, 48\)"),
        (put("blocks.2.mlp.w2.weight", torch.ones(3)), "wrong shape"),
        (put("blocks.7.mlp.w2.weight", torch.ones(3)), "numbered from 0, 3 is missing"),
        (put("bos.weight", torch.ones(1, 48, dtype=torch.long)), "bos.weight holds torch.int64"),
        (put("bos.weight", torch.full((1, 48), float("nan"))), "finite, bos.weight .* get it again"),
        (put("bos.weight", torch.full((1, 48), float("inf"))), "finite, bos.weight"),
        (put("image_in.weight", torch.ones(48)), "has shape"),
        (put("image_in.weight", torch.ones(48, 16)), "in_ch 16, but the weights have 4.*another autoencoder"),
        (put("text_in.w1.weight", torch.ones(48, 768)), "text_dim 20, but .* 768.*another text encoder"),
        (
            lambda state: [state.pop(name) for name in list(state) if ".2." in name],
            "depth 3, but the weights have 2",
        ),
        (lambda state: state.clear(), "among 0 tensors"),
    ],
)
def test_a_file_that_does_not_fit_says_what_and_what_to_do(written, change, said):
    path = written(change)
    with pytest.raises(ValueError, match=said) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_tensor_that_is_wrong_in_two_ways_is_one_that_does_not_fit(written):
    whole = read(written()).report.matched
    assert whole == len(MMHDiT(SMALL, device="meta").state_dict())
    report = read(written(put("bos.weight", torch.ones(1, 50, dtype=torch.long)))).report
    assert report.matched == whole - 1
    assert (len(report.mismatched), len(report.problems)) == (1, 1)
    assert read(written(drop("bos.weight"))).report.matched == whole - 1


def test_numbers_too_large_for_the_type_asked_for_are_not_finite(written):
    path = written(put("bos.weight", torch.full((1, 48), 1e20)))
    load(path)
    with pytest.raises(ValueError, match="as float16"):
        load(path, dtype=torch.float16)


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ("{", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ("[]", "must be a JSON object"),
        ('{"hidden": 48}', "head counts"),
        ('{"hidden": 48, "heads": [5, 5, 5]}', "nearest are"),
        ('{"hidden": 48, "heads": "all"}', "whole numbers"),
        ('{"hidden": 1e9, "heads": [4]}', "hidden must be"),
        ('{"hidden": 480, "heads": [4, 4, 4]}', "hidden 480, but the weights have 48"),
        ('{"hidden": 1000000000000001, "heads": [3]}', "hidden must be from 1 to 65536"),
        ('{"heads": [4, 4, 4], "mlp_hidden": 1%s}' % ("0" * 400), "mlp_hidden must be from 0"),
        ('{"heads": [4, 4, 4], "code": "x"}', "unknown: code"),
        ('{"heads": [4, 4, 4], "patch": 3}', "patch_dim"),
        ('{"heads": [4, 4, 4], "patch": 0}', "patch must be from 1"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(written, stated, said):
    with pytest.raises((ValueError, TypeError), match=said):
        load(written(config=None, metadata={CONFIG_KEY: stated}))


def test_neighbours_that_do_not_fit_are_named(written):
    path = written()
    assert load(path, in_ch=16, text_dim=20)
    with pytest.raises(ValueError, match=r"4 latent channels of its autoencoder, .* has 16"):
        load(path, in_ch=4)
    with pytest.raises(ValueError, match="reads 20; choose the text encoder"):
        load(path, text_dim=4096)


def test_what_is_no_safetensors_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not there"):
        load(tmp_path / "none.safetensors")
    for content in (b"", b"hello", b"\xff" * 64, (10**12).to_bytes(8, "little") + b"{}"):
        path = tmp_path / "broken.safetensors"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="whole safetensors file"):
            load(path)


def test_a_write_that_fails_leaves_the_old_file(model, tmp_path, monkeypatch):
    import safetensors.torch

    path = tmp_path / "model.safetensors"
    save(model, path)
    before = path.read_bytes()

    def broken(tensors, filename, metadata):
        filename.write_bytes(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(safetensors.torch, "save_file", broken)
    with pytest.raises(OSError, match="full"):
        save(model, path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["model.safetensors"]


# Names of others


def theirs(state: dict) -> dict:
    """Returns the weights as another program might name and lay them out."""
    found = {}
    for name, tensor in state.items():
        if name.endswith("attn.qkv.weight"):
            parts = dict(zip("qkv", tensor.chunk(3), strict=True))
            found.update({name.replace("qkv", f"to_{key}"): part.clone() for key, part in parts.items()})
        elif name.endswith("mlp.w1.weight"):
            both = torch.cat((tensor, state[name.replace("w1", "w3")]))
            found[name.replace("w1", "gate_up")] = both
        elif name == "image_in.weight":
            found["patch_embed.weight"] = tensor.T.contiguous()
        elif not name.endswith("mlp.w3.weight"):
            found[name] = tensor
    found["ema.step"] = torch.ones(1)
    return {name.replace("blocks.", "layers."): tensor for name, tensor in found.items()}


RULES = [
    {"from": rf"layers\.(\d+)\.attn\.to_{key}\.weight", "to": r"blocks.\1.attn.qkv.weight", "part": [i, 3]}
    for i, key in enumerate("qkv")
]
RULES += [
    {
        "from": r"layers\.(\d+)\.mlp\.gate_up\.weight",
        "to": [r"blocks.\1.mlp.w1.weight", r"blocks.\1.mlp.w3.weight"],
    },
    {"from": r"patch_embed\.weight", "to": "image_in.weight", "transpose": True},
    {"from": r"^layers\.(\d+)\.([^.]+)\.(weight|bias)$", "to": r"blocks.\1.\2.\3"},
    {"from": r"layers\.(\d+)\.([^.]+)\.([^.]+)\.weight", "to": r"blocks.\1.\2.\3.weight"},
    {"from": r"(image_in|bos)\.(weight|bias)", "to": r"\1.\2"},
    {"from": r"(text_in|time_in|final)\.([^.]+)\.weight", "to": r"\1.\2.weight"},
    {"from": r"ema\.([^.]+)", "drop": True},
]


def test_a_key_map_brings_other_names_and_layouts_home(model, tmp_path):
    path, rules = tmp_path / "theirs.safetensors", tmp_path / "map.json"
    save_file(theirs(model.state_dict()), path)
    rules.write_text(json.dumps({"rules": RULES, "config": {"heads": SMALL.heads}}))
    loaded = load(path, key_map=KeyMap.from_json(rules))
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name
    with pytest.raises(ValueError, match="one that needs a key map"):
        load(path)


def test_a_key_map_reports_what_it_left_and_what_does_not_fit(model, tmp_path):
    state = theirs(model.state_dict())
    del state["layers.0.attn.to_k.weight"]
    state["layers.1.norm9.weight"] = torch.ones(3)
    state["stranger"] = torch.ones(3)
    path = tmp_path / "theirs.safetensors"
    save_file(state, path)
    found = read(path, key_map=KeyMap.from_dict({"rules": RULES, "config": {"heads": SMALL.heads}}))
    assert found.report.missing == ("blocks.0.attn.qkv.weight",)
    assert set(found.report.unmatched) == {"stranger", "blocks.1.norm9.weight"}
    assert found.report.problems == ("blocks.0.attn.qkv.weight lacks part 1 of 3",)
    assert not found.report.fits
    assert "not used (2)" in str(found.report)
    assert checkpoint.Report(3).fits
