"""CLIPs of ComfyUI that mix several, and CLIPs with other weights: all that touches the insides of its CLIP.

Convention: an encoder of a mix is asked through the CLIP's own public encode, never by a loop of ours, so
prompt weights, clip skip, LoRA and hooks are ComfyUI's. What is set on a mix counts for all of its encoders.
"""

import copy
import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import comfy.hooks
import comfy.model_patcher
import comfy.sd
import torch
from torch import Tensor

from ..models.textcraftor.files import EncoderFile, check_fit, count_layers, kind_of, read_encoders, towers
from ..models.textcraftor.merge import merges
from .compat import HOST_CHANGED
from .conditioning import Conditioning, check_alike, kind, mix_asked

EMBEDDING = "text_model.embeddings.token_embedding.weight"
# What a patcher of copied weights takes over from that of the CLIP they were copied from.
KEPT = ("patches", "patches_uuid", "hook_patches", "forced_hooks", "hook_mode", "is_clip", "object_patches")
KEPT += ("force_cast_weights",)
HEAVY = 2  # times as many numbers outside CLIP text encoders as in them are not copied for a new CLIP

log = logging.getLogger("presample")


def _of_all(name: str) -> property:
    """What is asked of the first encoder, and set on all of them."""

    def get(self):
        return getattr(self.parts[0], name)

    def put(self, value):
        for part in self.parts:
            setattr(part, name, value)

    return property(get, put)


def _of_first(name: str) -> property:
    """What other nodes look at or exchange, such as names of weights: that of the first encoder."""
    return property(
        lambda self: getattr(self.parts[0], name), lambda self, value: setattr(self.parts[0], name, value)
    )


class MixedCLIP(comfy.sd.CLIP):
    """A CLIP that gives the weighted sum of what its parts give; other nodes see the first of them."""

    layer_idx = _of_all("layer_idx")
    use_clip_schedule = _of_all("use_clip_schedule")
    apply_hooks_to_conds = _of_all("apply_hooks_to_conds")
    tokenizer_options = _of_first("tokenizer_options")
    patcher = _of_first("patcher")
    cond_stage_model = _of_first("cond_stage_model")
    tokenizer = _of_first("tokenizer")

    @classmethod
    def of(cls, clips: Sequence[Any], weights: Sequence[float]) -> "MixedCLIP":
        """Returns the mix; the CLIPs themselves stay as they are. Raises ValueError for different kinds."""
        check_alike(clips)
        return cls._holding([clip.clone() for clip in clips], weights)

    @classmethod
    def _holding(cls, parts: Sequence[Any], weights: Sequence[float]) -> "MixedCLIP":
        made = cls(no_init=True)
        made.parts, made.weights = list(parts), tuple(weights)
        made._hooks = made.patcher.forced_hooks
        made._injected = set(_injections(made.patcher))
        return made

    def clone(self, *args, **kwargs):
        self._spread_hooks()
        made = self._holding([part.clone(*args, **kwargs) for part in self.parts], self.weights)
        made._injected = self._injected
        return made

    def add_patches(self, *args, **kwargs):
        return list({name for part in self.parts for name in part.add_patches(*args, **kwargs)})

    def load_model(self, *args, **kwargs):
        return self.parts[0].load_model(*args, **kwargs)

    def encode_from_tokens_scheduled(self, tokens, *args, **kwargs):
        self._spread_hooks()
        return self._ask(lambda part: part.encode_from_tokens_scheduled(tokens, *args, **kwargs))

    def encode_from_tokens(self, tokens, return_pooled=False, return_dict=False):
        self._spread_hooks()

        def ask(part: Any) -> Conditioning:
            facts = part.encode_from_tokens(tokens, return_pooled=return_pooled, return_dict=True)
            return [[facts.pop("cond"), facts]]

        ((cond, facts),) = self._ask(ask)
        if return_dict:
            return {"cond": cond, **facts}
        return (cond, facts["pooled_output"]) if return_pooled else cond

    def get_sd(self):
        raise ValueError(ONE_SET_OF_WEIGHTS)

    def state_dict_for_saving(self):
        raise ValueError(ONE_SET_OF_WEIGHTS)

    def get_key_patches(self):
        raise ValueError(ONE_SET_OF_WEIGHTS)

    def _ask(self, ask) -> Conditioning:
        if set(_injections(self.patcher)) != self._injected:
            raise ValueError(
                "a bypass LoRA behind an Encoder Mix would reach its first encoder only; use the other LoRA"
                " loader, or connect the LoRA before Encoder Mix"
            )
        return mix_asked(self.parts, self.weights, ask)

    def _spread_hooks(self) -> None:
        """Gives the hooks that were set on the mix, so on its first encoder, to all of them."""
        hooks = self.patcher.forced_hooks
        if hooks is self._hooks:
            return
        self._hooks = hooks
        for part in self.parts[1:]:
            part.patcher.forced_hooks = hooks
            if hooks is not None:
                target = comfy.hooks.create_target_dict(comfy.hooks.EnumWeightTarget.Clip)
                part.patcher.register_all_hook_patches(hooks, target)


ONE_SET_OF_WEIGHTS = (
    "the CLIP must have one set of weights to be saved or merged, and an Encoder Mix has several; use Encoder"
    " Merge (weights) in its place"
)


def _injections(patcher: Any) -> Mapping[str, Any]:
    return getattr(patcher, "injections", {})


# Other weights


