"""A fake of just those names of ComfyUI that `nodes/` uses. A test compares it with the real thing.

`install()` puts it into sys.modules. It is read as text too, by tests that run a fresh interpreter.
"""

import dataclasses
import enum
import sys
import types
from abc import ABC, abstractmethod


class _Socket:
    kind = "*"

    def __init__(self, id=None, display_name=None, optional=False, tooltip=None, lazy=None, extra_dict=None):
        self.id, self.optional, self.lazy, self.tooltip = id, optional, lazy, tooltip
        self.facts, self.extra_dict = {}, extra_dict

    def as_dict(self):
        facts = {"tooltip": self.tooltip, "lazy": self.lazy, **self.facts, **(self.extra_dict or {})}
        return {name: value for name, value in facts.items() if value is not None}


class _Made:
    def __init__(self, display_name=None, tooltip=None, is_output_list=False):
        self.display_name, self.tooltip, self.is_output_list = display_name, tooltip, is_output_list


def _widget_class(*names):
    """An input class whose constructor takes `names` beside what every widget takes."""
    shared = ("display_name", "optional", "tooltip", "lazy", "default", "extra_dict", "advanced")
    code = f"def __init__(self, id, {', '.join(f'{name}=None' for name in (*names, *shared))}):\n"
    code += "    _Socket.__init__(self, id, None, optional or False, tooltip, lazy, extra_dict)\n"
    for name in (*names, "default", "advanced"):
        code += f"    self.facts[{name!r}] = {name}\n"
    space = {"_Socket": _Socket}
    exec(code, space)  # so that inspect.signature sees the names, as it does those of the real class
    return type("Input", (_Socket,), {"__init__": space["__init__"]})


def _type(kind, *names):
    made = type(kind.title(), (), {})
    made.Input = type("Input", (_widget_class(*names) if names else _Socket,), {"kind": kind})
    made.Output = type("Output", (_Made,), {"kind": kind})
    return made


@dataclasses.dataclass
class Schema:
    node_id: str
    display_name: str = None
    category: str = "sd"
    inputs: list = dataclasses.field(default_factory=list)
    outputs: list = dataclasses.field(default_factory=list)
    hidden: list = dataclasses.field(default_factory=list)
    description: str = ""
    is_input_list: bool = False
    search_aliases: list = dataclasses.field(default_factory=list)
    is_output_node: bool = False


class Hidden(str, enum.Enum):
    unique_id = "UNIQUE_ID"
    extra_pnginfo = "EXTRA_PNGINFO"
    prompt = "PROMPT"


class NumberDisplay(str, enum.Enum):
    slider = "slider"


class ComfyNode:
    hidden = types.SimpleNamespace(unique_id=None, extra_pnginfo=None, prompt=None)

    @classmethod
    def GET_SCHEMA(cls):
        return cls.define_schema()


class NodeOutput:
    def __init__(self, *args, ui=None):
        self.args, self.ui = args, ui


@dataclasses.dataclass
class NodeReplace:
    new_node_id: str
    old_node_id: str
    old_widget_ids: list = None
    input_mapping: list = None
    output_mapping: list = None


class ComfyExtension(ABC):
    @abstractmethod
    async def get_node_list(self): ...


class _Replacement:
    def __init__(self):
        self.registered = []

    async def register(self, node_replace):
        self.registered.append(node_replace)


class ComfyAPI:
    node_replacement = _Replacement()


class InterruptProcessingException(BaseException):
    pass


class ModelPatcher:
    def __init__(self, model, load_device, offload_device, size=0):
        self.model, self.load_device, self.offload_device, self.size = (
            model,
            load_device,
            offload_device,
            size,
        )
        self.patches, self.forced_hooks, self.registered, self.injections = {}, None, [], {}

    def model_size(self):
        return self.size

    def clone(self):
        made = type(self)(self.model, self.load_device, self.offload_device, self.size)
        made.patches = {name: list(patches) for name, patches in self.patches.items()}
        made.forced_hooks, made.injections = self.forced_hooks, dict(self.injections)
        return made

    def add_patches(self, patches, strength_patch=1.0, strength_model=1.0):
        known = [name for name in patches if name in self.model.state_dict()]
        for name in known:
            patch = (strength_patch, patches[name], strength_model)
            self.patches[name] = [*self.patches.get(name, []), patch]
        return known

    def get_key_patches(self):
        return {
            name: [weight, *self.patches.get(name, [])] for name, weight in self.model.state_dict().items()
        }

    def detach(self):
        pass

    def register_all_hook_patches(self, hooks, target_dict):
        self.registered.append((hooks, target_dict))


