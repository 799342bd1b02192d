"""`presample train`: the bundled models made again, and models of one's own."""

from .later import add_later

TRAINERS = {
    "tipo": ("tipo.training.train", "a small TIPO model of the little world"),
    "tiny-autoencoder": ("tinyworld.training.autoencoder", "the little world's autoencoder"),
    "tiny-clip": ("tinyworld.training.clip", "the little world's text encoder, and the tower beside it"),
    "tiny-oracle": ("tinyworld.training.oracle", "the reader of the little world's pictures"),
    "tiny-reward": ("tinyworld.training.taste", "what scores the little world's pictures"),
    "mmh-dit": ("mmh_dit.training.train", "an MMH-DiT on the little world or your data"),
    "textcraftor": ("textcraftor.training.train", "a text encoder tuned with rewards, by prompts alone"),
}


def add_parser(subparsers):
    """Adds the command `train` with one subcommand for each model that can be trained."""
    parser = subparsers.add_parser("train")
    add_later(parser.add_subparsers(metavar="MODEL", required=True), TRAINERS)
    return parser
