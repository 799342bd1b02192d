"""Prompts of a job are expanded once, where they should be, and everything else stays as it is."""

from copy import copy

import pytest
from webui_fake import Processing, ProcessingImg2Img

from presample.models.tipo.infotext import read
from presample.scripts.webui.job import OVERRIDES

ON = {"enabled": True, "tag_length": "very_short", "prose_length": "none", "seed": 5}
MIXED = "(red hair:1.2), <lora:foo:0.8>, lake BREAK [day:night:0.5], city AND forest :0.7 # note"


def on(**others):
    return {**ON, **others}


def notes(p, name):
    """What the infotexts of all images say under a key, asked for as the hosts do, batch by batch."""
    said = p.extra_generation_params[f"Presample {name}"]
    found = []
    for iteration in range(len(p.all_prompts) // p.batch_size):
        p.iteration = iteration
        prompts = p.all_prompts[p.iteration * p.batch_size :][: p.batch_size]
        found += [
            said(index=index, all_prompts=prompts, p=p, use_main_prompt=False) if callable(said) else said
            for index in range(p.batch_size)
        ]
    return found


def own(pairs):
    return {name for name in pairs if name.startswith("Presample")}


def test_every_image_of_a_batch_has_an_expansion_of_its_own(script):
    p = Processing("lake, night", batch_size=2, n_iter=2).run(script, on(temperature=1.5))
    assert len(p.all_prompts) == 4
    assert len(set(p.all_prompts)) > 1
    assert all(prompt.startswith("lake, night, ") for prompt in p.all_prompts)
    assert p.main_prompt == p.all_prompts[0]
    assert p.prompt == "lake, night"
    assert notes(p, "seed") == ["5", "6", "7", "8"]
    grid = p.extra_generation_params["Presample seed"]
    assert grid(index=0, all_prompts=p.prompts, use_main_prompt=True) == "5"
    assert grid(index=3, all_prompts=p.all_prompts, iteration=1, position_in_batch=1) == "8"


def test_the_image_of_a_batch_is_that_of_its_seed_alone(script):
    batch = Processing("lake, night", batch_size=3).run(script, on())
    script.memory.texts.clear()
    alone = Processing("lake, night").run(script, on(seed=7))
    assert alone.all_prompts == batch.all_prompts[2:]


def test_switched_off_nothing_changes(script):
    p = Processing("lake", batch_size=2).run(script, {**ON, "enabled": False})
    assert p.all_prompts == ["lake", "lake"]
    assert not p.extra_generation_params
    assert not p.comments


def test_arguments_in_their_places_do_the_same_as_names(script):
    from presample.scripts.webui import values

    places = [ON.get(name, fact.default) for name, fact in values.facts().items()]
    named = Processing("lake").run(script, ON)
    script.memory.texts.clear()
    placed = Processing("lake").run(script, *places)
    assert placed.all_prompts == named.all_prompts
    assert placed.extra_generation_params == named.extra_generation_params


def test_named_arguments_win_over_the_defaults_that_stand_behind_them(script):
    """Hosts fill up what an API client leaves out."""
    from presample.scripts.webui import values

    defaults = [fact.default for fact in values.facts().values()]
    named = Processing("lake").run(script, ON)
    script.memory.texts.clear()
    filled = Processing("lake").run(script, ON, *defaults[1:])
    assert filled.extra_generation_params == named.extra_generation_params


def test_syntax_and_parts_stay_as_they_are(script):
    (prompt,) = Processing(MIXED).run(script, ON).all_prompts
    assert prompt != MIXED
    for piece in (
        "(red hair:1.2), <lora:foo:0.8>, lake",
        " BREAK ",
        "[day:night:0.5], city",
        " AND ",
        "# note",
    ):
        assert prompt.count(piece) == 1, piece
    before, behind = prompt.split(" BREAK ")
    assert before != "(red hair:1.2), <lora:foo:0.8>, lake"
    assert behind.split(" AND ")[0] != "[day:night:0.5], city"


def test_styles_and_wildcards_come_first(script):
    def wildcards(p):
        p.all_prompts = [
            prompt.replace("{a|b}", "lake" if k else "city") for k, prompt in enumerate(p.all_prompts)
        ]

    p = Processing("{a|b}", batch_size=2, styles=["night"]).run(script, ON, between=wildcards)
    assert p.all_prompts[0].startswith("city, night, ")
    assert p.all_prompts[1].startswith("lake, night, ")
    assert notes(p, "prompt") == ["city, night", "lake, night"]


def test_expansion_before_wildcards_is_one_for_the_whole_job(script):
    p = Processing("lake", batch_size=2, styles=["night"], enable_hr=True)
    p.run(script, on(timing="before"))
    assert p.prompt.startswith("lake, ")
    assert p.prompt != "lake"
    assert p.all_prompts == [f"{p.prompt}, night"] * 2 == p.all_hr_prompts
    assert p.extra_generation_params["Presample prompt"] == "lake"
    assert p.extra_generation_params["Presample timing"] == "before"
    ProcessingImg2Img("lake").run(script, on(timing="before"))


def test_img2img_needs_no_hires_prompt(script):
    assert ProcessingImg2Img("lake").run(script, ON).all_prompts[0].startswith("lake, ")


@pytest.mark.parametrize("hires", ["", "lake"])
def test_a_hires_prompt_that_was_the_prompt_follows_it(script, hires):
    p = Processing("lake", batch_size=2, enable_hr=True, hr_prompt=hires).run(script, on(temperature=1.5))
    assert p.all_hr_prompts == p.all_prompts != ["lake", "lake"]


def test_a_hires_prompt_of_ones_own_stays(script):
    p = Processing("lake", batch_size=2, enable_hr=True, hr_prompt="a castle").run(script, ON)
    assert p.all_hr_prompts == ["a castle"] * 2


def test_one_expansion_may_serve_the_whole_batch(script):
    p = Processing("lake", batch_size=3).run(script, on(batch="same", temperature=1.5))
    assert len(set(p.all_prompts)) == 1
    assert p.extra_generation_params["Presample seed"] == "5"


def test_the_seed_may_be_that_of_the_image(script):
    p = Processing("lake", batch_size=2, seed=1000).run(script, on(seed_from="image"))
    assert notes(p, "seed") == ["1000", "1001"]
    script.memory.texts.clear()
    p = Processing("lake", batch_size=2, subseed_strength=0.5).run(script, on(seed_from="image"))
    assert notes(p, "seed") == ["1007", "1008"]


def test_minus_one_draws_a_seed_for_each_job_and_not_from_the_hosts_generator(script):
    import random

    random.seed(3)
    state = random.getstate()
    seeds = {
        Processing("lake").run(script, on(seed=-1)).extra_generation_params["Presample seed"] for _ in "abc"
    }
    assert len(seeds) == 3
    assert random.getstate() == state


def test_the_cells_of_a_grid_share_a_drawn_seed_and_nothing_else(script):
    p = Processing("lake")
    args = on(seed=-1, tag_length="short")
    script.setup(p, args)
    cells = [copy(p) for _ in range(3)]
    setattr(cells[1], OVERRIDES, {"temperature": 1.9})
    setattr(cells[2], OVERRIDES, {"enabled": False})
    seen = []
    for cell in cells:
        cell.again(script, args)
        seen.append(dict(cell.extra_generation_params))
    assert seen[0]["Presample seed"] == seen[1]["Presample seed"]
    assert seen[1]["Presample temperature"] == "1.9"
    assert cells[0].all_prompts != cells[1].all_prompts
    assert cells[2].all_prompts == ["lake"]
    assert not own(seen[2])


@pytest.mark.parametrize("timing", ["after", "before"])
def test_a_script_that_runs_one_job_several_times_gets_the_same_each_time(script, timing):
    p = Processing("lake").run(script, on(timing=timing))
    first, pairs = list(p.all_prompts), dict(p.extra_generation_params)
    script.process(p, on(timing=timing))
    assert (p.all_prompts, p.extra_generation_params) == (first, pairs)
    p.again(script, on(timing=timing))
    assert (p.all_prompts, p.extra_generation_params) == (first, pairs)


def test_a_pass_inside_another_is_left_alone(script):
    p = ProcessingImg2Img("lake", _ad_inner=True).run(script, ON)
    assert p.all_prompts == ["lake"]
    assert not p.extra_generation_params


def test_an_expansion_is_not_expanded_again_wherever_it_comes_from(script):
    first = Processing("lake").run(script, ON)
    again = ProcessingImg2Img(first.all_prompts[0]).run(script, on(seed=99))
    assert again.all_prompts == first.all_prompts
    assert again.extra_generation_params == first.extra_generation_params
    assert any("expansion already" in text for text in again.comments)


def test_enlarging_a_picture_takes_the_prompt_that_it_was_made_with(script):
    first = Processing("lake", batch_size=2).run(script, on(seed=-1, temperature=1.5))
    other = Processing("lake", seed=1001, enable_hr=True, txt2img_upscale=True).run(script, on(seed=-1))
    assert other.all_prompts == other.all_hr_prompts == first.all_prompts[1:]
    unknown = Processing("castle", enable_hr=True, txt2img_upscale=True).run(script, ON)
    assert unknown.all_prompts == ["castle"]


def test_a_stop_leaves_the_prompts_as_they_were(script, shared):
    shared.state.interrupted = True
    p = Processing("lake", batch_size=2).run(script, ON)
    assert p.all_prompts == ["lake", "lake"]
    assert not p.extra_generation_params


def test_a_stop_is_obeyed_within_one_token(script, shared):
    asked = []

    class State:
        @property
        def interrupted(self):
            asked.append(1)
            return len(asked) > 3

    shared.state = State()
    vars(shared.state).update(skipped=False, textinfo=None)
    p = Processing("lake").run(script, on(tag_length="very_long"))
    assert p.all_prompts == ["lake"]
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": "no such model"}, "no model named"),
        ({"layout": "custom", "layout_template": "no placeholder"}, "layout"),
        ({"tag_length": "endless"}, "tag_length must be one of"),
        ({"tag_lenght": "long"}, "tag_lenght"),
        ({"ban": "/(/"}, "/(/"),
        ({"seed": "five"}, "seed"),
    ],
)
def test_what_is_wrong_is_said_under_the_picture_and_the_job_goes_on(script, wrong, said):
    p = Processing("lake", batch_size=2, n_iter=2).run(script, on(**wrong))
    assert p.all_prompts == ["lake"] * 4
    assert not p.extra_generation_params
    assert any(said in text for text in p.comments), p.comments


def test_other_scripts_notes_stay(script):
    p = Processing("lake", extra_generation_params={"Presample seed": "9", "Other": "x"})
    p.run(script, {"enabled": False})
    assert p.extra_generation_params == {"Other": "x"}


def test_what_was_written_makes_the_same_text_again(script):
    from presample.scripts.webui import values

    p = Processing("lake, night", batch_size=2).run(
        script, on(ban="boat, /tre+/", top_k=40, seed_from="image")
    )
    names = [name.removeprefix("Presample ") for name in p.extra_generation_params if name != "Presample"]
    pairs = {"Presample": "TIPO 1", **{f"Presample {name}": notes(p, name)[1] for name in names}}
    record = read(pairs)
    script.memory.texts.clear()
    again = Processing(record.prompt, seed=1001)
    again.run(script, {"enabled": True, **values.widget_values(record)})
    assert again.all_prompts == p.all_prompts[1:]
