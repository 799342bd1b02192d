"""The tag chips in ComfyUI's own page, in both renderers."""

import json

import pytest
from frozen_for_tests import freeze


def chip(text, category="general", own=False, region=0):
    return {"text": text, "category": category, "own": own, "region": region}


def variation(*chips, seed=7, prose=(), **more):
    tags = ", ".join(item["text"] for item in chips)
    facts = {"seed": seed, "prompt": tags, "user_prompt": "", "notes": [], "refusals": []}
    prose = [{"text": text, "own": False} for text in prose]
    return facts | {"chips": list(chips), "prose": prose, "seconds": 0.8, "tokens": 64} | more


LAKE = variation(
    chip("1girl", "special", own=True),
    chip("lake", own=True),
    chip("night"),
    chip("hazy moon"),
    chip("masterpiece", "quality"),
    prose=["A girl stands by the lake.", "The moon is hazy."],
)


def test_an_empty_node_says_what_to_do(node):
    assert "run" in node.body
    assert node.button("Copy").is_disabled()
    assert node.button("Freeze").is_disabled()


def test_a_result_is_shown_by_category_with_the_users_own_tags_apart(node):
    node.take([LAKE])
    assert node.root.locator(".presample-row").evaluate_all("e => e.map(x => x.ariaLabel)") == [
        "special",
        "general",
        "quality",
    ]
    assert node.root.locator(".presample-own").all_inner_texts() == ["1girl", "lake"]
    assert node.status == "3 tags and 2 sentences added"
    assert "The moon is hazy." in node.body
    node.page.shot("result")


def test_clicks_keep_then_ban_then_leave_and_are_sent_in_the_prompt(node):
    node.take([LAKE])
    night = node.chip("night")
    sent = []
    for _ in range(3):
        night.click()
        sent.append(json.loads(node.page.queue()["chips"]))
    assert sent == [{"keep": ["night"], "ban": []}, {"keep": [], "ban": ["night"]}, {"keep": [], "ban": []}]


def test_the_users_own_tags_cannot_be_clicked(node):
    node.take([LAKE])
    assert node.root.locator("button", has_text="lake").count() == 0


def test_a_tag_is_kept_in_its_part_of_the_prompt_and_banned_in_all(node):
    node.take([variation(chip("sky"), chip("tree"), chip("sky", region=1), chip("bird", region=1))])
    assert node.root.locator(".presample-part").all_inner_texts() == ["part 1", "part 2"]
    first, second = node.root.locator("button.presample-chip", has_text="sky").all()
    second.click()
    node.chip("tree").click()
    assert node.decisions == {"keep": [[1, "sky"], "tree"], "ban": []}
    assert first.get_attribute("aria-label") == "sky"
    second.click()
    assert node.decisions == {"keep": ["tree"], "ban": ["sky"]}
    assert first.get_attribute("aria-label") == "sky, ban"
    first.click()
    assert node.decisions == {"keep": ["tree"], "ban": []}
    assert second.get_attribute("aria-label") == "sky"


def test_the_result_is_no_part_of_what_is_sent(node):
    before = node.page.queue()
    node.take([LAKE])
    after = node.page.queue()
    for inputs in (before, after):  # the seed moves on by itself
        inputs.pop("seed")
    assert before == after


def test_what_was_kept_or_banned_and_is_not_in_the_result_can_still_be_changed(node):
    node.take([LAKE])
    node.chip("night").click()
    node.chip("hazy moon").click(click_count=2, delay=20)
    assert node.decisions == {"keep": ["night"], "ban": ["hazy moon"]}
    node.take([variation(chip("1girl", "special", own=True), chip("dawn"))])
    assert node.chips() == ["1girl", "dawn", "night", "hazy moon"]
    node.chip("hazy moon").click()
    assert node.decisions == {"keep": ["night"], "ban": []}


def test_text_streams_in_and_the_last_result_stays_after_an_interrupt(node):
    node.take([LAKE])
    node.write("1girl, sunris", settled="1girl", fraction=0.4)
    assert node.body == "1girl, sunris"
    assert node.root.get_attribute("aria-busy") == "true"
    assert node.root.get_by_role("progressbar").get_attribute("aria-valuenow") == "40"
    node.page.end("execution_interrupted")
    node.chip("night").wait_for()
    assert node.root.get_attribute("aria-busy") == "false"


