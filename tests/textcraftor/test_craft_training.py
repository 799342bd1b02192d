"""The trainer of encoders: what it changes, that it resumes to the bit, and the files it writes."""

import argparse
import copy
import dataclasses
import json
import shlex

import craft_for_tests as craft
import pytest
import torch
from craft_for_tests import changed, trained
from safetensors import safe_open
from safetensors.torch import load_file

from presample.models.cli import main
from presample.models.metrics.scorers import Similarity
from presample.models.mmh_dit import checkpoint, flow
from presample.models.options import add_flags, from_flags
from presample.models.textcraftor.chain import Chain, Condition
from presample.models.textcraftor.files import read_encoder
from presample.models.textcraftor.training import bases, measure, parts, train
from presample.models.textcraftor.training.gallery import GRID, Gallery, Sheet
from presample.models.textcraftor.training.options import PRESETS, CraftOptions, settled
from presample.models.textcraftor.training.tuning import Tuning
from presample.models.trainer.fit import Moment, Place
from presample.models.trainer.options import recipe

pytest.importorskip("accelerate", reason="training needs presample[train]")
pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def base():
    return craft.tiny_base()


@pytest.fixture(scope="module")
def studio(base):
    return craft.studio(base)


# What is learned


def test_tuning_an_encoder_changes_it_alone_and_raises_its_reward(tmp_path, base, studio):
    frozen = {id(part): {n: t.clone() for n, t in part.state_dict().items()} for part in models(base)}
    found, options = trained(tmp_path, studio, steps=12, lr=3e-3, batch=4, grad_steps=3)
    assert len(changed(base.encoder, found.model)) == 68
    for part in models(base):
        assert all(torch.equal(t, frozen[id(part)][n]) for n, t in part.state_dict().items())
    gallery = Gallery(base, (found.model,), dataclasses.replace(options, use_from=0.0))
    before, after = gallery.sweep(craft.PROMPTS, range(5), [(0.0,), (1.0,)])
    assert craft.Red().score(after, []).mean() > craft.Red().score(before, []).mean() + 0.01


def models(base):
    return base.clip.model, base.denoiser, base.autoencoder


def test_no_step_with_a_gradient_leaves_the_encoder_as_it_is(tmp_path, base, studio):
    found, _ = trained(tmp_path, studio, grad_steps=0)
    assert not changed(base.encoder, found.model)


def test_named_blocks_alone_learn(tmp_path, base, studio):
    found, _ = trained(tmp_path, studio, layers="2-3")
    names = changed(base.encoder, found.model)
    assert len(names) == 32
    assert all(".layers.2." in name or ".layers.3." in name for name in names)
    assert found.facts["parameters"] == sum(
        t.numel() for n, t in found.model.named_parameters() if ".layers.2." in n or ".layers.3." in n
    )


@pytest.mark.parametrize("more", [{"constraint": "self"}, {"method": "direct"}, {"cfg": 1.0}])
def test_the_other_ways_train_too(tmp_path, base, studio, more):
    found, _ = trained(tmp_path, studio, **more)
    assert len(changed(base.encoder, found.model)) == 68


@pytest.mark.parametrize(("cfg", "each"), [(1.0, 1), (3.0, 2)])
def test_the_denoiser_is_asked_under_the_guidance_of_the_options(tmp_path, base, cfg, each):
    asked, answers = [], []

    class Watched(bases.TinyBase):
        def ask(self, denoiser):
            def ask(*given):
                asked.append(given[2])
                return denoiser(*given)

            return ask

        def decode(self, latents):
            answers.append(latents)
            return super().decode(latents)

    watched = Watched(base.clip, base.denoiser, base.autoencoder, side=base.side)
    options = craft.options(tmp_path, cfg=cfg)
    tuning = Tuning(
        watched, {"red": craft.Red()}, {"red": 10.0}, Similarity(base.clip), options, base.encoder
    )
    batch = {"numbers": torch.arange(2), "prompts": craft.PROMPTS[:2]}
    tuning.loss(base.encoder, batch, torch.Generator().manual_seed(0))
    assert len(asked) == each * options.sampling_steps
    assert sum(text is None for text in asked) == (each - 1) * options.sampling_steps
    said = base.say(base.encoder, craft.PROMPTS[:2]).condition
    wanted = flow.sample(
        base.denoiser,
        torch.randn(2, 16, 4, 4, generator=torch.Generator().manual_seed(0)),
        flow.Text(said.tokens, said.mask),
        options=flow.SampleOptions(steps=options.sampling_steps, cfg=cfg),
    )
    torch.testing.assert_close(answers[0], wanted, atol=1e-4, rtol=1e-4)


