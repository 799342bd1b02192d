"""The text encoders of a loaded model, whatever the host, and tuned ones that stand in for them for a while.

Convention: an engine is the host's object with `encode_with_transformers(tokens)`: below prompt syntax and
chunks, above emphasis. The host's own module encodes, so clip skip and textual inversion hold for a tuned
encoder too, and a LoRA's difference is added to it. Nothing is copied into the host's tensors: others are
in their place while a text is encoded.

b texts  n tokens  d width
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

Tensors = Mapping[str, torch.Tensor]
Weighted = tuple[float, Tensors | None]  # an encoder in a mix; None is the engine's own
OWN = ("text_processing_engine_l", "text_processing_engine_g", "text_processing_engine")  # Forge, Neo
A1111_BACKUPS = {"weight": "network_weights_backup", "bias": "network_bias_backup"}
_HIDDEN = re.compile(r"\bwrapped\.")  # what hosts put around the token embedding, for textual inversion


@dataclass(frozen=True)
class Engine:
    """One text encoder of a model: the host's object, its module, and the host's names of all its tensors."""

    host: Any
    module: torch.nn.Module
    names: Mapping[str, tuple[tuple[torch.nn.Module, str], ...]]
    backup: Callable[[torch.nn.Module, str], torch.Tensor | None]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor, by the name that it has in transformers' CLIPTextModel."""
        return {name: tuple(self.tensor(name).shape) for name in self.names}

    def tensor(self, name: str) -> torch.Tensor:
        module, key = self.names[name][0]
        return module._parameters[key]


def engines(model: Any) -> list[Engine]:
    """Returns the text encoders of a model that are built like transformers' CLIPTextModel; maybe none."""
    hosts = [getattr(model, name) for name in OWN if getattr(model, name, None) is not None]
    if not hosts:
        conditioner = getattr(model, "conditioner", None)  # SDXL in A1111, reForge and Classic
        hosts = list(getattr(conditioner, "embedders", ())) or [getattr(model, "cond_stage_model", None)]
    found = [(host, _module(host)) for host in hosts if hasattr(host, "encode_with_transformers")]
    return [_engine(model, host, module) for host, module in found if module is not None]


def _module(host: Any) -> torch.nn.Module | None:
    """The module behind an engine; OpenCLIP's, which A1111 has for SDXL's second one, is built otherwise."""
    holder = getattr(host, "text_encoder", None) or getattr(host, "wrapped", None)
    module = getattr(holder, "transformer", None)
    return module if hasattr(module, "text_model") else None


def _engine(model: Any, host: Any, module: torch.nn.Module) -> Engine:
    names: dict[str, list] = {}
    for path, part in module.named_modules():
        for key in part._parameters:
            if part._parameters[key] is not None:
                name = _HIDDEN.sub("", f"{path}.{key}" if path else key)
                names.setdefault(name, []).append((part, key))
    text = {name: tuple(where) for name, where in names.items() if name.startswith("text_model.")}
    return Engine(host, module, text, _backups(model, module))


def _backups(model: Any, module: torch.nn.Module) -> Callable[[torch.nn.Module, str], torch.Tensor | None]:
    """Returns what gives a tensor as it was before LoRAs were merged into it, None where none was."""
    patcher = getattr(getattr(getattr(model, "forge_objects", None), "clip", None), "patcher", None)
    kept = getattr(getattr(patcher, "lora_loader", patcher), "backup", None)  # Forge; reForge and Classic
    root = getattr(patcher, "model", None)
    paths = {part: path for path, part in root.named_modules()} if kept and root is not None else {}

    def of(part: torch.nn.Module, key: str) -> torch.Tensor | None:
        if part in paths:
            found = kept.get(f"{paths[part]}.{key}")
            return getattr(found, "weight", found)
        found = getattr(part, A1111_BACKUPS.get(key, ""), None)
        return found if isinstance(found, torch.Tensor) else None

    return of


@contextmanager
def standing_in(engine: Engine, tensors: Tensors) -> Iterator[None]:
    """Has `tensors` stand in for the engine's own; afterwards those are there again, the same objects."""
    before = []
    try:
        for name, tensor in tensors.items():
            for part, key in engine.names[name]:
                own = part._parameters[key]
                before.append((part, key, own))
                part._parameters[key] = _like(own, tensor, engine.backup(part, key))
        yield
    finally:
        for part, key, own in reversed(before):
            part._parameters[key] = own


def _like(own: torch.Tensor, tensor: torch.Tensor, without_lora: torch.Tensor | None) -> torch.nn.Parameter:
    if without_lora is not None:
        merged = own.to(torch.float32) - without_lora.to(own.device, torch.float32)
        tensor = tensor.to(own.device, torch.float32) + merged
    return torch.nn.Parameter(tensor.to(own.device, own.dtype), requires_grad=False)


@contextmanager
def mixing(
    engine: Engine,
    encoders: Sequence[tuple[float, Tensors | None]],
    mix: Callable[[list, list], torch.Tensor],
) -> Iterator[None]:
    """Has the engine give the weighted sum of what encoders make of the same tokens.

    Its own comes first in any case: hosts move the module to its device, and merge LoRAs, when it runs.
    """
    host, original = engine.host, engine.host.encode_with_transformers
    before = host.__dict__.get("encode_with_transformers")

    def encode(tokens: torch.Tensor) -> torch.Tensor:
        inversion = _inversion(host)
        fixes = getattr(inversion, "fixes", None)  # the first forward pass takes them away
        own = original(tokens)  # (b, n, d)
        made = []
        for _, tensors in encoders:
            if tensors is None:
                made.append(own)
                continue
            if inversion is not None:
                inversion.fixes = fixes
            with standing_in(engine, tensors):
                made.append(original(tokens))
        return _mixed(own, made, [weight for weight, _ in encoders], mix)

    object.__setattr__(host, "encode_with_transformers", encode)
    try:
        yield
    finally:
        if before is None:
            del host.__dict__["encode_with_transformers"]
        else:
            object.__setattr__(host, "encode_with_transformers", before)


def _inversion(host: Any) -> Any:
    """What an engine keeps the embeddings of textual inversion in until they are used."""
    keeper = getattr(host, "embeddings", None) or getattr(host, "hijack", None)
    return keeper if hasattr(keeper, "fixes") else None


def _mixed(own: torch.Tensor, made: list[torch.Tensor], weights: list[float], mix: Callable) -> torch.Tensor:
    mixed = mix(made, weights)
    if hasattr(own, "pooled") and not any(mixed is one for one in made):
        mixed.pooled = mix([one.pooled for one in made], weights)
    return mixed


def said_by(host: Any) -> dict:
    """Returns what an engine notes of a prompt for the infotext, which a second pass would note twice."""
    noted = getattr(getattr(host, "hijack", None), "extra_generation_params", None)
    if noted is None:
        noted = getattr(sys.modules.get(type(host).__module__), "last_extra_generation_params", None)
    return noted if isinstance(noted, dict) else {}
