"""The buttons below width and height."""

import pytest

gradio = pytest.importorskip("gradio", reason="the buttons need gradio; `make webui` has it")


@pytest.fixture
def buckets(shared):
    from presample.scripts.webui import buckets

    return buckets


def test_a_button_takes_sizes_as_a_slider_gives_them(buckets):
    assert buckets.to_ratio(832.0, 1216.0, "auto", ratio="16:9") == (768, 1344)
    assert buckets.to_ratio(832.0, 1216.0, "novelai", ratio="16:9") == (448, 832)
    assert buckets.snapped(1000.0, 700.0, "auto") == (1216, 832)
    assert buckets.swapped(832.0, 1216.0, "auto") == (1216, 832)


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
