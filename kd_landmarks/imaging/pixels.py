"""Pixels of photos of any size, looked at in pieces: a large photo is never converted as a whole.

Needs numpy and pillow alone. A photo is in memory as it was decoded; what is made of it here costs
no more than the result and a piece of `TILE` x `TILE` pixels.
"""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from .crop import Square, covering

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels; right and bottom are the first ones outside."""

TILE = 2048
"""Pixels of a piece's side; a photo that is no larger is one piece."""
LARGEST_CUT = 4096
"""Pixels of a cut square's side: larger ones are shrunk; networks see 256 pixels at most."""

# Modes whose pixels can be averaged as they are, and converted then.
_AVERAGED = ("L", "RGB", "RGBA", "CMYK")


def tiles(box: Box, side: int = TILE) -> Iterator[Box]:
    """The pieces of a box, row by row."""
    for top in range(box[1], box[3], side):
        for left in range(box[0], box[2], side):
            yield left, top, min(left + side, box[2]), min(top + side, box[3])


def as_rgb(photo: Image.Image) -> Image.Image:
    """A picture of any mode in RGB; transparency shows white, as it does in the processor."""
    return shrunken(photo, 1)


def shrunken(photo: Image.Image, factor: int) -> Image.Image:
    """A photo of any mode in RGB, each `factor` x `factor` pixels averaged (`Image.reduce`)."""
    if factor == 1 and photo.mode == "RGB":
        return photo
    width, height = photo.size
    small = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for box in tiles((0, 0, width, height), max(1, TILE // factor) * factor):
        piece = photo if box == (0, 0, width, height) else photo.crop(box)
        if photo.mode in _AVERAGED:
            piece = _rgb(piece.reduce(factor))
        else:
            piece = _rgb(piece).reduce(factor)
        small.paste(piece, (box[0] // factor, box[1] // factor))
    return small


def in_8_bits(photo: Image.Image, convert: Callable[[np.ndarray], np.ndarray]) -> Image.Image:
    """A gray photo of more bits in mode L; `convert` makes uint8 of the values of a piece."""
    gray = Image.new("L", photo.size)
    for box in tiles((0, 0, *photo.size)):
        values = np.ascontiguousarray(convert(np.asarray(photo.crop(box))))
        gray.paste(Image.fromarray(values), box[:2])
    return gray


def cut_square(photo: Image.Image, square: Square) -> Image.Image:
    """The square of a photo of any mode, in RGB, black outside it, its roll taken back.

    Only what is cut is converted: a large photo costs no more memory than a small one. A square of
    more than `LARGEST_CUT` pixels comes shrunk to so many or a little less.
    """
    if square.roll:
        return _turned_back(cut_square(photo, covering(square)), square)
    left, top, side, _ = square
    factor = -(-side // LARGEST_CUT)
    if factor == 1:
        return _cut(photo, (left, top, left + side, top + side))
    shown = -(-side // factor)
    small = Image.new("RGB", (shown, shown))
    whole = (left, top, left + shown * factor, top + shown * factor)
    for box in tiles(whole, TILE // factor * factor or factor):
        if _overlap(photo, box):
            at = ((box[0] - left) // factor, (box[1] - top) // factor)
            small.paste(_cut(photo, box).reduce(factor), at)
    # Where `factor` does not divide the side, the last pixels reach beyond the square.
    seen = (0, 0, side / factor, side / factor)
    return small.resize(small.size, Image.Resampling.BILINEAR, box=seen)


def _turned_back(around: Image.Image, square: Square) -> Image.Image:
    """A turned square, from the picture of `covering(square)`, which may be shrunk."""
    scale = around.width / covering(square).side
    side = max(1, round(square.side * scale))
    cosine, sine = (f(np.radians(square.roll)) for f in (np.cos, np.sin))
    # PIL maps places of the result, pixel edges at whole numbers, to places of the source.
    step = square.side * scale / side
    middle, half = around.width / 2, side / 2
    across, down = (step * cosine, -step * sine), (step * sine, step * cosine)
    shift = (middle - half * sum(across), middle - half * sum(down))
    matrix = (*across, shift[0], *down, shift[1])
    return around.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _cut(photo: Image.Image, box: Box) -> Image.Image:
    """A box of a photo in RGB, black outside the photo."""
    cut = Image.new("RGB", (box[2] - box[0], box[3] - box[1]))
    inside = _overlap(photo, box)
    if inside:
        for piece in tiles(inside):
            cut.paste(_rgb(photo.crop(piece)), (piece[0] - box[0], piece[1] - box[1]))
    return cut


def _overlap(photo: Image.Image, box: Box) -> Box | None:
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[2], photo.width), min(box[3], photo.height)
    return (left, top, right, bottom) if right > left and bottom > top else None


def _rgb(piece: Image.Image) -> Image.Image:
    if piece.mode == "RGB":
        return piece
    white = Image.new("RGBA", piece.size, "white")
    return Image.alpha_composite(white, piece.convert("RGBA")).convert("RGB")
