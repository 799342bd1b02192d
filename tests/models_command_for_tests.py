"""`presample models`, run as a person does."""

from presample.models import cli


def run(*argv: str) -> int:
    """Returns the exit code."""
    return cli.main(["models", *argv])
