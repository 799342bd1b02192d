"""The nodes that expand: what goes in, what comes out, what is stored with a picture, and how they stop."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from frozen_for_tests import freeze

from presample.models.tipo.expand import expand_many, load_tipo
from presample.models.tipo.expansion import Request
from presample.models.tipo.options import TASK_CHOICES, ExpandOptions

EXPAND, TASK = "PresampleTIPOExpand", "PresampleTIPOTask"


class Server:
    """Takes messages as ComfyUI's server does."""

    client_id = "page"

    def __init__(self):
        self.sent = []

    def send_sync(self, event, data, sid=None):
        self.sent.append((event, data, sid))


def shown(out):
    """Returns the variations that the page is sent."""
    return [json.loads(each) for each in out.ui["presample"]]


def test_the_outputs_are_those_of_the_engine_one_item_for_each_variation(nodes, hidden, loaded):
    out = nodes[EXPAND].execute("1girl, lake", tipo=loaded, seed=5, count=3, tag_length="short")
    request = Request("1girl, lake", options=ExpandOptions(seed=5, tag_length="short"), comments="comfyui")
    made = expand_many(request, 3, load_tipo())
    prompts, tags, prose, added, plain, seeds, expansions = out.args
    assert prompts == [each.prompt for each in made]
    assert tags == [each.tags for each in made]
    assert prose == [each.prose for each in made]
    assert added == [each.added for each in made]
    assert plain == ["1girl, lake"] * 3
    assert seeds == [5, 6, 7]
    assert [each.prompt for each in expansions] == prompts
    assert len(nodes[EXPAND].GET_SCHEMA().outputs) == 7
    assert all(output.is_output_list for output in nodes[EXPAND].GET_SCHEMA().outputs)
    assert [each["prompt"] for each in shown(out)] == prompts


def test_without_a_model_connected_the_named_one_is_loaded(nodes, hidden):
    assert nodes[EXPAND].execute("lake", tag_length="very_short").args[0][0].startswith("lake, ")
    with pytest.raises(ValueError, match=r"no model named 'TIPO-200M' is here(.|\n)*with Load TIPO Model"):
        nodes[EXPAND].execute("lake", model="TIPO-200M (not downloaded, 406 MB, Apache-2.0)")


def test_what_is_kept_comes_again_and_what_is_banned_does_not(nodes, hidden, loaded):
    first = shown(nodes[EXPAND].execute("lake", tipo=loaded, seed=1))[0]
    new = [chip["text"] for chip in first["chips"] if not chip["own"]]
    chips = json.dumps({"keep": new[:2], "ban": new[2:4]})
    again = shown(nodes[EXPAND].execute("lake", tipo=loaded, seed=2, chips=chips))[0]
    tags = [chip["text"] for chip in again["chips"]]
    assert set(new[:2]) <= set(tags)
    assert not set(new[2:4]) & set(tags)


def test_a_frozen_text_is_given_as_it_stands_and_needs_no_model(nodes, hidden, monkeypatch, comfy):
    monkeypatch.setattr(comfy.tipo, "load_for_run", None)
    out = nodes[EXPAND].execute("lake", mode="frozen", frozen="lake, (a boat:1.2)\n---\nlake, night", seed=9)
    assert out.args[0] == ["lake, (a boat:1.2)", "lake, night"]
    assert out.args[5] == [9, 10]
    boat = next(chip for chip in shown(out)[0]["chips"] if not chip["own"])
    assert "in_prompt" not in boat
    with pytest.raises(ValueError, match="must have a text"):
        nodes[EXPAND].execute("lake", mode="frozen")


def test_the_model_is_only_waited_for_where_it_is_needed(nodes):
    lazy = nodes[EXPAND].check_lazy_status
    assert lazy(prompt="a", tipo=None, mode="generate") == ["tipo"]
    assert lazy(prompt="a", tipo=None) == ["tipo"]
    assert lazy(prompt="a", tipo=None, mode="frozen") == []
    assert lazy(prompt="a", tipo=object()) == []
    assert lazy(prompt="a") == []


