"""What an encoder is tuned with, a frozen base and its rewards, and what comes of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..rewards import Reward, Towers, parse_weights
from . import bases, parts
from .bases import Base
from .options import TINY, CraftOptions


@dataclass(frozen=True)
class Studio:
    """A frozen base, its rewards by name, and what the CLIP constraint compares with.

    To judge what was tuned there are rewards of the same names that learned from other pictures, and a reader
    that names what pictures (b, 3, H, W) show; where there are none, the card is silent on that.
    """

    base: Base
    rewards: Mapping[str, Reward]
    clip: Towers
    judges: Mapping[str, Reward] = field(default_factory=dict)
    read: Callable[[Tensor], Sequence[Mapping[str, str]]] | None = None


@dataclass(frozen=True)
class Trained:
    """What was tuned, an encoder or a denoiser, facts for its card, and what it was tuned with."""

    model: nn.Module
    facts: dict[str, Any]
    studio: Studio


def open_studio(options: CraftOptions, device: str = "cpu") -> Studio:
    """Returns what the options name.

    Raises:
        ValueError: a reward is not known.
        OSError: a model is missing.
    """
    from .reward_models import published, tiny_reader, tiny_rewards

    names = list(parse_weights(options.reward))
    if options.base == TINY:
        base = bases.tiny_base()
        rewards, judges = (tiny_rewards(names, device=device, net=net) for net in ("reward", "judge"))
        return Studio(base, rewards, base.clip, judges, tiny_reader(device))
    base = bases.diffusers_base(Path(options.base))
    rewards = published(names, options.models, device)
    return Studio(base, rewards, published(["clip"], options.models, device)["clip"].towers)


def tuned_encoder(base: Base, options: CraftOptions) -> nn.Module:
    """Returns a copy of the base's encoder, with the weights of the options' file if they name one."""
    encoder = copy.deepcopy(base.encoder).requires_grad_(False)
    if options.encoder:
        parts.load_encoder(encoder, Path(options.encoder))
    return encoder
