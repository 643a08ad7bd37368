"""The appearance of a generated face that does not move its points: colors, hair, light, props."""

from dataclasses import dataclass, field

import numpy as np

from .geometry import Floats

# Skin from light to dark and hair from black to gray, sRGB; generic tones chosen by eye.
_SKINS = np.array(
    [[246, 218, 200], [238, 198, 172], [224, 178, 146], [200, 148, 112], [160, 110, 80],
     [118, 78, 56], [80, 52, 38]], dtype=float,
)  # fmt: skip
_HAIRS = np.array(
    [[22, 18, 18], [44, 30, 24], [80, 54, 36], [124, 84, 50], [176, 134, 84], [216, 186, 138],
     [140, 66, 34], [128, 126, 124], [214, 212, 208]], dtype=float,
)  # fmt: skip
_HAIR_ODDS = np.array([0.26, 0.2, 0.16, 0.1, 0.08, 0.06, 0.03, 0.06, 0.05])
_IRISES = np.array(
    [[60, 36, 22], [86, 54, 30], [36, 24, 18], [104, 110, 70], [96, 130, 160], [110, 124, 130]],
    dtype=float,
)


@dataclass(frozen=True, eq=False)
class Looks:
    """Drawn at random by `sample_looks`; colors are RGB 0..255, shares 0..1."""

    skin: Floats
    lip: Floats
    hair_color: Floats
    brow_color: Floats
    beard_color: Floats
    iris: Floats
    eyeshadow: Floats
    light: Floats
    light_color: Floats
    hair_style: str
    hairline: float
    sideburn: float
    temples: float
    parting: float
    ragged: Floats
    raggedness: float
    hair_contrast: float
    hair_volume: float
    blush: float
    socket: float
    stubble: float
    mottle: float
    pores: float
    freckles: float
    wrinkles: float
    makeup: float
    beard: float
    full_beard: bool
    mustache: bool
    ambient: float
    gloss: float
    brow_density: float
    lashes: float
    crease: float
    glasses: str
    hat: str
    clothes: Floats = field(default_factory=lambda: np.array([60.0, 70.0, 90.0]))


def rgb(color: Floats) -> tuple[float, float, float]:
    """A color as OpenCV takes it."""
    red, green, blue = (float(part) for part in color)
    return red, green, blue


def tame_color(rng: np.random.Generator) -> Floats:
    """A color of things: any lightness, seldom saturated, as in photographs."""
    lightness = 255.0 * rng.beta(0.9, 1.1)
    return np.clip(lightness * (1.0 + rng.gamma(1.0, 0.14) * rng.normal(0, 1, 3)), 0, 255)


def _jitter(rng: np.random.Generator, color: Floats, spread: float) -> Floats:
    return np.clip(color * (1 + rng.normal(0, 0.06)) + rng.normal(0, spread, 3), 4, 252)


def sample_looks(rng: np.random.Generator) -> Looks:
    """A random appearance."""
    place = rng.beta(0.9, 1.3) * (len(_SKINS) - 1)
    index = min(int(place), len(_SKINS) - 2)
    skin = _SKINS[index] + (place - index) * (_SKINS[index + 1] - _SKINS[index])
    skin = _jitter(rng, skin, 4.0)
    dark = place > 3.2
    hair = _HAIRS[rng.integers(0, 2) if dark else rng.choice(len(_HAIRS), p=_HAIR_ODDS)]
    hair = _jitter(rng, hair, 5.0)
    woman = rng.random() < 0.45
    old = max(0.0, float(rng.normal(0.1, 0.35)))
    if woman:
        style = rng.choice(["long", "short", "tied", "bangs"], p=[0.55, 0.1, 0.2, 0.15])
    else:
        style = rng.choice(["short", "bald", "long", "bangs"], p=[0.74, 0.12, 0.05, 0.09])
    beard = 0.0 if woman or rng.random() < 0.65 else float(rng.uniform(0.4, 1.2))
    makeup = float(rng.beta(1.5, 1.5)) if woman and rng.random() < 0.7 else 0.0
    lip = skin * [0.92, 0.70, 0.68] + rng.normal(0, 6, 3)
    lipstick = _jitter(rng, np.array([176.0, 50.0, 62.0]), 28.0)
    lip = np.clip(lip * (1 - 0.75 * makeup) + 0.75 * makeup * lipstick, 5, 250)
    from_side = rng.normal(0, 0.75)
    light = np.array([from_side, rng.normal(-0.45, 0.4), 1.0])
    warmth = rng.normal(0, 0.06)
    bare = rng.normal(-0.74, 0.08) - 0.25 * (old > 0.6 and not woman) * rng.random()
    return Looks(
        skin=skin,
        lip=lip,
        hair_color=hair,
        brow_color=np.clip(0.6 * hair + 0.25 * skin * (hair.mean() > 90), 8, 200),
        beard_color=np.clip(hair * rng.uniform(0.8, 1.1), 8, 230),
        iris=_jitter(rng, _IRISES[rng.integers(0, 3) if dark else rng.integers(0, 6)], 6.0),
        eyeshadow=np.clip(skin * 0.45 + rng.uniform(0, 90, 3), 0, 255),
        light=light / np.linalg.norm(light),
        light_color=np.array([1 + warmth, 1.0, 1 - warmth], np.float32),
        hair_style=str(style),
        hairline=float(rng.uniform(-0.34, -0.22)) if style == "bangs" else float(bare),
        sideburn=float(rng.uniform(0.0, 0.45)),
        temples=0.0 if style == "bangs" else float(rng.uniform(-0.02, 0.12)),
        parting=float(rng.normal(0, 0.6)),
        ragged=rng.normal(0, 1, 40),
        raggedness=float(rng.uniform(0.005, 0.04)),
        hair_contrast=float(rng.uniform(0.12, 0.35)),
        hair_volume=float(rng.uniform(0.04, 0.3)),
        blush=float(rng.uniform(0.1, 1.0)),
        socket=float(rng.uniform(0.05, 0.3)),
        stubble=0.0 if woman else float(max(0.0, rng.normal(0.1, 0.2))),
        mottle=float(rng.uniform(0.01, 0.035)),
        pores=float(rng.uniform(0.0, 0.025)),
        freckles=float(rng.uniform(0.3, 1.0)) if not dark and rng.random() < 0.1 else 0.0,
        wrinkles=float(np.clip(old + 0.15, 0, 1)),
        makeup=makeup,
        beard=beard,
        full_beard=bool(rng.random() < 0.7),
        mustache=bool(rng.random() < 0.85),
        ambient=float(rng.uniform(0.3, 0.8)),
        gloss=float(max(0.0, rng.normal(0.1, 0.12))),
        brow_density=float(rng.uniform(0.45, 1.0)),
        lashes=float(rng.uniform(0.3, 1.0)) if woman else float(rng.uniform(0.1, 0.5)),
        crease=float(rng.uniform(0.0, 0.6)),
        glasses=str(rng.choice(["none", "rims", "sun"], p=[0.80, 0.165, 0.035])),
        hat=str(rng.choice(["none", "cap", "band"], p=[0.88, 0.08, 0.04])),
        clothes=tame_color(rng),
    )
