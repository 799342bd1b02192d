"""What MMH-DiT costs above its matrix products: one forward pass beside them and its attention, run alone.

Convention: the products and attention calls are recorded in a real forward pass and repeated with inputs of
the same shapes and the model's own weights. Both run in turn, round after round; a ratio is the median of the
ratios within each round. Sizes in pixels, of which a latent cell has 8 x 8.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..latents import STRIDE
from ..lm.memory import give_back
from ..mmh_dit.config import FULL, MMHDiTConfig, head_allocation
from ..mmh_dit.layers import sdpa
from ..mmh_dit.model import Hooks, MMHDiT, init_weights
from .alone import resident_bytes
from .lm import facts_of_machine

VERSION = 1
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class Settings:
    """What is measured: a model of `config`, `batch` square pictures of `size` pixels, `text` tokens each."""

    config: MMHDiTConfig = FULL
    size: int = 512
    text: int = 256
    batch: int = 1
    dtype: str = "bfloat16"
    device: str = "cpu"
    repeats: int = 5
    seed: int = 0

    def __post_init__(self):
        for name in ("size", "batch", "repeats"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.size % STRIDE or self.text < 0:
            raise ValueError(f"size must be a multiple of {STRIDE} and text not negative, got {self}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {self.dtype!r}")


def with_blocks(blocks: int) -> MMHDiTConfig:
    """Returns the full-size shape with another number of blocks; head counts are spread as in the whole."""
    return replace(FULL, heads=head_allocation("mmh", blocks))


@dataclass
class Result:
    """Seconds of each round: the forward pass, its bare products, its bare attention; and bytes of memory.

    `activations` is what a forward pass took at most above what was there before it; None where unknown.
    """

    settings: Settings
    forward: list[float] = field(default_factory=list)
    products: list[float] = field(default_factory=list)
    attention: list[float] = field(default_factory=list)
    weights: int = 0
    activations: int | None = None
    calls: int = 0

    @property
    def ratios(self) -> list[float]:
        """How many times as long as its bare parts the forward pass took, in each round."""
        rounds = zip(self.forward, self.products, self.attention, strict=True)
        return [whole / (products + attention) for whole, products, attention in rounds]


@torch.no_grad()
def measure(settings: Settings, *, on_step: Callable[[str], None] = lambda what: None) -> Result:
    """Returns the timings; `on_step` is told what begins, 2 + `repeats` times."""
    on_step("making weights")
    dtype, device = DTYPES[settings.dtype], settings.device
    generator = torch.Generator().manual_seed(settings.seed)
    model = MMHDiT(settings.config, dtype=dtype, device=device).requires_grad_(False)
    init_weights(model, generator)
    cells = settings.size // STRIDE
    shapes = [
        (settings.batch, settings.config.in_ch, cells, cells),
        (settings.batch, settings.text, settings.config.text_dim),
    ]
    x, text = (torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes)
    t = torch.full((settings.batch,), 0.5, device=device)

    on_step("warming up")
    products, attention = record(model, lambda hooks: model(x, t, text, hooks=hooks))
    result = Result(settings, calls=len(products) + len(attention))
    result.weights = sum(weight.nbytes for weight in model.parameters())
    parts = {
        "forward": [lambda: model(x, t, text)],
        "products": products,
        "attention": attention,
    }
    for calls in parts.values():
        seconds(calls, device)
    for turn in range(settings.repeats):
        on_step(f"round {turn + 1} of {settings.repeats}")
        for name, calls in parts.items():
            getattr(result, name).append(seconds(calls, device))
    result.activations = peak_above(parts["forward"][0], device)
    return result


def record(
    model: nn.Module, forward: Callable[[Hooks], Tensor]
) -> tuple[list[Callable[[], Tensor]], list[Callable[[], Tensor]]]:
    """Returns the matrix products and the attention calls of a forward pass, to be run alone."""
    inputs: dict[tuple, Tensor] = {}

    def like(x: Tensor) -> Tensor:
        return inputs.setdefault((x.shape, x.dtype), torch.randn_like(x).contiguous())

    products, calls = [], []

    def linear(module: nn.Module, args: Sequence[Tensor]) -> None:
        given = like(args[0])
        products.append(lambda: F.linear(given, module.weight, module.bias))

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Tensor:
        q_, k_, v_ = (torch.randn_like(part).contiguous() for part in (q, k, v))
        calls.append(lambda: F.scaled_dot_product_attention(q_, k_, v_, attn_mask=mask))
        return sdpa(q, k, v, mask=mask)

    handles = [m.register_forward_pre_hook(linear) for m in model.modules() if isinstance(m, nn.Linear)]
    try:
        forward(Hooks(attention=attention))
    finally:
        for handle in handles:
            handle.remove()
    return products, calls


def seconds(calls: Sequence[Callable[[], Tensor]], device: str) -> float:
    """Returns how long the calls take, one after the other."""
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize(device)
    begin = time.perf_counter()
    for call in calls:
        call()
    if cuda:
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def peak_above(call: Callable[[], Tensor], device: str) -> int | None:
    """Returns the bytes that a call takes at most, above those in use before it; None where unknown."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    give_back()  # what earlier calls freed would be counted as in use
    before = resident_bytes()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high-water mark begins anew
        call()
        mark = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").split("VmHWM:")[1]
        return int(mark.split()[0]) * 1024 - before
    return None


def report(result: Result) -> dict:
    """Returns everything as plain data for JSON."""
    settings = asdict(result.settings) | {"config": result.settings.config.to_dict()}
    return {
        "benchmark": "mmh-dit",
        "version": VERSION,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": facts_of_machine(result.settings.device),
        "settings": settings | {"parameters": result.settings.config.parameters},
        "forward_seconds": statistics.median(result.forward),
        "products_seconds": statistics.median(result.products),
        "attention_seconds": statistics.median(result.attention),
        "ratio": {
            "median": statistics.median(result.ratios),
            "low": min(result.ratios),
            "high": max(result.ratios),
        },
        "weights_bytes": result.weights,
        "activation_bytes": result.activations,
        "rounds": [
            dict(zip(("forward", "products", "attention"), each, strict=True))
            for each in zip(result.forward, result.products, result.attention, strict=True)
        ],
    }


def table(facts: dict) -> str:
    """Returns the report as Markdown."""
    settings, machine, ratio = facts["settings"], facts["machine"], facts["ratio"]
    depth, whole = len(settings["config"]["heads"]), FULL.depth
    blocks = f"{depth} blocks" if depth == whole else f"{depth} blocks (the full size has {whole})"
    activations = facts["activation_bytes"]
    device = machine["processor"] if machine["device"] == "cpu" else machine["device"]
    rows = {
        "forward pass": f"{1000 * facts['forward_seconds']:.1f} ms",
        "its matrix products alone": f"{1000 * facts['products_seconds']:.1f} ms",
        "its attention alone": f"{1000 * facts['attention_seconds']:.1f} ms",
        "ratio": f"{ratio['median']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})",
        "weights": f"{facts['weights_bytes'] / 2**20:.0f} MiB",
        "peak above them": "unknown" if activations is None else f"{activations / 2**20:.0f} MiB",
    }
    head = (
        f"MMH-DiT, width {settings['config']['hidden']}, {blocks}, {settings['parameters'] / 1e6:.0f} M "
        f"random weights: {settings['batch']} x {settings['size']}² pixels, {settings['text']} text "
        f"tokens, {settings['dtype']}; median of {settings['repeats']} rounds."
    )
    place = f"{device}, {machine['threads']} threads, torch {machine['torch']}; {facts['date'][:10]}."
    lines = [head, "", "| | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join([*lines, "", place])
