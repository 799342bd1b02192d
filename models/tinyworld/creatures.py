"""Painters of the small figure and of animals.

Convention: a body is drawn in units of its own height; `at(x, y)` maps x across (towards where it looks) and
y up from the ground to pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .brush import PLAIN, Array, Canvas, Look, mix, rgb
from .light import Stage

HAIR = {
    "black": rgb("17151d"),
    "brown": rgb("7a4520"),
    "blonde": rgb("ffd84e"),
    "red": rgb("d83a10"),
    "white": rgb("f4f6fa"),
    "blue": rgb("3478f4"),
    "pink": rgb("ff80c0"),
}
CLOTH = {
    "white": rgb("fbfbf6"),
    "red": rgb("e0222a"),
    "blue": rgb("2450d8"),
    "black": rgb("1c1b24"),
    "yellow": rgb("ffd01c"),
    "green": rgb("1f9a46"),
}
SKIN, INK, TROUSERS = rgb("ffd9b8"), rgb("2c1c20"), rgb("4a5a86")


@dataclass(frozen=True)
class Body:
    """Where a body stands, how high it is, and to which side it looks."""

    canvas: Canvas
    x: float
    y: float
    size: float
    side: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        return self.x + self.side * x * self.size, self.y - y * self.size

    def line(self, a, b, r: float, color, look: Look = PLAIN, *, end: float | None = None) -> None:
        tip = None if end is None else end * self.size
        self.canvas.line(self.at(*a), self.at(*b), r * self.size, color, look, end=tip)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, color, look: Look = PLAIN, *, turn=0.0
    ) -> None:
        at = self.at(x, y)
        self.canvas.ellipse(*at, rx * self.size, ry * self.size, color, look, turn=turn * self.side)

    def polygon(self, points, color, look: Look = PLAIN) -> None:
        self.canvas.polygon([self.at(*p) for p in points], color, look)


@dataclass(frozen=True)
class Dress:
    """The figure's colours in the light of the scene."""

    cloth: tuple[Array, Array]
    hair: tuple[Array, Array]
    skin: Array
    legs: Array
    edge: Look


def paint_figure(stage: Stage) -> None:
    """Paints the girl or the boy at the subject's place."""
    s = stage.scene
    if s.figure == "none":
        return
    size = min(0.42 * stage.unit, stage.canvas.height * 0.66)
    side = stage.plan.side
    x, y = stage.column(stage.plan.focus), stage.row(0.86)
    low = {"sitting": 0.17, "standing": 0.0, "walking": 0.0}[s.pose] * size
    near = mix(stage.light.near, np.ones(3, np.float32), 0.4)
    c = stage.canvas
    if stage.light.night:
        c.glow(x, y - size * 0.5, size * 0.75, rgb("aab8e8"), 0.55)
    c.ellipse(x, y, size * 0.24, size * 0.04, rgb("14182c"), Look(0.35, 3))
    edge = Look(edge=INK * (near * np.float32(0.8)))
    legs = TROUSERS if s.figure == "boy" else SKIN
    dress = Dress(
        _cloth(CLOTH[s.outfit_color] * near), _cloth(HAIR[s.hair] * near), SKIN * near, legs * near, edge
    )
    body = Body(c, x, y + low, size, side)
    if s.pose == "sitting":
        _stone(stage, x, y, size)
    if s.carries == "backpack" and s.facing == "viewer":
        _backpack(stage, body, near)
    if s.hair_length != "short" and s.facing != "away":
        _long_hair(body, s, dress)
    _legs(body, s, dress)
    _outfit(body, s, dress)
    _head(body, s, dress)
    if s.hair_length != "short" and s.facing == "away":
        _long_hair(body, s, dress)
    if s.figure == "girl":
        _bow(body, near)
    if s.carries == "backpack" and s.facing != "viewer":
        _backpack(stage, body, near)
    _carried(stage, body, near)


def _cloth(color: Array) -> tuple[Array, Array]:
    return mix(color, np.ones(3, np.float32), 0.05), color * np.float32(0.8)


