"""EDM on a loaded model, in the three ways that hosts keep it, and the model as it was afterwards."""

import json
import struct
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from presample.models.playground.edm import PLAYGROUND, denoise
from presample.models.playground.latents import from_network, to_network

KEYED = {"edm_mean": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}
KEYED["edm_std"] = KEYED["edm_mean"]


class Sampling(torch.nn.Module):
    """A host's own, as far as it is asked."""

    def __init__(self, sigma_data=1.0, prediction_type="eps", sigma_min=0.03, sigma_max=14.6):
        super().__init__()
        self.said = (sigma_data, prediction_type, sigma_min, sigma_max)

    def set_parameters(self, sigma_min, sigma_max, sigma_data):
        self.said = (sigma_data, "edm", sigma_min, sigma_max)

    def set_sigmas(self, sigmas):
        raise AssertionError("another model's sigmas")


class Model(torch.nn.Module):
    """A model of A1111; with `forge_objects`, of the others."""

    scale_factor = 0.5

    def __init__(self, filename, **others):
        super().__init__()
        self.sd_checkpoint_info = SimpleNamespace(filename=str(filename))
        vars(self).update(others)

    def decode_first_stage(self, z):
        return z / self.scale_factor

    def encode_first_stage(self, x):
        return SimpleNamespace(mean=x)  # a distribution, as SD 1's is

    def get_first_stage_encoding(self, encoded):
        return encoded.mean * self.scale_factor

    def apply_model(self, x, t, cond=None):
        return 2 * x + t.view(-1, 1, 1, 1)


@pytest.fixture
def put(monkeypatch):
    """Puts a module of a host in place."""

    def put(name, **content):
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
        module.__spec__ = SimpleNamespace()
        return module

    return put


@pytest.fixture
def script(shared, put):
    from presample.scripts.webui.playground import PresamplePlayground

    put("modules.sd_samplers_timesteps", samplers_timesteps=[("DDIM", None, [], {})])
    return PresamplePlayground()


@pytest.fixture
def a1111(put):
    sys.modules["modules"].__path__ = []
    put("modules.models", __path__=[])
    put("modules.models.sd3")


def job(script, shared, model, edm="auto", **others):
    shared.sd_model = model
    p = SimpleNamespace(
        extra_generation_params={}, comments=[], sampler_name="DPM++ 2M", scheduler="Automatic"
    )
    vars(p).update({"hr_scheduler": "Use same scheduler", "comment": p.comments.append} | others)
    script.process(p, edm)
    return p


def checkpoint(tmp_path, name, names=()):
    header = json.dumps(dict.fromkeys(names, KEYED["edm_mean"])).encode()
    path = tmp_path / name
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


@pytest.mark.parametrize(
    ("name", "names", "is_one"),
    [
        ("playground-v2.5-1024px-aesthetic.fp16.safetensors", (), True),
        ("PlaygroundV25.ckpt", (), True),
        ("playground-v2-512px-base.safetensors", (), False),
        ("merge.safetensors", ("edm_mean", "edm_std"), True),
        ("merge.safetensors", ("edm_mean",), False),
        ("sd_xl_base_1.0.safetensors", ("x",), False),
    ],
)
def test_a_checkpoint_is_known_by_its_name_or_its_tensors(tmp_path, name, names, is_one):
    from presample.scripts.webui import edm_models

    assert edm_models.is_playground(checkpoint(tmp_path, name, names)) == is_one


def test_what_is_no_safetensors_file_is_none_of_them(tmp_path):
    from presample.scripts.webui import edm_models

    broken = tmp_path / "broken.safetensors"
    for content in (b"", b"\xff" * 64, struct.pack("<Q", 3) + b"{]}"):
        broken.write_bytes(content)
        assert not edm_models.is_playground(broken)
    assert not edm_models.is_playground(tmp_path / "nowhere.safetensors")


def forge(put):
    put("backend")
    put("backend.modules")
    put("backend.modules.k_prediction", PredictionContinuousEDM=Sampling)
    vae = torch.nn.Module()
    vae.process_in, vae.process_out = str, repr
    inner = torch.nn.Module()
    inner.predictor = Sampling()
    return SimpleNamespace(unet=SimpleNamespace(model=inner), vae=SimpleNamespace(first_stage_model=vae))


def test_forge_gets_its_own_predictor_and_the_latents_and_gives_them_back(script, shared, put, tmp_path):
    objects = forge(put)
    inner, vae = objects.unet.model, objects.vae.first_stage_model
    own = inner.predictor
    model = Model(checkpoint(tmp_path, "a.safetensors", ("edm_mean", "edm_std")), forge_objects=objects)
    for _ in range(2):  # never applied twice
        p = job(script, shared, model)
        assert inner.predictor.said == (0.5, "edm", 0.002, 80.0)
        assert (vae.process_in, vae.process_out) == (to_network, from_network)
        assert p.scheduler == "Karras"
        assert p.extra_generation_params == {"Playground EDM": "auto"}
    p = job(script, shared, model, "off")
    assert inner.predictor is own
    assert (vae.process_in, vae.process_out) == (str, repr)
    assert (p.scheduler, p.extra_generation_params) == ("Automatic", {"Playground EDM": "off"})


