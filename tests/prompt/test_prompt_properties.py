"""What must hold for every prompt: nothing of it is lost, and hosts read additions as plain text.

The two readers below follow A1111 (comments, extra networks, AND with weights, emphasis) and ComfyUI
(comments, emphasis) as far as that needs; they are written for these tests.
"""

import re
from collections import Counter

import pytest
from grammar_for_tests import ANY, SOUND, WITHOUT_BRACES
from hypothesis import given, settings, strategies

from presample.models.prompt.document import Region, read
from presample.models.prompt.joints import takes_more
from presample.models.prompt.layout import PRESETS, Additions, fill
from presample.models.prompt.syntax import COMMENT_STYLES, OPAQUE, lex

VERBATIM = strategies.sampled_from(["verbatim", "additions_first"])

WORDS = ("zqone", "zqtwo zqtwob", "zqthree (zqfour)", ":3", ">_<", "zq:1.2", "zq|bar")
ADDITIONS = strategies.builds(
    lambda tags, prose: Additions(tags={"general": tuple(tags)}, prose=tuple(prose)),
    strategies.lists(strategies.sampled_from(WORDS), unique=True, max_size=3),
    strategies.lists(
        strategies.sampled_from(["Zqsentence stands.", "Zqlast (in brackets) ends"]), unique=True
    ),
)


def expanded(prompt, additions, name, **how):
    document = read(prompt, **how)
    texts = [fill(PRESETS[name], region, additions) for region in document.regions]
    return document, texts, document.replace(texts)


def is_inserted_into(text, result):
    """Whether `result` is `text` with one insertion."""
    same = 0
    while same < min(len(text), len(result)) and text[same] == result[same]:
        same += 1
    return any(result.endswith(text[i:]) and len(result) >= len(text) for i in range(same + 1))


@given(
    ANY,
    ADDITIONS,
    VERBATIM,
    strategies.sampled_from(COMMENT_STYLES),
)
def test_taking_the_additions_out_gives_the_prompt_back(prompt, additions, name, style):
    document, texts, result = expanded(prompt, additions, name, comments=style)
    assert document.source == prompt
    for region, text in zip(document.regions, texts, strict=True):
        assert is_inserted_into(region.text, text)
    position = 0
    for part in document.parts:
        kept = part if isinstance(part, str) else part.text.strip()
        position = result.index(kept, position) + len(kept) if isinstance(part, str) else position
    if not any(additions.tags["general"]) and not additions.prose:
        assert result == prompt


@given(ANY, ADDITIONS, VERBATIM)
def test_opaque_spans_stay_as_they_are_and_in_order(prompt, additions, name):
    _, _, result = expanded(prompt, additions, name)
    position = 0
    for span in lex(prompt):
        if span.kind in OPAQUE:
            position = result.index(span.text, position) + len(span.text)


@given(
    SOUND, ADDITIONS, strategies.sampled_from(sorted(PRESETS)), strategies.sampled_from(["break", "lines"])
)
def test_the_number_of_regions_never_changes(prompt, additions, name, regions):
    document, _, result = expanded(prompt, additions, name, regions=regions)
    if (
        regions == "break"
        or PRESETS[name].template.count("\n") == 0
        or name in ("verbatim", "additions_first")
    ):
        again = read(result, regions=regions)
        assert len(again.regions) == len(document.regions)
        assert [p for p in again.parts if not isinstance(p, Region)] == [
            p for p in document.parts if not isinstance(p, Region)
        ]


@given(ANY, ADDITIONS, strategies.sampled_from(sorted(PRESETS)))
def test_no_layout_loses_or_doubles_a_unit(prompt, additions, name):
    document, texts, _ = expanded(prompt, additions, name)
    for region, text in zip(document.regions, texts, strict=True):
        written = Counter(unit.text for unit in region.units)
        for unit, count in written.items():
            assert text.count(unit) >= count
        if additions == Additions(tags={"general": ()}) and not PRESETS[name].words:
            letters = Counter(re.sub(r"[\s,.]", "", text))
            assert letters == Counter(re.sub(r"[\s,.]", "", region.text.replace("，", "").replace("、", "")))


def a1111(prompt):
    """(networks, [(weight of the part, Counter of (word, emphasis))]) as A1111 reads it, less schedules."""
    text = re.sub(r"#[^\n]*", "", prompt)
    networks = re.findall(r"<\w+:[^>]+>", text)
    text = re.sub(r"<\w+:[^>]+>", "", text)
    parts = []
    for part in re.split(r"\bAND\b", text):
        found = re.fullmatch(r"(.*?)(?:\s*:\s*([-+]?(?:\d+\.?|\d*\.\d+)))?\s*", part, re.DOTALL)
        parts.append((float(found[2] or 1), emphasis(found[1])))
    return networks, parts


def emphasis(text):
    runs, opened = [], {"(": [], "[": []}
    pattern = r"\\[()\[\]\\]|\\|:\s*([+-]?[.\d]+)\s*\)|[()\[\]:]|[^\\()\[\]:]+"
    for match in re.finditer(pattern, text):
        token, number = match.group(), match.group(1)
        if token in "([":
            opened[token].append(len(runs))
        elif (number or token == ")") and opened["("]:
            scale(runs, opened["("].pop(), float(number or 1.1))
        elif token == "]" and opened["["]:
            scale(runs, opened["["].pop(), 1 / 1.1)
        else:
            runs.append([token[1:] if token[0] == "\\" else token, 1.0])
    for bracket, factor in (("(", 1.1), ("[", 1 / 1.1)):
        for start in opened[bracket]:
            scale(runs, start, factor)
    return words(runs)


