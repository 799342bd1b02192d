"""`presample data STEP`: pictures and captions, made ready for training: `docs/data.md`.

Convention: all steps share a work folder; each can be stopped at any moment and goes on when it is run again.
"""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from ..cluster import RayOptions
from ..mmh_dit.data.choose import SelectOptions
from ..mmh_dit.data.dedup import DedupOptions
from ..mmh_dit.data.scores import ScoreOptions
from ..mmh_dit.data.stages import STAGES, Stage, parse_sizes
from ..options import add_flags, from_flags
from ..playground.balance import BalanceOptions


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command `data` with one subcommand for each step."""
    parser = subparsers.add_parser("data")
    steps = parser.add_subparsers(metavar="STEP", required=True)
    _add_scan(steps)
    _add_dedup(steps)
    _add_score(steps)
    _add_select(steps)
    _add_texts(steps)
    _add_latents(steps)
    _add_balance(steps)
    report = steps.add_parser("report", help="say what became of all pictures")
    report.add_argument("work", type=Path, metavar="WORK", help="the work folder")
    report.set_defaults(run=run_report)
    return parser


def _add_scan(steps: argparse._SubParsersAction) -> None:
    scan = steps.add_parser("scan", help="list pictures and captions in a work folder; the first step")
    scan.add_argument("sources", type=Path, nargs="+", metavar="SOURCE", help="folders and .tar shards")
    scan.add_argument("--work", type=Path, required=True, metavar="WORK", help="the work folder to make")
    scan.add_argument("--caption-field", default="", metavar="NAME", help="where JSON has the caption")
    scan.add_argument("--uncaptioned", action="store_true", help="keep pictures without a caption")
    scan.add_argument("--part", type=int, default=512, metavar="N", help="pictures in a part [512]")
    scan.set_defaults(run=run_scan)


def _add_dedup(steps: argparse._SubParsersAction) -> None:
    dedup = _step(steps, "dedup", "keep one of pictures that are nearly the same", run_dedup)
    dedup.add_argument("--model", type=Path, metavar="FOLDER", help="CLIP, as Hugging Face keeps it")
    dedup.add_argument("--embeddings", type=Path, metavar="FILE", help="instead: .npy or .safetensors (n, e)")
    add_flags(dedup, DedupOptions)


def _add_score(steps: argparse._SubParsersAction) -> None:
    score = _step(steps, "score", "score pictures by how they please; captions get a tag", run_score)
    score.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="SigLIP so400m")
    score.add_argument("--head", type=Path, required=True, metavar="FILE", help="Aesthetic Predictor V2.5")
    add_flags(score, ScoreOptions)


def _add_select(steps: argparse._SubParsersAction) -> None:
    select = steps.add_parser("select", help="choose the best and most different pictures of each category")
    select.add_argument("work", type=Path, metavar="WORK", help="the work folder")
    select.add_argument(
        "--categories",
        type=Path,
        metavar="FILE",
        help="JSON of keys to categories [the first folder of a key]",
    )
    select.add_argument(
        "--embeddings", type=Path, metavar="FILE", help=".npy or .safetensors (n, e) [dedup's]"
    )
    select.add_argument(
        "--clip", type=Path, metavar="FOLDER", help="the CLIP of dedup, whole, for --least-fit"
    )
    select.add_argument("--device", default="cpu", help="where the CLIP reads captions [cpu]")
    add_flags(select, SelectOptions)
    select.set_defaults(run=run_select)


def _add_texts(steps: argparse._SubParsersAction) -> None:
    texts = _step(steps, "texts", "encode captions with a frozen text encoder", run_texts, "bfloat16")
    texts.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="T5's encoder, or CLIP")
    texts.add_argument("--tokenizer", type=Path, metavar="FOLDER", help="where it is not the model's folder")
    texts.add_argument("--length", type=int, default=256, metavar="N", help="most tokens of a caption [256]")


def _add_latents(steps: argparse._SubParsersAction) -> None:
    latents = _step(steps, "latents", "encode pictures with a frozen autoencoder", run_latents)
    text = "FLUX's in diffusers' layout, or a tiny one's .safetensors"
    latents.add_argument("--autoencoder", type=Path, required=True, metavar="PATH", help=text)
    latents.add_argument("--stage", choices=STAGES, default="256", help="sizes of a stage [256]")
    latents.add_argument(
        "--sizes", metavar="WxH,...", help="other sizes: of your own, sdxl, novelai, 512step64"
    )
    latents.add_argument("--crop", choices=("random", "centre"), help="where to crop")
    latents.add_argument("--most-cut", type=float, metavar="SHARE", help="largest share that may be cut off")
    latents.add_argument("--enlarge", action="store_true", help="take pictures that are too small, too")
    latents.add_argument("--seed", type=int, default=0, help="of random crops [0]")
    latents.add_argument("--batch", type=int, default=8, metavar="N", help="pictures encoded at a time [8]")
    latents.add_argument("--name", help="folder inside WORK/latents [the stage, or the sizes]")


def _add_balance(steps: argparse._SubParsersAction) -> None:
    balance = steps.add_parser("balance", help="say how often a training sees the shapes of encoded pictures")
    balance.add_argument("latents", type=Path, metavar="LATENTS", help="a folder that latents has made")
    add_flags(balance, BalanceOptions)
    balance.set_defaults(run=run_balance)


def _step(steps, name: str, help: str, run, precision: str = "float32") -> argparse.ArgumentParser:
    parser = steps.add_parser(name, help=help)
    parser.add_argument("work", type=Path, metavar="WORK", help="the work folder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, … [auto]")
    choices = ("float32", "bfloat16", "float16")
    parser.add_argument("--precision", choices=choices, default=precision, help=f"of the model [{precision}]")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that decode [0]")
    add_flags(parser.add_argument_group("on a Ray cluster"), RayOptions)
    parser.set_defaults(run=run)
    return parser


def run_scan(args: argparse.Namespace) -> int:
    """Lists items; returns the exit code."""
    from ..mmh_dit.data import work

    if args.part < 1:
        raise ValueError(f"--part must be at least 1, got {args.part}")
    uncaptioned = args.uncaptioned
    made = work.scan(
        args.sources, args.work, field=args.caption_field, uncaptioned=uncaptioned, part=args.part
    )
    return _report(made)


def run_dedup(args: argparse.Namespace) -> int:
    """Embeds what is to be embedded and finds near duplicates; returns the exit code."""
    from ..mmh_dit.data import dedup, embed, selection

    options = from_flags(args, DedupOptions)
    if (args.model is None) == (args.embeddings is None):
        raise ValueError("give --model FOLDER or --embeddings FILE, and not both")
    work = _work(args)
    if args.embeddings:
        from ..files import fingerprint

        settings = {"embeddings": fingerprint(args.embeddings)}
        numbers, table = _table(args.embeddings, work)
    else:
        settings = _run(args, "embeddings", embed.embed_step)
        numbers, table = embed.gather(work, _folder(args, "embeddings"))
    each, cluster = dedup.each_here, from_flags(args, RayOptions)
    if cluster.ray:
        from ..mmh_dit.data.cluster import each_on_ray

        each = each_on_ray(cluster)
    selection.drop_duplicates(work, numbers, table, settings=settings, options=options, each=each)
    return _report(work)


def run_score(args: argparse.Namespace) -> int:
    """Scores what is to be scored; returns the exit code."""
    from ..files import fingerprint, write_json
    from ..mmh_dit.data import scores, selection

    options = from_flags(args, ScoreOptions)
    _run(args, selection.SCORES, scores.score_step, args.head, head=fingerprint(args.head))
    write_json(args.work / selection.TAGS, dataclasses.asdict(options))
    return _report(_work(args))


def run_select(args: argparse.Namespace) -> int:
    """Chooses among what is left; returns the exit code."""
    from ..files import fingerprint
    from ..mmh_dit.data import choose

    options = from_flags(args, SelectOptions)
    work, fit = _work(args), None
    embeddings = _embeddings(args, work)
    if args.clip:
        if args.embeddings or _folder(args, "embeddings").settings.get("model") != fingerprint(args.clip):
            raise ValueError("--clip must be the folder that `presample data dedup --model` was given")
        fit = choose.caption_fit(args.clip, device=args.device)
    paths = {"categories": args.categories, "embeddings": args.embeddings, "clip": args.clip}
    choose.select(
        work,
        options,
        categories=args.categories,
        embeddings=embeddings,
        fit=fit,
        settings={name: fingerprint(path) for name, path in paths.items() if path},
    )
    return _report(work)


def _embeddings(args: argparse.Namespace, work):
    """Numbers (n,) and embeddings (n, e) of items: a file's, or dedup's where it has made some."""
    from ..mmh_dit.data import embed

    if args.embeddings:
        return _table(args.embeddings, work)
    folder = _folder(args, "embeddings")
    return embed.gather(work, folder) if folder.complete(work) else None


def _table(path: Path, work):
    """Numbers (n,) and embeddings (n, e) of all items, of a file."""
    import torch

    from ..mmh_dit.data import embed

    table = embed.read_table(path)
    if len(table) != work.count:
        raise ValueError(f"{path} must have a row for each of {work.count} items, got {len(table)}")
    return torch.arange(len(table)), table


def run_texts(args: argparse.Namespace) -> int:
    """Encodes captions; returns the exit code."""
    from ..files import fingerprint
    from ..mmh_dit.data import cache, texts
    from ..mmh_dit.data.selection import Selection

    work = _work(args)
    Selection(work).check()
    make = partial(texts.texts_step, length=args.length)
    words = fingerprint(args.tokenizer) if args.tokenizer else ""
    settings = {"tokenizer": words, "length": args.length, "selection": Selection(work).settings}
    _run(args, "texts", make, args.tokenizer, **settings)
    cache.write_index(_folder(args, "texts"), work.parts)
    return _report(work)


def run_latents(args: argparse.Namespace) -> int:
    """Encodes pictures; returns the exit code."""
    from ..files import fingerprint
    from ..mmh_dit.data import cache, latents
    from ..mmh_dit.data.selection import Selection

    if args.batch < 1:
        raise ValueError(f"--batch must be at least 1, got {args.batch}")
    work, stage = _work(args), _stage(args)
    Selection(work).check()
    name = f"latents/{args.name or (args.sizes.replace(',', '-') if args.sizes else args.stage)}"
    settings = {
        "autoencoder": fingerprint(args.autoencoder),
        "precision": args.precision,
        "stage": {**dataclasses.asdict(stage), "seed": args.seed},
        "selection": Selection(work).settings,
    }
    load = partial(_autoencoder, args.autoencoder, device=args.device, precision=args.precision)
    _make(
        args,
        name,
        partial(latents.latents_step, work, stage, load, seed=args.seed, batch=args.batch),
        settings,
    )
    cache.write_index(_folder(args, name), work.parts)
    return _report(work)


def run_balance(args: argparse.Namespace) -> int:
    """Prints how many pictures every size has, and how often they are shown; returns the exit code."""
    from ..mmh_dit.data.cache import LatentCache
    from ..playground.balance import report, table

    sizes = LatentCache.open(args.latents).sizes
    counts = [len(places) for places in sizes.values()]
    print(table(report(list(sizes), counts, from_flags(args, BalanceOptions))))
    return 0


def run_report(args: argparse.Namespace) -> int:
    """Prints and writes the report; returns the exit code."""
    return _report(_work(args))


def _stage(args: argparse.Namespace) -> Stage:
    stage = STAGES[args.stage]
    if args.sizes:
        stage = Stage(parse_sizes(args.sizes))
    given = {"crop": args.crop, "most_cut": args.most_cut, "enlarge": args.enlarge or None}
    return dataclasses.replace(stage, **{name: value for name, value in given.items() if value is not None})


def _autoencoder(path: Path, *, device: str, precision: str):
    """The encoder of FLUX's autoencoder in a folder, or of a tiny one in a file or a bundled folder."""
    import torch

    if (path / "config.json").is_file():
        from ..mmh_dit.data.latents import load_flux

        return load_flux(path, device=device, precision=precision)
    from ..tinyworld.autoencoder import load_autoencoder

    where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    model = load_autoencoder(path if path.is_file() else path / "model.safetensors", device=where)
    return lambda images: model.encode(images.to(where))


