"""Text encoders in files of every layout, and what is said of those that hold none."""

import pytest
import torch
from safetensors.torch import save_file

from presample.models.textcraftor.files import (
    check_fit,
    kind_of,
    read_encoder,
    read_encoders,
    towers,
    tuned_encoders,
    weights_of,
)

LAYERS, WIDTH = 2, 16
SIZES = {"token_embedding": 11, "position_embedding": 7}


@pytest.fixture(scope="module")
def model():
    """A CLIP text encoder of transformers."""
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPTextConfig(
        vocab_size=11,
        max_position_embeddings=7,
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        projection_dim=WIDTH,
        bos_token_id=0,
        eos_token_id=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.CLIPTextModelWithProjection(config)


@pytest.fixture(scope="module")
def plain(model):
    """Its tensors by the names that we use."""
    return {name: tensor.detach() for name, tensor in model.state_dict().items() if "_ids" not in name}


def saved(path, tensors):
    if path.suffix == ".pth":
        torch.save(tensors, path)
    else:
        save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path)
    return path


def same(found, wanted):
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def as_open_clip(plain):
    """The tensors as open_clip names them."""
    made = {
        "positional_embedding": plain["text_model.embeddings.position_embedding.weight"],
        "token_embedding.weight": plain["text_model.embeddings.token_embedding.weight"],
        "ln_final.weight": plain["text_model.final_layer_norm.weight"],
        "ln_final.bias": plain["text_model.final_layer_norm.bias"],
        "text_projection": plain["text_projection.weight"].T,
        "logit_scale": torch.tensor(4.6),
    }
    for i in range(LAYERS):
        theirs, ours = f"transformer.resblocks.{i}.", f"text_model.encoder.layers.{i}."
        for kind in ("weight", "bias"):
            qkv = [plain[f"{ours}self_attn.{name}_proj.{kind}"] for name in "qkv"]
            made[f"{theirs}attn.in_proj_{kind}"] = torch.cat(qkv)
            for a, b in (("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("mlp.c_fc", "mlp.fc1")):
                made[f"{theirs}{a}.{kind}"] = plain[f"{ours}{b}.{kind}"]
            made[f"{theirs}mlp.c_proj.{kind}"] = plain[f"{ours}mlp.fc2.{kind}"]
            made[f"{theirs}attn.out_proj.{kind}"] = plain[f"{ours}self_attn.out_proj.{kind}"]
    return made


def test_an_encoder_has_196_weights_of_clip_l_516_of_clip_g_and_68_of_the_tiny_one(plain):
    assert [len(weights_of(layers)) for layers in (12, 32, 4)] == [196, 516, 68]
    assert set(weights_of(LAYERS)) == set(plain) - {"text_projection.weight"}
    assert [kind_of(12, 768), kind_of(32, 1280), kind_of(24, 1024), kind_of(4, 128)] == [
        *("CLIP-L", "CLIP-G", "CLIP-H", "tiny CLIP")
    ]


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "text_encoder.",
        "module.",
        "cond_stage_model.transformer.",
        "conditioner.embedders.0.transformer.",
        "text_encoders.clip_l.transformer.",
    ],
)
def test_an_encoder_is_found_behind_any_prefix(plain, tmp_path, prefix, suffix):
    tensors = {f"{prefix}{name}": tensor for name, tensor in plain.items()}
    tensors[f"{prefix}text_model.embeddings.position_ids"] = torch.arange(7)[None]
    tensors["model.diffusion_model.out.0.weight"] = torch.ones(3)
    file = read_encoder(saved(tmp_path / f"tuned{suffix}", tensors))
    assert same(file.tensors, plain)
    assert (file.kind, file.layers, file.width) == (f"CLIP of {LAYERS} layers of {WIDTH}", LAYERS, WIDTH)
    assert towers(tensors) == (prefix,)


def test_newer_transformers_leave_text_model_out_of_the_names(model, plain, tmp_path):
    file = read_encoder(saved(tmp_path / "a.safetensors", dict(model.text_model.state_dict())))
    assert same(file.tensors, {n: t for n, t in plain.items() if n != "text_projection.weight"})


