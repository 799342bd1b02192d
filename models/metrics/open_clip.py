"""OpenCLIP's names for the weights of a CLIP, put into those of Hugging Face's transformers.

Convention: `text_model.`, `text_projection`, `vision_model.`, `visual_projection` and `logit_scale` are what
transformers' CLIPModel has. OpenCLIP keeps q, k and v in one tensor, and its projections turned over.
"""

import re
from collections.abc import Callable, Mapping

from torch import Tensor

_TEXT = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}
_VISION = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
}
_NAMES = _TEXT | _VISION | {"logit_scale": "logit_scale"}
_TURNED = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
_PARTS = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_LAYER = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.([a-z_.]+\d?)[._](weight|bias)")


def renamed(name: str, get: Callable[[], Tensor]) -> dict[str, Tensor]:
    """Returns a tensor of OpenCLIP, which `get` reads, under its names in transformers; none where it has
    none there."""
    if name in _NAMES:
        return {_NAMES[name]: get()}
    if name in _TURNED:
        return {_TURNED[name]: get().T.contiguous()}
    found = _LAYER.fullmatch(name)
    if not found:
        return {}
    seen, layer, part, kind = found.groups()
    before = f"{'vision' if seen else 'text'}_model.encoder.layers.{layer}."
    if part == "attn.in_proj":
        return {f"{before}self_attn.{q}_proj.{kind}": x for q, x in zip("qkv", get().chunk(3), strict=True)}
    return {f"{before}{_PARTS[part]}.{kind}": get()} if part in _PARTS else {}


def to_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns all tensors of an OpenCLIP model under their names in transformers."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        found |= renamed(name, lambda tensor=tensor: tensor)
    return found
