"""A WebUI of just the names that the scripts use, and a job as its processing makes one."""

import sys
import types


def install(monkeypatch, models_path) -> types.SimpleNamespace:
    """Puts the fake host's modules in place; returns its `shared`."""
    import torch

    class Script:
        is_img2img = False

    state = types.SimpleNamespace(interrupted=False, skipped=False, stopping_generation=False, textinfo=None)
    shared = types.SimpleNamespace(state=state, opts=types.SimpleNamespace())
    parts = {
        "scripts": {"Script": Script, "AlwaysVisible": object(), "scripts_data": []},
        "shared": vars(shared),
        "devices": {"device": torch.device("cpu"), "torch_gc": lambda: None},
        "paths": {"models_path": str(models_path)},
        "script_callbacks": {
            name: lambda call: None for name in ("on_ui_settings", "on_before_ui", "on_infotext_pasted")
        },
    }
    host = types.ModuleType("modules")
    monkeypatch.setitem(sys.modules, "modules", host)
    for name, content in parts.items():
        module = types.ModuleType(f"modules.{name}")
        vars(module).update(content)
        setattr(host, name, module)
        monkeypatch.setitem(sys.modules, f"modules.{name}", module)
    return sys.modules["modules.shared"]


class Processing:
    """What `StableDiffusionProcessingTxt2Img` has of prompts; `run` calls a script as the host does."""

    def __init__(self, prompt, *, batch_size=1, n_iter=1, seed=1000, styles=(), **others):
        self.prompt, self.batch_size, self.n_iter, self.seed = prompt, batch_size, n_iter, seed
        self.width, self.height, self.styles = 64, 64, styles
        self.subseed, self.subseed_strength = 7, 0
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
        step = 0 if self.subseed_strength else 1
        self.all_seeds = [self.seed + step * k for k in range(len(self.all_prompts))]
        self.all_subseeds = [self.subseed + k for k in range(len(self.all_prompts))]
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
        self.setup_prompts()
        between(self)
        script.process(self, *args)
        return self


class ProcessingImg2Img(Processing):
    """img2img knows nothing of hires prompts."""

    def __init__(self, prompt, **others):
        super().__init__(prompt, **others)
        del self.enable_hr, self.hr_prompt, self.all_hr_prompts

    def setup_prompts(self):
        self.enable_hr = False
        super().setup_prompts()
        del self.enable_hr
