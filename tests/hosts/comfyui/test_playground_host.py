"""Playground v2.5's nodes and formulas against ComfyUI's own sampling."""

import pytest


@pytest.fixture(scope="module")
def said(in_comfyui):
    return in_comfyui("playground_for_tests.py")


def test_a_checkpoint_without_its_keys_samples_as_one_with_them(said):
    with_node, without = said("a_stripped_checkpoint_samples_as_the_known_one")
    assert with_node == 0
    assert without > 0.1


def test_a_checkpoint_that_comfyui_knows_is_not_changed_and_nothing_is_applied_twice(said):
    assert said("the_node_changes_nothing_of_a_known_one_or_of_one_that_has_it") == [0, 0]
    assert said("the_stock_model_behind_the_node_is_as_before") == 0


def test_our_samplers_over_our_preconditioning_give_what_ksampler_gives(said):
    assert max(said("our_sampler_gives_what_ksampler_gives")) < 1e-5


def test_preconditioning_schedules_and_latents_are_comfyuis(said):
    assert max(said("formulas_are_comfyuis")) < 1e-6


def test_rules_are_k_diffusions(said):
    assert max(said("rules_are_k_diffusions")) < 1e-6


def test_resolution_shift_moves_the_sigmas_of_flow_models_flux_and_edm(said):
    assert max(said("resolution_shift_moves_the_sigmas_of_comfyuis_models")) < 1e-5


def test_resolution_shift_knows_the_cells_of_other_models(said):
    found = said("a_latent_of_the_models_own_cells_shifts_as_its_size_in_pixels")
    assert {"HunyuanImage21", "LTXV"} <= set(found)
    assert all(by == wanted for by, wanted in found.values())


def test_models_that_do_not_fit_are_refused(said):
    shifted, playground = said("what_cannot_be_done_is_said")
    assert shifted.startswith("ValueError: model must be a flow model")
    assert playground.startswith("ValueError: model must be Playground v2.5")


def test_a_buckets_latent_is_comfyuis_empty_latent(said):
    assert said("a_buckets_latent_is_comfyuis_empty_one") == [1344, 768, True, 1216, 832]
