"""`presample eval`: the bundled models measured again, and the claims tried."""

import importlib

# Each module adds its own subcommand.
MEASURES = ("mmh_dit.training.evaluate", "tipo.training.evaluate", "cli_claims", "cli_eval_images")


def add_parser(subparsers):
    """Adds the command `eval` with one subcommand for each model that can be measured."""
    parser = subparsers.add_parser("eval", help="measure a bundled model and write its card")
    models = parser.add_subparsers(metavar="MODEL", required=True)
    for module in MEASURES:
        importlib.import_module(f".{module}", __package__).add_parser(models)
    return parser
