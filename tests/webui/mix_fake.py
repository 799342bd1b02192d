"""As much of a host as Encoder Mix touches: a model of small CLIPs, conditioning by steps, and its cache."""

import types
from collections import namedtuple

import torch

from presample.models.textcraftor.files import weights_of

Entry = namedtuple("Entry", ["end_at_step", "cond"])
Fix = namedtuple("Fix", ["offset", "embedding"])  # what goes behind the token at `offset`
LAYERS, WIDTH, WORDS, LENGTH = 2, 8, 32, 6


class Prompts(list):
    """Prompts as hosts hand them over."""

    def __init__(self, prompts, *, negative=False):
        super().__init__(prompts)
        self.is_negative_prompt = negative


class Part:
    """One part of a prompt between ANDs."""

    def __init__(self, schedules, weight=1.0):
        self.schedules, self.weight = schedules, weight


def shapes():
    """The shapes of a small CLIP of transformers' names."""
    names = weights_of(LAYERS)
    sizes = {"token": (WORDS, WIDTH), "position": (LENGTH, WIDTH), "fc1.weight": (4 * WIDTH, WIDTH)}
    sizes |= {"fc1.bias": (4 * WIDTH,), "fc2.weight": (WIDTH, 4 * WIDTH), "proj.weight": (WIDTH, WIDTH)}
    return {name: next((size for end, size in sizes.items() if end in name), (WIDTH,)) for name in names}


