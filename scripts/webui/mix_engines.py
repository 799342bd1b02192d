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
Place = tuple[torch.nn.Module, str, torch.nn.Parameter]  # where a tensor stands in, and which
Text = tuple  # what tells a text from others
Run = Callable[[], torch.Tensor]
Mix = Callable[[list, list], torch.Tensor]
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

    def condition(self) -> tuple:
        """Returns what differs as soon as a host has moved, converted, merged into or exchanged a tensor."""
        places = [place for where in self.names.values() for place in where]
        tensors = [module._parameters[key] for module, key in places]
        return tuple((id(one), one.data_ptr(), one.device, one.dtype, _version(one)) for one in tensors)


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version  # those that are made for inference have none


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
    return Engine(host, module, text, _backups(model))


def _backups(model: Any) -> Callable[[torch.nn.Module, str], torch.Tensor | None]:
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


def fitted(engine: Engine, tensors: Tensors) -> list[Place]:
    """Returns what is to stand in for an engine's tensors: like them, where they are, with their LoRAs."""
    places = []
    for name, tensor in tensors.items():
        made: dict[tuple[int, int], torch.nn.Parameter] = {}
        for part, key in engine.names[name]:
            own, without_lora = part._parameters[key], engine.backup(part, key)
            same = (id(own), id(without_lora))  # Forge has the token embedding in two places
            if same not in made:
                made[same] = _like(own, tensor, without_lora)
            places.append((part, key, made[same]))
    return places


def _like(own: torch.Tensor, tensor: torch.Tensor, without_lora: torch.Tensor | None) -> torch.nn.Parameter:
    if without_lora is not None:
        merged = own.to(torch.float32) - without_lora.to(own.device, torch.float32)
        tensor = tensor.to(own.device, torch.float32) + merged
    return torch.nn.Parameter(tensor.to(own.device, own.dtype), requires_grad=False)


@contextmanager
def standing_in(places: Sequence[Place]) -> Iterator[None]:
    """Has what is `fitted` stand in for an engine's own; afterwards that is there again, the same objects."""
    before = [(part, key, part._parameters[key]) for part, key, _ in places]
    try:
        for part, key, tensor in places:
            part._parameters[key] = tensor
        yield
    finally:
        for part, key, own in before:
            part._parameters[key] = own


class Answers:
    """What the encoders of an engine make of texts, each asked once, and a tuned one fitted once.

    It is for one piece of conditioning: LoRAs, clip skip and emphasis may be others in the next. A tuned
    encoder is never the first to be asked there: hosts move the module to its device, and merge LoRAs, when
    it runs. Once its own has run, and for as long as its tensors stay as it left them, it need not again.
    """

    def __init__(self, engine: Engine):
        self.engine = engine
        self.states: dict[tuple, torch.Tensor] = {}
        self.places: dict[int, list[Place]] = {}
        self.settled: tuple | None = None  # what the engine's tensors were when its own encoder had run

    def ask(self, encoder: Tensors | None, text: Text, run: Run) -> torch.Tensor:
        """Returns what an encoder makes of a text; `run` has the host's module make it."""
        asked = (encoder if encoder is None else id(encoder), text)
        if asked not in self.states:
            self.states[asked] = self._own(run) if encoder is None else self._tuned(encoder, text, run)
        return self.states[asked]

    def _own(self, run: Run) -> torch.Tensor:
        states = run()
        settled = self.engine.condition()
        if settled != self.settled:
            self.settled = settled
            self.places.clear()
        return states

    def _tuned(self, encoder: Tensors, text: Text, run: Run) -> torch.Tensor:
        if self.settled is None or self.settled != self.engine.condition():
            self.states[None, text] = self._own(run)
        if id(encoder) not in self.places:
            self.places[id(encoder)] = fitted(self.engine, encoder)
        with standing_in(self.places[id(encoder)]):
            return run()


@contextmanager
def mixing(answers: Answers, encoders: Sequence[Weighted], mix: Mix) -> Iterator[None]:
    """Has an engine give the weighted sum of what encoders make of the same tokens."""
    host = answers.engine.host
    original, before = host.encode_with_transformers, host.__dict__.get("encode_with_transformers")

    def encode(tokens: torch.Tensor) -> torch.Tensor:
        inversion = _inversion(host)
        fixes = getattr(inversion, "fixes", None)  # a forward pass takes them away

        def run() -> torch.Tensor:
            if inversion is not None:
                inversion.fixes = fixes
            return original(tokens)  # (b, n, d)

        text = _text(tokens, fixes)
        made = [answers.ask(tensors, text, run) for _, tensors in encoders]
        if inversion is not None:
            inversion.fixes = None
        return _mixed(made, [weight for weight, _ in encoders], mix)

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


def _text(tokens: torch.Tensor, fixes: Sequence | None) -> Text:
    """What tells a text from others: its tokens, and which embeddings go where, for each of a batch."""
    inserted = tuple(tuple(tuple(fix) for fix in each) for each in (() if fixes is None else fixes))
    return (tuple(tokens.shape), tuple(tokens.flatten().tolist()), inserted)


def _mixed(made: list[torch.Tensor], weights: list[float], mix: Mix) -> torch.Tensor:
    mixed = mix(made, weights)
    if any(mixed is one for one in made):
        return _copied(mixed)
    if hasattr(made[0], "pooled"):
        mixed.pooled = mix([one.pooled for one in made], weights)
    return mixed


def _copied(states: torch.Tensor) -> torch.Tensor:
    """The same for the host alone, with what it noted on it: an answer is given again."""
    copy = states.clone()
    for name, value in vars(states).items():
        setattr(copy, name, value.clone() if isinstance(value, torch.Tensor) else value)
    return copy


def said_by(host: Any) -> dict:
    """Returns what an engine notes of a prompt for the infotext, which a second pass would note twice."""
    noted = getattr(getattr(host, "hijack", None), "extra_generation_params", None)
    if noted is None:
        noted = getattr(sys.modules.get(type(host).__module__), "last_extra_generation_params", None)
    return noted if isinstance(noted, dict) else {}
