"""ComfyUI's page as a user of the chips sees it: nodes, clicks, keys, and what arrives at the backend."""

import json
import os
import uuid
from pathlib import Path
from urllib.parse import urlparse

READY = "() => window.comfyAPI?.app?.app?.graph && window.comfyAPI.app.app.extensionManager"
APP = "const app = window.comfyAPI.app.app; const nodes = (app.rootGraph ?? app.graph).nodes;"
SHOTS = Path(os.environ.get("PRESAMPLE_SHOTS", "out/frontend"))

SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.Persist": True,
    "Comfy.UseNewMenu": "Top",
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.VueNodes.AutoScaleLayout": False,
    "Comfy.Workflow.ShowMissingNodesWarning": False,
    "Comfy.Workflow.ShowMissingModelsWarning": False,
}


class Page:
    """One open page in one renderer; `errors` collects what went wrong in it."""

    def __init__(self, browser, backend, renderer: str):
        self.backend, self.renderer = backend, renderer
        self.context = browser.new_context(viewport={"width": 920, "height": 1000})
        self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=backend.address)
        self.page = self.context.new_page()
        self.page.set_default_timeout(4000)
        self.page.set_default_navigation_timeout(20_000)  # a busy machine
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack}"))
        self.page.route("**/*", self._only_here)
        self.open()

    def _only_here(self, route):
        address = urlparse(route.request.url)
        if address.hostname == "127.0.0.1" or address.scheme in ("data", "blob"):
            route.continue_()
        else:
            route.abort()

    def open(self) -> None:
        self.backend.settings.update(SETTINGS | {"Comfy.VueNodes.Enabled": self.renderer == "vue"})
        self.page.goto(self.backend.address + "/", wait_until="domcontentloaded")
        self.page.wait_for_function(READY, timeout=60000)
        self.page.wait_for_function(
            "() => document.querySelector('link[href*=\"presample.css\"]')"
            " && window.comfyAPI.app.app.extensionManager?.workflow?.activeWorkflow",
            timeout=60000,
        )

        self.page.add_style_tag(content=".p-toast { display: none }")

    def close(self) -> None:
        self.context.close()

    def run(self, script: str, argument=None):
        """Returns what a body of JavaScript returns that knows `app`, `nodes` and `argument`."""
        return self.page.evaluate(f"async (argument) => {{ {APP} {script} }}", argument)

    def clear(self) -> None:
        self.backend.prompts.clear()
        self.a_run = str(uuid.uuid4())
        self.run(
            """const workflows = app.extensionManager.workflow;
            const empty = { nodes: [], links: [], version: 0.4 };
            await app.loadGraphData(empty, true, true, workflows.activeWorkflow);"""
        )
        self.close_other_tabs()
        self.run(
            """const changes = app.extensionManager.workflow.activeWorkflow.changeTracker;
            changes.undoQueue.length = 0;
            delete changes.nodeOutputs;
            changes.reset((app.rootGraph ?? app.graph).serialize());"""
        )
        self.settle()

    @property
    def focused(self) -> str:
        """Returns the tag of the chip on which the keyboard is, or the class of what it is on."""
        return self.page.evaluate("document.activeElement.dataset.tag ?? document.activeElement.className")

    def view(self) -> list[float]:
        """Returns where the canvas is: offset and scale."""
        return self.run("return [...app.canvas.ds.offset, app.canvas.ds.scale];")

    def settle(self) -> None:
        """Waits until the page has drawn what changed."""
        self.run("await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));")

    def add(self, at=(80, 80), size=None) -> "Node":
        identity = self.run(
            """const node = window.LiteGraph.createNode("PresampleTIPOExpand");
            node.pos = argument.at; app.graph.add(node);
            if (argument.size) node.setSize(argument.size);
            app.canvas.ds.offset = [0, 0]; app.canvas.ds.scale = 1; app.canvas.setDirty(true, true);
            const changes = app.extensionManager.workflow.activeWorkflow.changeTracker;
            (changes.captureCanvasState ?? changes.checkState).call(changes);
            return node.id;""",
            {"at": list(at), "size": size},
        )
        self.settle()
        node = Node(self, identity)
        node.root.wait_for()
        return node

    def only_node(self) -> "Node":
        """Returns the node of a workflow that has one with chips."""
        node = Node(self, self.run("return nodes.find((n) => n.type === 'PresampleTIPOExpand').id;"))
        node.root.wait_for()
        return node

    def workflow(self) -> str:
        return self.run("return JSON.stringify((app.rootGraph ?? app.graph).serialize());")

    def load(self, workflow: str) -> None:
        self.run("await app.loadGraphData(JSON.parse(argument));", workflow)
        self.settle()

    def new_tab(self) -> None:
        self.run("await app.extensionManager.command.execute('Comfy.NewBlankWorkflow');")
        self.settle()

    def other_tab(self) -> None:
        """Goes from one of two tabs to the other."""
        self.run(
            """const workflows = app.extensionManager.workflow;
            const other = workflows.openWorkflows.find((w) => w !== workflows.activeWorkflow);
            await app.loadGraphData(other.activeState, true, true, other);"""
        )
        self.settle()

    def close_other_tabs(self) -> None:
        self.run(
            """const workflows = app.extensionManager.workflow;
            for (const other of workflows.openWorkflows.filter((w) => w !== workflows.activeWorkflow))
                await workflows.closeWorkflow(other);"""
        )

    def queue(self) -> dict:
        """Queues as the Run button does; returns the inputs of the node as they were sent."""
        self.run("await app.queuePrompt(0, 1);")
        return self.sent()

    def end(self, kind: str, run: str = "") -> None:
        """Lets a run end: execution_success, execution_error or execution_interrupted."""
        self.backend.send(kind, {"prompt_id": run or self.a_run, "node_id": "1", "executed": []})

    def sent(self, kind: str = "PresampleTIPOExpand") -> dict:
        nodes = self.backend.prompts[-1]["prompt"].values()
        return next(node["inputs"] for node in nodes if node["class_type"] == kind)

    def steps(self) -> int:
        """Returns how many steps of undo there are, after the page has looked for one."""
        return self.run(
            """const changes = app.extensionManager.workflow.activeWorkflow.changeTracker;
            (changes.captureCanvasState ?? changes.checkState).call(changes);
            return changes.undoQueue.length;"""
        )

    def undo(self) -> None:
        self.run("await app.extensionManager.workflow.activeWorkflow.changeTracker.undo();")
        self.settle()

    def shot(self, name: str) -> Path:
        """Keeps a picture of the page; test output."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}-{self.renderer}.png"
        self.page.screenshot(path=path)
        return path


class Node:
    """A TIPO Expand node in a page."""

    def __init__(self, page: Page, identity):
        self.page, self.id = page, identity
        page.run(
            """nodes.find((n) => n.id == argument).widgets.find((w) => w.name === "chips")
            .element.dataset.node = argument;""",
            identity,
        )
        self.root = page.page.locator(f'.presample[data-node="{identity}"]')

    def run(self, script: str, argument=None):
        script = f"const node = nodes.find((n) => n.id == argument.id); {script}"
        return self.page.run(script, {"id": self.id, "given": argument})

    def widget(self, name: str):
        return self.run("return node.widgets.find((w) => w.name === argument.given).value;", name)

    def set(self, name: str, value) -> None:
        self.run(
            """const widget = node.widgets.find((w) => w.name === argument.given[0]);
            widget.value = argument.given[1]; widget.callback?.(widget.value, app.canvas, node);""",
            [name, value],
        )
        self.page.settle()

    def hidden(self) -> list[str]:
        return self.run("return node.widgets.filter((w) => w.hidden).map((w) => w.name);")

    @property
    def decisions(self) -> dict:
        return json.loads(self.widget("chips"))

    def take(self, variations: list) -> None:
        """Lets a result arrive and waits until it is shown."""
        self.page.backend.executed(str(self.id), variations)
        shown = [item["text"] for item in variations[0]["chips"] if not item["own"]]
        if shown:
            self.chip(shown[-1]).wait_for()

    def write(self, text: str, run: str = "", **facts) -> None:
        """Lets a text arrive that is being written, and waits until it is shown."""
        self.send(text, run, **facts)
        self.root.locator(".presample-stream", has_text=text).last.wait_for()

    def send(self, text: str, run: str = "", **facts) -> None:
        """Lets a text arrive that is being written."""
        said = {"variation": 0, "region": 0, "writes": "tags", "settled": "", "fraction": 0.5}
        message = {"node": str(self.id), "prompt_id": run or self.page.a_run, "text": text, **said, **facts}
        self.page.backend.send("presample.progress", message)

    def chip(self, text: str):
        return self.root.locator("button.presample-chip", has_text=text).first

    def chips(self) -> list[str]:
        return self.root.locator(".presample-chip").all_inner_texts()

    def button(self, name: str):
        return self.root.get_by_role("button", name=name)

    @property
    def status(self) -> str:
        return self.root.locator(".presample-status").inner_text()

    @property
    def body(self) -> str:
        return self.root.locator(".presample-body").inner_text()
