"""Runs the data steps on Ray Data where one machine is not enough: the same functions, the same files.

Convention: every machine sees the work folder and the sources under the same paths. A row of Ray's data set
is one part of a step, or one subset of a round of dedup; results are files of the work folder, or labels.

n items  e width of an embedding
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...cluster import RayOptions, ray_data
from ...files import alone
from .dedup import MapSubsets, clusters
from .steps import MakeStep, make_parts
from .work import Folder, Work


class _Worker:
    """Keeps a step with its model, and makes parts with it."""

    def __init__(self, make_step: MakeStep, work: Work, folder: Folder, decoders: int):
        self.step, self.work, self.folder, self.decoders = make_step(), work, folder, decoders

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        part = int(row["part"])
        for _ in make_parts(self.step, self.work, self.folder, [part], workers=self.decoders):
            pass
        return {"items": len(self.work.items(part))}


def run(
    make_step: MakeStep,
    work: Work,
    folder: Folder,
    *,
    settings: Mapping,
    ray: RayOptions,
    decoders: int = 0,
) -> None:
    """Makes the parts of a step that are missing, on Ray, whose workers have `decoders` each."""
    from tqdm import tqdm

    folder.open(settings)
    with alone(folder.path):
        todo = folder.missing(work.parts)
        if not todo:
            return
        parts = ray_data().from_items([{"part": part} for part in todo], override_num_blocks=len(todo))
        left = sum(len(work.items(part)) for part in todo)
        made = parts.map(_Worker, fn_constructor_args=(make_step, work, folder, decoders), **ray.asked)
        with tqdm(total=work.count, initial=work.count - left, desc=folder.path.name, unit="item") as bar:
            for row in made.iter_rows():
                bar.update(int(row["items"]))


class _Clusters:
    """Clusters subsets of embeddings that every worker has once."""

    def __init__(self, embeddings: Any, similarity: float):
        import ray

        self.embeddings, self.similarity = torch.from_numpy(ray.get(embeddings[0]).copy()), similarity

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        rows = torch.from_numpy(row["rows"].copy())
        labels = clusters(self.embeddings[rows], self.similarity)
        return {"number": row["number"], "labels": labels.numpy()}


def each_on_ray(options: RayOptions) -> MapSubsets:
    """Returns what clusters the subsets of `dedup.deduplicate` on Ray."""
    return partial(_each, options)


def _each(
    options: RayOptions, embeddings: Tensor, subsets: Iterable[Tensor], similarity: float
) -> Iterator[Tensor]:
    import ray

    data = ray_data()
    given = [{"number": number, "rows": rows.numpy()} for number, rows in enumerate(subsets)]
    kept = [ray.put(embeddings.numpy())]  # in a list, or Ray would hand over its content
    labels = data.from_items(given, override_num_blocks=len(given)).map(
        _Clusters, fn_constructor_args=(kept, similarity), **options.asked
    )
    found = {int(row["number"]): torch.from_numpy(row["labels"].copy()) for row in labels.iter_rows()}
    yield from (found[number] for number in range(len(given)))
