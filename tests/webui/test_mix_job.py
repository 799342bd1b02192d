"""A mix in a job: every step has what it is to have, and nothing of it is left behind."""

import sys
from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from mix_fake import Embedding, Engine, Fix, Job, encode, host_shared, mixed, tensors
from safetensors.torch import save_file
from webui_fake import process_images_inner

from presample.models.textcraftor.options import MixOptions

LAKE, NIGHT = "lake", "(night"


def alone(seed, text):
    """What a model with the encoder of that seed makes of a text."""
    return encode(host_shared(Engine(seed)), text)


def equal(found, wanted):
    return len(found) == len(wanted) and all(map(torch.equal, found, wanted))


def test_the_original_leads_the_first_two_fifths_of_the_steps_and_the_tuned_one_the_rest(host):
    p = mixed(host, w=1.0)
    for step in range(10):
        assert equal(p.seen(step), [alone(0 if step < 4 else 1, LAKE)]), step
        assert equal(p.seen(step, of="uc"), [alone(0 if step < 4 else 1, "bad")]), step


def test_a_copy_of_a_job_whose_pictures_are_made_takes_nothing_out_of_their_infotexts(host):
    p = mixed(host, w=1.0)
    said = dict(p.extra_generation_params)
    args = {"enabled": True, "encoder_1": "vivid.safetensors", "w": 1.0}
    process_images_inner(p, lambda: host.script.process(copy(p), args))
    assert p.extra_generation_params == said != {}
    host.script.process(copy(p), {})
    assert p.extra_generation_params == {}, "a cell of a grid, later"


@pytest.mark.parametrize("steps", [1, 2, 7, 20, 25, 30, 50])
def test_every_step_has_the_w_that_the_options_state(host, steps):
    from presample.models.textcraftor.mix import w_of_step

    options = MixOptions(w=0.5, start=0.3, end=0.8)
    p = mixed(host, job={"steps": steps}, w=0.5, start=0.3, end=0.8)
    for step in range(steps):
        half = (alone(0, LAKE) + alone(1, LAKE)) / 2
        wanted = half if w_of_step(step, steps, options) else alone(0, LAKE)
        torch.testing.assert_close(p.seen(step)[0], wanted)


def test_behind_the_last_step_the_last_entry_holds(host):
    """Adaptive samplers ask more often than there are steps, and hosts would begin anew."""
    assert equal(mixed(host, w=1.0).seen(1000), [alone(1, LAKE)])


def test_two_encoders_and_the_original(host):
    said = {"encoder_2": "soft.safetensors", "weight_1": 1.5, "weight_2": 0.5, "w": 0.5, "start": 0.0}
    p = mixed(host, ["lake AND (night"], **said)
    for found, text in zip(p.seen(0), ("lake ", " (night"), strict=True):
        wanted = 0.5 * alone(0, text) + 0.375 * alone(1, text) + 0.125 * alone(2, text)
        torch.testing.assert_close(found, wanted)
    assert [part.weight for part in p.c.batch[0]] == [1, 2]


def test_prompt_editing_and_different_prompts_go_on_under_the_mix(host):
    p = mixed(host, ["lake|city", NIGHT], w=1.0)
    assert [seen.tolist() for seen in p.seen(2)] == [alone(0, "lake").tolist(), alone(0, NIGHT).tolist()]
    assert equal(p.seen(3), [alone(0, "city"), alone(0, NIGHT)])
    assert equal(p.seen(4), [alone(1, "city"), alone(1, NIGHT)])
    early = mixed(host, ["lake|city"], w=1.0, start=0.1)
    assert [
        equal(early.seen(step), [alone(seed, text)])
        for step, seed, text in [
            (0, 0, "lake"),
            (1, 1, "lake"),
            (2, 1, "lake"),
            (3, 1, "city"),
            (9, 1, "city"),
        ]
    ] == [True] * 5


@pytest.mark.parametrize(
    ("negative", "seed"),
    [({"negative": "same"}, 1), ({"negative": "original"}, 0), ({"negative": "own"}, None)],
)
def test_the_negative_prompt_has_its_own_weight(host, negative, seed):
    p = mixed(host, w=1.0, start=0.0, negative_w=0.25, **negative)
    wanted = 0.75 * alone(0, "bad") + 0.25 * alone(1, "bad") if seed is None else alone(seed, "bad")
    torch.testing.assert_close(p.seen(0, of="uc")[0], wanted)
    assert equal(p.seen(0), [alone(1, LAKE)])


