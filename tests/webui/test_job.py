"""Prompts of a job are expanded once, where they should be, and everything else stays as it is."""

import json
import re
import threading
from copy import copy
from types import SimpleNamespace

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
    assert json.loads(json.dumps(p.extra_generation_params))["Presample seed"] == "5"  # as Classic writes it
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


def test_the_hires_prompts_of_every_batch_are_its_own(script):
    args = on(temperature=1.5)
    p = Processing("lake", batch_size=2, n_iter=2, enable_hr=True).run(script, args)
    assert len(set(p.all_prompts)) > 2
    assert all("Hires prompt" not in said for said in p.infotexts(script, args))
    own = Processing("lake", batch_size=2, n_iter=2, enable_hr=True, hr_prompt="a castle").run(script, args)
    assert [said["Hires prompt"] for said in own.infotexts(script, args)] == ["a castle"] * 4


def test_what_other_jobs_say_of_hires_is_left_to_the_host(script):
    p = Processing("lake", enable_hr=True, hr_prompt="a castle").run(script, {"enabled": False})
    p.extra_generation_params["Hires prompt"] = host = lambda **others: "from the host"
    script.before_process_batch(p, {"enabled": False}, batch_number=0)
    assert p.extra_generation_params["Hires prompt"] is host


def test_negative_prompts_are_not_touched(script):
    p = Processing("lake", batch_size=2).run(script, ON)
    assert p.all_negative_prompts == ["bad hands"] * 2
    assert (p.negative_prompt, p.main_negative_prompt) == ("bad hands", "bad hands")


@pytest.mark.parametrize("strips", [True, False])
def test_additions_stand_before_a_comment_whoever_strips_it(script, strips):
    """Forge strips comments before scripts see the prompts, A1111 behind them."""
    p = Processing("lake # a note" if not strips else "lake").run(script, ON)
    text = re.sub(r"#[^\n]*", "", p.all_prompts[0]).rstrip()
    script.memory.texts.clear()
    script.memory.last = None
    assert text == Processing("lake").run(script, ON).all_prompts[0]


def test_where_the_host_has_no_comments_they_are_a_part_of_the_prompt(script, shared):
    shared.opts.enable_prompt_comments = False
    p = Processing("1girl, #1 fan shirt").run(script, ON)
    assert p.all_prompts[0].startswith("1girl, #1 fan shirt, ")
    other = Processing("1girl, #2 fan shirt").run(script, ON)
    assert notes(other, "prompt") == ["1girl, #2 fan shirt"]
    script.memory.add("x", "lake, #1", {})
    assert script.memory.said("lake, #2") is None


def test_an_expansion_is_known_again_without_its_comments(script):
    first = Processing("lake # a note\nnight").run(script, ON)
    bare = re.sub(r"#[^\n]*", "", first.all_prompts[0])
    again = Processing(bare).run(script, on(seed=77))
    assert again.all_prompts == [bare]
    assert again.extra_generation_params["Presample prompt"] == "lake # a note\nnight"


def test_the_prompts_of_a_matrix_are_expanded_each(script):
    prompts = ["lake", "lake, night", "lake, snow", "lake, night, snow"]
    for timing in ("after", "before"):
        p = Processing(list(prompts), batch_size=1, n_iter=4, seed=[1000] * 4)
        p.run(script, on(timing=timing))
        assert all(
            new.startswith(old) and new != old for old, new in zip(prompts, p.all_prompts, strict=True)
        )
        assert [said["Presample prompt"] for said in p.infotexts(script, ON)] == prompts
        script.memory.texts.clear()


def test_generating_for_ever_draws_another_seed_each_time_but_keeps_a_given_one(script):
    drawn = [Processing("lake").run(script, on(seed=-1, temperature=1.5)) for _ in range(3)]
    assert len({p.extra_generation_params["Presample seed"] for p in drawn}) == 3
    kept = [Processing("lake").run(script, ON).all_prompts for _ in range(2)]
    assert kept[0] == kept[1]


def test_the_same_job_is_not_written_twice(script, monkeypatch):
    asked = []
    expand = script.keeper.expand
    monkeypatch.setattr(script.keeper, "expand", lambda *job: asked.append(1) or expand(*job))
    p = Processing("lake")
    script.setup(p, on(seed=-1))
    for cell in [copy(p) for _ in range(3)]:
        cell.again(script, on(seed=-1))
    assert len(asked) == 1
    Processing("lake").run(script, on(seed=6))
    Processing("lake").run(script, on(seed=6, batch="same"))
    assert len(asked) == 3, "what the infotext says is another"


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


