"""The nodes for text encoders beside a fake ComfyUI; tests/hosts/comfyui has them in the real one."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from presample.models.textcraftor.files import towers, weights_of

PROMPT = "a lake at night"


class Model(torch.nn.Module):
    """One layer with the names of a CLIP text encoder; its state is a product with two of its weights."""

    def __init__(self, seed, width=8, prefix="clip_l"):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        shapes = dict.fromkeys(weights_of(1), (width,))
        shapes |= {name: (300, width) for name in shapes if "embedding" in name}
        tower = torch.nn.Module()
        for name, shape in shapes.items():
            put(tower, f"transformer.{name}", torch.randn(shape, generator=generator))
        put(tower, "logit_scale", torch.tensor(float(seed)))
        self.add_module(prefix, tower)
        self.prefix = prefix

    def forward(self, tokens, layer):
        tower = self.get_submodule(f"{self.prefix}.transformer.text_model")
        state = tower.embeddings.token_embedding.weight[next(iter(tokens.values()))][None]
        state = state * tower.final_layer_norm.weight * (layer or 1)
        return state, state[:, -1]


def put(module, name, tensor):
    *path, last = name.split(".")
    for part in path:
        if not hasattr(module, part):
            module.add_module(part, torch.nn.Module())
        module = getattr(module, part)
    module.register_parameter(last, torch.nn.Parameter(tensor, requires_grad=False))


@pytest.fixture
def make(comfy):
    """Makes a CLIP of random weights."""

    def clip(seed, *, width=8, names=("l",)):
        target = SimpleNamespace(
            clip=Model(seed, width), tokenizer=lambda text: {name: [*text.encode(), 299] for name in names}
        )
        return comfy.fake["comfy.sd"].CLIP(target)

    return clip


def encode(clip, text=PROMPT):
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def same(a, b):
    return len(a) == len(b) and all(
        torch.equal(x, y) and torch.equal(one["pooled_output"], other["pooled_output"])
        for (x, one), (y, other) in zip(a, b, strict=True)
    )


def summed(clips, weights, text=PROMPT):
    entries = [encode(clip, text)[0] for clip in clips]
    cond = sum(w * each[0] for w, each in zip(weights, entries, strict=True))
    pooled = sum(w * each[1]["pooled_output"] for w, each in zip(weights, entries, strict=True))
    return [[cond, {"pooled_output": pooled}]]


@pytest.fixture
def chain(nodes):
    """The CLIP of a chain of Encoder Mix nodes."""

    def chain(clips, weights, weighting="raw"):
        stack = ()
        for clip, weight in zip(clips, weights, strict=True):
            made, stack = nodes["PresampleEncoderMix"].execute(clip, weight, stack, weighting).args
        return made

    return chain


# Encoder Mix


def test_a_mix_gives_the_weighted_sum(chain, make):
    clips = [make(seed) for seed in range(3)]
    assert same(encode(chain(clips, (0.5, 0.3, 0.2))), summed(clips, (0.5, 0.3, 0.2)))
    assert same(encode(chain(clips, (1, 2, 1), "normalize")), summed(clips, (0.25, 0.5, 0.25)))
    mixed = chain(clips, (0.5, 0.3, 0.2))
    tokens = mixed.tokenize(PROMPT)
    wanted = summed(clips, (0.5, 0.3, 0.2))[0]
    assert torch.equal(mixed.encode_from_tokens(tokens), wanted[0])
    cond, pooled = mixed.encode_from_tokens(tokens, return_pooled=True)
    assert torch.equal(cond, wanted[0])
    assert torch.equal(pooled, wanted[1]["pooled_output"])


def test_what_is_set_on_a_mix_counts_for_every_encoder_and_for_nobody_else(chain, make, comfy):
    clips = [make(0), make(1)]
    mixed = chain(clips, (0.5, 0.5)).clone()
    mixed.clip_layer(-2)
    for clip in clips:
        clip.clip_layer(-2)
    assert same(encode(mixed), summed(clips, (0.5, 0.5)))
    name = "clip_l.transformer.text_model.final_layer_norm.weight"
    patch = {name: ("diff", (torch.ones(8),)), "nowhere": ("diff", (torch.ones(8),))}
    changed = mixed.clone()
    assert changed.add_patches(patch, 0.5, 1.0) == [name]
    assert same(encode(mixed), summed(clips, (0.5, 0.5)))
    for clip in clips:
        clip.add_patches(patch, 0.5, 1.0)
    assert same(encode(changed), summed(clips, (0.5, 0.5)))


def test_hooks_set_on_a_mix_reach_every_encoder_once(chain, make):
    mixed = chain([make(0), make(1)], (0.5, 0.5)).clone()
    hooks = SimpleNamespace()
    mixed.patcher.forced_hooks = hooks
    encode(mixed)
    encode(mixed)
    assert [part.patcher.forced_hooks for part in mixed.parts] == [hooks, hooks]
    assert [len(part.patcher.registered) for part in mixed.parts] == [0, 1]  # the first by who set them


def test_an_encoder_of_weight_0_is_left_out_and_one_alone_is_itself(chain, make):
    a, b = make(0), make(1)
    assert chain([a, b], (0, 2), "normalize") is b
    assert len(chain([a, b, make(2)], (1, 0, 1)).parts) == 2


def test_a_mix_of_nothing_stops_only_those_who_use_it(nodes, make, comfy):
    a, b = make(0), make(1)
    clip, stack = nodes["PresampleEncoderMix"].execute(a, 0.0).args
    assert isinstance(clip, comfy.fake["comfy_execution.graph_utils"].ExecutionBlocker)
    assert "not all 0" in clip.message
    assert nodes["PresampleEncoderMix"].execute(b, 1.0, stack).args[0] is b


def test_a_mix_cannot_be_saved_or_merged_as_one(chain, make, nodes):
    mixed = chain([make(0), make(1)], (0.5, 0.5))
    for ask in (mixed.get_sd, mixed.state_dict_for_saving, mixed.get_key_patches):
        with pytest.raises(ValueError, match="use Encoder Merge"):
            ask()
    for pair in ((make(0), mixed), (mixed, make(0))):
        for w in (0.0, 0.5):
            with pytest.raises(ValueError, match="one set of weights"):
                nodes["PresampleEncoderMerge"].execute(*pair, w)


def test_a_file_is_not_put_into_a_mix(chain, make, nodes, tuned):
    mixed = chain([make(0), make(1)], (0.5, 0.5))
    with pytest.raises(ValueError, match="is an Encoder Mix; load the file before it"):
        nodes["PresampleTextEncoderLoader"].execute(mixed, tuned)


def test_encoders_of_different_kinds_are_named(chain, make, nodes):
    xl = make(1, names=("l", "g"))
    with pytest.raises(ValueError, match=r"the first is the CLIP-L .* number 2 is the CLIP of SDXL"):
        chain([make(0), xl], (0.5, 0.5))
    for node in ("PresampleEncoderInterpolate", "PresampleMixSweep"):
        with pytest.raises(ValueError, match="must be of one kind"):
            nodes[node].execute(make(0), xl, "a", "b")
    with pytest.raises(ValueError, match=r"states of one shape, got \(1, 16, 8\) and \(1, 16, 4\)"):
        encode(chain([make(0), make(1, width=4)], (0.5, 0.5)))
    with pytest.raises(ValueError, match="at most 8 encoders, got 9"):
        chain([make(0)] * 9, [1.0] * 9)


def test_a_lora_that_would_reach_the_first_encoder_only_is_refused(chain, make):
    mixed = chain([make(0), make(1)], (0.5, 0.5)).clone()
    mixed.patcher.injections["bypass_lora"] = []
    with pytest.raises(ValueError, match="a bypass LoRA behind an Encoder Mix"):
        encode(mixed)


# Encoder Interpolate and Mix Sweep


def test_the_steps_have_the_w_that_was_asked_for(nodes, make):
    a, b = make(0), make(1)
    given = {"w": 0.5, "start": 0.25, "end": 1.0, "negative": "original"}
    positive, negative = nodes["PresampleEncoderInterpolate"].execute(a, b, PROMPT, "fog", **given).args
    assert same(negative, encode(a, "fog"))
    assert same(positive[:1], encode(a))
    assert same(positive[1:], summed([a, b], (0.5, 0.5)))
    assert [(facts["clip_start_percent"], facts["clip_end_percent"]) for _, facts in positive] == [
        (0.0, pytest.approx(0.2499)),
        (pytest.approx(0.2499), 1.0),
    ]


def test_a_range_of_another_node_leaves_the_steps_of_each_encoder_as_they_are(nodes, make):
    a, b = make(0), make(1)
    given = {"w": 0.5, "start": 0.25, "end": 1.0, "negative": "original"}
    made = nodes["PresampleEncoderInterpolate"].execute(a, b, PROMPT, "", **given).args[0]
    assert not {"start_percent", "end_percent"}.intersection(*(facts for _, facts in made))


def test_an_encoder_with_a_schedule_of_its_own_keeps_it(nodes, comfy, make, monkeypatch):
    a, b = make(0), make(1)
    for clip in (a, b):
        real = clip.encode_from_tokens_scheduled

        def scheduled(tokens, real=real):
            parts = ((0.0, 0.25), (0.25, 0.5), (0.5, 1.0))
            return [
                [cond, {**facts, "clip_start_percent": first, "clip_end_percent": last}]
                for first, last in parts
                for cond, facts in real(tokens)
            ]

        monkeypatch.setattr(clip, "encode_from_tokens_scheduled", scheduled)
    given = {"w": 0.5, "start": 0.4, "end": 1.0, "negative": "original"}
    made = nodes["PresampleEncoderInterpolate"].execute(a, b, PROMPT, "", **given).args[0]
    edge = pytest.approx(0.3999)
    assert [(facts["clip_start_percent"], facts["clip_end_percent"]) for _, facts in made] == [
        (0.0, 0.25),
        (0.25, edge),
        (edge, 0.5),
        (0.5, 1.0),
    ]


def test_at_the_ends_one_encoder_is_asked_alone(nodes, make, monkeypatch):
    a, b = make(0), make(1)
    for w, one, other in ((0.0, a, b), (1.0, b, a)):
        with monkeypatch.context() as patch:
            patch.setattr(other, "encode_from_tokens_scheduled", None)
            made = nodes["PresampleEncoderInterpolate"].execute(a, b, PROMPT, "", w=w, start=0.0).args[0]
        assert same(made, encode(one))
        assert "clip_start_percent" not in made[0][1]


def test_a_sweep_asks_each_encoder_once(nodes, make, monkeypatch):
    a, b, asked = make(0), make(1), []
    for clip in (a, b):
        real = clip.encode_from_tokens_scheduled
        monkeypatch.setattr(
            clip,
            "encode_from_tokens_scheduled",
            lambda tokens, real=real: asked.append(len(tokens["l"])) or real(tokens),
        )
    sweep = nodes["PresampleMixSweep"]
    positive, negative, w, labels = sweep.execute(a, b, PROMPT, "fog", 0.0, 1.5, 4, start=0.5).args
    assert sorted(asked) == [4, 4, len(PROMPT) + 1, len(PROMPT) + 1]
    assert (w, labels) == ([0.0, 0.5, 1.0, 1.5], ["w 0", "w 0.5", "w 1", "w 1.5"])
    assert [len(each) for each in positive] == [1, 2, 2, 2]
    assert same(negative[3][1:], summed([a, b], (-0.5, 1.5), "fog"))
    assert sweep.execute(a, b, first=0.3, count=1).args[2] == [0.3]


def test_options_are_checked_before_anything_is_encoded(nodes, make):
    with pytest.raises(ValueError, match="start must not lie behind end"):
        nodes["PresampleEncoderInterpolate"].execute(None, None, start=0.9, end=0.1)


# Load Text Encoder and Encoder Merge


@pytest.fixture
def tuned(comfy, make):
    """A file in ComfyUI's folder with the encoder of `make(5)`."""
    folder = comfy.base / "models" / "textcraftor"
    folder.mkdir(parents=True, exist_ok=True)
    state = make(5).cond_stage_model.state_dict()
    (prefix,) = towers(state)
    tensors = {f"module.{n.removeprefix(prefix)}": t for n, t in state.items() if n.startswith(prefix)}
    save_file(tensors, folder / "vivid.safetensors")
    yield "vivid.safetensors"
    (folder / "vivid.safetensors").unlink()


