"""`presample train`: the bundled models made again, and models of one's own."""

import importlib

# Each module adds its own subcommand.
TRAINERS = (
    "mmh_dit.training.train",
    "textcraftor.training.train",
    "tinyworld.training.autoencoder",
    "tinyworld.training.clip",
    "tinyworld.training.oracle",
    "tinyworld.training.taste",
    "tipo.training.train",
)


def add_parser(subparsers):
    """Adds the command `train` with one subcommand for each model that can be trained."""
    parser = subparsers.add_parser("train", help="train a model, the bundled ones by default")
    models = parser.add_subparsers(metavar="MODEL", required=True)
    for module in TRAINERS:
        importlib.import_module(f".{module}", __package__).add_parser(models)
    return parser
