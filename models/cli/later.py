"""Commands whose module is imported when they are the ones that are asked for: the others cost nothing.

A module of a command has `add_parser(subparsers)`, which adds one parser and returns it or nothing.
"""

import argparse
import importlib
from collections.abc import Mapping


class Later(argparse.ArgumentParser):
    """A parser that lets a module add its arguments at the moment when it parses, or shows its help."""

    module = ""

    def parse_known_args(self, args=None, namespace=None):
        """Adds the arguments first; the rest is argparse's."""
        if self.module:
            module, self.module = self.module, ""
            importlib.import_module(f"..{module}", __package__).add_parser(_Here(self))
        return super().parse_known_args(args, namespace)


class _Here:
    """Stands for the subparsers that a module adds itself to: its parser is there already."""

    def __init__(self, parser: Later):
        self.parser = parser

    def add_parser(self, name: str, *, description: str | None = None) -> Later:
        self.parser.description = description or self.parser.description
        return self.parser


def add_later(subparsers, commands: Mapping[str, tuple[str, str]]) -> None:
    """Adds commands by name: the module of each, below this folder's, and what it is for.

    That is the first sentence of a command's own help too, unless its module has more to say.
    """
    for name, (module, help) in commands.items():
        sentence = f"{help[:1].upper()}{help[1:]}."
        subparsers.add_parser(name, help=help, description=sentence).module = module
