"""Painters of what people built: houses, towers, gates, bridges, fixtures beside the path, and boats."""

from __future__ import annotations

import numpy as np

from .brush import Array, Look, mix, rgb
from .light import Stage
from .plants import work_column

ROOF = {"red": rgb("d8322c"), "blue": rgb("2f62d8"), "brown": rgb("7e4a24"), "green": rgb("2f9a4c")}
WALL, STONE, INK = rgb("f3e6cc"), rgb("aeb2bc"), rgb("2a2630")


def paint_structure(stage: Stage) -> None:
    """Paints the scene's work; its foot lies a little below the horizon, that of a bridge nearer."""
    kind = stage.scene.structure
    if kind == "none":
        return
    x, y = stage.column(work_column(stage)), stage.row(0.1)
    u = min(stage.unit, (y - stage.canvas.height * 0.09) / 0.4)
    if kind == "bridge":
        _bridge(stage, stage.beside(0.22) if stage.scene.water == "river" else x, stage.row(0.34), u)
        return
    if stage.scene.water == "ocean":
        land = stage.light.mid(rgb("8a7a62"))
        stage.canvas.ellipse(x, y + u * 0.015, u * 0.26, u * 0.035, land)
    {
        "house": _house_alone,
        "houses": _houses,
        "castle": _castle,
        "lighthouse": _lighthouse,
        "windmill": _windmill,
        "torii": _torii,
        "ruins": _ruins,
        "skyscrapers": _skyscrapers,
    }[kind](stage, x, y, u)


def _look(stage: Stage) -> Look:
    return Look(edge=INK * np.float32(0.5 if stage.light.night else 1.0))


def _roof(stage: Stage) -> tuple[Array, Array]:
    color = ROOF.get(stage.scene.roof, rgb("77798a"))
    return stage.light.pair(color, depth=0.2)


def window(stage: Stage, x: float, y: float, rx: float, ry: float) -> None:
    """Paints one window: a warm light with a glow, or dark glass."""
    c = stage.canvas
    if stage.scene.windows == "lit":
        c.glow(x, y, (rx + ry) * 2.6, rgb("ffb638"), 0.6)
        c.rect(x - rx, y - ry, x + rx, y + ry, rgb("ffe152"), Look(edge=rgb("9a4a10")))
    else:
        c.rect(x - rx, y - ry, x + rx, y + ry, rgb("20283c"), Look(edge=rgb("d8d8d0") * stage.light.land))


def _house(stage: Stage, x: float, y: float, r: float) -> None:
    """A cottage whose body is 2r wide."""
    c, edge = stage.canvas, _look(stage)
    c.rect(x + r * 0.45, y - r * 2.15, x + r * 0.75, y - r * 1.2, stage.light.mid(rgb("9a5a44")), edge)
    c.rect(x - r, y - r * 1.2, x + r, y, stage.light.mid(WALL), edge)
    c.polygon(
        [
            (x - r * 1.3, y - r * 1.08),
            (x - r * 0.7, y - r * 2.1),
            (x + r * 0.7, y - r * 2.1),
            (x + r * 1.3, y - r * 1.08),
        ],
        _roof(stage),
        edge,
    )
    c.rect(x - r * 0.16, y - r * 0.7, x + r * 0.16, y, stage.light.mid(rgb("6a3c20")))
    for dx in (-0.6, 0.6):
        window(stage, x + dx * r, y - r * 0.6, r * 0.2, r * 0.24)


def _house_alone(stage: Stage, x: float, y: float, u: float) -> None:
    _house(stage, x, y, u * 0.13)


def _houses(stage: Stage, x: float, y: float, u: float) -> None:
    for dx, dy, r in ((-0.17, -0.03, 0.075), (0.17, -0.03, 0.075), (0.0, 0.02, 0.09)):
        _house(stage, x + dx * u, y + dy * u, r * u)


