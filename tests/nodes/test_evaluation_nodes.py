"""The nodes that judge pictures, beside a fake ComfyUI."""

import math
import shutil

import pytest
import torch

from presample.models.sheet import GAP, MARGIN


class Brightness:
    """A scorer whose every score is known, and what it was asked."""

    def __init__(self):
        self.asked = []

    def score(self, images, prompts):
        assert images.shape[:2] == (len(prompts), 3)
        self.asked += prompts
        return images.mean((1, 2, 3))


@pytest.fixture
def scorer(comfy, monkeypatch):
    made = Brightness()
    monkeypatch.setattr(comfy.evaluation, "load", lambda name: made)
    return made


def grey(*values, size=(16, 24)):
    """A batch of plain pictures."""
    return torch.stack([torch.full((*size, 3), float(value)) for value in values])


def score(nodes, images, **given):
    given = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    return nodes["PresampleImageScore"].execute(images=images, **given).args


def test_pictures_of_all_batches_are_scored_with_their_prompts(nodes, scorer):
    images, scores, labels, best, mean = score(
        nodes, [grey(0.2, 0.6), grey(0.4, size=(8, 8))], prompt=["lake", "moon"], scorer="tiny-clip"
    )
    assert scorer.asked == ["lake", "lake", "moon"]
    assert scores == pytest.approx([0.2, 0.6, 0.4])
    assert [image.shape for image in images] == [(1, 16, 24, 3), (1, 16, 24, 3), (1, 8, 8, 3)]
    assert labels == ["tiny-clip 0.2", "tiny-clip 0.6", "tiny-clip 0.4"]
    assert torch.equal(best, grey(0.6))
    assert mean == pytest.approx(0.4)


def test_one_prompt_is_for_all_and_the_best_come_first_where_asked(nodes, scorer):
    images, scores, *_ = score(nodes, [grey(0.2, 0.6), grey(0.4)], prompt="lake", best_first=True)
    assert scorer.asked == ["lake"] * 3
    assert scores == pytest.approx([0.6, 0.4, 0.2])
    assert [float(image.mean()) for image in images] == pytest.approx(scores)


def test_prompts_that_do_not_fit_are_refused(nodes, scorer):
    with pytest.raises(ValueError, match="one for each of 3 images"):
        score(nodes, [grey(0)] * 3, prompt=["a", "b"])


def test_a_score_that_is_no_number_is_last_and_no_part_of_the_mean(nodes, scorer, monkeypatch):
    said = [math.nan, 0.5, 0.25]
    monkeypatch.setattr(scorer, "score", lambda images, prompts: torch.tensor(said))
    _, scores, _, best, mean = score(nodes, [grey(0, 0.5, 1)], best_first=True)
    assert scores[:2] == [0.5, 0.25]
    assert math.isnan(scores[2])
    assert torch.equal(best, grey(0.5))
    assert mean == 0.375


