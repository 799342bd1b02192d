"""`presample expand --input FILE --output FOLDER`: a whole file of prompts, by several processes or machines.

Convention: worker processes expand and send what they find over a pipe; this process alone writes. A worker
whose pipe has no other end any more stops.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

from ..cluster import RayOptions
from ..options import add_flags, from_flags
from ..tipo.bulk.lines import FORMATS, SEEDS
from ..tipo.options import ExpandOptions

MOST_WORKERS = 8  # unless asked for


def add_bulk(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of bulk expansion."""
    bulk = parser.add_argument_group("a whole file, which can be stopped at any moment and run again")
    add = bulk.add_argument
    add("--input", type=Path, metavar="FILE", help="prompts: .jsonl, .csv, or text with one on each line")
    add("--output", type=Path, metavar="FOLDER", help="folder of the results, to make or to go on with")
    add("--format", choices=FORMATS, default="auto", help="of the file [auto: by its name]")
    add(
        "--seeds",
        choices=SEEDS,
        default="count",
        help="seed of a line that has none: --seed and the lines before it, --seed for all,"
        " or drawn from --seed and the line's id [count]",
    )
    add("--part", type=int, default=512, metavar="N", help="lines of the input in a file of results [512]")
    add("--rows", type=int, default=64, metavar="N", help="texts decoded together by a worker [64]")
    add(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help=f"processes [0: one a core, at most {MOST_WORKERS}; one on a GPU]",
    )
    add_flags(bulk, RayOptions)


def run(args: argparse.Namespace, options: ExpandOptions) -> int:
    """Expands the file; returns the exit code."""
    if args.input is None or args.output is None:
        raise ValueError("give both --input FILE and --output FOLDER")
    if args.prompt is not None or args.file or args.out:
        raise ValueError("--input takes the place of a prompt, --file and --out; leave these out")
    for name in ("part", "rows", "n"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(args, name)}")
    if args.workers < 0:
        raise ValueError(f"--workers must be at least 0, got {args.workers}")
    from ..tipo.bulk.lines import Rules
    from ..tipo.bulk.run import expand_file

    rules = Rules(options, args.n, args.seeds, args.json, args.rows, args.prose)
    summary = expand_file(
        args.input,
        args.output,
        rules,
        format=args.format,
        part=args.part,
        engine=_engine(args),
        folders=tuple(args.folder or ()),
        base=args.base,
        device=args.device,
        precision=args.precision,
    )
    print("\n".join(summary.lines()), file=sys.stderr)
    return 1 if summary.facts["errors"] and not summary.facts["expanded"] else 0


def _engine(args: argparse.Namespace):
    from ..tipo.bulk.run import here

    cluster = from_flags(args, RayOptions)
    if cluster.ray:
        from ..tipo.bulk.cluster import on_ray

        return on_ray(cluster)
    workers = args.workers or _usual_workers(args.device)
    return here if workers == 1 else partial(on_processes, workers=workers)


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _usual_workers(device: str) -> int:
    from ..lm.checkpoint import find_device

    return min(cores(), MOST_WORKERS) if find_device(device).type == "cpu" else 1


def on_processes(job, todo, on_lot, *, workers: int) -> None:
    """The engine that expands in processes of their own, each with its own model.

    Raises OSError where one of them ends before its work is done.
    """
    parts = iter(todo)
    begun = [part for _, part in zip(range(workers), parts, strict=False)]
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    threads = max(cores() // max(len(begun), 1), 1)
    processes = {}
    try:
        for part in begun:
            mine, theirs = context.Pipe()
            process = context.Process(target=_work, args=(job, part, theirs, threads), daemon=True)
            process.start()
            theirs.close()
            processes[mine] = process
        _serve(dict(processes), parts, on_lot)
    finally:
        for pipe, process in processes.items():
            pipe.close()
            process.terminate()  # it writes nothing, so nothing can be torn
            process.join()


def _serve(open_pipes: dict[Connection, object], parts: Iterator, on_lot) -> None:
    """Gives out parts and takes what is found until all workers have said that they are done."""
    while open_pipes:
        for pipe in wait(list(open_pipes)):
            try:
                said, what = pipe.recv()
                if said == "more":
                    pipe.send(next(parts, None))
            except (EOFError, BrokenPipeError, ConnectionResetError) as error:
                process = open_pipes[pipe]
                process.join()
                raise OSError(
                    f"a worker process ended with code {process.exitcode}, for want of memory perhaps: try"
                    " fewer --workers or --rows. What was found is kept; run the same command to go on"
                ) from error
            if said == "found":
                on_lot(what)
            elif said == "failed":
                raise ValueError(what)
            elif said == "done":
                del open_pipes[pipe]


def _work(job, first, pipe: Connection, threads: int) -> None:
    """What a worker process does: parts until there are no more."""
    import torch

    from ..tipo.bulk.run import expand_parts

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that writes; it ends this one
    torch.set_num_threads(threads)

    def parts() -> Iterator:
        part = first
        while part is not None:
            yield part
            pipe.send(("more", None))
            part = pipe.recv()

    def on_lot(lot: Sequence) -> None:
        pipe.send(("found", lot))

    try:
        expand_parts(job, job.load(), parts(), on_lot)
        pipe.send(("done", None))
    except (BrokenPipeError, ConnectionResetError, EOFError):
        return  # nobody is there any more who would write what is found
    except (ValueError, OSError, ImportError) as error:
        pipe.send(("failed", str(error)))