def test_a_file_replaces_the_encoder_and_the_clip_stays(nodes, make, tuned):
    node, base = nodes["PresampleTextEncoderLoader"], make(0)
    assert tuned in node.GET_SCHEMA().inputs[1].facts["options"]
    name = "clip_l.transformer.text_model.final_layer_norm.weight"
    base.add_patches({name: ("diff", (torch.ones(8),))}, 0.5, 1.0)
    before = encode(base)
    clip, report = node.execute(base, tuned).args
    wanted = make(5)
    wanted.add_patches({name: ("diff", (torch.ones(8),))}, 0.5, 1.0)
    assert same(encode(clip), encode(wanted))
    assert same(encode(base), before)
    assert report == "20 tensors of vivid.safetensors are the clip's CLIP of 1 layers of 8 now"


def test_where_weights_cannot_be_copied_they_are_patches(nodes, make, tuned, comfy, monkeypatch, caplog):
    base = make(0)
    name = "clip_l.transformer.text_model.final_layer_norm.weight"
    base.add_patches({name: ("diff", (torch.ones(8),))}, 0.5, 1.0)
    wanted = make(5)
    wanted.add_patches({name: ("diff", (torch.ones(8),))}, 0.5, 1.0)
    monkeypatch.setattr(comfy.encoders, "_copied", lambda clip, changes: clip.gone)
    made = nodes["PresampleTextEncoderLoader"].execute(base, tuned).args[0]
    assert same(encode(made), encode(wanted))
    assert "which is slower" in caplog.text
    monkeypatch.setattr(comfy.encoders, "_copied", None)
    base.cond_stage_model.add_module("t5xxl", torch.nn.Linear(2000, 20))
    made = nodes["PresampleTextEncoderLoader"].execute(base, tuned).args[0]
    assert made.cond_stage_model is base.cond_stage_model


