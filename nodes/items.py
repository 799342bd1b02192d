"""Which item of a list a node runs for: ComfyUI runs a node behind a list once for each, one by one.

Convention: before the first of them it asks all for their lazy inputs, and there they are noted. That ends
with the run, as its context does.
"""

from contextvars import ContextVar

from comfy_execution.utils import get_executing_context

_noted: ContextVar[tuple[object, frozenset[int]]] = ContextVar("presample_items", default=(None, frozenset()))


def note() -> None:
    """Takes note of the item whose lazy inputs ComfyUI asks for."""
    node, index = _asked()
    _noted.set((node, _items(node) | {index}))


def place() -> tuple[int, int]:
    """Returns the place of the item among those of its list, from 0, and how many they are."""
    node, index = _asked()
    items = sorted(_items(node) | {index})
    return items.index(index), len(items)


def is_later() -> bool:
    """Whether ComfyUI has run the node already, for an earlier item of a list."""
    return _asked()[1] > 0


def _items(node: object) -> frozenset[int]:
    noted, items = _noted.get()
    return items if noted == node else frozenset()


def _asked() -> tuple[object, int]:
    """The node in its run, and the number of the item; None and 0 where ComfyUI runs nothing."""
    context = get_executing_context()
    return ((context.prompt_id, context.node_id), context.list_index or 0) if context else (None, 0)
