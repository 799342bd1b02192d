"""A WebUI of just the names that the scripts use, and a job as its processing makes one."""

import importlib.util
import json
import sys
import types


class OptionInfo:
    """A setting, as scripts declare it."""

    def __init__(self, default=None, label="", component=None, component_args=None):
        self.default, self.label, self.component_args, self.section = default, label, component_args, None

    def info(self, text):
        return self

    def needs_reload_ui(self):
        return self


class Options:
    """Settings: a name that nobody has added is an AttributeError."""

    def __init__(self, **known):
        self.labels = {}
        vars(self).update(known)

    def add_option(self, name, info):
        self.labels[name] = info
        vars(self).setdefault(name, info.default)


class Styles:
    """The host's styles: texts that go behind a prompt, or around it where they say `{prompt}`."""

    def __init__(self, **texts):
        self.texts = {name: (text, "") if isinstance(text, str) else text for name, text in texts.items()}

    def apply_negative_styles_to_prompt(self, prompt, names):
        return ", ".join(filter(None, [prompt, *(self.texts[name][1] for name in names)]))

    def extract_styles_from_prompt(self, prompt, negative):
        found = []
        for name, (text, bad) in self.texts.items():
            if prompt.endswith(text) and negative.endswith(bad):
                prompt = prompt.removesuffix(text).removesuffix(", ")
                negative = negative.removesuffix(bad).removesuffix(", ")
                found.append(name)
        return found, prompt, negative


def install(monkeypatch, models_path) -> types.SimpleNamespace:
    """Puts the fake host's modules in place; returns its `shared`."""
    import torch

    class Script:
        is_img2img = False

    state = types.SimpleNamespace(interrupted=False, skipped=False, stopping_generation=False, textinfo=None)
    opts = Options(infotext_styles="Apply if any")
    registered = {}
    parts = {
        "scripts": {"Script": Script, "AlwaysVisible": object(), "scripts_data": []},
        "shared": {
            "state": state,
            "opts": opts,
            "cmd_opts": types.SimpleNamespace(),
            "prompt_styles": Styles(),
            "sd_model": None,
            "OptionInfo": OptionInfo,
        },
        "devices": {"device": torch.device("cpu"), "torch_gc": lambda: None},
        "paths": {"models_path": str(models_path)},
        "images": {"read_info_from_image": lambda image: (image.info.get("parameters"), {})},
        "script_callbacks": {
            "registered": registered,
            "on_before_ui": lambda call: registered.update(before_ui=call),
            "on_infotext_pasted": lambda call: registered.update(infotext_pasted=call),
            "on_model_loaded": lambda call: registered.update(model_loaded=call),
        },
    }
    host = types.ModuleType("modules")
    monkeypatch.setitem(sys.modules, "modules", host)
    for name, content in parts.items():
        module = types.ModuleType(f"modules.{name}")
        vars(module).update(content)
        setattr(host, name, module)
        monkeypatch.setitem(sys.modules, f"modules.{name}", module)
    if importlib.util.find_spec("gradio") is None:
        monkeypatch.setitem(sys.modules, "gradio", types.SimpleNamespace(Radio=object()))
    return sys.modules["modules.shared"]


def process_images_inner(p, step):
    """What is at the pictures of a job bears this name in every host, and has the job as `p`."""
    return step()