def _castle(stage: Stage, x: float, y: float, u: float) -> None:
    c, edge = stage.canvas, _look(stage)
    stone, roof = stage.light.mid(rgb("c9c3c9")), _roof(stage)
    bare = stage.scene.roof == "none"
    c.rect(x - u * 0.1, y - u * 0.24, x + u * 0.1, y, stone, edge)
    towers = ((-0.13, 0.24, 0.045), (0.13, 0.24, 0.045), (0.0, 0.34, 0.055))
    for dx, high, r in towers:
        cx, top, r = x + dx * u, y - high * u, r * u
        c.rect(cx - r, top, cx + r, y if dx else y - u * 0.2, stone, edge)
        if bare:
            for k in (-1, 0, 1):
                c.rect(
                    cx + k * r * 0.85 - r * 0.28,
                    top - r * 0.6,
                    cx + k * r * 0.85 + r * 0.28,
                    top + 1,
                    stone,
                    edge,
                )
        else:
            c.polygon([(cx - r * 1.35, top), (cx, top - r * 2.1), (cx + r * 1.35, top)], roof, edge)
        window(stage, cx, top + r * 1.3, r * 0.36, r * 0.55)
    c.ellipse(x, y - u * 0.015, u * 0.035, u * 0.055, INK)
    for dx in (-0.055, 0.055):
        window(stage, x + dx * u, y - u * 0.13, u * 0.015, u * 0.025)


def _lighthouse(stage: Stage, x: float, y: float, u: float) -> None:
    c, edge = stage.canvas, _look(stage)
    white, red = stage.light.mid(rgb("fbf7f0")), stage.light.mid(rgb("df352f"))
    top = y - u * 0.33
    for i in range(5):
        a, b = y - u * 0.066 * i, y - u * 0.066 * (i + 1)
        wa, wb = u * (0.062 - 0.0065 * i), u * (0.062 - 0.0065 * (i + 1))
        c.polygon(
            [(x - wa, a), (x - wb, b), (x + wb, b), (x + wa, a)],
            red if i % 2 else white,
            edge if i == 0 else Look(),
        )
    c.rect(x - u * 0.045, top - u * 0.012, x + u * 0.045, top + u * 0.006, INK)
    c.polygon(
        [(x - u * 0.042, top - u * 0.06), (x, top - u * 0.105), (x + u * 0.042, top - u * 0.06)], red, edge
    )
    window(stage, x, top - u * 0.036, u * 0.026, u * 0.022)
    for dy in (0.1, 0.23):
        window(stage, x, y - u * dy, u * 0.016, u * 0.024)
    if stage.scene.windows == "lit":
        c.glow(x, top - u * 0.036, u * 0.16, rgb("fff2a8"), 0.8)


def _windmill(stage: Stage, x: float, y: float, u: float) -> None:
    c, edge = stage.canvas, _look(stage)
    body = stage.light.mid(WALL)
    c.polygon(
        [
            (x - u * 0.085, y),
            (x - u * 0.058, y - u * 0.23),
            (x + u * 0.058, y - u * 0.23),
            (x + u * 0.085, y),
        ],
        body,
        edge,
    )
    c.polygon(
        [
            (x - u * 0.078, y - u * 0.22),
            (x - u * 0.03, y - u * 0.31),
            (x + u * 0.03, y - u * 0.31),
            (x + u * 0.078, y - u * 0.22),
        ],
        _roof(stage),
        edge,
    )
    window(stage, x - u * 0.03, y - u * 0.085, u * 0.018, u * 0.025)
    window(stage, x + u * 0.03, y - u * 0.085, u * 0.018, u * 0.025)
    hub = np.array((x, y - u * 0.235))
    turn = stage.plan.rng("works").uniform(0.3, 1.2)
    for k in range(4):
        out = np.array((np.cos(turn + k * np.pi / 2), np.sin(turn + k * np.pi / 2)))
        across = np.array((-out[1], out[0]))
        sail = [
            hub + out * u * 0.04,
            hub + out * u * 0.17,
            hub + out * u * 0.17 + across * u * 0.04,
            hub + out * u * 0.04 + across * u * 0.04,
        ]
        c.polygon(sail, stage.light.mid(rgb("fff8ea")), edge)
        c.line(hub, hub + out * u * 0.175, u * 0.006, INK)