def _stone(stage: Stage, x: float, y: float, size: float) -> None:
    lit, shade = stage.light.pair(rgb("a89a88"), depth=0.4)
    stage.canvas.ellipse(
        x, y - size * 0.05, size * 0.26, size * 0.12, (lit, shade), Look(edge=shade * np.float32(0.5))
    )


def _legs(body: Body, s, dress: Dress) -> None:
    shoe = rgb("5a2c1c") * dress.skin
    if s.pose == "sitting":
        feet = (
            ((-0.05, 0.3), (-0.07 if s.facing != "aside" else 0.19, 0.2)),
            ((0.06, 0.3), (0.08 if s.facing != "aside" else 0.26, 0.2)),
        )
    elif s.pose == "walking":
        feet = (((-0.02, 0.3), (-0.15, 0.045)), ((0.02, 0.3), (0.17, 0.03)))
    else:
        feet = (((-0.05, 0.3), (-0.055, 0.02)), ((0.05, 0.3), (0.055, 0.02)))
    for hip, foot in feet:
        body.line(hip, foot, 0.038 if s.figure == "girl" else 0.048, dress.legs, dress.edge)
        body.ellipse(
            foot[0] + (0.025 if s.facing == "aside" or s.pose == "walking" else 0.0),
            foot[1],
            0.055,
            0.034,
            shoe,
            dress.edge,
        )


def _outfit(body: Body, s, dress: Dress) -> None:
    low = 0.3 if s.pose == "sitting" else 0.0
    cloth, edge = dress.cloth, dress.edge
    swing = 0.07 if s.pose == "walking" else 0.0
    hem = {
        "dress": (0.2, 0.2),
        "kimono": (0.115, 0.07),
        "coat": (0.15, 0.17),
        "shirt": (0.105, 0.33),
        "hoodie": (0.135, 0.3),
    }[s.outfit]
    wide, bottom = hem[0], max(hem[1], low)
    if s.figure == "girl" and s.outfit in ("shirt", "hoodie"):
        skirt = rgb("5b3a78") * dress.skin / SKIN
        body.polygon(
            [(-0.1, 0.36), (0.1, 0.36), (0.155, max(0.2, low - 0.04)), (-0.155, max(0.2, low - 0.04))],
            skirt,
            edge,
        )
    if s.figure == "boy" and s.outfit == "kimono":
        body.polygon(
            [(-0.1, 0.36), (0.1, 0.36), (0.16, max(0.07, low - 0.05)), (-0.16, max(0.07, low - 0.05))],
            dress.legs,
            edge,
        )
        bottom = max(0.3, low)
    body.polygon([(-0.095, 0.58), (0.095, 0.58), (wide, bottom), (-wide, bottom)], cloth, edge)
    _sleeves(body, s, dress, swing)
    _trim(body, s, dress, wide, bottom)


def _sleeves(body: Body, s, dress: Dress, swing: float) -> None:
    holds = s.carries in ("umbrella", "lantern")
    for k in (-1, 1):
        raised = holds and k == 1
        hand = (0.235, 0.5) if raised else (k * 0.165 + swing * k, 0.36)
        elbow = (k * 0.14, 0.46)
        wide = {"kimono": 0.062, "coat": 0.05, "hoodie": 0.054, "dress": 0.04, "shirt": 0.042}[s.outfit]
        if s.outfit == "kimono":
            body.polygon(
                [(k * 0.08, 0.57), (k * 0.22, 0.5), (k * 0.24, 0.36), (k * 0.13, 0.36), (k * 0.08, 0.46)],
                dress.cloth,
                dress.edge,
            )
            if raised:
                body.line(elbow, hand, 0.032, dress.skin, dress.edge)
            continue
        short = s.outfit in ("dress", "shirt")
        if short:
            body.line((k * 0.1, 0.53), hand, 0.026, dress.skin, dress.edge)
        body.line((k * 0.085, 0.55), elbow if short else hand, wide, dress.cloth, dress.edge)
        if not short:
            body.ellipse(*hand, 0.034, 0.034, dress.skin, dress.edge)


