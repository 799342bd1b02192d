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
