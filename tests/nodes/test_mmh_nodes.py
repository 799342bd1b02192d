"""The nodes of MMH-DiT beside a fake ComfyUI; in the real one they are tested in tests/hosts/comfyui."""

import functools
import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from presample.models.mmh_dit import checkpoint, flow
from presample.models.mmh_dit.config import MMHDiTConfig
from presample.models.mmh_dit.model import Hooks, MMHDiT, init_weights
from presample.models.mmh_dit.rope import Stretch
from presample.models.mmh_dit.text import PADDINGS, TextOptions
from presample.models.options import describe
from presample.models.tinyworld.clip import LENGTH

SMALL = MMHDiTConfig(hidden=48, heads=(2, 4, 12), text_dim=20, mlp_hidden=64, cond_dim=32, gate_init=0.3)


@pytest.fixture(scope="module")
def plain():
    model, generator = MMHDiT(SMALL), torch.Generator().manual_seed(0)
    init_weights(model, generator)
    with torch.no_grad():
        for weight in model.final.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return model.requires_grad_(False)


@pytest.fixture
def state(plain):
    """The tensors of a file of ours."""
    return {**plain.state_dict(), checkpoint.CONFIG_KEY: checkpoint.config_tensor(SMALL)}


@pytest.fixture
def registered(comfy):
    comfy.native_mmh_dit.register()
    return comfy


def loaded(comfy, state, prefix=""):
    """What ComfyUI makes of a file's tensors: detection, config, model, weights."""
    found = comfy.fake["comfy.model_detection"].detect_unet_config(state, prefix)
    (kind,) = [
        m for m in comfy.fake["comfy.supported_models"].models if m.unet_config.items() <= found.items()
    ]
    model = kind(found).get_model(state)
    model.diffusion_model.load_state_dict(model.model_config.process_unet_state_dict(state))
    return SimpleNamespace(model=model, get_model_object=lambda name: getattr(model, name))


@pytest.fixture
def model(registered, state):
    """A MODEL."""
    return loaded(registered, state)


