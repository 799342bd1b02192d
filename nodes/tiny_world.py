"""Load Tiny World: the bundled MODEL, CLIP and VAE, in ComfyUI's own classes and so in its care."""

from typing import Any

import comfy.sd
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io

from ..models.hub import bundled_weights
from ..models.tinyworld.bundled import AUTOENCODER, CLIP, MODEL
from ..models.tinyworld.clip import LENGTH
from .compat import schema
from .mmh_dit import CATEGORY, config_of
from .native_tiny_clip import NAME, OF_TEXT, clip_target


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
                io.Model.Output(display_name="model", tooltip="The bundled MMH-DiT."),
                io.Clip.Output(display_name="clip", tooltip="Its text encoder, for CLIP Text Encode too."),
                io.Vae.Output(display_name="vae", tooltip="Its autoencoder."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        model = load_model()
        return io.NodeOutput(model, load_clip(config_of(model).text_len), load_vae())


NODES = [TinyWorldLoader]