def test_a_chain_begins_in_plain_noise_as_sampling_does(base):
    wide = copy.copy(base.denoiser)
    wide.config = dataclasses.replace(wide.config, icfm_sigma=0.75)
    draw = torch.randn(2, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    for denoiser in (base.denoiser, wide):
        found = dataclasses.replace(base, denoiser=denoiser).noise(2, torch.Generator().manual_seed(0))
        assert torch.equal(found, draw)


def test_an_untuned_encoder_is_as_near_to_pictures_as_the_clip_says(base):
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    prompts = ["lake", "snow", "night, moon"]  # shorter than the denoiser's prompts may be
    pooled = base.say(base.encoder, prompts).pooled.requires_grad_()
    found = base.aligned(pooled, images)
    torch.testing.assert_close(found, Similarity(base.clip).score(images, prompts), rtol=0, atol=1e-6)
    (gradient,) = torch.autograd.grad(found.sum(), pooled)
    assert (gradient.norm(dim=1) > 1e-4).all()


def test_the_constraint_reaches_the_tuned_texts_alone_where_it_asks_them(tmp_path, base):
    """Without a step that carries gradients there is no other way to the encoder than what it says."""
    moved = {}
    for constraint in ("frozen", "self"):
        options = craft.options(tmp_path, constraint=constraint, grad_steps=0)
        encoder = copy.deepcopy(base.encoder).requires_grad_(True)
        tuning = Tuning(
            base, {"red": craft.Red()}, {"red": 10.0}, Similarity(base.clip), options, base.encoder
        )
        batch = {"numbers": torch.arange(2), "prompts": craft.PROMPTS[:2]}
        tuning.loss(encoder, batch, torch.Generator().manual_seed(0))["loss"].backward()
        moved[constraint] = float(sum(weight.grad.abs().sum() for weight in encoder.parameters()))
    assert moved["frozen"] == 0
    assert moved["self"] > 1e-3


def test_the_constraints_differ(tmp_path, base, studio):
    files = []
    for constraint in ("frozen", "self"):
        folder = tmp_path / constraint
        folder.mkdir()
        trained(folder, studio, constraint=constraint, steps=1)
        files.append(load_file(folder / "out" / "model.safetensors"))
    assert any(not torch.equal(files[0][name], files[1][name]) for name in files[0])


def test_checkpointing_trains_the_same(tmp_path, studio):
    weights = []
    for checkpointing in (False, True):
        folder = tmp_path / str(checkpointing)
        folder.mkdir()
        found, _ = trained(folder, studio, checkpointing=checkpointing, steps=2)
        weights.append(torch.cat([t.flatten() for t in found.model.parameters()]))
    assert torch.allclose(*weights, rtol=0, atol=1e-6)


def test_the_denoiser_is_tuned_with_the_encoder_frozen(tmp_path, base, studio):
    first, _ = trained(tmp_path, studio)
    path = tmp_path / "out" / "model.safetensors"
    second = tmp_path / "second"
    second.mkdir()
    found, options = trained(second, studio, tune="denoiser", encoder=str(path))
    assert len(changed(base.denoiser, found.model)) > 20
    written = checkpoint.load(second / "out" / "model.safetensors", dtype=torch.float32)
    assert all(
        torch.allclose(a, b, atol=1e-2, rtol=1e-2)
        for a, b in zip(written.parameters(), found.model.parameters(), strict=True)
    )
    encoder = train.tuned_encoder(base, options)
    assert torch.allclose(
        encoder.state_dict()[next(iter(encoder.state_dict()))], next(first.model.parameters()), atol=1e-3
    )


@pytest.mark.parametrize("given", [False, True])
def test_a_denoiser_is_compared_before_and_after_with_the_same_encoder(tmp_path, base, studio, given):
    first, _ = trained(tmp_path, studio)
    encoder = first.model if given else base.encoder
    path = str(tmp_path / "out" / "model.safetensors") if given else ""
    second = tmp_path / "second"
    second.mkdir()
    found, options = trained(second, studio, tune="denoiser", encoder=path, samples=2, lr=1e-2)
    sheet = Sheet(tmp_path, base, options, encoder, craft.PROMPTS[:2])
    columns = sheet.gallery(found.model).columns(craft.PROMPTS[:2], [0, 1])
    whole = [(1.0,)]
    wanted = [
        Gallery(base, (encoder,), options, denoiser).sweep(craft.PROMPTS[:2], [0, 1], whole)[0]
        for denoiser in (base.denoiser, found.model)
    ]
    assert all(torch.equal(a, b) for a, b in zip(columns, wanted, strict=True))
    assert not torch.equal(*columns)
    measured = measure.measure(options, studio, found.model)
    assert all(len(values) == 2 for values in measured.values())
    card = measure.card(options, found)
    assert set(card.measures) == {"gain red", "alignment", "diversity"}
    assert "w =" not in card.how + "".join(each.title for each in card.measures.values())
    assert card.more[0].startswith("| | before | after |\n|---|---|---|\n| red | ")


def test_a_denoiser_that_gains_enough_has_no_missed_bound():
    found = {name: [[0.0, 1.0], [2.0, 3.0]] for name in ("red", "red, judge")}
    found |= {name: [[1.0, 1.0], [1.0, 1.0]] for name in ("alignment", "captions", "diversity")}
    rows = measure.measures(found, ["red"], tune="denoiser")
    assert all(row.reached for row in rows.values())
    assert rows["captions"].title == "captions, of those before"


def test_a_denoiser_is_tuned_by_one_process(tmp_path, studio, monkeypatch):
    class Two:
        num_processes = 2

    monkeypatch.setattr(train, "make_accelerator", lambda options: Two())
    with pytest.raises(ValueError, match="one process"):
        trained(tmp_path, studio, tune="denoiser")


# In use


@pytest.mark.parametrize("use_from", [0.0, 0.4, 1.0])
def test_at_0_and_1_pictures_are_those_of_one_encoder_to_the_bit(base, use_from):
    options = CraftOptions(sampling_steps=5, use_from=use_from)
    tuned = craft.tiny_base(seed=1).encoder
    zero, half, one = Gallery(base, (tuned,), options).sweep(["lake"], [3], [(0.0,), (0.5,), (1.0,)])
    chain = Chain(base.rule(5), base.ask(base.denoiser), options.cfg)
    noise = base.noise(1, torch.Generator().manual_seed(3))
    said = [base.say(encoder, ["lake"]).condition for encoder in (base.encoder, tuned)]
    late = {0.0: 5, 0.4: 3, 1.0: 0}[use_from]
    with torch.no_grad():
        assert torch.equal(zero, base.decode(chain.sample(noise, said[0], said[0], last=0)))
        assert torch.equal(one, base.decode(chain.sample(noise, said[0], said[1], last=late)))
    assert torch.equal(half, one) == (late == 0)


def test_two_encoders_are_mixed_by_their_weights_and_the_original_has_the_rest(base):
    tuned = [craft.tiny_base(seed=seed).encoder for seed in (1, 2)]
    gallery = Gallery(base, tuned, CraftOptions(sampling_steps=2, use_from=0.0))
    found = gallery.sweep(["lake"], [3], [(0.25, 0.25), (0.0, 1.0), (0.0, 0.0)])
    said = [base.say(encoder, ["lake"]).condition.tokens for encoder in (base.encoder, *tuned)]
    whole = Condition(
        said[0] / 2 + said[1] / 4 + said[2] / 4, torch.ones(said[0].shape[:2], dtype=torch.bool)
    )
    chain = Chain(base.rule(2), base.ask(base.denoiser), gallery.options.cfg)
    noise = base.noise(1, torch.Generator().manual_seed(3))
    with torch.no_grad():
        wanted = base.decode(chain.sample(noise, whole, whole, last=2))
    assert torch.allclose(found[0], wanted, atol=1e-5)
    alone = Gallery(base, tuned[1:], gallery.options).sweep(["lake"], [3], [(1.0,), (0.0,)])
    assert torch.equal(found[1], alone[0])
    assert torch.equal(found[2], alone[1])


# Files


def test_a_resumed_training_is_a_straight_one(tmp_path, studio, monkeypatch):
    folders = [tmp_path / name for name in ("straight", "resumed")]
    for folder in folders:
        folder.mkdir()
    trained(folders[0], studio)
    with monkeypatch.context() as patch:
        seen = []

        def stop(self, *args):
            seen.append(1)
            if len(seen) > 3:
                raise RuntimeError("the power fails")
            return loss(self, *args)

        loss = train.Tuning.loss
        patch.setattr(train.Tuning, "loss", stop)
        with pytest.raises(RuntimeError, match="power"):
            trained(folders[1], studio)
    assert len(list((folders[1] / "out" / "training").glob("checkpoint-*"))) == 1
    trained(folders[1], studio)
    straight, resumed = (load_file(folder / "out" / "model.safetensors") for folder in folders)
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_the_file_is_an_encoder_that_the_nodes_load(tmp_path, base, studio):
    found, options = trained(tmp_path, studio)
    path = tmp_path / "out" / "model.safetensors"
    file = read_encoder(path)
    assert file.kind == "tiny CLIP"
    assert len(file.tensors) == 68
    assert all(
        name.startswith("text_model.") and t.dtype == torch.float16 for name, t in file.tensors.items()
    )
    again = train.tuned_encoder(base, dataclasses.replace(options, encoder=str(path)))
    for a, b in zip(again.parameters(), found.model.parameters(), strict=True):
        assert torch.equal(a, b.half().float())
    with safe_open(path, "pt") as opened:
        said = json.loads(opened.metadata()["textcraftor"])
    assert said["options"]["reward"] == ["red=10"]
    assert said["seconds"] >= 0


def test_a_sheet_shows_the_prompts_from_the_original_to_the_tuned_encoder(tmp_path, base, studio):
    found, options = trained(tmp_path, studio, samples=2, samples_every=3)
    names = sorted(path.name for path in (tmp_path / "out" / "training" / "samples").iterdir())
    assert names == ["step-000003.png", "step-000004.png"]
    sheet = Sheet(tmp_path, base, options, base.encoder, craft.PROMPTS[:2])
    columns = sheet.gallery(found.model).columns(sheet.prompts, [0, 1])
    assert len(columns) == len(GRID)
    assert columns[0].shape == (2, 3, 32, 32)
    assert not torch.equal(columns[0], columns[-1])
    original = Gallery(base, (), options).sweep(craft.PROMPTS[:2], [0, 1], [()])
    assert torch.equal(columns[0], original[0])
    sheet(Moment(9, found.model, torch.device("cpu"), main=False))
    assert not (tmp_path / "step-000009.png").exists()


def test_the_card_tells_rewards_before_and_after(tmp_path, studio):
    found, options = trained(tmp_path, studio)
    card = measure.card(options, found)
    assert set(card.measures) == {"gain red", "order red", "alignment", "diversity"}
    assert "| red | " in card.more[0]
    assert card.training["options"]["grad_steps"] == 2
    more = dataclasses.replace(options, measured=64)
    assert measure.card(more, found).how.startswith("On 5 prompts of those it was tuned with, a seed each, ")


def test_the_little_worlds_prompts_and_captions_are_measured(tmp_path, base, monkeypatch):
    studio = dataclasses.replace(
        craft.studio(base),
        judges={"red": craft.Red()},
        read=lambda images: [dict.fromkeys(oracle_names(), "night")] * len(images),
    )
    monkeypatch.setattr(parts, "PROMPTS", 8)
    found, options = trained(tmp_path, studio, prompts="", steps=1)
    measured = measure.measure(options, studio, found.model)
    assert set(measured) == {"red", "red, judge", "alignment", "captions", "diversity"}
    assert all(0 <= value <= 1 for values in measured["captions"] for value in values)
    assert measured["red"] == measured["red, judge"]


def oracle_names():
    from presample.models.tinyworld.oracle import visible

    return visible()


def test_statistics_of_the_card():
    assert measure.gain([[0.0, 2.0], [3.0, 3.0]]) == pytest.approx(2 / 2**0.5)
    assert measure.spread(torch.tensor([[0.0, 0], [3, 4]])) == pytest.approx(5)


# Prompts and options


def test_every_prompt_comes_once_an_epoch_whatever_the_processes():
    prompts = [str(i) for i in range(12)]
    one = parts.stream(prompts, 4, 0, place=Place(), skip=0)
    epoch = [p for _ in range(3) for p in next(one)["prompts"]]
    assert sorted(epoch, key=int) == prompts
    halves = [parts.stream(prompts, 2, 0, place=Place(rank, 2), skip=0) for rank in (0, 1)]
    assert [p for _ in range(3) for half in halves for p in next(half)["prompts"]] == epoch
    later = parts.stream(prompts, 4, 0, place=Place(), skip=2)
    assert next(later)["prompts"] == epoch[8:]
    assert [p for _ in range(3) for p in next(one)["prompts"]] != epoch


def test_a_preset_replaces_what_is_left_at_its_default():
    for name, preset in PRESETS.items():
        found = settled(CraftOptions(preset=name, base="pipeline" if name == "textcraftor" else "tiny"))
        assert all(getattr(found, key) == value for key, value in preset.items())
    assert settled(CraftOptions(preset="vivid", clip_weight=7.0)).clip_weight == 7.0
    assert settled(CraftOptions()).reward == ("vivid=1",)


def test_a_rate_that_is_named_counts_before_the_milestones_of_a_preset():
    parser = train.add_parser(argparse.ArgumentParser().add_subparsers())
    flags = ["--preset", "textcraftor", "--base", "pipeline", "--lr"]
    assert train.asked(parser.parse_args([*flags, "1e-5"])).milestones == ""
    assert train.asked(parser.parse_args([*flags, "1e-5", "--milestones", "0:2e-6"])).milestones == "0:2e-6"
    named = CraftOptions(preset="textcraftor", base="pipeline", warmup=7)
    assert settled(named).milestones == ""


def test_a_flag_counts_before_the_preset_even_at_its_default():
    parser = train.add_parser(argparse.ArgumentParser().add_subparsers())
    flags = ["--preset", "textcraftor", "--base", "pipeline", "--grad-steps", "4", "--guard"]
    found = train.asked(parser.parse_args(flags))
    own = {"preset": "textcraftor", "base": "pipeline", "grad_steps": 4, "guard": True}
    assert found == CraftOptions(**PRESETS["textcraftor"] | own)
    assert train.asked(parser.parse_args([])) == CraftOptions(reward=("vivid=1",))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"base": "folder"}, "name a reward"),
        ({"sampling_steps": 3}, "grad_steps must be at most"),
        ({"tune": "denoiser", "grad_steps": 0}, "above 0"),
        ({"base": "folder", "reward": ("aesthetic=3", "clip=100")}, "--clip-weight"),
        ({"clip_weight": 0.0}, "clip_weight must lie in"),
        ({"constraint": "none"}, "constraint must be one of"),
    ],
)
def test_options_that_do_not_fit_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        settled(CraftOptions(**wrong))