def test_at_0_nothing_is_computed_otherwise(host):
    p = mixed(host, w=0.0)
    assert equal(p.seen(9), [alone(0, LAKE)])
    assert host.shared.sd_model.cond_stage_model.calls == 2, "one for each prompt"
    assert p.extra_generation_params["Encoder mix w"] == "0.0"


def test_what_is_cached_of_one_mix_is_not_taken_for_another(host):
    cache, said = {"c": [None, None], "uc": [None, None], "hr": [None, None]}, []
    for args in ({}, {"w": 1.0}, {"w": 0.5}, {"w": 0.5, "start": 0.0}, {}):
        said.append(mixed(host, cache=cache, **args).seen(9)[0])
    assert torch.equal(said[0], said[-1])
    assert torch.equal(said[1], alone(1, LAKE))
    torch.testing.assert_close(said[2], (alone(0, LAKE) + alone(1, LAKE)) / 2)
    engine = host.shared.sd_model.cond_stage_model
    mixed(host, cache=cache, w=1.0)
    before = engine.calls
    mixed(host, cache=cache, w=1.0)
    assert engine.calls == before, "the same mix again comes from the cache"
    save_file(tensors(5), host.folder / "vivid.safetensors")
    assert equal(mixed(host, cache=cache, w=1.0).seen(9), [alone(5, LAKE)]), "the file is another one"


def test_the_model_is_as_it_was_and_the_same_objects(host):
    engine = host.shared.sd_model.cond_stage_model
    before = dict(engine.named_parameters(remove_duplicate=False))
    mixed(host, w=0.5)
    after = dict(engine.named_parameters(remove_duplicate=False))
    assert all(after[name] is before[name] for name in before)
    assert "encode_with_transformers" not in vars(engine)


def test_an_exception_in_the_middle_leaves_nothing(host, monkeypatch):
    engine = host.shared.sd_model.cond_stage_model
    before = dict(engine.named_parameters())
    encode_own = Engine.encode_with_transformers

    def fails(self, tokens):
        if self.calls == 3:  # the tuned encoder, at the last prompt
            raise RuntimeError("out of memory")
        return encode_own(self, tokens)

    cache = {"c": [None, None], "uc": [None, None], "hr": [None, None]}
    monkeypatch.setattr(Engine, "encode_with_transformers", fails)
    with pytest.raises(RuntimeError, match="out of memory"):
        mixed(host, cache=cache, w=0.5)
    monkeypatch.setattr(Engine, "encode_with_transformers", encode_own)
    assert all(parameter is before[name] for name, parameter in engine.named_parameters())
    assert "encode_with_transformers" not in vars(engine)
    assert equal(mixed(host, cache=cache).seen(9), [alone(0, LAKE)])


def test_another_model_has_its_own_original(host):
    cache = {"c": [None, None], "uc": [None, None], "hr": [None, None]}
    mixed(host, cache=cache, w=0.5)
    host.shared.sd_model = host_shared(Engine(7))
    assert equal(mixed(host, cache=cache).seen(9), [alone(7, LAKE)])
    torch.testing.assert_close(
        mixed(host, cache=cache, w=0.5).seen(9)[0], (alone(7, LAKE) + alone(1, LAKE)) / 2
    )


def test_a_cell_of_a_grid_has_no_mix_of_the_cell_before(host):
    p = Job(host.shared, [LAKE])
    host.script.process(p, {"enabled": True, "encoder_1": "vivid.safetensors"})
    p.setup_conds()
    other = copy(p)
    host.script.process(other, {"enabled": False})
    assert equal(other.setup_conds().seen(9), [alone(0, LAKE)])
    assert not [name for name in other.extra_generation_params if name.startswith("Encoder mix")]
    again = copy(p)
    host.script.process(again, {"enabled": True, "encoder_1": "soft.safetensors"})
    assert equal(again.setup_conds().seen(9), [alone(2, LAKE)])


@pytest.mark.parametrize(
    ("job", "wanted"),
    [
        ({"enable_hr": True, "denoising_strength": 0.5}, 0),  # 20 steps of which the last 10 are made: 8 - 10
        ({"enable_hr": True, "denoising_strength": 0.8}, 3),  # 12 steps, the last 10: 5 - 2
        ({"enable_hr": True, "denoising_strength": 1.0}, 4),
    ],
)
def test_a_second_pass_begins_in_the_middle_of_the_steps(host, job, wanted):
    p = mixed(host, job=job, w=1.0)
    assert [equal(p.seen(step, of="hr_c"), [alone(1, LAKE)]) for step in range(10)] == [
        step >= wanted for step in range(10)
    ]
    assert equal(p.seen(3), [alone(0, LAKE)]), "the first pass is whole"


