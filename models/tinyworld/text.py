"""Captions of a scene, from a small grammar: one to four sentences, or three paragraphs.

Convention: a sentence states only what is true of the scene; the generator chooses the words.
Paragraphs are parted by one line feed, sentences by one blank. All wording is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from . import words as w
from .scene import Scene

SENTENCES = 6


@dataclass(frozen=True)
class Voice:
    """A scene about to be told, and the generator that chooses the words."""

    scene: Scene
    generator: torch.Generator

    def pick(self, options: Sequence[str]) -> str:
        """Returns one of the options, each equally likely."""
        return options[int(torch.randint(len(options), (), generator=self.generator))]

    def say(self, *options: str) -> list[str]:
        """Returns one of the options as a sentence, and `[]` when there is none."""
        return [sentence(self.pick(options))] if options else []

    def some(self, items: Sequence[str], count: int) -> list[str]:
        """Returns `count` of the items at random, in their order."""
        chosen = torch.randperm(len(items), generator=self.generator)[:count].tolist()
        return [items[i] for i in sorted(chosen)]


def sentence(text: str) -> str:
    """Returns the text with a capital first letter and a full stop."""
    return text[0].upper() + text[1:] + "."


def article(noun: str) -> str:
    """Returns `a lake` for `lake`, `an orange sky` for `orange sky`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def short_caption(scene: Scene, generator: torch.Generator) -> str:
    """Returns one to four sentences that name the subject first."""
    voice = Voice(scene, generator)
    first = [sentence(subject(voice))]
    works = _works(voice)[:1] if scene.figure != "none" else _works(voice)[1:]
    rest = [*_heaven(voice), *works, *_plants(voice), *_water(voice), *_picture(voice)]
    count = int(torch.randint(0, 4, (), generator=generator))
    return " ".join(first + voice.some(rest, count))


def long_caption(scene: Scene, generator: torch.Generator) -> str:
    """Returns three paragraphs of up to six sentences: the place, the sky and its light, then details."""
    voice = Voice(scene, generator)
    place = [
        *_opening(voice),
        *_person(voice),
        *_works(voice),
        *_water(voice),
        *_relief(voice),
        *_plants(voice),
    ]
    sky = [*_sky(voice), *_weather(voice), *_heaven(voice), *_flight(voice), *_light(voice)]
    detail = [*_ground(voice), *_small(voice), *_picture(voice), *_mood(voice)]
    return "\n".join(_paragraph(voice, part) for part in (place, sky, detail))


def _paragraph(voice: Voice, sentences: list[str]) -> str:
    """The first sentence stays: it names the subject."""
    return " ".join(sentences[:1] + voice.some(sentences[1:], SENTENCES - 1))


def subject(voice: Voice) -> str:
    """Returns the main clause of a short caption: who or what, where and when."""
    s = voice.scene
    when = f"on {_hour(voice)}"
    where = voice.pick(w.AT[s.place])
    moment = voice.pick(w.WHEN[s.time])
    if s.figure != "none":
        pose = voice.pick(w.POSE[s.pose])
        dressed = f"{_who(s)} in {_wear(s)} {pose} {where} {when}"
        plain = f"{_who(s)} {pose} {where} {when}"
        return voice.pick(
            (plain, dressed, f"{when}, {dressed}".removesuffix(f" {when}"), f"{article(s.figure)} {where}")
        )
    if s.structure == "none":
        view = voice.pick(w.VIEW[s.place])
        return voice.pick(
            (f"{view} {when}", f"{when}, {view} is before us", f"{view} {moment}, in {s.season}")
        )
    work = _work(s)
    verb = voice.pick(("stands", "can be seen")) if s.structure in w.SINGLE else "can be seen"
    return voice.pick(
        (f"{work} {verb} {where} {when}", f"{work} {where} {moment}", f"{when}, {work} {where}")
    )


def _hour(voice: Voice) -> str:
    """`a clear autumn night`; at night the first word for the weather is the fitting one."""
    s = voice.scene
    air = w.AIR[s.weather][0] if s.time == "night" else voice.pick(w.AIR[s.weather])
    return article(f"{air} {s.season} {voice.pick(w.HOUR[s.time])}")


def _who(s: Scene) -> str:
    return f"{article(s.figure)} with {s.hair_length} {s.hair} hair"


def _wear(s: Scene) -> str:
    return article(f"{s.outfit_color} {s.outfit}")


def _work(s: Scene) -> str:
    noun = w.WORK[s.structure]
    if s.roof == "none":
        return noun
    return (
        f"{noun} with {s.roof} roofs"
        if s.structure in w.ROOFS
        else f"{noun} with {article(s.roof + ' roof')}"
    )


def _opening(voice: Voice) -> list[str]:
    s = voice.scene
    hour = _hour(voice)
    view = voice.pick(w.VIEW[s.place])
    return voice.say(
        f"it is {hour} {voice.pick(w.AT[s.place])}",
        f"the picture shows {view} {voice.pick(w.WHEN[s.time])} in {s.season}",
        f"{view} on {hour}",
        f"{s.season} has come to {w.NAME[s.place]}",
    )


