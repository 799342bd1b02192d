"""`presample eval`: models and pictures measured, pairs judged by people, and the claims tried."""

import importlib

# Each module adds its own subcommand.
MEASURES = (
    "mmh_dit.training.evaluate",
    "tipo.training.evaluate",
    "cli_claims",
    "cli_eval_images",
    "cli_eval_pairwise",
)


def add_parser(subparsers):
    """Adds the command `eval` with one subcommand for each thing that can be measured."""
    parser = subparsers.add_parser("eval", help="measure models and pictures")
    models = parser.add_subparsers(metavar="WHAT", required=True)
    for module in MEASURES:
        importlib.import_module(f".{module}", __package__).add_parser(models)
    return parser
