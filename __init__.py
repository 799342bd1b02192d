"""Presample: TIPO prompt expansion and three more published systems, as a ComfyUI pack and a Python package.

ComfyUI imports this file; so does `import presample`. Neither may cost anything, so nothing is imported here.
"""

__version__ = "0.1.0"

WEB_DIRECTORY = "./javascript/comfyui"


async def comfy_entrypoint():
    """Returns the pack's ComfyExtension; ComfyUI (0.3.60 and newer) calls it once while it starts."""
    from .nodes.registry import extension

    return await extension()