def _trim(body: Body, s, dress: Dress, wide: float, bottom: float) -> None:
    """What tells one garment from another: sash, buttons, hood, collar, belt."""
    dark = np.clip(dress.cloth[0] * np.float32(0.42), 0, 1)
    pale = mix(dress.cloth[0], np.ones(3, np.float32), 0.55)
    tone = dark if float(dress.cloth[0].mean()) > 0.3 else pale
    front = s.facing != "away"
    if s.outfit == "kimono":
        sash = rgb("ffb03c") if s.outfit_color != "yellow" else rgb("7a3ad0")
        body.polygon(
            [(-0.108, 0.46), (0.108, 0.46), (0.108, 0.37), (-0.108, 0.37)],
            sash * dress.skin / SKIN,
            dress.edge,
        )
        if front:
            body.line((-0.06, 0.58), (0.02, 0.47), 0.014, tone)
            body.line((0.06, 0.58), (0.0, 0.5), 0.014, tone)
        else:
            body.ellipse(0, 0.42, 0.075, 0.06, sash * dress.skin / SKIN, dress.edge)
    elif s.outfit == "coat":
        if front:
            body.line((0, 0.57), (0, bottom + 0.02), 0.009, tone)
            for y in (0.5, 0.42, 0.34):
                body.ellipse(0.035, y, 0.016, 0.016, rgb("ffe08a"))
        body.line((-wide * 0.72, 0.37), (wide * 0.72, 0.37), 0.018, tone)
    elif s.outfit == "hoodie":
        body.ellipse(0, 0.585, 0.14, 0.055, dress.cloth, dress.edge)
        if front:
            body.polygon([(-0.07, 0.42), (0.07, 0.42), (0.1, 0.34), (-0.1, 0.34)], tone)
        else:
            body.ellipse(0, 0.53, 0.085, 0.07, tone)
        body.line((-wide, bottom), (wide, bottom), 0.014, tone)
    elif s.outfit == "shirt":
        if front:
            body.polygon([(-0.05, 0.585), (0.05, 0.585), (0, 0.5)], tone)
        body.line((-wide, bottom), (wide, bottom), 0.008, tone)
    else:
        body.line((-0.112, 0.43), (0.112, 0.43), 0.014, tone)
        body.line(
            (-wide * 0.97, bottom + 0.02), (wide * 0.97, bottom + 0.02), 0.012, pale if tone is dark else tone
        )


def _head(body: Body, s, dress: Dress) -> None:
    hair, edge = dress.hair, dress.edge
    body.ellipse(0, 0.77, 0.185, 0.185, hair, edge)
    if s.facing == "away":
        for x, low in ((-0.09, 0.62), (0.0, 0.585), (0.09, 0.62)):
            body.line((x, 0.9), (x * 1.1, low), 0.008, hair[1] * np.float32(0.7))
        body.ellipse(-0.06, 0.86, 0.06, 0.025, mix(hair[0], np.ones(3, np.float32), 0.35), turn=0.4)
        return
    if s.facing == "viewer":
        body.ellipse(0, 0.735, 0.135, 0.125, dress.skin)
        for k in (-1, 1):
            body.ellipse(k * 0.058, 0.73, 0.021, 0.032, INK)
            body.ellipse(k * 0.085, 0.685, 0.026, 0.016, rgb("ff9a8a") * dress.skin)
        body.polygon([(-0.15, 0.83), (-0.02, 0.87), (-0.1, 0.755)], hair)
        body.polygon([(-0.06, 0.88), (0.15, 0.84), (0.1, 0.76), (0.02, 0.81)], hair)
        return
    body.ellipse(0.095, 0.735, 0.09, 0.12, dress.skin)
    body.ellipse(0.185, 0.715, 0.025, 0.02, dress.skin)
    body.ellipse(0.115, 0.735, 0.02, 0.032, INK)
    body.polygon([(-0.02, 0.9), (0.17, 0.84), (0.1, 0.79), (0.0, 0.75)], hair)


