"""Random generators that follow from numbers, so that a resumed training needs no state of theirs."""

import torch


def generator_for(*seeds: int) -> torch.Generator:
    """Returns a generator that depends on all the numbers, the order included."""
    mixed = 0
    for seed in seeds:
        mixed = (mixed * 6364136223846793005 + seed * 2 + 1442695040888963407) % 2**63
    return torch.Generator().manual_seed(mixed)
