"""Load Tiny World in ComfyUI, with random weights in the layout of the bundled ones."""

import pytest

SAME = 1e-5


@pytest.fixture(scope="module")
def found(in_comfyui):
    """Returns what a check of tiny_for_tests.py gave."""
    return in_comfyui("tiny_for_tests.py")


def test_the_clip_gives_the_states_that_the_model_was_trained_with(found):
    assert found("states") < SAME


def test_a_prompt_that_is_too_long_loses_its_end_as_in_training(found):
    assert found("a_long_prompt_loses_its_end") == [True, 24]


def test_prompt_weights_are_those_of_comfyui(found):
    said = found("weights")
    assert said["weights"] == [1.0, 1.5]
    assert said["difference"] < SAME
    assert said["effect"] > 0.01


def test_no_words_are_no_text_with_stock_nodes_and_ours(found):
    stock, ours, count = found("no_words_are_no_text")
    assert max(stock, ours) < SAME
    assert count == 0


def test_the_text_node_cuts_and_fills_up(found):
    filled, cut, most, long = found("padding_that_is_seen")
    assert filled == [[1, 16, 128], False, 16]
    assert cut == [[1, 4, 128], 4]
    assert most == [[1, 128, 128], 128]  # what the encoder has places for, of 256
    assert long == [[1, 24, 128], 24]  # the CLIP's own limit


def test_every_kind_of_t5_loader_gives_the_same_tokens_and_states(found):
    said = found("t5")
    for kind in ("mochi", "pixart"):
        count, mine, stock = said[kind]["tokens"]
        assert mine[1] == count
        assert stock[1] == (256 if kind == "mochi" else count)
        assert max(said[kind]["stock"], said[kind]["mochi"]) < SAME
        assert said[kind]["empty"] == 0
        assert said[kind]["visible"] == [1, 256, 64]


def test_a_clip_that_adds_tokens_of_other_encoders_is_refused(found):
    said, given, count = found("a_clip_of_several_encoders")
    assert said.startswith("ValueError: clip must give the prompt's")
    assert "(g, l, t5xxl); load T5 v1.1 XXL" in said
    assert given == count


def test_a_textual_inversion_counts_with_all_of_its_vectors(found):
    given, count, few, without = found("an_embedding_of_several_vectors")
    assert few == without
    assert given == count >= few + 3


def test_a_clip_of_fixed_length_is_refused(found):
    assert "takes prompts of any length, got l; load T5" in found("another_clip_is_refused")


def test_the_vae_is_the_autoencoder(found):
    assert max(found("vae")) < SAME


def test_the_nodes_paint_what_the_library_paints(found):
    difference, contrast, facts = found("pictures")
    assert difference < SAME
    assert contrast > 1e-3
    assert facts == ["samples"]


def test_an_interpolation_paints_what_the_library_paints_from_its_first_step_on(found):
    said = found("mixed_pictures")
    assert max(said[::2]) < 3e-5
    assert min(said[1::2]) > 1e-3


def test_a_whole_checkpoint_can_be_saved_and_loaded(found):
    model, clip, vae = found("whole_checkpoint")
    assert max(model, vae) < SAME
    assert clip < 0.01  # ComfyUI keeps text encoders in half precision


def test_everything_is_in_the_care_of_comfyui(found):
    difference, patchers = found("in_the_care_of_comfyui")
    assert difference < SAME
    assert patchers


def test_clip_skip_and_patches_of_the_clip_work(found):
    skipped, tuned, patched, untouched = found("clip_skip_and_lora")
    assert min(skipped, tuned) > 0.01
    assert patched == 1
    assert untouched == 0


def test_a_pack_that_is_not_whole_is_named(found):
    assert "install the package again" in found("a_file_that_is_not_there")