def _torii(stage: Stage, x: float, y: float, u: float) -> None:
    c = stage.canvas
    red, edge = stage.light.mid(rgb("ee3a24"), depth=0.2), Look(edge=rgb("4a1010"))
    for dx in (-0.1, 0.1):
        c.line((x + dx * u, y), (x + dx * u * 0.92, y - u * 0.24), u * 0.018, red, edge)
    c.rect(x - u * 0.14, y - u * 0.2, x + u * 0.14, y - u * 0.172, red, edge)
    c.polygon(
        [
            (x - u * 0.18, y - u * 0.285),
            (x + u * 0.18, y - u * 0.285),
            (x + u * 0.15, y - u * 0.24),
            (x - u * 0.15, y - u * 0.24),
        ],
        red,
        edge,
    )
    c.line(
        (x - u * 0.19, y - u * 0.295),
        (x + u * 0.19, y - u * 0.295),
        u * 0.012,
        stage.light.mid(rgb("33303a")),
    )
    c.rect(x - u * 0.018, y - u * 0.24, x + u * 0.018, y - u * 0.2, red)


def _bridge(stage: Stage, x: float, y: float, u: float) -> None:
    """An arched stone bridge over the river, or over a brook of its own."""
    c, edge = stage.canvas, _look(stage)
    lit, shade = stage.light.mid(rgb("b8ab98"), depth=0.35)
    half, rise = u * 0.3, u * 0.16
    box = c.window(x - half, y - rise - u * 0.05, x + half, y + u * 0.05)
    if box is None:
        return
    dx = (c.x[:, box[1]] - np.float32(x)) / np.float32(half)
    deck = y - rise * (1 - dx * dx) - u * 0.02
    arch = y + u * 0.05 - (rise + u * 0.01) * np.sqrt(np.clip(1 - (dx / 0.66) ** 2, 0, 1))
    low = np.where(np.abs(dx) < 0.66, arch, y + u * 0.05)
    inside = np.maximum(np.maximum(deck - c.y[box[0]], c.y[box[0]] - low), (np.abs(dx) - 1) * half)
    c.fill(box, inside.astype(np.float32), (lit, shade), edge)
    joint = np.abs(c.y[box[0]] - deck - u * 0.03) - u * 0.004
    c.fill(box, np.maximum(joint, inside).astype(np.float32), shade * np.float32(0.6))
    for t in np.linspace(-0.9, 0.9, 9):
        top = y - rise * (1 - t * t) - u * 0.02
        c.line((x + t * half, top), (x + t * half, top - u * 0.03), u * 0.008, lit, edge)


def _ruins(stage: Stage, x: float, y: float, u: float) -> None:
    c, edge = stage.canvas, _look(stage)
    stone = stage.light.mid(rgb("c4b89e"), depth=0.35)
    ivy = stage.light.mid(rgb("4a9a48"))
    for dx, high in ((-0.17, 0.2), (-0.075, 0.27), (0.02, 0.27), (0.12, 0.13), (0.19, 0.06)):
        cx = x + dx * u
        c.rect(cx - u * 0.024, y - high * u, cx + u * 0.024, y, stone, edge)
        c.rect(cx - u * 0.034, y - u * 0.022, cx + u * 0.034, y, stone, edge)
        for k in (-0.4, 0.4):
            c.line(
                (cx + k * u * 0.024, y - high * u + 2),
                (cx + k * u * 0.024, y - u * 0.03),
                u * 0.003,
                stone[1] * np.float32(0.7),
            )
    c.rect(x - u * 0.115, y - u * 0.31, x + u * 0.06, y - u * 0.265, stone, edge)
    c.polygon(
        [(x + u * 0.095, y - u * 0.13), (x + u * 0.1, y - u * 0.17), (x + u * 0.145, y - u * 0.13)],
        stone,
        edge,
    )
    for dx, dy in ((-0.17, 0.19), (-0.18, 0.14), (0.02, 0.24), (0.03, 0.19), (-0.09, 0.3), (0.12, 0.1)):
        c.ellipse(x + dx * u, y - dy * u, u * 0.024, u * 0.02, ivy)


