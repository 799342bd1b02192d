"""Tables of the world that nobody made: season, weather, sky, land, water and plants.

Convention: weights, multiplied by each parent, rows normalised; `none` means absent. See `net.node`.
"""

from .net import Node, node


def climate() -> tuple[Node, ...]:
    return (
        node("season", "spring 27, summer 27, autumn 26, winter 20"),
        node(
            "place",
            "field 16, forest 15, mountains 14, lakeside 15, riverside 12, coast 13, village 11, city 9",
            season={"summer": "coast 1.8, mountains .7", "winter": "coast .6, mountains 1.5, village 1.3"},
        ),
        node(
            "time",
            "dawn 14, day 42, sunset 20, night 24",
            season={"summer": "day 1.2, sunset 1.3", "winter": "day .8, night 1.3"},
            place={"city": "night 1.8", "coast": "sunset 1.6", "forest": "dawn 1.3, sunset .7"},
        ),
        node(
            "weather",
            "clear 38, cloudy 28, overcast 9, rain 11, snow 5, fog 9",
            season={
                "spring": "rain 1.5, snow .1",
                "summer": "clear 1.3, fog .4, snow 0",
                "autumn": "fog 1.8, rain 1.2, snow .2",
                "winter": "snow 6, rain .3, cloudy .8",
            },
            time={
                "dawn": "fog 2.5, rain .6",
                "sunset": "clear 1.2, rain .5, overcast .5",
                "night": "clear 1.2",
            },
            place={"mountains": "snow 1.6, fog 1.5", "coast": "snow .4", "city": "rain 1.5, fog .6"},
        ),
    )


def heavens() -> tuple[Node, ...]:
    return (
        node(
            "sky",
            "blue 10, grey 10, orange 10, pink 10, purple 10, black 10",
            time={
                "dawn": "blue .6, orange .6, pink 1.4, purple .5, black 0",
                "day": "orange 0, pink 0, purple 0, black 0",
                "sunset": "blue 0, orange 1.6, pink .6, purple .6, black 0",
                "night": "grey 0, orange 0, pink 0, purple .3, blue .6, black 1.2",
            },
            weather={
                "clear": "grey 0",
                "cloudy": "grey .05",
                "overcast|rain|snow": "blue .05, orange .05, pink .05, purple .1, grey 2",
                "fog": "blue .1, orange .4, purple .2",
            },
        ),
        node(
            "clouds",
            "none 10, few 10, many 10, towering 10",
            weather={
                "clear": "none 3, few 1, many 0, towering 0",
                "cloudy": "none 0, few 1.5, many 1.5, towering .5",
                "overcast|rain|snow": "none 0, few 0, towering .05",
                "fog": "none 2, few .3, many .6, towering 0",
            },
            season={"summer": "towering 2.5", "winter": "towering 0"},
            time={"night": "towering .3"},
        ),
        node(
            "disc",
            "none 1, sun 1, full moon 1, crescent moon 1",
            time={
                "dawn": "full moon 0, crescent moon .2",
                "day": "full moon 0, crescent moon 0",
                "sunset": "sun 2, full moon 0, crescent moon .15",
                "night": "sun 0, full moon 1.6",
            },
            weather={
                "clear": "none .4",
                "overcast|rain|snow": "sun .04, full moon .04, crescent moon .04",
                "fog": "sun .5, full moon .6, crescent moon .1",
            },
        ),
        node(
            "stars",
            "none 1, few 1, many 1, shooting .12",
            time={"dawn": "few .05, many 0, shooting 0", "day|sunset": "few 0, many 0, shooting 0"},
            weather={
                "clear": "none .15, many 2",
                "cloudy": "few 1.5, many .4",
                "overcast|rain|snow": "few 0, many 0, shooting 0",
                "fog": "few .15, many 0, shooting 0",
            },
        ),
        node(
            "event",
            "none 60, rainbow 5, petals 20, leaves 20, fireflies 18, fireworks 8, aurora 8, lightning 5, "
            "balloon 6",
            season={
                "spring": "leaves 0, fireflies .3, fireworks 0, aurora 0",
                "summer": "petals .05, leaves 0, aurora 0, fireworks 2",
                "autumn": "petals 0, fireflies .1, fireworks .3, aurora .5",
                "winter": "petals 0, leaves 0, fireflies 0, rainbow .1, lightning .1, balloon .4",
            },
            time={
                "dawn|day|sunset": "fireflies 0, fireworks 0, aurora 0",
                "night": "rainbow 0, balloon 0, petals .5",
            },
            weather={
                "clear": "rainbow .1, lightning 0",
                "cloudy": "rainbow .8, lightning .3",
                "overcast": "rainbow .2, aurora 0, fireflies .3, balloon .2",
                "rain": "rainbow 2, lightning 5, fireflies 0, fireworks 0, aurora 0, balloon 0, leaves .3",
                "snow": "rainbow 0, petals 0, fireflies 0, fireworks .1, aurora 0, balloon 0, lightning 0",
                "fog": "rainbow 0, fireworks 0, aurora 0, balloon .1, lightning 0",
            },
        ),
        node(
            "birds",
            "none 60, few 24, flock 16",
            time={"night": "few .1, flock .02", "dawn": "few 1.5, flock 1.5", "sunset": "flock 2.5"},
            weather={"rain|snow": "few .2, flock .1", "fog": "flock .3"},
            place={"coast": "few 3, flock 1.5", "city": "flock .6"},
        ),
        node(
            "wind",
            "calm 60, breezy 40",
            weather={"fog": "breezy .1", "rain": "breezy 1.4"},
            place={"coast": "breezy 1.8", "field": "breezy 1.4", "forest": "breezy .5"},
            event={"petals|leaves": "breezy 6"},
        ),
    )


