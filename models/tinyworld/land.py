"""Painters of the land: relief in the haze, what marks the place, ground by its season, paths and water."""

from __future__ import annotations

import numpy as np

from .brush import Array, Look, blur, mix, rgb, smooth, waves
from .light import Stage

GREEN = {"spring": rgb("93d356"), "summer": rgb("3f9c3c"), "autumn": rgb("c98f2c"), "winter": rgb("a9b9b4")}
SOIL = {"sand": rgb("f2dca2"), "snow": rgb("f3f8ff"), "stone": rgb("9b9ea8"), "soil": rgb("74492c")}
GRASS = {"spring": rgb("8ccb4c"), "summer": rgb("4aa636"), "autumn": rgb("a8a23a"), "winter": rgb("93a678")}


def paint_relief(stage: Stage) -> None:
    """Paints hills, mountains or cliffs behind the horizon, each layer less hazy than the last."""
    {"flat": _flat, "hills": _hills, "mountains": _mountains, "cliffs": _cliffs}[stage.scene.relief](stage)


def _flat(stage: Stage) -> None:
    c, rng = stage.canvas, stage.plan.rng("land")
    top = stage.plan.horizon - c.u * 0.018 + waves(c.width, rng, ((3, 0.006 * c.u),))
    c.under(top, stage.light.far(GREEN[stage.scene.season], 0.55), bottom=stage.plan.horizon + 3)


def _hills(stage: Stage) -> None:
    c, rng = stage.canvas, stage.plan.rng("land")
    for high, across, haze in ((0.215, 2.2, 0.55), (0.145, 3.1, 0.38), (0.075, 4.2, 0.2)):
        top = stage.plan.horizon - c.u * high + waves(c.width, rng, ((across, 0.045 * c.u),))
        color = stage.light.far(GREEN[stage.scene.season] * np.float32(0.9), haze)
        c.under(
            np.minimum(top, stage.plan.horizon),
            (mix(color, stage.light.haze, 0.25), color),
            bottom=stage.plan.horizon + 3,
        )


def ridge(width: int, peaks: list[tuple[float, float]], slope: float, rough: Array) -> Array:
    """Returns how high (w,) a chain of peaks (column, height) rises above its foot."""
    x = np.arange(width, dtype=np.float32) + 0.5
    return np.maximum.reduce([high - np.abs(x - at) * slope for at, high in peaks]) + rough


def _mountains(stage: Stage) -> None:
    c, rng, light = stage.canvas, stage.plan.rng("land"), stage.light
    w, u, base = c.width, c.u, stage.plan.horizon
    rock = rgb("6f7c96")
    for layer, (high, haze) in enumerate(((0.3, 0.5), (0.2, 0.25))):
        shift = rng.uniform(-0.05, 0.05)
        spots = (0.2, 0.62, 0.95) if layer == 0 else (-0.02, 0.4, 0.8)
        peaks = [((s + shift) * w, u * high * rng.uniform(0.8, 1.1)) for s in spots]
        up = ridge(w, peaks, 0.85, waves(w, rng, ((13, 0.012 * u), (29, 0.008 * u))))
        top = np.minimum(base - up, base)
        color = light.far(rock, haze)
        box = c.under(top, (mix(color, light.haze, 0.1), color * np.float32(0.85)), bottom=base + 3)
        if box is not None:
            _snowcaps(
                stage, box, top, waves(w, rng, ((17, 0.022 * u), (37, 0.016 * u))), base - u * high * 0.52
            )


def _snowcaps(stage: Stage, box: tuple[slice, slice], top: Array, rough: Array, line: float) -> None:
    c, y = stage.canvas, stage.canvas.y[box[0]]
    low = 0.25 if stage.scene.season == "winter" else 0.0
    edge = (line + rough + low * stage.canvas.u).astype(np.float32)[None]
    inside = np.maximum(top[None].astype(np.float32) - y, y - edge)
    c.fill(box, np.maximum(inside, y - np.float32(stage.plan.horizon)), stage.light.far(rgb("ffffff"), 0.08))