@pytest.mark.parametrize("task", ["tags", "tag_to_long", "None", "tag_to_short"])
def test_a_task_runs_alone(nodes, hidden, loaded, task):
    made = nodes[TASK].execute("1girl, lake", task, tipo=loaded).args[6][0]
    assert made.request.options.task in TASK_CHOICES
    assert bool(made.regions[0].added_prose) == (task not in ("tags", "None"))


def test_wrong_decisions_and_tasks_are_refused_before_anything_runs(nodes):
    assert nodes[EXPAND].validate_inputs(chips="{}", model="gone") is True
    assert "chips must be like" in nodes[EXPAND].validate_inputs(chips="[")
    assert "task must be one of" in nodes[TASK].validate_inputs(task="long_to_short")
    assert nodes[TASK].validate_inputs(task="None") is True


def test_a_task_from_another_node_is_looked_at_when_it_is_known(nodes, hidden, loaded):
    assert nodes[TASK].validate_inputs(task=None, chips="{}") is True  # as ComfyUI says of a linked input
    with pytest.raises(ValueError, match="task must be one of"):
        nodes[TASK].execute("lake", "long_to_short", tipo=loaded)


@pytest.mark.parametrize("node", [EXPAND, TASK])
def test_a_replaced_model_is_noticed_where_it_is_read_by_its_name(nodes, comfy, node):
    file = comfy.base / "models" / "tipo" / "mine.gguf"
    file.parent.mkdir(parents=True, exist_ok=True)
    named = {"model": "mine.gguf", "mode": "generate"}
    others = ({**named, "tipo": None}, {**named, "mode": "frozen"}, {**named, "model": None})
    try:
        before = [nodes[node].fingerprint_inputs(**given) for given in (named, named, *others)]
        file.write_bytes(b"GGUF")
        after = [nodes[node].fingerprint_inputs(**given) for given in (named, named, *others)]
    finally:
        file.unlink()
    assert before[0] == before[1] != after[0] == after[1]
    assert before[2:] == after[2:]


def test_the_result_is_stored_with_the_picture_and_in_its_workflow(nodes, hidden, loaded):
    inner = {"id": "g", "nodes": [{"id": 7, "properties": {"a": 1}}]}
    hidden.extra_pnginfo = {
        "workflow": {
            "nodes": [{"id": 7}, {"id": 4, "type": "g"}],
            "definitions": {"subgraphs": [inner]},
        }
    }
    out = nodes[EXPAND].execute("lake", tipo=loaded, count=2)
    extra = hidden.extra_pnginfo
    assert extra["presample"]["7"]["prompts"] == out.args[0]
    assert extra["presample"]["7"]["seeds"] == ["0", "1"]
    assert extra["workflow"]["nodes"][0]["properties"]["presample"] == shown(out)
    hidden.unique_id = "4:7"
    nodes[EXPAND].execute("night", tipo=loaded)
    assert set(extra["presample"]) == {"7", "4:7"}
    assert inner["nodes"][0]["properties"]["presample"][0]["prompt"].startswith("night")
    assert inner["nodes"][0]["properties"]["a"] == 1
    json.dumps(extra)


@pytest.fixture
def each(comfy, monkeypatch):
    """Runs something for every item of a list, as ComfyUI does with a node behind one; a None is no item."""

    def run(items, execute):
        run, outs = object(), []
        for step in (
            lambda _: comfy.tipo.TIPOExpand.check_lazy_status(),
            lambda item: outs.append(execute(item)),
        ):
            for place, item in enumerate(items):
                context = SimpleNamespace(prompt_id=run, node_id="7", list_index=place)
                monkeypatch.setattr(comfy.items, "get_executing_context", lambda context=context: context)
                if item is not None:
                    step(item)
        return outs

    return run