def test_variations_are_turned_with_a_pager(node):
    node.take([variation(chip(f"tag {k}"), seed=k) for k in range(4)])
    assert node.root.locator(".presample-place").inner_text() == "1 / 4"
    node.button("Next variation").click()
    node.button("Next variation").click()
    assert node.root.locator(".presample-place").inner_text() == "3 / 4"
    assert node.chips() == ["tag 2"]


def test_after_a_smaller_result_the_pager_goes_on_from_the_page_that_is_shown(node):
    node.take([variation(chip(f"tag {k}"), seed=k) for k in range(10)])
    for _ in range(9):
        node.button("Next variation").click()
    node.page.backend.executed(str(node.id), [variation(chip(f"new {k}"), seed=k) for k in range(3)])
    node.chip("new 2").wait_for()
    assert node.root.locator(".presample-place").inner_text() == "3 / 3"
    node.button("Previous variation").click()
    assert node.root.locator(".presample-place").inner_text() == "2 / 3"


def test_parts_of_a_prompt_are_written_below_each_other(node):
    node.write("lake, boat")
    node.write("night, moo", region=1)
    node.write("A boat drifts.", writes="prose")
    assert node.body.split("\n\n") == ["part 1", "lake, boat", "A boat drifts.", "part 2", "night, moo"]
    node.write("night, moon, sea", region=1)
    assert "lake, boat" in node.body


def test_what_is_written_stays_when_the_node_is_touched(node):
    node.take([LAKE])
    node.write("1girl, sunr")
    node.set("layout", "custom")
    node.set("mode", "frozen")
    node.set("mode", "generate")
    assert node.body == "1girl, sunr"
    assert node.root.get_attribute("aria-busy") == "true"


def test_additions_that_are_not_in_the_prompt_say_so(node):
    night = chip("night") | {"in_prompt": False}
    prose = [{"text": "A road.", "own": False, "in_prompt": False}, {"text": "A lake.", "own": False}]
    node.take([variation(chip("lake", own=True), night, chip("moon")) | {"prose": prose}])
    assert node.status == "1 tag and 1 sentence added"
    for said in ("night, guides the prose only", "night, keep, guides the prose only"):
        assert node.chip("night").get_attribute("aria-label") == said
        assert "guides the prose only" in node.chip("night").get_attribute("title")
        node.chip("night").click()
    assert node.root.locator(".presample-absent").all_inner_texts() == ["night", "A road."]
    assert "not in the prompt" in node.root.get_by_text("A road.").get_attribute("title").lower()


def test_copy_puts_the_shown_prompt_on_the_clipboard(node):
    node.take([variation(chip("one")), variation(chip("two"))])
    node.button("Next variation").click()
    node.button("Copy").click()
    node.button("Copied").wait_for()
    assert node.page.page.evaluate("navigator.clipboard.readText()") == "two"


def test_freeze_stores_all_prompts_and_unfreeze_lets_the_model_write_again(node):
    node.take([variation(chip("one")), variation(chip("two"))])
    assert "frozen" in node.hidden()
    node.button("Freeze").click()
    assert node.widget("mode") == "frozen"
    assert node.widget("frozen") == "one\n---\ntwo"
    assert "frozen" not in node.hidden()
    sent = node.page.queue()
    assert (sent["mode"], sent["frozen"]) == ("frozen", "one\n---\ntwo")
    assert node.button("Reroll the rest").is_disabled()
    node.button("Unfreeze").click()
    assert node.widget("mode") == "generate"
    assert node.widget("frozen") == "one\n---\ntwo"
    assert "frozen" in node.hidden()


def test_a_line_of_a_prompt_that_looks_like_a_parting_one_is_frozen_as_the_library_reads_it(node):
    prompts = ["one\n---\ntwo", " \\--- \n---", "a---\n\\\\---\nb", "----", "", " \n", "\\"]
    node.take([variation(chip("one"), prompt=prompt) for prompt in prompts])
    node.button("Freeze").click()
    assert node.widget("frozen") == freeze(prompts)


@pytest.mark.parametrize("sent", [lambda rest: [{}] * len(rest), lambda rest: rest])
def test_what_is_not_there_whole_cannot_be_frozen_and_a_workflow_holds_64_variations(page, sent):
    node = page.add()
    many = [variation(chip(f"tag {k}"), seed=k) for k in range(100)]
    node.take(many[:64] + sent(many[64:]))
    for again in (False, True):
        assert node.button("Freeze").is_disabled()
        assert "64 of 100" in node.button("Freeze").get_attribute("title")
        assert node.status.endswith("first 64 of 100 variations")
        assert node.root.locator(".presample-place").inner_text() == "1 / 64"
        if not again:
            saved = page.workflow()
            assert len(json.loads(saved)["nodes"][0]["properties"]["presample"]["presample"]) == 64
            page.clear()
            page.load(saved)
            node = page.only_node()
    node.take(many[:2])
    node.root.get_by_text("1 / 2").wait_for()
    assert node.button("Freeze").is_enabled()