def test_a_click_on_stop_counts_between_a_few_pictures(nodes, comfy, scorer):
    comfy.fake["comfy.model_management"].state.interrupted = True
    with pytest.raises(comfy.fake["comfy.model_management"].InterruptProcessingException):
        score(nodes, [grey(*range(9))])
    assert scorer.asked == []


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """No models of whoever runs the tests."""
    monkeypatch.setenv("PRESAMPLE_MODELS", str(tmp_path / "own"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)


def test_a_model_that_is_missing_is_asked_for_with_its_place(comfy, nothing):
    with pytest.raises(ValueError, match=r"(?s)models/scorers/hps.*switch download on"):
        comfy.evaluation.load("hps")
    folder = comfy.base / "models" / "scorers" / "hps"
    folder.mkdir(parents=True)
    (folder / "HPS_v2.1_compressed.pt").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        comfy.evaluation.load("hps")
    shutil.rmtree(folder)
    with pytest.raises(ValueError, match="scorer must be one of"):
        comfy.evaluation.load("../hps")


def test_a_file_that_no_switch_fetches_is_not_promised(comfy, nothing):
    with pytest.raises(ValueError, match=r"(?s)save it as .*predictor\.pth\n.*for all but the last file"):
        comfy.evaluation.load("aesthetic-2.5")


def test_comfyui_makes_room_on_the_gpu_for_a_scorer(comfy, nothing, monkeypatch):
    management = comfy.fake["comfy.model_management"]
    folder = comfy.base / "models" / "scorers" / "hps"
    folder.mkdir(parents=True)
    (folder / "HPS_v2.1_compressed.pt").write_bytes(b"12345")
    monkeypatch.setattr(comfy.evaluation, "load_scorer", lambda name, path, device: (name, path, device))
    monkeypatch.setattr(management.state, "freed", [])
    try:
        assert comfy.evaluation.load("hps") == ("hps", folder, "cpu")
        assert management.state.freed == []
        monkeypatch.setattr(management, "get_torch_device", lambda: torch.device("cuda"))
        assert comfy.evaluation.load("hps") == ("hps", folder, "cuda")
        assert management.state.freed == [(2 * 5 + comfy.evaluation.TO_WORK, "cuda")]
    finally:
        shutil.rmtree(folder)


def test_only_the_switch_downloads_and_only_what_is_not_here(nodes, hidden, comfy, nothing, monkeypatch):
    asked = []

    def download(known, folder, *, progress, should_stop):
        asked.append((known.name, str(folder)))
        progress("model.onnx", 1, 2)
        for part in known.parts:
            (folder / part.local).parent.mkdir(parents=True, exist_ok=True)
            (folder / part.local).write_text("{}")

    monkeypatch.setattr(comfy.fetching, "download", download)
    with pytest.raises(ValueError, match="is not here, or not whole"):
        score(nodes, [grey(0)], scorer="ai-corrupt")
    assert asked == []
    for _ in range(2):
        with pytest.raises(ValueError, match="must have the label normal"):  # of the meta.json written above
            score(nodes, [grey(0)], scorer="ai-corrupt", download=True)
    assert asked == [("ai-corrupt", f"{comfy.base}/models/scorers")]
    shutil.rmtree(comfy.base / "models" / "scorers")


def sheet(nodes, before, after, **given):
    given = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    (image,) = nodes["PresampleBeforeAfterSheet"].execute(before=before, after=after, **given).args
    return image


def place(image, x, y):
    return round(float(image[0, y, x].mean()), 1)


def test_pairs_stand_side_by_side(nodes):
    size = (64, 64)
    image = sheet(nodes, [grey(0.2, 0.4, size=size)], [grey(0.6, 0.8, size=size)])
    assert image.shape[2] == 2 * MARGIN + 2 * 64 + GAP
    right = MARGIN + 64 + GAP
    below = next(y for y in range(MARGIN + 64, image.shape[1]) if place(image, MARGIN + 32, y) == 0.4)
    found = [place(image, x + 32, y + 4) for y in (MARGIN, below) for x in (MARGIN, right)]
    assert found == [0.2, 0.6, 0.4, 0.8]


def test_one_picture_before_stands_beside_each_after_and_other_numbers_are_refused(nodes):
    image = sheet(nodes, [grey(0)], [grey(1, 1, 1)], after_labels=["a", "b", "c"])
    assert image.shape[1] > 3 * 16
    with pytest.raises(ValueError, match="as many pictures"):
        sheet(nodes, [grey(0, 0)], [grey(1, 1, 1)])
    with pytest.raises(ValueError, match="at most one label"):
        sheet(nodes, [grey(0)], [grey(1)], before_labels=["a", "b"])


def test_all_before_stand_above_all_after_where_asked(nodes):
    size = (64, 64)
    given = {"layout": "one above the other", "before_title": "plain", "scale": 2}
    image = sheet(nodes, [grey(0.2, size=size)], [grey(0.6, 0.6, size=size)], **given)
    assert image.shape[2] == 2 * MARGIN + 2 * 128 + GAP
    column = [place(image, MARGIN + 64, y) for y in range(image.shape[1])]
    assert column.index(0.2) < column.index(0.6)
    assert column.count(0.2) >= 128
    with pytest.raises(ValueError, match="layout must be one of"):
        sheet(nodes, [grey(0)], [grey(1)], layout="upside down")