def test_of_a_list_of_prompts_all_are_stored(nodes, hidden, loaded, each):
    saved = {"id": 7, "properties": {"presample": ["of the run before"]}}
    hidden.extra_pnginfo = {"workflow": {"nodes": [saved]}}
    outs = each(
        ("lake", "night"), lambda text: nodes[EXPAND].execute(text, tipo=loaded, tag_length="very_short")
    )
    prompts = [prompt for out in outs for prompt in out.args[0]]
    assert hidden.extra_pnginfo["presample"]["7"]["prompts"] == prompts
    assert hidden.extra_pnginfo["presample"]["7"]["seeds"] == ["0", "0"]
    assert [each["prompt"] for each in saved["properties"]["presample"]] == prompts


def test_the_page_keeps_as_many_variations_as_the_node(comfy):
    page = Path(__file__).parents[2] / "javascript" / "comfyui" / "result.mjs"
    (most,) = re.findall(r"^const MOST_VARIATIONS = (\d+);", page.read_text(encoding="utf-8"), re.M)
    assert int(most) == comfy.tipo.MOST_VARIATIONS


def test_of_many_prompts_a_workflow_and_the_page_hold_the_first_and_how_many_there_were(nodes, hidden, each):
    saved = {"id": 7}
    hidden.extra_pnginfo = {"workflow": {"nodes": [saved]}}
    texts = ["\n---\n".join(f"lake {n} {k}" for k in range(30)) for n in range(4)]
    linked = {"7": {"inputs": {"frozen": ["1", 0]}}}
    hidden.prompt = linked
    outs = each(texts, lambda text: nodes[EXPAND].execute("lake", mode="frozen", frozen=text))
    assert [len(out.args[0]) for out in outs] == [30] * 4
    sent = [item for out in outs for item in shown(out)]
    assert [bool(item) for item in sent] == [True] * 64 + [False] * 56
    stored = saved["properties"]["presample"]
    assert stored == {"presample": sent[:64], "total": 120}
    told = hidden.extra_pnginfo["presample"]["7"]
    assert told["prompts"] == [item["prompt"] for item in sent[:64]]
    assert (len(told["seeds"]), told["total"]) == (64, 120)


@pytest.mark.parametrize(
    ("items", "count", "text", "given"),
    [
        ("xyz", 1, "a\n---\nb\n---\nc", ["a", "b", "c"]),
        ("xy", 2, "a\n---\nb\n---\nc\n---\nd", ["ab", "cd"]),
        ("xyz", 1, "a\n---\nb", ["a", "b", ""]),
        ("xy", 1, "a\n---\nb\n---\nc", ["a", "bc"]),
        ("x", 1, "a\n---\nb\n---\nc", ["abc"]),
        ([None, "y", None, "z"], 1, "a\n---\nb\n---\nc", ["a", "bc"]),
    ],
)
def test_of_a_frozen_text_each_prompt_of_a_list_has_its_own_variations(
    nodes, hidden, each, items, count, text, given
):
    hidden.prompt = {"7": {"inputs": {"prompt": ["1", 0], "frozen": text}}}
    outs = each(
        items, lambda item: nodes[EXPAND].execute(item, mode="frozen", frozen=text, count=count, seed=7)
    )
    assert [out.args[0] for out in outs] == [list(prompts) for prompts in given]
    assert [out.args[4] for out in outs] == [
        [item] * len(prompts) for item, prompts in zip(filter(None, items), given, strict=True)
    ]
    assert [out.args[5] for out in outs] == [[7 + k for k in range(len(prompts))] for prompts in given]
    assert [len(out.ui["presample"]) for out in outs] == [len(prompts) for prompts in given]


def test_a_frozen_text_from_a_list_is_given_whole_for_its_item(nodes, hidden, each):
    hidden.prompt = {"7": {"inputs": {"prompt": ["1", 0], "frozen": ["1", 0]}}}
    outs = each(["a", "b\n---\nc"], lambda text: nodes[EXPAND].execute("x", mode="frozen", frozen=text))
    assert [out.args[0] for out in outs] == [["a"], ["b", "c"]]


