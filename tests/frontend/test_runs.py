"""Runs and their results: each goes to the workflow and the node that it is of, and to no other."""

import json

from test_chips import LAKE, chip, variation

NIGHT = variation(chip("deep night"))


def test_a_result_goes_to_the_tab_that_queued_it(page):
    first = page.add()
    page.queue()
    page.new_tab()
    second = page.add()
    assert first.id == second.id
    page.backend.executed(str(first.id), [LAKE])
    page.page.wait_for_timeout(100)
    assert "run" in second.body
    page.other_tab()
    assert "hazy moon" in page.only_node().chips()
    page.other_tab()
    assert "run" in page.only_node().body


def test_what_is_written_is_shown_in_the_tab_that_queued_it_and_in_no_other(page):
    node = page.add()
    page.queue()
    run = page.backend.prompts[-1]["id"]
    page.new_tab()
    other = page.add()
    page.backend.executed(str(other.id), [NIGHT], "another run")
    other.chip("deep night").wait_for()
    other.send("1girl, sunr", run)
    page.page.wait_for_timeout(100)
    assert other.chips() == ["deep night"]
    page.other_tab()
    node = page.only_node()
    node.write("1girl, sunris", run)
    page.backend.executed(str(node.id), [LAKE], run)
    node.chip("hazy moon").wait_for()
    page.other_tab()
    assert page.only_node().chips() == ["deep night"]


def test_a_result_whose_tab_was_closed_goes_to_no_other(page):
    page.add()
    page.queue()
    page.new_tab()
    node = page.add()
    page.close_other_tabs()
    page.backend.executed(str(node.id), [LAKE])
    page.page.wait_for_timeout(100)
    assert "run" in node.body
    assert node.run("return node.properties.presample ?? null;") is None


def test_a_run_from_before_a_reload_is_that_of_the_open_tab(page):
    node = page.add()
    node.write("1girl, sunr", page.a_run)
    page.new_tab()
    other = page.add()
    other.send("1girl, sunris", page.a_run)
    page.page.wait_for_timeout(100)
    assert "run" in other.body


FIXED = """node.widgets.find((w) => w.name === "control_after_generate").value = "fixed";"""
LOADED = """const made = window.LiteGraph.createNode("PresampleTIPOLoader"); app.graph.add(made);
    made.connect(0, node, "tipo");"""
PRECISION = """nodes.find((n) => n.type === "PresampleTIPOLoader")
    .widgets.find((w) => w.name === "precision").value = argument;"""


def posted(page):
    """Queues; returns the prompts that the posted workflow holds, and a picture with nothing new."""
    page.queue()
    workflow = page.backend.prompts[-1]["extra_data"]["extra_pnginfo"]["workflow"]
    graphs = [workflow, *workflow.get("definitions", {}).get("subgraphs", [])]
    (node,) = [n for graph in graphs for n in graph["nodes"] if n["type"] == "PresampleTIPOExpand"]
    return [each["prompt"] for each in node["properties"].get("presample", [])]


def test_a_posted_workflow_holds_the_result_of_just_what_is_asked_and_no_other(page):
    node = page.add()
    node.run(FIXED)
    node.run(LOADED)
    node.set("prompt", "lake")
    lake, night = LAKE["prompt"], NIGHT["prompt"]
    assert posted(page) == []
    assert posted(page) == []  # nobody knows yet
    node.take([LAKE])
    assert posted(page) == [lake]
    node.set("prompt", "night")
    assert posted(page) == []
    assert [each["prompt"] for each in node.run("return node.properties.presample;")] == [lake]
    node.take([NIGHT])
    assert posted(page) == [night]
    node.set("prompt", "lake")
    assert posted(page) == [lake]
    page.run(PRECISION, "float32")
    assert posted(page) == []
    page.run(PRECISION, "auto")
    assert posted(page) == [lake]
    assert [each["prompt"] for each in node.run("return node.properties.presample;")] == [night]


