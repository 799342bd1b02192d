"""The list of node classes that ComfyUI sees, and what it is told once while it starts."""

import importlib
import logging
from types import ModuleType

from comfy_api.latest import ComfyExtension
from server import PromptServer

from . import evaluation, playground_buckets, prompts, replacements, routes, tipo, tipo_model, tipo_use
from .compat import HOST_CHANGED

# Modules with nodes that need ComfyUI's insides, and fall away together where those have changed.
GROUPS = {
    "MMH-DiT": ("mmh_dit", "tiny_world"),
    "TextCraftor": ("textcraftor", "textcraftor_sweep"),
    "Playground": ("playground",),
}

log = logging.getLogger("presample")


def modules() -> tuple[ModuleType, ...]:
    """Returns the modules with nodes, without those of a group that this ComfyUI does not fit."""
    found: list[ModuleType] = [tipo_model, tipo, tipo_use, prompts, playground_buckets, evaluation]
    for what, names in GROUPS.items():
        try:
            found += [importlib.import_module(f".{name}", __package__) for name in names]
        except HOST_CHANGED:
            log.exception("the %s nodes do not fit this ComfyUI and are left out; the other nodes work", what)
    return tuple(found)


def register_models() -> None:
    """Tells ComfyUI of MMH-DiT, before it loads any file."""
    try:
        from . import native_mmh_dit

        native_mmh_dit.register()
    except HOST_CHANGED:
        log.exception("ComfyUI's loaders have changed and will not know MMH-DiT files; the rest works")


async def extension() -> ComfyExtension:
    """Returns the extension object that hands our node classes to ComfyUI."""
    found = modules()
    for module in found:
        if hasattr(module, "register_folders"):
            module.register_folders()
    register_models()
    if getattr(PromptServer, "instance", None) is not None:  # replacements are registered with it too
        await replacements.register()
        routes.register(PromptServer.instance)

    class Presample(ComfyExtension):
        async def get_node_list(self):
            return [node for module in found for node in module.NODES]

    return Presample()