def _patched(weight, patches):
    """A weight under patches: of tensors, or of a weight with patches of its own."""
    for strength_patch, patch, strength_model in patches:
        other = _patched(patch[0], patch[1:]) if isinstance(patch, list) else patch[1][0]
        weight = weight * strength_model + strength_patch * other
    return weight


class CLIP:
    """A CLIP over any module that makes (cond, pooled) of tokens and a layer."""

    def __init__(self, target=None, no_init=False):
        if no_init:
            return
        self.cond_stage_model, self.tokenizer = target.clip, target.tokenizer
        self.patcher = ModelPatcher(target.clip, "cpu", "cpu")
        self.layer_idx = self.apply_hooks_to_conds = None
        self.use_clip_schedule, self.tokenizer_options = False, {}

    def clone(self):
        made = CLIP(no_init=True)
        made.__dict__.update(self.__dict__)
        made.patcher = self.patcher.clone()
        return made

    def add_patches(self, patches, strength_patch=1.0, strength_model=1.0):
        return self.patcher.add_patches(patches, strength_patch, strength_model)

    def get_key_patches(self):
        return self.patcher.get_key_patches()

    def clip_layer(self, layer_idx):
        self.layer_idx = layer_idx

    def tokenize(self, text):
        return self.tokenizer(text)

    def load_model(self, tokens=None):
        return self.patcher

    def get_sd(self):
        return self.cond_stage_model.state_dict()

    def state_dict_for_saving(self):
        return self.cond_stage_model.state_dict()

    def encode_from_tokens(self, tokens, return_pooled=False, return_dict=False):
        import torch

        weights = {name: _patched(each[0], each[1:]) for name, each in self.get_key_patches().items()}
        cond, pooled = torch.func.functional_call(self.cond_stage_model, weights, (tokens, self.layer_idx))
        if return_dict:
            return {"cond": cond, "pooled_output": pooled}
        return (cond, pooled) if return_pooled else cond

    def encode_from_tokens_scheduled(self, tokens, add_dict=None):
        facts = self.encode_from_tokens(tokens, return_dict=True)
        return [[facts.pop("cond"), {**facts, **(add_dict or {})}]]


class ExecutionBlocker:
    def __init__(self, message):
        self.message = message


def _models():
    """Where models are known by their weights and built: comfy.model_base and what belongs to it."""
    import torch

    class ModelType(enum.Enum):
        FLOW = 6

    class LatentFormat:
        latent_channels = 16

        def process_in(self, latent):
            return (latent - 0.1159) * 0.3611

        def process_out(self, latent):
            return latent / 0.3611 + 0.1159

    class BASE:
        latent_format = LatentFormat
        text_encoder_key_prefix = ("cond_stage_model.",)

        def __init__(self, unet_config):
            self.unet_config, self.latent_format = dict(unet_config), self.latent_format()

        def process_unet_state_dict_for_saving(self, state_dict):
            return {f"model.diffusion_model.{name}": tensor for name, tensor in state_dict.items()}

    class BaseModel(torch.nn.Module):
        def __init__(self, model_config, model_type=None, device=None, unet_model=None):
            super().__init__()
            self.model_config, self.latent_format = model_config, model_config.latent_format
            self.model_sampling = types.SimpleNamespace(
                multiplier=1000.0, percent_to_sigma=lambda percent: 1 - percent
            )
            self.diffusion_model = unet_model(
                **model_config.unet_config, device=device, operations=torch.nn
            ).requires_grad_(False)

        def extra_conds(self, **kwargs):
            return {"c_crossattn": CONDRegular(kwargs.get("cross_attn"))}

    class CONDRegular:
        def __init__(self, cond):
            self.cond = cond

    def detect_unet_config(state_dict, key_prefix, metadata=None):
        return {"image_model": "other"} if f"{key_prefix}other" in state_dict else None

    return {
        "comfy.conds": {"CONDRegular": CONDRegular},
        "comfy.latent_formats": {"Flux": LatentFormat, "SDXL_Playground_2_5": LatentFormat},
        "comfy.model_base": {"BaseModel": BaseModel, "ModelType": ModelType, "SDXL": type("SDXL", (), {})},
        "comfy.model_detection": {"detect_unet_config": detect_unet_config},
        "comfy.supported_models": {"models": []},
        "comfy.supported_models_base": {"BASE": BASE, "ClipTarget": ClipTarget},
    }


class ClipTarget:
    def __init__(self, tokenizer, clip):
        self.tokenizer, self.clip = tokenizer, clip


