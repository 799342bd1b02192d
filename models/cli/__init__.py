"""The command line: `presample COMMAND`. Only the command that is asked for is imported.

Convention: results go to stdout, progress and messages to stderr; pipes and redirected files are UTF-8; exit
code 0, 1 after an error whose message says what to do, 2 for a wrong command line, 130 after Ctrl-C.
"""

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence

from .later import Later, add_later

COMMANDS = {
    "expand": ("cli.expand", "expand prompts"),
    "sample": ("cli.sample", "make pictures of a prompt with the bundled little world"),
    "mix": ("cli.mix", "make pictures with tuned text encoders, mixed and interpolated"),
    "models": ("cli.models", "list, find and download models of others"),
    "demo": ("cli.demo", "expand a prompt with the bundled models and paint it"),
    "bench": ("cli.bench", "measure speed, beside other programs where they are installed"),
    "convert": ("cli.convert", "look into an MMH-DiT checkpoint, or write it under our names"),
    "data": ("cli.data", "make pictures and captions ready for training"),
    "train": ("cli.train", "train a model, the bundled ones by default"),
    "eval": ("cli.eval", "measure models and pictures"),
    "build": ("cli.build", "make a file that is shipped from its sources"),
}

EXTRAS = {  # modules that only some commands need, and the extra that brings them
    "accelerate": "train",
    "tokenizers": "train",
    "scipy": "train",
    "diffusers": "data",
    "sklearn": "data",
    "ray": "ray",
    "gradio": "eval",
    "matplotlib": "bench",
    "gguf": "bench",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (sys.argv by default) and returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    _use_utf8()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("presample").setLevel(logging.INFO)
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `presample expand ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _explained() as error:
        print(f"presample: {_said(error)}", file=sys.stderr)
        return 1


def _explained() -> tuple[type[Exception], ...]:
    """Errors whose message says what to do. Python asks for them when there is one: help has no imports."""
    from safetensors import SafetensorError  # of a file that cannot be written

    from ..transfer import DownloadError

    return ValueError, TypeError, OSError, ImportError, FloatingPointError, DownloadError, SafetensorError


def _said(error: Exception) -> str:
    extra = EXTRAS.get((error.name or "").partition(".")[0]) if isinstance(error, ImportError) else None
    return f"{error}; in a clone of Presample: pip install -e '.[{extra}]'" if extra else str(error)


def _use_utf8() -> None:
    """Makes standard input and output UTF-8 unless they are a terminal: a locale may lack letters."""
    for stream in (sys.stdin, sys.stdout):
        piped = isinstance(stream, io.TextIOWrapper) and not stream.isatty()
        if piped and stream.encoding.lower() != "utf-8":  # once something was read it cannot be set again
            stream.reconfigure(encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    from ... import __version__

    parser = argparse.ArgumentParser(
        prog="presample",
        description="TIPO prompt expansion and more, for ComfyUI, WebUIs and the command line.",
    )
    parser.add_argument("--version", action="version", version=f"presample {__version__}")
    add_later(parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Later), COMMANDS)
    return parser
