"""The little world's CLIP as a network; what it has learned is tested where it is trained."""

from pathlib import Path

import pytest
import torch

from presample.models.tinyworld.clip import LENGTH, SHARED, WIDTH, load_clip, make_clip, read_words

pytest.importorskip("transformers")
TOKENIZER = Path(__file__).parents[2] / "models" / "bundled" / "tipo-tiny"
PROMPTS = ["lake, night", "A lake on a clear winter night. Snow lies on the mountains behind.", ""]


@pytest.fixture(scope="module")
def clip():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = make_clip(read_words(TOKENIZER))
    made.model.eval().requires_grad_(False)
    return made


def test_ids_begin_and_end_and_are_cut_to_the_length(clip):
    ids = clip.words.ids("lake")
    assert (ids[0], ids[-1]) == (clip.words.tokenizer.bos, clip.words.end)
    assert clip.words.ids("lake, " * 500)[-1] == clip.words.end
    assert len(clip.words.ids("lake, " * 500)) == LENGTH
    assert clip.words.ids("") == [ids[0], ids[-1]]
    assert clip.text_states(["lake, " * 500], length=9).hidden.shape == (1, 9, WIDTH)


def test_what_fills_a_prompt_up_has_no_influence(clip):
    together = clip.text_states(PROMPTS)
    assert together.hidden.shape == (3, together.mask.shape[1], WIDTH)
    for k, prompt in enumerate(PROMPTS):
        alone = clip.text_states([prompt])
        length = alone.hidden.shape[1]
        assert together.mask[k].tolist() == [True] * length + [False] * (together.mask.shape[1] - length)
        torch.testing.assert_close(together.hidden[k, :length], alone.hidden[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.pooled[k], alone.hidden[0, -1], atol=1e-5, rtol=1e-5)


def test_both_sides_give_directions_of_one_space(clip):
    images = torch.rand(2, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    for found in (clip.texts(PROMPTS), clip.images(images)):
        assert found.shape[1] == SHARED
        torch.testing.assert_close(found.norm(dim=1), torch.ones(len(found)))


def test_a_file_comes_back_and_another_is_refused(clip, tmp_path):
    from safetensors.torch import save_file

    state = {name: weight.detach().contiguous() for name, weight in clip.model.named_parameters()}
    path = tmp_path / "clip.safetensors"
    save_file(state, path)
    before = torch.random.get_rng_state()
    again = load_clip(path, clip.words)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(again.texts(PROMPTS), clip.texts(PROMPTS))
    state.pop("logit_scale")
    save_file(state, path)
    with pytest.raises(ValueError, match=r"clip\.safetensors must hold"):
        load_clip(path, clip.words)