def random(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


def conditioning(tokens=5, *, seed=1, mask=None):
    text = torch.randn(1, tokens, 20, generator=torch.Generator().manual_seed(seed))
    return [[text, {} if mask is None else {"attention_mask": torch.tensor([mask])}]]


# Registration


def test_it_is_registered_once_however_often(registered):
    registered.native_mmh_dit.register()
    models = registered.fake["comfy.supported_models"].models
    ours = [m for m in models if m.unet_config.get("image_model") == registered.native_mmh_dit.IMAGE_MODEL]
    assert ours == [registered.native_mmh_dit.SupportedMMHDiT]


def test_other_files_are_left_to_comfyui(registered, state):
    detect = registered.fake["comfy.model_detection"].detect_unet_config
    assert detect({"x.other": torch.ones(1)}, "x.") == {"image_model": "other"}
    assert detect({"bos.weight": state["bos.weight"]}, "", metadata={}) is None


def test_a_reload_takes_effect_below_wrappers_of_others(registered, monkeypatch):
    module, ours = registered.fake["comfy.model_detection"], registered.native_mmh_dit
    known = module.detect_unet_config

    @functools.wraps(known)
    def of_another_pack(*args, **kwargs):
        return known(*args, **kwargs)

    monkeypatch.setattr(module, "detect_unet_config", of_another_pack)
    monkeypatch.setattr(ours, "detect", lambda state_dict, prefix, metadata: {"image_model": "reloaded"})
    ours.register()
    assert module.detect_unet_config is of_another_pack
    assert module.detect_unet_config({}, "") == {"image_model": "reloaded"}
    monkeypatch.undo()
    ours.register()
    assert module.detect_unet_config({}, "") is None


def test_a_changed_comfyui_costs_the_other_nodes_nothing(registered, monkeypatch, caplog):
    monkeypatch.delattr(registered.fake["comfy.model_detection"], "detect_unet_config")
    registered.registry.register_models()
    assert "will not know MMH-DiT files" in caplog.text
    monkeypatch.setitem(__import__("sys").modules, "presample.nodes.mmh_dit", None)
    monkeypatch.delattr(__import__("presample.nodes").nodes, "mmh_dit")
    names = {module.__name__.rpartition(".")[2] for module in registered.registry.modules()}
    assert {"tipo_model", "tipo", "tipo_use", "prompts", "textcraftor"} <= names
    assert not names & {"mmh_dit", "tiny_world"}
    assert "are left out; the other nodes work" in caplog.text


# Files


def test_the_config_comes_from_the_tensor_or_the_metadata(registered, state):
    detect = registered.fake["comfy.model_detection"].detect_unet_config
    found = detect({f"p.{name}": tensor for name, tensor in state.items()}, "p.")
    assert found["mmh_dit"] == SMALL.to_dict()
    held = state.pop(checkpoint.CONFIG_KEY)
    facts = {checkpoint.CONFIG_KEY: bytes(held.tolist()).decode()}
    assert detect(state, "", metadata=facts) == found
    assert detect(state, "", facts) == found
    with pytest.raises(ValueError, match=r"head counts, which no shape tells.*`presample convert .*--heads"):
        detect(state, "")


def test_latents_of_another_autoencoder_are_refused(registered):
    narrow = MMHDiTConfig(hidden=48, heads=(2, 4), in_ch=4, text_dim=20)
    state = {**MMHDiT(narrow).state_dict(), checkpoint.CONFIG_KEY: checkpoint.config_tensor(narrow)}
    with pytest.raises(ValueError, match=r"16 latent channels.* the file is for 4"):
        registered.native_mmh_dit.detect(state, "")


@pytest.mark.parametrize(
    ("name", "tensor", "said"),
    [
        ("blocks.1.attn.out.weight", None, "every weight of an MMH-DiT of 3 blocks.*missing"),
        ("final.scale.weight", torch.ones(2, 2), "wrong shape.*final.scale.weight"),
        ("blocks.0.mlp.w2.weight", torch.full((48, 64), float("inf")), "w2.weight of the file hold NaN"),
    ],
)
def test_weights_that_do_not_do_are_named(registered, state, name, tensor, said):
    state[name] = tensor
    state = {name: tensor for name, tensor in state.items() if tensor is not None}
    with pytest.raises(ValueError, match=said):
        loaded(registered, state)


def test_what_comfyui_saves_is_read_by_us_with_its_heads(model, plain, tmp_path):
    kind = model.model.model_config
    saved = kind.process_unet_state_dict_for_saving(model.model.diffusion_model.state_dict())
    save_file(saved, tmp_path / "saved.safetensors")
    again = checkpoint.load(tmp_path / "saved.safetensors")
    assert again.config == SMALL
    x, t = random(1, 16, 4, 4), torch.tensor([0.3])
    assert torch.allclose(again(x, t), plain(x, t), atol=1e-5)


# The forward pass


def test_time_and_sign_are_those_of_comfyui(model, plain):
    x, sigma = random(2, 16, 5, 6), torch.tensor([0.25, 0.75])
    text = conditioning()[0][0].expand(2, -1, -1)
    made = model.model.diffusion_model(x, sigma, text, None, {})
    assert torch.allclose(made, -plain(x, 1 - sigma, text), atol=1e-6)


def test_a_block_can_be_replaced_and_skipped_and_knows_where_it_is(model):
    x, sigma, seen = random(1, 16, 4, 4), torch.tensor([0.5]), []

    def watch(args, extra):
        seen.append(
            {key: args["transformer_options"][key] for key in ("block_index", "img_slice", "total_blocks")}
        )
        return extra["original_block"](args)

    run = model.model.diffusion_model
    watched = run(x, sigma, None, None, {"patches_replace": {"dit": {("single_block", 1): watch}}})
    assert seen == [{"block_index": 1, "img_slice": [1, 5], "total_blocks": 3}]
    assert torch.equal(watched, run(x, sigma))
    skip = {("single_block", i): lambda args, extra: args for i in range(3)}
    assert not torch.allclose(run(x, sigma, None, None, {"patches_replace": {"dit": skip}}), watched)


def test_positions_are_stretched_and_moved_on_their_own_axes(model, plain):
    x, sigma, text = random(1, 16, 8, 12), torch.tensor([0.5]), conditioning()[0][0]
    given = {"scale_y": 0.5, "scale_x": 1.5, "shift_y": -3.0, "shift_x": 2.0}
    made = model.model.diffusion_model(x, sigma, text, None, {"rope_options": given})
    wanted = plain(x, 1 - sigma, text, hooks=Hooks(stretch=Stretch((0.5, 1.5), (-3.0, 2.0))))
    assert torch.allclose(made, -wanted, atol=1e-6)
    assert not torch.allclose(wanted, plain(x, 1 - sigma, text), atol=1e-3)


# Text


def test_padding_is_cut_off_and_a_mask_is_kept_where_rows_differ(model):
    text = conditioning(4)[0][0]
    given = model.model.extra_conds(cross_attn=text, attention_mask=torch.tensor([[1, 1, 0, 0]]))
    assert torch.equal(given["c_crossattn"].cond, text[:, :2])
    assert "attention_mask" not in given
    two = model.model.extra_conds(
        cross_attn=text.expand(2, -1, -1), attention_mask=torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0]])
    )
    assert two["attention_mask"].cond.tolist() == [[True, True, False], [True, True, True]]
    nothing = model.model.extra_conds(cross_attn=text, attention_mask=torch.zeros(1, 4))
    assert not {"c_crossattn", "attention_mask"} & set(nothing)