def test_a_seed_that_is_linked_cannot_be_rerolled_and_the_button_says_why(page):
    node, other = page.add(), page.add(at=(500, 80))
    node.take([LAKE])
    assert node.button("Reroll the rest").is_enabled()
    link = """const other = nodes.find((n) => n.id == argument.given);
        const slot = other.outputs.findIndex((o) => o.name === "seeds");
        other.connect(slot, node, node.inputs.findIndex((i) => i.name === "seed"));"""
    node.run(link, other.id)
    assert node.button("Reroll the rest").is_disabled()
    assert "outside" in node.button("Reroll the rest").get_attribute("title")
    node.run("node.disconnectInput(node.inputs.findIndex((i) => i.name === 'seed'));")
    assert node.button("Reroll the rest").is_enabled()


def test_reroll_sends_a_new_seed_and_the_decisions(node):
    node.take([LAKE])
    seeds = {node.widget("seed")}
    node.chip("night").click()
    for _ in range(2):
        before = len(node.page.backend.prompts)
        node.button("Reroll the rest").click()
        while len(node.page.backend.prompts) == before:
            node.page.page.wait_for_timeout(20)
        seeds.add(node.page.sent()["seed"])
    assert len(seeds) == 3
    assert json.loads(node.page.sent()["chips"]) == {"keep": ["night"], "ban": []}


def test_a_saved_workflow_opens_with_result_and_decisions(page):
    node = page.add()
    node.take([LAKE])
    node.chip("night").click()
    saved = page.workflow()
    page.clear()
    page.load(saved)
    node = page.only_node()
    assert node.chips() == [item["text"] for item in LAKE["chips"]]
    assert node.decisions == {"keep": ["night"], "ban": []}
    assert node.chip("night").get_attribute("aria-label") == "night, keep"


def test_hidden_widgets_keep_their_place_and_value_in_a_saved_workflow(page):
    node = page.add()
    names = node.run("return node.widgets.map((w) => w.name);")
    node.set("frozen", "kept text")
    node.set("temperature", 0.75)
    saved = json.loads(page.workflow())["nodes"][0]["widgets_values"]
    assert len(saved) == len(names)
    assert saved[names.index("frozen")] == "kept text"
    assert saved[names.index("temperature")] == 0.75
    page.load(page.workflow())
    assert page.only_node().widget("temperature") == 0.75
    assert page.queue()["frozen"] == "kept text"


def test_a_reload_of_the_page_brings_everything_back(pages):
    page = pages("classic")
    page.clear()
    node = page.add()
    node.take([LAKE])
    page.page.wait_for_function("() => Object.values(localStorage).some((v) => v.includes('hazy moon'))")
    page.open()
    page.page.wait_for_selector("button.presample-chip")
    node = page.only_node()
    assert node.chips() == [item["text"] for item in LAKE["chips"]]


def test_each_tab_has_its_own_result_and_decisions(page):
    node = page.add()
    node.take([LAKE])
    node.chip("night").click()
    page.new_tab()
    assert "run" in page.add().body
    page.other_tab()
    node = page.only_node()
    assert node.decisions == {"keep": ["night"], "ban": []}
    assert "hazy moon" in node.chips()


def test_reroll_with_shift_runs_this_node_alone(page):
    node = page.add()
    node.take([LAKE])
    before = len(page.backend.prompts)
    node.button("Reroll the rest").click(modifiers=["Shift"])
    while len(page.backend.prompts) == before:
        page.page.wait_for_timeout(20)
    assert page.backend.prompts[-1]["partial_execution_targets"] == [str(node.id)]


def test_a_copy_of_a_node_has_the_state_and_its_own_decisions(page):
    node = page.add()
    node.take([LAKE])
    node.chip("night").click()
    identity = node.run(
        "const copy = node.clone(); copy.pos = [480, 80]; app.graph.add(copy); return copy.id;"
    )
    page.settle()
    copy = type(node)(page, identity)
    copy.chip("hazy moon").click()
    assert copy.decisions == {"keep": ["night", "hazy moon"], "ban": []}
    assert node.decisions == {"keep": ["night"], "ban": []}


