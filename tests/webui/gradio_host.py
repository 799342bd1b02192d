"""A page of gradio with the panels and as much of a host around them as they use, also to look at.

`python tests/webui/gradio_host.py PORT [MODELS]` serves it. The page still needs what a host's own scripts
do: PAGE.
"""

import importlib.util
import sys
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import webui_fake

ROOT = Path(__file__).parents[2]

# What hosts' own scripts do: `onUiLoaded`, their settings, which come later, and counting tokens.
PAGE = """
globalThis.opts = {};
const asked = [];
globalThis.onOptionsAvailable = (callback) => (Object.keys(opts).length ? callback() : asked.push(callback));
const set = () => {
    opts = { localization: globalThis.LANGUAGE ?? "None" };
    asked.forEach((callback) => callback());
};
globalThis.onUiLoaded = (callback) => {
    const there = () => document.querySelector("#img2img_presample_chips textarea");
    const loaded = () => (callback(), setTimeout(set, 200));
    const wait = () => (there() ? loaded() : setTimeout(wait, 20));
    wait();
};
globalThis.counted = [];
globalThis.recalculate_prompts_txt2img = () =>
    counted.push(document.querySelector("#txt2img_prompt textarea").value);
"""


def install(models_path: str = "", *, patch=None, **settings) -> SimpleNamespace:
    """Puts a fake host's modules in place, for good where there is no monkeypatch; returns its `shared`."""
    patch = patch or SimpleNamespace(setitem=dict.__setitem__)
    shared = webui_fake.install(patch, models_path)
    shared.state.job_count = 0
    vars(shared.opts).update({f"presample_{name}": value for name, value in settings.items()})
    parts = {"call_queue": {"queue_lock": threading.Lock()}, "ui_components": _components()}
    for name, content in parts.items():
        module = ModuleType(f"modules.{name}")
        vars(module).update(content)
        patch.setitem(sys.modules, f"modules.{name}", module)
        setattr(sys.modules["modules"], name, module)
    return shared


def _components() -> dict:
    import gradio as gr

    def tool_button(value, **others):
        return gr.Button(value, elem_classes=["tool"], **others)

    @contextmanager
    def input_accordion(value, *, label, elem_id):
        checkbox = gr.Checkbox(value, label=label, elem_id=f"{elem_id}-checkbox", visible=False)
        with gr.Accordion(label=label, elem_id=elem_id, open=True):
            yield checkbox

    return {"ToolButton": tool_button, "InputAccordion": input_accordion}


def build():
    """Returns the page, and by tab the script that is in it, loaded as hosts load it."""
    import gradio as gr

    spec = importlib.util.spec_from_file_location("presample.py", ROOT / "scripts" / "presample.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = {}
    with gr.Blocks(analytics_enabled=False) as demo, gr.Tabs(elem_id="tabs"):
        for tab in ("txt2img", "img2img"):
            with gr.Tab(tab, elem_id=f"tab_{tab}"):
                made[tab] = _tab(gr, module, tab)
    return demo, made


def _tab(gr, module, tab):
    script, mix, playground = (
        module.PresampleTIPO(),
        module.PresampleEncoderMix(),
        module.PresamplePlayground(),
    )
    script.is_img2img = mix.is_img2img = playground.is_img2img = tab == "img2img"
    facts = {"label": "Prompt", "elem_id": f"{tab}_prompt", "elem_classes": ["prompt"], "lines": 3}
    script.after_component(gr.Textbox(**facts), elem_id=facts["elem_id"])
    with gr.Row(), gr.Column(variant="compact", elem_id=f"{tab}_settings"):
        for name in ("width", "height"):
            size = gr.Slider(64, 2048, 512, step=8, label=name.title(), elem_id=f"{tab}_{name}")
            script.after_component(size, elem_id=f"{tab}_{name}")
            playground.after_component(size, elem_id=f"{tab}_{name}")
        script.inputs = script.ui(script.is_img2img)
        mix.ui(mix.is_img2img)
        playground.ui(playground.is_img2img)
        arguments = gr.Textbox("", label="Arguments", elem_id=f"{tab}_arguments", visible=False)
        info = gr.Textbox("", label="Info", elem_id=f"generation_info_{tab}", visible=False)
        script.after_component(info, elem_id=f"generation_info_{tab}")
        button = gr.Button("Generate", elem_id=f"{tab}_generate")
        make = partial(_make, script)
        button.click(make, inputs=[script.prompt_box, *script.inputs], outputs=[arguments, info])
        pasted = gr.Textbox("", label="Pasted", elem_id=f"{tab}_pasted", visible=False)
        paste = gr.Button("Paste", elem_id=f"{tab}_paste")
        fields = [field for field in script.infotext_fields if field[0] is not script.prompt_box]
        widgets = [field[0] for field in fields]
        paste.click(
            lambda text: _pasted(gr, fields, eval(text)), inputs=[pasted], outputs=widgets, queue=False
        )
    return script


def _make(script, prompt, *args):
    """What a host does when its button is pressed, but for the pictures; returns arguments and their info."""
    p = webui_fake.Processing(prompt, batch_size=2).run(script, *args)
    return repr(args), p.info(script, *args)


def _pasted(gr, fields, pairs):
    found = [get(pairs) for _, get in fields]
    return [gr.update() if value is None else gr.update(value=value) for value in found]


def serve(port: int | None = None):
    """Starts the page on this machine; returns its address and what closes it."""
    demo, _ = build()
    _, address, _ = demo.queue(64).launch(
        server_name="127.0.0.1",
        server_port=port,
        prevent_thread_lock=True,
        allowed_paths=[str(ROOT)],
        quiet=True,
        show_api=False,
    )
    return address, demo.close


if __name__ == "__main__":
    install(*sys.argv[2:])
    sys.stdout.write(serve(int(sys.argv[1]))[0] + "\n")
    sys.stdout.flush()
    threading.Event().wait()