@pytest.mark.parametrize(
    ("strength", "fixed", "wanted"), [(0.75, False, 2), (0.5, False, 0), (0.5, True, 0), (0.8, True, 3)]
)
def test_img2img_begins_in_the_middle_of_the_steps(host, strength, fixed, wanted):
    host.shared.opts.img2img_fix_steps = fixed
    p = mixed(host, job={"init_images": [1], "denoising_strength": strength}, w=1.0)
    assert [equal(p.seen(step), [alone(1, LAKE)]) for step in range(6)] == [
        step >= wanted for step in range(6)
    ]


def test_a_sampler_of_second_order_asks_twice_in_a_step(host):
    p = mixed(host, job={"step_multiplier": 2}, w=1.0)
    assert [equal(p.seen(call), [alone(1, LAKE)]) for call in range(20)] == [call >= 8 for call in range(20)]


def test_what_another_extension_put_on_the_engine_is_there_again(host):
    engine = host.shared.sd_model.cond_stage_model
    own = engine.encode_with_transformers
    vars(engine)["encode_with_transformers"] = theirs = lambda tokens: 2 * own(tokens)
    assert equal(mixed(host, w=1.0, start=0.0).seen(0), [2 * alone(1, LAKE)])
    assert vars(engine)["encode_with_transformers"] is theirs


def test_embeddings_are_put_in_again_for_each_encoder(host):
    """The host's own forward pass uses them up."""
    from presample.models.textcraftor.mix import mix
    from presample.scripts.webui import mix_engines

    engine, other, tokens = Engine(0), Engine(1), torch.tensor([[1, 2, 3, 4, 5, 6]])
    fixes = [[Fix(1, Embedding(0.3))]]
    (found,) = mix_engines.engines(host_shared(engine))
    engine.hijack.fixes = fixes
    with mix_engines.mixing(mix_engines.Answers(found), [(0.5, None), (0.5, tensors(1))], mix):
        both = engine.encode_with_transformers(tokens)
    engine.hijack.fixes = other.hijack.fixes = fixes
    wanted = (engine.encode_with_transformers(tokens) + other.encode_with_transformers(tokens)) / 2
    torch.testing.assert_close(both, wanted)


def test_a_lora_is_in_every_encoder(host):
    engine = host.shared.sd_model.cond_stage_model
    layer = engine.tree.text_model.encoder.layers.get_submodule("0").self_attn.q_proj
    lora = torch.full_like(layer.weight, 0.1)
    layer.network_weights_backup = layer.weight.detach().clone()
    layer.weight = torch.nn.Parameter(layer.weight + lora, requires_grad=False)
    other = Engine(1)
    other.tree.text_model.encoder.layers.get_submodule("0").self_attn.q_proj.weight += lora
    found = mixed(host, w=1.0).seen(9)[0]
    torch.testing.assert_close(found, encode(host_shared(other), LAKE))
    assert not torch.allclose(found, alone(1, LAKE))


def test_pooled_states_are_mixed_alike(host):
    from presample.models.textcraftor.mix import mix
    from presample.scripts.webui import mix_engines

    engine, tokens = Engine(0, pooled=True), torch.tensor([[1, 2, 3, 4, 5, 6]])
    (found,) = mix_engines.engines(host_shared(engine))
    with mix_engines.mixing(mix_engines.Answers(found), [(0.25, None), (0.75, tensors(1))], mix):
        both = engine.encode_with_transformers(tokens)
    torch.testing.assert_close(both.pooled, both[:, -1])


def test_an_infotext_notes_embeddings_once(host):
    engine = host.shared.sd_model.cond_stage_model
    mixed(host)
    plain = engine.hijack.extra_generation_params.pop("TI hashes")
    mixed(host, w=0.5)
    assert engine.hijack.extra_generation_params["TI hashes"] == plain


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"encoder_1": "nowhere"}, "no text encoder is called 'nowhere'"),
        ({"encoder_1": "../text_encoder/vivid.safetensors"}, "no text encoder is called"),
        ({"encoder_1": "wide.safetensors"}, "wide.safetensors is a"),
        ({"encoder_1": "lora.safetensors"}, "a LoRA"),
        ({"w": 5.0}, "w must lie in 0 to 2"),
        ({"weight_1": 0.0}, "not all 0"),
        ({"weight_1": 1.0, "encoder_2": "soft.safetensors", "weight_2": -1.0}, "must not add up to 0"),
        ({"weihgt_1": 1.0}, "arguments must be named"),
    ],
)
def test_what_is_wrong_is_said_and_the_picture_is_made_unmixed(host, args, said):
    wide = {name: torch.cat([tensor, tensor], -1) for name, tensor in tensors(1).items()}
    save_file(wide, host.folder / "wide.safetensors")
    save_file({"lora_te_text_model.alpha": torch.ones(1)}, host.folder / "lora.safetensors")
    p = mixed(host, **args)
    assert any("the encoders were not mixed" in text and said in text for text in p.comments), p.comments
    assert equal(p.seen(9), [alone(0, LAKE)])
    assert p.extra_generation_params == {}


