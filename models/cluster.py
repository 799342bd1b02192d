"""A cluster for work that one machine is not enough for: Ray Data, an optional extra (`presample[ray]`).

Source: Ray Data's map with a class for a worker that keeps its model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .options import option


@dataclass(frozen=True)
class RayOptions:
    """How much of a cluster is taken: how many workers, and of each its processors and GPUs."""

    ray: int = option(0, "Workers on a Ray cluster; 0 does the work here.", low=0, high=2**31)
    ray_cpus: float = option(1.0, "Processors of a worker.", low=0, high=2**31)
    ray_gpus: float = option(0.0, "GPUs of a worker.", low=0, high=2**31)

    @property
    def asked(self) -> dict[str, Any]:
        """What Ray is asked for."""
        asked = {"concurrency": self.ray, "num_cpus": self.ray_cpus}
        return asked | ({"num_gpus": self.ray_gpus} if self.ray_gpus else {})


def ray_data():
    """Returns `ray.data`, connected to the cluster of RAY_ADDRESS, or to one on this machine.

    Raises:
        ModuleNotFoundError: Ray is missing (`presample[ray]`).
    """
    import ray

    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    return ray.data
