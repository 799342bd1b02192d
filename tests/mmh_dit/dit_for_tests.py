"""Small models with random weights, and the forward pass written out once more, slowly."""

import math

import torch

from presample.models.mmh_dit.config import MMHDiTConfig
from presample.models.mmh_dit.model import MMHDiT, init_weights

SMALL = MMHDiTConfig(hidden=48, heads=(2, 4, 12), text_dim=20, mlp_hidden=64, cond_dim=32, gate_init=0.3)


def small_model(config: MMHDiTConfig = SMALL, *, seed: int = 0, **place) -> MMHDiT:
    """Returns a model in which nothing is zero."""
    model = MMHDiT(config, **place)
    generator = torch.Generator().manual_seed(seed)
    init_weights(model, generator)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith("final.") or ".modulation." in name or "norm" in name:
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return model.requires_grad_(False)


def inputs(b: int = 2, m: int = 5, h: int = 6, w: int = 8, *, config: MMHDiTConfig = SMALL, seed: int = 1):
    """Returns x, t and text."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(b, config.in_ch, h, w, generator=generator)
    return x, torch.rand(b, generator=generator), torch.randn(b, m, config.text_dim, generator=generator)


def written_out(model: MMHDiT, x: torch.Tensor, t: float, text: torch.Tensor) -> torch.Tensor:
    """Returns the velocity (16, h, w) of one latent, spec 2.4 line by line in float64, token by token."""
    config = model.config
    w = {name: weight.double() for name, weight in model.state_dict().items()}
    silu, d = torch.nn.functional.silu, config.hidden

    def rms(v):
        return v / ((v * v).mean(-1, keepdim=True) + 1e-6).sqrt()

    def mlp3(v, name):
        return silu(silu(v @ w[f"{name}.w1.weight"].T) @ w[f"{name}.w2.weight"].T) @ w[f"{name}.w3.weight"].T

    angle = [1000 * t * 10000 ** (-j / 128) for j in range(128)]
    phi = torch.tensor([*map(math.cos, angle), *map(math.sin, angle)], dtype=torch.float64)
    cond = silu(mlp3(phi, "time_in"))
    rows, columns = x.shape[1] // 2, x.shape[2] // 2
    patches = [
        torch.stack([x[c, 2 * r + dy, 2 * q + dx] for c in range(16) for dy in range(2) for dx in range(2)])
        for r in range(rows)
        for q in range(columns)
    ]
    image = torch.stack(patches).double() @ w["image_in.weight"].T + w["image_in.bias"]
    tokens = torch.cat((w["bos.weight"], mlp3(text.double(), "text_in"), image))
    n = len(text)
    places = (
        [(k - n - 1, k - n - 1) for k in range(n + 1)]
        if config.text_pos == "diagonal"
        else [(0, 0)] * (n + 1)
    )
    places += [(r, q) for r in range(rows) for q in range(columns)]

    for i, heads in enumerate(config.heads):
        name, e = f"blocks.{i}", d // heads

        def turn(v, place, e=e):
            out = torch.empty_like(v)
            for axis in range(2):
                for pair in range(e // 4):
                    a = place[axis] * config.rope_theta ** (-2 * pair / (e / 2))
                    at = axis * e // 2 + 2 * pair
                    out[at] = v[at] * math.cos(a) - v[at + 1] * math.sin(a)
                    out[at + 1] = v[at] * math.sin(a) + v[at + 1] * math.cos(a)
            return out

        def normal(v):
            if not config.qk_norm:
                return v
            return (v - v.mean()) / (v.var(correction=0) + 1e-6).sqrt()

        mod = cond @ w[f"{name}.modulation.weight"].T + w[f"{name}.modulation.bias"]
        s_a, g_a, s_m, g_m = mod.split(d)
        u = rms(tokens) * w[f"{name}.attn_norm1.weight"] * (1 + s_a)
        q, k, v = (u @ part.T for part in w[f"{name}.attn.qkv.weight"].split(d))
        answer = torch.zeros_like(tokens)
        for head in range(heads):
            cut = slice(head * e, head * e + e)
            qs = torch.stack([turn(normal(q[j, cut]), places[j]) for j in range(len(tokens))])
            ks = torch.stack([turn(normal(k[j, cut]), places[j]) for j in range(len(tokens))])
            answer[:, cut] = (qs @ ks.T / math.sqrt(e)).softmax(-1) @ v[:, cut]
        answer = answer @ w[f"{name}.attn.out.weight"].T
        tokens = tokens + g_a.tanh() * rms(answer) * w[f"{name}.attn_norm2.weight"]
        y = rms(tokens) * w[f"{name}.mlp_norm1.weight"] * (1 + s_m)
        inner = silu(y @ w[f"{name}.mlp.w1.weight"].T) * (y @ w[f"{name}.mlp.w3.weight"].T)
        tokens = (
            tokens + g_m.tanh() * rms(inner @ w[f"{name}.mlp.w2.weight"].T) * w[f"{name}.mlp_norm2.weight"]
        )

    last = (rms(tokens[n + 1 :]) * (1 + cond @ w["final.scale.weight"].T)) @ w["final.linear.weight"].T
    velocity = torch.empty(x.shape, dtype=torch.float64)
    for index, token in enumerate(last):
        r, q = divmod(index, columns)
        velocity[:, 2 * r : 2 * r + 2, 2 * q : 2 * q + 2] = token.view(16, 2, 2)
    return velocity
