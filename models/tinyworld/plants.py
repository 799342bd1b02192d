"""Painters of plants and stones: trees, flowers, undergrowth, rocks, the shore's reeds, and the near edge."""

from __future__ import annotations

import itertools

import numpy as np

from .brush import Array, Look, mix, rgb, smooth, waves
from .light import Stage

LEAF = {"spring": rgb("7ecb4a"), "summer": rgb("2f8a34"), "autumn": rgb("ee7a22"), "winter": rgb("8a7466")}
CHERRY = {"spring": rgb("ff9ec8"), "summer": rgb("4c9c48"), "autumn": rgb("c8323c"), "winter": rgb("8a6a72")}
PETALS = {
    "white": rgb("ffffff"),
    "yellow": rgb("ffd21f"),
    "red": rgb("e8262c"),
    "blue": rgb("3a62f0"),
    "purple": rgb("8d3fd0"),
    "pink": rgb("ff74b4"),
}
DARK = rgb("2a2018")


def tree(stage: Stage, x: float, y: float, high: float, rng: np.random.Generator) -> None:
    """Paints one tree of the scene's kind, its foot at (x, y)."""
    lean = stage.plan.side * high * 0.1 if stage.scene.wind == "breezy" else 0.0
    paint = {"broadleaf": _broadleaf, "pine": _pine, "cherry": _cherry, "palm": _palm}[stage.scene.trees]
    paint(stage, x, y, high, (lean, rng))


def _crown(stage: Stage, puffs, color: Array) -> None:
    c, light = stage.canvas, stage.light
    lit, shade = light.mid(color, depth=0.3)
    edge = Look(edge=shade * np.float32(0.62))
    for x, y, rx, ry in puffs:
        c.ellipse(x, y, rx, ry, shade, edge)
    for x, y, rx, ry in puffs:
        c.ellipse(x, y, rx, ry, (mix(lit, rgb("ffffff"), 0.08), shade))
    for x, y, rx, ry in puffs[:3]:
        c.ellipse(
            x - rx * 0.3, y - ry * 0.35, rx * 0.36, ry * 0.3, mix(lit, rgb("ffffff"), 0.25), Look(0.7, 1.5)
        )


def _bare(stage: Stage, x: float, y: float, high: float, how) -> list[tuple[float, float]]:
    """Paints naked branches; returns where the twigs end."""
    (lean, _), (wide, color) = how
    c = stage.canvas
    fork = (x + lean * 0.4, y - high * 0.42)
    c.line((x, y), fork, high * 0.045, color, end=high * 0.028)
    tips = []
    for dx, up in ((-0.34, 0.72), (-0.16, 0.95), (0.04, 1.0), (0.2, 0.88), (0.36, 0.7)):
        tip = (x + lean + dx * high * wide, y - up * high)
        c.line(fork, tip, high * 0.022, color, end=high * 0.008)
        mid = ((fork[0] + tip[0]) / 2, (fork[1] + tip[1]) / 2)
        for s in (-1, 1):
            twig = (mid[0] + s * high * 0.1 * wide, mid[1] - high * 0.15)
            c.line(mid, twig, high * 0.012, color, end=high * 0.006)
            tips.append(twig)
        tips.append(tip)
    return tips


def _broadleaf(stage: Stage, x: float, y: float, high: float, how) -> None:
    c, (lean, rng) = stage.canvas, how
    bark = stage.light.mid(rgb("6b4a30"))
    if stage.scene.season == "winter":
        _bare(stage, x, y, high, (how, (0.8, bark)))
        return
    c.line((x, y), (x + lean * 0.5, y - high * 0.5), high * 0.05, bark, end=high * 0.035)
    r, cx, cy = high * 0.2, x + lean, y - high * 0.64
    spots = ((0, -0.75), (-0.75, -0.1), (0.75, -0.05), (-0.4, 0.55), (0.42, 0.55), (0, 0))
    puffs = [(cx + dx * r * rng.uniform(0.9, 1.1), cy + dy * r, r * 0.95, r * 0.92) for dx, dy in spots]
    _crown(stage, puffs, LEAF[stage.scene.season])


