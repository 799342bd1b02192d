"""`presample bench bulk`: prompts a second of bulk expansion, beside one prompt after the other."""

import argparse
import multiprocessing
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from ..files import write_json
from .flags import add_workdir, numbers, weights


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds the command `bench bulk` and returns its parser."""
    parser = subparsers.add_parser(
        "bulk",
        help="a file of prompts: expanded in bulk by one and by several workers, and one after the other",
        description="Times bulk expansion in worker processes that are loaded and warm, beside the expansion "
        "of one prompt after the other, in turns within each round.",
    )
    add = parser.add_argument
    add("--model", default="tipo-tiny", help="language model [tipo-tiny]")
    add("--shape", choices=("100m", "200m", "500m"), help="random weights in this shape instead")
    add("--prompts", type=int, default=512, metavar="N", help="prompts in bulk [512]")
    add("--single", type=int, default=32, metavar="N", help="prompts one after the other [32]")
    add("--workers", default="1,2", metavar="N,N", help="how many worker processes [1,2]")
    add("--threads", metavar="N,N", help="threads for one after the other [1 and all cores]")
    add("--rows", type=int, default=64, metavar="N", help="texts decoded together by a worker [64]")
    add("--rounds", type=int, default=3, metavar="N", help="rounds; medians are reported [3]")
    add_workdir(parser)
    add("--json", type=Path, metavar="FILE", help="write every number to this file")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Measures and prints the table in Markdown."""
    from tqdm import tqdm

    from ..bench.bulk import Setup, report, table, ways, write_prompts
    from .expand_bulk import cores

    for name in ("prompts", "single", "rows", "rounds"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(args, name)}")
    workers = numbers("--workers", args.workers, 1)
    threads = numbers("--threads", args.threads or f"1,{cores()}", 1)
    folder = weights(args.shape, args.workdir).folder if args.shape else None
    setup = Setup(args.model, folder, args.rows)
    compared = ways(workers, cores(), threads)
    rounds = []
    with tempfile.TemporaryDirectory() as prompts:
        path = Path(prompts) / "prompts.jsonl"
        write_prompts(path, args.prompts)
        with (
            _processes(setup, path, max(workers)) as pipes,
            tqdm(total=args.rounds * len(compared), file=sys.stderr, leave=False, disable=None) as bar,
        ):
            for _ in range(args.rounds):
                taken = {}
                for way in compared:
                    bar.set_description_str(way.name)
                    taken[way] = _measure(way, pipes, min(args.single, args.prompts))
                    bar.update()
                rounds.append(taken)
    rows = report(rounds, cores())
    print(table(rows))
    if args.json:
        facts = {"model": args.shape or args.model, "rows": args.rows, "cores": cores(), "ways": rows}
        write_json(args.json, facts)
    return 0


@contextmanager
def _processes(setup, path: Path, count: int):
    """Yields the pipes of workers that are loaded and warm."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    try:
        for _ in range(count):
            mine, theirs = context.Pipe()
            process = context.Process(target=_work, args=(setup, path, theirs), daemon=True)
            process.start()
            theirs.close()
            pipes.append(mine)
            processes.append(process)
        for pipe in pipes:
            _answer(pipe)
        yield pipes
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _measure(way, pipes, single: int):
    from ..bench.bulk import together

    used = pipes[: way.workers]
    for number, pipe in enumerate(used):
        pipe.send((way, number, single))
    return together([_answer(pipe) for pipe in used])


def _answer(pipe):
    try:
        found = pipe.recv()
    except EOFError as error:
        raise OSError("a worker process ended early, for want of memory perhaps: try fewer --rows") from error
    if isinstance(found, str):
        raise ValueError(found)
    return found


def _work(setup, path: Path, pipe) -> None:
    """What a worker process does: measure what it is asked for until nobody asks any more."""
    import torch

    from ..bench.bulk import Worker

    try:
        worker = Worker(setup, path)
        pipe.send(True)
        while True:
            way, number, single = pipe.recv()
            torch.set_num_threads(way.threads)
            pipe.send(worker.share(number, way.workers) if way.bulk else worker.one_by_one(single))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except (ValueError, OSError) as error:
        pipe.send(str(error))