def test_a_model_without_a_clip_is_left_as_it_is(host):
    model = host.shared.sd_model
    host.shared.sd_model = SimpleNamespace(
        cond_stage_model=SimpleNamespace(
            encode_with_transformers=model.cond_stage_model.encode_with_transformers
        )
    )
    p = mixed(host, w=1.0)
    assert "this model has no CLIP" in " ".join(p.comments)
    assert equal(p.seen(9), [alone(0, LAKE)])


def test_forge_keeps_its_engines_and_weights_elsewhere(host):
    """A `text_processing_engine`, embeddings in `embeddings`, and backups in the patcher of its LoRAs."""
    from presample.scripts.webui import mix_engines

    inner = Engine(0)
    engine = SimpleNamespace(
        text_encoder=inner.wrapped,
        embeddings=inner.hijack,
        encode_with_transformers=inner.encode_with_transformers,
    )
    root = torch.nn.Module()
    root.clip_l = inner.wrapped
    name = "text_model.encoder.layers.0.mlp.fc2.weight"
    backup = {f"clip_l.transformer.{name}": torch.zeros(8, 32)}
    patcher = SimpleNamespace(model=root, lora_loader=SimpleNamespace(backup=backup))
    model = SimpleNamespace(
        text_processing_engine=engine,
        cond_stage_model=None,
        forge_objects=SimpleNamespace(clip=SimpleNamespace(patcher=patcher)),
    )
    (found,) = mix_engines.engines(model)
    own, tuned = found.tensor(name), tensors(1)
    with mix_engines.standing_in(mix_engines.fitted(found, tuned)):
        torch.testing.assert_close(found.tensor(name).data, tuned[name] + own)
        other = "text_model.final_layer_norm.weight"
        assert torch.equal(found.tensor(other), tuned[other])
    assert found.tensor(name) is own


def test_sdxls_first_encoder_alone_leaves_the_second_as_it_is(host):
    first, second = Engine(0), Engine(9)
    second.tree.text_model.final_layer_norm.weight = torch.nn.Parameter(torch.ones(3))
    conditioner = SimpleNamespace(embedders=[first, second, SimpleNamespace()])
    host.shared.sd_model = SimpleNamespace(conditioner=conditioner, cond_stage_model=first)
    p = mixed(host, w=1.0, start=0.0)
    assert equal(p.seen(0), [torch.cat([alone(1, LAKE), alone(9, LAKE)], -1)])
    assert not p.comments


def test_files_are_kept_or_freed_as_the_settings_say(host):
    mixed(host, w=0.5)
    held = dict(host.script.files.held)
    host.script.postprocess(None, None)
    mixed(host, w=0.7)
    assert list(host.script.files.held.values()) == list(held.values()) != []
    host.shared.opts.presample_keep = False
    host.script.postprocess(None, None)
    assert not host.script.files.held


def test_names_come_from_the_hosts_folders_and_not_from_the_bundled_world(host, tmp_path):
    from presample.scripts.webui import mix_files

    more = tmp_path / "forge" / "sub"
    more.mkdir(parents=True)
    save_file(tensors(3), more / "third.safetensors")
    host.shared.cmd_opts.text_encoder_dir = str(more.parent)
    assert set(mix_files.names()) == {"sub/third.safetensors", "soft.safetensors", "vivid.safetensors"}
    host.shared.opts.presample_encoders = str(more)
    assert mix_files.find("third.safetensors") == more / "third.safetensors"


def test_arguments_by_their_places_and_overrides_of_a_grid(host):
    from presample.scripts.webui import mix_values

    values = mix_values.from_args([True, "vivid.safetensors", 0.5], {"w": 0.25})
    assert values.slots.chosen == (("vivid.safetensors", 0.5),)
    assert values.options == replace(MixOptions(), w=0.25)
    assert sys.modules["presample.scripts.webui.mix_values"] is mix_values
