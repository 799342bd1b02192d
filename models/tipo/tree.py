"""Many different texts from one beginning, with fewer tokens than as many separate texts take.

Texts grow by groups of tokens in a tree, and those that begin alike share what they have in common. A search
decides where the next text branches off: a node may have more children the more has grown below it, fewer
the deeper it lies, and among them those whose tokens were likelier go first.
Convention: the root has depth 0; a visit of a node is a group that has grown there or below.
Source: token-group tree sampling with controlled growth (CG-MCTS) of tipo-kgen 0.3.1; UCB1 of Auer et al.
2002 on trees as in Kocsis and Szepesvári 2006; texts under way count as visits as in Liu et al. 2020
(arXiv 1810.11755). Nothing is drawn here: `grow` draws.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

UNDER_WAY = 8  # visits that a text under way stands for: about the groups it will have
BARREN = 4  # times in a row that a node may bring forth only what is there already
ROUNDING = 1e-9  # so that 2.0000000000000004 children are two


@dataclass(frozen=True)
class Growth:
    """One group that has grown: `text` is all from the root to its end, in any form.

    `chances` are the probabilities of the tokens chosen for the group, without its separators. Texts that
    count as the same have an equal `key`. After a `finished` text nothing grows.
    """

    text: Any
    chances: Sequence[float]
    key: Hashable
    finished: bool = False


Grow = Callable[[Sequence[Any]], Sequence[Growth]]
"""Grows one group after each of some texts, all at once; a text may be among them more than once."""


@dataclass(eq=False)
class Node:
    """A text in the tree. `value` sums the scores of the groups counted in `visits`."""

    text: Any
    parent: "Node | None" = None
    finished: bool = False
    children: list["Node"] = field(default_factory=list)
    visits: int = 0
    value: float = 0.0
    growing: int = 0  # children on their way
    under_way: int = 0  # texts on their way here or below
    failures: int = 0  # in a row

    def __post_init__(self):
        self.depth: int = 0 if self.parent is None else self.parent.depth + 1

    @property
    def weight(self) -> int:
        """Visits, those to come included."""
        return self.visits + UNDER_WAY * self.under_way

    @property
    def fertile(self) -> bool:
        return not self.finished and self.failures < BARREN

    @property
    def has_room(self) -> bool:
        """Whether one more child may grow here now."""
        count = len(self.children) + self.growing
        return self.fertile and count < max(1, quota(self.depth, self.weight))

    def path(self) -> Iterator["Node"]:
        """Yields this node and all above it."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent


def score(chances: Sequence[float]) -> float:
    """Returns the mean of the least, the largest and the geometric mean of a group's probabilities.

    A group without tokens of its own, an end alone, scores 0.
    """
    if not chances:
        return 0.0
    mean = math.prod(chances) ** (1 / len(chances))
    return (min(chances) + max(chances) + mean) / 3


def rate(depth: int) -> float:
    """Returns alpha = 0.5^(1 + sqrt(2)^depth), the power of visits by which children are allowed."""
    return 0.5 ** (1 + math.sqrt(2) ** depth)


def quota(depth: int, visits: int) -> int:
    """Returns how many children a node may have: ceil(sqrt(2) · visits^alpha)."""
    return math.ceil(math.sqrt(2) * visits ** rate(depth) - ROUNDING)


def upper_bound(node: Node, exploration: float) -> float:
    """Returns UCB1 of a child: the mean of its scores + c·sqrt(ln(visits of its parent) / its visits)."""
    return node.value / node.visits + exploration * math.sqrt(math.log(node.parent.weight) / node.weight)


def search(
    beginning: Any, grow: Grow, count: int, *, width: int = 256, exploration: float = 1.0
) -> list[Any]:
    """Returns `count` finished texts, no two with the same key, in the order in which they were finished.

    Up to `width` texts grow at once, one group a round. Nothing is left to chance but what `grow` returns,
    which has to finish every text some day. Fewer texts come back when only repetitions grow any more.
    """
    for name, number in {"count": count, "width": width}.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    tree = Tree(beginning, exploration)
    active: list[Node] = []
    while len(tree.leaves) < count:
        while len(active) < min(width, count - len(tree.leaves)) and (node := tree.select(bool(active))):
            tree.begin(node)
            active.append(node)
        if not active:
            break
        growths = grow([node.text for node in active])
        grown = [tree.take(node, growth) for node, growth in zip(active, growths, strict=True)]
        active = [node for node in grown if node is not None]
    return [leaf.text for leaf in tree.leaves]


class Tree:
    """What has grown so far, and what grows next."""

    def __init__(self, beginning: Any, exploration: float):
        self.exploration = exploration
        self.nodes = [Node(beginning)]
        self.leaves: list[Node] = []
        self.keys: set[tuple[Hashable, bool]] = set()

    def select(self, busy: bool) -> Node | None:
        """Returns the node at which the next text branches off; None when it has to wait, or none is left."""
        return self._descend(self.nodes[0]) or (None if busy else self._next_to_open())

    def begin(self, node: Node) -> None:
        """Counts a text that now grows from a node on."""
        node.growing += 1
        for above in node.path():
            above.under_way += 1

    def take(self, node: Node, growth: Growth) -> Node | None:
        """Adds what has grown at a node; returns the new node if the text goes on from there."""
        node.growing -= 1
        key = (growth.key, growth.finished)
        if key in self.keys:
            node.failures += 1
            return self._end(node)
        self.keys.add(key)
        node.failures = 0
        child = Node(growth.text, node, growth.finished)
        node.children.append(child)
        self.nodes.append(child)
        worth = score(growth.chances)
        for above in child.path():
            above.visits += 1
            above.value += worth
        if growth.finished:
            self.leaves.append(child)
            return self._end(node)
        child.growing = child.under_way = 1
        return child

    def _end(self, node: Node) -> None:
        for above in node.path():
            above.under_way -= 1

    def _descend(self, node: Node) -> Node | None:
        """Returns the first node with room on the way down; where a way leads to none, the next best is gone.

        A node on the way of a single text always has room, so no way goes past it before it has branched.
        """
        if node.has_room:
            return node
        by_bound = sorted(node.children, key=lambda child: -upper_bound(child, self.exploration))
        return next(filter(None, map(self._descend, by_bound)), None)

    def _next_to_open(self) -> Node | None:
        """Returns the node that may have one more child at the fewest visits, so as not to wait for them."""
        fertile = [node for node in self.nodes if node.fertile]
        return min(fertile, key=_log_visits_to_open, default=None)


def _log_visits_to_open(node: Node) -> float:
    """Returns ln of the visits at which the quota exceeds the children of a node that has some."""
    return math.log(len(node.children) / math.sqrt(2)) / rate(node.depth)