def load_tuned(clip: Any, path: Path) -> tuple[Any, str]:
    """Returns the CLIP with the tuned encoders of a file in place of its own, and a sentence about it.

    Raises:
        ValueError: the file holds no text encoder, or none that fits; the message says what it is. Or the
            CLIP is a mix, which has not one encoder to replace.
    """
    if isinstance(clip, MixedCLIP):
        raise ValueError("clip must have one set of weights, and is an Encoder Mix; load the file before it")
    files = read_encoders(path)
    state = clip.cond_stage_model.state_dict()
    here = {prefix: _shapes(state, prefix) for prefix in towers(state)}
    if not here:
        raise ValueError(
            f"clip must hold a CLIP text encoder for {path.name} to replace, and is {kind(clip)}"
        )
    changes, said = {}, []
    for file in files:
        for prefix, shapes in here.items():
            if file.kind == _kind(shapes):
                tensors = check_fit(file, shapes, host=kind(clip))
                changes |= {prefix + name: tensor for name, tensor in tensors.items()}
                said.append(f"{len(tensors)} tensors of {file.name} are the clip's {file.kind} now")
    if not changes:
        _refuse(files, here, clip)
    return with_weights(clip, changes), "; ".join(said)


def _shapes(state: Mapping[str, Tensor], prefix: str) -> dict[str, tuple[int, ...]]:
    names = (name for name in state if name.startswith(prefix))
    return {name.removeprefix(prefix): tuple(state[name].shape) for name in names}


def _kind(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return kind_of(count_layers(shapes), shapes[EMBEDDING][-1])


def _refuse(files: Sequence[EncoderFile], here: Mapping[str, Mapping], clip: Any) -> None:
    if len(here) == 1:
        check_fit(files[0], next(iter(here.values())), host=kind(clip))
    kinds = " and ".join(file.kind for file in files)
    inside = " and ".join(map(_kind, here.values()))
    raise ValueError(f"{files[0].name} is a {kinds}, and clip is {kind(clip)}, which holds {inside}")


def with_weights(clip: Any, changes: Mapping[str, Tensor]) -> Any:
    """Returns a CLIP with other tensors under some names of its state; LoRA and options of `clip` stay.

    It has weights of its own, so that a mix need not patch them again for each prompt. Where they cannot be
    copied, or a T5 beside them is not worth it, the new ones are patches: the same, but slower to change.
    """
    state = clip.cond_stage_model.state_dict()
    inside = {prefix.removesuffix("transformer.") for prefix in towers(state)}
    numbers = {True: 0, False: 0}
    for name, tensor in state.items():
        numbers[name.startswith(tuple(inside))] += tensor.numel()
    if numbers[False] > HEAVY * numbers[True] or _is_bound(clip):
        return _patched(clip, changes)
    try:
        return _copied(clip, changes)
    except HOST_CHANGED:
        log.exception(
            "this ComfyUI's CLIP cannot be copied; the tuned weights become patches, which is slower"
        )
        return _patched(clip, changes)


def _is_bound(clip: Any) -> bool:
    """Whether a copy of the CLIP's model would do harm or lack something.

    DynamicVRAM keeps memory by its address on the model, which two owners would both free, even where a
    later patcher is not dynamic; and a bypass LoRA's injections reach into the modules of that one model.
    """
    patcher, model = clip.patcher, clip.cond_stage_model
    dynamic = getattr(patcher, "is_dynamic", lambda: False)() or hasattr(model, "dynamic_pins")
    return dynamic or bool(_injections(patcher))


def _copied(clip: Any, changes: Mapping[str, Tensor]) -> Any:
    clip.patcher.detach()  # so that its weights are those of the file, on the device where they rest
    model, memo = clip.cond_stage_model, {}
    for name, tensor in itertools.chain(model.named_parameters(), model.named_buffers()):
        new = changes.get(name, tensor.detach()).to(tensor.device, tensor.dtype, copy=True)
        whole = isinstance(tensor, torch.nn.Parameter)
        memo[id(tensor)] = torch.nn.Parameter(new, requires_grad=False) if whole else new
    made = clip.clone()
    before = made.patcher
    made.cond_stage_model = copy.deepcopy(model, memo)
    made.patcher = comfy.model_patcher.ModelPatcher(
        made.cond_stage_model, load_device=before.load_device, offload_device=before.offload_device
    )
    for name in KEPT:
        if hasattr(before, name):
            setattr(made.patcher, name, getattr(before, name))
    return made


def _patched(clip: Any, changes: Mapping[str, Tensor]) -> Any:
    made = clip.clone()
    made.cond_stage_model = made.patcher.model  # Select CLIP Device leaves another, which no patch reaches
    made.add_patches({name: ("diff", (tensor,)) for name, tensor in changes.items()}, 1.0, 0.0)
    for name in changes:  # in place of those of an earlier file, and before the LoRA patches that were there
        *before, new = made.patcher.patches[name]
        made.patcher.patches[name] = [new, *(patch for patch in before if not _replaces(patch))]
    return made


def _replaces(patch: Sequence[Any]) -> bool:
    """Whether it is a patch of `_patched`; merges, which may leave nothing of a weight either, are lists."""
    return patch[2] == 0 and isinstance(patch[1], tuple)


def merge_clips(clip: Any, other: Any, w: float) -> Any:
    """Returns a CLIP whose weights are (1 - w) those of the first and w those of the other.

    They are patches as ComfyUI's own merging nodes make them.

    Raises:
        ValueError: the CLIPs are of different kinds, or one of them is a mix.
    """
    if any(isinstance(each, MixedCLIP) for each in (clip, other)):
        raise ValueError(ONE_SET_OF_WEIGHTS)
    check_alike([clip, other])
    made = clip.clone()
    state = made.cond_stage_model.state_dict()
    if not w:
        return made
    for name, patches in other.get_key_patches().items():
        if name in state and merges(name, state[name].dtype):
            made.add_patches({name: patches}, w, 1.0 - w)
    return made
