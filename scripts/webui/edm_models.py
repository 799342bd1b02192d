"""Playground v2.5's sampling on a host's loaded model, and the model as it was.

Convention: everything is an attribute of the one model that is loaded, so another model never has any of it.
Forge and Neo keep what turns answers into pictures in `predictor`, reForge in `model_sampling` and the latent
format, A1111 in the denoiser that it builds for every job and in the model's own encoding and decoding.
"""

import importlib
import importlib.util
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...models.files import tensor_names
from ...models.playground.edm import PLAYGROUND, denoise
from ...models.playground.latents import from_network, to_network
from ...models.playground.schedules import exponential

APPLIED = "_presample_edm"  # on a model: what was changed for it, to be undone
KEYS = ("edm_mean", "edm_std")  # what a checkpoint in its original layout has
NAMED = re.compile(r"playground.*2[.\-_]?5(?!\d)", re.IGNORECASE)
COUNT = 1000  # sigmas of a table, as other models have it


def is_playground(path: Path) -> bool:
    """Returns whether a checkpoint says that it is Playground v2.5, in its tensors' names or in its own."""
    return bool(NAMED.search(path.stem)) or set(KEYS) <= set(tensor_names(path))


def can(model: Any) -> bool:
    """Returns whether this host has a place for EDM."""
    if hasattr(_inner(model), "predictor"):
        return True
    try:  # the release that brought it asks models for `create_denoiser`
        return importlib.util.find_spec("modules.models.sd3") is not None
    except ModuleNotFoundError:
        return False


def _inner(model: Any) -> Any:
    """What Forge and its kin sample with in a loaded model; None in A1111."""
    return getattr(getattr(getattr(model, "forge_objects", None), "unet", None), "model", None)


def _of_host(owner: Any, name: str) -> Any:
    """What a host has under a name; raises ValueError where it has nothing."""
    if not hasattr(owner, name):
        raise ValueError(f"this WebUI must have {name} for it, and has not; get the WebUI's newest version")
    return getattr(owner, name)


def switch(model: Any, on: bool) -> None:
    """Has the loaded model sample as Playground v2.5 does, or as it did before.

    Raises ValueError or ImportError, the model being as it was, where the host lacks what that takes.
    """
    done = getattr(model, APPLIED, [])
    if bool(done) == on:
        return
    object.__setattr__(model, APPLIED, done)
    try:
        for owner, name, value in _changes(model) if on else ():
            own = name in vars(owner) or name in vars(owner).get("_modules", {})
            done.append((owner, name, own, getattr(owner, name, None)))
            setattr(owner, name, value)
    except BaseException:
        _undo(done)
        raise
    if not on:
        _undo(done)


def _undo(done: list[tuple]) -> None:
    while done:
        owner, name, own, before = done.pop()
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


def _changes(model: Any) -> Iterator[tuple[Any, str, Any]]:
    """Yields the attributes that make a model one of Playground's: owner, name, value."""
    inner = _inner(model)
    if hasattr(inner, "predictor"):
        yield inner, "predictor", predictor()
        vae = _of_host(_of_host(model.forge_objects, "vae"), "first_stage_model")
        yield vae, "process_in", to_network
        yield vae, "process_out", from_network
    elif hasattr(inner, "model_sampling"):
        yield from _of_reforge(inner)
        # Its table once Zero Terminal SNR has been on, given back for ever.
        yield model, "sigmas_original", None
        yield model, "create_denoiser", lambda: Denoiser(model)
    else:
        yield from _of_a1111(model)
        yield model, "create_denoiser", lambda: Denoiser(model)


def predictor() -> Any:
    """Returns Forge's own EDM, with Playground's numbers."""
    known = importlib.import_module("backend.modules.k_prediction")
    how = PLAYGROUND
    kind = _of_host(known, "PredictionContinuousEDM")
    return _kept(kind(how.sigma_data, "edm", how.sigma_min, how.sigma_max))


def _kept(sampling: Any) -> Any:
    """Has a table of sigmas stay: for Zero Terminal SNR hosts replace the one that models of noise have."""
    sampling.set_sigmas = lambda sigmas: None
    return sampling


def _of_reforge(inner: Any) -> Iterator[tuple[Any, str, Any]]:
    sampling = importlib.import_module("ldm_patched.modules.model_sampling")
    formats = importlib.import_module("ldm_patched.modules.latent_formats")
    kinds = tuple(_of_host(sampling, name) for name in ("ModelSamplingContinuousEDM", "EDM"))
    made = type("ModelSampling", kinds, {})()
    made.set_parameters(PLAYGROUND.sigma_min, PLAYGROUND.sigma_max, PLAYGROUND.sigma_data)
    yield inner, "model_sampling", _kept(made)
    latents = _of_host(formats, "SDXL_Playground_2_5")
    yield _of_host(inner, "model_config"), "latent_format", latents()


def _of_a1111(model: Any) -> Iterator[tuple[Any, str, Any]]:
    names = ("decode_first_stage", "get_first_stage_encoding", "scale_factor")
    decode, encoding, scale = (_of_host(model, name) for name in names)
    yield model, "decode_first_stage", lambda z, *args, **how: decode(scale * from_network(z), *args, **how)
    # What SD 1's own encoder gives is a distribution; this makes of it what is sampled, for SDXL too.
    yield model, "get_first_stage_encoding", lambda encoded: to_network(encoding(encoded) / scale)


class Denoiser(torch.nn.Module):
    """What A1111's samplers of k-diffusion ask: D(x; sigma), and a table of sigmas."""

    def __init__(self, model: Any):
        super().__init__()
        self.inner_model, self.sigma_data = model, PLAYGROUND.sigma_data
        falling = exponential(COUNT, sigma_min=PLAYGROUND.sigma_min, sigma_max=PLAYGROUND.sigma_max)
        self.register_buffer("sigmas", falling.flip(0).float())
        self.register_buffer("log_sigmas", self.sigmas.log())

    @property
    def sigma_min(self) -> torch.Tensor:
        return self.sigmas[0]

    @property
    def sigma_max(self) -> torch.Tensor:
        return self.sigmas[-1]

    def sigma_to_t(self, sigma: torch.Tensor, quantize: bool | None = None) -> torch.Tensor:
        return PLAYGROUND.time(sigma)

    def t_to_sigma(self, t: torch.Tensor) -> torch.Tensor:
        return PLAYGROUND.sigma(t)

    def get_sigmas(self, n: int | None = None) -> torch.Tensor:
        """Returns sigmas from the largest on, and 0."""
        places = torch.linspace(COUNT - 1, 0, n or COUNT).round().long()
        return torch.cat([self.sigmas[places.to(self.sigmas.device)], self.sigmas.new_zeros(1)])

    def forward(self, x: torch.Tensor, sigma: torch.Tensor, **conditions: Any) -> torch.Tensor:
        return denoise(partial(self.inner_model.apply_model, **conditions), x, sigma, PLAYGROUND)


def let_forge_load() -> None:
    """Has Forge load Playground's checkpoints: it recognises them, and then has no predictor for them.

    A `backend` of another host's extension is none of Forge's.
    """
    try:
        known = importlib.import_module("backend.modules.k_model")
        own = known.k_prediction_from_diffusers_scheduler
    except (ImportError, AttributeError):
        return
    if hasattr(own, APPLIED):
        return

    def of_scheduler(scheduler: Any) -> Any:
        kind = getattr(getattr(scheduler, "config", None), "prediction_type", None)
        return predictor() if kind == "edm" else own(scheduler)

    setattr(of_scheduler, APPLIED, True)
    known.k_prediction_from_diffusers_scheduler = of_scheduler
