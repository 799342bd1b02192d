"""What differs between ComfyUI 0.3.60, the oldest that loads the pack, and the newest.

Convention: nodes are declared as for the newest; what an older one does not know is left out or, where its
page might still use it, carried along in `extra_dict`.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from comfy_api.latest import io

# What a changed inside of ComfyUI looks like from here.
HOST_CHANGED = (ImportError, AttributeError, TypeError, RuntimeError)

_SCHEMA = {field.name for field in dataclasses.fields(io.Schema)}


def schema(**facts: Any) -> io.Schema:
    """Returns the schema of a node with those of the facts that this ComfyUI knows."""
    return io.Schema(**{name: value for name, value in facts.items() if name in _SCHEMA})


def widget(kind: type, name: str, **facts: Any) -> Any:
    """Returns an input; what its constructor does not know goes into its `extra_dict`."""
    known = inspect.signature(kind.__init__).parameters
    made = kind(name, **{key: value for key, value in facts.items() if key in known})
    rest = {key: value for key, value in facts.items() if key not in known}
    if rest:
        made.extra_dict = {**(made.extra_dict or {}), **rest}
    return made


def known_only(function: Callable, **facts: Any) -> dict[str, Any]:
    """Returns those of the keyword arguments that the function takes in this version."""
    known = inspect.signature(function).parameters
    return {name: value for name, value in facts.items() if name in known}
