"""Writes tag_prompts.txt from danbooru_names.csv: `python make_tag_prompts.py danbooru_names.csv`.

Convention: one prompt per line, a line break inside a prompt as the two characters `\\n`. Seeded, so that the
same list gives the same file. The general tags are our own choice of common words.
"""

import csv
import random
import re
import sys
from pathlib import Path

COUNT = 560
NEWLINE = "\\n"
PEOPLE = ("1girl", "1boy", "2girls", "2boys", "3girls", "1other", "multiple girls", "no humans", "6+girls")
# One tag between two bars or line ends.
GENERAL = """
solo|long hair|short hair|medium hair|twintails|ponytail|braid|bangs|ahoge|blonde hair|black hair
brown hair|blue hair|pink hair|white hair|silver hair|red hair|green hair|multicolored hair
gradient hair|blue eyes|red eyes|green eyes|brown eyes|purple eyes|yellow eyes|heterochromia
looking at viewer|looking back|smile|open mouth|closed mouth|closed eyes|blush|grin|:d|;)|^_^|>_<|o_o
standing|sitting|lying|running|jumping|walking|dancing|reading|holding book|holding umbrella
holding sword|holding cup|hand on hip|arms up|peace sign|school uniform|serafuku|kimono|yukata|maid
armor|hoodie|jacket|coat|scarf|sweater|shirt|white shirt|skirt|pleated skirt|shorts|jeans|boots|sneakers
hat|witch hat|straw hat|beret|glasses|hair ribbon|hair ornament|necktie|gloves|wings|horns|halo
animal ears|cat ears|fox tail|elf|robot|mecha|dragon|cat|dog|bird|horse|outdoors|indoors|city|street
alley|forest|beach|ocean|lake|river|mountain|desert|field|flower field|garden|classroom|library|kitchen
cafe|train station|rooftop|window|stairs|bridge|castle|ruins|shrine|torii|spaceship|night|day|sunset
sunrise|dusk|night sky|starry sky|full moon|crescent moon|cloud|blue sky|rain|snow|fog|lightning
autumn leaves|cherry blossoms|sunflower|rose|water lily|tree|grass|fire|water drop|light rays|lens flare
bokeh|depth of field|backlighting|from above|from below|from side|from behind|upper body|full body
portrait|cowboy shot|close-up|wide shot|dutch angle|silhouette|reflection|simple background
white background|gradient background|monochrome|greyscale|sketch|lineart|watercolor (medium)|chibi|4koma
english text|speech bubble|musical note|heart|star (symbol)|5 fingers|100 years later|2020s|16:9|no.1
don't|girl's|t-shirt|café|naïve|初音ミク|夜空|눈|❤|☆|🌙✨
"""
QUALITY = ("masterpiece", "best quality", "very aesthetic", "absurdres", "newest", "score_9, score_8_up")
LENGTHS = ("<|very_short|>", "<|short|>", "<|long|>", "<|very_long|>")
TASKS = ("", " <|tag_to_long|>", " <|short_to_tag|>", " <|short_to_tag_to_long|>", " <|long_to_tag|>")


def names(path, kind):
    """The most common names of one category, as prompts spell them."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = [row["name"] for row in csv.DictReader(file) if row["category"] == kind]
    return [name.replace("_", " ") if len(name) > 3 else name for name in rows[:3000]]


def escaped(tag):
    """Brackets as interfaces want them."""
    return tag.replace("(", "\\(").replace(")", "\\)")


def tags(rng, lists, low=3, high=28):
    """A shuffled handful of tags: people, a name or two, general ones."""
    chosen = rng.sample(re.split(r"[|\n]", GENERAL.strip()), rng.randint(low, high))
    for kind in ("character", "copyright", "artist", "meta"):
        if rng.random() < 0.35:
            chosen.insert(rng.randrange(len(chosen)), rng.choice(lists[kind]))
    return [rng.choice(PEOPLE), *chosen]


def weighted(rng, tag):
    """A tag with the weight syntax of interfaces, now and then."""
    roll = rng.random()
    if roll < 0.06:
        return f"({escaped(tag)}:{rng.choice(('0.8', '1.1', '1.25', '1.5'))})"
    return f"(({tag}))" if roll < 0.08 else f"[{tag}]" if roll < 0.09 else escaped(tag) if roll < 0.5 else tag


def plain_prompt(rng, lists):
    """What a user types: tags, weights, a network, a break, sloppy blanks."""
    joint = rng.choice((", ", ", ", ", ", ",", " , ", f",{NEWLINE}"))
    text = joint.join(weighted(rng, tag) for tag in tags(rng, lists))
    if rng.random() < 0.2:
        text = f"{rng.choice(QUALITY)}, {text}"
    if rng.random() < 0.1:
        text += f" <lora:style_{rng.randint(1, 99)}:{rng.randint(1, 9) / 10}>"
    return text + " BREAK " + ", ".join(tags(rng, lists, 2, 5)) if rng.random() < 0.08 else text


def request(rng, lists):
    """A request in TIPO's own format."""
    head = [f"rating: {rng.choice(('safe', 'sensitive', 'general'))}"]
    if rng.random() < 0.6:
        head.append(f"characters: {rng.choice(lists['character'])}")
    if rng.random() < 0.6:
        head.append(f"copyrights: {rng.choice(lists['copyright'])}")
    head.append(f"quality: {rng.choice(QUALITY)}")
    head.append(f"aspect ratio: {rng.randint(5, 20) / 10}")
    rng.shuffle(head)
    head.append(f"target: {rng.choice(LENGTHS)}{rng.choice(TASKS)}")
    return NEWLINE.join((*head, "short: A girl stands.", f"tag: {', '.join(tags(rng, lists))}"))


def main():
    source = sys.argv[1]
    rng = random.Random(1631)
    lists = {kind: names(source, kind) for kind in ("character", "copyright", "artist", "meta")}
    prompts = [(request if i % 4 == 0 else plain_prompt)(rng, lists) for i in range(COUNT)]
    target = Path(__file__).with_name("tag_prompts.txt")
    target.write_text("\n".join(prompts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
