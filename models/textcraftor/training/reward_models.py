"""The rewards by their names: the little world's own, and published models that are on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ...metrics.heads import load_head
from ...metrics.scorers import PREDICTORS, Aesthetic, Similarity, load_towers
from ...tinyworld.taste import KINDS, load_taste
from ..rewards import Column, Reward, official


def tiny_rewards(
    names: Sequence[str], path: Path | None = None, *, device: str = "cpu", net: str = "reward"
) -> dict[str, Reward]:
    """Returns the little world's rewards of these names, by one of the two networks.

    Raises:
        ValueError: a name is none of them.
        FileNotFoundError: the networks are not there.
    """
    unknown = sorted(set(names) - set(KINDS))
    if unknown:
        raise ValueError(f"rewards of the little world are {', '.join(KINDS)}; got {', '.join(unknown)}")
    taste = load_taste(path, device=device)

    def scores(images: Tensor) -> Tensor:
        return taste.scores(images, net=net)

    return {name: Column(scores, KINDS.index(name)) for name in names}


def tiny_reader(device: str = "cpu") -> Callable[[Tensor], list[Mapping[str, str]]]:
    """Returns what reads the little world's pictures: the bundled oracle."""
    from ...tinyworld.oracle import load_oracle, read

    oracle = load_oracle(device=device)
    return lambda images: [reading.values for reading in read(images, oracle=oracle)]


PUBLISHED = ("aesthetic", "hps", "pick", "clip")


def published(names: Sequence[str], folder: str, device: str = "cpu") -> dict[str, Reward]:
    """Returns the published rewards of these names, from folders of `folder` in the layout of transformers,
    which are shown pictures as TextCraftor's code does.

    `clip`, `pick` (PickScore) and `hps` (HPSv2) are CLIPs; `aesthetic` is a CLIP ViT-L/14 and beside it
    LAION's predictor, `predictor.safetensors` or `.pth`.

    Raises:
        ValueError: a name is none of them, or no folder is named.
        OSError: a model is not there.
    """
    unknown = sorted(set(names) - set(PUBLISHED))
    if unknown:
        raise ValueError(f"published rewards are {', '.join(PUBLISHED)}; got {', '.join(unknown)}")
    if not folder:
        raise ValueError(f"--models must name the folder with {', '.join(sorted({*names, 'clip'}))} in it")
    return {name: _published(name, Path(folder) / name, device) for name in names}


def _published(name: str, folder: Path, device: str) -> Reward:
    towers = load_towers(folder, device=device, prepare=official)
    if name == "aesthetic":
        paths = [folder / predictor for predictor in PREDICTORS]
        head = load_head(next((path for path in paths if path.is_file()), paths[0]))
        return Aesthetic(towers.images, head.to(device))
    return Similarity(towers, float(towers.model.logit_scale.exp()) if name == "pick" else 1.0)
