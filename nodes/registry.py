"""The list of node classes that ComfyUI sees, and what it is told once while it starts."""

import logging
from types import ModuleType

from comfy_api.latest import ComfyExtension
from server import PromptServer

from . import prompts, replacements, routes, tipo, tipo_model, tipo_use

CHANGED = (ImportError, AttributeError, TypeError)  # what a changed inside of ComfyUI looks like from here

log = logging.getLogger("presample")


def modules() -> tuple[ModuleType, ...]:
    """Returns the modules with nodes; those of MMH-DiT need ComfyUI's insides, and fall away without them."""
    sure = (tipo_model, tipo, tipo_use, prompts)
    try:
        from . import mmh_dit, tiny_world
    except CHANGED:
        log.exception("the MMH-DiT nodes do not fit this ComfyUI and are left out; the other nodes work")
        return sure
    return (*sure, mmh_dit, tiny_world)


def register_models() -> None:
    """Tells ComfyUI of MMH-DiT, before it loads any file."""
    try:
        from . import native_mmh_dit

        native_mmh_dit.register()
    except CHANGED:
        log.exception("ComfyUI's loaders have changed and will not know MMH-DiT files; the rest works")


async def extension() -> ComfyExtension:
    """Returns the extension object that hands our node classes to ComfyUI."""
    tipo_model.register_folders()
    register_models()
    if getattr(PromptServer, "instance", None) is not None:  # replacements are registered with it too
        await replacements.register()
        routes.register(PromptServer.instance)

    class Presample(ComfyExtension):
        async def get_node_list(self):
            return [node for module in modules() for node in module.NODES]

    return Presample()
