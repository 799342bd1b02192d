"""Options stated once: what other tests do not see of them."""

import argparse
import dataclasses
import shlex
from dataclasses import dataclass

import pytest

from presample.models.options import add_flags, default, describe, flags, from_flags, option


@dataclass(frozen=True)
class Given:
    steps: int = option(10, "Steps.", low=1, high=100)
    rate: float = option(0.001, "Rate.", low=0.0, high=1.0)
    quick: bool = option(True, "Quick.")
    words: str = option("", "Words.")
    part: tuple[str, ...] = option((), "Parts.")


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, ""),
        ({"steps": 20, "rate": 3e-5}, " --steps 20 --rate 3e-05"),
        ({"quick": False}, " --no-quick"),
        ({"words": "a 'b' $HOME"}, None),
        ({"part": ("begin=0 latents=a b", "c")}, " --part 'begin=0 latents=a b' --part c"),
    ],
)
def test_flags_are_read_as_the_options_that_they_were_made_of(changed, text):
    options = Given(**changed)
    made = flags(dataclasses.asdict(options), Given)
    assert text is None or made == text
    parser = argparse.ArgumentParser()
    add_flags(parser, Given)
    assert from_flags(parser.parse_args(shlex.split(made)), Given) == options


def test_the_help_of_a_switch_says_how_it_stands_once():
    parser = argparse.ArgumentParser(prog="x")
    add_flags(parser, Given)
    shown = " ".join(parser.format_help().split())
    assert "[on]" in shown
    assert "(default" not in shown


def test_flags_leave_out_what_is_usual():
    assert flags({"steps": 20, "rate": 0.5}, Given, usual={"steps": 20}) == " --rate 0.5"
    assert flags({"part": ["a"]}, Given, usual={"part": ["a"]}) == ""


def test_another_default_keeps_everything_else():
    @dataclass(frozen=True)
    class More(Given):
        steps: int = default(Given, "steps", 50)

    first, again = describe(Given)[0], describe(More)[0]
    assert again == dataclasses.replace(first, default=50)
