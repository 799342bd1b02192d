"""`presample bench`: how fast this is, beside other programs where they are installed.

Convention: the table goes to stdout, progress and remarks to stderr; exit code 0, 1 after an error that its
message explains, 130 after Ctrl-C.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from ..files import write_json
from . import bench_bulk, bench_jobs, bench_mmh_dit, bench_variety
from .flags import add_workdir, numbers, weights

QUICK = {"repeats": 1, "new_tokens": 16, "batch": "1,4"}
USUAL = {"repeats": 5, "new_tokens": 96, "batch": "1,4,16"}
LOADS = 3  # fresh processes a model, at most


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds the command `bench` and returns its parser."""
    parser = subparsers.add_parser("bench")
    kinds = parser.add_subparsers(metavar="WHAT", required=True)
    bench_variety.add_parser(kinds)
    bench_jobs.add_parser(kinds)
    bench_bulk.add_parser(kinds)
    bench_mmh_dit.add_parser(kinds)
    lm = kinds.add_parser(
        "lm",
        help="writing text: tokens a second, time to the first token, loading, memory",
        description="Measures writing text with random weights in the shape of a TIPO model: tokens a "
        "second, time to the first token, loading and memory; beside transformers and llama-cpp-python where "
        "they are installed.",
    )
    _add_measuring(lm)
    _add_output(lm)
    lm.add_argument("--alone", help=argparse.SUPPRESS)  # a process that measures one model
    lm.set_defaults(run=run)
    return parser


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--shape", choices=("100m", "200m", "500m", "tiny"), default="200m", help="size of the model [200m]")
    add("--device", default="auto", help="cpu or cuda; auto takes a GPU if there is one [auto]")
    add("--threads", type=int, help="threads for everyone [torch's choice]")
    add("--repeats", type=int, help="rounds; medians are reported [5]")
    add("--new-tokens", type=int, help="tokens to write after each prompt [96]")
    add("--prompt-tokens", type=int, default=60, help="tokens of a prompt [60]")
    add("--batch", metavar="N,N", help="how many texts at once, for ours [1,4,16]")
    add(
        "--batch-peers", action="store_true", help="transformers writes several at once too (KGen never does)"
    )
    add("--ragged", action="store_true", help="also batches of different prompts of different lengths")
    add("--only", choices=("ours", "peers"), help="leave the others out")
    add("--quick", action="store_true", help="one round of 16 tokens, batches 1 and 4: a first impression")
    add("--no-alone", action="store_true", help="do not measure loading and memory in processes of their own")
    add_workdir(parser)


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--json", type=Path, metavar="FILE", help="write every number to this file")
    add("--chart", type=Path, metavar="FILE", help="draw the speeds (.png or .svg; needs matplotlib)")
    add("--markdown", action="store_true", help="print the table in Markdown")


def run(args: argparse.Namespace) -> int:
    """Measures and reports."""
    import torch

    from ..bench import chart
    from ..bench.contestants import line_up
    from ..bench.files import SHAPES
    from ..bench.lm import Settings, facts_of_machine, race, report, steps
    from ..bench.table import markdown, terminal

    batches = _prepare_arguments(args)
    if args.chart:
        chart.require()  # better now than after minutes
    settings = Settings(
        SHAPES[args.shape],
        device=args.device,
        threads=torch.get_num_threads(),
        repeats=args.repeats,
        new_tokens=args.new_tokens,
        prompt_tokens=args.prompt_tokens,
    )
    files = weights(args.shape, args.workdir)
    machine = facts_of_machine(args.device)
    if args.alone:
        return _measure_one(args.alone, files, settings, batches)
    contestants = line_up(
        args.device, batches=batches, only=args.only, ragged=args.ragged, peer_batches=args.batch_peers
    )
    loads = [] if args.no_alone else _loads(contestants, files, min(LOADS, settings.repeats))
    with _Bar(steps(contestants, settings) + len(loads)) as bar:
        alone, failed = _measure_alone(loads, args, files, bar)
        found = race(contestants, files, settings, on_step=bar.step)
    facts = report(found, alone, machine=machine, skipped_alone=failed)
    print((markdown if args.markdown else terminal)(facts))
    _save(facts, args)
    return 0


def _prepare_arguments(args: argparse.Namespace) -> list[int]:
    """Fills in what was not given and returns the batches."""
    import torch

    from ..bench.threads import use_threads

    for name, usual in (QUICK if args.quick else USUAL).items():
        if getattr(args, name) is None:
            setattr(args, name, usual)
    batches = numbers("--batch", args.batch, 1)
    use_threads(args.threads)
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    return batches


class _Bar:
    """A progress bar on stderr that says what runs now."""

    def __init__(self, total: int):
        from tqdm import tqdm

        layout = "{percentage:3.0f}% |{bar:24}| {elapsed} {desc}"
        self.bar = tqdm(total=total, bar_format=layout, file=sys.stderr, ncols=80, leave=False, disable=None)
        self.steps = 0

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *reason) -> None:
        self.bar.close()

    def step(self, name: str) -> None:
        self.bar.set_description_str(name, refresh=False)
        self.bar.n = self.steps
        self.bar.refresh()
        self.steps += 1


# Loading and memory: each model in a process of its own


def _loads(contestants, files, repeats: int) -> list:
    """Returns the models to be loaded in fresh processes, in turn; GGUF files are loaded by ours too."""
    from ..bench.contestants import PRESAMPLE, Model

    models = list(dict.fromkeys(c.model for c in contestants))
    if Model(PRESAMPLE, "int8") in models and not files.no_gguf:
        models.append(Model(PRESAMPLE, "int8", "Q8_0"))
    return models * repeats


def _measure_alone(loads, args: argparse.Namespace, files, bar: _Bar) -> tuple[dict, dict]:
    """Returns what each model costs by itself, and why some could not be measured."""
    from ..bench.alone import read_once, summary

    runs, failed = {}, {}
    read_once(files)
    for model in loads:
        bar.step(f"loading {model.name} afresh")
        if model.name in failed:
            continue
        facts = _in_fresh_process(model, args)
        if "unavailable" in facts:
            failed[model.name] = facts["unavailable"]
        else:
            runs.setdefault(model.name, []).append(facts)
    return {name: summary(found) for name, found in runs.items()}, failed


def _in_fresh_process(model, args: argparse.Namespace) -> dict:
    from dataclasses import asdict

    batch = args.batch if model.ours and model.file == "safetensors" else "1"
    command = [
        sys.executable,
        "-m",
        __package__,
        "bench",
        "lm",
        "--alone",
        json.dumps(asdict(model)),
    ]
    for name in ("shape", "device", "new_tokens", "prompt_tokens", "workdir"):
        command += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    command += ["--batch", batch, "--repeats", "1"]
    if args.threads:
        command += ["--threads", str(args.threads)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return {"unavailable": f"its process ended with code {done.returncode}: {reason}"}


def _measure_one(text: str, files, settings, batches: list[int]) -> int:
    from ..bench.alone import measure
    from ..bench.contestants import Model, Unavailable

    try:
        facts = measure(Model(**json.loads(text)), files, settings, batches=batches)
    except Unavailable as reason:
        facts = {"unavailable": str(reason)}
    print(json.dumps(facts))
    return 0


# Output


def _save(facts: dict, args: argparse.Namespace) -> None:
    if args.json:
        write_json(args.json, facts)
        _note(f"numbers: {args.json}")
    if args.chart:
        from ..bench.chart import draw

        args.chart.parent.mkdir(parents=True, exist_ok=True)
        draw(facts, args.chart)
        _note(f"chart: {args.chart}")


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