def _long_hair(body: Body, s, dress: Dress) -> None:
    """Hair that falls behind the shoulders, or to the hips."""
    low = 0.555 if s.hair_length == "medium" else 0.3
    wide = 0.18 if s.hair_length == "medium" else 0.165
    lean = -0.06 if s.facing == "aside" else 0.0
    if s.hair_length == "long":
        body.line((lean, 0.74), (lean * 1.5, 0.5), 0.17, dress.hair, dress.edge, end=0.11)
        body.line((lean * 1.5, 0.52), (lean * 2, low), 0.11, dress.hair, dress.edge, end=0.085)
        body.line((lean, 0.74), (lean * 1.5, 0.5), 0.165, dress.hair, end=0.105)
    else:
        body.line((lean, 0.74), (lean, low), 0.17, dress.hair, dress.edge, end=wide * 0.8)
    if s.facing != "away":
        for k in (-1, 1) if s.facing == "viewer" else (-1,):
            body.line((k * 0.15, 0.72), (k * 0.17, low), 0.045, dress.hair, dress.edge, end=0.035)


def _bow(body: Body, near: Array) -> None:
    """The ribbon that girls of this world wear."""
    color, edge = rgb("ff2f6e") * near, Look(edge=rgb("5a0c28") * near)
    at = (-0.1, 0.92)
    for k in (-1, 1):
        body.polygon([at, (at[0] + k * 0.1, at[1] + 0.055), (at[0] + k * 0.1, at[1] - 0.055)], color, edge)
    body.ellipse(*at, 0.028, 0.028, color, edge)


def _backpack(stage: Stage, body: Body, near: Array) -> None:
    color, edge = rgb("e8862a") * near, Look(edge=rgb("4a2408") * near)
    if stage.scene.facing == "viewer":
        for k in (-1, 1):
            body.line((k * 0.17, 0.6), (k * 0.17, 0.42), 0.055, color, edge)
        return
    x = -0.14 if stage.scene.facing == "aside" else 0.0
    body.canvas.rect(*body.at(x - 0.1, 0.59), *body.at(x + 0.1, 0.37), color, edge)
    body.line((x - 0.09, 0.5), (x + 0.09, 0.5), 0.01, edge.edge)
    body.ellipse(x, 0.44, 0.05, 0.04, mix(color, np.ones(3, np.float32), 0.35), edge)


def _carried(stage: Stage, body: Body, near: Array) -> None:
    kind, c = stage.scene.carries, body.canvas
    if kind == "umbrella":
        body.line((0.235, 0.46), (0.235, 1.12), 0.012, rgb("3a2a20") * near)
        x, y = body.at(0.12, 1.06)
        purple = rgb("b04ae0") * near
        c.ring(x, y, body.size * 0.19, body.size * 0.19, purple, Look(edge=rgb("2c0c40") * near), top=True)
        for k in (-0.19, 0.19):
            body.line((0.12, 1.42), (0.12 + k, 1.07), 0.008, purple * np.float32(0.6))
    elif kind == "straw hat":
        straw, edge = rgb("f2cc6a") * near, Look(edge=rgb("6a4a10") * near)
        body.ellipse(0, 0.86, 0.3, 0.062, straw, edge)
        x, y = body.at(0, 0.87)
        c.ring(x, y, body.size * 0.08, body.size * 0.08, straw, edge, top=True)
        body.line((-0.15, 0.895), (0.15, 0.895), 0.022, rgb("8a3a1c") * near)
    elif kind == "scarf":
        color = (rgb("f04a2a") if stage.scene.outfit_color != "red" else rgb("3ad0c0")) * near
        edge = Look(edge=color * np.float32(0.4))
        body.line((-0.11, 0.585), (0.11, 0.585), 0.042, color, edge)
        body.line((-0.1, 0.57), (-0.19, 0.36), 0.034, color, edge, end=0.046)
    elif kind == "lantern":
        x, y = body.at(0.26, 0.36)
        c.glow(x, y, body.size * 0.34, rgb("ffc04a"), 0.85)
        body.line((0.26, 0.5), (0.26, 0.44), 0.01, INK)
        c.rect(
            x - body.size * 0.05,
            y - body.size * 0.07,
            x + body.size * 0.05,
            y + body.size * 0.07,
            rgb("fff09a"),
            Look(edge=rgb("6a3a0c")),
        )
    elif kind == "backpack" and stage.scene.facing == "viewer":
        for k in (-1, 1):
            body.line(
                (k * 0.075, 0.58),
                (k * 0.085, 0.4),
                0.017,
                rgb("e8862a") * near,
                Look(edge=rgb("4a2408") * near),
            )


