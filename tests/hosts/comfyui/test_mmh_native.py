"""MMH-DiT files with nothing but ComfyUI's own loaders, samplers and patches: what was promised, one by one.

The numbers are differences to the model in plain torch: the greatest of latents at unit scale, or relative.
"""

import pytest

SAME = 1e-5


@pytest.fixture(scope="module")
def found(in_comfyui):
    """Returns what a check of native_for_tests.py gave."""
    return in_comfyui("native_for_tests.py")


@pytest.mark.parametrize(
    "check",
    [
        "euler",
        "guidance",
        "picture_to_picture",
        "odd_size",
        "batch_of_three",
        "an_empty_latent_of_four_channels",
        "padding_does_not_matter",
        "no_text_is_bos_alone",
        "prefixed_file",
        "unloading",
    ],
)
def test_ksampler_gives_what_our_own_sampler_gives(found, check):
    assert found(check) < SAME


def test_the_stock_scheduler_is_not_exact_and_our_sigmas_are(found):
    assert found("steps_that_do_not_divide_a_thousand") > SAME
    shifts = found("shifts_of_all_nodes")
    assert shifts["among nodes"] < 2 * SAME
    assert shifts["I-CFM Sigmas"] < SAME
    assert shifts["none"] > 0.01


def test_our_sampler_obeys_the_models_shift_as_ksampler_does(found):
    said, effect = found("shifts_of_the_model_in_our_sampler")
    assert len(said) == 11
    assert max(said.values()) < SAME
    assert effect > 0.01


def test_every_attention_of_comfyui_gives_the_same(found):
    assert max(found("attention_backends").values()) < SAME


def test_conditionings_are_joined_averaged_and_put_into_areas_and_times(found):
    said = found("conditioning_nodes")
    assert max(said["concat"], said["concat, padded"]) < SAME
    assert said["finite"]
    assert said["changed"]


def test_head_counts_come_from_the_file(found):
    assert found("head_counts") == [[2, 4, 12, 8], [2, 4, 12, 8]]
    assert found("heads_node").startswith("block 0: 2 heads of size 48\n")


def test_a_file_with_its_config_in_the_metadata_loads_or_says_what_to_do(found):
    said = found("file_with_metadata_alone")
    assert "Write the file again" in said if isinstance(said, str) else said < SAME


def test_save_model_keeps_the_head_counts(found):
    said = found("saved_and_loaded_again")
    assert said.pop("heads") == [2, 4, 12, 8]
    assert max(said.values()) < SAME


def test_weights_are_stored_in_eight_bits_and_computed_in_more(found):
    said = found("fp8")
    assert {name: kind.rpartition(".")[2] for name, (_, kind) in said.items()} == {
        "e4m3fn": "float8_e4m3fn",
        "e4m3fn_fast": "float8_e4m3fn",
        "e5m2": "float8_e5m2",
        "bf16": "bfloat16",
        "file": "",
    }
    most = {"e4m3fn": 0.1, "e4m3fn_fast": 0.1, "e5m2": 0.2, "bf16": 0.01, "file": 0.1}
    assert all(1e-4 < difference < most[name] for name, (difference, _) in said.items())


def test_scaled_fp8_files_of_both_kinds_load(found):
    assert 1e-4 < found("scaled_fp8_of_old") < 0.08
    today = found("scaled_fp8_of_today")
    assert today is None or all(1e-4 < difference < 0.04 for difference in today)


def test_two_models_merge(found):
    said = found("merge_and_clone")
    assert max(said.values()) < SAME


def test_lora_of_every_name_is_the_change_made_by_hand(found):
    said = found("lora")
    assert said["difference"] < SAME
    assert said["base untouched"] < SAME
    assert said["effect"] > 0.1
    assert said["on fp8"] < 0.1


def test_samplers_of_all_kinds_run(found):
    said = found("samplers")
    assert len(said) == 8
    assert all(finite and difference > 0 for finite, difference in said.values())


def test_inpainting_keeps_what_is_not_masked(found):
    said = found("inpaint")
    assert said["kept"] < SAME
    assert said["new"] > 0.1
    assert said["soft"]


def test_patches_of_stock_nodes_take_effect(found):
    said = found("patches")
    assert {"RescaleCFG", "SkipLayerGuidanceDiT", "APG", "CFGZeroStar", "EasyCache"} <= set(said)
    assert all(finite and difference > 1e-3 for finite, difference in said.values())


def test_attention_and_blocks_can_be_replaced_and_know_where_they_are(found):
    said = found("hooks_of_attention_and_blocks")
    assert said == {
        "attention": 20,
        "block": 5,
        "index": [0, 1, 2, 3],
        "slice": [13, 37],
        "total": 4,
        "difference": 0,
    }


def test_previews_are_shown(found):
    assert found("preview") == [12, 8]


@pytest.mark.parametrize("kind", ["euler", "heun", "ksampler", "no negative", "sigma", "picture"])
def test_the_sampler_node_is_the_stock_sampler_with_our_sigmas(found, kind):
    assert found("sampler_node")[kind] < SAME


def test_the_sampler_node_obeys_an_interrupt(found):
    assert found("sampler_node_stops") == "stopped"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("missing", ("blocks.1.attn.out.weight", "every weight")),
        ("nan", ("blocks.2.mlp.w3.weight", "NaN", "get it again")),
        ("shape", ("final.scale.weight is (3, 3) and must be",)),
        ("no heads", ("head counts", "mmh_dit_config", "presample convert", "--heads")),
        ("channels", ("16 latent channels", "the file is for 4")),
        ("latent", ("(b, 16, h, w)", "(1, 4, 8, 8)", "autoencoder with 16 channels")),
        ("text", ("64 numbers a token", "got 77", "CLIPLoader")),
        ("other model", ("must be an MMH-DiT", "KSampler")),
    ],
)
def test_what_does_not_fit_is_named_with_what_to_do(found, what, said):
    for part in said:
        assert part in found("errors")[what]


def test_registering_again_changes_nothing(found):
    assert found("registered_once") == [1, True, True]
