"""`presample eval`: the bundled models, measured again."""


def add_parser(subparsers):
    """Adds the command `eval` with one subcommand for each model that can be measured."""
    from .tipo.training import evaluate

    parser = subparsers.add_parser("eval", help="measure a bundled model and write its card")
    evaluate.add_parser(parser.add_subparsers(metavar="MODEL", required=True))
    return parser