def _cliffs(stage: Stage) -> None:
    """A wall of layered rock that drops sheer, on the side away from the open one."""
    c, rng, light = stage.canvas, stage.plan.rng("land"), stage.light
    _flat(stage)
    base, u = stage.plan.horizon, c.u
    away = -stage.plan.side if stage.scene.layout == "symmetrical" else stage.plan.side
    x = (c.x[0] / c.width - 0.5) * away  # -0.5 at the cliff's edge of the picture
    rough = waves(c.width, rng, ((9, 0.008), (21, 0.006)))
    steps = 0.3 * smooth(-(x + rough), 0.33, 0.342) + 0.13 * smooth(-(x + rough), 0.17, 0.182)
    top = base - u * steps * 0.95
    rock = light.far(rgb("b57f58"), 0.12)
    box = c.under(top, (mix(rock, rgb("ffffff"), 0.12), rock * np.float32(0.7)), bottom=base + 3)
    if box is None:
        return
    y = c.y[box[0]]
    strata = np.sin((y + waves(c.width, rng, ((5, 0.006 * u),))[None]) * np.float32(2 * np.pi / (0.05 * u)))
    inside = np.clip(y - top[None].astype(np.float32), 0, 1) * (y < base)
    c.cover(box, inside * np.clip(strata, 0, 1) * (steps[None] > 0.02) * 0.4, rock * np.float32(0.5))
    c.cover(
        box,
        (y - top[None] < 0.02 * u) * inside * (steps[None] > 0.02),
        light.far(GREEN[stage.scene.season], 0.1),
    )


def paint_backdrop(stage: Stage) -> None:
    """Paints along the horizon what tells the kind of place, as a silhouette in the haze."""
    paint = {"forest": _wood, "mountains": _crags, "village": _cottages, "city": _skyline}.get(
        stage.scene.place
    )
    if paint is not None:
        paint(stage, stage.plan.rng("place"))


def _wood(stage: Stage, rng: np.random.Generator) -> None:
    c, u = stage.canvas, stage.canvas.u
    color = stage.light.far(
        {"winter": rgb("47605c"), "autumn": rgb("7c5a24")}.get(stage.scene.season, rgb("1f5a3a")), 0.3
    )
    x, cell = c.x[0], u * 0.075
    tips = np.abs((x / cell + rng.random()) % 1 - 0.5) * 2  # 1 at the trees' feet
    high = 0.11 + waves(c.width, rng, ((4, 0.016),))
    c.under(
        stage.plan.horizon - u * (high - 0.06 * tips),
        (color, color * np.float32(0.7)),
        bottom=stage.row(0.04),
    )


def _crags(stage: Stage, rng: np.random.Generator) -> None:
    c, u = stage.canvas, stage.canvas.u
    color = stage.light.far(rgb("4c5366"), 0.12)
    x = c.x[0]
    rough = waves(c.width, rng, ((7, 0.012), (19, 0.01)))
    outer = smooth(np.abs(x / c.width - 0.5), 0.18, 0.5)
    teeth = np.abs((x / (u * 0.11)) % 1 - 0.5) * 0.07
    c.under(
        stage.plan.horizon - u * (0.015 + outer * (0.15 + rough) + teeth * (0.4 + outer)),
        (color, color * np.float32(0.75)),
        bottom=stage.row(0.04),
    )


def _cottages(stage: Stage, rng: np.random.Generator) -> None:
    c, u, base = stage.canvas, stage.canvas.u, stage.plan.horizon + 1
    wall, roof = stage.light.far(rgb("d8c0a0"), 0.3), stage.light.far(rgb("8c4a3c"), 0.25)
    count = max(4, int(c.width / (u * 0.13)))
    for i in range(count):
        x, r = c.width * (i + rng.uniform(0.35, 0.65)) / count, u * rng.uniform(0.034, 0.042)
        c.rect(x - r, base - r * 1.2, x + r, base + 2, wall)
        c.polygon([(x - r * 1.25, base - r * 1.1), (x, base - r * 2.3), (x + r * 1.25, base - r * 1.1)], roof)