def _skyscrapers(stage: Stage, x: float, y: float, u: float) -> None:
    c, edge = stage.canvas, _look(stage)
    blocks = (
        (-0.17, 0.24, 0.05, "6f86a8"),
        (0.16, 0.27, 0.055, "8a96aa"),
        (-0.065, 0.33, 0.05, "566e98"),
        (0.055, 0.38, 0.052, "7390b4"),
    )
    for dx, high, r, color in blocks:
        cx, top, r = x + dx * u, y - high * u, r * u
        c.rect(cx - r, top, cx + r, y, stage.light.mid(rgb(color)), edge)
        box = c.window(cx - r * 0.8, top + r * 0.3, cx + r * 0.8, y - r * 0.3)
        if box is None:
            continue
        column = np.abs(((c.x[:, box[1]] - cx) / r * 1.5 + 0.5) % 1 - 0.5) < 0.3
        row = np.abs(((c.y[box[0]] - top) / r * 1.25) % 1 - 0.5) < 0.26
        inside = (
            (np.abs(c.x[:, box[1]] - cx) < r * 0.85)
            & (c.y[box[0]] > top + r * 0.3)
            & (c.y[box[0]] < y - r * 0.3)
        )
        pane = (column & row & inside).astype(np.float32)
        c.cover(box, pane, rgb("ffe152") if stage.scene.windows == "lit" else rgb("26304a"))
    c.line((x + u * 0.055, y - u * 0.38), (x + u * 0.055, y - u * 0.43), u * 0.005, INK)


def paint_posts(stage: Stage) -> None:
    """Paints the pair of stone posts that flanks a symmetrical view."""
    c, u = stage.canvas, stage.canvas.u
    stone, edge = stage.light.pair(rgb("d6d0c4")), Look(edge=INK)
    y = stage.row(0.62)
    for x in (c.width * 0.5 - c.width * 0.44, c.width * 0.5 + c.width * 0.44):
        c.rect(x - u * 0.03, y - u * 0.15, x + u * 0.03, y, stone, edge)
        c.rect(x - u * 0.042, y - u * 0.165, x + u * 0.042, y - u * 0.14, stone, edge)
        c.ellipse(x, y - u * 0.2, u * 0.034, u * 0.034, stone, edge)


def paint_fixture(stage: Stage) -> None:
    """Paints a fence, a bench, a lamppost or a lantern beside the subject."""
    kind = stage.scene.fixture
    if kind == "none":
        return
    u = stage.unit
    share = -0.24 if stage.scene.layout != "thirds" else -0.36
    x, y = stage.beside(share), stage.row(0.68)
    {"fence": _fence, "bench": _bench, "lamppost": _lamppost, "lantern": _lantern}[kind](stage, x, y, u)


def _fence(stage: Stage, x: float, y: float, u: float) -> None:
    c = stage.canvas
    wood, edge = stage.light.pair(rgb("fff4e0")), Look(edge=rgb("5a4028") * stage.light.near)
    wide = max(u * 0.26, stage.canvas.width * 0.2)
    for dy in (0.03, 0.075):
        c.rect(x - wide, y - (dy + 0.012) * u, x + wide * 0.75, y - (dy - 0.01) * u, wood, edge)
    for i in range(7):
        px = x - wide * 0.95 + wide * 1.65 * i / 6
        c.rect(px - u * 0.013, y - u * 0.11, px + u * 0.013, y + u * 0.01, wood, edge)


def _bench(stage: Stage, x: float, y: float, u: float) -> None:
    c = stage.canvas
    wood, edge = stage.light.pair(rgb("c9792e")), Look(edge=rgb("3c2210") * stage.light.near)
    for dx in (-0.09, 0.09):
        c.line(
            (x + dx * u, y - u * 0.13),
            (x + dx * u, y + u * 0.015),
            u * 0.012,
            rgb("33343c") * stage.light.near,
        )
    for dy, thick in ((0.125, 0.02), (0.085, 0.02), (0.04, 0.022)):
        grow = 0.03 if dy < 0.05 else 0.0
        c.rect(
            x - (0.115 + grow) * u,
            y - dy * u - thick * u * 0.7,
            x + (0.115 + grow) * u,
            y - dy * u + thick * u * 0.7,
            wood,
            edge,
        )


def _lamppost(stage: Stage, x: float, y: float, u: float) -> None:
    c, iron = stage.canvas, rgb("1f242e") * (stage.light.near * np.float32(0.5) + np.float32(0.5))
    bright = stage.scene.time == "night" or stage.scene.weather in ("fog", "rain")
    top = y - u * 0.31
    c.line((x, y), (x, top), u * 0.011, iron, end=u * 0.009)
    c.rect(x - u * 0.03, y - u * 0.025, x + u * 0.03, y + u * 0.005, iron)
    c.glow(x, top - u * 0.03, u * (0.16 if bright else 0.09), rgb("ffd668"), 0.8)
    c.polygon(
        [
            (x - u * 0.034, top - u * 0.055),
            (x + u * 0.034, top - u * 0.055),
            (x + u * 0.022, top),
            (x - u * 0.022, top),
        ],
        rgb("fff0a0"),
        Look(edge=iron),
    )
    c.polygon([(x - u * 0.045, top - u * 0.055), (x, top - u * 0.09), (x + u * 0.045, top - u * 0.055)], iron)