def _cherry(stage: Stage, x: float, y: float, high: float, how) -> None:
    c, (lean, rng) = stage.canvas, how
    bark = stage.light.mid(rgb("5a2f34"))
    season = stage.scene.season
    if season == "winter":
        for tip in _bare(stage, x, y, high * 0.85, (how, (1.3, bark))):
            c.ellipse(*tip, high * 0.026, high * 0.026, stage.light.mid(rgb("e0507e")))
        return
    for s in (-1, 1):
        c.line(
            (x, y), (x + s * high * 0.22 + lean * 0.5, y - high * 0.5), high * 0.045, bark, end=high * 0.02
        )
    r, cx, cy = high * 0.16, x + lean, y - high * 0.58
    spots = ((-0.9, -0.35), (0.9, -0.3), (0, -0.75), (-1.75, 0.15), (1.75, 0.15), (-0.6, 0.3), (0.65, 0.3))
    puffs = [(cx + dx * r * rng.uniform(0.95, 1.05), cy + dy * r, r * 1.12, r * 0.88) for dx, dy in spots]
    _crown(stage, puffs, CHERRY[season])
    dots = {"spring": rgb("fff0f6"), "summer": rgb("e02030"), "autumn": rgb("ff8a8a")}[season]
    for px, py, rx, ry in puffs:
        for dx, dy in ((-0.4, 0.25), (0.35, 0.1), (0.0, -0.4)):
            c.ellipse(px + dx * rx, py + dy * ry, high * 0.021, high * 0.021, stage.light.mid(dots)[0])


def _pine(stage: Stage, x: float, y: float, high: float, how) -> None:
    c, (lean, _) = stage.canvas, how
    c.line((x, y), (x, y - high * 0.3), high * 0.035, stage.light.mid(rgb("5c4030")))
    lit, shade = stage.light.mid(rgb("1f6b4c"), depth=0.35)
    snow = stage.scene.season == "winter" or stage.scene.ground == "snow"
    for i, (at, wide) in enumerate(((0.12, 0.25), (0.33, 0.205), (0.54, 0.155), (0.73, 0.105))):
        foot, tip, cx = y - at * high, y - min(at + 0.36, 1.0) * high, x + lean * (i + 1) / 4
        points = [(cx - wide * high, foot), (cx + lean * 0.3, tip), (cx + wide * high, foot)]
        c.polygon(points, (lit, shade), Look(edge=shade * np.float32(0.6)))
        if snow:
            cap = [
                (cx - wide * high * 0.42, foot - high * 0.2),
                (cx + lean * 0.3, tip),
                (cx + wide * high * 0.3, foot - high * 0.2),
            ]
            c.polygon(cap, stage.light.mid(rgb("f6faff"))[0])


def _palm(stage: Stage, x: float, y: float, high: float, how) -> None:
    c, (lean, _rng) = stage.canvas, how
    bark = stage.light.mid(rgb("b58a56"))
    bend = stage.plan.side * high * 0.1 + lean * 0.6
    points = [(x + bend * t * t, y - high * 0.72 * t) for t in np.linspace(0, 1, 4)]
    for i, (a, b) in enumerate(itertools.pairwise(points)):
        c.line(a, b, high * (0.036 - 0.006 * i), bark)
    top = points[-1]
    lit, shade = stage.light.mid(rgb("3fae4a"))
    for angle in (-2.9, -2.35, -1.85, -1.3, -0.8, -0.25):
        mid = (top[0] + np.cos(angle) * high * 0.2, top[1] + np.sin(angle) * high * 0.17 - high * 0.03)
        tip = (top[0] + np.cos(angle) * high * 0.36 + lean * 0.5, mid[1] + high * 0.15)
        c.line(top, mid, high * 0.022, lit, Look(edge=shade * np.float32(0.5)), end=high * 0.034)
        c.line(mid, tip, high * 0.034, (lit, shade), end=high * 0.005)
    for dx in (-0.03, 0.03):
        c.ellipse(
            top[0] + dx * high, top[1] + high * 0.03, high * 0.03, high * 0.03, stage.light.mid(rgb("7a4a24"))
        )