def test_before_wildcards_a_seed_of_the_image_that_is_still_random_is_drawn_for_both(script):
    p = Processing("lake", seed=-1).run(script, on(seed_from="image", timing="before"))
    first = p.seed
    assert p.extra_generation_params["Presample seed"] == str(first) != "-1"
    assert p.all_seeds == [first]
    p.prompt = "lake"
    p.again(script, on(seed_from="image", timing="before"))
    assert p.seed != first, "the host draws one for each picture of a folder, too"
    fixed = Processing("lake", seed="7").run(script, on(seed_from="image", timing="before"))
    assert fixed.extra_generation_params["Presample seed"] == "7"


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


def test_equal_lines_of_a_file_of_prompts_have_texts_of_their_own_where_their_images_have(script):
    """Each line is a copy of the job; a grid has drawn the seed of all its images before."""
    args, seeds = on(seed=-1), {}
    for image in (-1, "-1", 1000):
        p = Processing("lake", seed=image)
        script.setup(p, args)
        seeds[image] = len({notes(copy(p).again(script, args), "seed")[0] for _ in range(3)})
    assert seeds == {-1: 3, "-1": 3, 1000: 1}


def test_pictures_of_one_seed_have_expansions_of_one_seed(script):
    """The prompts of a matrix differ in nothing but what is to be compared."""
    p = Processing(["lake", "lake, night", "lake, snow"], n_iter=3, seed=[1000] * 3)
    assert notes(p.run(script, ON), "seed") == ["5"] * 3
    p = Processing(["lake", "lake, night", "lake, snow"], n_iter=3, seed=[1000, 1001, 1002])
    assert notes(p.run(script, ON), "seed") == ["5", "6", "7"]
    p = Processing("lake", n_iter=2, subseed_strength=0.5)  # one seed, and subseeds that differ
    assert notes(p.run(script, ON), "seed") == ["5", "6"]


def test_the_pictures_of_a_video_share_an_expansion(script, shared):
    shared.sd_model = SimpleNamespace(is_wan=True)
    p = Processing("lake", batch_size=5, n_iter=2).run(script, on(temperature=1.5))
    assert notes(p, "seed") == ["5"] * 5 + ["10"] * 5
    assert len(set(p.all_prompts[:5])) == 1 < len(set(p.all_prompts))
    script.memory.texts.clear()
    p = Processing("lake", batch_size=3).run(script, on(seed_from="image"))
    assert notes(p, "seed") == ["1000"] * 3


@pytest.mark.parametrize("timing", ["after", "before"])
def test_a_script_that_runs_one_job_several_times_gets_the_same_each_time(script, timing):
    p = Processing("lake").run(script, on(timing=timing))
    first, pairs = list(p.all_prompts), dict(p.extra_generation_params)
    script.process(p, on(timing=timing))
    assert (p.all_prompts, p.extra_generation_params) == (first, pairs)
    p.again(script, on(timing=timing))
    assert (p.all_prompts, p.extra_generation_params) == (first, pairs)


def test_what_a_detailer_does_inside_a_job_changes_nothing_of_its_infotexts(script):
    """It calls all scripts on a copy, and makes pictures of faces, whose infotexts may be the job's own."""

    def detail(p):
        again = copy(p)
        again.prompt = again.all_prompts[0]
        again.run(script, args)
        script.postprocess(again, SimpleNamespace(infotexts=[]), args)
        face = Processing("face", extra_generation_params=p.extra_generation_params)
        faces.append(face.run(script, args))
        assert face.infotexts(script, args)[0]["Prompt"] == "face"

    args, faces = on(temperature=1.5), []
    plain = Processing("lake", batch_size=2, n_iter=3).run(script, args).infotexts(script, args)
    p = Processing("lake", batch_size=2, n_iter=3).run(script, args)
    assert p.infotexts(script, args, inside=detail) == plain
    assert [said["Presample seed"] for said in plain] == ["5", "6", "7", "8", "9", "10"]
    assert {face.all_prompts[0] for face in faces} == {"face"}
    assert ProcessingImg2Img("lake").run(script, args).all_prompts == p.all_prompts[:1], "it is over"


def test_a_cell_that_failed_leaves_the_cells_behind_it_as_they_would_be(script):
    """A grid goes on with the next cell; the one that failed never reaches the end of its pictures."""

    def fail(p):
        raise RuntimeError("out of memory")

    grid, failed = Processing("lake"), []
    script.setup(grid, ON)
    for prompt in ("lake", "castle", "city", "forest"):
        cell = copy(grid)
        cell.prompt = prompt
        cell.again(script, ON)
        if prompt in ("lake", "city"):
            with pytest.raises(RuntimeError) as error:
                cell.infotexts(script, ON, inside=fail)
            failed.append((cell, error))  # whatever keeps it alive
        else:
            (said,) = cell.infotexts(script, ON)
            assert said["Prompt"].startswith(f"{prompt}, ")
            assert said["Presample prompt"] == prompt


