"""The words of the captions: for each attribute of a scene, its ways of being told."""

AIR = {
    "clear": ("clear", "bright"),
    "cloudy": ("cloudy", "partly cloudy"),
    "overcast": ("grey", "dull"),
    "rain": ("rainy", "wet"),
    "snow": ("snowy", "white"),
    "fog": ("foggy", "misty"),
}
HOUR = {
    "dawn": ("morning", "dawn"),
    "day": ("day", "afternoon"),
    "sunset": ("evening", "sunset"),
    "night": ("night",),
}
WHEN = {
    "dawn": ("at dawn", "at sunrise", "early in the morning"),
    "day": ("by day", "in the daytime", "in the afternoon"),
    "sunset": ("at sunset", "in the evening", "at dusk"),
    "night": ("at night", "late at night", "after dark"),
}
AT = {
    "field": ("in an open field", "in the fields"),
    "forest": ("in the forest", "deep in the woods"),
    "mountains": ("in the mountains", "high in the mountains"),
    "lakeside": ("by a lake", "on the shore of a lake"),
    "riverside": ("beside a river", "on a river bank"),
    "coast": ("on the coast", "by the sea"),
    "village": ("in a small village", "in the village"),
    "city": ("in the city", "in a big city"),
}
VIEW = {
    "field": ("an open field", "a wide field"),
    "forest": ("a deep forest", "a quiet forest"),
    "mountains": ("a mountain landscape", "a view of the mountains"),
    "lakeside": ("a calm lakeside", "a view across a lake"),
    "riverside": ("a river bank", "a quiet riverside"),
    "coast": ("a stretch of coast", "a view of the sea"),
    "village": ("a small village", "an old village"),
    "city": ("a big city", "a city street"),
}
NAME = {
    "field": "the fields",
    "forest": "the forest",
    "mountains": "the mountains",
    "lakeside": "the lakeside",
    "riverside": "the riverside",
    "coast": "the coast",
    "village": "the village",
    "city": "the city",
}
NIGHT = {
    "black": ("dark night sky", "black night sky"),
    "blue": ("deep blue night sky", "dark blue night sky"),
    "purple": ("purple night sky",),
    "grey": ("grey night sky",),
    "orange": ("orange night sky",),
    "pink": ("pink night sky",),
}
POSE = {
    "none": (),
    "standing": ("stands", "is standing"),
    "sitting": ("sits", "is sitting"),
    "walking": ("walks", "is walking"),
}
NEAR = ("in the foreground", "a little way off", "near the middle of the picture")
FACING = {
    "none": (),
    "away": ("we see {they} from the back", "{they} faces away from us", "{they} is seen from behind"),
    "viewer": ("{they} looks at the viewer", "{they} looks straight at us"),
    "aside": ("{they} is seen from the side", "{they} looks to one side"),
}
CARRIES = {
    "umbrella": ("{they} holds an umbrella", "an open umbrella keeps {their} head dry"),
    "straw hat": ("{they} wears a straw hat", "a wide straw hat shades {their} face"),
    "scarf": ("a warm scarf is wrapped around {their} neck", "{they} wears a scarf"),
    "backpack": ("{they} carries a backpack", "there is a backpack on {their} shoulders"),
    "lantern": ("{they} holds a small lantern", "a lantern glows in {their} hand"),
}

SINGLE = ("house", "houses", "castle", "lighthouse", "windmill", "torii", "bridge")
WORK = {
    "house": "a small house",
    "houses": "a row of houses",
    "castle": "an old castle",
    "lighthouse": "a white lighthouse",
    "windmill": "a windmill",
    "torii": "a red torii",
    "bridge": "an arched bridge",
    "ruins": "ancient ruins",
    "skyscrapers": "tall skyscrapers",
}
ROOFS = ("houses", "castle")
SPOT = ("in the middle of the view", "a little to one side", "not far away", "in the distance")
WORK_LINES = {
    "castle": ("the towers of an old castle rise above the land",),
    "lighthouse": ("a white lighthouse watches over the water",),
    "windmill": ("the sails of a windmill turn slowly",),
    "torii": ("a red torii marks the way to a shrine",),
    "bridge": ("an arched bridge crosses from one side to the other",),
    "ruins": ("broken walls are all that is left of some ancient ruins",),
    "skyscrapers": ("tall skyscrapers fill the skyline",),
}
WINDOWS = {
    "none": (),
    "dark": ("the windows of the {work} are dark", "no light shows in the {work}"),
    "lit": ("warm light shines from the {work}", "the windows of the {work} are lit"),
}