def _answer(model, cond, x, sigma):
    """What a pass of a model makes of x."""
    import torch

    text, facts = cond[0]
    given = model.extra_conds(cross_attn=text, **facts)
    t = model.process_timestep(sigma * model.model_sampling.multiplier)
    context, mask = (
        torch.cat([given[name].cond] * len(x)) if name in given else None
        for name in ("c_crossattn", "attention_mask")
    )
    return x - sigma.view(-1, 1, 1, 1) * model.diffusion_model(x, t, context, mask, {})


def _samplers():
    """comfy.sample and comfy.samplers: guidance and noise, without memory management."""
    import torch

    def sample_custom(
        model,
        noise,
        cfg,
        sampler,
        sigmas,
        positive,
        negative,
        latent_image,
        noise_mask=None,
        callback=None,
        disable_pbar=False,
        seed=None,
    ):
        def guided(x, sigma):
            away, towards = (_answer(model.model, each, x, sigma) for each in (negative, positive))
            made = away + cfg * (towards - away)
            return made if noise_mask is None else made * noise_mask + latent * (1 - noise_mask)

        form, steps = model.model.latent_format, len(sigmas) - 1
        latent = form.process_in(latent_image) if latent_image.any() else latent_image
        made = sampler.sampler_function(
            guided,
            sigmas[0] * noise + (1 - sigmas[0]) * latent,
            sigmas,
            callback=lambda said: callback(said["i"], said["denoised"], said["x"], steps),
            disable=True,
            **sampler.extra_options,
        )
        return form.process_out(made)

    def prepare_noise(latent_image, seed, noise_inds=None):
        generator = torch.Generator().manual_seed(seed)
        if noise_inds is None:
            return torch.randn(latent_image.shape, generator=generator)
        draws = torch.randn(max(noise_inds) + 1, *latent_image.shape[1:], generator=generator)
        return draws[list(noise_inds)]

    def fix_empty_latent_channels(model, latent_image):
        return latent_image if latent_image.any() else latent_image[:, :1].repeat(1, 16, 1, 1)

    return {
        "comfy.sample": {
            "sample_custom": sample_custom,
            "prepare_noise": prepare_noise,
            "fix_empty_latent_channels": fix_empty_latent_channels,
        },
        "comfy.samplers": {"KSAMPLER": KSAMPLER},
        "comfy.model_sampling": _sampling(),
        "latent_preview": {"prepare_callback": lambda model, steps: lambda step, x0, x, total_steps: None},
    }


class KSAMPLER:
    def __init__(self, sampler_function, extra_options=None):
        self.sampler_function, self.extra_options = sampler_function, extra_options or {}


def _attention():
    """What a model asks while it answers: attention, and wrappers that others have put around it."""
    from torch.nn.functional import scaled_dot_product_attention

    def attend(q, k, v, mask):
        return scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)

    return {
        "comfy.ldm": {},
        "comfy.ldm.modules": {},
        "comfy.ldm.modules.attention": {  # the real one calls q, k and v as it likes
            "optimized_attention": lambda q, k, v, heads, mask=None, **_: attend(q, k, v, mask)
        },
        "comfy.patcher_extension": {
            "get_all_wrappers": lambda wrapper_type, options: [],
            "WrappersMP": type("WrappersMP", (), {"DIFFUSION_MODEL": "diffusion_model"}),
            "WrapperExecutor": WrapperExecutor,
        },
    }


class WrapperExecutor:
    def __init__(self, original, class_obj, wrappers):
        self.original = original

    @classmethod
    def new_class_executor(cls, original, class_obj, wrappers):
        return cls(original, class_obj, wrappers)

    def execute(self, *args, **kwargs):
        return self.original(*args, **kwargs)


def _encoders():
    """comfy.sd: the CLIP and the VAE, and the classes that the former is made of."""
    names = ("SDTokenizer", "SD1Tokenizer", "SDClipModel", "SD1ClipModel")
    return {
        "comfy.sd": {"CLIP": CLIP, "VAE": Nothing, "load_diffusion_model": lambda unet_path: None},
        "comfy.sd1_clip": {name: type(name, (), {}) for name in names},
        "comfy.clip_model": {"CLIPTextModel": type("CLIPTextModel", (), {})},
    }


def _sampling():
    """comfy.model_sampling: the numbers of a schedule, without its tables."""

    class V_PREDICTION:
        pass

    class EDM(V_PREDICTION):
        pass

    class ModelSamplingContinuousEDM:
        def __init__(self, model_config=None):
            self.set_parameters(0.002, 120.0, 1.0)

        def set_parameters(self, sigma_min, sigma_max, sigma_data):
            self.sigma_min, self.sigma_max, self.sigma_data = sigma_min, sigma_max, sigma_data

    class ModelSamplingDiscreteFlow:
        def set_parameters(self, shift=1.0, timesteps=1000, multiplier=1000):
            self.shift, self.multiplier = shift, multiplier

    class ModelSamplingFlux:
        def set_parameters(self, shift=1.15, timesteps=10000):
            self.shift = shift

    return {kind.__name__: kind for kind in locals().values()}