def test_zero_terminal_snr_leaves_the_sigmas_as_they_are(script, shared, put, tmp_path):
    model = Model(tmp_path / "playground2.5.ckpt", forge_objects=forge(put))
    job(script, shared, model)
    model.forge_objects.unet.model.predictor.set_sigmas(torch.ones(3))


@pytest.mark.parametrize("schedule", ["Automatic", "Uniform", "Turbo"])
def test_a_schedule_of_a_table_gives_way_to_edms_own(script, shared, put, tmp_path, schedule):
    model = Model(tmp_path / "playground2.5.ckpt", forge_objects=forge(put))
    p = job(script, shared, model, scheduler=schedule, hr_scheduler=schedule)
    assert (p.scheduler, p.hr_scheduler) == ("Karras", "Karras")
    p = job(script, shared, model, scheduler="Exponential", hr_scheduler="Exponential")
    assert (p.scheduler, p.hr_scheduler) == ("Exponential", "Exponential")


def test_another_model_is_never_touched(script, shared, put, tmp_path):
    first, other = (
        Model(tmp_path / name, forge_objects=forge(put)) for name in ("playground2.5.ckpt", "x.ckpt")
    )
    before = other.forge_objects.unet.model.predictor
    job(script, shared, first)
    p = job(script, shared, other)
    assert other.forge_objects.unet.model.predictor is before
    assert p.extra_generation_params == {}
    job(script, shared, other, "on")
    assert other.forge_objects.unet.model.predictor.said[1] == "edm"
    job(script, shared, other, "auto")
    assert other.forge_objects.unet.model.predictor is before


def test_reforge_gets_model_sampling_latent_format_and_times(script, shared, put, a1111, tmp_path):
    class Format:
        pass

    class EDM:
        pass

    put("ldm_patched")
    put("ldm_patched.modules")
    put("ldm_patched.modules.model_sampling", ModelSamplingContinuousEDM=Sampling, EDM=EDM)
    put("ldm_patched.modules.latent_formats", SDXL_Playground_2_5=Format)
    config = type("Config", (), {"latent_format": "sdxl"})()
    inner = SimpleNamespace(model_sampling="eps", model_config=config)
    objects = SimpleNamespace(unet=SimpleNamespace(model=inner))
    model = Model(tmp_path / "playground_v2.5.ckpt", forge_objects=objects)
    job(script, shared, model)
    assert inner.model_sampling.said == (0.5, "edm", 0.002, 80.0)
    assert isinstance(inner.model_sampling, EDM)
    assert isinstance(config.latent_format, Format)
    assert model.create_denoiser().sigmas[-1] == pytest.approx(80)
    model.sigmas_original = torch.ones(3)  # as the host notes it for Zero Terminal SNR, and never forgets
    inner.model_sampling.set_sigmas(torch.ones(3))
    job(script, shared, model, "off")
    assert not hasattr(model, "sigmas_original")
    assert (inner.model_sampling, config.latent_format) == ("eps", "sdxl")
    assert not hasattr(model, "create_denoiser")


def test_a1111_gets_a_denoiser_and_the_latents(script, shared, a1111, tmp_path):
    model, latent = Model(tmp_path / "x.ckpt"), torch.randn(2, 4, 3, 3)
    job(script, shared, model, "on")
    denoiser, sigma = model.create_denoiser(), torch.tensor([0.5, 20.0])
    wanted = denoise(lambda x, t: model.apply_model(x, t), latent, sigma, PLAYGROUND)
    torch.testing.assert_close(denoiser(latent, sigma, cond=None), wanted)
    torch.testing.assert_close(model.decode_first_stage(latent), from_network(latent))
    encoded = model.encode_first_stage(model.decode_first_stage(latent))
    torch.testing.assert_close(model.get_first_stage_encoding(encoded), latent)
    job(script, shared, model, "off")
    torch.testing.assert_close(model.decode_first_stage(latent), latent / 0.5)
    assert not hasattr(model, "create_denoiser")


@pytest.fixture
def model_loaded(shared):
    """What the host calls when it has loaded a checkpoint's weights into a model."""
    from presample.scripts.webui import callbacks

    callbacks.register()
    registered = sys.modules["modules.script_callbacks"].registered
    registered["before_ui"]()
    return registered["model_loaded"]


def test_a_checkpoint_that_a1111_loads_into_the_same_object_has_none_of_it(
    script, shared, a1111, model_loaded, tmp_path
):
    model = Model(tmp_path / "playground_v2.5.ckpt")
    own, other = model.sd_checkpoint_info, SimpleNamespace(filename=str(tmp_path / "hires.ckpt"))
    p = job(script, shared, model)

    def has_edm_after_loading(info):
        model.sd_checkpoint_info = info
        model_loaded(model)
        found = hasattr(model, "create_denoiser")
        script.before_process_batch(p, "auto", batch_number=1)
        return found, hasattr(model, "create_denoiser")

    assert has_edm_after_loading(other) == (False, False)  # for the hires pass of the first batch
    assert has_edm_after_loading(own) == (False, True)  # for the second batch
    script.before_process_batch(job(script, shared, model, "off"), "off", batch_number=0)
    assert not hasattr(model, "create_denoiser")


