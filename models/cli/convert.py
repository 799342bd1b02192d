"""`presample convert`: says what is in an MMH-DiT file of any names, and writes it under ours.

Convention: nothing is written unless every weight of the model is there, in its shape and finite.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..mmh_dit.heads import parse_heads, show_heads

KEEP = "keep"
TYPES = {KEEP: KEEP, "bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
SHOWN = 12  # names of a kind


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds the command `convert`."""
    parser = subparsers.add_parser(
        "convert",
        description="Reports how the tensors of a file fit an MMH-DiT. With OUT, and if all of them are "
        "there, writes a file that ComfyUI loads without being told anything more, and `presample sample "
        "--model` where it is of the little world.",
    )
    parser.add_argument("file", type=Path, help="a safetensors file")
    parser.add_argument("out", type=Path, nargs="?", help="the file to write; without it only the report")
    parser.add_argument("--key-map", type=Path, metavar="JSON", help="rules from the file's names to ours")
    parser.add_argument(
        "--heads", metavar="LIST", help="head counts of the blocks, such as 8x8,16x8,24x8,48x8"
    )
    parser.add_argument("--dtype", choices=tuple(TYPES), default=KEEP, help=f"type of the weights [{KEEP}]")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Reports and converts; returns 0 if the file is a whole model."""
    from ..mmh_dit.checkpoint import read
    from ..mmh_dit.key_map import KeyMap

    key_map = KeyMap.from_json(args.key_map) if args.key_map else None
    found = read(args.file, key_map=key_map, heads=parse_heads(args.heads) if args.heads else None)
    print(show_heads(found.config))
    report = found.report
    print(f"{report.matched} tensors fit")
    for kind, names in report.kinds().items():
        _list(kind, names)
    if args.out:
        if not report.fits:
            raise ValueError(
                f"every weight must be there in its shape to write {args.out}; nothing is written"
            )
        _write(found, args)
    return 0 if report.fits else 1


def _list(kind: str, names: tuple[str, ...]) -> None:
    print(f"{kind} ({len(names)}):")
    print("\n".join(f"  {name}" for name in names[:SHOWN]))
    if len(names) > SHOWN:
        print(f"  ... and {len(names) - SHOWN} more")


def _write(found, args: argparse.Namespace) -> None:
    import torch

    from ..mmh_dit.checkpoint import not_finite, save_state

    if args.out.exists():
        raise ValueError(f"{args.out} must not be there yet: name another file")
    if bad := not_finite(found.tensors):
        raise ValueError(f"the weights must be finite, {bad[0]} is not: get the file again")
    wanted = None if args.dtype == KEEP else getattr(torch, TYPES[args.dtype])
    unused = set(found.report.unmatched)
    state = {
        name: tensor if wanted is None else tensor.to(wanted)
        for name, tensor in found.tensors.items()
        if name not in unused
    }
    save_state(state, found.config, args.out, found.metadata)
    print(f"written: {args.out}")
