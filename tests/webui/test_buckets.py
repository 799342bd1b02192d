"""The buttons below width and height."""

import pytest

gradio = pytest.importorskip("gradio", reason="the buttons need gradio; `make webui` has it")

from presample.models.playground.buckets import NOVELAI, SDXL  # noqa: E402


@pytest.fixture
def buckets(shared):
    from presample.scripts.webui import buckets

    return buckets


@pytest.mark.parametrize(
    ("size", "ratio", "wanted"),
    [
        ((1024, 1024), "1:1", (1024, 1024)),
        ((1024, 1024), "3:2", (1216, 832)),
        ((832, 1216), "3:2", (832, 1216)),
        ((832, 1216), "16:9", (768, 1344)),
        ((512, 512), "1:1", (512, 512)),
        ((512, 512), "3:2", (768, 512)),
        ((448, 640), "3:2", (512, 768)),
    ],
)
def test_a_ratio_keeps_the_orientation_and_the_kind_of_model(buckets, size, ratio, wanted):
    found = buckets.to_ratio(*size, "auto", ratio=ratio)
    assert found == wanted
    assert buckets.to_ratio(*found, "auto", ratio=ratio) == found, "a second click changes nothing"


@pytest.mark.parametrize("size", [(1000, 700), (64, 2048), (513, 769), (2048, 2048), (576, 640)])
@pytest.mark.parametrize(("wanted", "sizes"), [("sdxl", SDXL), ("novelai", NOVELAI)])
def test_snap_takes_a_bucket_and_leaves_it(buckets, size, wanted, sizes):
    found = buckets.snapped(*size, wanted)
    assert found in sizes
    assert buckets.snapped(*found, wanted) == buckets.snapped(*found, "auto") == found
    assert buckets.swapped(*buckets.swapped(*found, "auto"), "auto") == found


def test_every_ratio_has_a_bucket_near_to_it_in_both_lists(buckets):
    for wanted in ("sdxl", "novelai"):
        for ratio in buckets.RATIOS:
            width, height = buckets.to_ratio(1024, 1024, wanted, ratio=ratio)
            a, b = map(int, ratio.split(":"))
            assert abs(width / height / (a / b) - 1) < 0.12, (wanted, ratio, width, height)


@pytest.mark.parametrize("shown", [True, False])
def test_the_buttons_stand_below_the_hosts_height(shared, monkeypatch, shown):
    import gradio_host

    gradio_host.install(patch=monkeypatch, buckets=shown)
    from presample.scripts.webui.playground import PresamplePlayground

    with gradio.Blocks() as demo:
        for tab in ("txt2img", "img2img"):
            script = PresamplePlayground()
            script.is_img2img = tab == "img2img"
            for name in ("width", "height"):
                slider = gradio.Slider(64, 2048, 512, elem_id=f"{tab}_{name}")
                script.after_component(slider, elem_id=f"{tab}_{name}")
    ids = [block.elem_id for block in demo.blocks.values() if getattr(block, "elem_id", None)]
    assert len(set(ids)) == len(ids)
    assert [f"{tab}_presample_buckets_3to2" in ids for tab in ("txt2img", "img2img")] == [shown, shown]
