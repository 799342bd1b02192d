"""Tables of what people add to the world: works, animals, a figure, and the picture made of it.

Convention: weights, multiplied by each parent, rows normalised; `none` means absent. See `net.node`.
"""

from .net import Node, node


def works() -> tuple[Node, ...]:
    return (
        node(
            "structure",
            "none 50, house 14, houses 8, castle 8, lighthouse 8, windmill 8, torii 8, bridge 10, ruins 8, "
            "skyscrapers 10",
            place={
                "field": "lighthouse 0, skyscrapers 0, houses .3, windmill 3, castle .7, bridge .2",
                "forest": "lighthouse 0, skyscrapers 0, houses .1, windmill 0, torii 2, ruins 2, castle .7",
                "mountains": "lighthouse 0, skyscrapers 0, windmill .1, castle 2, torii 1.3, houses .4",
                "lakeside": "lighthouse .1, skyscrapers 0, windmill .3, torii 1.5, houses .6",
                "riverside": "lighthouse 0, skyscrapers 0, bridge 6, houses .7",
                "coast": "lighthouse 7, skyscrapers .1, windmill .5, bridge .1",
                "village": "none .05, lighthouse 0, skyscrapers 0, houses 8, house 2.5, castle .3, ruins .1",
                "city": "none .02, house .2, houses .8, castle .15, lighthouse 0, windmill 0, torii .2, "
                "ruins 0, skyscrapers 12",
            },
        ),
        node(
            "roof",
            "none 50, red 30, blue 15, brown 25, green 10",
            structure={
                "none|lighthouse|torii|bridge|ruins|skyscrapers": "red 0, blue 0, brown 0, green 0",
                "house|houses": "none 0",
                "castle": "none 1, blue 2.5, brown .3",
                "windmill": "none 0, brown 1.5",
            },
        ),
        node(
            "windows",
            "none 1, dark 1, lit 1",
            structure={
                "none|torii|bridge|ruins": "dark 0, lit 0",
                "house|houses|castle|lighthouse|windmill|skyscrapers": "none 0",
            },
            time={"day": "lit .1", "dawn|sunset": "lit 1.2", "night": "lit 5"},
            weather={"rain|snow|overcast": "lit 1.6"},
        ),
        node(
            "path",
            "none 50, trail 30, road 14, stairs 8",
            place={
                "forest": "trail 2, road .3",
                "mountains": "road .4, stairs 1.5",
                "coast": "road .5",
                "lakeside": "road .4",
                "village": "none .5, road 1.8",
                "city": "none .2, trail .05, road 6",
            },
            structure={"torii": "stairs 8", "castle": "stairs 1.5, road 1.3", "house|houses": "trail 1.5"},
        ),
        node(
            "fixture",
            "none 60, fence 18, bench 12, lamppost 10, lantern 6",
            place={
                "field": "fence 2, lamppost .1, lantern .1",
                "forest|mountains": "none 1.6, lamppost .05",
                "village": "none .6, fence 2, lantern 2",
                "city": "none .6, lamppost 5, bench 1.6, lantern .5",
            },
            structure={"torii": "lantern 9", "house": "fence 2"},
        ),
    )


