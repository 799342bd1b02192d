"""The script in a real WebUI, through its API."""

import re
import threading
import time

import pytest

pytestmark = pytest.mark.host

ON = {"enabled": True, "tag_length": "very_short", "prose_length": "very_short", "seed": 5}
OFF = {"enabled": False}
MIXED = "(red hair:1.2), lake BREAK [day:night:0.5], city AND forest :0.7"


def on(**others):
    return {**ON, **others}


def test_the_script_is_in_both_tabs(webui):
    scripts = webui.call("/sdapi/v1/scripts")
    assert "presample tipo" in scripts["txt2img"]
    assert "presample tipo" in scripts["img2img"]


def test_its_arguments_are_named_as_the_panel_names_them(webui):
    found = webui.call("/sdapi/v1/script-info")
    for script in found:
        if script["name"] == "presample tipo":
            labels = [argument["label"] for argument in script["args"]]
            assert labels[1:6] == ["Natural language", "Seed", "Seed from", "Images of a batch", "Timing"]
            assert len(set(labels)) == len(labels)
            return
    pytest.fail("no script-info for it")


def test_off_on_off_gives_the_first_picture_again(webui):
    first = webui.make("lake, night", OFF)
    other = webui.make("lake, night", ON)
    again = webui.make("lake, night", OFF)
    assert first.pixels == again.pixels != other.pixels
    assert first.infotexts == again.infotexts
    assert "Presample" not in first.infotexts[0]


def test_without_arguments_nothing_is_expanded(webui):
    assert webui.make("lake, night").prompts == ["lake, night"]


def test_two_batches_of_two_have_four_expansions(webui):
    made = webui.make("lake, night", on(temperature=1.5), batch_size=2, n_iter=2)
    assert len(made.prompts) == 4
    assert len(set(made.prompts)) > 2
    assert all(prompt.startswith("lake, night, ") for prompt in made.prompts)
    for number, infotext in enumerate(made.infotexts):
        assert f"Presample seed: {5 + number}" in infotext
        assert infotext.startswith(made.prompts[number].split("\n")[0])


def test_the_same_seed_twice_is_the_same_picture(webui):
    assert webui.make("lake, snow", ON).pixels == webui.make("lake, snow", ON).pixels


def test_syntax_is_kept_and_every_part_expanded(webui):
    (prompt,) = webui.make(MIXED, ON).prompts
    pattern = r"\(red hair:1\.2\), lake(.+) BREAK \[day:night:0\.5\], city(.+) AND forest(.+) :0\.7"
    added = re.fullmatch(pattern, prompt, re.DOTALL)
    assert added, prompt


def test_a_hires_prompt_follows_and_ones_own_stays(webui):
    hires = {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.7}
    plain = webui.make("lake, night", ON, **hires)
    assert "Hires prompt" not in plain.infotexts[0]
    assert plain.prompts[0].startswith("lake, night, ")
    own = webui.make("lake, night", ON, hr_prompt="a castle", **hires)
    assert "Hires prompt: a castle" in own.infotexts[0]
    assert own.pixels != plain.pixels


def test_every_batch_has_its_own_hires_prompts(webui):
    hires = {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.7}
    made = webui.make("lake, night", on(temperature=1.5), n_iter=3, **hires)
    assert len(set(made.prompts)) == 3
    assert not any("Hires prompt" in infotext for infotext in made.infotexts)


def test_the_negative_prompt_stays(webui):
    made = webui.make("forest", ON, negative_prompt="bad hands")
    assert made.info["all_negative_prompts"] == ["bad hands"]


def test_a_comment_is_stripped_by_the_host_and_what_was_added_is_not(webui):
    made = webui.make("lake # by night\ncity # a note", ON)
    (infotext,) = made.infotexts
    prompt = infotext.split("\nNegative prompt:")[0].split("\nSteps:")[0]
    assert "note" not in prompt
    assert re.search(r"city, \w", prompt)
    bare = webui.make("lake\ncity", ON)
    assert " ".join(prompt.split()) == " ".join(bare.prompts[0].split())


