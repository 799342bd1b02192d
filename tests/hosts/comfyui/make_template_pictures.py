"""Makes the pictures of the templates: `python tests/hosts/comfyui/make_template_pictures.py [TEMPLATE ...]`.

Each is the graph in the page of a real ComfyUI (COMFYUI_PATH, COMFYUI_PYTHON) after it has run; one that
cannot run here, because its files are large, is shown as it opens. Without names: all but those that only
write.
"""

import io
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1]), str(HERE.parents[1] / "frontend")]

TEMPLATES = HERE.parents[2] / "example_workflows"
PAINTING = ("tiny_text_to_image", "tipo_to_pictures", "score_and_compare", "image_to_image", "aspect_buckets")
WIRED = ("full_size", "tipo_for_sdxl", "tipo_for_flux")
MIXING = ("plain_to_vivid", "mix_two_encoders", "plain_to_vivid_sweep")
TINY = "models/bundled/mmh-dit-tiny/model.safetensors"
LARGE = {
    "CheckpointLoaderSimple": "checkpoints",
    "UNETLoader": "diffusion_models",
    "CLIPLoader": "text_encoders",
    "VAELoader": "vae",
}
MARGIN = 30
VIEW = (2000, 1400)
WIDTH = 1000  # of the picture
SHOW = """const open = app.graph.nodes, box = [1e9, 1e9, -1e9, -1e9];
for (const { pos, size } of open) {
    box[0] = Math.min(box[0], pos[0]); box[1] = Math.min(box[1], pos[1] - 30);
    box[2] = Math.max(box[2], pos[0] + size[0]); box[3] = Math.max(box[3], pos[1] + size[1]);
}
const canvas = app.canvas.canvas.getBoundingClientRect(), at = argument.at, view = argument.view;
const room = [0, 1].map((i) => (view[i] - at[i] - 60) / (box[i + 2] - box[i])), scale = Math.min(1, ...room);
app.canvas.ds.scale = scale;
app.canvas.ds.offset = [(at[0] - canvas.left) / scale - box[0], (at[1] - canvas.top) / scale - box[1]];
app.canvas.deselectAll?.(); app.canvas.setDirty(true, true);
await new Promise((done) => setTimeout(done, 2500));
return [at[0], at[1], (box[2] - box[0]) * scale, (box[3] - box[1]) * scale];"""


def main() -> None:
    """Writes a JPEG beside each template."""
    from page_for_tests import Page
    from playwright.sync_api import sync_playwright
    from server_for_tests import Server
    from test_page import CHROMIUM, DONE, Backend

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        put_empty_files(Path(folder), sys.argv[1:] or (*PAINTING, *WIRED, *MIXING))
        server = Server(Path(folder))
        arguments = ["--no-sandbox", "--disable-gpu", "--force-prefers-reduced-motion"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            page = Page(browser, Backend(server), "classic")
            page.page.set_viewport_size({"width": VIEW[0], "height": VIEW[1]})
            page.page.set_default_timeout(120_000)
            for name in sys.argv[1:] or (*PAINTING, *WIRED, *MIXING):
                page.load((TEMPLATES / f"{name}.json").read_text(encoding="utf-8"))
                if runs(name):
                    ended = page.page.evaluate(DONE)
                    if ended != "execution_success":
                        raise RuntimeError(f"{name} ended with {ended}: {server.log.read_text()[-2000:]}")
                picture(page, TEMPLATES / f"{name}.jpg")
        finally:
            browser.close()
            server.stop()


def runs(name: str) -> bool:
    """Returns whether what a template loads is here."""
    from server_for_tests import ROOT

    kinds = {node["type"] for node in nodes_of(name)}
    return kinds.isdisjoint(LARGE) and ("PresampleTinyWorldLoader" not in kinds or (ROOT / TINY).is_file())


def nodes_of(name: str) -> list[dict]:
    return json.loads((TEMPLATES / f"{name}.json").read_text(encoding="utf-8"))["nodes"]


def put_empty_files(base: Path, names: Iterable[str]) -> None:
    """Puts files that hold nothing where loaders look for large ones, so that the page misses none."""
    for node in (node for name in names for node in nodes_of(name) if node["type"] in LARGE):
        path = base / "models" / LARGE[node["type"]] / node["widgets_values"][0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def picture(page, path: Path) -> None:
    from PIL import Image

    left, top, width, height = page.run(SHOW, {"at": [130, 260], "view": list(VIEW)})
    clip = {"x": left - MARGIN, "y": top - MARGIN, "width": width + 2 * MARGIN, "height": height + 2 * MARGIN}
    with Image.open(io.BytesIO(page.page.screenshot(clip=clip))) as shot:
        small = shot.convert("RGB").resize((WIDTH, round(WIDTH * shot.height / shot.width)), Image.LANCZOS)
    small.save(path, quality=88, optimize=True)


if __name__ == "__main__":
    main()
