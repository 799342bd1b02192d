"""The rewards by their names: the little world's own, and published models that are on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...tinyworld.taste import KINDS, load_taste
from ..rewards import Column, Reward, Similarity, official


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


@dataclass(frozen=True)
class ClipTowers:
    """A CLIPModel of transformers with its tokenizer, shown pictures as TextCraftor's code shows them."""

    model: Any
    tokenizer: Any

    def images(self, images: Tensor) -> Tensor:
        """Returns images (b, 3, H, W) in 0..1 as (b, e) of length 1, with gradients."""
        seen = self.model.vision_model(pixel_values=official(images.float()))
        return torch.nn.functional.normalize(self.model.visual_projection(seen.pooler_output).float(), dim=-1)

    def texts(self, prompts: Sequence[str]) -> Tensor:
        """Returns prompts as (b, e) of length 1; longer ones are cut."""
        length = self.model.config.text_config.max_position_embeddings
        ids = self.tokenizer(
            list(prompts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).input_ids
        said = self.model.text_model(input_ids=ids.to(self.model.logit_scale.device))
        return torch.nn.functional.normalize(self.model.text_projection(said.pooler_output).float(), dim=-1)


def clip_towers(folder: Path, *, device: str = "cpu") -> ClipTowers:
    """Returns the CLIP of a folder in the layout of transformers, in float32; nothing is downloaded.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    from transformers import AutoTokenizer, CLIPModel

    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} must be a CLIP's folder with config.json, weights and tokenizer")
    model = CLIPModel.from_pretrained(str(folder), local_files_only=True).float()
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    return ClipTowers(model.to(device).eval().requires_grad_(False), tokenizer)


@dataclass(frozen=True)
class Aesthetic:
    """LAION's aesthetic score v2 of 1 to 10: linear maps over CLIP ViT-L/14's view of a picture."""

    towers: ClipTowers
    maps: Sequence[tuple[Tensor, Tensor]]

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Returns the scores (b,) of images (b, 3, H, W) in 0..1."""
        x = self.towers.images(images)
        for weight, bias in self.maps:
            x = torch.nn.functional.linear(x, weight, bias)
        return x[:, 0]


def aesthetic_maps(path: Path, *, device: str = "cpu") -> list[tuple[Tensor, Tensor]]:
    """Returns the weights and biases of LAION's file (`sac+logos+ava1-l14-linearMSE`), in their order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise FileNotFoundError(f"{path} must be LAION's aesthetic predictor, and is not there")
    read = load_file if path.suffix == ".safetensors" else _read_pth
    found = {name: tensor.float().to(device) for name, tensor in read(path).items()}
    names = sorted((n for n in found if n.endswith(".weight")), key=lambda n: int(n.split(".")[1]))
    shapes = [tuple(found[name].shape) for name in names]
    if [b for _, b in shapes[1:]] != [a for a, _ in shapes[:-1]] or not shapes or shapes[-1][0] != 1:
        raise ValueError(f"{path} must hold linear maps down to one number, got {shapes}")
    return [(found[name], found[name.replace(".weight", ".bias")]) for name in names]


def _read_pth(path: Path) -> dict[str, Tensor]:
    return torch.load(path, map_location="cpu", weights_only=True)


PUBLISHED = ("aesthetic", "hps", "pick", "clip")


def published(names: Sequence[str], folder: str, device: str = "cpu") -> dict[str, Reward]:
    """Returns the published rewards of these names, from folders of `folder` in the layout of transformers.

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
    towers = clip_towers(folder, device=device)
    if name == "aesthetic":
        files = [folder / f"predictor{suffix}" for suffix in (".safetensors", ".pth")]
        path = next((file for file in files if file.is_file()), files[0])
        return Aesthetic(towers, aesthetic_maps(path, device=device))
    return Similarity(towers, float(towers.model.logit_scale.exp()) if name == "pick" else 1.0)
