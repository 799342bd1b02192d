"""How far pictures together with their prompts are from the little world's own: a Fréchet distance.

Convention: features are those of both towers of the little world's CLIP beside each other, so that a handsome
picture of another prompt is far away too. All sets have the same number of rows, since the distance depends
on it, and all are compared with other paintings and their prompts: none shares a prompt with what it is
compared with. The floor is the distance of the prompts' own paintings, the ceiling that of the same with
their prompts shuffled.
Source: Heusel et al. 2017 for the distance; features of pictures and texts together after Soloveitchik et al.
2021, "Conditional Frechet Inception Distance".

b batch  n pictures  e shared space  H W image
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...hub import bundled_folder, bundled_weights
from ...metrics.frechet import frechet_distance
from ...tinyworld.bundled import CLIP, WORDS
from ...tinyworld.clip import load_clip, read_words

Embed = Callable[[Tensor, Sequence[str]], Tensor]  # images (b, 3, H, W) in 0..1 and prompts -> (b, 2e)


def load_embed() -> Embed:
    """Returns the features of the bundled CLIP; raises FileNotFoundError where it is not."""
    clip = load_clip(bundled_weights(CLIP), read_words(bundled_folder() / WORDS))

    @torch.no_grad()
    def embed(images: Tensor, prompts: Sequence[str]) -> Tensor:
        return torch.cat((clip.images(images), clip.texts(prompts)), 1)

    return embed


@dataclass(frozen=True)
class Distances:
    """Of the model's pictures, and what to compare that with."""

    pictures: float
    floor: float
    ceiling: float


def distances(pictures: Tensor, paintings: Tensor, others: Tensor) -> Distances:
    """Returns the distances of features (n, 2e): of the model's pictures, of the paintings of the same
    prompts, and of other paintings with prompts of their own.

    Raises:
        ValueError: the three are not of one shape.
    """
    shapes = {tuple(each.shape) for each in (pictures, paintings, others)}
    if len(shapes) > 1:
        raise ValueError(f"all features must have one shape, got {sorted(shapes)}")
    seen, said = paintings.chunk(2, 1)
    shuffled = torch.cat((seen, said.roll(1, 0)), 1)
    return Distances(*(frechet_distance(each, others) for each in (pictures, paintings, shuffled)))
