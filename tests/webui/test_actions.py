"""What the panel's buttons do, without a page: the handlers are called as gradio calls them."""

import importlib
import json
import sys
import threading
import time
import types

import pytest

KEEP = "unchanged"


@pytest.fixture
def actions(shared, monkeypatch):
    """The module beside a gradio of just the names that handlers use, and a host's lock."""
    gradio = types.SimpleNamespace(update=lambda: KEEP, __version__="4.40.0", Radio=object())
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    queue = types.ModuleType("modules.call_queue")
    queue.queue_lock = threading.Lock()
    monkeypatch.setitem(sys.modules, "modules.call_queue", queue)
    return importlib.import_module("presample.scripts.webui.actions")


@pytest.fixture
def acts(actions, script):
    return actions.Actions(script)


@pytest.fixture
def running(actions):
    from presample.scripts.webui.work import Running

    return Running()


def arguments(running=None, **said):
    """What runs for the page, width, height and the panel's arguments in their order."""
    from presample.scripts.webui import values
    from presample.scripts.webui.work import Running

    said = {"seed": 5, "tag_length": "very_short", "prose_length": "none", **said}
    said = [said.get(name, fact.default) for name, fact in values.facts().items()]
    return [running or Running(), 512, 768, *said]


def told(outputs):
    """What the chips were told with one set of outputs of `generate`."""
    return json.loads(outputs[3])


def last(handler):
    *_, outputs = handler
    return outputs


def test_without_gradios_queue_a_button_answers_at_its_end(acts, actions, shared):
    assert actions.as_told(acts.generate) == acts.generate
    shared.cmd_opts.no_gradio_queue = True
    box, history, status, _, varied = actions.as_told(acts.generate)("lake, night", [], *arguments())
    assert box == last(acts.generate("lake, night", [], *arguments()))[0]
    assert (history, status, varied) == ([("lake, night", box)], "", [box])


def test_what_is_written_streams_into_the_box_and_ends_as_the_expansion(acts):
    steps = list(acts.generate("lake, night", [], *arguments(tag_length="long")))
    assert told(steps[0])["live"] == []
    assert len(steps) > 2
    for box, *_ in steps[1:]:
        assert box.startswith("lake, night")
    live = [progress for step in steps[1:-1] for progress in told(step)["live"]]
    assert {progress["writes"] for progress in live} == {"tags"}
    box, history, status, _, varied = steps[-1]
    shown = told(steps[-1])["shown"]
    assert box == shown[0]["prompt"] != "lake, night"
    assert (history, status, varied) == ([("lake, night", box)], "", [box])


def test_no_two_messages_to_the_chips_are_alike(acts):
    messages = [step[3] for step in acts.generate("lake", [], *arguments())]
    messages += [step[3] for step in acts.generate("lake", [], *arguments())]
    assert len(set(messages)) == len(messages)


def test_undo_goes_back_step_by_step(acts):
    box, history, *_ = last(acts.generate("lake", [], *arguments()))
    box, history, _ = acts.undo(box, history)
    assert (box, history) == ("lake", [])
    assert "Nothing to undo" in acts.undo(box, history)[2]


def test_undo_does_not_lose_what_was_written_by_hand(acts):
    first, history, *_ = last(acts.generate("lake", [], *arguments()))
    by_hand = first + ", an hour of work"
    second, history, *_ = last(acts.generate(by_hand, history, *arguments(tag_length="long")))
    box, history, _ = acts.undo(second, history)
    assert box == by_hand
    box, history, _ = acts.undo(box, history)
    assert box == "lake"
    box, history, _ = acts.undo(box, history)
    assert (box, history) == (by_hand, [])


def test_a_picture_that_is_asked_for_while_the_text_is_written_is_made_with_all_of_it(
    acts, script, monkeypatch
):
    from webui_fake import Processing

    from presample.scripts.webui import work

    monkeypatch.setattr(work, "SECONDS", 0.02)
    *steps, end = acts.generate("lake, night", [], *arguments(tag_length="very_long"))
    halves = {box for box, *_ in steps[1:]} - {"lake, night"}
    assert len(halves) > 2
    for half in sorted(halves)[:3]:
        for args in ({"enabled": False}, {"enabled": True}):
            p = Processing(half, enable_hr=True).run(script, args)
            assert p.all_prompts == p.all_hr_prompts == [end[0]]
        assert any("still being written" in text for text in p.comments)
    for whole in ("lake, night", end[0]):
        assert not Processing(whole).run(script, {"enabled": False}).comments


def test_a_text_that_was_stopped_leaves_no_part_of_it_to_a_picture(acts, running, script, monkeypatch):
    from webui_fake import Processing

    from presample.scripts.webui import work

    monkeypatch.setattr(work, "SECONDS", 0.02)
    half, handler = "lake", acts.generate("lake", [], *arguments(running, **LONG))
    while half in ("lake", KEEP):
        half = next(handler)[0]
    running.stop()
    last(handler)
    assert Processing(half).run(script, {"enabled": False}).all_prompts == ["lake"]