def paint_wood(stage: Stage) -> None:
    """Paints the many trees of a wood, behind water and works."""
    s, rng = stage.scene, stage.plan.rng("plants")
    if s.stand != "many":
        return
    clear = stage.plan.focus - 0.5
    for share in (-0.47, 0.47, -0.36, 0.36, -0.24, 0.24, -0.43, 0.43):
        x = 0.5 + share + rng.uniform(-0.02, 0.02)
        if s.structure != "none" and abs(x - work_column(stage)) < 0.17 and abs(share) < 0.4:
            continue
        depth = 0.1 if abs(share) < 0.42 else 0.2
        tree(stage, stage.column(x + clear * 0.2), stage.row(depth), stage.unit * rng.uniform(0.25, 0.3), rng)


def work_column(stage: Stage) -> float:
    """Returns the column of the structure as a share of the width."""
    s, plan = stage.scene, stage.plan
    return plan.focus + plan.side * 0.34 if s.layout == "thirds" and s.figure != "none" else plan.focus


def paint_trees(stage: Stage) -> None:
    """Paints one tree or a few, before the water."""
    s, rng, u = stage.scene, stage.plan.rng("plants"), stage.unit
    if s.stand == "lone":
        share = (
            -0.37
            if s.figure != "none" or s.structure != "none"
            else (stage.plan.focus - 0.5) * stage.plan.side
        )
        tree(stage, stage.beside(share), stage.row(0.36), min(u * 0.46, stage.canvas.height * 0.5), rng)
    elif s.stand == "few":
        for share, depth, high in ((-0.25, 0.12, 0.26), (0.43, 0.26, 0.34), (-0.42, 0.34, 0.38)):
            share = abs(share) if s.layout == "symmetrical" else share
            tree(stage, stage.beside(share), stage.row(depth), u * high * rng.uniform(0.95, 1.05), rng)


def flower(stage: Stage, x: float, y: float, r: float, kind: str) -> None:
    """Paints one flower of a colour; each colour is a kind of its own."""
    c, near = stage.canvas, stage.light.near
    color, stalk = PETALS[kind] * near, rgb("2f7a34") * near
    c.line((x, y), (x, y + r * 2.4), r * 0.18, stalk)
    if kind == "purple":
        for k in range(4):
            c.ellipse(x + (k % 2 - 0.5) * r * 0.5, y + (k - 1.6) * r * 0.62, r * 0.5, r * 0.42, color)
    elif kind == "pink":
        c.ellipse(x, y + r * 0.1, r * 0.78, r * 0.9, color)
        c.polygon([(x - r * 0.78, y), (x - r * 0.7, y - r), (x, y)], color)
        c.polygon([(x + r * 0.78, y), (x + r * 0.7, y - r), (x, y)], color)
    else:
        for angle in np.arange(5) * 2 * np.pi / 5 - 1.57:
            c.ellipse(x + np.cos(angle) * r * 0.58, y + np.sin(angle) * r * 0.58, r * 0.48, r * 0.48, color)
        heart = {
            "white": rgb("ffc21f"),
            "yellow": rgb("6a3a14"),
            "red": rgb("2a1014"),
            "blue": rgb("fff4c0"),
        }[kind]
        c.ellipse(x, y, r * 0.4, r * 0.4, heart * near)


