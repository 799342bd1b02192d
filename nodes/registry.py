"""The list of node classes that ComfyUI sees."""

from comfy_api.latest import ComfyExtension


def extension() -> ComfyExtension:
    """Returns the extension object that hands our node classes to ComfyUI."""

    class Presample(ComfyExtension):
        async def get_node_list(self):
            return []

    return Presample()
