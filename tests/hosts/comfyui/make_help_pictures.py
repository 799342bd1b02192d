"""Makes the help's pictures of nodes: `python tests/hosts/comfyui/make_help_pictures.py [NODE ...]`.

Each is a fresh node in the page of a real ComfyUI (COMFYUI_PATH, COMFYUI_PYTHON); those that show what they
made have run. Without names: all that the help has pictures of.
"""

import sys
import tempfile
from pathlib import Path

from make_template_pictures import HERE, SHOW

PICTURES = HERE.parents[2] / "javascript" / "comfyui" / "docs" / "img"
RUN = ("PresampleTIPOExpand", "PresampleTIPOTextEncode")
MARGIN = 8
VIEW = (1200, 1400)
EMPTY = '{"nodes": [], "links": [], "version": 0.4}'
ADD = """const node = window.LiteGraph.createNode(argument);
node.pos = [100, 100];
app.graph.add(node);
const prompt = node.widgets?.find((widget) => widget.name === "prompt");
if (prompt) prompt.value = "1girl, (lake:1.1), night, <lora:misty_style:0.6>";
await new Promise((done) => setTimeout(done, 1500));
const [width, height] = node.computeSize();
node.setSize([Math.max(width, 340), height]);
node.badges = [];"""


def main() -> None:
    """Writes a PNG of each node."""
    from page_for_tests import Page
    from playwright.sync_api import sync_playwright
    from server_for_tests import Server
    from test_page import CHROMIUM, DONE, Backend

    names = sys.argv[1:] or sorted(path.stem for path in PICTURES.glob("*.png"))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder))
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--force-prefers-reduced-motion"]
        )
        try:
            page = Page(browser, Backend(server), "classic")
            page.page.set_viewport_size({"width": VIEW[0], "height": VIEW[1]})
            for name in names:
                page.load(EMPTY)
                page.run(ADD, name)
                if name in RUN and (ended := page.page.evaluate(DONE)) != "execution_success":
                    raise RuntimeError(f"{name} ended with {ended}: {server.log.read_text()[-2000:]}")
                left, top, width, height = page.run(SHOW, {"at": [400, 260], "view": list(VIEW)})
                clip = {"x": left, "y": top, "width": width, "height": height}
                for side, length in (("x", "width"), ("y", "height")):
                    clip[side] -= MARGIN
                    clip[length] += 2 * MARGIN
                page.page.screenshot(path=PICTURES / f"{name}.png", clip=clip)
        finally:
            browser.close()
            server.stop()


if __name__ == "__main__":
    main()
