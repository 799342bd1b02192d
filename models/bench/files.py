"""Random weights in the shapes of the published models, written once in every format that is measured.

All files of a shape hold the same float16 numbers, drawn from one seed: a Hugging Face folder, a GGUF in F16
and one in Q8_0. Speed does not depend on what the numbers are.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..files import written
from ..lm.build import adjacent
from ..lm.formats import GGUF_LAYER_NAMES, GGUF_NAMES
from . import vocabulary


@dataclass(frozen=True)
class Shape:
    """The shape of a LLaMA with as many key heads as query heads and an output matrix of its own."""

    name: str
    dim: int
    depth: int
    heads: int
    mlp_dim: int
    vocab_size: int = 32013
    context: int = 1024
    eps: float = 1e-5

    @property
    def parameters(self) -> int:
        layer = 4 * self.dim**2 + 3 * self.dim * self.mlp_dim + 2 * self.dim
        return 2 * self.vocab_size * self.dim + self.depth * layer + self.dim


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("100m", dim=640, depth=10, heads=10, mlp_dim=2240),
        Shape("200m", dim=768, depth=20, heads=12, mlp_dim=2304),
        Shape("500m", dim=1280, depth=20, heads=20, mlp_dim=3840),
        Shape("tiny", dim=64, depth=2, heads=2, mlp_dim=96, vocab_size=512, context=256),
    )
}


@dataclass(frozen=True)
class Files:
    """Where the weights of a shape lie. `no_gguf` says why there are no GGUF files, or is empty."""

    shape: Shape
    folder: Path
    f16: Path
    q8_0: Path
    no_gguf: str = ""

    def path(self, file: str) -> Path:
        return {"safetensors": self.folder, "F16": self.f16, "Q8_0": self.q8_0}[file]

    def written(self) -> list[Path]:
        return [path for path in (*sorted(self.folder.iterdir()), self.f16, self.q8_0) if path.is_file()]


def prepare(
    workdir: Path, shape: Shape, *, seed: int = 0, on_file: Callable[[str], None] = lambda name: None
) -> Files:
    """Returns the files of a shape below `workdir`, written where they are not there yet.

    `on_file` is told the name of each file before it is written. Raises OSError where the disk is full.
    """
    recipe = json.dumps([asdict(shape), seed, 1], sort_keys=True).encode()
    place = Path(workdir) / f"{shape.name}-{hashlib.sha256(recipe).hexdigest()[:8]}"
    folder = place / "safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    files = Files(shape, folder, place / "F16.gguf", place / "Q8_0.gguf", _why_no_gguf())
    _write(folder / "model.safetensors", lambda path: _save_weights(path, shape, seed), on_file)
    for name, facts in _folder_facts(shape).items():
        if not (folder / name).is_file():
            text = json.dumps(facts(), ensure_ascii=False)
            _write(folder / name, lambda path, text=text: path.write_text(text, encoding="utf-8"), on_file)
    if not files.no_gguf:
        _write(files.f16, lambda path: _save_gguf(path, files, "F16"), on_file)
        _write(files.q8_0, lambda path: _save_gguf(path, files, "Q8_0"), on_file)
    return files


def _write(path: Path, save: Callable[[Path], object], on_file: Callable[[str], None]) -> None:
    """A file that is there is whole: it gets its name when it is finished."""
    if path.is_file():
        return
    on_file(path.name)
    with written(path) as half:
        save(half)


# A Hugging Face folder


def _tensors(shape: Shape, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Yields name and values; gains are near 1 and matrices small, as in a trained model."""
    generator = torch.Generator().manual_seed(seed)
    dim, inner, vocab = shape.dim, shape.mlp_dim, shape.vocab_size
    square, gain = (dim, dim), (dim,)
    layer = {
        "input_layernorm.weight": gain,
        "self_attn.q_proj.weight": square,
        "self_attn.k_proj.weight": square,
        "self_attn.v_proj.weight": square,
        "self_attn.o_proj.weight": square,
        "post_attention_layernorm.weight": gain,
        "mlp.gate_proj.weight": (inner, dim),
        "mlp.up_proj.weight": (inner, dim),
        "mlp.down_proj.weight": (dim, inner),
    }
    sizes = {"model.embed_tokens.weight": (vocab, dim)}
    sizes |= {f"model.layers.{i}.{name}": size for i in range(shape.depth) for name, size in layer.items()}
    sizes |= {"model.norm.weight": gain, "lm_head.weight": (vocab, dim)}
    for name, size in sizes.items():
        spread = torch.randn(size, generator=generator)
        yield name, (1 + 0.1 * spread if len(size) == 1 else 0.03 * spread).half()


def _save_weights(path: Path, shape: Shape, seed: int) -> None:
    from safetensors.torch import save_file

    save_file(dict(_tensors(shape, seed)), path, metadata={"format": "pt"})


def _folder_facts(shape: Shape) -> dict[str, Callable[[], dict]]:
    return {
        "config.json": lambda: _config(shape),
        "tokenizer.json": lambda: vocabulary.tokenizer_json(shape.vocab_size),
        "tokenizer_config.json": lambda: {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "</s>",
        },
    }


def _config(shape: Shape) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.dim,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "intermediate_size": shape.mlp_dim,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.eps,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "torch_dtype": "float16",
    }


# GGUF


def _why_no_gguf() -> str:
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        return f"the package gguf, which writes its files, is not installed ({error})"
    return ""


def _save_gguf(path: Path, files: Files, kind: str) -> None:
    import gguf
    from safetensors import safe_open

    shape = files.shape
    writer = gguf.GGUFWriter(path, "llama")
    _describe(writer, shape, kind)
    stored = gguf.GGMLQuantizationType[kind]
    with safe_open(files.folder / "model.safetensors", framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118  (it is no dictionary)
            values = weights.get_tensor(name)
            if "q_proj" in name or "k_proj" in name:
                values = adjacent(values, shape.heads)
            if values.dim() == 1:
                writer.add_tensor(gguf_name(name), values.float().numpy())
            elif kind == "F16":
                writer.add_tensor(gguf_name(name), values.contiguous().numpy())
            else:
                levels = gguf.quantize(values.float().contiguous().numpy(), stored)
                writer.add_tensor(gguf_name(name), levels, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer, shape: Shape, kind: str) -> None:
    import gguf

    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind}"])
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.depth)
    writer.add_feed_forward_length(shape.mlp_dim)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(shape.eps)
    writer.add_rope_dimension_count(shape.dim // shape.heads)
    writer.add_vocab_size(shape.vocab_size)
    tokens = vocabulary.pieces(shape.vocab_size)
    kinds = gguf.TokenType
    plain = len(tokens) - vocabulary.FIRST_PIECE - vocabulary.ADDED
    types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * 256]
    types += [kinds.NORMAL] * plain + [kinds.CONTROL] * vocabulary.ADDED
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(i) for i in range(len(tokens))])
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def gguf_name(name: str) -> str:
    """Returns what llama.cpp calls a tensor of a Hugging Face LLaMA."""
    if name in GGUF_NAMES:
        return GGUF_NAMES[name]
    layer, rest = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{GGUF_LAYER_NAMES[rest]}"