def scale(runs, start, factor):
    for run in runs[start:]:
        run[1] *= factor


def words(runs):
    joined, count = [], Counter()
    for text, weight in runs:
        if joined and abs(joined[-1][1] - weight) < 1e-9:
            joined[-1][0] += text
        else:
            joined.append([text, weight])
    for text, weight in joined:
        count.update((word, round(weight, 6)) for word in re.split(r"[\s,]+", text) if word)
    return count


def comfyui(prompt):
    """[Counter of (word, emphasis)] as ComfyUI reads a prompt; groups as they are written."""
    text = re.sub(r"/\*[\s\S]*?\*/|//.*", "", prompt).replace("\\)", "\0").replace("\\(", "\1")
    return words(comfyui_weights(text, 1.0))


def comfyui_weights(text, weight):
    depth, start, pieces = 0, 0, []
    for i, character in enumerate(text):
        if character == "(" and depth == 0:
            pieces, start = [*pieces, text[start:i]], i
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == ")" and depth == 0:
            pieces, start = [*pieces, text[start : i + 1]], i + 1
    for piece in [*pieces, text[start:]]:
        if not (len(piece) > 1 and piece[0] == "(" and piece[-1] == ")"):
            yield [piece.replace("\0", ")").replace("\1", "("), weight]
            continue
        inner, _, number = piece[1:-1].rpartition(":")
        own = float(number) if inner and re.fullmatch(r"\s*[-+]?[\d.]+\s*", number) else None
        yield from comfyui_weights(
            piece[1:-1] if own is None else inner, weight * 1.1 if own is None else own
        )


def sound_regions(document, style):
    """How many regions there are that no bracket left open before reaches into."""
    count, opened = 0, False
    for part in document.parts:
        if isinstance(part, Region):
            count += not opened
            opened = opened or not takes_more(part.text, style)
        elif part.endswith("AND") and style == "webui":
            opened = False
    return count


def marked(additions):
    """The additions that hosts show as words of their own."""
    words = [tag.split()[0] for tag in additions.tags["general"] if tag.startswith(("zqo", "zqt"))]
    return [*words, *(sentence.split()[0] for sentence in additions.prose)]


@settings(max_examples=400)
@given(WITHOUT_BRACES, ADDITIONS, VERBATIM)
def test_a1111_reads_additions_as_plain_text_and_the_rest_as_before(prompt, additions, name):
    document, _, result = expanded(prompt, additions, name, comments="webui")
    networks, parts = a1111(prompt)
    new_networks, new_parts = a1111(result)
    assert new_networks == networks
    assert len(new_parts) == len(parts)
    if len(parts) > 1:
        assert [weight for weight, _ in new_parts] == [weight for weight, _ in parts]
    elif result != prompt:
        assert new_parts[0][0] == 1.0 or not (additions.prose or additions.tags["general"])
    seen = sum((after for _, after in new_parts), Counter())
    for word in marked(additions):
        assert seen[word, 1.0] >= sound_regions(document, "webui")
    if sound_regions(document, "webui") == len(document.regions):
        for (_, before), (_, after) in zip(parts, new_parts, strict=True):
            assert {weight for _, weight in after - before} <= {1.0}
            assert same_words(before, after)


@settings(max_examples=400)
@given(WITHOUT_BRACES, ADDITIONS, VERBATIM)
def test_comfyui_reads_additions_as_plain_text_and_the_rest_as_before(prompt, additions, name):
    document, _, result = expanded(prompt, additions, name, comments="comfyui")
    before, after = comfyui(prompt), comfyui(result)
    for word in marked(additions):
        assert after[word, 1.0] >= sound_regions(document, "comfyui")
    if sound_regions(document, "comfyui") == len(document.regions):
        assert {weight for _, weight in after - before} <= {1.0}
        assert same_words(before, after)


def same_words(before, after):
    """Whether every word kept its emphasis; a full stop may have come to a word's end."""
    kept = Counter()
    for (word, weight), count in after.items():
        kept[word.rstrip("."), weight] += count
    wanted = Counter()
    for (word, weight), count in before.items():
        wanted[word.rstrip("."), weight] += count
    return not wanted - kept


@settings(max_examples=400)
@given(ANY, ADDITIONS, VERBATIM)
def test_no_host_takes_an_addition_for_a_comment(prompt, additions, name):
    document, _, result = expanded(prompt, additions, name)
    readings = (re.sub(r"#[^\n]*", "", result), re.sub(r"/\*[\s\S]*?\*/|//.*", "", result))
    if len(document.regions) == 1:
        for word in marked(additions):
            assert all(word in reading for reading in readings)


@pytest.mark.parametrize("name", ["verbatim", "tags_then_prose"])
@pytest.mark.parametrize("part", ["(", "long hair, ", "a BREAK ", "A girl stands. ", "# x\n"])
def test_long_prompts_are_laid_out(name, part):
    additions = Additions(tags={"general": ("hat",)}, prose=("It rains.",))
    prompt = part * 3_000
    document, _, result = expanded(prompt, additions, name)
    assert len(result) > len(prompt) == len(document.source)