def tensors(seed):
    """The weights of a small CLIP."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes().items()}


class Wrapped(torch.nn.Module):
    """What hosts put around the token embedding; it uses up what textual inversion is to insert."""

    def __init__(self, wrapped, keeper):
        super().__init__()
        self.wrapped, self.keeper = wrapped, [keeper]

    def forward(self, tokens):
        fixes, self.keeper[0].fixes = self.keeper[0].fixes, None
        found = self.wrapped(tokens)
        for row, inserted in zip(found, fixes or [], strict=False):
            for offset, embedding in inserted:
                row[offset + 1 : offset + 1 + len(embedding.vec)] = embedding.vec
        return found


class Embedding:
    """An embedding of textual inversion: vectors in the place of tokens."""

    def __init__(self, value):
        self.vec = torch.full((2, WIDTH), value)


class Engine(torch.nn.Module):
    """A text encoder as A1111 has it: `wrapped.transformer`, and what it counts in `hijack`."""

    def __init__(self, seed, *, pooled=False):
        super().__init__()
        self.hijack = types.SimpleNamespace(fixes=None, extra_generation_params={})
        self.pooled, self.calls = pooled, 0
        self.wrapped = torch.nn.Module()
        self.wrapped.transformer = self.tree = torch.nn.Module()
        for name, tensor in tensors(seed).items():
            self.add(name.split("."), torch.nn.Parameter(tensor, requires_grad=False))
        inner = self.tree.text_model.embeddings
        embedding = torch.nn.Embedding(WORDS, WIDTH)
        embedding.weight = inner.token_embedding.weight
        inner.token_embedding = Wrapped(embedding, self.hijack)

    def add(self, path, parameter):
        module = self.tree
        for name in path[:-1]:
            if not hasattr(module, name):
                module.add_module(name, torch.nn.Module())
            module = getattr(module, name)
        module.register_parameter(path[-1], parameter)

    def encode_with_transformers(self, tokens):
        self.calls += 1
        self.hijack.extra_generation_params["TI hashes"] = (
            self.hijack.extra_generation_params.get("TI hashes", "") + "x"
        )
        found = self.tree.text_model.embeddings.token_embedding(tokens)
        found = found + self.tree.text_model.embeddings.position_embedding.weight
        for layer in self.tree.text_model.encoder.layers.children():
            found = (
                found
                + torch.tanh(found @ layer.self_attn.q_proj.weight.T) @ layer.self_attn.out_proj.weight.T
            )
        if self.pooled:
            found.pooled = found[:, -1]
        return found


def host_shared(engine, **others):
    """A model whose only text encoder that is."""
    return types.SimpleNamespace(cond_stage_model=engine, **others)


def encode(model, text):
    """The conditioning of one text: its letters, with `(` for emphasis twice as strong.

    A model with a conditioner has what each of its embedders makes of it side by side.
    """
    letters = [ord(letter) % WORDS for letter in text.replace("(", "").ljust(LENGTH)[:LENGTH]]
    embedders = getattr(getattr(model, "conditioner", None), "embedders", None) or [model.cond_stage_model]
    asked = [one for one in embedders if hasattr(one, "encode_with_transformers")]
    found = torch.cat([one.encode_with_transformers(torch.tensor([letters])) for one in asked], -1)
    return found[0] * (2 if "(" in text else 1)


def schedules(model, prompts, steps, hires_steps=None, use_old_scheduling=False):
    """Conditioning of prompts; `a|b` is `a` up to and with the second step, and then `b`."""
    found = []
    for prompt in prompts:
        first, _, second = prompt.partition("|")
        texts = [(2, first), (hires_steps or steps, second)] if second else [(hires_steps or steps, first)]
        found.append([Entry(end, encode(model, text)) for end, text in texts])
    return found


def multicond(model, prompts, steps, hires_steps=None, use_old_scheduling=False):
    """The same, with parts between ANDs."""
    batch = [
        [
            Part(schedules(model, [part], steps, hires_steps)[0], weight)
            for weight, part in enumerate(prompt.split("AND"), 1)
        ]
        for prompt in prompts
    ]
    return types.SimpleNamespace(shape=(len(prompts),), batch=batch)


def at_step(schedule, step):
    """What hosts take in a step: the first entry that holds up to it, the first of all behind the last."""
    return next((entry.cond for entry in schedule if step <= entry.end_at_step), schedule[0].cond)


class Job:
    """What `StableDiffusionProcessing` has of conditioning."""

    def __init__(self, shared, prompts, *, negative=("bad",), steps=10, cache=None, **others):
        self.shared, self.prompts, self.negative_prompts, self.steps = shared, prompts, negative, steps
        self.extra_generation_params, self.comments, self.denoising_strength = {}, {}, None
        self.cache = (
            cache if cache is not None else {"c": [None, None], "uc": [None, None], "hr": [None, None]}
        )
        self.step_multiplier, self.enable_hr = 1, False
        vars(self).update(others)

    def comment(self, text):
        self.comments[text] = 1

    def cached_params(
        self, required_prompts, steps, extra_network_data, hires_steps=None, use_old_scheduling=False
    ):
        return (list(required_prompts), steps, hires_steps, id(self.shared.sd_model))

    def get_conds_with_caching(
        self, function, required_prompts, steps, caches, extra_network_data, hires_steps=None
    ):
        params = self.cached_params(required_prompts, steps, extra_network_data, hires_steps, False)
        for cache in caches:
            if cache[0] is not None and cache[0] == params:
                return cache[1]
        caches[0][1] = function(self.shared.sd_model, required_prompts, steps, hires_steps, False)
        caches[0][0] = params
        return caches[0][1]

    def setup_conds(self):
        negative = Prompts(self.negative_prompts, negative=True)
        calls = self.steps * self.step_multiplier
        self.uc = self.get_conds_with_caching(schedules, negative, calls, [self.cache["uc"]], None)
        self.c = self.get_conds_with_caching(multicond, Prompts(self.prompts), calls, [self.cache["c"]], None)
        if self.enable_hr:
            caches = [self.cache["hr"], self.cache["c"]]
            self.hr_c = self.get_conds_with_caching(
                multicond, Prompts(self.prompts), calls, caches, None, calls
            )
        return self

    def seen(self, step, *, of="c"):
        """What the denoiser is given in a step, for each part of each prompt."""
        if of == "uc":
            return [at_step(schedule, step) for schedule in self.uc]
        return [at_step(part.schedules, step) for parts in getattr(self, of).batch for part in parts]


def mixed(host, prompts=("lake",), cache=None, job=None, **args):
    """A job that has been through the script and has computed its conditioning."""
    p = Job(host.shared, list(prompts), cache=cache, **(job or {}))
    arguments = {"enabled": True, "encoder_1": "vivid.safetensors", **args} if args else {}
    host.script.process(p, arguments)
    return p.setup_conds()
