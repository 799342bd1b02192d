"""Load Tiny World: the bundled MODEL, CLIP and VAE, in ComfyUI's own classes and so in its care.

Convention: the CLIP's tokens are a prompt's own, the end included; its encoder fills them up to the length
that ComfyUI's CLIP text model wants, and takes what belongs to that padding away again.
"""

from pathlib import Path
from typing import Any

import comfy.clip_model
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models_base
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io

from ..models.hub import bundled_folder, bundled_weights
from ..models.tinyworld.clip import LENGTH, WIDTH, Words, read_words, text_config
from ..models.tinyworld.studio import AUTOENCODER, CLIP, MODEL, WORDS
from .compat import schema
from .mmh_dit import CATEGORY, config_of

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


def load_model() -> Any:
    """Returns the bundled MODEL."""
    return comfy.sd.load_diffusion_model(str(bundled_weights(MODEL)))


def load_clip(most: int = LENGTH) -> Any:
    """Returns the bundled CLIP, which cuts prompts at `most` tokens. Raises ValueError for a wrong file."""
    path = str(bundled_weights(CLIP))
    tensors = comfy.utils.load_torch_file(path, safe_load=True)
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith(OF_TEXT)}
    clip = comfy.sd.CLIP(
        clip_target(),
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        tokenizer_data={f"{NAME}_max_length": min(most, LENGTH)},
        parameters=comfy.utils.calculate_parameters(weights),
        model_options={"dtype": torch.float32},
    )
    missing, _ = clip.load_sd(weights)
    if missing:
        raise ValueError(
            f"{path} must hold the little world's CLIP, it lacks {missing[0]}; install the pack again"
        )
    return clip


def load_vae() -> Any:
    """Returns the bundled VAE."""
    return comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(bundled_weights(AUTOENCODER)), safe_load=True))


class TinyWorldLoader(io.ComfyNode):
    """Loads the little world."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleTinyWorldLoader",
            display_name="Load Tiny World",
            category=CATEGORY,
            description="Loads the bundled little world: an MMH-DiT, its text encoder and its autoencoder."
            " Needs no files and paints landscapes of about 128 x 128 pixels on any machine.",
            search_aliases=["checkpoint", "load model", "demo model", "mmh-dit", "oboro"],
            inputs=[],
            outputs=[
                io.Model.Output(display_name="model"),
                io.Clip.Output(display_name="clip"),
                io.Vae.Output(display_name="vae"),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        model = load_model()
        return io.NodeOutput(model, load_clip(config_of(model).text_len), load_vae())


NODES = [TinyWorldLoader]
