"""`presample eval claims`: tries the claims of the four systems at toy size and writes docs/claims.md.

Convention: what is found goes to stdout, progress to stderr; exit code 0 whatever the verdicts are.
"""

import argparse
import contextlib
import os
import sys
from pathlib import Path

from .flags import numbers

REPORT = "report"


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `claims` to the subparsers of `presample eval`, and returns its parser."""
    parser = subparsers.add_parser(
        "claims",
        description="Runs experiments, keeps a record of each in docs/claims and makes docs/claims.md of all "
        "records. What was measured before in the work folder is not measured again.",
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="experiments or groups, `all`, or `report`: the page alone")
    add("--list", action="store_true", help="name all experiments and say how long they take")
    add("--seeds", help="numbers such as 0,1,2 [those of the experiment]")
    add("--workers", type=int, default=1, help="cells that are measured at once, a thread each [1]")
    add("--work", type=Path, default=Path("out/claims"), help="folder of what is measured [out/claims]")
    add("--docs", type=Path, default=Path("docs"), help="folder of the page and the records [docs]")
    add("--device", default="cpu", help="cpu or cuda [cpu]")
    add("--no-record", action="store_true", help="measure only; another run makes the records")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Measures what is missing, records and publishes."""
    from ..claims import plots, registry, report

    every = registry.experiments()
    if args.list or not args.names:
        print(_listed(every))
        return 0
    asked = registry.named([name for name in args.names if name != REPORT])
    seeds = None if args.seeds is None else tuple(numbers("--seeds", args.seeds, 0))
    if not args.no_record:
        plots.require()  # better now than after an hour
    for experiment in asked:
        reason = experiment.missing()
        if reason:
            print(f"{experiment.name}: not run, {reason}")
        else:
            _measure(experiment, experiment.seeds if seeds is None else seeds, args)
        if not args.no_record:
            print(_record(experiment, reason, args))
    if not args.no_record:
        print(report.publish(args.docs, every))
    return 0


def _listed(every) -> str:
    rows = [f"{'name':24} {'group':12} {'arms':>4} {'seeds':>5} {'a cell':>9} {'all':>9}  what"]
    for e in every:
        whole = e.minutes * len(e.arms) * len(e.seeds)
        rows.append(
            f"{e.name:24} {e.group:12} {len(e.arms):4} {len(e.seeds):5} {e.minutes:5.2f} min {whole:5.1f} min"
            f"  {e.title}"
        )
    return "\n".join(rows)


def _measure(experiment, seeds: tuple[int, ...], args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from ..claims.runner import batches, missing

    todo = missing(experiment, seeds, args.work)
    with tqdm(total=len(todo), desc=experiment.name, unit="cell", file=sys.stderr, disable=not todo) as bar:
        for done in _each(experiment.name, batches(experiment, todo), args):
            bar.update(done)


def _each(name: str, work: list, args: argparse.Namespace):
    """Yields how many cells were done, each time some are."""
    if args.workers <= 1 or len(work) <= 1:
        yield from (_cells(name, [cell], args.work, args.device) for batch in work for cell in batch)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(args.workers, len(work)), mp_context=context) as pool:
        begun = [pool.submit(_cells, name, batch, args.work, args.device) for batch in work]
        try:
            for done in as_completed(begun):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _cells(name: str, cells: list[tuple[str, int]], work: Path, device: str) -> int:
    """Measures cells of an experiment on one thread, maybe in a process of its own; returns how many."""
    import torch

    from ..claims.registry import named
    from ..claims.runner import measure

    (experiment,) = [e for e in named([name]) if e.name == name]
    with _one_thread():
        for arm, seed in cells:
            measure(experiment, arm, seed, work=work, device=torch.device(device))
    return len(cells)


@contextlib.contextmanager
def _one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _record(experiment, reason: str | None, args: argparse.Namespace) -> str:
    """Writes the record of what was measured and returns a line about it."""
    import datetime

    from ..claims import record, report, runner

    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    if reason:
        made = record.skipped(experiment, reason, date=today)
    else:
        made = record.judged(experiment, runner.kept(experiment, args.work), date=today)
    path = record.write(made, args.docs / report.FOLDER)
    return f"{experiment.name}: {made.verdict}, {os.path.relpath(path)}"
