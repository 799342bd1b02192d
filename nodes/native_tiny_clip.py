"""The little world's text encoder as one of ComfyUI's own.

Convention: tokens are a prompt's own, the end included; the encoder fills them up to the length that its
model in ComfyUI wants, and takes what belongs to that padding away again.
"""

from pathlib import Path
from typing import Any

import comfy.clip_model
import comfy.sd1_clip
import comfy.supported_models_base
import torch

from ..models.hub import bundled_folder
from ..models.tinyworld.bundled import WORDS
from ..models.tinyworld.clip import LENGTH, WIDTH, Words, read_words, text_config

NAME = "tiny_clip"  # of the encoder, in ComfyUI's tables and in saved checkpoints
OF_TEXT = ("text_model.", "text_projection.")


class TinyWords:
    """Our tokenizer as ComfyUI's tokenizers call one of transformers."""

    def __init__(self, words: Words):
        self.words = words

    @classmethod
    def from_pretrained(cls, folder: str, **_: Any) -> "TinyWords":
        return cls(read_words(Path(folder)))

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": self.words.tokenizer.encode(text)}

    def get_vocab(self) -> dict[str, int]:
        return self.words.tokenizer.special


class TinyRow(comfy.sd1_clip.SDTokenizer):
    """Prompt weights and embeddings as ComfyUI has them; a prompt that is too long loses its end."""

    positions = LENGTH  # of the encoder; MMH-DiT Text Encode fills up and cuts to no more

    def __init__(self, embedding_directory=None, tokenizer_data=None):
        folder = bundled_folder() / WORDS
        words = read_words(folder)
        super().__init__(
            str(folder),
            max_length=LENGTH,
            embedding_directory=embedding_directory,
            embedding_size=WIDTH,
            embedding_key=NAME,
            tokenizer_class=TinyWords,
            has_start_token=bool(words.tokenizer.prefix),
            has_end_token=False,
            pad_to_max_length=False,
            end_token=words.end,
            tokenizer_data=tokenizer_data or {},
        )

    def tokenize_with_weights(self, text, return_word_ids=False, **kwargs):
        return super().tokenize_with_weights(text, return_word_ids, **kwargs)[:1]


class TinyTokenizer(comfy.sd1_clip.SD1Tokenizer):
    """What a CLIP of ComfyUI asks for tokens."""

    def __init__(self, embedding_directory=None, tokenizer_data=None):
        super().__init__(embedding_directory, tokenizer_data or {}, tokenizer=TinyRow, name=NAME)


class TinyText(comfy.clip_model.CLIPTextModel):
    """ComfyUI's CLIP text model with our number of words."""

    def __init__(self, config, dtype, device, operations):
        super().__init__(config, dtype, device, operations)
        sizes = (config["vocab_size"], config["hidden_size"])
        self.set_input_embeddings(operations.Embedding(*sizes, dtype=dtype, device=device))


class TinyEncoder(comfy.sd1_clip.SDClipModel):
    """Encodes rows of a prompt's own tokens."""

    def __init__(self, device="cpu", dtype=None, model_options=None):
        words = read_words(bundled_folder() / WORDS)
        self.start = len(words.tokenizer.prefix)
        tokens = {"end": words.end, "pad": words.end}
        if self.start:
            tokens["start"] = words.tokenizer.prefix[0]
        super().__init__(
            device=device,
            dtype=dtype,
            max_length=LENGTH,
            textmodel_json_config=text_config(words),
            model_class=TinyText,
            special_tokens=tokens,
            return_projected_pooled=False,
            model_options=model_options or {},
        )

    def encode_token_weights(self, token_weight_pairs):
        """Returns states (1, m, d) and pooled state; nothing but start and end is masked, as no text."""
        pad = (self.special_tokens["pad"], 1.0)
        rows = [[*row, *[pad] * (LENGTH - len(row))] for row in token_weight_pairs]
        cond, pooled = super().encode_token_weights(rows)
        cond = cond[:, torch.cat([torch.arange(LENGTH) < len(row) for row in token_weight_pairs])]
        if all(len(row) == self.start + 1 for row in token_weight_pairs):
            return cond, pooled, {"attention_mask": torch.zeros(cond.shape[:2], dtype=torch.long)}
        return cond, pooled


class TinyClip(comfy.sd1_clip.SD1ClipModel):
    """What a CLIP of ComfyUI holds."""

    def __init__(self, device="cpu", dtype=None, model_options=None):
        super().__init__(device, dtype, model_options or {}, clip_model=TinyEncoder, name=NAME)


def clip_target() -> Any:
    """Returns what ComfyUI makes the little world's CLIP of."""
    return comfy.supported_models_base.ClipTarget(TinyTokenizer, TinyClip)