@pytest.mark.parametrize(
    ("mask", "kept"),
    [([1, 0], [0, 2, 3]), ([0, 0], [2, 3]), ([1, 1], [0, 1, 2, 3]), ([1, 1, 1, 0, 0, 0], [0, 1, 2])],
)
def test_of_joined_texts_the_padding_that_is_known_is_cut_off(model, mask, kept):
    """Conditioning (Concat) keeps the first one's mask."""
    text = conditioning(4)[0][0]
    given = model.model.extra_conds(cross_attn=text, attention_mask=torch.tensor([mask]))
    assert torch.equal(given["c_crossattn"].cond, text[:, kept])
    assert "attention_mask" not in given


def test_of_joined_texts_whose_rows_differ_the_mask_covers_all(model):
    text = conditioning(4)[0][0].expand(2, -1, -1)
    given = model.model.extra_conds(cross_attn=text, attention_mask=torch.tensor([[1, 1], [1, 0]]))
    assert given["attention_mask"].cond.tolist() == [[True] * 4, [True, False, True, True]]


def test_another_text_encoder_is_named(model):
    with pytest.raises(ValueError, match="must have 20 numbers a token for this model, got 7"):
        model.model.extra_conds(cross_attn=torch.ones(1, 3, 7))


class Clip:
    """A T5 whose tokens are letters, filled up to 8 with id 0; a weight of 2 for capitals."""

    def __init__(self, name="t5xxl", *, fixed=False, **more):
        words = SimpleNamespace(end_token=1, pad_token=0, tokens_start=0, pad_to_max_length=fixed, **more)
        self.name, self.tokenizer = name, SimpleNamespace(**{f"clip_{name}": words})

    def tokenize(self, text):
        row = [(ord(letter), 2.0 if letter.isupper() else 1.0) for letter in text.strip()] + [(1, 1.0)]
        return {self.name: [row + [(0, 1.0)] * (8 - len(row))]}

    def encode_from_tokens_scheduled(self, tokens):
        self.seen = tokens[self.name][0]
        facts = {"attention_mask": torch.tensor([[int(token != 0) for token, _ in self.seen]])}
        return [[torch.ones(1, len(self.seen), 20), facts]]


def test_a_prompt_is_cut_and_its_weights_stay(nodes):
    clip, node = Clip(), nodes["PresampleMMHDiTTextEncode"]
    made, count = node.execute(clip, "aBc", length=3).args
    assert clip.seen == [(97, 1.0), (66, 2.0), (1, 1.0)]
    assert (count, made[0][0].shape[1]) == (3, 3)
    assert made[0][1]["attention_mask"].tolist() == [[1, 1, 1]]


