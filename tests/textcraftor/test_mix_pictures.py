"""Pictures whose text comes from several encoders: `paint`, and `presample mix` with random weights."""

from dataclasses import replace

import pytest
import torch
from random_world_for_tests import CONFIG, TUNED, drawn
from safetensors.torch import load_file

from presample.models import cli
from presample.models.interrupt import Interrupted
from presample.models.mmh_dit import flow
from presample.models.mmh_dit.model import MMHDiT
from presample.models.mmh_dit.pipeline import Pipeline
from presample.models.textcraftor.chain import Chain, Condition, Flow
from presample.models.textcraftor.mix import mix
from presample.models.textcraftor.options import MixOptions
from presample.models.textcraftor.paint import MixedPainter, runs
from presample.models.tinyworld.clip import WIDTH

SIZE = {"width": 32, "height": 16}
STEPS = flow.SampleOptions(steps=5, cfg=2.0)


@pytest.fixture(scope="module")
def model():
    return drawn(MMHDiT(CONFIG))


def encoder(seed):
    """Makes states of random numbers that depend on the prompt."""

    def encode(prompts):
        rows = [torch.Generator().manual_seed(seed + 1000 * len(prompt)) for prompt in prompts]
        tokens = torch.stack([torch.randn(4, WIDTH, generator=row) for row in rows])
        return flow.Text(tokens, torch.ones(len(prompts), 4, dtype=torch.bool))

    return encode


@pytest.fixture
def painter(model):
    return MixedPainter(model, [encoder(1), encoder(2), encoder(3)], lambda latents: latents)


def made(painter, weights=(0.5, 0.5), **mixing):
    return painter.pictures("lake", [3, 4], weights, **SIZE, mix_options=MixOptions(**mixing), options=STEPS)


def test_at_the_ends_the_pictures_are_those_of_one_encoder_bit_for_bit(painter, model):
    for weights, w, number in (((1, 0), 0.0, 0), ((1, 0), 1.0, 1), ((0, 3), 1.0, 2)):
        single = Pipeline(model, painter.encoders[number], painter.decode)
        wanted = single.pictures(["lake"] * 2, [3, 4], **SIZE, options=STEPS)
        assert torch.equal(made(painter, weights, w=w, start=0.0), wanted)


@pytest.mark.parametrize("sampler", flow.RULES)
@pytest.mark.parametrize("sigma", [0.0, 0.4])
def test_a_mix_of_equal_encoders_is_one_of_them_for_every_sampler(model, sampler, sigma):
    """Runs of steps with another w each begin where the one before ended."""
    options = flow.SampleOptions(steps=5, cfg=2.0, sampler=sampler, shift=3.0, icfm_sigma=sigma)
    same = MixedPainter(model, [encoder(1), encoder(1)], lambda latents: latents)
    told = []
    made = same.pictures(
        "lake", [3], [1], **SIZE, mix_options=MixOptions(w=1.0), options=options, on_step=told.append
    )
    wanted = Pipeline(model, encoder(1), same.decode).pictures(["lake"], [3], **SIZE, options=options)
    assert torch.equal(made, wanted)
    assert [(each.step, each.steps) for each in told] == [(i, 5) for i in range(1, 6)]


def test_a_sigma_that_is_given_widens_the_first_noise_and_the_models_own_does_not(model, monkeypatch):
    def made(sigma):
        painter = MixedPainter(model, [encoder(1), encoder(1)], lambda latents: latents)
        pipeline, options = Pipeline(model, encoder(1), painter.decode), replace(STEPS, icfm_sigma=sigma)
        found = painter.pictures("lake", [3], [1], **SIZE, mix_options=MixOptions(w=0.0), options=options)
        assert torch.equal(found, pipeline.pictures(["lake"], [3], **SIZE, options=options))
        return found

    plain = made(0.0)
    monkeypatch.setattr(model, "config", replace(model.config, icfm_sigma=0.5))
    assert torch.equal(made(0.0), plain)
    assert not torch.allclose(made(0.5), plain, atol=1e-3)


def test_a_stop_is_obeyed_before_the_next_question(painter):
    with pytest.raises(Interrupted):
        painter.pictures("lake", [3], (1, 0), **SIZE, options=STEPS, should_stop=lambda: True)


def test_the_original_encoder_leads_the_first_steps(painter, model):
    """Against the trainer's chain, which steps by itself."""
    chain = Chain(Flow(5), model, 2.0)
    texts = [encode(["lake"] * 2) for encode in painter.encoders]
    x = flow.noise((16, 2, 4), [3, 4])
    mixed = mix([each.tokens for each in texts], (0.2, 0.4, 0.4))
    for i in range(5):
        condition = Condition(texts[0].tokens if i < 2 else mixed, texts[0].mask)
        x = chain.step(x, condition, i)
    assert torch.allclose(made(painter, w=0.8), x, atol=1e-5)
    assert not torch.allclose(made(painter, w=0.8, start=0.0), x, atol=1e-3)


def test_every_step_is_in_one_run_for_both_prompts():
    options = MixOptions(w=0.5, start=0.4, end=0.8, negative="own", negative_w=0.25)
    assert list(runs(10, options)) == [
        (range(4), 0.0, 0.0),
        (range(4, 8), 0.5, 0.25),
        (range(8, 10), 0.0, 0.0),
    ]


