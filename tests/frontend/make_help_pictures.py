"""Makes the pictures of the nodes' help pages: `python tests/frontend/make_help_pictures.py [NODE ...]`.

Each is the node in ComfyUI's own page, expanded with the bundled model.
"""

import sys
from pathlib import Path

from presample.models.tipo.expand import expand, load_tipo
from presample.models.tipo.expansion import Request
from presample.models.tipo.options import ExpandOptions

sys.path.insert(0, str(Path(__file__).parent))

PROMPT = "1girl, (lake:1.1), night, <lora:misty_style:0.6>"
PROMPTS = "a lake at night\na red fox\nan old library"
PICTURES = Path(__file__).parents[2] / "javascript" / "comfyui" / "docs" / "img"
SIZES = {
    "PresampleTIPOLoader": (320, 100),
    "PresampleTIPOExpand": (440, 760),
    "PresampleTIPOTask": (440, 760),
    "PresamplePromptLayout": (320, 110),
    "PresampleTIPOTextEncode": (320, 90),
    "PresamplePromptBatch": (340, 220),
    "PresampleMMHDiTTextEncode": (360, 200),
    "PresampleICFMSigmas": (300, 110),
    "PresampleMMHDiTSampler": (340, 300),
    "PresampleMMHHeadAllocation": (360, 190),
    "PresampleTinyWorldLoader": (260, 80),
    "PresampleTextEncoderLoader": (340, 100),
    "PresampleEncoderMix": (320, 130),
    "PresampleEncoderInterpolate": (360, 330),
    "PresampleEncoderMerge": (320, 90),
    "PresampleMixSweep": (360, 380),
    "PresampleContactSheet": (320, 150),
    "PresamplePlaygroundSampling": (300, 60),
    "PresampleEDMSigmas": (300, 200),
    "PresampleResolutionShift": (320, 160),
    "PresampleAspectBucketLatent": (320, 230),
    "PresampleSnapToBucket": (320, 180),
    "PresampleImageScore": (340, 220),
    "PresampleBeforeAfterSheet": (340, 230),
}
MARGIN, TITLE = 8, 30
PLACE = [110, 160]  # clear of what floats over the canvas


def main() -> None:
    """Writes one picture for each node, or for those named on the command line."""
    import importlib.util

    from conftest import browser_path
    from definitions_for_tests import definitions
    from page_for_tests import Page
    from playwright.sync_api import sync_playwright
    from standin_for_tests import StandIn

    package = importlib.util.find_spec("comfyui_frontend_package").submodule_search_locations[0]
    backend = StandIn(Path(package) / "static", definitions())
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path(), args=["--no-sandbox", "--disable-gpu"]
        )
        page = Page(browser, backend, "classic")
        page.page.set_viewport_size({"width": 1100, "height": 1300})
        for name in sys.argv[1:] or SIZES:
            picture(page, name, SIZES[name])
        page.close()
        browser.close()
    backend.close()


def picture(page, name: str, size: tuple[int, int]) -> None:
    page.clear()
    values = {
        "prompt": PROMPT,
        "task": "tag_to_long",
        "prompts": "a lake at night\na red fox\nan old library",
        "text": "a lake at night, full moon, winter",
    }
    box = page.run(
        """const node = window.LiteGraph.createNode(argument.name);
        node.pos = argument.at; app.graph.add(node);
        const least = node.computeSize();
        node.setSize(argument.size.map((side, i) => Math.max(side, least[i])));
        for (const [key, value] of Object.entries(argument.values)) {
            const widget = node.widgets?.find((each) => each.name === key);
            if (widget) widget.value = value;
        }
        app.canvas.ds.offset = [0, 0]; app.canvas.ds.scale = 1; app.canvas.setDirty(true, true);
        if (argument.shown) node.onExecuted?.({ presample: argument.shown });
        await new Promise((done) => setTimeout(done, 800));
        const canvas = app.canvas.canvas.getBoundingClientRect();
        return [canvas.left + argument.at[0], canvas.top + argument.at[1], node.size[0], node.size[1]];""",
        {"name": name, "size": list(size), "at": PLACE, "values": values, "shown": shown(name)},
    )
    left, top, width, height = box
    clip = {"x": left - MARGIN, "y": top - TITLE - 2}
    clip |= {"width": width + 2 * MARGIN, "height": height + TITLE + 2 + MARGIN}
    page.page.screenshot(path=PICTURES / f"{name}.png", clip=clip)


def shown(name: str) -> list | None:
    """Returns what the node would show of the prompt; none where it shows nothing."""
    if name not in ("PresampleTIPOExpand", "PresampleTIPOTask"):
        return None
    task = "tag_to_long" if name.endswith("Task") else "auto"
    options = ExpandOptions(seed=1, task=task)
    expansion = expand(Request(PROMPT, options=options), load_tipo(options.model))
    regions = list(enumerate(expansion.regions))
    chips = [
        {"text": tag, "category": category, "own": own, "region": number}
        for number, region in regions
        for own, tags in ((True, region.user_tags), (False, region.added_tags))
        for category, terms in tags.items()
        for tag in terms
    ]
    prose = [{"text": text, "own": False} for _, region in regions for text in region.added_prose]
    facts = {"seed": "1", "prompt": expansion.prompt, "user_prompt": expansion.user_prompt, "notes": []}
    return [
        facts | {"chips": chips, "prose": prose, "refusals": [], "seconds": expansion.seconds, "tokens": 60}
    ]


if __name__ == "__main__":
    main()