def paint_animal(stage: Stage) -> None:
    """Paints the animal on the open side, near the subject."""
    kind = stage.scene.animal
    if kind == "none":
        return
    u = stage.unit
    share = {"thirds": 0.1}.get(stage.scene.layout, 0.24)
    x, y = stage.beside(share), stage.row(0.9)
    near = mix(stage.light.near, np.ones(3, np.float32), 0.2)
    stage.canvas.ellipse(x, y, u * 0.09, u * 0.014, rgb("14182c"), Look(0.35, 2))
    body = Body(stage.canvas, x, y, u * 0.19, -stage.plan.side)
    if stage.light.night:
        stage.canvas.glow(x, y - u * 0.07, u * 0.15, rgb("aab8e8"), 0.4)
    BEASTS[kind](body, near, Look(edge=INK * (near * np.float32(0.8))))


def _four_legs(body: Body, xs, top: float, r: float, color, edge: Look) -> None:
    for x in xs:
        body.line((x, top), (x, 0.02), r, color, edge)


def _cat(b: Body, near: Array, edge: Look) -> None:
    fur = rgb("ff9a2e") * near
    for a, c in (((-0.26, 0.2), (-0.42, 0.4)), ((-0.42, 0.4), (-0.36, 0.68))):
        b.line(a, c, 0.05, fur, edge)
    b.ellipse(-0.02, 0.27, 0.24, 0.25, fur, edge)
    for x in (-0.15, 0.12):
        b.ellipse(x, 0.05, 0.09, 0.05, rgb("fff4e4") * near, edge)
    for x in (0.0, 0.26):
        b.polygon([(x - 0.08, 0.62), (x + 0.01, 0.86), (x + 0.11, 0.62)], fur, edge)
    b.ellipse(0.14, 0.55, 0.2, 0.17, fur, edge)
    b.ellipse(0.17, 0.49, 0.09, 0.07, rgb("fff4e4") * near)
    for x in (0.07, 0.23):
        b.ellipse(x, 0.57, 0.03, 0.04, INK)


def _dog(b: Body, near: Array, edge: Look) -> None:
    fur, ear = rgb("fffaf0") * near, rgb("6a3a18") * near
    b.line((-0.36, 0.44), (-0.52, 0.66), 0.05, ear, edge)
    _four_legs(b, (-0.28, -0.16, 0.14, 0.26), 0.34, 0.055, fur, edge)
    b.ellipse(-0.02, 0.38, 0.36, 0.17, fur, edge)
    b.ellipse(-0.12, 0.42, 0.16, 0.11, ear)
    b.ellipse(0.36, 0.62, 0.19, 0.16, fur, edge)
    b.ellipse(0.52, 0.56, 0.11, 0.075, fur, edge)
    b.ellipse(0.61, 0.59, 0.04, 0.035, INK)
    b.line((0.25, 0.7), (0.2, 0.48), 0.07, ear, edge)
    b.ellipse(0.41, 0.66, 0.028, 0.032, INK)


def _deer(b: Body, near: Array, edge: Look) -> None:
    fur = rgb("b4622c") * near
    _four_legs(b, (-0.28, -0.18, 0.14, 0.24), 0.45, 0.034, fur, edge)
    b.ellipse(-0.02, 0.52, 0.32, 0.15, fur, edge)
    for x, y in ((-0.15, 0.56), (-0.03, 0.6), (0.08, 0.55), (-0.08, 0.5)):
        b.ellipse(x, y, 0.03, 0.026, rgb("fff2dc") * near)
    b.ellipse(-0.32, 0.55, 0.06, 0.07, rgb("ffffff") * near)
    b.line((0.22, 0.58), (0.34, 0.86), 0.075, fur, edge, end=0.06)
    b.line((0.34, 0.88), (0.5, 0.82), 0.075, fur, edge, end=0.045)
    for x in (0.28, 0.38):
        horn = rgb("f0dcb0") * near
        b.line((x, 0.94), (x - 0.1 + (x - 0.28) * 3, 1.22), 0.026, horn, edge)
        b.line((x - 0.03 + (x - 0.28) * 1.2, 1.07), (x + 0.07 + (x - 0.28), 1.2), 0.022, horn, edge)


