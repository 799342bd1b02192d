"""An expansion that was changed since is known again, and what only looks like one is expanded."""

import pytest
from webui_fake import Processing

from presample.models.prompt.document import split_sentences

SHORT = {"enabled": True, "tag_length": "short", "prose_length": "none", "seed": 5}
LONG = {"enabled": True, "tag_length": "very_long", "prose_length": "very_long", "seed": 77}


def written(script, prompt="lake, night", **others):
    """What is added to a prompt that is expanded into the prompt box: tags, and sentences."""
    from presample.scripts.webui.memory import SHARE_IN_BOX

    p = Processing(prompt).run(script, {**SHORT, **others})
    (made,) = script.memory.last.made
    script.memory.add_words(made, SHARE_IN_BOX)
    tags, _, prose = p.all_prompts[0].removeprefix(prompt).removeprefix(", ").partition("\n")
    return [tag for tag in tags.split(", ") if tag], split_sentences(prose)


def is_expanded(script, *parts):
    return Processing(", ".join(parts)).run(script, LONG).all_prompts != [", ".join(parts)]


def test_an_expansion_that_was_changed_is_not_expanded_again(script):
    tags, sentences = written(script, prose_length="short")
    prompt = "\n".join([", ".join(["lake", *tags[1:], "a castle"]), " ".join(sentences[1:])])
    p = Processing(prompt, styles=["(watercolor:1.2)"]).run(script, LONG)
    assert p.all_prompts == [f"{prompt}, (watercolor:1.2)"]
    assert any("holds an expansion already" in text for text in p.comments)
    assert not p.extra_generation_params, "it is a text of its own"


def test_half_of_what_was_added_is_an_expansion_still_and_less_is_none(script):
    tags, _ = written(script)
    half = (len(tags) + 1) // 2
    assert half > 6
    assert not is_expanded(script, "1girl", *tags[-half:])
    assert is_expanded(script, "1girl", *tags[: half - 1])


OWN = "1girl, red dress, black boots, forest, autumn, river, boat, tree, cloud, bird, hat, basket, bag, mill"
VERY_SHORT = {"tag_length": "very_short"}


@pytest.mark.parametrize("written_first", [True, False])
def test_a_few_common_tags_that_were_added_are_in_other_prompts_too(script, written_first):
    if written_first:
        tags, _ = written(script, OWN, **VERY_SHORT)
    else:
        p = Processing(OWN).run(script, {**SHORT, **VERY_SHORT})
        tags = p.all_prompts[0].removeprefix(OWN + ", ").split(", ")
    assert 3 <= len(tags) < 6
    assert is_expanded(script, "1girl", *tags, "kimono", "temple")
    assert not is_expanded(script, OWN.replace("mill", "bridge"), *tags)


def test_spelling_weights_and_order_make_no_difference(script):
    tags, _ = written(script)
    changed = [tag if "\\" in tag else f"({tag.replace(' ', '_').upper()}:1.1)" for tag in tags[::-1]]
    assert changed != tags[::-1]
    assert not is_expanded(script, *changed)


def test_sentences_that_were_added_are_known_among_others(script):
    _, sentences = written(script, tag_length="none", prose_length="short")
    kept = sentences[: (len(sentences) + 1) // 2]
    assert not is_expanded(script, "\n".join(["1girl, solo", f"It is a town. {' '.join(kept)} She smiles."]))
    assert is_expanded(script, "1girl, solo\nIt is a town. She smiles.")


def test_who_takes_over_what_was_good_in_a_picture_has_a_prompt_of_their_own(script):
    p = Processing("lake, night").run(script, SHORT)
    tags = p.all_prompts[0].split(", ")
    assert is_expanded(script, "lake", *tags[2 : 2 + round(len(tags) * 0.6)])
    assert not is_expanded(script, *tags, "detailed face")


def test_it_is_said_each_time_it_is_asked_for(script):
    tags, _ = written(script)
    for _ in range(2):
        p = Processing(", ".join(["town", *tags])).run(script, LONG)
        assert any("holds an expansion already" in text for text in p.comments)


def test_the_images_of_a_job_are_looked_at_each(script):
    tags, _ = written(script)
    prompts = [", ".join(["town", *tags]), "town"]
    p = Processing(prompts, batch_size=2, seed=[1, 2]).run(script, LONG)
    assert p.all_prompts[0] == prompts[0]
    assert p.all_prompts[1].startswith("town, ")
    said = [pairs.get("Presample prompt") for pairs in p.infotexts(script, LONG)]
    assert said == [None, "town"]


@pytest.mark.parametrize("changed", [False, True])
def test_a_picture_of_a_written_prompt_is_enlarged_with_what_it_says(script, changed):
    tags, _ = written(script)
    text = ", ".join(["town" if changed else "lake, night", *tags])
    first = Processing(text, seed=3).run(script, SHORT)
    again = Processing(text, seed=3, enable_hr=True, txt2img_upscale=True).run(script, SHORT)
    assert again.all_prompts == [text]
    assert again.extra_generation_params == first.extra_generation_params
    assert ("Presample" in again.extra_generation_params) != changed
    assert not again.comments


def test_what_is_remembered_is_bounded(script, monkeypatch):
    from presample.scripts.webui import memory

    monkeypatch.setattr(memory, "REMEMBERED", 3)
    for seed in range(6):
        args = {**SHORT, "seed": seed, "temperature": 1.5}
        Processing("lake", seed=seed).run(script, args).info(script, args)
    kept = vars(script.memory)
    assert [len(kept[name]) for name in ("texts", "added", "images", "pictures")] == [3] * 4
