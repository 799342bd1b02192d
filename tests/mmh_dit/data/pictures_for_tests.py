"""Small pictures, shards and models, made in the moment."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import torch


def picture(width=64, height=48, *, seed=0, mode="RGB"):
    """Returns a picture of coloured patches."""
    from PIL import Image

    patches = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image, kind="PNG", **how) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def folder_of(root: Path, count: int, *, width=64, height=48) -> Path:
    """Writes `count` pictures with a caption beside each."""
    root.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (root / f"{i:03d}.png").write_bytes(encoded(picture(width, height, seed=i)))
        (root / f"{i:03d}.txt").write_text(f"picture {i}", encoding="utf-8")
    return root


def shard_of(path: Path, members: list) -> Path:
    """Writes a tar of (name, bytes), or of TarInfo with bytes for what is no plain file."""
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def vision_folder(path: Path, *, kind="clip", seed=0) -> Path:
    """Writes a tiny CLIP or SigLIP vision model with random weights, as Hugging Face keeps it."""
    import transformers as hf

    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"image_size": 32, "patch_size": 8}
    if kind == "clip":
        make, processor = hf.CLIPVisionModelWithProjection, hf.CLIPImageProcessor
        config = hf.CLIPVisionConfig(**shape, projection_dim=24)
        how = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    else:
        make, processor = hf.SiglipVisionModel, hf.SiglipImageProcessor
        config, how = hf.SiglipVisionConfig(**shape), {"size": {"height": 32, "width": 32}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        make(config).save_pretrained(path, safe_serialization=True)
    processor(**how).save_pretrained(path)
    return path


def text_folder(path: Path, *, kind="t5") -> Path:
    """Writes a tiny T5 encoder or CLIP text model with a tokenizer of whole words."""
    import transformers as hf
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<pad>", "</s>", "<unk>", "picture", "score", "good", ",", *map(str, range(40))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "t5":
            shape = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
            model = hf.T5EncoderModel(
                hf.T5Config(vocab_size=len(words), **shape, feed_forward_proj="gated-gelu")
            )
        else:
            shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
            model = hf.CLIPTextModel(
                hf.CLIPTextConfig(vocab_size=len(words), num_attention_heads=2, eos_token_id=1, **shape)
            )
        model.save_pretrained(path, safe_serialization=True)
    return path


def tiny_autoencoder(path: Path) -> Path:
    """Writes a random autoencoder of the little world's kind."""
    from safetensors.torch import save_file

    from presample.models.tinyworld.autoencoder import TinyAutoencoder

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file({name: t.contiguous() for name, t in TinyAutoencoder().state_dict().items()}, path)
    return path


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
