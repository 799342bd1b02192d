"""The tags of a scene, as rules over its attributes, and the exact probability of a set of tags.

Convention: a rule is `attribute=value,value & attribute!=value`; several rules for a tag mean any of them.
Tags are spelled as on Danbooru, with spaces. A record mentions each general tag of its scene independently,
with a probability that depends only on how detailed the record is (`DETAIL`), so sums over scenes stay exact.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import cache

import torch

from .net import Factor, Net
from .scene import Scene, world

# How detailed a record is: its weight, and the chance that it mentions a tag that holds.
DETAIL = {"sketch": (0.2, 0.2), "brief": (0.26, 0.48), "full": (0.24, 0.8), "rich": (0.3, 0.98)}

SPECIAL = {"1girl": ("figure=girl",), "1boy": ("figure=boy",), "male focus": ("figure=boy & shot=close",)}
RATING = "safe"

TAGS: dict[str, tuple[str, ...]] = {
    # season and hour
    "outdoors": ("",),
    "spring (season)": ("season=spring",),
    "summer": ("season=summer",),
    "autumn": ("season=autumn",),
    "winter": ("season=winter",),
    "cold": ("season=winter", "weather=snow"),
    "sunrise": ("time=dawn",),
    "morning": ("time=dawn",),
    "day": ("time=day",),
    "sunset": ("time=sunset",),
    "evening": ("time=sunset",),
    "twilight": ("time=dawn,sunset",),
    "night": ("time=night",),
    "dark": ("time=night & disc=none", "time=night & weather=rain,fog"),
    "bright": ("time=day & weather=clear,cloudy",),
    "dim lighting": ("time=night", "weather=overcast,rain"),
    # sky
    "sky": ("shot!=above",),
    "blue sky": ("sky=blue & time!=night",),
    "grey sky": ("sky=grey",),
    "orange sky": ("sky=orange",),
    "pink sky": ("sky=pink",),
    "purple sky": ("sky=purple",),
    "night sky": ("time=night",),
    "dark blue sky": ("sky=blue & time=night",),
    "gradient sky": ("time=dawn,sunset & sky!=grey",),
    "clear sky": ("weather=clear & clouds=none",),
    "cloud": ("clouds!=none",),
    "cloudy sky": ("clouds=many",),
    "white cloud": ("clouds=few,towering & time=day",),
    "cumulonimbus cloud": ("clouds=towering",),
    "dark clouds": ("weather=rain", "weather=overcast & time=night"),
    "overcast": ("weather=overcast",),
    "rain": ("weather=rain",),
    "wet": ("weather=rain",),
    "puddle": ("weather=rain & path=road,trail",),
    "snowing": ("weather=snow",),
    "snow": ("weather=snow", "ground=snow"),
    "fog": ("weather=fog",),
    "sun": ("disc=sun",),
    "sunny": ("weather=clear & time=day",),
    "sunlight": ("disc=sun & weather=clear,cloudy",),
    "light rays": ("disc=sun & weather=cloudy,fog",),
    "backlighting": ("disc=sun & time=dawn,sunset",),
    "golden hour": ("disc=sun & time=sunset",),
    "shadow": ("disc=sun & weather=clear", "disc=full moon & weather=clear"),
    "soft lighting": ("weather=fog,overcast", "time=dawn"),
    "moon": ("disc=full moon,crescent moon",),
    "full moon": ("disc=full moon",),
    "crescent moon": ("disc=crescent moon",),
    "moonlight": ("disc=full moon,crescent moon & time=night",),
    "star (sky)": ("stars!=none",),
    "starry sky": ("stars=many,shooting",),
    "milky way": ("stars=many & weather=clear",),
    "shooting star": ("stars=shooting",),
    "rainbow": ("event=rainbow",),
    "petals": ("event=petals",),
    "falling petals": ("event=petals",),
    "falling leaves": ("event=leaves",),
    "firefly": ("event=fireflies",),
    "glowing": ("event=fireflies,fireworks,aurora",),
    "fireworks": ("event=fireworks",),
    "festival": ("event=fireworks",),
    "aurora": ("event=aurora",),
    "lightning": ("event=lightning",),
    "storm": ("event=lightning", "weather=rain & wind=breezy"),
    "hot air balloon": ("event=balloon",),
    "bird": ("birds!=none",),
    "flock": ("birds=flock",),
    "flying": ("birds!=none", "event=balloon"),
    "wind": ("wind=breezy",),
    # land
    "nature": ("place!=village,city",),
    "landscape": ("figure=none & place!=city",),
    "scenery": ("figure=none", "shot=wide,very wide"),
    "rural": ("place=field,village",),
    "countryside": ("place=field,village",),
    "wilderness": ("structure=none & place=forest,mountains,lakeside,riverside",),
    "open space": ("place=field,coast & stand!=many",),
    "horizon": ("place=field & relief=flat", "place=coast"),
    "hill": ("relief=hills",),
    "mountain": ("relief=mountains", "place=mountains"),
    "mountainous horizon": ("relief=mountains",),
    "cliff": ("relief=cliffs",),
    "valley": ("relief=mountains,hills & place=lakeside,riverside",),
    "distant background": ("shot=very wide",),
    "grass": ("ground=grass",),
    "green grass": ("ground=grass & season=spring,summer",),
    "field": ("place=field", "bloom=field"),
    "sand": ("ground=sand",),
    "deep snow": ("ground=snow & weather=snow",),
    "stone floor": ("ground=stone & place=city,village",),
    "dirt": ("ground=soil",),
    "rock": ("rocks=some",),
    "forest": ("place=forest", "stand=many"),
    "tree": ("trees!=none",),
    "lone tree": ("stand=lone",),
    "bare tree": ("trees=broadleaf & season=winter",),
    "branch": ("trees=broadleaf,cherry & stand=lone,few",),
    "leaf": ("trees=broadleaf & season!=winter",),
    "green leaves": ("trees=broadleaf & season=spring,summer",),
    "autumn leaves": ("trees=broadleaf & season=autumn",),
    "orange leaves": ("trees=broadleaf & season=autumn",),
    "pine tree": ("trees=pine",),
    "evergreen": ("trees=pine",),
    "cherry tree": ("trees=cherry",),
    "cherry blossoms": ("trees=cherry & season=spring",),
    "palm tree": ("trees=palm",),
    "tropical": ("trees=palm & season=summer",),
    "plant": ("undergrowth!=none", "flowers!=none", "trees!=none"),
    "foliage": ("season!=winter & trees!=none", "undergrowth=ferns"),
    "bush": ("undergrowth=bushes",),
    "fern": ("undergrowth=ferns",),
    "mushroom": ("undergrowth=mushrooms",),
    "flower": ("flowers!=none",),
    "white flower": ("flowers=white",),
    "yellow flower": ("flowers=yellow",),
    "red flower": ("flowers=red",),
    "blue flower": ("flowers=blue",),
    "purple flower": ("flowers=purple",),
    "pink flower": ("flowers=pink",),
    "daisy": ("flowers=white & season=spring,summer",),
    "sunflower": ("flowers=yellow & season=summer",),
    "poppy (flower)": ("flowers=red & season=spring,summer",),
    "lavender (flower)": ("flowers=purple & season=summer",),
    "flower field": ("bloom=field",),
    # water
    "water": ("water!=none",),
    "lake": ("water=lake",),
    "river": ("water=river",),
    "stream": ("water=river & place=forest,mountains",),
    "ocean": ("water=ocean",),
    "seaside": ("water=ocean",),
    "beach": ("place=coast & ground=sand",),
    "shore": ("water=lake,ocean",),
    "waves": ("water=ocean", "water=lake & wind=breezy"),
    "ripples": ("water=lake,river",),
    "still water": ("water=lake & wind=calm",),
    "blue water": ("water!=none & time=day & sky=blue",),
    "dark water": ("water!=none & time=night",),
    "reflection": ("water=lake", "weather=rain & place=city"),
    "reflective water": ("water=lake,river & wind=calm",),
    "boat": ("boat!=none",),
    "watercraft": ("boat!=none",),
    "rowboat": ("boat=rowboat",),
    "sailboat": ("boat=sailboat",),
    "reeds": ("shore=reeds",),
    "lily pad": ("shore=lilies",),
    "pier": ("shore=pier",),
    # works
    "building": ("structure=house,houses,castle,skyscrapers", "place=city,village"),
    "architecture": ("structure=castle,torii,ruins,skyscrapers,bridge",),
    "house": ("structure=house,houses",),
    "cabin": ("structure=house & place=forest,mountains,lakeside",),
    "chimney": ("structure=house,houses & roof=red,brown",),
    "smoke": ("structure=house,houses & season=winter",),
    "town": ("structure=houses",),
    "village": ("place=village",),
    "castle": ("structure=castle",),
    "tower": ("structure=castle,lighthouse",),
    "fantasy": ("structure=castle",),
    "lighthouse": ("structure=lighthouse",),
    "windmill": ("structure=windmill",),
    "torii": ("structure=torii",),
    "shrine": ("structure=torii",),
    "east asian architecture": ("structure=torii",),
    "bridge": ("structure=bridge",),
    "stone bridge": ("structure=bridge & place!=city",),
    "ruins": ("structure=ruins",),
    "overgrown": ("structure=ruins & season!=winter",),
    "city": ("place=city",),
    "cityscape": ("place=city & shot=wide,very wide,above",),
    "urban": ("place=city",),
    "skyscraper": ("structure=skyscrapers",),
    "skyline": ("structure=skyscrapers & place=city",),
    "roof": ("roof!=none",),
    "red roof": ("roof=red",),
    "blue roof": ("roof=blue",),
    "brown roof": ("roof=brown",),
    "green roof": ("roof=green",),
    "window": ("windows!=none",),
    "lights": ("windows=lit", "fixture=lamppost,lantern & time=night"),
    "city lights": ("windows=lit & place=city & time=night",),
    "path": ("path=trail",),
    "dirt road": ("path=trail",),
    "road": ("path=road",),
    "street": ("path=road & place=city,village",),
    "vanishing point": ("path=road & layout=centered,symmetrical",),
    "stairs": ("path=stairs",),
    "stone stairs": ("path=stairs & place!=city",),
    "fence": ("fixture=fence",),
    "wooden fence": ("fixture=fence & place!=city",),
    "bench": ("fixture=bench",),
    "lamppost": ("fixture=lamppost",),
    "stone lantern": ("fixture=lantern & structure=torii",),
    "paper lantern": ("fixture=lantern & structure!=torii",),
    # animals
    "animal": ("animal!=none",),
    "cat": ("animal=cat",),
    "dog": ("animal=dog",),
    "deer": ("animal=deer",),
    "rabbit": ("animal=rabbit",),
    "horse": ("animal=horse",),
    "sheep": ("animal=sheep",),
    "duck": ("animal=duck",),
    # figure
    "no humans": ("figure=none",),
    "solo": ("figure!=none",),
    "black hair": ("hair=black",),
    "brown hair": ("hair=brown",),
    "blonde hair": ("hair=blonde",),
    "red hair": ("hair=red",),
    "white hair": ("hair=white",),
    "blue hair": ("hair=blue",),
    "pink hair": ("hair=pink",),
    "short hair": ("hair_length=short",),
    "medium hair": ("hair_length=medium",),
    "long hair": ("hair_length=long",),
    "dress": ("outfit=dress",),
    "white dress": ("outfit=dress & outfit_color=white",),
    "red dress": ("outfit=dress & outfit_color=red",),
    "blue dress": ("outfit=dress & outfit_color=blue",),
    "black dress": ("outfit=dress & outfit_color=black",),
    "yellow dress": ("outfit=dress & outfit_color=yellow",),
    "green dress": ("outfit=dress & outfit_color=green",),
    "kimono": ("outfit=kimono",),
    "japanese clothes": ("outfit=kimono",),
    "red kimono": ("outfit=kimono & outfit_color=red",),
    "blue kimono": ("outfit=kimono & outfit_color=blue",),
    "white kimono": ("outfit=kimono & outfit_color=white",),
    "coat": ("outfit=coat",),
    "long sleeves": ("outfit=coat,hoodie,kimono",),
    "black coat": ("outfit=coat & outfit_color=black",),
    "red coat": ("outfit=coat & outfit_color=red",),
    "blue coat": ("outfit=coat & outfit_color=blue",),
    "green coat": ("outfit=coat & outfit_color=green",),
    "shirt": ("outfit=shirt",),
    "white shirt": ("outfit=shirt & outfit_color=white",),
    "red shirt": ("outfit=shirt & outfit_color=red",),
    "blue shirt": ("outfit=shirt & outfit_color=blue",),
    "black shirt": ("outfit=shirt & outfit_color=black",),
    "yellow shirt": ("outfit=shirt & outfit_color=yellow",),
    "hoodie": ("outfit=hoodie",),
    "hood down": ("outfit=hoodie & weather!=rain,snow",),
    "hood up": ("outfit=hoodie & weather=rain,snow",),
    "pants": ("figure=boy & outfit=coat,shirt,hoodie",),
    "skirt": ("figure=girl & outfit=shirt,hoodie",),
    "holding": ("carries=umbrella,lantern",),
    "umbrella": ("carries=umbrella",),
    "holding umbrella": ("carries=umbrella",),
    "hat": ("carries=straw hat",),
    "straw hat": ("carries=straw hat",),
    "scarf": ("carries=scarf",),
    "red scarf": ("carries=scarf & outfit_color!=red",),
    "backpack": ("carries=backpack",),
    "holding lantern": ("carries=lantern",),
    "standing": ("pose=standing",),
    "sitting": ("pose=sitting",),
    "walking": ("pose=walking",),
    "from behind": ("facing=away",),
    "facing away": ("facing=away",),
    "looking at viewer": ("facing=viewer",),
    "from side": ("facing=aside",),
    "looking up": ("facing=away,aside & time=night & weather=clear",),
    "full body": ("figure!=none & shot=wide,below",),
    "silhouette": ("figure!=none & time=dawn,sunset & weather=clear",),
    # picture
    "wide shot": ("shot=wide,very wide",),
    "very wide shot": ("shot=very wide",),
    "from above": ("shot=above",),
    "from below": ("shot=below",),
    "close-up": ("shot=close",),
    "panorama": ("shot=very wide & aspect=wide",),
    "centered composition": ("layout=centered",),
    "rule of thirds": ("layout=thirds",),
    "symmetry": ("layout=symmetrical",),
    "framed view": ("layout=framed",),
    "warm colors": ("palette=warm",),
    "orange theme": ("palette=warm & time=sunset", "palette=warm & season=autumn"),
    "cool colors": ("palette=cool",),
    "blue theme": ("palette=cool & season!=autumn",),
    "pastel colors": ("palette=pastel",),
    "muted color": ("palette=muted",),
    "colorful": ("palette=vivid",),
    "high saturation": ("palette=vivid",),
    "natural colors": ("palette=natural",),
    "monochrome": ("palette=monochrome",),
    "greyscale": ("palette=monochrome",),
    "flat color": ("finish=flat",),
    "painterly": ("finish=painterly",),
    "film grain": ("finish=grain",),
    "lens flare": ("effect=lens flare",),
    "light particles": ("effect=light particles",),
    "vignetting": ("effect=vignette",),
    "depth of field": ("effect=depth of field",),
    "blurry background": ("effect=depth of field & shot=close,wide",),
    # mood
    "tranquil": ("wind=calm & weather=clear,cloudy,fog & place!=city",),
    "serene": ("water=lake & wind=calm", "time=dawn & weather=clear,fog"),
    "gloomy": ("weather=rain,overcast",),
    "mysterious": ("weather=fog", "structure=ruins"),
    "cozy": ("windows=lit & structure=house,houses",),
    "lonely": ("stand=lone & place=field,mountains,coast",),
    "atmospheric": ("weather=fog,snow", "time=dawn,sunset"),
}

META: dict[str, tuple[str, ...]] = {
    "highres": ("resolution!=none",),
    "absurdres": ("resolution=absurdres",),
    "traditional media": ("finish=watercolor",),
    "watercolor (medium)": ("finish=watercolor",),
}


@dataclass(frozen=True)
class Clause:
    """One condition: the attribute is (or is not, when `negated`) one of the values."""

    attribute: str
    values: tuple[str, ...]
    negated: bool


def read_rule(text: str) -> tuple[Clause, ...]:
    """Returns the clauses of one rule; the empty rule has none and always holds."""
    clauses = []
    for part in filter(None, (p.strip() for p in text.split("&"))):
        name, _, values = part.partition("=")
        clauses.append(Clause(name.removesuffix("!"), tuple(values.split(",")), name.endswith("!")))
    return tuple(clauses)


@cache
def rules() -> dict[str, tuple[tuple[Clause, ...], ...]]:
    """Returns every tag of the world with its rules, read once at the first call."""
    return {tag: tuple(map(read_rule, texts)) for tag, texts in {**SPECIAL, **TAGS, **META}.items()}


def holds(tag: str, attributes: dict[str, str]) -> bool:
    """Returns whether a tag is true of a scene given as a mapping."""
    return any(
        all((attributes[c.attribute] in c.values) != c.negated for c in clauses) for clauses in rules()[tag]
    )


def tags_of(scene: Scene) -> dict[str, tuple[str, ...]]:
    """Returns all tags that are true of the scene, by TIPO's categories; only those with a tag."""
    attributes = asdict(scene)
    found = {
        "special": tuple(t for t in SPECIAL if holds(t, attributes)),
        "quality": (scene.quality,),
        "rating": (RATING,),
        "meta": tuple(t for t in META if holds(t, attributes)),
        "general": tuple(t for t in TAGS if holds(t, attributes)),
    }
    return {category: tags for category, tags in found.items() if tags}


