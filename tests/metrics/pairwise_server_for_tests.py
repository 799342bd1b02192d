"""Serves the pairwise page, of pictures that it makes: `python pairwise_server_for_tests.py FOLDER PORT`."""

import json
import sys
from pathlib import Path

COLOURS = {"ours": (214, 120, 70), "theirs": (60, 110, 170)}
PROMPTS = {"0": "a hazy <b>moon</b> over a lake", "people/1": "two people at a fire, night", "2": ""}


def make_pictures(folder: Path) -> None:
    """Three pairs of landscapes in plain colours: an upright, a wide and a square one."""
    from PIL import Image, ImageDraw

    for side, colour in COLOURS.items():
        for (name, _), size in zip(PROMPTS.items(), [(384, 512), (640, 360), (512, 512)], strict=True):
            picture = Image.new("RGB", size, tuple(value // 3 for value in colour))
            pen, (width, height) = ImageDraw.Draw(picture), size
            pen.ellipse([width * 0.6, height * 0.12, width * 0.8, height * 0.12 + width * 0.2], fill=colour)
            pen.rectangle([0, height * 0.7, width, height], fill=tuple(value // 2 for value in colour))
            path = folder / side / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    (folder / "prompts.json").write_text(json.dumps(PROMPTS))


if __name__ == "__main__":
    from presample.models import cli

    folder, port = Path(sys.argv[1]), sys.argv[2]
    make_pictures(folder)
    command = ["eval", "pairwise", str(folder / "ours"), str(folder / "theirs"), "--votes", "2"]
    command += ["--prompts", str(folder / "prompts.json"), "--votes-file", str(folder / "votes.sqlite")]
    sys.exit(cli.main([*command, "--port", port]))