def figure() -> tuple[Node, ...]:
    return (
        node(
            "animal",
            "none 140, cat 8, dog 8, deer 8, rabbit 6, horse 6, sheep 6, duck 6",
            place={
                "field": "cat .3, horse 3, sheep 3, rabbit 2, duck 0",
                "forest": "cat .1, dog .4, deer 4, rabbit 2, horse .3, sheep 0, duck .2",
                "mountains": "cat 0, deer 2, sheep 2, duck 0, rabbit .5",
                "lakeside|riverside": "cat .2, sheep .2, duck 6",
                "coast": "deer 0, rabbit 0, sheep 0, horse .5, duck .2",
                "village": "cat 3, dog 2, deer .1",
                "city": "cat 3, dog 2, deer 0, rabbit 0, horse 0, sheep 0, duck .1",
            },
        ),
        node(
            "figure",
            "none 56, girl 27, boy 17",
            place={"village|city": "none .7", "mountains|forest": "none 1.3"},
            weather={"fog": "none 1.3"},
        ),
        node(
            "hair",
            "none 1, black 28, brown 26, blonde 18, red 8, white 6, blue 6, pink 6",
            figure={
                "none": "black 0, brown 0, blonde 0, red 0, white 0, blue 0, pink 0",
                "girl": "none 0",
                "boy": "none 0, black 1.5, pink .1, blue .6",
            },
        ),
        node(
            "hair_length",
            "none 1, short 30, medium 25, long 45",
            figure={"none": "short 0, medium 0, long 0", "girl": "none 0", "boy": "none 0, short 4, long .1"},
        ),
        node(
            "outfit",
            "none 1, dress 30, kimono 14, coat 20, shirt 30, hoodie 14",
            figure={
                "none": "dress 0, kimono 0, coat 0, shirt 0, hoodie 0",
                "girl": "none 0",
                "boy": "none 0, dress 0, kimono .5",
            },
            season={
                "winter": "dress .15, coat 8, shirt .1",
                "autumn": "coat 2, dress .6",
                "summer": "coat 0, dress 2, hoodie .3, shirt 1.3",
            },
        ),
        node(
            "outfit_color",
            "none 1, white 30, red 18, blue 20, black 16, yellow 8, green 10",
            outfit={
                "none": "white 0, red 0, blue 0, black 0, yellow 0, green 0",
                "dress": "none 0, white 1.8, black .6",
                "kimono": "none 0, red 2, blue 1.3, white .5",
                "coat": "none 0, white .3, black 2, yellow .7",
                "shirt": "none 0, white 2",
                "hoodie": "none 0",
            },
        ),
        node(
            "carries",
            "none 50, umbrella 10, straw hat 10, scarf 8, backpack 12, lantern 5",
            figure={"none": "umbrella 0, straw hat 0, scarf 0, backpack 0, lantern 0", "boy": "straw hat .4"},
            season={
                "spring": "straw hat .4, scarf .3",
                "summer": "straw hat 2.5, scarf 0",
                "autumn": "straw hat .1, scarf 1.5",
                "winter": "straw hat 0, scarf 5",
            },
            weather={
                "rain": "umbrella 25, straw hat .1",
                "snow": "umbrella 3, scarf 1.5",
                "clear": "umbrella .3",
            },
            time={"night": "straw hat .05, lantern 3", "day": "lantern .05"},
        ),
        node(
            "pose",
            "none 1, standing 50, sitting 25, walking 30",
            figure={"none": "standing 0, sitting 0, walking 0", "girl|boy": "none 0"},
            weather={"rain": "sitting .2, walking 1.5", "snow": "sitting .4"},
        ),
        node(
            "facing",
            "none 1, away 50, viewer 30, aside 25",
            pose={
                "none": "away 0, viewer 0, aside 0",
                "standing": "none 0",
                "sitting": "none 0, aside 1.6",
                "walking": "none 0, viewer .5",
            },
        ),
    )


def picture() -> tuple[Node, ...]:
    return (
        node(
            "shot",
            "wide 50, very wide 20, above 10, below 8, close 10",
            figure={"none": "close .3", "girl|boy": "very wide .5, close 2.5, above .7"},
            place={
                "mountains|field": "very wide 1.6",
                "city": "above 2, below 2.5",
                "forest": "below 2, above .6",
            },
        ),
        node(
            "layout",
            "centered 35, thirds 40, symmetrical 12, framed 13",
            place={"lakeside": "symmetrical 2.5"},
        ),
        node(
            "palette",
            "natural 40, warm 14, cool 14, pastel 9, muted 10, vivid 12, monochrome 2",
            time={
                "dawn": "pastel 2.5, warm 1.3",
                "sunset": "warm 5, cool .3",
                "night": "cool 4, warm .5, pastel .4",
            },
            weather={
                "clear": "vivid 1.6, muted .4",
                "overcast|rain": "muted 3, cool 1.4, vivid .3, warm .5",
                "snow": "cool 2, pastel 1.5, vivid .3, warm .4",
                "fog": "muted 3.5, pastel 1.5, vivid .1, monochrome 2",
            },
            season={"autumn": "warm 2", "winter": "cool 1.6, vivid .6", "summer": "vivid 1.5"},
        ),
        node("finish", "plain 60, watercolor 12, flat 12, painterly 11, grain 5"),
        node(
            "effect",
            "none 60, lens flare 10, light particles 10, vignette 8, depth of field 12",
            time={"night": "light particles 1.8, lens flare 0"},
            weather={"overcast|rain|snow|fog": "lens flare 0"},
            shot={"close": "depth of field 3", "very wide": "depth of field .3"},
        ),
        node(
            "quality",
            "masterpiece 14, best quality 18, great quality 18, good quality 20, normal quality 18, "
            "low quality 8, worse quality 4",
        ),
        node(
            "resolution",
            "none 40, highres 35, absurdres 25",
            quality={
                "masterpiece|best quality": "absurdres 2, none .4",
                "low quality|worse quality": "highres .2, absurdres .02",
            },
        ),
        node(
            "aspect",
            "tall 10, portrait 22, square 26, landscape 26, wide 16",
            shot={
                "very wide": "tall .2, portrait .4, wide 3",
                "below": "tall 2.5, wide .4",
                "close": "portrait 1.5",
            },
            figure={"none": "landscape 1.4, wide 1.3", "girl|boy": "portrait 1.6"},
        ),
    )
