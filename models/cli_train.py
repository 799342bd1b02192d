"""`presample train`: the bundled models, made again."""


def add_parser(subparsers):
    """Adds the command `train` with one subcommand for each model that can be trained."""
    from .tipo.training import train

    parser = subparsers.add_parser("train", help="make a bundled model again")
    train.add_parser(parser.add_subparsers(metavar="MODEL", required=True))
    return parser
