"""One face from its seed: parameters, surface, paint, light, camera, surroundings, photo."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from .geometry import Camera, Floats, HeadSurface, map_coordinates
from .landmarks import CONTOUR_SIZES, FaceCurves, landmark_addresses
from .looks import Looks, sample_looks
from .noise import cut_noise
from .parameters import FaceParameters, sample_parameters, turned
from .photograph import photograph
from .props import paint_background, paint_edge, paint_occluder
from .rendering import View, hidden, render_view
from .scene import Surroundings
from .texture import hair_mask, light_map, paint_face

# One independent random stream per concern, so that a change in one leaves the others' draws.
_SHAPE, _LOOKS, _PAINT, _SCENE, _PHOTO = range(5)
# The longer side of the landmarks' box is this share of the picture's side, give or take.
BOX_SHARE = 1.0 / 1.8


@dataclass(frozen=True, eq=False)
class Drawing:
    """A drawn face with the landmarks of every scheme."""

    image: npt.NDArray[np.uint8]
    landmarks: dict[str, npt.NDArray[np.float32]]
    visible: dict[str, npt.NDArray[np.uint8]]
    parameters: FaceParameters


def draw_face(
    seed: int,
    size: int,
    *,
    clean: bool = False,
    head_turned: bool = False,
    parameters: FaceParameters | None = None,
) -> Drawing:
    """Draw the face of a seed.

    Args:
        seed: any whole number >= 0.
        size: side of the square picture in pixels.
        clean: leave out everything that hides or degrades features (hats, glasses, hair over the
            face, occluders and the camera's faults): for tests and teaching.
        head_turned: turn the head by 25 to 75 degrees, whatever the seed's pose.
        parameters: shape, expression and pose to draw instead of the seed's own.
    """
    streams = [np.random.default_rng((seed, stream)) for stream in range(5)]
    drawn = sample_parameters(streams[_SHAPE])
    parameters = drawn if parameters is None else parameters
    if head_turned:
        parameters = turned(parameters, streams[_SHAPE])
    looks = sample_looks(streams[_LOOKS])
    if clean:
        looks = replace(
            looks, glasses="none", hat="none", hair_style="short", hairline=-0.6, beard=0.0
        )
    hair = hair_mask(looks, 128, 128)
    volume = looks.hair_volume * cv2.GaussianBlur(hair, (0, 0), 3.0)
    surface = HeadSurface(parameters, volume)
    curves = FaceCurves(surface)
    camera = Camera.of(parameters)
    addresses = landmark_addresses(curves, camera)
    points = {name: surface.points(places) for name, places in addresses.items()}
    camera = _frame(camera, camera.project(points["wflw98"]), size, streams[_SCENE])
    view = render_view(surface, camera, size)

    skin = paint_face(curves, looks, streams[_PAINT], size, hair)
    head = _shine(skin, light_map(surface, camera, looks), view, looks, streams[_PAINT])
    picture = paint_background(streams[_SCENE], size)
    around = Surroundings(curves, looks, camera, streams[_SCENE])
    around.behind(picture)
    picture += cv2.merge([view.cover] * 3) * (head - picture)
    covered = np.zeros((size, size), np.uint8)
    around.before(picture, covered)
    if not clean and streams[_SCENE].random() < 0.12:
        paint_occluder(picture, covered, streams[_SCENE], looks.skin)
    if not clean and streams[_SCENE].random() < 0.15:
        paint_edge(picture, streams[_SCENE])
    if clean:
        image = np.clip(picture, 0, 255).astype(np.uint8)
    else:
        image = photograph(picture, streams[_PHOTO])

    landmarks, visible = {}, {}
    for name, places in addresses.items():
        pixels = camera.project(points[name])
        outline = np.arange(len(places)) < CONTOUR_SIZES[name]
        # The outline lies where depth is least certain: only the nose hides it, never the cheek.
        margin = np.where(outline, 0.3, 0.1)
        seen = ~hidden(view, pixels, camera.depth(points[name]) + margin)
        seen &= outline | (_share(hair, places) < 0.5)
        seen &= ~_covered(covered, pixels)
        landmarks[name] = pixels.astype(np.float32)
        visible[name] = seen.astype(np.uint8)
    return Drawing(image, landmarks, visible, parameters)


def _frame(camera: Camera, points: Floats, size: int, rng: np.random.Generator) -> Camera:
    """Scale and shift so that the landmarks' box has its share of the picture."""
    low, high = points.min(axis=0), points.max(axis=0)
    share = BOX_SHARE * rng.uniform(0.92, 1.08)
    scale = share * size / float((high - low).max())
    center = 0.5 * (size - 1) + rng.normal(0.0, 0.02, 2).clip(-0.04, 0.04) * size
    shift = center - 0.5 * (low + high) * scale
    return replace(camera, scale=scale, shift=(float(shift[0]), float(shift[1])))


def _shine(
    skin: npt.NDArray[np.uint8],
    light: Floats,
    view: View,
    looks: Looks,
    rng: np.random.Generator,
) -> npt.NDArray[np.float32]:
    """The lit head as the camera sees it, (H, W, 3) float32."""
    columns, rows = view.columns, view.rows
    down, across = (np.array(skin.shape[:2]) - 1) / (np.array(light.shape) - 1)
    color = cv2.remap(
        skin,
        columns * np.float32(across),
        rows * np.float32(down),
        interpolation=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    shade = cv2.remap(
        light, columns, rows, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    shade = shade * (1.0 + np.float32(looks.pores) * cut_noise(rng, "pores", *shade.shape))
    return color * cv2.merge([shade * c for c in looks.light_color])


def _share(mask: Floats, addresses: Floats) -> Floats:
    """A mask over the head (128, 128), read at addresses (N, 2)."""
    columns, rows = map_coordinates(addresses[:, 0], addresses[:, 1])
    column = np.clip(np.round(columns), 0, 127).astype(int)
    row = np.clip(np.round(rows), 0, 127).astype(int)
    return mask[row, column]


def _covered(mask: npt.NDArray[np.uint8], pixels: Floats) -> npt.NDArray[np.bool_]:
    size = mask.shape[0]
    place = np.round(pixels).astype(int)
    within = ((place >= 0) & (place < size)).all(axis=1)
    place = np.clip(place, 0, size - 1)
    return (mask[place[:, 1], place[:, 0]] > 127) & within
