"""Mixes of text encoders with ComfyUI's own nodes: weights, clip skip, LoRA, hooks, SDXL, and the cost."""

import pytest
from server_for_tests import note


@pytest.fixture(scope="module")
def found(in_comfyui):
    """Returns what a check of mixing_for_tests.py gave."""
    return in_comfyui("mixing_for_tests.py")


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
@pytest.mark.parametrize("change", ["plain", "clip skip", "lora", "hooks", "schedule", "all"])
def test_a_mix_is_the_sum_by_hand_to_the_last_bit(found, kind, change):
    said = {
        name: each for name, each in found("against_a_sum_by_hand").items() if f"{kind} {change} " in name
    }
    assert len(said) == 2
    for difference, effect, parts in said.values():
        assert difference == 0
        assert parts == (2 if change in ("schedule", "all") else 1)
        # SDXL reads its last layer but one anyway
        assert (effect > 0.1) == (change != "plain" and (kind, change) != ("sdxl", "clip skip"))


def test_what_was_set_before_the_mix_stays_with_its_encoder(found):
    assert found("what_was_set_before_the_mix_stays_with_its_encoder") == 0


def test_at_the_ends_it_is_the_single_encoder_bit_for_bit(found):
    said = found("ends_are_the_encoder_itself")
    assert len(said) == 14
    assert all(said)


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_stock_nodes_do_the_same_where_they_do_it(found, kind):
    said = found("stock_nodes_agree")[kind]
    assert said.pop("merge is no mix") > 0.1
    assert set(said.values()) == {0.0}


def test_an_interpolation_is_spread_over_the_steps(found):
    positive, negative, ranges = found("steps_of_an_interpolation")
    assert positive == negative == 0
    (first, begun), (again, ended), (late, last) = ranges
    assert (first, begun, ended, last) == (0.0, again, late, 1.0)
    assert begun == pytest.approx(0.4, abs=1e-3)
    assert begun < 0.4
    assert ended == pytest.approx(0.8, abs=1e-3)
    assert ended < 0.8


def test_the_original_leads_the_steps_of_stable_diffusion_that_it_is_to_lead(found):
    steps = found("first_steps_of_the_tuned_encoder")
    assert len(steps) == 20
    for schedule, (led, wanted) in steps.items():
        assert led == wanted, schedule


def test_a_sweep_is_a_list_of_interpolations(found):
    assert found("a_sweep") == [0.0, [0.0, 0.5, 1.0], ["w 0", "w 0.5", "w 1"]]


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_a_tuned_file_replaces_the_weights_and_leaves_the_clip_alone(found, kind):
    said = found("tuned_files")[kind]
    report, own = said.pop("said"), said.pop("own weights")
    assert set(said.values()) == {0.0}
    assert own
    assert report.count("53 tensors of") == (1 if kind == "sd1" else 2)


def test_a_clip_that_cannot_be_copied_is_patched(found):
    assert found("without_copying") == [0.0, True]


def test_a_bypass_lora_on_the_clip_stays_when_its_encoder_is_replaced(found):
    said = found("with_a_bypass_lora")
    if said is None:
        pytest.skip("this ComfyUI has no bypass LoRA")
    effect, *apart = said
    assert effect > 0.1
    assert apart == [0.0, 0.0, 0.0]


def test_a_clip_of_dynamic_vram_is_patched_and_never_copied(found):
    said = found("dynamic_vram")
    if said is None:
        pytest.skip("this ComfyUI has no DynamicVRAM")
    assert said == [0.0, 53, True, True]


def test_nothing_changes_when_all_models_are_unloaded(found):
    assert found("after_everything_was_freed") == 0


def test_the_names_of_open_clip_are_read_as_comfyui_reads_them(found):
    assert found("the_names_of_open_clip") == 0


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("kinds", ("CLIP-L of Stable Diffusion 1.x", "number 2 is the CLIP of SDXL", "of one image model")),
        ("t5", ("number 2 is T5, no CLIP",)),
        ("interpolate", ("the first is the CLIP of SDXL", "number 2 is the CLIP-L")),
        ("merge", ("number 2 is the CLIP of SDXL",)),
        ("no clip", ("sd1.safetensors", "must hold a CLIP text encoder", "is T5")),
        ("file", ("wide.safetensors is a CLIP of 3 layers of 48", "holds a CLIP of 3 layers of 32")),
        ("two", ("open.safetensors is a CLIP of 2 layers of 16", "the CLIP of SDXL, which holds", " and ")),
        ("save", ("one set of weights", "use Encoder Merge")),
        ("merge a mix", ("one set of weights", "use Encoder Merge")),
        ("zero", ("weights must be numbers and not all 0",)),
        ("many", ("at most 8 encoders, got 9",)),
    ],
)
def test_what_does_not_go_together_is_named_with_what_to_do(found, what, said):
    for part in said:
        assert part in found("errors")[what]


def test_a_lora_that_would_reach_one_encoder_only_is_refused(found):
    said = found("errors")
    if "bypass" not in said:
        pytest.skip("this ComfyUI has no bypass LoRA")
    assert "would reach its first encoder only" in said["bypass"]


def test_a_mix_asks_each_of_its_encoders_once(found):
    said = found("what_a_mix_costs")
    note(f"a mix of three encoders takes {said['milliseconds']:.2f} ms beside them")
    assert said["mixed"] == said["alone"] >= 3