def _run(args: argparse.Namespace, name: str, make, *more: Any, **settings: Any) -> dict[str, Any]:
    """Runs a step with the model in a folder; returns the settings that decided its result."""
    from ..files import fingerprint

    settings = {"model": fingerprint(args.model), "precision": args.precision, **settings}
    make = partial(make, _work(args), args.model, *more, device=args.device, precision=args.precision)
    _make(args, name, make, settings)
    return settings


def _make(args: argparse.Namespace, name: str, make_step, settings: dict[str, Any]) -> None:
    from ..mmh_dit.data import steps

    work, folder, options = _work(args), _folder(args, name), from_flags(args, RayOptions)
    if options.ray:
        from ..mmh_dit.data import cluster

        cluster.run(make_step, work, folder, settings=settings, ray=options, decoders=args.workers)
    else:
        steps.run(make_step, work, folder, settings=settings, workers=args.workers)


def _work(args: argparse.Namespace):
    from ..mmh_dit.data.work import Work

    work = Work(args.work)
    work.facts  # noqa: B018 - says early that this is no work folder
    return work


def _folder(args: argparse.Namespace, name: str):
    from ..mmh_dit.data.work import Folder

    return Folder(args.work / name)


def _report(work) -> int:
    from ..mmh_dit.data.report import report, table

    print(table(report(work)))
    return 0