class Nothing:
    """A class that no test makes one of."""


class ProgressBar:
    def __init__(self, total, node_id=None):
        self.total, self.node_id, self.values = total, node_id, []

    def update_absolute(self, value, total=None):
        self.values.append((value, total))


class PromptServer:
    instance = None


def _custom(io_type):
    return _type(io_type)


def _io():
    """comfy_api.latest.io"""
    number = ("min", "max", "step")
    return types.SimpleNamespace(
        Schema=Schema,
        Hidden=Hidden,
        ComfyNode=ComfyNode,
        NodeOutput=NodeOutput,
        NodeReplace=NodeReplace,
        Int=_type("INT", *number, "control_after_generate"),
        Float=_type("FLOAT", *number, "display_mode"),
        String=_type("STRING", "multiline", "dynamic_prompts", "force_input"),
        Boolean=_type("BOOLEAN"),
        Combo=_type("COMBO", "options"),
        Latent=_type("LATENT"),
        Clip=_type("CLIP"),
        Image=_type("IMAGE"),
        Conditioning=_type("CONDITIONING"),
        Model=_type("MODEL"),
        Vae=_type("VAE"),
        Sigmas=_type("SIGMAS"),
        Custom=_custom,
        NumberDisplay=NumberDisplay,
    )


def _management(torch_device):
    """comfy.model_management, on a processor; `state` is what a test may change."""
    state = types.SimpleNamespace(interrupted=False, loaded=[], freed=[])

    def throw_exception_if_processing_interrupted():
        if state.interrupted:
            raise InterruptProcessingException

    def load_models_gpu(models, memory_required=0, force_full_load=False):
        state.loaded.append((list(models), memory_required, force_full_load))

    def free_memory(memory_required, device):
        state.freed.append((memory_required, device.type))

    return {
        "state": state,
        "free_memory": free_memory,
        "text_encoder_device": lambda: torch_device("cpu"),
        "text_encoder_offload_device": lambda: torch_device("cpu"),
        "get_torch_device": lambda: torch_device("cpu"),
        "processing_interrupted": lambda: state.interrupted,
        "throw_exception_if_processing_interrupted": throw_exception_if_processing_interrupted,
        "load_models_gpu": load_models_gpu,
        "InterruptProcessingException": InterruptProcessingException,
    }


def _paths(base):
    """folder_paths, below `base`."""
    known = {"text_encoders": ([f"{base}/models/text_encoders"], {".safetensors"})}

    def add_model_folder_path(folder_name, full_folder_path, is_default=False):
        paths, _ = known.setdefault(folder_name, ([], set()))
        if full_folder_path not in paths:
            paths.insert(0 if is_default else len(paths), full_folder_path)

    return {
        "models_dir": f"{base}/models",
        "folder_names_and_paths": known,
        "add_model_folder_path": add_model_folder_path,
        "get_folder_paths": lambda folder_name: list(known[folder_name][0]),
        "get_input_directory": lambda: f"{base}/input",
    }


def modules(base="/nowhere"):
    """Returns the fake modules by their names."""
    import torch

    contents = {
        "comfy_api": {},
        "comfy_api.latest": {"ComfyExtension": ComfyExtension, "ComfyAPI": ComfyAPI, "io": _io()},
        "comfy": {},
        "comfy.model_management": _management(torch.device),
        "comfy.model_patcher": {"ModelPatcher": ModelPatcher},
        "comfy.hooks": {
            "create_target_dict": lambda target: {"target": target},
            "EnumWeightTarget": type("EnumWeightTarget", (), {"Clip": "Clip"}),
        },
        "comfy_execution": {},
        "comfy_execution.graph_utils": {"ExecutionBlocker": ExecutionBlocker},
        "comfy_execution.utils": {"get_executing_context": lambda: None},
        "comfy.utils": {
            "ProgressBar": ProgressBar,
            "load_torch_file": lambda ckpt, safe_load=False: {},
            "calculate_parameters": len,
        },
        **_models(),
        **_samplers(),
        **_attention(),
        **_encoders(),
        "folder_paths": _paths(base),
        "server": {"PromptServer": PromptServer},
    }
    made = {}
    for name, content in contents.items():
        made[name] = types.ModuleType(name)
        made[name].__dict__.update(content)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(made[parent], child, made[name])
    return made


def install(base="/nowhere"):
    """Puts the fake into sys.modules, and returns its modules."""
    made = modules(base)
    sys.modules.update(made)
    return made