def test_img2img_is_expanded_too(webui):
    image = webui.make("lake", OFF).images[0]
    made = webui.make("forest", ON, tab="img2img", init_images=[image], denoising_strength=0.9)
    assert made.prompts[0].startswith("forest, ")


@pytest.mark.parametrize(
    "settings", [{"ban": 'boat, "night", /tre+s?/', "protect": "x: y"}, {"timing": "before"}]
)
def test_a_picture_sent_back_is_the_same_picture(webui, settings):
    """The PNG says all: once for exactly this prompt with expansion off, once from the original prompt."""
    first = webui.make("lake, mist\nA boat, far away: a dot.", on(**settings))
    said = webui.infotext(first.images[0])["info"]
    exact = webui.make(None, infotext=said)
    assert exact.pixels == first.pixels
    assert "Presample" not in exact.infotexts[0]
    onward = webui.make(None, infotext=said + ", Presample restore: original")
    assert onward.prompts == first.prompts
    assert onward.pixels == first.pixels
    assert re.search(r"Presample prompt: .*mist", onward.infotexts[0])


def test_a_picture_of_z_tipo_extension_can_be_gone_on_with(webui):
    said = "{'seed': 7, 'timing': 'AFTER', 'tag_length': 'very_short', 'nl_length': 'very_short', 'top_k': 9}"
    infotext = (
        "forest, night, moon\nSteps: 1, Sampler: Euler, CFG scale: 5, Seed: 1, Size: 64x64, "
        f'TIPO Parameters: "{said}", TIPO prompt: "forest, night"'
    )
    exact = webui.make(None, infotext=infotext)
    assert exact.prompts == ["forest, night, moon"]
    onward = webui.make(None, infotext=infotext + ", Presample restore: original")
    assert onward.prompts[0].startswith("forest, night, ")
    for pair in ("seed: 7", "tag length: very_short", "top k: 9", "ban mode: substring"):
        assert f"Presample {pair}" in onward.infotexts[0]


def test_what_is_wrong_is_said_and_the_picture_is_made(webui):
    made = webui.make("lake", on(model="no such model"))
    assert made.prompts == ["lake"]


def test_a_plot_has_a_cell_for_each_value(webui):
    found = [
        s for s in webui.call("/sdapi/v1/script-info") if s["name"] == "x/y/z plot" and not s["is_img2img"]
    ]
    arguments = found[0]["args"]
    axes = arguments[0]["choices"]
    place = axes.index("[Presample] tag length")
    given = [axes.index(a["value"]) if a["value"] in axes else a["value"] for a in arguments]
    given[:3] = [place, "", ["none", "very_short"]]
    given[[a["label"] for a in arguments].index("Include Sub Images")] = True
    plot = {"script_name": "x/y/z plot", "script_args": given}
    made = webui.make("lake", on(seed=-1), **plot)
    assert made.info["infotexts"][1].count("Presample tag length: none")
    assert made.info["infotexts"][2].count("Presample tag length: very_short")
    seeds = {re.search(r"Presample seed: (\d+)", text)[1] for text in made.info["infotexts"][1:3]}
    assert len(seeds) == 1, "the cells of a plot share a drawn seed"


def test_an_interrupt_stops_the_expansion(webui):
    made = []
    slow = on(tag_length="very_long", prose_length="very_long", temperature=1.5)
    body = {"batch_size": 4, "n_iter": 8}
    thread = threading.Thread(target=lambda: made.append(webui.make("lake, a test", slow, **body)))
    start = time.monotonic()
    thread.start()
    while time.monotonic() - start < 60:
        if "TIPO" in (webui.call("/sdapi/v1/progress")["textinfo"] or ""):
            break
        time.sleep(0.05)
    webui.call("/sdapi/v1/interrupt", {})
    thread.join(60)
    assert made[0].prompts[:1] == ["lake, a test"], made[0].prompts[:1]
    assert len(made[0].images) < 4 * 8
    assert "Presample" not in str(made[0].infotexts)
