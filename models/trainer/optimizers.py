"""The optimizers: Muon for the matrices inside of a model, AdamW for the rest.

Source: Jordan 2024, its steps scaled to AdamW's size as by Liu et al. 2025; torch has Muon since 2.9.
"""

from collections.abc import Callable

import torch

from .options import FitOptions


def make_optimizers(
    model: torch.nn.Module, options: FitOptions, *, inner: Callable[[str], bool]
) -> list[torch.optim.Optimizer]:
    """Returns the optimizers for the parameters that need a gradient.

    Matrices whose name is `inner` get Muon where the options ask for it; vectors (gains, biases) do not
    decay.

    Raises:
        ValueError: Muon is asked for, and this torch has none.
    """
    matrices, outer, vectors = [], [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            muon = options.optimizer == "muon" and parameter.ndim == 2 and inner(name)
            part = matrices if muon else vectors if parameter.ndim < 2 else outer
            part.append(parameter)
    decays = ((outer, options.weight_decay), (vectors, 0.0))
    groups = [{"params": part, "weight_decay": decay} for part, decay in decays if part]
    found: list[torch.optim.Optimizer] = [_muon(matrices, options)] if matrices else []
    if groups:
        found.append(torch.optim.AdamW(groups, lr=options.lr, betas=(0.9, options.beta2), eps=1e-8))
    return found


def _muon(matrices: list, options: FitOptions) -> torch.optim.Optimizer:
    if not hasattr(torch.optim, "Muon"):
        raise ValueError(f"Muon needs torch 2.9, here is {torch.__version__}; --optimizer adamw needs less")
    return torch.optim.Muon(
        matrices, lr=options.lr, weight_decay=options.weight_decay, adjust_lr_fn="match_rms_adamw"
    )


def title(options: FitOptions) -> str:
    """Returns how a card names the optimizers."""
    adamw = f"AdamW with betas 0.9 and {options.beta2:g}"
    muon = options.optimizer == "muon"
    return f"Muon for the matrices of the layers, {adamw} for the rest" if muon else adamw
