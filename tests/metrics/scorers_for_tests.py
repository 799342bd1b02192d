"""Random models in the layouts of published ones, as small as they can be, and pictures in folders."""

import json

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from presample.models.metrics.heads import make_head


def save_processor(folder, *, side=32, whole=False):
    size = {"height": side, "width": side} if whole else {"shortest_edge": side}
    facts = {
        "image_processor_type": "SiglipImageProcessor" if whole else "CLIPImageProcessor",
        "size": size,
        "image_mean": [0.48, 0.46, 0.41],
        "image_std": [0.27, 0.26, 0.28],
        "resample": 3,
    }
    if not whole:
        facts |= {"do_center_crop": True, "crop_size": {"height": side, "width": side}}
    (folder / "preprocessor_config.json").write_text(json.dumps(facts))


def save_clip(folder):
    """A CLIP with a word for each of a few; returns the model."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": 8, "max_position_embeddings": 8, "bos_token_id": 6, "eos_token_id": 7}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vision = {**sizes, "image_size": 32, "patch_size": 8}
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).eval()
    model.save_pretrained(folder)
    words = {"lake": 0, "moon": 1, "cat": 2, "tree": 3, "[UNK]": 4, "[PAD]": 5, "<s>": 6, "</s>": 7}
    plain = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=plain, unk_token="[UNK]", pad_token="</s>", eos_token="</s>"
    ).save_pretrained(folder)
    save_processor(folder)
    return model


def save_siglip(folder):
    from transformers import SiglipVisionConfig, SiglipVisionModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = SiglipVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=8,
        )
        model = SiglipVisionModel(config).eval()
    model.save_pretrained(folder)
    save_processor(folder, whole=True)
    return model


def save_dinov2(folder):
    from transformers import Dinov2Config, Dinov2Model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = Dinov2Config(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=224, patch_size=56
        )
        model = Dinov2Model(config).eval()
    model.save_pretrained(folder)
    return model


def save_predictor(path, width):
    head = make_head(width)
    generator = torch.Generator().manual_seed(1)
    for layer in head:
        torch.nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=generator)
        torch.nn.init.zeros_(layer.bias)
    named = {f"layers.{2 * int(k[0])}.{k[2:]}": v.detach().clone() for k, v in head.state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(named, path)
    else:
        torch.save(named, path)
    return head.eval()


def save_pictures(folder, count, *, seed=0, size=(40, 48), suffix=".png"):
    """Pictures named 0, 1, …; returns them as uint8 (n, h, w, 3)."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, 5, 6, 3), dtype=np.uint8)
    made = []
    for i, small in enumerate(pixels):
        picture = Image.fromarray(small).resize((size[1], size[0]), Image.Resampling.BICUBIC)
        picture.save(folder / f"{i}{suffix}")
        made.append(np.asarray(picture))
    return np.stack(made)


def to_open_clip(model):
    """The weights of a CLIPModel in OpenCLIP's names, written down by hand from its own modules."""
    found = {"logit_scale": model.logit_scale}
    for tower, before in ((model.text_model, ""), (model.vision_model, "visual.")):
        for i, layer in enumerate(tower.encoder.layers):
            at = f"{before}transformer.resblocks.{i}."
            for kind in ("weight", "bias"):
                parts = [getattr(getattr(layer.self_attn, f"{q}_proj"), kind) for q in "qkv"]
                found[f"{at}attn.in_proj_{kind}"] = torch.cat(parts)
                found[f"{at}attn.out_proj.{kind}"] = getattr(layer.self_attn.out_proj, kind)
                found[f"{at}ln_1.{kind}"] = getattr(layer.layer_norm1, kind)
                found[f"{at}ln_2.{kind}"] = getattr(layer.layer_norm2, kind)
                found[f"{at}mlp.c_fc.{kind}"] = getattr(layer.mlp.fc1, kind)
                found[f"{at}mlp.c_proj.{kind}"] = getattr(layer.mlp.fc2, kind)
    text, seen = model.text_model, model.vision_model
    found["token_embedding.weight"] = text.embeddings.token_embedding.weight
    found["positional_embedding"] = text.embeddings.position_embedding.weight
    found["text_projection"] = model.text_projection.weight.T
    found["visual.class_embedding"] = seen.embeddings.class_embedding
    found["visual.positional_embedding"] = seen.embeddings.position_embedding.weight
    found["visual.conv1.weight"] = seen.embeddings.patch_embedding.weight
    found["visual.proj"] = model.visual_projection.weight.T
    for kind in ("weight", "bias"):
        found[f"ln_final.{kind}"] = getattr(text.final_layer_norm, kind)
        found[f"visual.ln_pre.{kind}"] = getattr(seen.pre_layrnorm, kind)
        found[f"visual.ln_post.{kind}"] = getattr(seen.post_layernorm, kind)
    return {name: tensor.detach().clone() for name, tensor in found.items()}
