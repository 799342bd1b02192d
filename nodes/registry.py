"""The list of node classes that ComfyUI sees, and what it is told once while it starts."""

from comfy_api.latest import ComfyExtension
from server import PromptServer

from . import prompts, replacements, routes, tipo, tipo_model, tipo_use

MODULES = (tipo_model, tipo, tipo_use, prompts)


async def extension() -> ComfyExtension:
    """Returns the extension object that hands our node classes to ComfyUI."""
    tipo_model.register_folders()
    if getattr(PromptServer, "instance", None) is not None:  # replacements are registered with it too
        await replacements.register()
        routes.register(PromptServer.instance)

    class Presample(ComfyExtension):
        async def get_node_list(self):
            return [node for module in MODULES for node in module.NODES]

    return Presample()
