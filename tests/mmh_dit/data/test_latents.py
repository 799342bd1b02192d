"""Latents and texts are what the models alone would give, of the right pictures and captions."""

import pytest
import torch
from pictures_for_tests import encoded, picture, text_folder, tiny_autoencoder, vision_folder

from presample.models.mmh_dit.data.embed import load_vision, read_table
from presample.models.mmh_dit.data.latents import SCALE, SHIFT, load_flux
from presample.models.mmh_dit.data.texts import load_encoder

pytest.importorskip("PIL", reason="pictures need presample[data]")


def test_flux_latents_are_those_of_diffusers_scaled(tmp_path):
    diffusers = pytest.importorskip("diffusers", reason="FLUX's autoencoder is diffusers'")
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    shape = {"block_out_channels": [8] * 4, "norm_num_groups": 4, "latent_channels": 16, **blocks}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = diffusers.AutoencoderKL(**shape, shift_factor=SHIFT, scaling_factor=SCALE, use_quant_conv=False)
    vae.save_pretrained(tmp_path / "vae")
    images = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        raw = vae.encode(images * 2 - 1).latent_dist.mean
    found = load_flux(tmp_path / "vae", device="cpu")(images)
    assert found.shape == (2, 16, 8, 6)
    torch.testing.assert_close(found, (raw - 0.1159) * 0.3611)
    diffusers.AutoencoderKL(**shape, scaling_factor=0.18215).save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match=r"0\.1159"):
        load_flux(tmp_path / "other")


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_embeddings_are_those_of_transformers_at_unit_length(tmp_path, kind):
    hf = pytest.importorskip("transformers", reason="vision models are transformers'")
    folder = vision_folder(tmp_path / kind, kind=kind)
    vision = load_vision(folder, device="cpu")
    images = [picture(70, 50, seed=1), picture(40, 90, seed=2)]
    kinds = {"clip": hf.CLIPVisionModelWithProjection, "siglip": hf.SiglipVisionModel}
    model = kinds[kind].from_pretrained(folder).eval()
    pixels = hf.AutoImageProcessor.from_pretrained(folder)(images=images, return_tensors="pt")
    with torch.no_grad():
        made = model(**pixels)
    wanted = made.image_embeds if kind == "clip" else made.pooler_output
    found = vision.embed([vision.prepare(image) for image in images])
    torch.testing.assert_close(found, wanted / wanted.norm(dim=-1, keepdim=True))


def test_clip_without_projection_gives_its_pooled_state(tmp_path):
    hf = pytest.importorskip("transformers", reason="vision models are transformers'")
    folder = vision_folder(tmp_path / "clip")
    hf.CLIPVisionModel(hf.CLIPVisionConfig.from_pretrained(folder)).save_pretrained(folder)
    vision = load_vision(folder, device="cpu")
    assert vision.embed([vision.prepare(picture())]).shape == (1, 32)


def test_missing_weights_are_never_made_up(tmp_path):
    pytest.importorskip("transformers", reason="vision models are transformers'")
    from safetensors.torch import load_file, save_file

    folder = vision_folder(tmp_path / "clip")
    path = next(folder.glob("*.safetensors"))
    tensors = load_file(path)
    tensors.pop(next(name for name in tensors if "layers.1" in name))
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks weights: .*layers\.1"):
        load_vision(folder)


@pytest.mark.parametrize("kind", ["t5", "clip"])
def test_states_of_a_caption_do_not_depend_on_the_others_beside_it(tmp_path, kind):
    pytest.importorskip("transformers", reason="text encoders are transformers'")
    encoder = load_encoder(
        text_folder(tmp_path / kind, kind=kind), device="cpu", precision="float32", length=8
    )
    texts = ["picture 3", "picture 1 , good score , 4 5 6 7 8 9 10", ""]
    together = encoder.encode(texts)
    assert [len(states) for states in together] == [3, 8, 1], "own tokens and the end, at most 8"
    for text, states in zip(texts, together, strict=True):
        torch.testing.assert_close(states, encoder.encode([text])[0], rtol=0, atol=0.02)
        assert states.dtype == torch.bfloat16


def test_a_tokenizer_may_lie_beside_its_model_as_in_a_pipeline_of_diffusers(tmp_path):
    pytest.importorskip("transformers", reason="text encoders are transformers'")
    whole, words = text_folder(tmp_path / "text_encoder_2"), tmp_path / "tokenizer_2"
    wanted = load_encoder(whole, device="cpu").encode(["picture 3"])[0]
    words.mkdir()
    for path in whole.glob("token*"):
        path.rename(words / path.name)
    assert torch.equal(load_encoder(whole, words, device="cpu").encode(["picture 3"])[0], wanted)


def test_more_tokens_than_the_encoder_reads_are_refused_before_it_runs(tmp_path):
    pytest.importorskip("transformers", reason="text encoders are transformers'")
    folder = text_folder(tmp_path / "clip", kind="clip")
    with pytest.raises(ValueError, match=r"at most 77 tokens, got 256; give --length 77"):
        load_encoder(folder)


def test_a_folder_of_another_model_is_refused(tmp_path):
    pytest.importorskip("transformers", reason="models are transformers'")
    vision, text = vision_folder(tmp_path / "v"), text_folder(tmp_path / "t")
    with pytest.raises(ValueError, match="T5 or CLIP"):
        load_encoder(vision)
    with pytest.raises(ValueError, match="CLIP or SigLIP"):
        load_vision(text)
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load_vision(tmp_path)


def test_tables_of_embeddings_are_read_without_running_code(tmp_path):
    import numpy as np
    from safetensors.torch import save_file

    table = torch.rand(5, 3)
    np.save(tmp_path / "a.npy", table.numpy())
    save_file({"embeddings": table, "else": torch.ones(1)}, tmp_path / "b.safetensors")
    assert torch.equal(read_table(tmp_path / "a.npy"), table)
    assert torch.equal(read_table(tmp_path / "b.safetensors"), table)
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "flat.npy", np.zeros(3))
    np.save(tmp_path / "nan.npy", np.full((2, 2), np.nan))
    for name, why in [
        ("evil.npy", "allow_pickle"),
        ("flat.npy", "rows"),
        ("nan.npy", "finite"),
        ("x.pt", "npy"),
    ]:
        with pytest.raises(ValueError, match=why):
            read_table(tmp_path / name)


def test_the_tiny_autoencoder_encodes_what_the_command_reads(tmp_path):
    from presample.models.cli.data import _autoencoder
    from presample.models.tinyworld.autoencoder import load_autoencoder

    path = tiny_autoencoder(tmp_path / "tiny.safetensors")
    images = torch.rand(1, 3, 32, 48)
    wanted = load_autoencoder(path).encode(images)
    torch.testing.assert_close(_autoencoder(path, device="cpu", precision="float32")(images), wanted)
    assert encoded(picture())
