"""What an encoder is tuned with, a frozen base and its rewards, and what comes of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...files import fingerprint
from ...hub import bundled_folder, bundled_weights
from ...tinyworld import bundled
from ..loss import CLIP
from ..rewards import Contrastive, Reward, parse_weights
from . import bases, parts
from .bases import Base
from .options import TINY, CraftOptions

TINY_FILES = (bundled.MODEL, bundled.CLIP, bundled.AUTOENCODER, bundled.TASTE, bundled.ORACLE)


@dataclass(frozen=True)
class Studio:
    """A frozen base, its rewards by name, and what the CLIP constraint compares with.

    To judge what was tuned there are rewards of the same names that learned from other pictures, and a reader
    that names what pictures (b, 3, H, W) show; where there are none, the card is silent on that. `files` are
    the fingerprints of what all of them were read from.
    """

    base: Base
    rewards: Mapping[str, Reward]
    clip: Contrastive
    judges: Mapping[str, Reward] = field(default_factory=dict)
    read: Callable[[Tensor], Sequence[Mapping[str, str]]] | None = None
    files: Mapping[str, str] = field(default_factory=dict)


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
        return Studio(base, rewards, base.clip, judges, tiny_reader(device), fingerprints(options))
    base = bases.diffusers_base(Path(options.base))
    rewards = published(names, options.models, device)
    clip = published([CLIP], options.models, device)[CLIP].towers
    base = base.with_clip(clip) if options.constraint == "self" else base
    return Studio(base, rewards, clip, files=fingerprints(options))


def fingerprints(options: CraftOptions) -> dict[str, str]:
    """Returns what tells the files of a base, its rewards and the encoder to begin with from others.

    Raises:
        FileNotFoundError: one is not there.
    """
    found = {"encoder": Path(options.encoder)} if options.encoder else {}
    if options.base == TINY:
        found |= {name: bundled_weights(name) for name in TINY_FILES}
        found[bundled.WORDS] = bundled_folder() / bundled.WORDS / "tokenizer.json"
    else:
        names = [*parse_weights(options.reward), CLIP]
        found |= {"base": Path(options.base), **{name: Path(options.models) / name for name in names}}
    return {name: fingerprint(path) for name, path in found.items()}


def tuned_encoder(base: Base, options: CraftOptions) -> nn.Module:
    """Returns a copy of the base's encoder, with the weights of the options' file if they name one."""
    encoder = copy.deepcopy(base.encoder).requires_grad_(False)
    if options.encoder:
        parts.load_encoder(encoder, Path(options.encoder))
    return encoder