def test_padding_that_is_seen_has_no_mask(nodes):
    clip = Clip()
    made, count = nodes["PresampleMMHDiTTextEncode"].execute(clip, "ab", length=6, padding="visible").args
    assert [token for token, _ in clip.seen] == [97, 98, 1, 0, 0, 0]
    assert "attention_mask" not in made[0][1]
    assert count == 6


@pytest.mark.parametrize("padding", PADDINGS)
def test_no_more_tokens_are_given_than_the_encoder_has_places_for(nodes, padding):
    clip = Clip("tiny_clip", positions=6)
    made, count = nodes["PresampleMMHDiTTextEncode"].execute(clip, "abcdefgh", padding=padding).args
    assert [token for token, _ in clip.seen] == [97, 98, 99, 100, 101, 1]
    assert (count, made[0][0].shape[1]) == (6, 6)
    short = nodes["PresampleMMHDiTTextEncode"].execute(clip, "ab", length=4, padding=padding).args
    assert short[1] == (3 if padding == "none" else 4)


def test_the_little_worlds_encoder_says_how_many_that_are(comfy):
    assert comfy.native_tiny_clip.TinyRow.positions == LENGTH
    (told,) = [fact.help for fact in describe(TextOptions) if fact.name == "length"]
    assert f"at most {LENGTH} for the little world's CLIP" in told


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_prompt_is_no_text(nodes, text):
    made, count = nodes["PresampleMMHDiTTextEncode"].execute(Clip(), text).args
    assert not made[0][1]["attention_mask"].any()
    assert count == 0


@pytest.mark.parametrize("clip", [Clip("l", fixed=True), Clip("t5xxl", fixed=True)])
def test_an_encoder_of_fixed_length_is_refused(nodes, clip):
    with pytest.raises(ValueError, match="takes prompts of any length"):
        nodes["PresampleMMHDiTTextEncode"].execute(clip, "a")


@pytest.mark.parametrize("text", ["a lake", ""])
def test_an_encoder_that_adds_tokens_of_others_is_refused(nodes, text):
    """As SD3's CLIP does, which has a T5 too."""

    class Several(Clip):
        def tokenize(self, text):
            return {"l": [[(1, 1.0)] * 77], **super().tokenize(text)}

        def encode_from_tokens_scheduled(self, tokens):
            ((cond, facts),) = super().encode_from_tokens_scheduled(tokens)
            return [[torch.cat([torch.ones(1, 77, 20), cond], 1), facts]]

    with pytest.raises(ValueError, match=r"alone, got \d+ with those of .* \(l, t5xxl\); load T5 v1.1 XXL"):
        nodes["PresampleMMHDiTTextEncode"].execute(Several(), text)


# Sampling


def test_sigmas_are_exactly_equally_far_apart(nodes):
    made = nodes["PresampleICFMSigmas"].execute(steps=28).args[0]
    assert torch.equal(made, torch.linspace(1, 0, 29, dtype=torch.float64).float())
    assert nodes["PresampleICFMSigmas"].execute(steps=10, denoise=0.5).args[0][0] == 0.5
    shifted = nodes["PresampleICFMSigmas"].execute(steps=2, shift=3.0).args[0]
    assert torch.allclose(shifted, torch.tensor([1.0, 0.75, 0.0]))


@pytest.mark.parametrize("rule", flow.RULES)
@pytest.mark.parametrize(("denoise", "sigma", "shift"), [(1.0, 0.0, 1.0), (0.5, 0.2, 1.0), (1.0, 0.3, 3.0)])
def test_the_sampler_gives_what_our_own_gives(nodes, model, plain, rule, denoise, sigma, shift):
    latent = torch.zeros(1, 4, 6, 6) if denoise == 1 else random(1, 16, 6, 6)
    options = {"steps": 6, "cfg": 3.0, "sampler": rule, "denoise": denoise, "icfm_sigma": sigma}
    options["shift"] = shift
    positive = conditioning(mask=[1, 1, 1, 0, 0])
    given = {"samples": latent, "downscale_ratio_spacial": 8, "batch_index": None}
    made = nodes["PresampleMMHDiTSampler"].execute(model, positive, given, seed=3, **options).args[0]
    form = model.model.latent_format
    wanted = flow.sample(
        plain,
        flow.noise((16, 6, 6), [3]),
        flow.Text(positive[0][0], positive[0][1]["attention_mask"].bool()),
        options=flow.SampleOptions(**options),
        latent=None if denoise == 1 else form.process_in(latent),
    )
    assert torch.allclose(made["samples"], form.process_out(wanted), atol=1e-4)
    assert set(made) == {"samples", "batch_index"}


