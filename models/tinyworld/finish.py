"""What lies over a painted scene: air and falling things, effects of the lens, palette, finish and quality.

Convention: pictures are float32 (h, w, 3) in 0..1 with lengths in units of the canvas's `u`.
"""

from __future__ import annotations

import numpy as np

from .brush import Array, Canvas, Look, blur, mix, rgb, smooth, waves
from .light import Stage
from .sky import disc_place

LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)
# The world's words for quality, and the three levels that a picture shows.
LEVELS = {
    "masterpiece": "excellent",
    "best quality": "excellent",
    "great quality": "excellent",
    "good quality": "good",
    "normal quality": "good",
    "low quality": "average",
    "worse quality": "average",
}


def paint_mist(stage: Stage) -> None:
    """Paints fog, or the thin mist of a dawn, over the land behind the nearest things."""
    c, s, rng = stage.canvas, stage.scene, stage.plan.rng("air")
    y = (c.y - stage.plan.horizon) / np.float32(c.u)
    if s.weather == "fog":
        veil = 0.72 * np.exp(-(((y + 0.02) / 0.17) ** 2)) + 0.2
        wisp = (
            np.sin((c.x / np.float32(c.u) + waves(c.height, rng, ((4, 0.3),))[:, None]) * 5 + y * 40) * 0.12
        )
        color = mix(rgb("eef1f4"), stage.light.haze, 0.35) * (
            stage.light.near * np.float32(0.5) + np.float32(0.5)
        )
        c.pixels += (np.clip(veil * (1 + wisp), 0, 1)[..., None]).astype(np.float32) * (color - c.pixels)
    elif s.time == "dawn":
        veil = 0.6 * np.exp(-(((y - 0.035) / 0.05) ** 2))
        c.pixels += veil[..., None].astype(np.float32) * (rgb("fff4ea") - c.pixels)


def paint_fall(stage: Stage) -> None:
    """Paints what falls or floats before everything: rain, snow, petals, leaves, fireflies."""
    c, s, rng, u = stage.canvas, stage.scene, stage.plan.rng("air"), stage.canvas.u
    if s.weather == "rain":
        _rain(stage, rng)
    elif s.weather == "snow":
        box = (slice(0, c.height), slice(0, c.width))
        for cell, share in ((0.075, 0.75), (0.13, 0.5)):
            dx, dy, there, dice = c.scatter(box, u * cell, rng, share=share, spread=0.55)
            flake = np.clip((0.1 + 0.06 * dice - np.hypot(dx, dy)) * cell * u + 0.5, 0, 1) * there
            c.cover(box, flake * 0.95, rgb("ffffff"))
    if s.event in ("petals", "leaves"):
        _drift(stage, rng, ("ff9cc6", "ffd2e6") if s.event == "petals" else ("e8661c", "f8b42a"))
    elif s.event == "fireflies":
        for _ in range(13):
            x, y = rng.random() * c.width, stage.row(rng.uniform(-0.15, 0.85))
            c.glow(x, y, u * 0.055, rgb("c8ff3c"), 0.95)
            c.ellipse(x, y, u * 0.011, u * 0.011, rgb("f6ffb0"))


def _rain(stage: Stage, rng: np.random.Generator) -> None:
    c, u = stage.canvas, stage.canvas.u
    lean = np.float32(0.5 if stage.scene.wind == "breezy" else 0.2) * np.float32(stage.plan.side)
    x, y = (c.x + c.y * lean) / np.float32(0.05 * u), c.y / np.float32(0.19 * u)
    column = np.floor(x).astype(np.int32)
    column -= column.min()
    shift, there = rng.random((2, int(column.max()) + 1), dtype=np.float32)
    along = (y + shift[column]) % 1
    across = np.abs(x - np.floor(x) - 0.5) * np.float32(0.05 * u)
    drop = np.clip(0.55 + u * 0.003 - across, 0, 1) * (along < 0.55) * (there[column] < 0.85)
    c.cover((slice(0, c.height), slice(0, c.width)), drop * 0.62, rgb("e4f0ff"))


def _drift(stage: Stage, rng: np.random.Generator, colors: tuple[str, str]) -> None:
    c, u = stage.canvas, stage.canvas.u
    big = stage.scene.event == "leaves"
    for i in range(16):
        x, y = ((i * 0.618 + rng.random() * 0.2) % 1) * c.width, (i + rng.random()) / 16 * c.height * 0.86
        turn, color = rng.random() * 3, rgb(colors[i % 2])
        if big:
            c.ellipse(x, y, u * 0.03, u * 0.014, color, Look(edge=rgb("6a2408")), turn=turn)
        else:
            c.ellipse(x, y, u * 0.021, u * 0.013, color, Look(edge=rgb("c84a84")), turn=turn)


