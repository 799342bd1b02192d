"""How many threads a benchmark takes."""

import torch


def use_threads(count: int | None) -> None:
    """Lets torch use so many threads, its own choice for None; raises ValueError below 1."""
    if count is None:
        return
    if count < 1:
        raise ValueError(f"--threads must be at least 1, got {count}")
    torch.set_num_threads(count)
