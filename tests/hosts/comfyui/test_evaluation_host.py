"""Pictures are scored and set beside each other in a running ComfyUI, with its own nodes around ours."""

import io
import math
import urllib.parse
import urllib.request

import pytest
from server_for_tests import ROOT

CLIP = ROOT / "models/bundled/tiny-clip/model.safetensors"
RED, BLUE = 0xC03020, 0x2040A0


def empty(colour, count=1):
    inputs = {"width": 96, "height": 64, "batch_size": count, "color": colour}
    return {"class_type": "EmptyImage", "inputs": inputs}


def text(node, slot):
    return {"class_type": "PreviewAny", "inputs": {"source": [node, slot]}}


def graph(**score):
    """Two pictures of one colour and one of another are scored, and stand before themselves, sorted."""
    return {
        "1": empty(RED, 2),
        "2": empty(BLUE),
        "3": {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": ["2", 0]}},
        "4": {
            "class_type": "PresampleImageScore",
            "inputs": {"images": ["3", 0], "prompt": "night, lake", "best_first": True, **score},
        },
        "5": {
            "class_type": "PresampleBeforeAfterSheet",
            "inputs": {"before": ["3", 0], "after": ["4", 0], "after_labels": ["4", 2], "scale": 2},
        },
        "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
        "7": text("4", 2),
        "8": text("4", 4),
    }


@pytest.mark.skipif(not CLIP.is_file(), reason="the tiny CLIP is not bundled yet")
def test_pictures_are_scored_sorted_and_set_beside_each_other(server):
    from PIL import Image

    result = server.run(graph())
    assert result.end == "execution_success", result.error
    labels = result.output("7")["text"]
    scores = [float(label.removeprefix("tiny-clip ")) for label in labels]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]  # two of the three are the same picture
    assert math.isclose(float(result.output("8")["text"][0]), sum(scores) / 3, abs_tol=1e-3)

    (shown,) = result.output("6")["images"]
    with urllib.request.urlopen(f"{server.address}/view?{urllib.parse.urlencode(shown)}") as answer:
        sheet = Image.open(io.BytesIO(answer.read())).convert("RGB")
    assert sheet.width > 4 * 96
    colours = {colour for _, colour in sheet.getcolors(1 << 24)}
    assert {(RED >> 16, RED >> 8 & 255, RED & 255), (BLUE >> 16, BLUE >> 8 & 255, BLUE & 255)} <= colours


def test_a_model_that_is_not_there_is_asked_for_by_its_place(server):
    result = server.run(graph(scorer="hps"))
    assert result.end == "execution_error"
    assert "the scorer 'hps' is not here" in result.error
    assert "presample models download hps" in result.error