class Processing:
    """What `StableDiffusionProcessingTxt2Img` has of prompts; `run` calls a script as the host does."""

    def __init__(self, prompt, *, batch_size=1, n_iter=1, seed=1000, styles=(), **others):
        self.prompt, self.batch_size, self.n_iter, self.seed = prompt, batch_size, n_iter, seed
        self.width, self.height, self.styles = 64, 64, styles
        self.subseed, self.subseed_strength = 7, 0
        self.negative_prompt = self.main_negative_prompt = "bad hands"
        self.extra_generation_params, self.comments = {}, {}
        self.all_prompts = self.all_seeds = self.main_prompt = None
        self.prompts, self.iteration = [], 0
        self.enable_hr, self.hr_prompt, self.all_hr_prompts = False, "", None
        vars(self).update(others)

    def comment(self, text):
        self.comments[text] = 1

    def setup_prompts(self):
        count = self.batch_size * self.n_iter
        self.all_prompts = list(self.prompt) if isinstance(self.prompt, list) else count * [self.prompt]
        self.all_prompts = [self.styled(prompt) for prompt in self.all_prompts]
        self.main_prompt = self.all_prompts[0]
        self.all_negative_prompts = [self.negative_prompt] * len(self.all_prompts)
        first, second = (self.seed, self.subseed)
        if isinstance(first, list):
            self.all_seeds, self.all_subseeds = first, [second + k for k in range(len(first))]
            return self.setup_hires(count)
        step = 0 if self.subseed_strength else 1
        first = 4242 if int(first) == -1 else int(first)  # what the host draws
        self.all_seeds = [first + step * k for k in range(len(self.all_prompts))]
        self.all_subseeds = [int(second) + k for k in range(len(self.all_prompts))]
        return self.setup_hires(count)

    def setup_hires(self, count):
        if self.enable_hr:
            self.hr_prompt = self.hr_prompt or self.prompt
            hires = self.hr_prompt if isinstance(self.hr_prompt, list) else count * [self.hr_prompt]
            self.all_hr_prompts = [self.styled(prompt) for prompt in hires]

    def styled(self, prompt):
        return ", ".join([prompt, *self.styles])

    def run(self, script, *args, between=lambda p: None):
        """The hooks of a job up to its first picture; `between` is what another script does before ours."""
        script.setup(self, *args)
        return self.again(script, *args, between=between)

    def again(self, script, *args, between=lambda p: None):
        script.before_process(self, *args)
        return process_images_inner(self, lambda: self._begun(script, args, between))

    def _begun(self, script, args, between):
        self.setup_prompts()
        between(self)
        script.process(self, *args)
        return self

    def infotexts(self, script, *args, inside=lambda p: None):
        """What the pictures say, made batch after batch behind `process`; `inside` is what another script
        does with a picture before its infotext is written."""
        return process_images_inner(self, lambda: self._made(script, args, inside))

    def _made(self, script, args, inside):
        found = self._pictures(script, args, inside)
        script.postprocess(self, types.SimpleNamespace(infotexts=list(map(repr, found))), *args)
        return found

    def _pictures(self, script, args, inside):
        if self.enable_hr:
            self.extra_generation_params["Hires prompt"] = _host_hires_prompt
        found = []
        for iteration in range(self.n_iter):
            self.iteration = iteration
            script.before_process_batch(self, *args, batch_number=self.iteration)
            self.prompts = self.all_prompts[self.iteration * self.batch_size :][: self.batch_size]
            for index in range(len(self.prompts)):
                inside(self)
                found.append(self.infotext(self.prompts, index))
        return found

    def info(self, script, *args):
        """What the host tells the page of the pictures, as JSON, when all of them are made."""
        texts = [repr(said) for said in self.infotexts(script, *args)]
        return json.dumps({"all_prompts": self.all_prompts, "infotexts": texts})

    def infotext(self, all_prompts, index, *, use_main_prompt=False):
        said = {"Prompt": self.main_prompt if use_main_prompt else all_prompts[index]}
        for name, value in self.extra_generation_params.items():
            if callable(value):
                value = value(
                    p=self,
                    index=index,
                    all_prompts=all_prompts,
                    use_main_prompt=use_main_prompt,
                    prompt_text=said["Prompt"],
                )
            said |= {} if value is None else {name: value}
        return said


def _host_hires_prompt(p, index, prompt_text, **others):
    """As hosts do it: the place in the batch is taken for that in the job."""
    return p.all_hr_prompts[index] if p.all_hr_prompts[index] != prompt_text else None


class ProcessingImg2Img(Processing):
    """img2img knows nothing of hires prompts."""

    def __init__(self, prompt, **others):
        super().__init__(prompt, **others)
        del self.enable_hr, self.hr_prompt, self.all_hr_prompts

    def setup_prompts(self):
        self.enable_hr = False
        super().setup_prompts()
        del self.enable_hr