def _rabbit(b: Body, near: Array, edge: Look) -> None:
    fur = rgb("b9b4bc") * near
    b.ellipse(-0.3, 0.18, 0.09, 0.09, rgb("ffffff") * near, edge)
    b.ellipse(-0.06, 0.21, 0.25, 0.21, fur, edge)
    for x, turn in ((0.1, -0.2), (0.24, 0.15)):
        b.ellipse(x, 0.74, 0.062, 0.22, fur, edge, turn=turn)
        b.ellipse(x, 0.74, 0.03, 0.16, rgb("ffa6bc") * near, turn=turn)
    b.ellipse(0.18, 0.44, 0.17, 0.15, fur, edge)
    b.ellipse(0.24, 0.47, 0.03, 0.038, INK)
    b.ellipse(0.1, 0.05, 0.14, 0.05, fur, edge)


def _horse(b: Body, near: Array, edge: Look) -> None:
    coat, mane = rgb("5c2f1c") * near, rgb("1c1210") * near
    b.line((-0.44, 0.72), (-0.56, 0.3), 0.06, mane, edge)
    _four_legs(b, (-0.36, -0.22, 0.2, 0.33), 0.5, 0.055, coat, edge)
    b.ellipse(-0.02, 0.64, 0.45, 0.22, coat, edge)
    b.line((0.3, 0.72), (0.52, 1.1), 0.14, coat, edge, end=0.11)
    b.line((0.54, 1.14), (0.74, 0.96), 0.11, coat, edge, end=0.075)
    b.line((0.2, 0.92), (0.44, 1.26), 0.07, mane)
    b.polygon([(0.48, 1.2), (0.52, 1.36), (0.6, 1.2)], coat, edge)
    b.ellipse(0.6, 1.12, 0.026, 0.03, rgb("ffffff"))
    for x in (-0.36, 0.33):
        b.line((x, 0.08), (x, 0.02), 0.055, rgb("ffffff") * near)


def _sheep(b: Body, near: Array, edge: Look) -> None:
    wool, face = rgb("fffdf4") * near, rgb("241c22") * near
    _four_legs(b, (-0.22, -0.1, 0.1, 0.2), 0.24, 0.045, face, edge)
    puffs = ((-0.28, 0.42), (0.24, 0.42), (-0.14, 0.58), (0.12, 0.58), (-0.1, 0.32), (0.12, 0.32), (0, 0.45))
    for x, y in puffs:
        b.ellipse(x, y, 0.17, 0.15, wool, edge)
    for x, y in puffs:
        b.ellipse(x, y, 0.16, 0.14, wool)
    b.ellipse(0.4, 0.54, 0.12, 0.15, face, edge)
    b.ellipse(0.36, 0.68, 0.12, 0.08, wool)
    b.ellipse(0.44, 0.57, 0.03, 0.034, rgb("ffffff"))


def _duck(b: Body, near: Array, edge: Look) -> None:
    down, head, bill = rgb("d8cfc0") * near, rgb("0f7a48") * near, rgb("ffae10") * near
    b.polygon([(-0.3, 0.3), (-0.52, 0.46), (-0.3, 0.16)], down, edge)
    b.ellipse(-0.04, 0.22, 0.34, 0.19, down, edge)
    b.ellipse(-0.1, 0.25, 0.2, 0.1, rgb("8a6a4c") * near)
    b.line((0.2, 0.3), (0.26, 0.5), 0.09, head, edge)
    b.ellipse(0.29, 0.58, 0.15, 0.14, head, edge)
    b.line((0.17, 0.35), (0.3, 0.35), 0.03, rgb("ffffff") * near)
    b.line((0.42, 0.56), (0.56, 0.54), 0.055, bill, edge)
    b.ellipse(0.33, 0.62, 0.03, 0.034, rgb("ffffff"))


BEASTS = {
    "cat": _cat,
    "dog": _dog,
    "deer": _deer,
    "rabbit": _rabbit,
    "horse": _horse,
    "sheep": _sheep,
    "duck": _duck,
}