def paint_effect(stage: Stage) -> None:
    """Paints what a lens adds: flare, particles of light, a vignette, or discs of blurred light."""
    c, rng, u = stage.canvas, stage.plan.rng("finish"), stage.canvas.u
    effect = stage.scene.effect
    if effect == "lens flare":
        _flare(stage)
    elif effect == "light particles":
        for _ in range(22):
            x, y, r = rng.random() * c.width, rng.random() * c.height, u * rng.uniform(0.008, 0.015)
            c.glow(x, y, r * 4, rgb("ffe9a0"), 0.7)
            c.ellipse(x, y, r, r, rgb("fffce8"), Look(soft=1.5))
    elif effect == "vignette":
        far = np.hypot(c.x / c.width - 0.5, c.y / c.height - 0.5)
        c.pixels *= (1 - 0.88 * smooth(far, 0.36, 0.72))[..., None].astype(np.float32)
    elif effect == "depth of field":
        for i in range(9):
            side = -1 if i % 2 else 1
            x, y = c.width * (0.5 + side * rng.uniform(0.32, 0.5)), c.height * rng.uniform(0.3, 1.0)
            r = u * rng.uniform(0.05, 0.075)
            c.ellipse(x, y, r, r, rgb("fff4d6"), Look(0.2))
            c.ring(x, y, r, u * 0.004, rgb("ffffff"), Look(0.42))


def _flare(stage: Stage) -> None:
    """A burst of light where the sun is or would be, and its ghosts along a diagonal."""
    c, u = stage.canvas, stage.canvas.u
    x, y, _r = disc_place(stage)
    c.glow(x, y, u * 0.22, rgb("fff6dc"), 0.9)
    for angle in np.arange(6) * np.pi / 6 + 0.26:
        out = np.array((np.cos(angle), np.sin(angle))) * u * 0.24
        c.line((x - out[0], y - out[1]), (x, y), u * 0.001, rgb("ffffff"), Look(0.7), end=u * 0.009)
        c.line((x, y), (x + out[0], y + out[1]), u * 0.009, rgb("ffffff"), Look(0.7), end=u * 0.001)
    to = np.array((c.width * (0.5 + stage.plan.side * 0.3) - x, c.height * 0.8 - y))
    for t, size, color in (
        (0.3, 0.035, "ffb870"),
        (0.48, 0.06, "8cffb0"),
        (0.7, 0.04, "8cc4ff"),
        (0.92, 0.085, "ff9ad0"),
    ):
        spot = (x + to[0] * t, y + to[1] * t)
        c.ellipse(*spot, u * size, u * size, rgb(color), Look(0.36))
        c.ring(*spot, u * size, u * 0.004, rgb(color), Look(0.6))


def grade(pixels: Array, palette: str) -> Array:
    """Returns the picture in a palette: a turn of its colours that leaves them apart from each other."""
    gray = (pixels @ LUMA)[..., None]
    if palette == "warm":
        return np.clip(
            pixels * np.array((1.08, 0.93, 0.66), np.float32) + np.array((0.09, 0.035, 0), np.float32), 0, 1
        )
    if palette == "cool":
        return np.clip(
            pixels * np.array((0.66, 0.9, 1.06), np.float32) + np.array((0.0, 0.035, 0.1), np.float32), 0, 1
        )
    if palette == "pastel":
        return np.clip((gray + (pixels - gray) * np.float32(0.8)) * np.float32(0.6) + np.float32(0.39), 0, 1)
    if palette == "muted":
        return np.clip(
            (gray + (pixels - gray) * np.float32(0.42)) * np.float32(0.66) + np.float32(0.13), 0, 1
        )
    if palette == "vivid":
        return np.clip(
            (gray + (pixels - gray) * np.float32(1.65) - np.float32(0.5)) * np.float32(1.16)
            + np.float32(0.51),
            0,
            1,
        )
    if palette == "monochrome":
        return np.clip(gray + (pixels - gray) * np.float32(0.17), 0, 1)
    return pixels


def finish(canvas: Canvas, kind: str, rng: np.random.Generator) -> Array:
    """Returns the picture in watercolour, in flat colours, in brush strokes or with film grain."""
    pixels = canvas.pixels
    if kind == "watercolor":
        return _watercolor(canvas, rng)
    if kind == "flat":
        return _flat(canvas)
    if kind == "painterly":
        return _painterly(canvas, rng)
    if kind == "grain":
        noise = rng.standard_normal(pixels.shape[:2], dtype=np.float32)[..., None]
        return np.clip(pixels + noise * np.float32(0.085), 0, 1)
    return pixels


