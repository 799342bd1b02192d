"""A cluster for work that one machine is not enough for: Ray Data, an optional extra (`presample[ray]`).

Source: Ray Data's map with a class for a worker that keeps its model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RayOptions:
    """How much of a cluster is taken: how many workers, and of each its processors and GPUs."""

    workers: int = 1
    cpus: float = 1.0
    gpus: float = 0.0

    @property
    def asked(self) -> dict[str, Any]:
        """What Ray is asked for."""
        asked = {"concurrency": self.workers, "num_cpus": self.cpus}
        return asked | ({"num_gpus": self.gpus} if self.gpus else {})


def ray_data():
    """Returns `ray.data`, connected to the cluster of RAY_ADDRESS, or to one on this machine.

    Raises:
        ModuleNotFoundError: Ray is missing (`presample[ray]`).
    """
    import ray

    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    return ray.data