def test_the_negative_prompt_has_a_mix_of_its_own(painter):
    def made(**mixing):
        return painter.pictures(
            "lake",
            [1],
            (1, 0),
            **SIZE,
            negative="fog!",
            mix_options=MixOptions(start=0.0, **mixing),
            options=STEPS,
        )

    own = made(w=0.5, negative="own", negative_w=0.5)
    assert torch.equal(made(w=0.5), own)
    assert not torch.allclose(made(w=0.5, negative="original"), own, atol=1e-3)


def test_an_encoder_is_asked_once_and_only_where_it_counts(painter):
    asked = []
    counting = [
        lambda prompts, k=k, encode=encode: asked.append(k) or encode(prompts)
        for k, encode in enumerate(painter.encoders)
    ]
    painter = MixedPainter(painter.model, counting, painter.decode)
    made(painter, (0, 1), w=0.5)
    assert sorted(asked) == [0, 2]
    with pytest.raises(ValueError, match="multiples of 8, got 30x16"):
        painter.pictures("lake", [1], (1, 1), width=30, height=16)


def test_without_a_picture_there_is_none_to_paint_over(painter):
    some = flow.SampleOptions(steps=5, denoise=0.5)
    with pytest.raises(ValueError, match="set denoise to 1"):
        painter.pictures("lake", [1], (1, 1), **SIZE, options=some)


# The command


def mix_command(*flags):
    return cli.main(["mix", "lake, night", "--steps", "2", "--n", "2", *map(str, flags)])


def test_the_sheet_has_the_original_each_encoder_and_their_mix(random_world, tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    out, merged = tmp_path / "mix.png", tmp_path / "merged.safetensors"
    flags = ("--encoder", "vivid", "--encoder", random_world / "tiny-clip-moonlit" / "model.safetensors")
    assert mix_command(*flags, "--weights", "1,3", "--out", out, "--merge", merged, "--start", "0") == 0
    assert "8 pictures" in capsys.readouterr().out
    sheet = image.open(out)
    assert sheet.text["parameters"].startswith("lake, night\n\nencoders: vivid 1, ")
    assert sheet.height > 4 * 256
    name = "text_model.final_layer_norm.weight"
    parts = [load_file(random_world / f"tiny-clip-{each}" / "model.safetensors")[name] for each in TUNED]
    assert torch.allclose(
        load_file(merged)[name], 0.25 * parts[0].float() + 0.75 * parts[1].float(), atol=1e-6
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["merged.safetensors", "mix.png"]


def test_an_encoder_that_is_there_is_not_merged_over(random_world, tmp_path, capsys):
    merged = tmp_path / "mine.safetensors"
    merged.write_bytes(b"mine")
    assert mix_command("--out", tmp_path / "mix.png", "--merge", merged) == 1
    assert "must not be there yet" in capsys.readouterr().err
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(merged.name, b"mine")]


def test_a_merge_that_breaks_off_leaves_no_encoder(random_world, tmp_path, monkeypatch):
    def breaks_off(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError("the disk is full")

    pytest.importorskip("PIL.Image")
    monkeypatch.setattr("safetensors.torch.save_file", breaks_off)
    merged = tmp_path / "merged.safetensors"
    assert mix_command("--out", tmp_path / "mix.png", "--merge", merged) == 1
    assert not merged.exists()


def test_a_triangle_mixes_three_encoders_in_all_proportions(random_world, tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    out, third = tmp_path / "triangle.png", random_world / "tiny-clip-moonlit" / "model.safetensors"
    copy = tmp_path / "another.safetensors"
    copy.write_bytes(third.read_bytes())
    three = [flag for name in ("vivid", "moonlit", copy) for flag in ("--encoder", name)]
    assert mix_command(*three, "--triangle", "3", "--out", out) == 0
    assert "6 pictures" in capsys.readouterr().out
    sheet = image.open(out)
    assert 3 * 256 < sheet.width < 4 * 256
    assert 3 * 256 < sheet.height < 4 * 256
    assert mix_command(*three[:4], "--triangle", "3", "--out", out) == 1
    assert "exactly three --encoder" in capsys.readouterr().err


def test_a_sweep_is_a_row_for_each_seed(random_world, tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    out = tmp_path / "sweep.png"
    assert mix_command("--encoder", "tiny-clip-vivid", "--sweep", "3", "--out", out) == 0
    assert "6 pictures" in capsys.readouterr().out
    sheet = image.open(out)
    assert 3 * 256 < sheet.width < 4 * 256
    assert 2 * 256 < sheet.height < 3 * 256


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--encoder", "gaudy"), "must be a bundled encoder (moonlit, vivid) or a file, got 'gaudy'"),
        (("--weights", "1,2"), "a weight for each of at most 8 encoders, got 2 for 1"),
        (("--weights", "much"), "must be numbers such as 0.5,0.5, got 'much'"),
        (("--w", "3"), "w must lie in 0 to 2"),
        (("--sweep", "-1"), "--sweep at least 0"),
    ],
)
def test_what_cannot_be_is_refused(random_world, tmp_path, capsys, flags, said):
    assert mix_command(*flags, "--out", tmp_path / "x.png") == 1
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
