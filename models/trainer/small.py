"""What the trainers of small bundled models share: their command, the file they write, and their card.

Convention: a trainer is a module with `train(options)`, which returns what its card needs in the process that
wrote the file and None in the others, and `measure(options)`; `Small` makes a command of both. Files are
safetensors in half precision.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..files import written
from ..options import add_flags, flags, from_flags
from .card import Card, Measure, write
from .convolutions import from_matrices, to_matrices
from .fit import fit
from .optimizers import make_optimizers, title
from .options import FitOptions, told

FILE = "model.safetensors"


@dataclass(frozen=True)
class Small:
    """A small model: its name and options, what its card says of it, and what trains and measures it."""

    name: str
    options: type[FitOptions]
    what: str
    data: str
    how: str
    train: Callable[[Any], dict | None]
    measure: Callable[[Any], Mapping[str, Measure]]

    def add_parser(self, subparsers) -> ArgumentParser:
        """Adds the model to the subparsers of `presample train`, and returns its parser."""
        parser = subparsers.add_parser(self.name)
        add_flags(parser, self.options)
        parser.set_defaults(run=self.run)
        return parser

    def run(self, args: Namespace) -> int:
        """Trains, writes the model and its card; returns 0 if the card's bounds are kept."""
        options = from_flags(args, self.options)
        facts = self.train(options)
        return 0 if facts is None or write(Path(options.out), self.card(facts, options)) else 1

    def card(self, facts: Mapping, options: FitOptions) -> Card:
        """Returns the card of the trained model, measured."""
        chosen = told(options)
        return Card(
            self.what,
            f"presample train {self.name}{flags(chosen, self.options)}",
            self.data,
            {"options": chosen, **facts},
            self.how,
            self.measure(options),
        )


def fit_and_save(
    model: nn.Module,
    options: FitOptions,
    *,
    inner: Callable[[str], bool] | None = None,
    part: str = "",
    **how: Any,
) -> dict | None:
    """Fits a model, writes the averaged weights of it or of one `part`, and returns what its card needs, or
    None beside the main process.

    Without `inner`, which names the weights that Muon steps as matrices, the model is one of convolutions:
    all of it is, each convolution from its window to a pixel. `how` goes to `fit`: data, loss, accelerator.
    """
    if inner is None:
        to_matrices(model)
    optimizers = make_optimizers(model, options, inner=inner or (lambda name: True))
    fitted = fit(model, optimizers, options=options, **how)
    weights = fitted.weights()
    if not fitted.main:
        return None
    if inner is None:
        fitted.model.load_state_dict(weights)
        from_matrices(fitted.model)
        weights = fitted.model.state_dict()
    kept = fitted.model.get_submodule(part)
    begin = f"{part}." if part else ""
    named = {name.removeprefix(begin): t for name, t in weights.items() if name.startswith(begin)}
    save_halves(named, Path(options.out) / FILE)
    fitted.discard_checkpoints()
    return {
        "optimizer": title(options),
        "parameters": sum(p.numel() for p in kept.parameters()),
        "seconds": round(fitted.seconds),
    }


def save_halves(weights: Mapping[str, Tensor], path: Path) -> None:
    """Writes weights in half precision, and whole numbers as they are; positions, which no file of a text
    encoder needs, are left out.

    Raises:
        ValueError: a weight is no number in half precision; nothing is written.
    """
    from safetensors.torch import save_file

    kept = {name: t for name, t in weights.items() if not name.endswith("position_ids")}
    halves = {name: (t.half() if t.is_floating_point() else t).contiguous() for name, t in kept.items()}
    if bad := [name for name, t in halves.items() if not t.isfinite().all()]:
        raise ValueError(f"weights must be finite numbers in float16, and {bad[0]} is not; train anew")
    with written(path) as half:
        save_file(halves, half, metadata={"format": "pt"})
