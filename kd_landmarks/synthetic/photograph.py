"""What a camera does to a picture: exposure, color, focus, noise, compression."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .noise import cut_noise


def photograph(picture: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A uint8 photo of a float picture (H, W, 3) in 0..255; no point moves."""
    size = picture.shape[0]
    exposed = np.clip(picture, 0.0, 255.0).astype(np.uint8)
    gain = float(np.exp(rng.normal(0.0, 0.12)))
    gamma = float(np.exp(rng.normal(0.0, 0.2)))
    contrast, lift = float(rng.normal(1.0, 0.12)), float(rng.normal(0.0, 8.0))
    levels = 255.0 * (np.arange(256) / 255.0) ** gamma * gain
    levels = np.clip((levels - 110.0) * contrast + 110.0 + lift, 0, 255)
    warmth = rng.normal(0.02, 0.04)
    table = levels[:, None] * [1 + warmth, 1 + rng.normal(0, 0.012), 1 - warmth]
    curves = np.clip(table, 0, 255).astype(np.uint8)[None]
    photo: npt.NDArray[Any] = cv2.LUT(exposed, curves)
    saturation = rng.normal(1.12, 0.18)
    if rng.random() < 0.08:
        saturation = 0.0
    gray = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    photo = cv2.addWeighted(photo, saturation, gray, 1.0 - saturation, 0.0)
    if rng.random() < 0.45:
        photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.3, 1.3) * size / 160)
    if rng.random() < 0.12:
        low = max(24, int(size * rng.uniform(0.25, 0.6)))
        small = cv2.resize(photo, (low, low), interpolation=cv2.INTER_AREA)
        photo = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.6:
        strength = 0.5 + 12.0 * rng.beta(1.0, 4.0)
        grain = cut_noise(rng, "grain", size, size)
        noisy = photo + (strength * grain)[..., None]
        photo = np.clip(noisy, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = int(rng.integers(25, 90))
        flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
        _, code = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), flags)
        photo = cv2.cvtColor(np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)
    return np.asarray(photo, np.uint8)