def presence(tag: str, net: Net | None = None) -> Factor:
    """Returns the 0/1 table of where a tag holds, over the attributes that it depends on."""
    net = net or world()
    scope = tuple(dict.fromkeys(c.attribute for clauses in rules()[tag] for c in clauses))
    sizes = [len(net.nodes[a].values) for a in scope]
    table = torch.zeros(sizes, dtype=torch.float64)
    for clauses in rules()[tag]:
        rule = torch.ones(sizes, dtype=torch.float64)
        for c in clauses:
            inside = torch.tensor([(v in c.values) != c.negated for v in net.nodes[c.attribute].values])
            shape = [-1 if a == c.attribute else 1 for a in scope]
            rule = rule * inside.double().reshape(shape)
        table = torch.maximum(table, rule)
    return scope, table


def mentioned(tags: Collection[str]) -> list[Factor]:
    """Returns the factors of "these tags hold", for `Net.posterior`.

    Raises:
        ValueError: a tag is not one of this world's.
    """
    if unknown := sorted(set(tags) - set(rules())):
        raise ValueError(f"tags must be the world's own, got {', '.join(unknown)}; see tags.TAGS")
    return [presence(tag) for tag in tags]


def mention(scene: Scene, generator: torch.Generator) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Returns how detailed a record of the scene is, and the tags that it mentions, by category."""
    shares = torch.tensor([weight for weight, _ in DETAIL.values()], dtype=torch.float64)
    detail = list(DETAIL)[int(torch.multinomial(shares, 1, generator=generator))]
    tags = tags_of(scene)
    drawn = torch.rand(len(tags["general"]), generator=generator, dtype=torch.float64) < DETAIL[detail][1]
    general = tuple(t for t, kept in zip(tags["general"], drawn.tolist(), strict=True) if kept)
    return detail, {**tags, "general": general}