def _lantern(stage: Stage, x: float, y: float, u: float) -> None:
    """A red paper lantern that hangs from a crooked post."""
    c, side = stage.canvas, stage.plan.side
    wood = rgb("4a3020") * stage.light.near
    c.line((x, y), (x, y - u * 0.2), u * 0.012, wood)
    c.line((x, y - u * 0.2), (x + side * u * 0.075, y - u * 0.2), u * 0.009, wood)
    cx, cy = x + side * u * 0.07, y - u * 0.13
    c.glow(cx, cy, u * 0.13, rgb("ff8a4a"), 0.7)
    c.ellipse(cx, cy, u * 0.043, u * 0.056, (rgb("ff6a3c"), rgb("d8241c")), Look(edge=rgb("5a0c0c")))
    for dy in (-0.02, 0.004, 0.028):
        c.line((cx - u * 0.036, cy + dy * u), (cx + u * 0.036, cy + dy * u), u * 0.003, rgb("ffc890"))
    for dy in (-0.056, 0.056):
        c.rect(cx - u * 0.02, cy + (dy - 0.009) * u, cx + u * 0.02, cy + (dy + 0.009) * u, INK)


def boat_place(stage: Stage) -> tuple[float, float]:
    """Returns where the boat lies."""
    s = stage.scene
    if s.water == "river":
        return stage.beside(0.27), stage.row(0.46)
    far = (
        (0.02 if s.shore == "pier" else 0.12)
        if s.layout == "thirds"
        else (-0.22 if s.shore == "pier" else 0.2)
    )
    return stage.beside(far), stage.row(0.27 if s.water == "ocean" else 0.3)


def paint_boat(stage: Stage) -> None:
    """Paints a rowboat or a sailboat on the water."""
    kind = stage.scene.boat
    if kind == "none":
        return
    c, u = stage.canvas, stage.canvas.u * (0.9 + 0.1 * stage.plan.scale)
    x, y = boat_place(stage)
    color = rgb("a85c28") if kind == "rowboat" else rgb("2c4a9a")
    hull, edge = stage.light.pair(color), Look(edge=rgb("20140c"))
    c.ellipse(x, y + u * 0.012, u * 0.11, u * 0.014, rgb("10203c"), Look(0.45, 2))
    if kind == "sailboat":
        c.line((x, y - u * 0.2), (x, y), u * 0.006, INK)
        sail = stage.light.pair(rgb("ffffff"), depth=0.14)
        side = stage.plan.side
        c.polygon(
            [
                (x + side * u * 0.01, y - u * 0.2),
                (x + side * u * 0.01, y - u * 0.04),
                (x + side * u * 0.1, y - u * 0.04),
            ],
            sail,
            edge,
        )
        c.polygon(
            [
                (x - side * u * 0.012, y - u * 0.16),
                (x - side * u * 0.012, y - u * 0.04),
                (x - side * u * 0.07, y - u * 0.04),
            ],
            stage.light.pair(rgb("ff8a4a")),
            edge,
        )
    c.polygon(
        [
            (x - u * 0.11, y - u * 0.035),
            (x + u * 0.11, y - u * 0.035),
            (x + u * 0.075, y + u * 0.014),
            (x - u * 0.075, y + u * 0.014),
        ],
        hull,
        edge,
    )
    if kind == "rowboat":
        c.ellipse(x, y - u * 0.035, u * 0.1, u * 0.016, mix(color, INK, 0.55) * stage.light.near)
        c.rect(x - u * 0.016, y - u * 0.045, x + u * 0.016, y - u * 0.03, rgb("e0a868") * stage.light.near)
        for side in (-1, 1):
            c.line(
                (x + side * u * 0.04, y - u * 0.05),
                (x + side * u * 0.14, y + u * 0.02),
                u * 0.006,
                rgb("f0d8a8") * stage.light.near,
                end=u * 0.011,
            )