def test_undo_takes_back_a_click_and_not_the_result(page):
    node = page.add()
    steps = page.steps()
    node.take([LAKE])
    assert page.steps() == steps
    node.chip("night").click()
    assert node.decisions["keep"] == ["night"]
    page.undo()
    node = page.only_node()
    assert node.decisions == {"keep": [], "ban": []}
    assert "night" in node.chips()


def test_the_keyboard_alone_keeps_bans_and_moves(node):
    node.take([LAKE])
    keyboard = node.page.page.keyboard
    node.root.locator("summary").focus()
    keyboard.press("Tab")
    focused = "document.activeElement.dataset.tag ?? document.activeElement.textContent"
    assert node.page.page.evaluate(focused) == "night"
    keyboard.press("Enter")
    keyboard.press("ArrowRight")
    keyboard.press("Space")
    keyboard.press("Space")
    assert node.decisions == {"keep": ["night"], "ban": ["hazy moon"]}
    assert node.chip("hazy moon").get_attribute("aria-pressed") == "true"
    keyboard.press("End")
    assert node.page.page.evaluate(focused) == "masterpiece"
    keyboard.press("Delete")
    assert node.root.count() == 1, "a key meant for a chip must not delete the node"
    keyboard.press("Tab")
    assert node.page.page.evaluate(focused) == "Copy"


def test_the_keyboard_comes_back_to_its_chip_after_a_run(node):
    node.take([LAKE])
    node.chip("hazy moon").focus()
    node.write("1girl, sunr")
    assert node.page.focused == "presample-body"
    node.take([LAKE])
    assert node.page.focused == "hazy moon"
    node.write("1girl, sunr")
    node.take([variation(chip("dawn"), chip("fog"))])
    assert node.page.focused == "dawn"
    node.write("1girl, sunr")
    node.button("Copy").focus()
    node.take([LAKE])
    assert node.page.focused == "presample-action"


def test_the_keyboard_stays_in_the_node_when_the_pager_goes(node):
    node.take([variation(chip("one")), variation(chip("two"))])
    node.button("Next variation").focus()
    node.write("lake")
    assert node.page.focused == "presample-body"


def test_wheel_and_middle_button_move_the_canvas_below_the_chips(node):
    node.take([LAKE])
    page, mouse = node.page, node.page.page.mouse
    box = node.root.locator(".presample-body").bounding_box()
    x, y = box["x"] + 30, box["y"] + box["height"] - 8
    mouse.move(x, y)
    for keys in ([], ["Control"]):
        before = page.view()
        for key in keys:
            page.page.keyboard.down(key)
        mouse.wheel(0, 120)
        page.page.wait_for_timeout(100)
        for key in keys:
            page.page.keyboard.up(key)
        assert page.view()[2] < before[2]
        page.run("app.canvas.ds.offset = [0, 0]; app.canvas.ds.scale = 1; app.canvas.setDirty(true, true);")
        page.settle()
    mouse.move(x, y)
    mouse.down(button="middle")
    mouse.move(x + 40, y + 30, steps=4)
    mouse.up(button="middle")
    assert page.view() == pytest.approx([40, 30, 1], abs=2)


def test_the_wheel_scrolls_chips_that_do_not_fit(node):
    node.take([variation(*[chip(f"a tag of number {k}") for k in range(150)])])
    before, body = node.page.view(), node.root.locator(".presample-body")
    node.chip("a tag of number 5").focus()  # Vue nodes leave the wheel to what has the keyboard
    body.hover()
    node.page.page.mouse.wheel(0, 120)
    node.page.page.wait_for_timeout(100)
    assert body.evaluate("e => e.scrollTop") > 0
    assert node.page.view() == before


def test_text_from_elsewhere_stays_text(node):
    bad = '<img src=x onerror="window.harmed = true">'
    node.take(
        [
            variation(
                chip(bad),
                chip(bad + "2", bad),
                prose=[bad],
                notes=[bad],
                refusals=[{"text": bad, "reason": bad}],
            )
        ]
    )
    node.write(bad, settled=bad, variation=bad, region=bad, writes=bad, fraction=bad)
    node.page.end("execution_success")
    node.chip(bad).wait_for()
    assert node.root.locator("img").count() == 0
    assert node.page.page.evaluate("window.harmed") is None