def _person(voice: Voice) -> list[str]:
    s = voice.scene
    if s.figure == "none":
        return []
    they, their = f"the {s.figure}", "her" if s.figure == "girl" else "his"
    pose = voice.pick(w.POSE[s.pose])
    found = voice.say(
        f"{_who(s)} {pose} there, dressed in {_wear(s)}",
        f"{_who(s)} {pose} {voice.pick(w.NEAR)}",
        f"{_who(s)}, wearing {_wear(s)}, {pose} {voice.pick(w.NEAR)}",
    )
    found += voice.say(*(f.format(they=they, their=their) for f in w.FACING[s.facing]))
    return found + voice.say(*(f.format(they=they, their=their) for f in w.CARRIES.get(s.carries, ())))


def _works(voice: Voice) -> list[str]:
    s = voice.scene
    if s.structure == "none":
        return []
    verb = "stands" if s.structure in w.SINGLE else "stand"
    found = voice.say(f"{_work(s)} {verb} {voice.pick(w.SPOT)}", *w.WORK_LINES.get(s.structure, ()))
    return found + voice.say(
        *(line.format(work=w.WORK[s.structure].split()[-1]) for line in w.WINDOWS[s.windows])
    )


def _water(voice: Voice) -> list[str]:
    s = voice.scene
    found = voice.say(*w.WATER.get((s.water, s.wind), ()))
    return found + voice.say(*w.BOAT.get(s.boat, ())) + voice.say(*w.SHORE.get(s.shore, ()))


def _relief(voice: Voice) -> list[str]:
    s = voice.scene
    if s.relief == "mountains" and s.season == "winter":
        return voice.say("snow lies on the mountains behind", "white mountains close the view")
    return voice.say(*w.RELIEF[s.relief]) if (s.relief, s.place) != ("flat", "city") else []


def _plants(voice: Voice) -> list[str]:
    s = voice.scene
    tree = w.TREE[s.trees].replace("{leaf}", w.LEAF[s.season])
    if s.trees == "cherry" and s.season == "spring":
        tree = "blossoming cherry tree"
    found = voice.say(*(line.format(tree=tree, a_tree=article(tree)) for line in w.STAND[s.stand]))
    return found + voice.say(*(line.format(color=s.flowers) for line in w.BLOOM.get(s.bloom, ())))


def _sky(voice: Voice) -> list[str]:
    s = voice.scene
    sky = f"{s.sky} sky" if s.time != "night" else voice.pick(w.NIGHT[s.sky])
    return voice.say(*(line.format(sky=sky, a_sky=article(sky)) for line in w.CLOUDS[s.clouds]))


def _weather(voice: Voice) -> list[str]:
    s = voice.scene
    return voice.say(*w.WEATHER.get(s.weather, ())) + (voice.say(*w.WIND) if s.wind == "breezy" else [])


def _heaven(voice: Voice) -> list[str]:
    s = voice.scene
    disc = w.DISC.get((s.disc, s.time), w.DISC.get((s.disc, "any"), ()))
    return voice.say(*disc) + voice.say(*w.STARS.get(s.stars, ())) + voice.say(*w.EVENT.get(s.event, ()))


def _flight(voice: Voice) -> list[str]:
    return voice.say(*w.BIRDS.get(voice.scene.birds, ()))


def _light(voice: Voice) -> list[str]:
    s = voice.scene
    return voice.say(*w.LIGHT[s.time]) if s.weather in ("clear", "cloudy") else voice.say(*w.DULL)


def _ground(voice: Voice) -> list[str]:
    return voice.say(*w.GROUND[voice.scene.ground])


def _small(voice: Voice) -> list[str]:
    s = voice.scene
    tables = ((w.PATH, s.path), (w.FIXTURE, s.fixture), (w.UNDERGROWTH, s.undergrowth), (w.ROCKS, s.rocks))
    found = [line for table, value in tables for line in voice.say(*table.get(value, ()))]
    return found + voice.say(
        *(line.format(animal=article(s.animal)) for line in w.ANIMAL.get(s.pose, w.BEASTS))
    ) * (s.animal != "none")


def _picture(voice: Voice) -> list[str]:
    s = voice.scene
    tables = (
        (w.SHOT, s.shot),
        (w.LAYOUT, s.layout),
        (w.PALETTE, s.palette),
        (w.FINISH, s.finish),
        (w.EFFECT, s.effect),
    )
    found = [line for table, value in tables for line in voice.say(*table.get(value, ()))]
    return voice.some(found, 2)


def _mood(voice: Voice) -> list[str]:
    s = voice.scene
    if s.weather in ("rain", "overcast"):
        return voice.say(*w.GLOOMY)
    if s.weather == "fog":
        return voice.say(*w.HAZY)
    return voice.say(*(w.CALM if s.wind == "calm" and s.place != "city" else w.LIVELY))
