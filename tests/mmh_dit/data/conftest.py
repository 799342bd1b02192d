"""Lets tests import what lies beside them, and run `presample data`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def run(capsys):
    """Runs `presample data` with arguments; gives the exit code, what was printed, and the messages."""
    from presample.models import cli

    def run_it(*argv):
        code = cli.main(["data", *map(str, argv)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it