def _skyline(stage: Stage, rng: np.random.Generator) -> None:
    c, u = stage.canvas, stage.canvas.u
    color = stage.light.far(rgb("6b7890"), 0.45)
    count = max(7, int(c.width / (u * 0.085)))
    heights = u * rng.uniform(0.05, 0.13, count)
    top = stage.plan.horizon - np.repeat(heights, c.width // count + 1)[: c.width]
    c.under(top, (color, mix(color, stage.light.haze, 0.4)), bottom=stage.plan.horizon + 2)


def paint_ground(stage: Stage) -> None:
    """Paints the near land from the horizon to the lower edge: its kind, its season, a pool of light."""
    c, rng, s = stage.canvas, stage.plan.rng("land"), stage.scene
    base = GRASS[s.season] if s.ground == "grass" else SOIL[s.ground]
    near = base * (stage.light.land + stage.light.near) / 2
    far = mix(near, stage.light.haze, 0.35)
    top = np.full(c.width, stage.plan.horizon, dtype=np.float32) + waves(c.width, rng, ((2, 0.004 * c.u),))
    box = c.under(top, far)
    if box is None:
        return
    depth = np.clip((c.y[box[0]] - stage.plan.horizon) / (c.height - stage.plan.horizon), 0, 1)
    inside = np.clip(c.y[box[0]] - top[None] + 0.5, 0, 1)
    dark = near * np.float32(0.86)
    shade = smooth(depth, 0, 0.45)[..., None]
    part = c.pixels[box]
    part += inside[..., None] * (
        far + (near - far) * shade + (dark - near) * smooth(depth, 0.5, 1.1)[..., None] - part
    )
    _texture(stage, box, depth, near, rng)
    if s.place == "field":
        _crops(stage, box, depth)
    pool = mix(near, rgb("fff0b4") * stage.light.near, 0.5)
    at = (stage.column(stage.plan.focus), stage.row(0.7))
    c.ellipse(*at, c.u * 0.25, (c.height - stage.plan.horizon) * 0.3, pool, Look(0.55, soft=c.u * 0.2))


def _texture(
    stage: Stage, box: tuple[slice, slice], depth: Array, near: Array, rng: np.random.Generator
) -> None:
    c, kind, u = stage.canvas, stage.scene.ground, stage.canvas.u
    x = (c.x[:, box[1]] - stage.column(stage.plan.focus)) / np.float32(u)
    span = np.float32((c.height - stage.plan.horizon) / u)
    away = span * depth + np.float32(0.06)
    if kind == "sand":
        ripple = np.sin(np.log(away) * np.float32(22) + np.sin(x * np.float32(9)) * np.float32(1.1))
        c.cover(box, np.clip(ripple, 0, 1) * depth * 0.4, near * np.float32(0.72))
    elif kind == "soil":
        furrow = np.sin(x / away * np.float32(9) + np.float32(0.5))
        c.cover(box, smooth(furrow, 0.1, 0.8) * smooth(depth, 0.02, 0.2) * 0.5, near * np.float32(0.55))
    elif kind == "stone":
        row = np.log(away) * np.float32(4.2)
        column = x / away * np.float32(2.2) + np.floor(row) * np.float32(0.5)
        joint = np.minimum(np.abs(row - np.round(row)), np.abs(column - np.round(column)))
        c.cover(box, (1 - smooth(joint, 0.02, 0.1)) * smooth(depth, 0.02, 0.2) * 0.55, near * np.float32(0.5))
    else:
        dx, dy, there, dice = c.scatter(box, u * 0.07, rng, share=0.75, spread=0.5)
        if kind == "grass":
            blade = np.clip(0.14 - np.abs(np.abs(dx) - 0.09 * (0.35 - dy)) * 1.8, 0, 1) * (np.abs(dy) < 0.24)
            c.cover(
                box,
                np.clip(blade * 7, 0, 1) * there * (0.35 + 0.3 * dice) * smooth(depth, 0.08, 0.3),
                near * np.float32(0.62),
            )
        else:
            drift = np.clip(1 - np.hypot(dx * 0.9, (dy - 0.1) * 3.2) * 3, 0, 1) * there
            c.cover(
                box, np.clip(drift, 0, 1) * 0.5 * smooth(depth, 0.03, 0.2), rgb("9fbce8") * stage.light.near
            )


def _crops(stage: Stage, box: tuple[slice, slice], depth: Array) -> None:
    """Rows of a tilled strip just below the horizon."""
    c = stage.canvas
    color = {"spring": "c6dd52", "summer": "f2c53a", "autumn": "dba032", "winter": "c9bb92"}[
        stage.scene.season
    ]
    strip = smooth(depth, 0.03, 0.06) * (1 - smooth(depth, 0.19, 0.23))
    rows = 0.5 + 0.5 * np.sin(c.x[:, box[1]] / np.float32(c.u) * np.float32(70) + depth * np.float32(40))
    c.cover(box, strip * (0.55 + 0.45 * (rows > 0.45)), rgb(color) * stage.light.land)
    c.cover(box, strip * (rows < 0.4) * 0.2, rgb("8a6a24") * stage.light.land)


def paint_path(stage: Stage) -> None:
    """Paints a trail, a road or stairs from the lower edge towards the subject."""
    c, s = stage.canvas, stage.scene
    if s.path == "none":
        return
    box = c.window(0, stage.row(0.06), c.width, c.height)
    depth = (c.y[box[0]] - stage.plan.horizon) / np.float32(c.height - stage.plan.horizon)
    reach = {"trail": 0.14, "road": 0.24, "stairs": 0.17}[s.path] * c.u
    aside = 0.0 if s.layout == "symmetrical" else 0.12
    middle = stage.column(stage.plan.focus) - stage.plan.side * c.u * aside * depth
    if s.path == "trail":
        middle = middle + np.sin(depth * np.float32(8)) * (c.u * 0.07) * depth
    half = reach * (0.06 + depth * 0.94)
    across = (c.x - middle) / half
    inside = np.clip((1 - np.abs(across)) * half + 0.5, 0, 1) * smooth(depth, 0.06, 0.1)
    {"trail": _trail, "road": _road, "stairs": _stairs}[s.path](stage, box, depth, across, inside)


def _trail(stage: Stage, box, depth: Array, across: Array, inside: Array) -> None:
    c, light = stage.canvas, stage.light
    earth = rgb("d9b07c") if stage.scene.ground != "sand" else rgb("a8703c")
    c.cover(box, inside, earth * light.near)
    c.cover(box, inside * smooth(np.abs(across), 0.7, 0.95) * 0.75, rgb("8a5c34") * light.near)


def _road(stage: Stage, box, depth: Array, across: Array, inside: Array) -> None:
    c, light = stage.canvas, stage.light
    c.cover(box, inside, rgb("4b4f5a") * light.near)
    c.cover(box, inside * ((np.abs(across) > 0.82) & (np.abs(across) < 0.94)), rgb("f4f4ea") * light.near)
    dash = (np.abs(across) < 0.09) & (np.sin(np.log(depth.clip(0.05) + 0.1) * np.float32(17)) > -0.1)
    c.cover(box, inside * dash, rgb("ffd94a") * light.near)


def _stairs(stage: Stage, box, depth: Array, across: Array, inside: Array) -> None:
    c, light = stage.canvas, stage.light
    step = (np.log(depth.clip(0.03) + 0.12) * np.float32(6.0)) % 1
    c.cover(box, inside, rgb("d4d2ca") * light.near)
    c.cover(box, inside * (step > 0.55), rgb("77767a") * light.near)
    c.cover(box, inside * (np.abs(across) > 0.84), rgb("b3aea4") * light.near)


def water_field(stage: Stage) -> tuple[tuple[slice, slice], Array] | None:
    """Returns rows and columns of the water and where it is (0..1), or None on dry land."""
    c, s, side = stage.canvas, stage.scene, stage.plan.side
    if s.water == "none":
        return None
    far = 0.0 if s.water == "ocean" else 0.07
    box = c.window(0, stage.row(far) + 3, c.width, c.height)
    depth = (c.y[box[0]] - stage.plan.horizon) / np.float32(c.height - stage.plan.horizon)
    wobble = waves(c.width, stage.plan.rng("water"), ((3, 0.014), (7, 0.007)))[None]
    if s.water == "ocean":
        near = (0.5 if s.place == "coast" else 0.36) + wobble - 0.08 * (c.x / c.width - 0.5) * side
        return box, np.clip((near - depth) * c.height * 0.5 + 0.5, 0, 1)
    if s.water == "lake":
        wide, deep = (
            (0.52 * c.width, 0.24) if s.place == "lakeside" else (min(0.33 * c.width, 0.5 * c.u), 0.155)
        )
        across = (c.x - stage.beside(0.06)) / np.float32(wide)
        round_ = 1 - across**2 - ((depth - far - deep) / np.float32(deep)) ** 2
        return box, np.clip((round_ + wobble * 3) * c.u * 0.1 + 0.5, 0, 1)
    reach = (0.19 if s.place == "riverside" else 0.125) * c.u
    share = 0.1 + 0.26 * depth + 0.1 * np.sin(depth * np.float32(6.3)) * (1 - depth)
    middle = c.width * (0.5 + side * share)
    half = reach * (0.3 + 0.85 * depth)
    return box, np.clip(half - np.abs(c.x - middle) + 0.5, 0, 1) * smooth(depth, far, far + 0.03)


def paint_water(stage: Stage) -> None:
    """Paints lake, river or ocean, with what stands behind it mirrored in it."""
    field = water_field(stage)
    if field is None:
        return
    c, s, light = stage.canvas, stage.scene, stage.light
    box, inside = field
    start = box[0].start
    bank = (
        rgb("f4ecd0")
        if s.water == "ocean"
        else mix(rgb("6b5a3a"), rgb("ffffff"), 0.25 * (s.ground == "snow"))
    )
    soft = blur(inside[..., None], c.u * 0.012)[..., 0]
    c.cover(box, np.clip(soft * 3, 0, 1) * 0.8, bank * light.near)
    blue = {"dawn": "8fc0dc", "day": "2f8fd0", "sunset": "6a5a86", "night": "1c3c78"}[s.time]
    blue = mix(rgb(blue), light.sky[1], 0.35)
    mirror = _mirrored(stage, box, 2.0 if s.wind == "breezy" else 0.8)
    share = 0.62 if s.water == "lake" else 0.42
    color = blue + (mirror - blue) * np.float32(share)
    part = c.pixels[box]
    part += inside[..., None] * (color - part)
    _ripples(stage, box, inside, start)


def _mirrored(stage: Stage, box: tuple[slice, slice], shake: float) -> Array:
    c = stage.canvas
    start, count = box[0].start, box[0].stop - box[0].start
    up = c.pixels[max(start - 1 - int(count * 1.2), 0) : start - 1][::-1]
    if not len(up):
        return np.broadcast_to(stage.light.sky[1], c.pixels[box].shape)
    rows = np.clip(np.arange(count) * 1.2, 0, len(up) - 1).astype(np.int32)
    far = np.sin(np.arange(count) * 9.0 / stage.canvas.u * 8) * shake * stage.canvas.u / 128
    columns = np.clip(np.arange(c.width)[None] + far[:, None].round().astype(np.int32), 0, c.width - 1)
    return up[rows[:, None], columns]


def _ripples(stage: Stage, box: tuple[slice, slice], inside: Array, start: int) -> None:
    c, s, u = stage.canvas, stage.scene, stage.canvas.u
    y, x = (c.y[box[0]] - start) / np.float32(u), c.x / np.float32(u)
    if s.water == "ocean":
        crest = np.sin(np.sqrt(y + 0.01) * np.float32(46) + np.sin(x * np.float32(13)) * np.float32(0.7))
        c.cover(
            box,
            inside * smooth(crest, 0.75, 0.95) * 0.75,
            mix(rgb("ffffff"), stage.light.sky[2], 0.2) * stage.light.near,
        )
        shore = np.clip(inside * 4, 0, 1) - smooth(blur(inside[..., None], u * 0.02)[..., 0], 0.6, 0.97)
        c.cover(box, np.clip(shore, 0, 1) * 0.95, rgb("ffffff") * stage.light.near)
    elif s.water == "river":
        flow = np.sin(y * np.float32(60) + np.sin(x * np.float32(25)) * np.float32(2.2))
        c.cover(box, inside * smooth(flow, 0.6, 0.95) * 0.4, rgb("e6f4ff") * stage.light.near)
    else:
        calm = np.sin(y * np.float32(95)) * np.sin(x * np.float32(14) + y * np.float32(50))
        c.cover(
            box,
            inside * smooth(calm, 0.55, 0.9) * (0.7 if s.wind == "breezy" else 0.3),
            rgb("f2f8ff") * stage.light.near,
        )
