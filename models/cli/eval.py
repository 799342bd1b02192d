"""`presample eval`: models and pictures measured, pairs judged by people, and the claims tried."""

from .later import add_later

MEASURES = {
    "tipo": ("tipo.training.evaluate", "measure a small TIPO model and write its card"),
    "mmh-dit": ("mmh_dit.training.evaluate", "measure how well pictures follow their prompts"),
    "images": ("cli.eval_images", "score a folder of pictures, or measure how far it is from another"),
    "pairwise": ("cli.eval_pairwise", "let people judge blind pairs of two folders of pictures"),
    "claims": ("cli.claims", "try the claims of the four systems at toy size"),
}


def add_parser(subparsers):
    """Adds the command `eval` with one subcommand for each thing that can be measured."""
    parser = subparsers.add_parser("eval")
    add_later(parser.add_subparsers(metavar="WHAT", required=True), MEASURES)
    return parser