def test_so_does_one_with_the_node_in_a_subgraph(page):
    node = page.add()
    node.run(FIXED)
    outer, _, inner = node.run(SUBGRAPH)
    assert posted(page) == []
    page.backend.executed(f"{outer}:{inner}", [LAKE])
    page.page.wait_for_function(
        """() => { const { app } = window.comfyAPI.app;
        const outer = (app.rootGraph ?? app.graph).nodes.find((n) => n.subgraph);
        return outer.subgraph.nodes[0].properties.presample; }"""
    )
    assert posted(page) == [LAKE["prompt"]]


def test_a_stream_ends_with_its_own_run(page):
    node = page.add()
    node.take([LAKE])
    node.write("1girl, sunr", page.a_run)
    page.end("execution_interrupted", "another")
    page.page.wait_for_timeout(100)
    assert node.root.get_attribute("aria-busy") == "true"
    node.write("dawn", "the next")
    assert node.body == "dawn"
    page.end("execution_success", "the next")
    node.chip("night").wait_for()


def test_inside_a_subgraph_the_state_stays_and_results_arrive(page):
    node = page.add()
    node.take([LAKE])
    node.chip("night").click()
    inner = node.run(
        """const made = app.graph.convertToSubgraph(new Set([node]));
        const inner = made.node.subgraph.nodes[0];
        const chips = inner.widgets.find((w) => w.name === "chips").value;
        return { outer: made.node.id, id: inner.id, chips, shown: inner.properties.presample.length };"""
    )
    assert json.loads(inner["chips"]) == {"keep": ["night"], "ban": []}
    assert inner["shown"] == 1
    assert json.loads(page.queue()["chips"]) == {"keep": ["night"], "ban": []}
    page.backend.executed(f"{inner['outer']}:{inner['id']}", [LAKE, LAKE])
    page.page.wait_for_function(
        """() => { const { app } = window.comfyAPI.app;
        const outer = (app.rootGraph ?? app.graph).nodes.find((n) => n.subgraph);
        return outer.subgraph.nodes[0].properties.presample.length === 2; }"""
    )


SUBGRAPH = """const made = app.graph.convertToSubgraph(new Set([node]));
    return [made.node.id, made.node.subgraph.id, made.node.subgraph.nodes[0].id];"""
BESIDE = """const node = window.LiteGraph.createNode("PresampleTIPOExpand");
    node.id = argument; app.graph.add(node); return node.id;"""
RESULTS = """const shown = ({ properties }) => properties.presample?.map(({ prompt }) => prompt) ?? null;
    const outer = nodes.find((n) => n.subgraph);
    return [shown(nodes.find((n) => !n.subgraph)), shown(outer.subgraph.nodes[0])];"""


def test_results_from_the_history_go_to_the_nodes_that_have_them_in_subgraphs_too(page):
    node = page.add()
    outer, subgraph, inner = node.run(SUBGRAPH)
    beside = page.run(BESIDE, inner)  # with the same number, where the page lets it
    for name in (f"{outer}:{inner}", f"{subgraph}:{inner}"):
        one, two = variation(chip(f"outer {name}")), variation(chip(f"inner {name}"))
        page.run("app.nodeOutputs = argument;", {str(beside): {"presample": [one]}})
        page.run("app.nodeOutputs = argument;", {name: {"presample": [two]}})
        assert page.run(RESULTS) == [[one["prompt"]], [two["prompt"]]]


def test_a_result_of_a_tab_behind_is_there_when_it_is_opened_in_a_subgraph_too(page):
    node = page.add()
    outer, _, inner = node.run(SUBGRAPH)
    page.run(BESIDE, inner)
    page.queue()
    page.new_tab()
    page.backend.executed(f"{outer}:{inner}", [LAKE])
    page.page.wait_for_timeout(100)
    page.other_tab()
    assert page.run(RESULTS) == [None, [LAKE["prompt"]]]