def test_an_expansion_is_written_anew_from_what_it_was_made_of(acts):
    first, history, *_ = last(acts.generate("lake, night", [], *arguments()))
    again, history, *_ = last(acts.generate(first, history, *arguments(seed=6)))
    assert again.startswith("lake, night, ")
    assert again == last(acts.generate("lake, night", [], *arguments(seed=6)))[0]
    assert history == [("lake, night", first), (first, again)]


def test_prose_of_its_own_box_is_written_once_however_often_the_button_is_pressed(acts, script):
    said = {"prose": "A boat drifts", "seed": 6}
    box = "lake BREAK night"
    for _ in range(3):
        box = last(acts.generate(box, [], *arguments(**said)))[0]
        assert box.count("A boat drifts") == 1
    assert script.memory.said(box)["Presample prompt"] == "lake BREAK night"


def test_a_text_that_was_changed_by_hand_is_a_prompt_of_its_own(acts):
    first = last(acts.generate("lake, night", [], *arguments()))[0]
    changed = first + ", boat"
    assert last(acts.generate(changed, [], *arguments(tag_length="long")))[0].startswith(changed)


def test_a_text_that_was_changed_by_hand_is_not_expanded_again_by_a_job(acts, script):
    from webui_fake import Processing

    settings = {"enabled": True, "tag_length": "very_long", "prose_length": "none"}
    tags = last(acts.generate("lake, night", [], *arguments(tag_length="short")))[0].split(", ")
    changed = ", ".join([*tags[:4], *tags[5:]])
    assert Processing(changed).run(script, settings).all_prompts == [changed]
    assert last(acts.generate(changed, [], *arguments(tag_length="very_long")))[0].startswith(changed + ", ")


def test_kept_tags_come_again_and_banned_ones_do_not(acts):
    words = [
        chip["text"]
        for chip in told(last(acts.generate("lake", [], *arguments())))["shown"][0]["chips"]
        if not chip["own"]
    ]
    keep, ban = words[0], words[1]
    chips = json.dumps({"keep": [keep], "ban": [ban]})
    *_, outputs = acts.reroll("lake", [], *arguments(chips=chips))
    again = [chip["text"] for chip in told(outputs)["shown"][0]["chips"]]
    assert keep in again
    assert ban not in again


def test_a_reroll_has_another_seed_and_changes_that_of_the_panel_where_it_has_one(acts):
    fixed, drawn = (last(acts.reroll("lake", [], *arguments(seed=seed))) for seed in (5, -1))
    assert fixed[5] != 5
    assert told(fixed)["shown"][0]["seed"] == str(fixed[5])
    assert drawn[5] == KEEP


def test_variations_differ_and_a_click_takes_one(acts):
    _, result, varied = last(acts.vary("lake", [], *arguments(temperature=1.5)))
    shown = json.loads(result)
    assert shown["listed"]
    assert [each["seed"] for each in shown["shown"]] == ["5", "6", "7", "8"]
    assert [each["prompt"] for each in shown["shown"]] == varied
    assert len(set(varied)) > 1
    earlier = [("before", "lake")]
    assert acts.take("lake", earlier, varied, 2) == [varied[2], [*earlier, ("lake", varied[2])], ""]
    for place in (None, -1, 4, "2", float("nan")):
        assert acts.take("lake", [], varied, place) == [KEEP] * 3


def test_all_variations_are_told_of_while_they_are_written(acts, monkeypatch):
    from presample.scripts.webui import work

    monkeypatch.setattr(work, "SECONDS", 0.02)
    seen = set()
    for _, result, _ in acts.vary("lake", [], *arguments(tag_length="very_long")):
        seen |= {progress["variation"] for progress in json.loads(result).get("live", ())}
    assert seen == {0, 1, 2, 3}


LONG = {"tag_length": "very_long", "prose_length": "very_long"}


def test_a_stop_gives_the_prompt_back(acts, running):
    handler = acts.generate("lake", [], *arguments(running, **LONG))
    next(handler)
    next(handler)
    running.stop()
    box, history, status, *_ = last(handler)
    assert (box, history) == ("lake", KEEP)
    assert "Stopped" in status


def test_a_stop_is_obeyed_while_the_host_makes_a_picture_and_leaves_the_box_alone(acts, running, shared):
    shared.state.job_count = 1
    lock = sys.modules["modules.call_queue"].queue_lock
    with lock:
        handler = acts.generate("lake", [], *arguments(running))
        assert "when the picture is done" in next(handler)[2]
        timer = threading.Timer(0.1, running.stop)
        timer.start()
        box, history, status, *_ = last(handler)
    assert (box, history) == (KEEP, KEEP)
    assert "Stopped" in status


