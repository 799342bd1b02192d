"""Painters of the sky: its gradient, sun and moon, stars, clouds, birds, weather aloft and rare events."""

from __future__ import annotations

import numpy as np

from .brush import Array, Canvas, Look, mix, rgb, smooth, waves
from .light import Stage

WHITE = rgb("ffffff")
SPECTRUM = tuple(map(rgb, ("8a4fd0", "3f7fe8", "35b86a", "ffd93c", "ff8f2a", "f0413c")))


def paint_sky(stage: Stage) -> None:
    """Paints everything above the land, from back to front."""
    rng = stage.plan.rng("sky")
    _gradient(stage)
    if stage.scene.event == "aurora":
        _aurora(stage, rng)
    _stars(stage, rng)
    if stage.scene.event == "rainbow":
        _rainbow(stage)
    _disc(stage)
    _bands(stage, rng)
    _clouds(stage, rng)
    if stage.scene.weather in ("overcast", "rain", "snow"):
        _ceiling(stage, rng)
    if stage.scene.event == "lightning":
        _lightning(stage)
    if stage.scene.event == "fireworks":
        _fireworks(stage, rng)


def _size(stage: Stage) -> float:
    """Pixels of "one" in the sky: smaller where there is little of it."""
    return stage.canvas.u * min(1.0, 0.55 + 0.9 * stage.plan.horizon / stage.canvas.height)


def _gradient(stage: Stage) -> None:
    c, (top, middle, low) = stage.canvas, stage.light.sky
    t = np.clip(c.y / np.float32(stage.plan.horizon + 1), 0, 1)[..., None]
    upper = smooth(t, 0.0, 0.62)
    lower = smooth(t, 0.5, 1.0)
    c.pixels[:] = top + (middle - top) * upper + (low - middle) * lower
    if stage.scene.time in ("dawn", "sunset"):
        color = rgb("fff2b8") if stage.scene.time == "dawn" else rgb("ff9a3c")
        c.glow(stage.column(stage.plan.focus), stage.plan.horizon, c.width * 0.55, color, 0.6)
    if stage.scene.time == "dawn":
        _rays(stage)


def _rays(stage: Stage) -> None:
    """The fan of light of a sun that is about to rise."""
    c = stage.canvas
    dx, dy = c.x - stage.column(stage.plan.focus), np.float32(stage.plan.horizon) - c.y
    beam = smooth(np.sin(np.arctan2(dx, np.maximum(dy, 0.1)) * np.float32(13)), -0.15, 0.15)
    beam = beam * (dy > 0) * np.clip(np.hypot(dx, dy) / np.float32(0.2 * c.u), 0, 1)
    c.cover((slice(0, c.height), slice(0, c.width)), beam.astype(np.float32) * np.float32(0.3), rgb("fff3b0"))


def _aurora(stage: Stage, rng: np.random.Generator) -> None:
    c, high = stage.canvas, stage.plan.horizon
    for at, color in ((0.3, "46f0a0"), (0.48, "50e8c8"), (0.2, "a868f0")):
        curve = (at * high + waves(c.width, rng, ((1.5, 0.1 * high), (4, 0.03 * high))))[None]
        rays = 0.75 + waves(c.width, rng, ((19, 0.2), (31, 0.15)))[None]
        up = (curve - c.y) / np.float32(0.42 * high)
        veil = np.where(up > 0, np.exp(-up * 3.0), np.exp(up * 14)) * rays
        c.pixels += (1 - c.pixels) * rgb(color) * (veil * (c.y < high) * 0.8)[..., None].astype(np.float32)


def _stars(stage: Stage, rng: np.random.Generator) -> None:
    c, s, u = stage.canvas, stage.scene, _size(stage)
    if s.stars == "none":
        return
    high = int(stage.plan.horizon * 0.95)
    if s.stars == "many":
        box = (slice(0, max(high, 4)), slice(0, c.width))
        dx, dy, there, dice = c.scatter(box, u * 0.062, rng, share=0.9, spread=0.7)
        c.cover(box, np.clip(1.25 - np.hypot(dx, dy) * (7 - 3 * dice), 0, 1) * there, rgb("fffbe8"))
        return
    for i in range(6):
        x = c.width * ((i + rng.uniform(0.25, 0.75)) / 6)
        y = high * (0.12 + 0.6 * rng.random())
        _sparkle(c, x, y, u * 0.03, rgb("fff9dc"))
    if s.stars == "shooting":
        x, y, far = stage.beside(0.2), high * 0.12, u * 0.34
        tip = (x - stage.plan.side * far, y + far * 0.42)
        c.line((x, y), tip, u * 0.002, WHITE, Look(0.9), end=u * 0.012)
        c.glow(*tip, u * 0.07, WHITE, 1.0)
        _sparkle(c, *tip, u * 0.06, WHITE)