def paint_bloom(stage: Stage) -> None:
    """Paints a field of flowers over the ground."""
    s, c = stage.scene, stage.canvas
    if s.bloom != "field":
        return
    rng = stage.plan.rng("plants")
    color = PETALS[s.flowers] * stage.light.near
    rows = ((0.4, 0.52, 0.05), (0.52, 0.7, 0.068), (0.7, 0.9, 0.09))
    for low, high, cell in rows:
        box = (slice(int(stage.row(low)), int(stage.row(high))), slice(0, c.width))
        if box[0].stop - box[0].start < 2:
            continue
        c.cover(
            box,
            np.full((box[0].stop - box[0].start, c.width), 0.3, np.float32),
            rgb("3f8a3a") * stage.light.land,
        )
        dx, dy, there, _dice = c.scatter(box, c.u * cell, rng, share=0.85)
        disc = np.clip((0.3 - np.hypot(dx, dy)) * cell * c.u + 0.5, 0, 1) * there
        c.cover(box, disc, color)
        c.cover(
            box,
            np.clip((0.11 - np.hypot(dx, dy)) * cell * c.u + 0.5, 0, 1) * there,
            mix(color, DARK if s.flowers in ("yellow", "red") else rgb("ffd23c"), 0.7),
        )


def paint_flowers(stage: Stage) -> None:
    """Paints single flowers near by: a bed of them beside the picture's edge."""
    s, rng, u = stage.scene, stage.plan.rng("plants"), stage.canvas.u
    if s.flowers == "none":
        return
    spots = ((-0.46, 0.82), (-0.36, 0.78), (-0.41, 0.9), (-0.3, 0.88), (-0.47, 0.97), (-0.22, 0.95))
    for share, depth in spots + (((0.42, 0.9), (0.33, 0.94)) if s.bloom == "field" else ()):
        x = stage.beside(share) + rng.uniform(-0.01, 0.01) * u
        flower(stage, x, stage.row(depth) - u * 0.03, u * 0.028, s.flowers)


def paint_undergrowth(stage: Stage) -> None:
    """Paints bushes, ferns or mushrooms at the near edge of the open side."""
    c, s, u = stage.canvas, stage.scene, stage.unit
    x, y = stage.beside(0.4), stage.row(0.93)
    if s.undergrowth == "bushes":
        lit, shade = stage.light.pair(rgb("2f6f3a"), depth=0.4)
        for dx, dy, r in ((-0.1, 0, 0.07), (0.09, 0, 0.075), (0, -0.045, 0.085)):
            c.ellipse(
                x + dx * u,
                y + dy * u - 0.03 * u,
                r * u,
                r * u * 0.86,
                (lit, shade),
                Look(edge=shade * np.float32(0.55)),
            )
        for dx, dy in ((-0.1, -0.04), (-0.02, -0.1), (0.05, -0.05), (0.12, -0.03), (-0.04, -0.02)):
            c.ellipse(x + dx * u, y + dy * u, u * 0.013, u * 0.013, rgb("f0405a") * stage.light.near)
    elif s.undergrowth == "ferns":
        _ferns(stage, x, y + u * 0.02, u)
    elif s.undergrowth == "mushrooms":
        for dx, dy, r in ((-0.085, 0.01, 0.045), (0.09, 0.015, 0.05), (0.0, 0.0, 0.07)):
            _mushroom(stage, x + dx * u, y + dy * u, r * u)


def _ferns(stage: Stage, x: float, y: float, u: float) -> None:
    c = stage.canvas
    lit, shade = stage.light.pair(rgb("5fcf5a"))
    edge = Look(edge=shade * np.float32(0.45))
    for angle in (-2.8, -2.25, -1.75, -1.3, -0.85, -0.3):
        root = (x, y)
        for i in range(1, 5):
            t = i / 4
            tip = (x + np.cos(angle) * u * 0.17 * t, y + np.sin(angle) * u * 0.19 * t + u * 0.07 * t * t)
            c.line(root, tip, u * 0.007, shade)
            for side in (-0.9, 0.9):
                leaf = (
                    tip[0] + np.cos(angle + side) * u * 0.05 * (1.25 - t),
                    tip[1] + np.sin(angle + side) * u * 0.05 * (1.25 - t),
                )
                c.line(tip, leaf, u * 0.009, lit, edge, end=u * 0.003)
            root = tip


