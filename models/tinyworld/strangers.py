"""Words that people type though the little world has no picture of them; a trained model should bear them."""

_TAGS = """
smile, open mouth, closed eyes, blue eyes, red eyes, green eyes, brown eyes, purple eyes, yellow eyes,
ahoge, bangs, ponytail, twintails, braid, hair ribbon, hair ornament, hairband, hair flower, cat ears,
animal ears, fox ears, tail, wings, horns, halo, glasses, earrings, necklace, jewelry, bracelet, choker,
gloves, boots, shoes, sandals, barefoot, socks, thighhighs, bare shoulders, cape, cloak, jacket, sweater,
vest, apron, uniform, school uniform, sailor collar, armor, helmet, shield, sword, katana, spear, bow
(weapon), gun, staff, wand, magic, magic circle, spell, book, pen, cup, tea, coffee, food, cake, fruit,
apple, bread, wine, bottle, basket, flower crown, bouquet, rose, tulip, lotus, lily (flower), bamboo, vines,
ivy, moss, cactus, oasis, desert, dune, canyon, volcano, lava, glacier, iceberg, waterfall, pond, swamp,
island, cave, crystal, gem, ice, fire, flame, ember, ash, explosion, dust, sparkle, bubble, planet, space,
galaxy, nebula, earth (planet), satellite, spaceship, rocket, robot, mecha, cyborg, machine, gears,
steampunk, cyberpunk, neon lights, hologram, train, railroad tracks, train station, car, motorcycle,
bicycle, bus, truck, airplane, airship, helicopter, tank, ship, submarine, anchor, sail, harbor, market,
shop, cafe, restaurant, library, school, classroom, hallway, room, bedroom, kitchen, bathroom, office,
window shade, curtains, door, floor, ceiling, wall, mirror, clock, bed, chair, table, couch, shelf, lamp,
candle, fireplace, piano, guitar, violin, drum, statue, fountain, temple, pagoda, church, cathedral, palace,
throne, graveyard, tombstone, pyramid, arch, column, balcony, rooftop, alley, sign, flag, banner, balloon,
kite, toy, doll, mask, crown, ring, map, compass, telescope, camera, phone, laptop, headphones, microphone,
dragon, unicorn, phoenix, griffin, mermaid, fairy, angel, demon, witch, wizard, knight, princess, prince,
king, queen, ninja, samurai, pirate, soldier, elf, vampire, ghost, skeleton, zombie, monster, slime, wolf,
fox, bear, lion, tiger, elephant, giraffe, monkey, panda, koala, kangaroo, penguin, owl, crow, eagle, swan,
parrot, fish, shark, whale, dolphin, octopus, jellyfish, turtle, frog, snake, lizard, spider, butterfly,
bee, dragonfly, cow, pig, goat, chicken, mouse, squirrel, hedgehog, multiple girls, 2girls, 1other, chibi,
portrait, upper body, cowboy shot, profile, dutch angle, fisheye, isometric, cinematic lighting, volumetric
lighting, ray tracing, photorealistic, realistic, oil painting (medium), sketch, lineart, pixel art, 3d,
concept art, digital painting, matte painting, impressionism, art nouveau, ukiyo-e, surreal, abstract,
minimalism, pastel, vintage, retro artstyle, sepia, dark fantasy, horror, science fiction, postapocalypse,
dystopia, christmas, halloween, wedding, birthday, dance, running, jumping, fighting, sleeping, reading,
singing, eating, drinking, cooking, fishing, swimming, crying, laughing, angry, sad, happy, surprised,
blush, :d, ^_^, highly detailed, intricate, sharp focus, 8k, 4k, hdr, trending
"""

_NAMES = """
alice, momo tan, sakura no mori, star voyager, lina, kaito, yuki, the old kingdom, sora, mika, rowan, blue
harbor, studio lumen, hoshi, nadir, paper moon, wild garden, oku, tera, violet
"""


def stranger_tags() -> tuple[str, ...]:
    """Returns tags of other worlds."""
    return _words(_TAGS)


def stranger_names() -> tuple[str, ...]:
    """Returns invented names, for lines of metadata that the little world never has."""
    return _words(_NAMES)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.replace("\n", " ").split(","))