def land() -> tuple[Node, ...]:
    return (
        node(
            "relief",
            "flat 30, hills 30, mountains 24, cliffs 8",
            place={
                "field|village": "flat 1.2, cliffs 0",
                "mountains": "flat 0, hills .05, mountains 4",
                "lakeside": "mountains 1.6, flat .6",
                "coast": "flat 2, hills .6, mountains .3, cliffs 4",
                "city": "flat 4, hills .6, mountains .4, cliffs 0",
                "forest": "flat 1.5, cliffs .4",
            },
        ),
        node(
            "ground",
            "grass 40, sand 30, snow 30, stone 30, soil 20",
            place={
                "field": "grass 3, sand 0, stone .05",
                "forest": "grass 1.5, sand 0, stone .2, soil 2",
                "mountains": "sand 0, soil .3",
                "lakeside|riverside": "sand .3, stone .5",
                "coast": "sand 4, stone .7, grass .6, soil 0",
                "village": "sand 0",
                "city": "grass .3, sand 0, stone 4, soil .1",
            },
            season={
                "spring|autumn": "snow .02",
                "summer": "snow 0, grass 1.3",
                "winter": "snow 2.5, grass .3",
            },
            weather={"snow": "snow 8, grass .1, sand .1", "rain": "snow .2"},
        ),
        node(
            "water",
            "none 50, lake 20, river 20, ocean 20",
            place={
                "field": "ocean 0, lake .4",
                "forest": "ocean 0, lake .6",
                "mountains": "ocean 0, lake 1.5, river 1.2",
                "lakeside": "none 0, river 0, ocean 0",
                "riverside": "none 0, lake 0, ocean 0",
                "coast": "none 0, lake 0, river 0",
                "village": "ocean .5, lake .5",
                "city": "lake .2, river .8, ocean .4",
            },
        ),
        node(
            "boat",
            "none 60, rowboat 25, sailboat 25",
            water={
                "none": "rowboat 0, sailboat 0",
                "river": "sailboat .1",
                "ocean": "sailboat 1.8, rowboat .5",
            },
            weather={"rain|snow|fog": "sailboat .3"},
        ),
        node(
            "shore",
            "bare 40, reeds 25, lilies 20, pier 20",
            water={
                "none": "reeds 0, lilies 0, pier 0",
                "river": "lilies .2, pier .5",
                "ocean": "reeds .02, lilies 0",
            },
            season={"winter": "lilies 0, reeds .6", "summer": "lilies 2"},
            boat={"rowboat|sailboat": "pier 2"},
        ),
        node(
            "trees",
            "none 20, broadleaf 40, pine 24, cherry 10, palm 8",
            place={
                "forest": "none 0, palm .05",
                "mountains": "pine 3, cherry .3, palm 0",
                "coast": "none 2, palm 5, cherry .1, broadleaf .5",
                "city": "none 1.5, cherry 2",
                "lakeside": "pine 1.5, palm .1",
                "field|riverside|village": "palm .05",
            },
            season={
                "spring": "cherry 4",
                "autumn": "broadleaf 1.8",
                "winter": "pine 1.8, palm .2, cherry .3",
            },
        ),
        node(
            "stand",
            "none 100, lone 25, few 40, many 25",
            trees={
                "none": "lone 0, few 0, many 0",
                "broadleaf|pine|cherry": "none 0",
                "palm": "none 0, many .2",
            },
            place={
                "forest": "lone .02, few .2, many 5",
                "field": "lone 2.5, many .3",
                "mountains|lakeside": "many 1.5",
                "city": "many .1",
            },
        ),
        node(
            "flowers",
            "none 50, white 12, yellow 12, red 10, blue 8, purple 9, pink 8",
            season={
                "spring": "none .7, pink 2, white 1.4",
                "summer": "none .7, yellow 2, blue 1.5",
                "autumn": "none 1.6, red 1.6, purple 1.3, pink .3",
                "winter": "none 8",
            },
            ground={"snow": "none 20", "stone|sand": "none 2", "grass": "none .5"},
            place={"field": "none .5", "city": "none 1.6"},
        ),
        node(
            "bloom",
            "none 1, few 1, field 1",
            flowers={
                "none": "few 0, field 0",
                "white|red|blue|pink": "none 0",
                "yellow|purple": "none 0, field 1.8",
            },
            place={
                "field": "field 2.5",
                "forest|mountains|lakeside|riverside": "field .3",
                "coast|village": "field .12",
                "city": "field .02",
            },
        ),
        node(
            "undergrowth",
            "none 40, bushes 30, ferns 14, mushrooms 10",
            place={
                "forest": "none .4, ferns 3, mushrooms 3",
                "field|coast": "none 1.6, ferns .05, mushrooms .3",
                "city": "none 2, ferns 0, mushrooms 0",
            },
            season={"winter": "none 2.5, ferns .1, mushrooms .05", "autumn": "mushrooms 2.5"},
        ),
        node(
            "rocks",
            "none 60, some 40",
            place={"mountains|coast|riverside": "some 2.2", "field|city": "some .3"},
            relief={"cliffs": "some 4", "mountains": "some 1.5"},
        ),
    )
