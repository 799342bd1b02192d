"""Score tags: the predictor's arithmetic, its file, and on which side of a bound a score falls."""

import math

import pytest
import torch
from safetensors.torch import save_file

from presample.models.metrics.heads import load_head, make_head
from presample.models.mmh_dit.data.scores import ScoreOptions, score_tag, tagged


def below(value):
    return math.nextafter(value, -math.inf)


@pytest.mark.parametrize(
    ("score", "tag"),
    [
        (9.0, "excellent score"),
        (6.0, "excellent score"),
        (below(6.0), "good score"),
        (5.2, "good score"),
        (below(5.2), "average score"),
        (4.0, "average score"),
        (below(4.0), None),
        (-3.0, None),
    ],
)
def test_a_bound_belongs_to_the_tag_above(score, tag):
    assert score_tag(score) == tag


def test_bounds_can_be_set_and_must_descend():
    assert score_tag(3.0, ScoreOptions(excellent=3.0, good=2.0, average=1.0)) == "excellent score"
    with pytest.raises(ValueError, match="descend"):
        ScoreOptions(good=7.0)
    with pytest.raises(ValueError, match="finite"):
        score_tag(math.nan)


@pytest.mark.parametrize(
    ("caption", "tag", "whole"),
    [
        ("a cat", "good score", "a cat, good score"),
        ("a cat", None, "a cat"),
        ("", "good score", "good score"),
    ],
)
def test_captions_end_with_their_tag(caption, tag, whole):
    assert tagged(caption, tag) == whole


def random_layers(width=1152, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = (width, 1024, 128, 64, 16, 1)
    layers = {}
    for i in range(5):
        layers[f"{2 * i}.weight"] = torch.randn(sizes[i + 1], sizes[i], generator=generator) / sizes[i] ** 0.5
        layers[f"{2 * i}.bias"] = torch.randn(sizes[i + 1], generator=generator)
    return layers


@pytest.mark.parametrize("prefix", ["scoring_head.", "layers.scoring_head.", ""])
@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_the_published_file_gives_five_linear_layers_without_activation(tmp_path, prefix, kind):
    layers, path = random_layers(), tmp_path / f"head.{kind}"
    named = {prefix + name: tensor for name, tensor in layers.items()}
    torch.save(named, path) if kind == "pth" else save_file(named, path)
    x = torch.randn(7, 1152, generator=torch.Generator().manual_seed(1))
    wanted = x.double()
    for i in range(5):
        wanted = wanted @ layers[f"{2 * i}.weight"].double().T + layers[f"{2 * i}.bias"].double()
    torch.testing.assert_close(load_head(path)(x).double(), wanted, rtol=1e-5, atol=1e-5)


def test_another_file_is_refused(tmp_path):
    layers = random_layers()
    del layers["4.bias"]
    save_file(layers, tmp_path / "a.safetensors")
    save_file({"other": torch.zeros(3)}, tmp_path / "b.safetensors")
    for name in "ab":
        with pytest.raises(ValueError, match="five linear layers"):
            load_head(tmp_path / f"{name}.safetensors")


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


def test_code_in_a_pth_never_runs(tmp_path):
    torch.save({"0.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        load_head(tmp_path / "evil.pth")


def test_a_fresh_head_has_the_predictors_sizes():
    shapes = [tuple(layer.weight.shape) for layer in make_head(1152)]
    assert shapes == [(1024, 1152), (128, 1024), (64, 128), (16, 64), (1, 16)]