class Native:
    """What holds memory by its address; two of the same address free it twice."""

    def __deepcopy__(self, memo):
        raise AssertionError("memory got a second owner")


@pytest.mark.parametrize("why", ["dynamic", "was dynamic", "bypass LoRA"])
def test_a_model_that_can_have_one_owner_only_is_patched(nodes, make, tuned, why):
    base, before = make(0), encode(make(0))
    base.cond_stage_model.native = Native()
    if why == "dynamic":
        base.patcher.is_dynamic = lambda: True
    elif why == "was dynamic":  # as ComfyUI's patchers are on a processor
        base.cond_stage_model.dynamic_pins = {"cuda:0": base.cond_stage_model.native}
    else:
        base.patcher.injections["bypass_lora"] = ["what reaches into the model's modules"]
    made = nodes["PresampleTextEncoderLoader"].execute(base, tuned).args[0]
    assert same(encode(made), encode(make(5)))
    assert same(encode(base), before)
    assert made.cond_stage_model is base.cond_stage_model
    assert made.patcher.injections == base.patcher.injections


def test_of_two_files_the_later_one_counts_and_lora_stays(comfy, make):
    name = "clip_l.transformer.text_model.final_layer_norm.weight"
    made, wanted = make(0), make(6)
    for clip in (made, wanted):
        clip.add_patches({name: ("diff", (torch.ones(8),))}, 0.5, 1.0)
    made.cond_stage_model.dynamic_pins = {}
    for seed in (5, 6):
        made = comfy.encoders.with_weights(made, make(seed).cond_stage_model.state_dict())
    assert same(encode(made), encode(wanted))


