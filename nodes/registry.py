"""The list of node classes that ComfyUI sees, and what it is told once while it starts."""

from comfy_api.latest import ComfyExtension

from . import tipo, tipo_model

MODULES = (tipo_model, tipo)


def extension() -> ComfyExtension:
    """Returns the extension object that hands our node classes to ComfyUI."""
    tipo_model.register_folders()

    class Presample(ComfyExtension):
        async def get_node_list(self):
            return [node for module in MODULES for node in module.NODES]

    return Presample()
