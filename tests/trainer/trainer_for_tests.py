"""A small problem for the trainer's tests: a network with dropout learns a fixed random one."""

import torch

from presample.models.seeds import generator_for
from presample.models.trainer.fit import Place
from presample.models.trainer.optimizers import make_optimizers
from presample.models.trainer.options import FitOptions


def options(folder, **more) -> FitOptions:
    given = {
        "steps": 14,
        "lr": 0.01,
        "warmup": 2,
        "precision": "no",
        "save_every": 5,
        "log_every": 1,
        "ema": 0.9,
    }
    return FitOptions(out=str(folder), **{**given, **more})


def network(seed: int = 0, dropout: float = 0.1) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = torch.nn.Linear(8, 16), torch.nn.SiLU(), torch.nn.Dropout(dropout), torch.nn.Linear(16, 4)
        return torch.nn.Sequential(*layers)


def optimizers(model, chosen: FitOptions) -> list[torch.optim.Optimizer]:
    return make_optimizers(model, chosen, inner=lambda name: name.startswith("0."))


class Batches:
    """Batches that follow from their number; the target is a random linear map's."""

    def __init__(self, size: int = 16) -> None:
        self.size = size
        self.asked: list[int] = []

    def __call__(self, place: Place, skip: int):
        self.asked.append(skip)
        target = torch.randn(8, 4, generator=generator_for(9))
        while True:
            x = torch.randn(self.size, 8, generator=generator_for(5, place.rank, skip))
            yield {"x": x, "y": x @ target}
            skip += 1


def loss(model, batch, generator):
    """A loss that draws from its own generator, too, as a flow's does."""
    noise = 0.1 * torch.randn(batch["x"].shape, generator=generator)
    error = torch.nn.functional.mse_loss(model(batch["x"] + noise.to(batch["x"].device)), batch["y"])
    return {"loss": error, "noise": noise.square().mean()}


def quiet(model, batch, generator):
    return torch.nn.functional.mse_loss(model(batch["x"]), batch["y"])