def _sparkle(c: Canvas, x: float, y: float, r: float, color: Array) -> None:
    """A star of four rays."""
    c.line((x - r, y), (x + r, y), r * 0.16, color)
    c.line((x, y - r), (x, y + r), r * 0.16, color)
    c.ellipse(x, y, r * 0.36, r * 0.36, color)


def disc_place(stage: Stage) -> tuple[float, float, float]:
    """Returns column, row and radius of sun or moon."""
    share, at = (0.0, 0.2) if stage.scene.layout == "symmetrical" else (-0.2, 0.36)
    return stage.beside(share), stage.plan.horizon * at, _size(stage) * 0.078


def _disc(stage: Stage) -> None:
    c, disc = stage.canvas, stage.scene.disc
    if disc == "none":
        return
    x, y, r = disc_place(stage)
    if disc == "sun":
        color = {"sunset": "ffd23c", "dawn": "fff0a0"}.get(stage.scene.time, "ffe95e")
        c.glow(x, y, r * 4.5, rgb("fff0b0"), 0.9)
        c.ellipse(x, y, r, r, (rgb("fffdf0"), rgb(color)), Look(soft=1.5))
        return
    c.glow(x, y, r * 3.6, rgb("c8d8ff"), 0.65)
    moon = (rgb("fffdf0"), rgb("e4e2d0"))
    if disc == "full moon":
        c.ellipse(x, y, r * 1.05, r * 1.05, moon)
        for dx, dy, size in ((-0.3, -0.25, 0.26), (0.32, 0.1, 0.2), (-0.05, 0.45, 0.16)):
            c.ellipse(x + dx * r, y + dy * r, size * r, size * r, rgb("cfcdbd"), Look(0.8))
        return
    _crescent(stage, x, y, r * 1.15)


def _crescent(stage: Stage, x: float, y: float, r: float) -> None:
    c = stage.canvas
    box = c.window(x - r, y - r, x + r, y + r)
    if box is None:
        return
    dx, dy = c.x[:, box[1]] - np.float32(x), c.y[box[0]] - np.float32(y)
    outer = np.sqrt(dx * dx + dy * dy) - np.float32(r)
    inner = np.sqrt((dx - np.float32(r * 0.55)) ** 2 + (dy + np.float32(r * 0.18)) ** 2) - np.float32(
        r * 0.86
    )
    c.fill(box, np.maximum(outer, -inner), rgb("fff8d2"))


def _bands(stage: Stage, rng: np.random.Generator) -> None:
    """Bars of cloud low in the sky: glowing ones at sunset, a grey veil when it is cloudy."""
    c, s, u = stage.canvas, stage.scene, _size(stage)
    bars = [(rgb("e2493a"), 0.62, 0.6), (rgb("ffdf8a"), 0.7, 0.78)] * (s.time == "sunset")
    if s.weather == "cloudy":
        grey = mix(rgb("8f98a6") * stage.light.near, stage.light.sky[1], 0.25)
        bars += [(grey, 0.7, 0.05), (grey, 0.75, 0.3), (grey, 0.7, 0.66)]
    for color, alpha, at in bars:
        for _ in range(2):
            x, y = c.width * rng.random(), stage.plan.horizon * (at + rng.uniform(-0.04, 0.06))
            c.ellipse(x, y, u * rng.uniform(0.25, 0.42), u * 0.016, color, Look(alpha, soft=2.0))