def test_a_clip_whose_patcher_has_another_model_gets_the_weights_there(nodes, make, tuned, comfy):
    """As ComfyUI's Select CLIP Device leaves it."""
    base, other = make(0), make(0)
    base.cond_stage_model.dynamic_pins = {}
    base.patcher = other.patcher
    made = nodes["PresampleTextEncoderLoader"].execute(base, tuned).args[0]
    name = "clip_l.transformer.text_model.final_layer_norm.weight"
    assert made.cond_stage_model is other.cond_stage_model
    assert name in made.patcher.patches


def test_a_file_that_does_not_fit_or_is_not_there_is_named(nodes, make, tuned, comfy):
    node = nodes["PresampleTextEncoderLoader"]
    with pytest.raises(
        ValueError, match=r"vivid.safetensors is a CLIP of 1 layers of 8 .* CLIP of 1 layers of 4"
    ):
        node.execute(make(0, width=4), tuned)
    t5 = make(0, names=("t5xxl",))
    t5.cond_stage_model = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"must hold a CLIP text encoder .* and is T5, no CLIP"):
        node.execute(t5, tuned)
    for name in ("../vivid.safetensors", "gone.pth"):
        with pytest.raises(
            ValueError, match=r"must be one of .*vivid.safetensors; got .* into .*textcraftor"
        ):
            node.execute(make(0), name)
    assert node.validate_inputs("gone.pth") is True
    assert node.validate_inputs(None) is True  # as ComfyUI says of a linked input
    assert node.fingerprint_inputs("gone.pth") != node.fingerprint_inputs(tuned)