def _mushroom(stage: Stage, x: float, y: float, r: float) -> None:
    c, near = stage.canvas, stage.light.near
    dark = Look(edge=rgb("4a1616") * near)
    c.rect(x - r * 0.32, y - r * 0.9, x + r * 0.32, y + r * 0.3, rgb("fff0d8") * near, dark, r=r * 0.15)
    c.ring(x, y - r * 0.85, r * 0.5, r * 0.5, rgb("e02a2a") * near, dark, top=True)
    for dx, dy in ((-0.45, -1.15), (0.1, -1.45), (0.5, -1.1)):
        c.ellipse(x + dx * r, y + dy * r, r * 0.15, r * 0.15, rgb("ffffff") * near)


def paint_rocks(stage: Stage) -> None:
    """Paints boulders on the open side."""
    if stage.scene.rocks == "none":
        return
    c, u = stage.canvas, stage.unit
    rng = stage.plan.rng("things")
    lit, shade = stage.light.pair(rgb("8d8f98"), depth=0.45)
    for share, depth, r in ((0.36, 0.6, 0.07), (0.46, 0.66, 0.085), (0.27, 0.66, 0.045)):
        x, y, r = stage.beside(share), stage.row(depth), r * u * rng.uniform(0.9, 1.1)
        points = [
            (x - r, y),
            (x - r * 0.85, y - r * 0.6),
            (x - r * 0.25, y - r),
            (x + r * 0.5, y - r * 0.85),
            (x + r, y - r * 0.3),
            (x + r * 0.95, y),
        ]
        c.polygon(points, shade, Look(edge=shade * np.float32(0.5)))
        c.polygon([points[1], points[2], points[3], (x + r * 0.1, y - r * 0.4)], lit)


def paint_shore(stage: Stage) -> None:
    """Paints reeds, lilies or a pier on the water."""
    c, s, u = stage.canvas, stage.scene, stage.canvas.u
    if s.shore == "reeds":
        low = 0.52 if s.water != "river" else 0.62
        lit, shade = stage.light.pair(rgb("8a9c3a"))
        for share in (0.27, 0.3, 0.33, 0.36, 0.4):
            x, y = stage.beside(share), stage.row(low + 0.05 * ((share * 100) % 2))
            top = (x + stage.plan.side * u * 0.02, y - u * 0.17)
            c.line((x, y), top, u * 0.008, shade, end=u * 0.005)
            c.line((x + u * 0.012, y), (x + u * 0.045, y - u * 0.1), u * 0.008, lit, end=u * 0.002)
            c.line(top, (top[0], top[1] + u * 0.045), u * 0.014, stage.light.pair(rgb("6a3418")))
    elif s.shore == "lilies":
        spots = (
            ((0.06, 0.36), (0.15, 0.42), (-0.02, 0.45), (0.22, 0.34))
            if s.water != "river"
            else ((0.25, 0.42), (0.3, 0.55), (0.34, 0.68))
        )
        for share, depth in spots:
            x, y = stage.beside(share), stage.row(depth)
            c.ellipse(x, y, u * 0.045, u * 0.02, stage.light.pair(rgb("3fb054")), Look(edge=rgb("123a20")))
            c.ellipse(x, y - u * 0.014, u * 0.019, u * 0.017, rgb("ffa0d0") * stage.light.near)
            c.ellipse(x, y - u * 0.012, u * 0.008, u * 0.007, rgb("fff2a0") * stage.light.near)
    elif s.shore == "pier":
        _pier(stage)


def _pier(stage: Stage) -> None:
    c, u = stage.canvas, stage.canvas.u
    x0, x1 = stage.beside(0.5), stage.beside(0.13 if stage.scene.water != "river" else 0.26)
    y0, y1 = stage.row(0.5), stage.row(0.36)
    wood, dark = stage.light.pair(rgb("b07a44")), rgb("4a2c16") * stage.light.near
    for t in (0.15, 0.5, 0.85, 1.0):
        x, y = x0 + (x1 - x0) * t, y0 + (y1 - y0) * t
        c.line((x, y - u * 0.03), (x, y + u * 0.075), u * 0.012, dark)
    c.polygon(
        [(x0, y0 - u * 0.02), (x1, y1 - u * 0.012), (x1, y1 + u * 0.018), (x0, y0 + u * 0.035)],
        wood,
        Look(edge=dark),
    )
    for t in (0.15, 0.33, 0.5, 0.67, 0.85):
        x, y = x0 + (x1 - x0) * t, y0 + (y1 - y0) * t
        c.line((x, y - u * 0.016), (x, y + u * 0.026), u * 0.005, dark)