def test_the_published_layout_is_read(plain, tmp_path):
    """What torch.save writes of a CLIPTextModel in DistributedDataParallel."""
    inner = {name: tensor for name, tensor in plain.items() if name != "text_projection.weight"}
    path = tmp_path / "tc_text_e_0_iter_10000.pth"
    torch.save({f"module.{name}": tensor for name, tensor in inner.items()}, path)
    assert same(read_encoder(path).tensors, inner)
    torch.save({"state_dict": inner, "step": 5}, path)
    assert same(read_encoder(path).tensors, inner)


def test_the_names_of_open_clip_are_read(plain, tmp_path):
    tensors = {f"cond_stage_model.model.{name}": t for name, t in as_open_clip(plain).items()}
    assert same(read_encoder(saved(tmp_path / "a.safetensors", tensors)).tensors, plain)


def test_a_checkpoint_with_two_encoders_gives_both(plain, tmp_path):
    tensors = {f"conditioner.embedders.0.transformer.{name}": t for name, t in plain.items()}
    tensors |= {f"conditioner.embedders.1.model.{name}": t + 1 for name, t in as_open_clip(plain).items()}
    path = saved(tmp_path / "xl.safetensors", tensors)
    first, second = read_encoders(path)
    assert same(first.tensors, plain)
    assert same(second.tensors, {name: tensor + 1 for name, tensor in plain.items()})
    with pytest.raises(ValueError, match=r"must hold one text encoder, and holds CLIP of 2 .* and CLIP of 2"):
        read_encoder(path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["encoder.block.0.layer.0.SelfAttention.q.weight"], "is a T5 text encoder"),
        (["model.layers.0.self_attn.q_proj.weight"], "is a language model"),
        (["lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight"], "is a LoRA; load it with a LoRA"),
        (["emb_params"], "is a textual inversion"),
        (["vision_model.embeddings.class_embedding"], "is an image encoder"),
        (["double_blocks.0.img_attn.qkv.weight"], "is an image model by itself"),
        (["decoder.conv_in.weight"], "is an autoencoder"),
        (["mmh_dit_config"], "is an MMH-DiT"),
        (["x", "y"], "something else, with tensors such as x, y"),
    ],
)
def test_a_file_without_an_encoder_is_named(tmp_path, names, said):
    path = saved(tmp_path / "other.safetensors", {name: torch.ones(1) for name in names})
    with pytest.raises(ValueError, match=f"other.safetensors must hold a CLIP text encoder, and .*{said}"):
        read_encoders(path)


def test_a_layer_that_no_encoder_has_makes_no_list_of_all_below_it(tmp_path):
    names = (
        "embeddings.token_embedding.weight",
        "encoder.layers.999999999.x",
        f"encoder.layers.{'9' * 5_000}.x",
    )
    path = saved(tmp_path / "a.safetensors", {f"text_model.{name}": torch.ones(2, 4) for name in names})
    with pytest.raises(
        ValueError, match=r"all 4 weights of its text encoder, and has 1; missing: text_model"
    ):
        read_encoders(path)


def test_a_vocabulary_that_is_no_matrix_is_refused(plain, tmp_path):
    name = "text_model.embeddings.token_embedding.weight"
    path = saved(tmp_path / "a.safetensors", {**plain, name: torch.ones(11)})
    with pytest.raises(
        ValueError, match=r"a.safetensors: .*token_embedding.weight must be a matrix, got 1 axes"
    ):
        read_encoder(path)


def test_a_torch_that_can_be_made_to_run_code_reads_no_pickle(plain, tmp_path, monkeypatch):
    path = saved(tmp_path / "style.pth", plain)
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion("2.9.1"))
    with pytest.raises(
        ValueError, match=r"style.pth must be read with torch 2\.10 .*update torch, or .*safetensors"
    ):
        read_encoders(path)


class Planted:
    """Would print if it were loaded as pickle."""

    def __reduce__(self):
        return print, ("loaded",)


def test_what_is_no_file_of_tensors_is_refused_and_never_run(tmp_path, plain, capsys):
    path = tmp_path / "bad.pth"
    torch.save({"module.text_model.x": Planted()}, path)
    with pytest.raises(ValueError, match=r"bad.pth must hold tensors and nothing else"):
        read_encoders(path)
    assert capsys.readouterr().out == ""
    for name in ("bad.safetensors", "bad.ckpt"):
        (tmp_path / name).write_bytes(b"{}")
        with pytest.raises(ValueError, match="must be a"):
            read_encoders(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"gone.pth is not there; .* .safetensors or .pth"):
        read_encoders(tmp_path / "gone.pth")
    half = {name: t for name, t in plain.items() if "layers.1.mlp" not in name}
    with pytest.raises(ValueError, match=r"all 36 weights .* has 32; missing: .*layers.1.mlp.fc1"):
        read_encoders(saved(tmp_path / "half.safetensors", half))