@pytest.mark.parametrize(("denoise", "rule"), [(1.0, "euler"), (0.5, "heun")])
def test_a_shift_of_the_models_own_multiplies_that_of_the_sampler(nodes, model, monkeypatch, denoise, rule):
    def made(shift):
        latent = {"samples": random(1, 16, 4, 4)}
        options = {"steps": 4, "denoise": denoise, "sampler": rule, "shift": shift, "icfm_sigma": 0.1}
        node = nodes["PresampleMMHDiTSampler"]
        return node.execute(model, conditioning(), latent, **options).args[0]["samples"]

    plain, wanted = made(1.5), made(3.0)

    def doubled(percent):
        return 2 * (1 - percent) / (2 - percent)

    monkeypatch.setattr(model.model.model_sampling, "percent_to_sigma", doubled)
    assert torch.allclose(made(1.5), wanted, atol=1e-5)
    assert not torch.allclose(plain, wanted, atol=1e-2)


def test_without_a_sigma_the_first_noise_is_plain_whatever_the_models_path_was(nodes, model):
    def made(**options):
        empty = {"samples": torch.zeros(1, 16, 4, 4)}
        return nodes["PresampleMMHDiTSampler"].execute(model, conditioning(), empty, steps=2, **options)

    plain = made().args[0]["samples"]
    known = model.model.model_config.unet_config
    known["mmh_dit"] = {**known["mmh_dit"], "icfm_sigma": 0.4}
    assert torch.equal(made().args[0]["samples"], plain)
    assert not torch.allclose(made(icfm_sigma=0.4).args[0]["samples"], plain)


def test_only_what_the_mask_opens_is_painted(nodes, model):
    latent, mask = random(1, 16, 4, 6), torch.zeros(1, 1, 4, 6)
    mask[..., 3:] = 1
    given = {"samples": latent, "noise_mask": mask}
    options = {"steps": 2, "denoise": 0.5}
    made = nodes["PresampleMMHDiTSampler"].execute(model, conditioning(), given, **options).args[0]
    assert torch.allclose(made["samples"][..., :3], latent[..., :3], atol=1e-5)
    assert not torch.isclose(made["samples"][..., 3:], latent[..., 3:], atol=1e-3).all()
    assert made["noise_mask"] is mask


def test_a_picture_alone_has_the_noise_of_its_place_in_the_batch(nodes, model):
    def made(count, **more):
        empty = {"samples": torch.zeros(count, 16, 4, 4), **more}
        return nodes["PresampleMMHDiTSampler"].execute(model, conditioning(), empty, seed=5, steps=2).args[0]

    together, alone = made(3)["samples"], made(1, batch_index=[2])["samples"]
    assert torch.allclose(alone[0], together[2], atol=1e-5)
    assert not torch.allclose(alone[0], together[0], atol=1e-3)


def test_every_step_is_previewed_as_it_foresees_the_picture(comfy, nodes, model, monkeypatch):
    told = []

    def prepare(given, steps):
        return lambda *step: told.append((given, steps, *step))

    monkeypatch.setattr(comfy.fake["latent_preview"], "prepare_callback", prepare)
    empty = {"samples": torch.zeros(1, 16, 4, 4)}
    made = nodes["PresampleMMHDiTSampler"].execute(model, conditioning(), empty, steps=3).args[0]["samples"]
    form = model.model.latent_format
    assert [(given, steps, i, total) for given, steps, i, _, _, total in told] == [
        (model, 3, i, 3) for i in range(3)
    ]
    assert torch.allclose(form.process_out(told[-1][3]), made, atol=1e-5)  # the last step foresees it whole
    assert not torch.allclose(told[0][3], told[0][4], atol=1e-3)