def paint_fringe(stage: Stage) -> None:
    """Paints the nearest strip of ground along the lower edge, which tells the season."""
    c, s, u = stage.canvas, stage.scene, stage.canvas.u
    rng, near = stage.plan.rng("plants"), stage.light.near
    base = c.height - u * 0.055
    color = {
        "spring": rgb("a6e04e"),
        "summer": rgb("1f7a34"),
        "autumn": rgb("c0581a"),
        "winter": rgb("eaf3ff"),
    }[s.season]
    color = color * near
    if s.season == "winter":
        top = base + u * 0.02 + np.abs(waves(c.width, rng, ((7, 0.03 * u),))) * -1
        c.under(
            top,
            (mix(color, rgb("ffffff"), 0.5), mix(color, rgb("8fb4e8") * near, 0.55)),
            Look(edge=rgb("86a8d8") * near),
        )
        return
    cell = u * 0.03
    saw = np.abs((c.x[0] / cell + rng.random()) % 1 - (0.3 if s.wind == "breezy" else 0.5)) * 2
    high = {"spring": 0.035, "summer": 0.06, "autumn": 0.03}[s.season]
    top = base + u * high * (saw - 0.4) + waves(c.width, rng, ((6, 0.01 * u),))
    c.under(
        top, (mix(color, rgb("ffffff"), 0.1), color * np.float32(0.7)), Look(edge=color * np.float32(0.55))
    )
    box = (slice(max(int(base - u * 0.045), 0), c.height), slice(0, c.width))
    dots = {"spring": ("ffd0e6", 0.6), "summer": ("0f5524", 0.0), "autumn": ("ffb02e", 0.95)}[s.season]
    dx, dy, there, dice = c.scatter(box, u * 0.05, rng, share=dots[1])
    c.cover(box, np.clip((0.27 - np.hypot(dx, dy * 1.3)) * 0.05 * u + 0.5, 0, 1) * there, rgb(dots[0]) * near)
    if s.season == "autumn":
        c.cover(
            box,
            np.clip((0.2 - np.hypot(dx, dy * 1.3)) * 0.05 * u + 0.5, 0, 1) * there * (dice > 0.5),
            rgb("d8301c") * near,
        )


def paint_frame(stage: Stage) -> None:
    """Paints dark leaves along the upper and side edges, through which one looks."""
    c, rng, u = stage.canvas, stage.plan.rng("finish"), stage.canvas.u
    edge = np.minimum(np.minimum(c.x, c.width - c.x), c.y * np.float32(1.1))
    low = smooth(c.y / c.height, 0.7, 1.0)
    scallop = np.abs(np.sin(c.x / np.float32(u) * 29)) + np.abs(np.sin(c.y / np.float32(u) * 29 + 1))
    reach = u * (0.05 + 0.022 * scallop) + u * 0.05 * smooth(
        np.abs(c.x / c.width - 0.5) - 0.2 * c.y / c.height, 0.2, 0.5
    )
    inside = np.clip((reach * (1 - 0.45 * low) - edge) + 0.5, 0, 1)
    box = (slice(0, c.height), slice(0, c.width))
    dark = rgb("12281c") * (0.5 + 0.5 * stage.light.near)
    c.cover(box, inside, dark)
    dx, dy, there, _ = c.scatter(box, u * 0.06, rng, share=0.8)
    leaf = np.clip((0.28 - np.hypot(dx + dy * 0.4, dy * 1.5)) * 0.06 * u + 0.5, 0, 1) * there
    deep = np.clip((reach - u * 0.02 - edge) / (u * 0.02), 0, 1) * (1 - low)
    c.cover(box, leaf * deep * 0.8, rgb("2f5a3c") * stage.light.near)