# Fitting


@pytest.fixture
def file(plain, tmp_path):
    return read_encoder(saved(tmp_path / "tuned.safetensors", plain))


def shapes_of(tensors):
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def test_all_that_the_host_has_is_given(file, plain):
    assert same(check_fit(file, shapes_of(plain)), plain)
    without = {name: t for name, t in plain.items() if name != "text_projection.weight"}
    assert same(check_fit(file, shapes_of(without)), without)
    assert same(check_fit(file, {**shapes_of(plain), "logit_scale": ()}), plain)


def test_a_projection_that_the_file_lacks_stays_the_hosts(plain, tmp_path):
    without = {name: t for name, t in plain.items() if name != "text_projection.weight"}
    file = read_encoder(saved(tmp_path / "tuned.safetensors", without))
    assert same(check_fit(file, shapes_of(plain)), without)


def test_what_does_not_fit_is_said_with_what_it_is_and_fits(file, plain):
    clip_l = dict.fromkeys(weights_of(12), (768, 768))
    with pytest.raises(
        ValueError, match=r"tuned.safetensors is a CLIP of 2 layers of 16 and SDXL's CLIP holds a CLIP-L"
    ):
        check_fit(file, clip_l, host="SDXL's CLIP")
    with pytest.raises(ValueError, match="this CLIP must hold a CLIP text encoder"):
        check_fit(file, {"encoder.block.0.layer.0.SelfAttention.q.weight": (1,)})
    longer = {**shapes_of(plain), "text_model.embeddings.position_embedding.weight": (248, WIDTH)}
    with pytest.raises(
        ValueError, match=r"position_embedding.weight is \(7, 16\) and this CLIP's is \(248, 16\)"
    ):
        check_fit(file, longer)


def test_the_encoder_that_a_file_fits_is_named(plain, tmp_path):
    big = {name: torch.zeros(1, 1) for name in weights_of(12)}
    big["text_model.embeddings.token_embedding.weight"] = torch.zeros(1, 768)
    file = read_encoder(saved(tmp_path / "l.safetensors", big))
    with pytest.raises(
        ValueError, match=r"is a CLIP-L .*; it fits Stable Diffusion 1.x, and SDXL as its first"
    ):
        check_fit(file, shapes_of(plain))


def test_numbers_that_are_none_are_refused(plain, tmp_path):
    broken = dict(plain)
    name = "text_model.final_layer_norm.bias"
    broken[name] = torch.full_like(plain[name], float("nan"))
    file = read_encoder(saved(tmp_path / "nan.safetensors", broken))
    with pytest.raises(ValueError, match=r"final_layer_norm.bias holds numbers that are not finite"):
        check_fit(file, shapes_of(plain))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8])
def test_a_quantised_file_is_refused(plain, tmp_path, dtype):
    name = "text_model.encoder.layers.0.mlp.fc1.weight"
    file = read_encoder(saved(tmp_path / "clip_fp8.safetensors", plain | {name: plain[name].to(dtype)}))
    kind = str(dtype).removeprefix("torch.")
    with pytest.raises(
        ValueError, match=f"clip_fp8.safetensors must be .* is in {kind}; get the float16 file"
    ):
        check_fit(file, shapes_of(plain))


# Finding


def test_bundled_encoders_come_first_and_names_only_pick(tmp_path):
    bundled, folder, other = tmp_path / "bundled", tmp_path / "a", tmp_path / "b"
    for place in (
        bundled / "tiny-clip-vivid" / "model.safetensors",
        bundled / "tiny-clip" / "model.safetensors",
        folder / "x.pth",
        folder / "in" / "y.safetensors",
        folder / "in" / "deeper" / "z.safetensors",
        folder / "notes.txt",
        folder / ".hidden.pth",
        other / "x.pth",
    ):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    found = tuned_encoders([folder, other, tmp_path / "gone"], bundled=bundled)
    assert list(found) == ["tiny-clip-vivid", "in/y.safetensors", "x.pth"]
    assert found["x.pth"] == folder / "x.pth"