def test_a_stop_stops_all_that_runs_for_its_page_and_nothing_else(acts, running):
    ours = [act("lake", [], *arguments(running, **LONG)) for act in (acts.generate, acts.vary)]
    other = acts.generate("lake", [], *arguments())
    lock = sys.modules["modules.call_queue"].queue_lock
    with lock:
        for handler in (*ours, other):
            next(handler)
        ends = []
        threads = [
            threading.Thread(target=lambda handler=handler: ends.append(last(handler)), daemon=True)
            for handler in ours
        ]
        for thread in threads:
            thread.start()
        while len(running.works) < 2:
            time.sleep(0.01)
        running.stop()
        for thread in threads:
            thread.join(10)
    assert sum("Stopped" in str(outputs) for outputs in ends) == 2
    assert running.works == []
    assert "shown" in told(last(other))


def test_what_runs_is_copied_for_every_page(running):
    from copy import deepcopy

    assert deepcopy(running).works is not running.works


def test_a_reroll_that_is_stopped_leaves_the_panels_seed(acts, running):
    handler = acts.reroll("lake", [], *arguments(running, seed=5, **LONG))
    seeds = [next(handler)[5], next(handler)[5]]
    running.stop()
    seeds += [outputs[5] for outputs in handler]
    assert set(seeds) == {KEEP}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": "no such model"}, "no model named"),
        ({"ban": "/(/"}, "/(/"),
        ({"chips": "[1"}, "chips must be like"),
        ({"model": "<b>x</b>"}, "&lt;b&gt;"),
    ],
)
def test_what_is_wrong_is_said_and_the_prompt_stays(acts, wrong, said):
    box, history, status, result, _ = last(acts.generate("lake", [], *arguments(**wrong)))
    assert (box, history) == (KEEP, KEEP)
    assert said in status
    assert "role='alert'" in status
    assert "<b>" not in status
    assert "shown" not in json.loads(result)


@pytest.mark.parametrize("act", ["generate", "vary"])
def test_an_error_that_nobody_foresaw_ends_the_writing_on_the_page_too(acts, monkeypatch, act):
    def fail(*_):
        raise RuntimeError("out of <memory>")

    monkeypatch.setattr(acts.script.keeper, "expand", fail)
    outputs = last(getattr(acts, act)("lake", [], *arguments()))
    status, result = outputs[2:4] if act == "generate" else outputs[:2]
    assert "RuntimeError: out of &lt;memory&gt;" in status
    assert "live" not in json.loads(result)


def test_a_picture_made_of_the_text_says_what_it_was_made_of(acts, script):
    from webui_fake import Processing

    chips = json.dumps({"keep": ["boat"], "ban": []})
    box = last(acts.generate("lake", [], *arguments(chips=chips)))[0]
    p = Processing(box).run(script, {"enabled": True})
    assert p.all_prompts == [box]
    assert p.extra_generation_params["Presample prompt"] == "lake"
    assert "boat" in p.extra_generation_params["Presample chips"]


def test_the_pictures_of_a_job_have_their_chips_one_page_each(actions, script):
    from webui_fake import Processing

    show = actions.show_made(script.memory)
    args = {"enabled": True, "tag_length": "short", "seed": 1}
    p = Processing("lake", batch_size=2).run(script, args)
    shown = json.loads(show(p.info(script, args)))
    assert [each["prompt"] for each in shown["shown"]] == p.all_prompts
    assert "listed" not in shown


def test_every_page_shows_the_chips_of_its_own_pictures(actions, script):
    from webui_fake import Processing

    show = actions.show_made(script.memory)
    infos, prompts = [], []
    for seed in (1, 2):  # two pages, and the second job is done before the first page asks
        args = {"enabled": True, "tag_length": "short", "seed": seed}
        p = Processing("lake").run(script, args)
        infos.append(p.info(script, args))
        prompts.append(p.all_prompts)
    assert [[each["prompt"] for each in json.loads(show(info))["shown"]] for info in infos] == prompts
    assert prompts[0] != prompts[1]


def test_pictures_that_were_not_expanded_leave_the_chips_as_they_are(actions, script):
    from webui_fake import Processing

    show = actions.show_made(script.memory)
    off = {"enabled": False}
    assert show(Processing("lake").run(script, off).info(script, off)) == KEEP
    for info in ("", None, "no json", "[]", '{"infotexts": 3}', '{"infotexts": [null, {}]}'):
        assert show(info) == KEEP


def test_expanding_a_batch_with_decisions_obeys_them_and_says_so(script):
    from webui_fake import Processing

    chips = {"keep": ["boat"], "ban": ["water"]}
    settings = {"enabled": True, "tag_length": "short", "seed": 1, "chips": chips}
    p = Processing("lake", batch_size=2).run(script, settings)
    for prompt in p.all_prompts:
        words = prompt.partition("\n")[0].split(", ")
        assert "boat" in words
        assert "water" not in words
    assert json.loads(p.extra_generation_params["Presample chips"]) == chips
    plain = Processing("lake").run(script, {"enabled": True, "seed": 1})
    assert "Presample chips" not in plain.extra_generation_params