def test_the_callback_is_told_where_every_step_is(nodes):
    seen, sampling = [], sys.modules[nodes["PresampleMMHDiTSampler"].__module__]

    def ask(x, sigma):
        return torch.full_like(x, 2.0)

    how = {"rule": "euler", "callback": seen.append, "disable": True}
    made = sampling.sample_flow(ask, torch.ones(1, 2), torch.tensor([1.0, 0.5, 0.0]), **how)
    assert torch.allclose(made, torch.full((1, 2), 2.0))
    assert [(told["i"], float(told["sigma"])) for told in seen] == [(0, 1.0), (1, 0.5)]
    assert torch.allclose(torch.stack([told["x"] for told in seen]), torch.tensor([[[1.5] * 2], [[2.0] * 2]]))
    assert all(torch.allclose(told["denoised"], torch.full((1, 2), 2.0)) for told in seen)


class WithoutFloat64(torch.Tensor):
    """A tensor on a device such as Apple's; `cpu` gives one that is not."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        made = super().__torch_function__(function, types, args, kwargs)
        if getattr(made, "dtype", None) == torch.float64:
            raise TypeError("the device has no float64")
        return made.as_subclass(torch.Tensor) if function is torch.Tensor.cpu else made


def test_it_samples_on_devices_without_float64(nodes):
    sampling, sigmas = sys.modules[nodes["PresampleMMHDiTSampler"].__module__], torch.tensor([1.0, 0.5, 0.0])

    def made(*given):
        return sampling.sample_flow(lambda x, sigma: 0.5 * x, *given, rule="heun", disable=True)

    x = torch.ones(1, 2)
    assert torch.equal(made(*(each.as_subclass(WithoutFloat64) for each in (x, sigmas))), made(x, sigmas))


def test_a_negative_prompt_counts(nodes, model):
    node, empty = nodes["PresampleMMHDiTSampler"], {"samples": torch.zeros(1, 16, 4, 4)}
    one, other = (
        node.execute(model, conditioning(), empty, negative, steps=2).args[0]["samples"]
        for negative in (None, conditioning(seed=9))
    )
    assert not torch.allclose(one, other)


def test_an_interrupt_is_obeyed(comfy, nodes, model):
    management = comfy.fake["comfy.model_management"]
    management.state.interrupted = True
    with pytest.raises(management.InterruptProcessingException):
        nodes["PresampleMMHDiTSampler"].execute(model, conditioning(), {"samples": torch.zeros(1, 16, 4, 4)})


def test_another_model_is_refused(nodes):
    other = SimpleNamespace(model=SimpleNamespace(model_config=SimpleNamespace(unet_config={})))
    with pytest.raises(ValueError, match=r"must be an MMH-DiT.*KSampler"):
        nodes["PresampleMMHDiTSampler"].execute(other, conditioning(), {"samples": torch.zeros(1, 16, 4, 4)})


# Head counts, and the little world


def test_heads_are_shown_of_a_model_and_of_a_list(nodes, model):
    node = nodes["PresampleMMHHeadAllocation"]
    assert node.execute(model).args[1] == "2,4,12"
    text, heads = node.execute(kind="custom", hidden=96, heads="8x2, 12").args
    assert text.splitlines() == [
        "blocks 0 to 1: 8 heads of size 12",
        "block 2: 12 heads of size 8",
        "width 96, 3 blocks, 2 head sizes",
    ]
    assert heads == "8,8,12"
    with pytest.raises(ValueError, match="must divide hidden 96"):
        node.execute(kind="custom", hidden=96, heads="7")


def test_a_little_world_that_is_not_there_is_named(comfy, nodes, monkeypatch, tmp_path):
    hub = comfy.tiny_world.bundled_weights.__globals__  # of the pack as this fake host has loaded it
    monkeypatch.setitem(hub, "BUNDLED", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"mmh-dit-tiny.*install the package again"):
        nodes["PresampleTinyWorldLoader"].execute()