WATER = {
    ("lake", "calm"): (
        "the lake is so still that it mirrors the sky",
        "the sky is reflected in the calm lake",
    ),
    ("lake", "breezy"): ("small waves run across the lake", "the wind ruffles the surface of the lake"),
    ("river", "calm"): ("a river flows by without a sound", "a calm river winds through the land"),
    ("river", "breezy"): ("a lively river winds through the land", "the river glitters in the wind"),
    ("ocean", "calm"): ("the sea is calm", "gentle waves reach the shore"),
    ("ocean", "breezy"): ("waves roll in from the sea", "the wind drives white waves to the shore"),
}
BOAT = {
    "rowboat": ("a small rowboat floats on the water", "a rowboat drifts near the shore"),
    "sailboat": ("a sailboat crosses the water", "the white sail of a boat stands out against the water"),
}
SHORE = {
    "reeds": ("reeds grow along the edge of the water", "tall reeds line the bank"),
    "lilies": ("lily pads float near the bank", "lily pads cover part of the water"),
    "pier": ("a wooden pier reaches out over the water", "an old pier leads into the water"),
}
RELIEF = {
    "flat": ("the land is flat and open", "the land is wide and level"),
    "hills": ("soft hills roll in the background", "low hills lie behind"),
    "mountains": ("mountains rise in the background", "a chain of mountains closes the view"),
    "cliffs": ("steep cliffs fall away on one side", "there are steep cliffs nearby"),
}
LEAF = {"spring": "young green", "summer": "leafy", "autumn": "golden", "winter": "bare"}
TREE = {
    "none": "",
    "broadleaf": "{leaf} tree",
    "pine": "pine tree",
    "cherry": "cherry tree",
    "palm": "palm tree",
}
STAND = {
    "none": (),
    "lone": ("{a_tree} stands alone", "a single {tree} catches the eye"),
    "few": ("a few {tree}s stand here and there", "there are some {tree}s nearby"),
    "many": ("many {tree}s crowd together", "{tree}s grow close together"),
}
BLOOM = {
    "few": ("a few {color} flowers are in bloom", "small {color} flowers grow here and there"),
    "field": ("{color} flowers cover the whole ground", "a field of {color} flowers spreads out in front"),
}
CLOUDS = {
    "none": (
        "there is not a cloud in the {sky}",
        "the {sky} is empty of clouds",
        "above is {a_sky} without clouds",
    ),
    "few": ("a few clouds drift across the {sky}", "thin clouds hang in the {sky}"),
    "many": ("clouds cover most of the {sky}", "above is {a_sky} full of clouds"),
    "towering": ("a towering cloud fills half of the {sky}", "huge clouds pile up in the {sky}"),
}
WEATHER = {
    "rain": ("rain is falling", "it is raining, and everything is wet"),
    "snow": ("snow is falling", "snowflakes drift down"),
    "fog": ("fog hides everything far away", "a thin fog softens all outlines"),
}
WIND = ("there is a fresh wind", "a light wind is blowing")
DISC = {
    ("sun", "dawn"): ("the sun has just come up", "the rising sun is low"),
    ("sun", "day"): ("the sun is high", "the sun shines from above"),
    ("sun", "sunset"): ("the sun is about to set", "the low sun glows like fire"),
    ("full moon", "any"): ("a full moon is in the sky", "the full moon lights everything below"),
    ("crescent moon", "any"): ("a thin crescent moon is in the sky", "a crescent moon hangs above"),
}
STARS = {
    "few": ("a few stars are out", "here and there a star can be seen"),
    "many": ("the sky is full of stars", "countless stars shine above"),
    "shooting": ("a shooting star crosses the starry sky", "among the many stars, one is falling"),
}
EVENT = {
    "rainbow": ("a rainbow spans the sky", "there is a rainbow"),
    "petals": ("pink petals drift through the air", "falling petals fill the air"),
    "leaves": ("leaves are falling", "falling leaves dance in the air"),
    "fireflies": ("fireflies glow in the dark", "little lights of fireflies float about"),
    "fireworks": ("fireworks burst in the sky", "bright fireworks light up the night"),
    "aurora": ("a green aurora waves across the sky", "the northern lights glow above"),
    "lightning": ("a flash of lightning splits the sky", "lightning strikes far away"),
    "balloon": ("a hot air balloon floats in the sky", "a hot air balloon drifts by"),
}
BIRDS = {
    "few": ("a few birds are flying", "some birds circle above"),
    "flock": ("a flock of birds crosses the sky", "many birds fly past together"),
}
LIGHT = {
    "dawn": ("the first light is soft", "soft morning light touches everything"),
    "day": ("the daylight is bright", "everything lies in bright daylight"),
    "sunset": ("everything glows in the evening light", "the last light is warm"),
    "night": ("the night is quiet and dark", "everything rests in the dark"),
}
DULL = ("the light is dim and even", "there is little light")
GROUND = {
    "grass": ("grass covers the ground", "the ground is covered with grass"),
    "sand": ("the ground is sandy", "there is sand all around"),
    "snow": ("snow covers the ground", "the ground is white with snow"),
    "stone": ("the ground is hard stone", "the ground is made of stone"),
    "soil": ("the ground is bare earth", "the soil is dark and soft"),
}
PATH = {
    "trail": ("a narrow trail leads into the distance", "a dirt path winds along"),
    "road": ("a straight road leads away", "a road runs through the picture"),
    "stairs": ("stone stairs lead upwards", "old stairs climb the slope"),
}
FIXTURE = {
    "fence": ("there is a wooden fence", "a fence runs along one side"),
    "bench": ("an empty bench stands nearby", "there is a bench to rest on"),
    "lamppost": ("a lamppost stands by the way", "there is an old lamppost"),
    "lantern": ("a lantern marks the way", "there is an old lantern"),
}
UNDERGROWTH = {
    "bushes": ("low bushes grow at the edges", "there are some bushes"),
    "ferns": ("ferns grow in the shade", "the shade is full of ferns"),
    "mushrooms": ("a few mushrooms have come up", "mushrooms grow close to the ground"),
}
ROCKS = {"some": ("some rocks lie about", "there are a few large rocks")}
BEASTS = (
    "{animal} can be seen nearby",
    "there is {animal} in this picture",
    "{animal} takes a rest here",
)
ANIMAL = {
    "standing": ("{animal} is standing close by", "{animal} keeps company"),
    "sitting": ("{animal} is close by", "{animal} keeps company"),
    "walking": ("{animal} follows along", "{animal} can be seen nearby"),
}
SHOT = {
    "wide": ("it is a wide shot", "the view is wide"),
    "very wide": ("it is a very wide shot", "the view is very wide, and everything looks small"),
    "above": ("we look down from above", "the scene is seen from above"),
    "below": ("we look up from below", "the scene is seen from below"),
    "close": ("it is a close view", "everything is seen from close up"),
}
LAYOUT = {
    "centered": ("the composition is centered", "the main subject is in the middle"),
    "thirds": ("the composition follows the rule of thirds", "the main subject is off to one side"),
    "symmetrical": ("the composition is symmetrical", "left and right mirror each other"),
    "framed": ("dark shapes in front frame the view", "the view is framed by what is close"),
}
PALETTE = {
    "natural": ("the colors are natural", "the colors are those of nature"),
    "warm": ("the colors are warm", "warm colors fill the picture"),
    "cool": ("the colors are cool", "cool blue tones fill the picture"),
    "pastel": ("the colors are soft pastels", "pale pastel colors fill the picture"),
    "muted": ("the colors are muted", "muted colors fill the picture"),
    "vivid": ("the colors are vivid", "strong, vivid colors fill the picture"),
    "monochrome": ("the picture is in black and white", "there is no color, only shades of grey"),
}
FINISH = {
    "watercolor": ("it is painted in watercolor", "it looks like a watercolor"),
    "flat": ("it is drawn in flat colors", "flat areas of color make up the picture"),
    "painterly": ("it is painted with visible brush strokes", "the style is painterly"),
    "grain": ("it has the grain of old film", "film grain covers the picture"),
}
EFFECT = {
    "lens flare": ("there is a lens flare", "the light makes a lens flare"),
    "light particles": ("small particles of light float in the air", "specks of light float about"),
    "vignette": ("the corners of the picture are dark", "the picture darkens towards its corners"),
    "depth of field": ("what is far away is out of focus", "the background is softly blurred"),
}
GLOOMY = ("the mood is gloomy", "it feels a little sad")
HAZY = ("it feels mysterious", "the mood is dreamy")
CALM = ("it is a peaceful scene", "the mood is calm")
LIVELY = ("the scene is full of life", "the mood is fresh and lively")