def test_what_was_written_for_a_list_is_given_again_when_it_is_frozen(nodes, hidden, loaded, each):
    asked = {"tipo": loaded, "count": 2, "seed": 7, "tag_length": "very_short", "prose_length": "none"}

    def run(**how):
        outs = each(["moon, lake", "castle"], lambda text: nodes[EXPAND].execute(text, **asked, **how))
        return [list(column) for out in outs for column in (out.args[0], *out.args[4:6])]

    for variety in ("independent", "tree"):
        made = run(variety=variety)
        text = freeze([*made[0], *made[3]])
        hidden.prompt = {"7": {"inputs": {"frozen": text}}}
        assert run(variety=variety, mode="frozen", frozen=text) == made


def test_a_task_that_is_left_out_is_the_one_the_node_shows(nodes, hidden, loaded):
    shown = next(each for each in nodes[TASK].GET_SCHEMA().inputs if each.id == "task").facts["default"]
    made = nodes[TASK].execute("1girl, lake", tipo=loaded, tag_length="very_short").args[6][0]
    assert made.request.options.task == shown


@pytest.mark.parametrize("count", [0, 65, 20000, 2.0, True, None])
def test_a_count_from_another_node_is_looked_at(nodes, hidden, count):
    with pytest.raises(ValueError, match=f"count must be a whole number from 1 to 64, got {count}"):
        nodes[EXPAND].execute("lake", count=count)


@pytest.mark.parametrize(
    "extra",
    [None, {}, {"workflow": 3}, {"workflow": {"nodes": [1, {"id": 7, "properties": []}]}}, {"workflow": {}}],
)
def test_odd_workflows_are_no_trouble(nodes, hidden, loaded, extra):
    hidden.extra_pnginfo = extra
    for unique in (None, "7", "4:7", "x:y:z"):
        hidden.unique_id = unique
        nodes[EXPAND].execute("lake", tipo=loaded, tag_length="very_short", prose_length="none")


def test_the_page_hears_how_far_each_variation_is_and_in_which_run(nodes, hidden, loaded, comfy, monkeypatch):
    server = comfy.fake["server"].PromptServer.instance = Server()
    monkeypatch.setattr(comfy.stream, "SECONDS", 0.0)
    context = SimpleNamespace(prompt_id="a run", list_index=None)
    monkeypatch.setattr(comfy.stream, "get_executing_context", lambda: context)
    out = nodes[EXPAND].execute("lake", tipo=loaded, count=2, prose_length="none")
    events = [data for event, data, sid in server.sent if (event, sid) == ("presample.progress", "page")]
    assert {data["variation"] for data in events} == {0, 1}
    assert all((data["node"], data["prompt_id"], data["region"]) == ("7", "a run", 0) for data in events)
    assert events[-1]["fraction"] == 1.0
    assert events[-1]["settled"].split(", ")[0] in out.args[0][1]


def test_a_run_that_no_page_has_queued_is_told_to_none(nodes, hidden, loaded, comfy):
    server = comfy.fake["server"].PromptServer.instance = Server()
    server.client_id = None
    nodes[EXPAND].execute("lake", tipo=loaded, tag_length="very_short")
    assert server.sent == []


def test_messages_come_no_more_often_than_they_can_be_read(nodes, hidden, loaded, comfy):
    server = comfy.fake["server"].PromptServer.instance = Server()
    out = nodes[EXPAND].execute("lake", tipo=loaded, tag_length="very_long")
    (said,) = shown(out)
    assert 0 < len(server.sent) <= max(10, said["seconds"] / comfy.stream.SECONDS + 8)
    assert len(server.sent) < said["tokens"]


def test_an_interruption_is_comfyuis_own(nodes, hidden, loaded, comfy):
    state = comfy.fake["comfy.model_management"].state
    state.interrupted = True
    with pytest.raises(comfy.fake["comfy.model_management"].InterruptProcessingException):
        nodes[EXPAND].execute("lake", tipo=loaded)