def test_a_merge_lies_between_the_weights(nodes, make):
    a, b, node = make(1), make(2), nodes["PresampleEncoderMerge"]
    for w, wanted in ((0.0, a), (1.0, b)):
        assert same(encode(node.execute(a, b, w).args[0]), encode(wanted))
    merged = node.execute(a, b, 0.25).args[0]
    assert "clip_l.logit_scale" not in merged.patcher.patches
    assert not same(encode(merged), summed([a, b], (0.75, 0.25)))
    states = [clip.cond_stage_model.state_dict() for clip in (a, b)]
    half = make(1)
    half.cond_stage_model.load_state_dict({n: 0.75 * t + 0.25 * states[1][n] for n, t in states[0].items()})
    assert torch.allclose(encode(merged)[0][0], encode(half)[0][0], atol=1e-6)
    with pytest.raises(ValueError, match="must be of one kind"):
        node.execute(a, make(0, names=("g", "l")), 0.5)


# Contact Sheet


def test_a_batch_is_a_column_of_the_sheet(nodes):
    pytest.importorskip("PIL")
    node = nodes["PresampleContactSheet"]
    images = [torch.full((2, 20, 30, 3), value) for value in (0.2, 0.5, 0.8)]
    (sheet,) = node.execute(images, ["w 0", "w 0.5"], ["row"], [0], [2]).args
    assert sheet.shape[0] == 1
    assert sheet.shape[2] > 3 * 60
    assert 2 * 40 < sheet.shape[1] < 4 * 40 + 200
    line = sheet[0, :, :, 0]
    for value in (0.2, 0.5, 0.8):
        assert ((line - value).abs() < 0.01).sum() >= 2 * 40 * 60
    (tall,) = node.execute(images, [], [""], [1], [1]).args
    assert tall.shape[2] < sheet.shape[2]
    assert tall.shape[1] > 6 * 20
    assert node.GET_SCHEMA().is_input_list
    with pytest.raises(ValueError, match="at most one label for each of 1 images, got 2; a batch counts as"):
        node.execute(images[:1], ["a", "b"])