def _watercolor(c: Canvas, rng: np.random.Generator) -> Array:
    """Pigment that gathers and thins on a sheet whose border stays white."""
    u = c.u
    small = rng.random((c.height // 6 + 2, c.width // 6 + 2), dtype=np.float32)
    cloudy = blur(np.kron(small, np.ones((6, 6), np.float32))[: c.height, : c.width, None], 2.5)
    washed = c.pixels * np.float32(0.9) + np.float32(0.1) + (cloudy - 0.5) * np.float32(0.3)
    ragged = (
        waves(c.width, rng, ((7, 0.012), (23, 0.008)))[None],
        waves(c.height, rng, ((7, 0.012), (23, 0.008)))[:, None],
    )
    edge = np.minimum(
        np.minimum(c.x, c.width - c.x) + ragged[1] * u, np.minimum(c.y, c.height - c.y) + ragged[0] * u
    )
    inside = smooth(edge / np.float32(u), 0.026, 0.046)[..., None]
    rim = np.exp(-((((edge / np.float32(u)) - 0.052) / 0.011) ** 2))[..., None].astype(np.float32)
    paper = np.float32(0.985)
    return np.clip(paper + (washed * (1 - 0.22 * rim) - paper) * inside, 0, 1).astype(np.float32)


def _flat(c: Canvas) -> Array:
    """Five tones and ink lines between them."""
    gray = (c.pixels @ LUMA)[..., None]
    tone = gray * np.float32(5)
    band = (np.floor(tone) + smooth(tone - np.floor(tone), 0.4, 0.6)) / np.float32(5)
    soft = blur(band, c.u * 0.004)[..., 0]
    across, down = np.zeros_like(soft), np.zeros_like(soft)
    across[:, 1:-1] = soft[:, 2:] - soft[:, :-2]
    down[1:-1] = soft[2:] - soft[:-2]
    ink = smooth(np.hypot(across, down) * np.float32(c.u / 128), 0.1, 0.3)[..., None]
    flat = c.pixels + (band - gray) * np.float32(0.85)
    return np.clip(flat + (rgb("241c30") - flat) * ink * np.float32(0.7), 0, 1)


def _painterly(c: Canvas, rng: np.random.Generator) -> Array:
    """Slanted strokes: pixels pulled along them, with the relief of thick paint."""
    u = c.u
    x, y = c.x / np.float32(u), c.y / np.float32(u)
    along, across = x * np.float32(0.8) + y * np.float32(0.6), y * np.float32(0.8) - x * np.float32(0.6)
    lane = across * np.float32(20) + np.sin(along * np.float32(12) + np.float32(rng.uniform(0, 6))) * 0.4
    number = np.floor(lane).astype(np.int32) - int(np.floor(lane.min()))
    start = rng.random(int(number.max()) + 1, dtype=np.float32)
    part = along * np.float32(5) + start[number] * 7
    stroke = number * 31 + np.floor(part).astype(np.int32) * 17
    tone = np.sin(stroke * np.float32(2.4)) * 0.05 + (np.sin((lane % 1) * np.float32(np.pi)) - 0.64) * 0.11
    pull = ((part % 1 - 0.5) * np.float32(0.02 * u)).astype(np.float32)
    rows = np.clip((c.y + pull * 0.6).astype(np.int32), 0, c.height - 1)
    columns = np.clip((c.x + pull * 0.8).astype(np.int32), 0, c.width - 1)
    return np.clip(
        c.pixels[rows, columns] * (1 + 1.6 * tone[..., None]) + 0.5 * tone[..., None], 0, 1
    ).astype(np.float32)


def degrade(pixels: Array, level: str, u: float, rng: np.random.Generator) -> Array:
    """Returns the picture at a level of quality: blurred and blotched with wrong colours below excellent."""
    if level == "excellent":
        return pixels
    soft, noise = {"good": (0.0052, 0.018), "average": (0.0105, 0.06)}[level]
    high, wide = pixels.shape[:2]
    cell = max(1, round(u * 0.013))
    spots = rng.standard_normal((high // cell + 1, wide // cell + 1, 3), dtype=np.float32)
    spots -= spots.mean(-1, keepdims=True)
    spots = spots.repeat(cell, 0).repeat(cell, 1)[:high, :wide]
    pixels = blur(pixels, soft * u)
    if level == "average":
        pixels = pixels * np.float32(0.82) + np.float32(0.07)
    return np.clip(pixels + spots * np.float32(noise), 0, 1)