def test_a_layout_is_changed_without_the_model(nodes, hidden, loaded):
    made = nodes[EXPAND].execute("lake", tipo=loaded).args[6][0]
    prompt, plain, again = nodes["PresamplePromptLayout"].execute(made, layout="pony").args
    assert prompt.startswith("score_9")
    assert "lake" in plain
    assert again.prompt == prompt
    own = nodes["PresamplePromptLayout"].execute(made, layout="custom", layout_template="<|prompt|> !")
    assert own.args[0] == "lake !"


class Clip:
    """A CLIP with tokens of `kinds`, which are the text, and with the encoders for all but the `absent`."""

    def __init__(self, *kinds, absent=()):
        self.kinds = kinds
        self.cond_stage_model = SimpleNamespace(**dict.fromkeys(absent))

    def tokenize(self, text):
        return dict.fromkeys(self.kinds, text)

    def encode_from_tokens_scheduled(self, tokens):
        return [[tokens, {}]]


def test_tags_and_prose_go_to_the_encoders_that_know_them(nodes):
    encode = nodes["PresampleTIPOTextEncode"].execute
    made = SimpleNamespace(prompt="lake, a boat. It drifts.", tags="lake, a boat", prose="It drifts.")
    for kinds in (("l",), ("l", "g"), ("t5xxl",)):
        conditioning, text = encode(Clip(*kinds), made).args
        assert conditioning == [[dict.fromkeys(kinds, made.prompt), {}]]
        assert text == made.prompt
        with pytest.raises(ValueError, match="must have both a CLIP and a T5 encoder"):
            encode(Clip(*kinds), made, split="tags and prose")
    dual = Clip("l", "g", "t5xxl")
    assert encode(dual, made).args[0][0][0] == {"l": made.tags, "g": made.tags, "t5xxl": made.prose}
    assert encode(dual, made, split="same text").args[0][0][0] == dict.fromkeys(dual.kinds, made.prompt)
    only_tags = SimpleNamespace(prompt="lake", tags="lake", prose="")
    assert encode(dual, only_tags).args[1] == "lake"
    with pytest.raises(ValueError, match="split must be one of"):
        encode(dual, made, split="halves")


@pytest.mark.parametrize("absent", [("t5xxl",), ("clip_l", "clip_g")])
@pytest.mark.parametrize("more", [(), ("llama",)])
def test_nothing_is_given_to_an_encoder_that_was_not_loaded(nodes, absent, more):
    encode = nodes["PresampleTIPOTextEncode"].execute
    made = SimpleNamespace(prompt="lake, a boat. It drifts.", tags="lake, a boat", prose="It drifts.")
    clip = Clip("l", "g", "t5xxl", *more, absent=absent)
    conditioning, text = encode(clip, made).args
    assert conditioning == [[dict.fromkeys(clip.kinds, made.prompt), {}]]
    assert text == made.prompt
    there = [name for name in clip.kinds if not {name, f"clip_{name}"} & set(absent)]
    with pytest.raises(ValueError, match=f"a T5 encoder, got {', '.join(there)};"):
        encode(clip, made, split="tags and prose")


def test_what_is_neither_clip_nor_t5_gets_the_whole_prompt(nodes):
    encode = nodes["PresampleTIPOTextEncode"].execute
    made = SimpleNamespace(prompt="lake. It drifts.", tags="lake", prose="It drifts.")
    several = encode(Clip("l", "g", "t5xxl", "llama", absent=("clip_l",)), made).args[0][0][0]
    assert several == {"l": made.prompt, "g": made.tags, "t5xxl": made.prose, "llama": made.prompt}
    clip = Clip("qwen3_06b", "t5xxl")
    assert encode(clip, made).args[0][0][0] == dict.fromkeys(clip.kinds, made.prompt)


def test_a_mode_that_is_none_is_refused(nodes, hidden):
    with pytest.raises(ValueError, match="mode must be one of generate, frozen; got 'thawed'"):
        nodes["PresampleTIPOExpand"].execute(prompt="1girl", mode="thawed")
