"""Published models that score pictures: CLIP score, PickScore, HPSv2, aesthetic v2 and v2.5, AI-corrupt.

Convention: images are (b, 3, H, W) in 0..1, scores (b,) in float32, the higher the better. All but AI-corrupt
carry gradients to the pixels. Models are folders on this machine; nothing is downloaded.
Source: spec 1.14 and 3.4; Kirstain et al. 2023 (PickScore), Wu et al. 2023 (HPSv2).

b batch  e space of embeddings  H W image
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..published.scorers import SCORERS
from .heads import load_head
from .open_clip import to_transformers
from .preprocess import read_prepare
from .pretrained import load_pretrained, model_type, read_tensors

PAIRS = ("diagonal", "matrix")
TUNED = ("HPS_v2*.pt", "HPS_v2*.safetensors")  # as HPSv2's authors publish it, in OpenCLIP's names
PREDICTORS = ("predictor.safetensors", "predictor.pth")
CORRUPT = {"size": 384, "mean": 0.5, "std": 0.5}  # of imgutils, which publishes the model


class Scorer(Protocol):
    """What scores pictures of prompts."""

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Returns the scores (b,) of images (b, 3, H, W), one prompt each."""
        ...


@dataclass(frozen=True)
class Towers:
    """A CLIPModel of transformers; `prepare` makes of images what it sees."""

    model: Any
    tokenizer: Any
    prepare: Callable[[Tensor], Tensor]

    def images(self, images: Tensor) -> Tensor:
        """Returns images (b, 3, H, W) as (b, e) of length 1, with gradients."""
        pixels = self.prepare(images).to(self.model.device, self.model.dtype)
        seen = self.model.vision_model(pixel_values=pixels)
        return _unit(self.model.visual_projection(seen.pooler_output))

    @torch.no_grad()
    def texts(self, prompts: Sequence[str]) -> Tensor:
        """Returns prompts as (b, e) of length 1; longer ones are cut."""
        length = self.model.config.text_config.max_position_embeddings
        told = self.tokenizer(
            list(prompts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        # No mask: CLIP's texts are read from left to right, so what fills up the end changes nothing.
        said = self.model.text_model(input_ids=told.input_ids.to(self.model.device))
        return _unit(self.model.text_projection(said.pooler_output))


@dataclass(frozen=True)
class Similarity:
    """`scale` times the cosine of picture and prompt: 1 for CLIP and HPSv2, about 100 for PickScore.

    With pairs = matrix a picture's score is its mean over all prompts of the batch, as TextCraftor's code has
    PickScore: to reproduce its numbers.
    """

    towers: Any
    scale: float = 1.0
    pairs: str = "diagonal"

    def __post_init__(self):
        if self.pairs not in PAIRS:
            raise ValueError(f"pairs must be one of {', '.join(PAIRS)}; got {self.pairs!r}")

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Returns the scores (b,); raises ValueError where a picture lacks its prompt."""
        if len(images) != len(prompts):
            raise ValueError(f"every picture needs a prompt, got {len(images)} and {len(prompts)} prompts")
        seen, said = self.towers.images(images), self.towers.texts(prompts)
        if self.pairs == "matrix":
            return self.scale * (seen @ said.T).mean(1)
        return self.scale * (seen * said).sum(-1)


@dataclass(frozen=True)
class Aesthetic:
    """A predictor's linear layers over a picture's embedding of length 1; prompts do not matter."""

    embed: Callable[[Tensor], Tensor]
    head: nn.Module

    def score(self, images: Tensor, prompts: Sequence[str] = ()) -> Tensor:
        """Returns the scores (b,), about 1 to 10."""
        return self.head(self.embed(images)).squeeze(-1)


@dataclass(frozen=True)
class AiCorrupt:
    """The probability that a picture is not one of those that a generator broke; `run` is an ONNX session's.

    `deepghs/ai_image_corrupted`, which learned from pictures of SD 1.5 in the style of anime. No gradients.
    """

    run: Callable[[np.ndarray], np.ndarray]
    good: int

    @torch.no_grad()
    def score(self, images: Tensor, prompts: Sequence[str] = ()) -> Tensor:
        """Returns the probabilities (b,)."""
        side = CORRUPT["size"]
        x = functional.interpolate(
            images.float(), (side, side), mode="bilinear", antialias=True, align_corners=False
        )
        return torch.from_numpy(
            self.run(((x - CORRUPT["mean"]) / CORRUPT["std"]).cpu().numpy())[:, self.good]
        )


def load_towers(
    folder: Path, *, device: str = "cpu", prepare: Callable[[Tensor], Tensor] | None = None
) -> Towers:
    """Returns the CLIP of a folder in transformers' layout, in float32.

    `prepare` replaces what its preprocessor_config.json says.

    Raises:
        FileNotFoundError: the folder has no config.json, or no preprocessor_config.json.
        ValueError: it holds no CLIP, or lacks weights.
    """
    from transformers import AutoTokenizer

    model = _load_clip(folder, device)
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    return Towers(model, tokenizer, prepare or read_prepare(folder))


def _load_clip(folder: Path, device: str) -> Any:
    from transformers import CLIPModel

    kind = model_type(folder)
    if kind != "clip":
        raise ValueError(f"{folder} must hold a CLIP with both its sides, got {kind!r}; choose another one")
    tuned = sorted(path for name in TUNED for path in folder.glob(name))
    if len(tuned) > 1:
        names = " and ".join(path.name for path in tuned)
        raise ValueError(f"{folder} must hold one file of HPSv2's weights, got {names}; keep one")
    if tuned:
        return _tuned_clip(folder, tuned[0]).to(device)
    return load_pretrained((CLIPModel,), folder, device=device, precision="float32")[0]


def _tuned_clip(folder: Path, path: Path) -> Any:
    """The CLIP that a folder describes, with the weights of an OpenCLIP file that lies in it."""
    from transformers import CLIPConfig, CLIPModel

    tensors = {name: t.float() for name, t in to_transformers(read_tensors(path)).items()}
    with torch.random.fork_rng(devices=[]):  # transformers draws weights first
        model = CLIPModel(CLIPConfig.from_pretrained(folder, local_files_only=True))
    wanted = {name: weight.shape for name, weight in model.named_parameters()}
    wrong = [name for name, shape in wanted.items() if name not in tensors or tensors[name].shape != shape]
    if wrong:
        raise ValueError(
            f"{path.name} must have the weights of the CLIP in {folder}, got others or none for "
            f"{', '.join(wrong[:3])}; HPSv2 is a CLIP ViT-H/14"
        )
    model.load_state_dict(tensors, strict=False)  # older transformers keep positions as buffers
    return model.eval().requires_grad_(False)


def load_scorer(kind: str, folder: Path, *, device: str = "cpu", pairs: str = "diagonal") -> Scorer:
    """Returns the scorer of a kind in SCORERS, from a folder with its model.

    The aesthetic ones need `predictor.safetensors` or `predictor.pth` beside the model that sees; AI-corrupt
    needs `model.onnx` and `meta.json`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: the kind is none, or the folder holds another model.
    """
    if kind not in SCORERS:
        raise ValueError(f"the scorer must be one of {', '.join(SCORERS)}; got {kind!r}")
    if kind == "ai-corrupt":
        return _ai_corrupt(folder)
    if kind.startswith("aesthetic"):
        return _aesthetic(kind, folder, device)
    towers = load_towers(folder, device=device)
    return Similarity(towers, float(towers.model.logit_scale.exp()) if kind == "pick" else 1.0, pairs)


def _aesthetic(kind: str, folder: Path, device: str) -> Aesthetic:
    path = next((folder / name for name in PREDICTORS if (folder / name).is_file()), folder / PREDICTORS[0])
    head = load_head(path).to(device)
    embed = _clip_vision(folder, device) if kind == "aesthetic" else _siglip_vision(folder, device)
    with torch.no_grad():
        width = embed(torch.zeros(1, 3, 32, 32, device=device)).shape[-1]
    if head[0].in_features != width:
        raise ValueError(
            f"{path} is for embeddings of width {head[0].in_features}, the model beside it makes {width}; "
            "use the model that the predictor was made for"
        )
    return Aesthetic(embed, head)


def _clip_vision(folder: Path, device: str) -> Callable[[Tensor], Tensor]:
    return Towers(_load_clip(folder, device), None, read_prepare(folder)).images


def _siglip_vision(folder: Path, device: str) -> Callable[[Tensor], Tensor]:
    from transformers import SiglipVisionModel

    if not model_type(folder).startswith("siglip"):
        raise ValueError(f"{folder} must hold a SigLIP, got {model_type(folder)!r}; v2.5 needs so400m-384")
    model, _ = load_pretrained((SiglipVisionModel,), folder, device=device, precision="float32")
    prepare = read_prepare(folder)
    return lambda images: _unit(model(pixel_values=prepare(images).to(model.device)).pooler_output)


def _ai_corrupt(folder: Path) -> AiCorrupt:
    for name in ("model.onnx", "meta.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} must be there; get it from deepghs/ai_image_corrupted")
    labels = json.loads((folder / "meta.json").read_text(encoding="utf-8")).get("labels", [])
    if "normal" not in labels:
        raise ValueError(f"{folder / 'meta.json'} must have the label normal, got {labels}")
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError("AI-corrupt needs onnxruntime: pip install onnxruntime") from error
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return AiCorrupt(lambda x: session.run(None, {name: x})[0], labels.index("normal"))


def _unit(x: Tensor) -> Tensor:
    return functional.normalize(x.float(), dim=-1)
