"""The little world's CLIP: a text encoder over its language, and a tower that reads pictures into its space.

Convention: names and arithmetic are those of CLIP as Hugging Face and ComfyUI run it, with a final layer norm
and the state at the end token pooled. Tokens are those of the bundled tipo-tiny, and one more that ends and
pads a prompt: the highest id, so every version of transformers finds it. Pictures are squeezed to a square.
Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision".

b batch  m text tokens  d width  e shared space  H W image
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files import read_safetensors
from ..lm.tokenizer import Tokenizer, load_tokenizer

LENGTH = 128  # tokens of a prompt, the two ends included
WIDTH, SIDE = 128, 128  # of the text encoder; of pictures, in pixels
SHARED = 128
MEAN, STD = 0.5, 0.25  # of pictures in 0..1, as the tower sees them


@dataclass(frozen=True)
class Words:
    """Prompts as token ids."""

    tokenizer: Tokenizer

    @property
    def end(self) -> int:
        """The id that ends a prompt and fills a shorter one up."""
        return self.tokenizer.vocab_size

    def ids(self, prompt: str, *, length: int = LENGTH) -> list[int]:
        """Returns the ids of a prompt, the two ends included; a longer one is cut to `length` of them."""
        return [*self.tokenizer.encode(prompt)[: length - 1], self.end]

    def batch(self, prompts: Sequence[str], *, length: int = LENGTH) -> tuple[Tensor, Tensor]:
        """Returns ids and mask (b, m), filled up to the longest of the prompts."""
        rows = [self.ids(prompt, length=length) for prompt in prompts]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [self.end] * (longest - len(row)) for row in rows])
        lengths = torch.tensor([[len(row)] for row in rows])
        return ids, torch.arange(longest) < lengths


@dataclass(frozen=True)
class TextStates:
    """What a text encoder makes of prompts: `hidden` (b, m, d), `mask` (b, m) and `pooled` (b, d)."""

    hidden: Tensor
    mask: Tensor
    pooled: Tensor


@dataclass(frozen=True)
class TinyClip:
    """Both sides; `model` is a transformers CLIPModel."""

    model: Any
    words: Words

    def text_states(self, prompts: Sequence[str], *, length: int = LENGTH) -> TextStates:
        """Returns the states of prompts, as a denoiser sees them; longer ones are cut to `length` tokens."""
        ids, mask = self.words.batch(prompts, length=length)
        device = self.model.logit_scale.device
        out = self.model.text_model(input_ids=ids.to(device))
        return TextStates(out.last_hidden_state, mask.to(device), out.pooler_output)

    def texts(self, prompts: Sequence[str]) -> Tensor:
        """Returns prompts in the shared space, (b, e) of length 1."""
        return _unit(self.model.text_projection(self.text_states(prompts).pooled))

    def images(self, images: Tensor) -> Tensor:
        """Returns pictures (b, 3, H, W) in 0..1 in the shared space, (b, e) of length 1."""
        out = self.model.vision_model(pixel_values=seen(squeeze(images)))
        return _unit(self.model.visual_projection(out.pooler_output))


def read_words(folder: Path) -> Words:
    """Returns the words of the folder's tokenizer; raises OSError where there is none."""
    return Words(load_tokenizer(folder))


def text_config(words: Words) -> dict[str, Any]:
    """Returns the shape of the text encoder, in the words of transformers and ComfyUI."""
    return {
        "vocab_size": words.end + 1,
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "max_position_embeddings": LENGTH,
        "hidden_act": "quick_gelu",
        "bos_token_id": words.tokenizer.bos,
        "eos_token_id": words.end,
        "pad_token_id": words.end,
    }


def make_clip(words: Words) -> TinyClip:
    """Returns a fresh one; the weights come from the global generator, so seed it in a fork.

    Raises:
        ModuleNotFoundError: transformers is missing.
    """
    from transformers import CLIPConfig, CLIPModel

    vision = {
        "hidden_size": 192,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "image_size": SIDE,
        "patch_size": 16,
    }
    config = CLIPConfig(text_config=text_config(words), vision_config=vision, projection_dim=SHARED)
    return TinyClip(CLIPModel(config), words)


def load_clip(path: Path, words: Words) -> TinyClip:
    """Returns the CLIP of a safetensors file, in float32 and without gradients.

    Raises:
        ValueError: the file's tensors are not those of the little world's CLIP.
        ModuleNotFoundError: transformers is missing.
    """
    tensors = read_safetensors(path)
    with torch.random.fork_rng(devices=[]):
        clip = make_clip(words)
    wanted = {name: weight.shape for name, weight in clip.model.named_parameters()}
    if wanted != {name: tensor.shape for name, tensor in tensors.items()}:
        raise ValueError(f"{path.name} must hold the little world's CLIP, and does not")
    clip.model.load_state_dict(tensors, strict=False)  # older transformers keep positions as buffers
    clip.model.eval().requires_grad_(False)
    return clip


def squeeze(images: Tensor) -> Tensor:
    """Returns pictures (b, 3, H, W) of any range as squares (b, 3, SIDE, SIDE)."""
    if images.shape[-2:] == (SIDE, SIDE):
        return images
    return torch.nn.functional.interpolate(
        images, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False
    )


def seen(squares: Tensor) -> Tensor:
    """Returns squares (b, 3, SIDE, SIDE) in 0..1 as the tower takes them."""
    return (squares - MEAN) / STD


def _unit(x: Tensor) -> Tensor:
    return torch.nn.functional.normalize(x.float(), dim=-1)
