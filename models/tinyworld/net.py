"""A discrete Bayes net written as readable weight tables, sampled exactly and summed exactly.

Convention: a factor is `(names, tensor)`, one axis per name; a table's last axis is the node itself.
Source: variable elimination; posteriors of families as gradients of log Z (Darwiche 2003).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch

Factor = tuple[tuple[str, ...], torch.Tensor]


def weights(text: str) -> dict[str, float]:
    """Returns `{"clear": 5.0, "full moon": 2.0}` for `"clear 5, full moon 2"`."""
    pairs = (item.strip().rsplit(" ", 1) for item in text.split(","))
    return {name: float(number) for name, number in pairs}


@dataclass(frozen=True)
class Node:
    """One variable: weights of its values, and factors on them for each value of each parent."""

    name: str
    base: Mapping[str, float]
    given: Mapping[str, Mapping[str, Mapping[str, float]]]

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(self.base)


def node(name: str, base: str, **given: Mapping[str, str]) -> Node:
    """Returns a node from its written table.

    `given` names the parents; each maps a parent's value, or several joined by `|`, to factors:
    `node("weather", "clear 5, rain 2, snow 1", season={"spring|summer": "snow 0"})`.
    """
    spread = {
        parent: {v: weights(text) for key, text in rows.items() for v in key.split("|")}
        for parent, rows in given.items()
    }
    return Node(name, weights(base), spread)


class Net:
    """The joint distribution of some nodes, each listed after its parents."""

    def __init__(self, nodes: Sequence[Node]):
        self.nodes = {n.name: n for n in nodes}
        known: set[str] = set()
        for n in nodes:
            if missing := set(n.given) - known:
                raise ValueError(
                    f"{n.name} must come after its parents; {sorted(missing)} not listed before it"
                )
            known.add(n.name)

    @cached_property
    def tables(self) -> dict[str, Factor]:
        """p(node | parents) of every node, float64."""
        return {name: ((*n.given, name), self._table(n)) for name, n in self.nodes.items()}

    def index(self, name: str, value: str) -> int:
        """Returns the place of a value among its node's values; ValueError names the choices."""
        if name not in self.nodes:
            raise ValueError(f"unknown attribute {name!r}; known: {', '.join(self.nodes)}")
        values = self.nodes[name].values
        if value not in values:
            raise ValueError(f"{name} must be one of {', '.join(values)}; got {value!r}")
        return values.index(value)

    def _table(self, n: Node) -> torch.Tensor:
        sizes = [len(self.nodes[p].values) for p in n.given]
        table = torch.tensor(list(n.base.values()), dtype=torch.float64).expand(*sizes, -1).clone()
        for axis, (parent, rows) in enumerate(n.given.items()):
            for value, factors in rows.items():
                row = table.select(axis, self.index(parent, value))
                for name, factor in factors.items():
                    row[..., self.index(n.name, name)] *= factor
        total = table.sum(-1, keepdim=True)
        if not bool((total > 0).all()):
            raise ValueError(f"every row of {n.name} must leave one value possible; got a row of zeros")
        return table / total

    def sample(self, generator: torch.Generator, count: int) -> list[dict[str, str]]:
        """Returns `count` independent draws, parents first, one uniform number for each value."""
        drawn: dict[str, torch.Tensor] = {}
        for name, (scope, table) in self.tables.items():
            rows = table[tuple(drawn[p] for p in scope[:-1])].expand(count, -1)
            u = torch.rand(count, 1, generator=generator, dtype=torch.float64)
            drawn[name] = (rows.cumsum(-1)[:, :-1] <= u).sum(-1)
        columns = {name: [self.nodes[name].values[i] for i in d.tolist()] for name, d in drawn.items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def log_prob(self, assignment: Mapping[str, str]) -> float:
        """Returns log p of a full assignment in nats; minus infinity when it is impossible."""
        total = 0.0
        for scope, table in self.tables.values():
            total += float(table[tuple(self.index(name, assignment[name]) for name in scope)].log())
        return total

    def observe(self, given: Mapping[str, str]) -> list[Factor]:
        """Returns one factor per observed attribute: 1 at its value, else 0."""
        found = []
        for name, value in given.items():
            at = torch.zeros(len(self.nodes[name].values) if name in self.nodes else 1, dtype=torch.float64)
            at[self.index(name, value)] = 1
            found.append(((name,), at))
        return found

    def mass(self, factors: Iterable[Factor] = (), *, keep: Sequence[str] = ()) -> torch.Tensor:
        """Returns the joint times the factors, summed over all names but `keep` (its axes, in order)."""
        return eliminate([*self.tables.values(), *factors], keep)

    def posterior(self, name: str, factors: Iterable[Factor] = ()) -> dict[str, float]:
        """Returns p(name | factors); ValueError when the factors contradict each other."""
        mass = self.mass(factors, keep=(name,))
        total = float(mass.sum())
        if total <= 0:
            raise ValueError("the evidence must be possible; it has probability 0")
        return dict(zip(self.nodes[name].values, (mass / total).tolist(), strict=True))


def eliminate(factors: Sequence[Factor], keep: Sequence[str]) -> torch.Tensor:
    """Returns the product of the factors summed over all names but `keep`, smallest product first."""
    work = list(factors)
    size = {name: n for scope, t in work for name, n in zip(scope, t.shape, strict=True)}
    hidden = dict.fromkeys(name for name in size if name not in keep)
    while hidden:
        costs = {}
        for name in hidden:
            scope = {s for names, _ in work if name in names for s in names}
            costs[name] = prod(size[s] for s in scope)
        name = min(hidden, key=costs.__getitem__)
        del hidden[name]
        used = [f for f in work if name in f[0]]
        left = tuple(dict.fromkeys(s for names, _ in used for s in names if s != name))
        work = [f for f in work if name not in f[0]] + [(left, _product(used, left))]
    return _product(work, tuple(keep))


def _product(factors: Sequence[Factor], out: tuple[str, ...]) -> torch.Tensor:
    """Multiplies factors one by one, so that no more than 52 letters are ever needed at once."""
    names = tuple(dict.fromkeys(n for scope, _ in factors for n in scope))
    letter = {n: i for i, n in enumerate(names)}
    dtype = torch.complex128 if any(t.is_complex() for _, t in factors) else torch.float64
    operands: list = []
    for scope, t in factors:
        operands += [t.to(dtype), [letter[s] for s in scope]]
    return torch.einsum(*operands, [letter[s] for s in out])