@pytest.mark.parametrize("layers", ["x", "4", "3-7", "2--3", ","])
def test_layers_that_are_not_there_are_refused(base, layers):
    with pytest.raises(ValueError, match="layers must"):
        parts.thaw(base.encoder, layers)
    base.encoder.requires_grad_(False)


def test_prompts_that_are_measured_are_not_trained_with(tmp_path):
    options = craft.options(tmp_path, measured=2)
    assert parts.training_prompts(options) == craft.PROMPTS[:3]
    assert parts.held_out_prompts(options) == craft.PROMPTS[3:]
    few = dataclasses.replace(options, measured=3)
    assert parts.too_few(few)
    assert parts.training_prompts(few) == craft.PROMPTS
    assert parts.held_out_prompts(few) == craft.PROMPTS[2:]


def test_a_file_of_prompts_has_the_lines_that_an_editor_shows(tmp_path):
    path = tmp_path / "p.txt"
    path.write_bytes("\ufeffa lake\r\n\r\n forest\u2028at dusk \nsea".encode())
    assert parts.read_prompts(str(path), 0) == ["a lake", "forest\u2028at dusk", "sea"]


def test_an_empty_file_of_prompts_is_refused(tmp_path):
    (tmp_path / "p.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(ValueError, match="prompt on each line"):
        parts.read_prompts(str(tmp_path / "p.txt"), 0)


def test_the_command_trains_measures_and_says_whether_it_was_enough(tmp_path, studio, monkeypatch):
    monkeypatch.setattr(train, "open_studio", lambda options, device: studio)
    asked = craft.options(tmp_path, layers="3")
    flags = ["--out", asked.out, "--prompts", asked.prompts, "--reward", "red=10", "--layers", "3"]
    for name in ("steps", "batch", "sampling_steps", "grad_steps", "precision", "samples", "measured"):
        flags += [f"--{name.replace('_', '-')}", str(getattr(asked, name))]
    assert main(["train", "textcraftor", *flags]) == 1, "a few steps reach no threshold"
    card = json.loads((tmp_path / "out" / "card.json").read_text(encoding="utf-8"))
    assert shlex.split(card["command"])[:3] == ["presample", "train", "textcraftor"]
    again = argparse.ArgumentParser()
    add_flags(again, CraftOptions)
    repeated = from_flags(again.parse_args(shlex.split(card["command"])[3:]), CraftOptions)
    assert recipe(settled(repeated)) == card["training"]["options"]
    assert card["measures"]["gain red"]["reached"] is False
    assert not any((tmp_path / "out").glob("training/checkpoint-*"))