def test_a_job_of_another_thread_is_none_that_one_is_inside_of(script):
    others = []

    def another(p):
        thread = threading.Thread(target=lambda: others.append(Processing("castle").run(script, ON)))
        thread.start()
        thread.join(30)

    Processing("lake").run(script, ON).infotexts(script, ON, inside=another)
    assert others[0].all_prompts[0].startswith("castle, ")


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


@pytest.mark.parametrize("timing", ["after", "before"])
@pytest.mark.parametrize("variation", [0, 0.5])
def test_any_picture_of_a_batch_can_be_enlarged(script, timing, variation):
    args = on(seed=-1, temperature=1.5, timing=timing, seed_from="image")
    how = {"subseed_strength": variation, "styles": ["night"]}
    first = Processing("lake", batch_size=3, **how).run(script, args)
    picture = {"seed": str(first.all_seeds[2]), "subseed": str(first.all_subseeds[2])}
    p = Processing("lake", enable_hr=True, txt2img_upscale=True, **picture, **how).run(script, args)
    assert p.all_prompts == p.all_hr_prompts == first.all_prompts[2:]
    assert notes(p, "prompt") == notes(first, "prompt")[2:]


def test_a_picture_of_another_session_is_enlarged_with_the_prompt_as_it_is(script):
    p = Processing("castle", enable_hr=True, txt2img_upscale=True).run(script, ON)
    assert p.all_prompts == p.all_hr_prompts == ["castle"]
    assert any("not known" in text for text in p.comments)


def test_a_cell_of_a_grid_is_enlarged_with_its_own_expansion(script):
    cells = [Processing("lake").run(script, on(seed=seed, temperature=1.5)) for seed in (1, 2, 3)]
    assert len({cell.all_prompts[0] for cell in cells}) == 3
    for cell in cells:
        picture = SimpleNamespace(info={"parameters": f"{cell.all_prompts[0]}\nSteps: 20, Seed: 1000"})
        how = {"enable_hr": True, "txt2img_upscale": True, "firstpass_image": picture}
        assert Processing("lake", **how).run(script, ON).all_prompts == cell.all_prompts
    picture.info = {}
    assert Processing("lake", **how).run(script, ON).all_prompts == cells[-1].all_prompts, "the latest"


def test_a_skipped_picture_does_not_keep_the_next_prompt_from_being_expanded(script, shared):
    """Hosts forget that one was skipped when they come to the next one, behind our hook."""
    shared.state.skipped = True
    assert len(Processing("lake").run(script, ON).all_prompts[0]) > len("lake")


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


def test_what_nobody_foresaw_is_said_too_and_left_to_the_host_to_log(script, monkeypatch):
    def fail(*job):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(script.keeper, "expand", fail)
    p = Processing("lake")
    with pytest.raises(RuntimeError, match="out of memory"):
        p.run(script, ON)
    assert p.all_prompts == ["lake"]
    assert not p.extra_generation_params
    assert any("RuntimeError: out of memory" in text for text in p.comments)


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


def test_a_size_that_no_expansion_takes_is_said_and_the_nearest_is_taken(script):
    p = Processing("lake", width=20000, height=512).run(script, on())
    (request,) = script.memory.last.requests
    assert (request.options.width, request.options.height) == (16384, 512)
    assert p.all_prompts[0].startswith("lake, ")
    said = "the prompts were expanded as for another size: width must lie in 16 to 16384, got 20000"
    assert [said in text for text in p.comments] == [True]


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


class ForgeCouple:
    """What Forge Couple shows to others; its settings have changed places more than once."""

    args_from, args_to = 1, 4

    def title(self):
        return "Forge Couple"

    def after_extra_networks_activate(self, p, enable, mode, separator, *args, **kwargs):
        pass


def beside_couple(*settings):
    others = SimpleNamespace(alwayson_scripts=[SimpleNamespace(title=lambda: "Other"), ForgeCouple()])
    return {"scripts": others, "script_args": ("another's", *settings, "another's")}


@pytest.mark.parametrize(
    ("settings", "options", "lines"),
    [
        ((True, "Basic", ""), {}, 2),
        ((True, "Basic", "\\n"), {}, 2),
        ((True, "Basic", "BREAK"), {}, 3),
        ((True, "Basic", "\\n"), {"regions": "off"}, 3),
        ((False, "Basic", ""), {}, 3),
    ],
)
def test_lines_stay_the_regions_of_forge_couple(script, settings, options, lines):
    job = Processing("lake, night\ncity, day", **beside_couple(*settings))
    (prompt,) = job.run(script, on(prose_length="short", **options)).all_prompts
    assert len(prompt.split("\n")) == lines
    first = prompt.split("\n")[0]
    assert (first != "lake, night") == (lines == 2)
