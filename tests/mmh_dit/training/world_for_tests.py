"""A stand-in for the little world: flat colours, an encoder that averages, a table as text encoder."""

import torch

from presample.models.mmh_dit.training.batches import Staged
from presample.models.mmh_dit.training.options import TrainOptions
from presample.models.mmh_dit.training.pictures import preview
from presample.models.mmh_dit.training.sources import Source
from presample.models.mmh_dit.training.world import Bank, Painting, Tools, paint_all
from presample.models.mmh_dit.training.world_batches import WorldBatches
from presample.models.seeds import generator_for
from presample.models.trainer.fit import Place

END = 97
HOW = Painting(512, solids=0, prompts=3, text_len=24)


def paint(draw):
    """Seasons are colours; the seed shades them."""
    season = ("spring", "summer", "autumn", "winter").index(draw.scene.season)
    shade = torch.rand(3, 1, 1, generator=generator_for(draw.seed)) * 50
    colour = torch.tensor([[50, 200, 100], [200, 200, 25], [200, 75, 25], [200, 200, 200]])[season]
    return (colour[:, None, None] + shade).expand(3, draw.height, draw.width).byte()


def encode(images):
    small = torch.nn.functional.avg_pool2d(images, 8)
    return torch.einsum("kc,bchw->bkhw", torch.randn(16, 3, generator=generator_for(3)), small - 0.5)


def tokens(prompt):
    return [*(sum(map(ord, word)) % END for word in prompt.split()), END]


def states(ids, mask):
    return torch.randn(END + 1, 12, generator=generator_for(4))[ids]


def painted(folder, how=HOW):
    paint_all(folder, how, Tools(paint, encode, tokens), place=Place())
    return Bank.read(folder, how)


def batches(bank, *, place=Place(), batch=8, seed=0):  # noqa: B008
    return WorldBatches(bank, batch, states, pad=END, seed=seed, place=place)


def source(bank, batch=8, reader=None):
    return Source(lambda place: Staged((0,), (batches(bank, place=place, batch=batch),)), preview, reader)


def options(folder, **more):
    given = {
        "steps": 8, "save_every": 3, "log_every": 1, "warmup": 2, "batch": 8, "hidden": 24, "heads": "2,6",
        "mlp": 32, "text_dim": 12, "text_len": 24, "precision": "no", "samples": 0, "ema": 0.9,
        "reading": 0.0,
    }  # fmt: skip
    return TrainOptions(out=str(folder), **{**given, **more})
