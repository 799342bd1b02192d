"""The switch of nodes that may download: on when the user of this page has switched it on."""

import pytest

NODES = ["PresampleTIPOLoader", "PresampleImageScore"]
ADD = """const node = window.LiteGraph.createNode(argument); app.graph.add(node);
    const preview = window.LiteGraph.createNode("PreviewAny"); app.graph.add(preview);
    node.connect(0, preview, 0);"""
SWITCH = """const widget = nodes.find((n) => n.type === argument).widgets.find((w) => w.name === "download");
    widget.value = true; widget.callback?.(true, app.canvas);"""
OTHER = """const widget = nodes.find((n) => n.type === argument).widgets.find((w) => w.options?.values);
    widget.value = widget.options.values.find((value) => value !== widget.value);"""
ON = """const [saved, kind] = argument; const workflow = JSON.parse(saved);
    const place = nodes.find((n) => n.type === kind).widgets.findIndex((w) => w.name === "download");
    const node = workflow.nodes.find((n) => n.type === kind);
    node.widgets_values[place] = true;
    if (node.widgets_values_named) node.widgets_values_named.download = true;
    return JSON.stringify(workflow);"""
WIRE = """const [saved, kind, source, widget] = argument; const workflow = JSON.parse(saved);
    const made = window.LiteGraph.createNode(source); app.graph.add(made);
    const from = JSON.parse(JSON.stringify(made.serialize())); app.graph.remove(made);
    const node = workflow.nodes.find((n) => n.type === kind);
    from.id = 97; from.widgets_values = [true, "fixed"];
    from.outputs = [{ name: "BOOLEAN", type: "BOOLEAN", links: [98], widget: { name: "download" } }];
    node.inputs = (node.inputs ?? []).filter((input) => input.name !== "download");
    node.inputs.splice(1, 0, { name: "download", type: "BOOLEAN", widget, link: 98 });
    workflow.nodes.push(from);
    workflow.links.push([98, 97, 0, node.id, 1, "BOOLEAN"]);
    workflow.last_node_id = 97; workflow.last_link_id = 98;
    return JSON.stringify(workflow);"""
WRAP = """const workflow = JSON.parse(argument[0]);
    const node = workflow.nodes.find((n) => n.type === argument[1]);
    const place = node.inputs.findIndex((input) => input.name === "download");
    const [start, end] = [[-10, 0, node.id, place], [node.id, 0, -20, 0]];
    const link = (id, [a, b, c, d], type) =>
        ({ id, origin_id: a, origin_slot: b, target_id: c, target_slot: d, type });
    const output = node.outputs[0];
    const inner = { ...node, id: node.id, outputs: [{ ...output, links: [2] }] };
    inner.inputs = node.inputs.map((i) => ({ ...i, link: i.name === "download" ? 1 : null }));
    const type = "b6a3d9c0-7a0e-4d3c-9d6f-0a1b2c3d4e5f";
    const slot = (id, name, kind, links) => ({ id, name, type: kind, linkIds: links, pos: [0, 0] });
    const bounds = [0, 0, 100, 100];
    const graph = {
        id: type, version: 1, revision: 0, config: {}, name: "wrapped", groups: [], reroutes: [], extra: {},
        state: { lastGroupId: 0, lastNodeId: 90, lastLinkId: 2, lastRerouteId: 0 }, widgets: [],
        inputNode: { id: -10, bounding: bounds }, outputNode: { id: -20, bounding: bounds },
        inputs: [slot("11111111-1111-4111-8111-111111111111", "download", "BOOLEAN", [1])],
        outputs: [slot("22222222-2222-4222-8222-222222222222", output.name, output.type, [2])],
        nodes: [inner], links: [link(1, start, "BOOLEAN"), link(2, end, output.type)],
    };
    const preview = workflow.nodes.find((n) => n.type === "PreviewAny");
    const host = { ...node, id: 96, type, properties: {}, widgets_values: [true], outputs: [{ ...output }] };
    delete host.widgets_values_named;
    host.inputs = [{ name: "download", type: "BOOLEAN", widget: { name: "download" }, link: null }];
    workflow.nodes = [host, preview];
    workflow.links = workflow.links.filter((l) => l[1] === node.id);
    for (const each of workflow.links) each[1] = 96;
    workflow.last_node_id = 96;
    workflow.definitions = { subgraphs: [graph] };
    return JSON.stringify(workflow);"""
OF_WIDGET = {"name": "download"}
VALUE = "return nodes.find((n) => n.type === argument).widgets.find((w) => w.name === 'download').value;"


@pytest.fixture(params=NODES)
def kind(request, page):
    """A workflow with a node of this kind; returns the kind."""
    page.run(ADD, request.param)
    page.steps()
    return request.param


def queued(page, kind):
    page.run("await app.queuePrompt(0, 1);")
    return page.sent(kind)["download"]


def test_who_switches_it_on_gets_the_download(page, kind):
    assert queued(page, kind) is False
    page.run(SWITCH, kind)
    assert queued(page, kind) is True


def test_a_workflow_from_elsewhere_never_has_it_on(page, kind):
    page.run(OTHER, kind)
    saved = page.workflow()
    saved = page.run(ON, [saved, kind])
    page.clear()
    page.load(saved)
    assert page.run(VALUE, kind) is False
    assert queued(page, kind) is False


def test_nor_has_one_in_api_format(page, kind):
    page.run(SWITCH, kind)
    assert queued(page, kind) is True
    asked = page.backend.prompts[-1]["prompt"]
    page.clear()
    page.run("await app.loadApiJson(argument, 'from elsewhere');", asked)
    assert page.run(VALUE, kind) is False
    assert queued(page, kind) is False


@pytest.mark.parametrize(
    ("source", "widget"),
    [("PrimitiveBoolean", OF_WIDGET), ("PrimitiveBoolean", None), ("PrimitiveNode", OF_WIDGET)],
)
def test_nor_has_one_whose_switch_hangs_on_another_node(page, kind, source, widget):
    saved = page.run(WIRE, [page.workflow(), kind, source, widget])
    page.clear()
    page.load(saved)
    assert queued(page, kind) is False
    assert page.run("return nodes.find((n) => n.id == 97).outputs[0].links ?? [];") == []
    page.run(SWITCH, kind)
    assert queued(page, kind) is True


def test_nor_has_one_whose_switch_is_outside_of_a_subgraph(page, kind):
    saved = page.run(WIRE, [page.workflow(), kind, "PrimitiveBoolean", OF_WIDGET])
    saved = page.run(WRAP, [saved, kind])
    page.clear()
    page.load(saved)
    assert queued(page, kind) is False


def test_the_switch_has_no_socket(page, kind):
    names = page.run("return nodes.find((n) => n.type === argument).inputs.map((i) => i.name);", kind)
    assert "download" not in names
    assert len(names) >= 3


def test_undo_and_other_tabs_leave_it_as_the_user_set_it(page, kind):
    page.run(SWITCH, kind)
    page.steps()
    page.run("nodes.find((n) => n.type === argument).pos = [300, 300];", kind)
    page.steps()
    page.undo()
    assert page.run(VALUE, kind) is True
    page.new_tab()
    page.other_tab()
    assert page.run(VALUE, kind) is True