def cloud(stage: Stage, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    """Paints one heap of cloud whose flat base lies on row y."""
    c, s = stage.canvas, stage.scene
    lit, shade = cloud_colors(stage)
    base = [(-0.62, 0.2), (-0.3, 0.32), (0.05, 0.4), (0.36, 0.3), (0.66, 0.18)]
    puffs = [(dx + rng.uniform(-0.06, 0.06), r * rng.uniform(0.85, 1.15)) for dx, r in base]
    for dx, r in puffs:
        c.ellipse(x + dx * size, y - r * 0.55 * size, r * size * 1.05, r * size * 0.92, shade, Look(0.95))
    for dx, r in puffs:
        where = (x + (dx - 0.04) * size, y - (r * 0.72 + 0.02) * size)
        c.ellipse(*where, r * size * 0.9, r * size * 0.7, lit, Look(0.95, soft=1.6))
    if s.weather != "clear":
        c.ellipse(
            x, y - 0.03 * size, size * 0.74, size * 0.075, shade * np.float32(0.86), Look(0.8, soft=1.5)
        )


def cloud_colors(stage: Stage) -> tuple[Array, Array]:
    """Returns the lit and the shaded colour of clouds."""
    s, light = stage.scene, stage.light
    lit, shade = {
        "dawn": (rgb("fffaf2"), rgb("f0c3bd")),
        "day": (rgb("ffffff"), rgb("c3d4e6")),
        "sunset": (rgb("ffd49a"), rgb("c45f64")),
        "night": (rgb("8ea0cc"), rgb("566694")),
    }[s.time]
    if s.weather in ("overcast", "rain", "snow"):
        lit, shade = mix(lit, rgb("9aa2ac"), 0.7) * light.near, mix(shade, rgb("5d6672"), 0.75) * light.near
    elif s.weather == "cloudy":
        lit, shade = mix(lit, rgb("e6e9ee") * light.near, 0.4), mix(shade, rgb("7d8898") * light.near, 0.6)
    return lit, shade


def _clouds(stage: Stage, rng: np.random.Generator) -> None:
    u, high = _size(stage), stage.plan.horizon
    kind = stage.scene.clouds
    if kind == "few":
        for share, at, size in ((0.3, 0.3, 0.17), (-0.42, 0.66, 0.14)):
            x = stage.beside(share + rng.uniform(-0.04, 0.04))
            cloud(stage, x, high * (at + rng.uniform(-0.04, 0.04)), u * size, rng)
    elif kind == "many":
        spots = (
            (-0.45, 0.2),
            (0.12, 0.18),
            (0.4, 0.26),
            (-0.2, 0.7),
            (0.2, 0.54),
            (-0.47, 0.6),
            (0.46, 0.78),
        )
        for share, at in spots:
            x = stage.beside(share + rng.uniform(-0.04, 0.04))
            cloud(stage, x, high * (at + rng.uniform(-0.03, 0.03)), u * rng.uniform(0.12, 0.16), rng)
    elif kind == "towering":
        _tower(stage, stage.beside(0.3 + rng.uniform(-0.04, 0.04)), rng)


def _tower(stage: Stage, x: float, rng: np.random.Generator) -> None:
    """One thundercloud from the horizon to near the top."""
    c, high = stage.canvas, stage.plan.horizon
    wide = min(stage.canvas.u * 0.3, c.width * 0.34)
    lit, shade = cloud_colors(stage)
    heaps = ((0.95, 0.75, 0.5), (0.78, 0.62, 0.45), (0.6, 0.5, 0.38), (0.43, 0.5, 0.33), (0.27, 0.62, 0.24))
    for at, spread, r in heaps:
        for k in (-1, 1, 0):
            jitter = rng.uniform(-0.06, 0.06)
            cx, cy = x + (k * spread * 0.75 + jitter) * wide, at * high
            rx, ry = r * wide * 1.25, r * high * 0.36
            c.ellipse(cx, cy, rx, ry, shade)
            c.ellipse(cx - rx * 0.12, cy - ry * 0.22, rx * 0.82, ry * 0.72, lit, Look(soft=1.8))


def _ceiling(stage: Stage, rng: np.random.Generator) -> None:
    """The closed cover of a dull day: a ragged dark edge along the top."""
    c, high = stage.canvas, stage.plan.horizon
    _, shade = cloud_colors(stage)
    for at, dark in ((0.2, 0.95), (0.12, 0.72)):
        edge = high * at + np.abs(waves(c.width, rng, ((5, 0.09 * high), (9, 0.05 * high))))
        box = c.window(0, 0, c.width, float(edge.max()) + 2)
        c.fill(
            box, c.y[box[0]] - edge[None].astype(np.float32), shade * np.float32(dark), Look(0.85, soft=2.5)
        )


def _rainbow(stage: Stage) -> None:
    c = stage.canvas
    r = min(c.width * 0.44, stage.plan.horizon * 0.86)
    wide = max(_size(stage) * 0.013, 0.9)
    for i, color in enumerate(SPECTRUM):
        c.ring(
            stage.column(0.5),
            stage.plan.horizon,
            r - (5 - i) * wide * 1.9,
            wide,
            color,
            Look(0.72, 1.6),
            top=True,
        )


def _lightning(stage: Stage) -> None:
    c, u, high = stage.canvas, _size(stage), stage.plan.horizon
    x = stage.beside(0.36)
    turns = [
        (x + u * dx * 0.07, high * y)
        for dx, y in ((0, 0.12), (-1, 0.4), (0.5, 0.46), (-0.7, 0.72), (0.3, 0.78), (-0.5, 1))
    ]
    c.glow(x, high * 0.5, u * 0.42, rgb("d8d4ff"), 0.6)
    c.polyline(turns, u * 0.02, rgb("b9a8ff"), Look(0.8, 1.5))
    c.polyline(turns, u * 0.011, rgb("fffbe6"))


def _fireworks(stage: Stage, rng: np.random.Generator) -> None:
    c, u, high = stage.canvas, _size(stage), stage.plan.horizon
    for share, at, color in ((-0.36, 0.3, "ff5a6e"), (0.06, 0.62, "ffd84a"), (0.37, 0.36, "5ad8ff")):
        x, y, r = stage.beside(share), high * at, u * rng.uniform(0.1, 0.125)
        c.glow(x, y, r * 1.5, rgb(color), 0.5)
        for angle in np.arange(12) * np.pi / 6 + rng.random():
            out = np.array((np.cos(angle), np.sin(angle)))
            c.line(
                (x + out[0] * r * 0.3, y + out[1] * r * 0.3),
                (x + out[0] * r, y + out[1] * r),
                u * 0.004,
                rgb(color),
                end=u * 0.009,
            )


def paint_flight(stage: Stage) -> None:
    """Paints what flies before the land: birds, a balloon, and the wind itself."""
    rng = stage.plan.rng("air")
    c, u, high = stage.canvas, _size(stage), stage.plan.horizon
    dark = rgb("dfe6ff") if stage.light.night else rgb("26303c")
    if stage.scene.birds == "few":
        for dx, dy, size in ((0.0, 0.0, 0.07), (0.16, 0.06, 0.06), (0.09, -0.05, 0.052)):
            _bird(c, stage.beside(0.12) + stage.plan.side * dx * u, high * 0.27 + dy * u, u * size, dark)
    elif stage.scene.birds == "flock":
        for i in range(-5, 6):
            x = stage.beside(0.14) + stage.plan.side * (i * 0.052 * u)
            _bird(c, x, high * 0.2 + abs(i) * 0.026 * u + rng.uniform(-0.5, 0.5), u * 0.029, dark)
    if stage.scene.event == "balloon":
        _balloon(stage, stage.beside(0.36), max(high * 0.36, u * 0.14), u * 0.1)
    if stage.scene.wind == "breezy":
        _gusts(stage, rng)


def _bird(c: Canvas, x: float, y: float, size: float, color: Array) -> None:
    thick = max(size * 0.13, 0.5)
    for side in (-1, 1):
        c.line((x, y + size * 0.2), (x + side * size * 0.5, y - size * 0.28), thick, color, end=thick)
        c.line((x + side * size * 0.5, y - size * 0.28), (x + side * size, y), thick, color, end=thick * 0.5)


def _balloon(stage: Stage, x: float, y: float, r: float) -> None:
    c, red, cream = stage.canvas, rgb("e8403a"), rgb("fff0cc")
    edge = Look(edge=rgb("5a2020"))
    c.polygon(
        [
            (x - r * 0.8, y + r * 0.6),
            (x + r * 0.8, y + r * 0.6),
            (x + r * 0.2, y + r * 1.5),
            (x - r * 0.2, y + r * 1.5),
        ],
        red,
        edge,
    )
    c.ellipse(x, y, r, r * 1.08, (red, red * np.float32(0.8)), edge)
    c.ellipse(x, y, r * 0.62, r * 1.08, cream)
    c.ellipse(x, y, r * 0.26, r * 1.08, red)
    c.rect(x - r * 0.26, y + r * 1.65, x + r * 0.26, y + r * 2.05, rgb("8a5a2c"), edge)


def _gusts(stage: Stage, rng: np.random.Generator) -> None:
    """Curling white lines, as wind is drawn in picture books."""
    c, u, high = stage.canvas, stage.canvas.u, stage.plan.horizon
    for share, at, size in ((-0.3, 0.72, 0.2), (0.2, 0.86, 0.24)):
        x, y = stage.beside(share + rng.uniform(-0.05, 0.05)), high * at
        r, look, thick = u * size * 0.16, Look(0.95, edge=rgb("7f93ae")), u * 0.009
        wide = u * size
        c.line((x - wide * 0.7, y + r), (x + wide * 0.2, y + r), thick * 0.4, WHITE, look, end=thick)
        for a in np.linspace(np.pi / 2, -np.pi * 0.9, 7)[:-1]:
            b = a - np.pi * 1.4 / 6
            ends = [(x + wide * 0.2 + r * np.cos(t), y + r * np.sin(t)) for t in (a, b)]
            c.line(*ends, thick, WHITE, look)
        c.line(
            (x - wide * 0.5, y + r * 1.9), (x + wide * 0.5, y + r * 1.9), thick * 0.4, WHITE, look, end=thick
        )