def test_broken_values_and_results_in_a_workflow_are_nothing_decided(page):
    node = page.add()
    saved = json.loads(page.workflow())
    names = node.run("return node.widgets.map((w) => w.name);")
    saved["nodes"][0]["properties"]["presample"] = [None, 3, {"chips": "x", "prose": [7], "notes": {}}]
    for value in ("{", "[]", '{"keep": [1, null, {}], "ban": "night"}', "null"):
        saved["nodes"][0]["widgets_values"][names.index("chips")] = value
        page.load(json.dumps(saved))
        assert page.only_node().decisions == {"keep": [], "ban": []}


def test_150_tags_scroll_inside_the_node(node):
    height = node.root.bounding_box()["height"]
    node.take([variation(*[chip(f"a tag of number {k}") for k in range(150)])])
    assert node.root.bounding_box()["height"] == height
    body = node.root.locator(".presample-body")
    assert body.evaluate("e => e.scrollHeight > e.clientHeight && e.scrollWidth <= e.clientWidth")
    node.chip("a tag of number 149").click()
    assert node.decisions["keep"] == ["a tag of number 149"]


def test_notes_and_refusals_can_be_reached(node):
    refusals = [{"text": "2girls", "reason": "you asked for one"}]
    node.take([LAKE | {"notes": ["part 2 stays as it is"], "refusals": refusals}])
    assert node.status.endswith("1 note · 1 left out")
    node.root.locator("summary").click()
    more = node.root.locator(".presample-more").inner_text()
    assert "part 2 stays as it is" in more
    assert "2girls you asked for one" in more


CONTRAST = """(element) => {
    const paper = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const layers = [];
    for (let box = element; box; box = box.parentElement)
        layers.unshift(getComputedStyle(box).backgroundColor);
    const light = (...colours) => {
        for (const colour of colours) { paper.fillStyle = colour; paper.fillRect(0, 0, 1, 1); }
        const [r, g, b] = [...paper.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const back = light(...layers), text = light(...layers, getComputedStyle(element).color);
    return (Math.max(back, text) + 0.05) / (Math.min(back, text) + 0.05);
}"""


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_can_be_read_in_dark_and_light_themes(node, theme):
    node.page.run("await app.extensionManager.setting.set('Comfy.ColorPalette', argument);", theme)
    try:
        absent = [chip(text) | {"in_prompt": False} for text in ("fog", "dawn")]
        node.take([LAKE | {"notes": ["a note"], "chips": [*absent, *LAKE["chips"]]}, LAKE])
        node.chip("dawn").click()
        node.chip("night").click()
        node.chip("hazy moon").click(click_count=2, delay=20)
        node.root.locator("summary").click()
        node.page.shot(theme)
        parts = ".presample-chip, .presample-label, .presample-sentence, .presample-status, .presample-note"
        contrasts = node.root.locator(f"{parts}, .presample-action, .presample-place").evaluate_all(
            f"(all) => all.map((e) => [e.className + ': ' + e.textContent, ({CONTRAST})(e)])"
        )
        assert len(contrasts) > 15
        assert [part for part in contrasts if part[1] < 4.5] == []
    finally:
        node.page.run("await app.extensionManager.setting.set('Comfy.ColorPalette', 'dark');")


def test_advanced_options_are_folded_in_classic_nodes(pages):
    page = pages("classic")
    page.clear()
    node = page.add()
    assert {"temperature", "top_k", "compat"} <= set(node.hidden())
    assert "seed" not in node.hidden()
    height = round(node.run("return node.size[1];"))
    node.button("Advanced").click()
    assert node.hidden() == ["frozen", "layout_template"]
    assert round(node.run("return node.size[1];")) > height
    node.button("Advanced").click()
    assert round(node.run("return node.size[1];")) == height
    assert page.queue()["temperature"] == 0.5


def test_a_template_is_shown_where_the_layout_is_custom(node):
    assert "layout_template" in node.hidden()
    node.set("layout", "custom")
    assert "layout_template" not in node.hidden()
    node.set("layout", "verbatim")
    assert "layout_template" in node.hidden()


def test_changing_the_renderer_keeps_everything(pages):
    page = pages("classic")
    page.clear()
    node = page.add()
    node.take([LAKE])
    node.chip("night").click()
    try:
        page.run("await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', true);")
        node.chip("hazy moon").click()
        assert node.decisions == {"keep": ["night", "hazy moon"], "ban": []}
        assert node.button("Advanced").count() == 0
    finally:
        page.run("await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', false);")
    node.chip("night").click()
    assert node.decisions == {"keep": ["hazy moon"], "ban": ["night"]}
