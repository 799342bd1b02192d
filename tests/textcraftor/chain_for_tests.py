"""A smooth denoiser of a few numbers, in float64, and SD's schedule."""

import torch

from presample.models.textcraftor.chain import DDIM, Condition, Flow

B, N, M, D = 3, 5, 4, 6


def alphas_cumprod() -> torch.Tensor:
    """SD's: the square roots of beta go straight from .00085 to .012."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0)


def make_ask(seed: int = 0, *, calls: list | None = None):
    """Returns a denoiser: a smooth function of x, the time and the mean of the tokens."""
    generator = torch.Generator().manual_seed(seed)
    a = 0.4 * torch.randn(N, N, generator=generator, dtype=torch.float64)
    b = 0.4 * torch.randn(D, N, generator=generator, dtype=torch.float64)

    def ask(x, t, tokens, mask):
        if calls is not None:
            calls.append((t[0].item(), tokens, torch.is_grad_enabled()))
        said = 0 if tokens is None else tokens.mean(1) @ b
        return torch.tanh(x @ a + said + 0.001 * t.to(x.dtype)[:, None])

    return ask


def start(seed: int = 1) -> torch.Tensor:
    return torch.randn(B, N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def condition(seed: int, *, empty: bool = True) -> Condition:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(2, B, M, D, generator=generator, dtype=torch.float64)
    return Condition(tokens[0], None, tokens[1] if empty else None)


RULES = {
    "epsilon": DDIM(alphas_cumprod(), steps=10),
    "v_prediction": DDIM(alphas_cumprod(), steps=10, prediction="v_prediction"),
    "flow": Flow(10),
}