def test_a_model_that_forge_loads_anew_for_the_next_batch_has_it_too(script, shared, put, tmp_path):
    first, again = (Model(tmp_path / "playground2.5.ckpt", forge_objects=forge(put)) for _ in range(2))
    p = job(script, shared, first)
    shared.sd_model = again
    script.before_process_batch(p, "auto", batch_number=1)
    assert again.forge_objects.unet.model.predictor.said[1] == "edm"


def test_the_denoisers_times_go_both_ways_and_begin_at_the_largest():
    from presample.scripts.webui.edm_models import Denoiser

    denoiser = Denoiser(None)
    torch.testing.assert_close(denoiser.t_to_sigma(denoiser.sigma_to_t(denoiser.sigmas)), denoiser.sigmas)
    sigmas = denoiser.get_sigmas(10)
    assert sigmas[0] == denoiser.sigma_max
    assert (sigmas[:-1] > sigmas[1:]).all()
    assert (sigmas[-2], sigmas[-1]) == (denoiser.sigma_min, 0)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"sampler_name": "DDIM"}, "asks for timesteps"),
        ({"sampler_name": "LCM"}, "asks for timesteps"),
        ({"hr_sampler_name": "LCM"}, "asks for timesteps"),
        ({"edm": "perhaps"}, "must be one of"),
    ],
)
def test_what_cannot_be_is_said_and_the_model_left_as_it_is(script, shared, put, tmp_path, others, said):
    model = Model(tmp_path / "x.ckpt", forge_objects=forge(put))
    before = model.forge_objects.unet.model.predictor
    p = job(script, shared, model, **{"edm": "on", **others})
    assert said in p.comments[0]
    assert model.forge_objects.unet.model.predictor is before
    assert p.extra_generation_params == {}


def test_an_older_host_says_that_it_has_no_place_for_it(script, shared, tmp_path):
    p = job(script, shared, Model(tmp_path / "x.ckpt"), "on")
    assert "this WebUI has no place for it" in p.comments[0]


@pytest.mark.parametrize("lacking", ["vae", "PredictionContinuousEDM", "scale_factor", "SDXL_Playground_2_5"])
def test_a_host_that_lacks_a_part_of_it_is_told_which_and_left_as_it_is(
    script, shared, put, a1111, tmp_path, lacking
):
    others = {} if lacking == "scale_factor" else {"forge_objects": forge(put)}
    model = Model(tmp_path / "x.ckpt", **others)
    if lacking == "vae":
        del model.forge_objects.vae
    elif lacking == "PredictionContinuousEDM":
        put("backend.modules.k_prediction")
    elif lacking == "scale_factor":
        model.__class__ = type(
            "Older", (torch.nn.Module,), {"decode_first_stage": 1, "get_first_stage_encoding": 1}
        )
    else:
        put("ldm_patched")
        put("ldm_patched.modules")
        put(
            "ldm_patched.modules.model_sampling", ModelSamplingContinuousEDM=Sampling, EDM=type("EDM", (), {})
        )
        put("ldm_patched.modules.latent_formats")
        model.forge_objects.unet.model = SimpleNamespace(model_sampling="eps")
    inner = model.forge_objects.unet.model if others else model
    before = dict(vars(inner))
    p = job(script, shared, model, "on")
    assert f"this WebUI must have {lacking} for it" in p.comments[0]
    assert dict(vars(inner)) | {"_presample_edm": []} == before | {"_presample_edm": []}
    assert p.extra_generation_params == {}


def test_forge_loads_what_it_recognises_and_then_refused(put):
    from presample.scripts.webui import edm_models

    def refuses(scheduler):
        raise NotImplementedError(scheduler)

    forge(put)
    loader = put("backend.modules.k_model", k_prediction_from_diffusers_scheduler=refuses)
    edm_models.let_forge_load()
    first = loader.k_prediction_from_diffusers_scheduler
    edm_models.let_forge_load()
    assert loader.k_prediction_from_diffusers_scheduler is first, "Reload UI runs it again"
    scheduler = SimpleNamespace(config=SimpleNamespace(prediction_type="edm"))
    assert first(scheduler).said == (0.5, "edm", 0.002, 80.0)
    scheduler.config.prediction_type = "sample"
    with pytest.raises(NotImplementedError):
        first(scheduler)


def test_a_backend_that_is_not_forges_is_left_alone(put):
    from presample.scripts.webui import edm_models

    put("backend")
    edm_models.let_forge_load()
    newer = put("backend.modules.k_model", prediction=None)
    edm_models.let_forge_load()
    assert vars(newer)["prediction"] is None


def test_pasting_restores_the_mode(shared):
    from presample.scripts.webui.playground import pasted

    assert [pasted(pairs) for pairs in ({"Playground EDM": "on"}, {"Playground EDM": "?"}, {})] == [
        "on",
        "auto",
        "auto",
    ]
