"""Expands parts on Ray Data: the same function on many machines, the same results line by line.

Convention: every machine sees the file of prompts and the model under the same paths. A row of Ray's data set
is a part; what was found in it comes back to the driver, which alone writes.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from ...cluster import RayOptions, ray_data
from .lines import Part
from .run import Engine, Job, OnLot, Todo, expand_parts
from .stream import Found


class _Worker:
    """Keeps the model, and expands parts with it."""

    def __init__(self, job: Job):
        self.job, self.tipo = job, job.load()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        part, done = json.loads(row["part"])
        found: list[Found] = []
        expand_parts(self.job, self.tipo, [(Part(**part), frozenset(done))], found.extend)
        return {"found": json.dumps([asdict(each) for each in found])}


def on_ray(options: RayOptions) -> Engine:
    """Returns the engine that expands on Ray."""

    def engine(job: Job, todo: Todo, on_lot: OnLot) -> None:
        rows = [{"part": json.dumps([asdict(part), sorted(done)])} for part, done in todo]
        if not rows:
            return
        parts = ray_data().from_items(rows, override_num_blocks=len(rows))
        for row in parts.map(_Worker, fn_constructor_args=(job,), **options.asked).iter_rows():
            on_lot([Found(**{**each, "unused": tuple(each["unused"])}) for each in json.loads(row["found"])])

    return engine
