/**
 * Finding faces of all sizes and turns: kd_landmarks/imaging/yunet.py and detection.py, which say
 * why it is done so.
 *
 * @typedef {import("./geometry.js").Box & {score: number}} FoundFace
 */

import { boxAround, enlarged, isSame } from "./geometry.js";
import { resized, warped } from "./pixels.js";
import {
  BEST,
  FINEST_PICTURE,
  FOREHEAD,
  HINT,
  MIN_SCORE,
  SAME_FACE,
  SAME_TURNED,
  SMALL,
  SMALLEST_BOX,
  SMALLEST_PICTURE,
  SURE,
  TURNED_SIDE,
  TURNS,
} from "./settings.js";

/**
 * The faces of a picture, the surest first, in boxes tight around their points.
 *
 * @param {import("./pixels.js").Pixels} photo
 * @param {(picture: import("./pixels.js").Pixels, minScore: number) => Promise<object[]>} detect -
 *   YuNet on one picture
 * @returns {Promise<FoundFace[]>} in pixels of the picture, pixel centers at whole numbers
 */
export async function findFaces(photo, detect) {
  // A whole number of pixels is averaged first where the picture is large.
  const shrink = Math.max(1, Math.ceil(Math.max(photo.width, photo.height) / (2 * FINEST_PICTURE)));
  const base =
    shrink === 1
      ? photo
      : resized(photo, Math.ceil(photo.width / shrink), Math.ceil(photo.height / shrink), "area");
  const found = await search(base, detect);
  return found
    .sort((one, other) => other.score - one.score)
    .map((box) => fromBrowsDown(moved(box, -0.5)))
    .map((box) => ({ ...box, ...scaled(box, shrink) }))
    .filter(
      ({ x0, y0, x1, y1 }) =>
        x0 < photo.width - 1 &&
        y0 < photo.height - 1 &&
        x1 > 0 &&
        y1 > 0 &&
        Math.min(x1 - x0, y1 - y0) >= SMALLEST_BOX,
    );
}

/** Small pictures first, finer ones while something is left open, turned ones where none is sure. */
async function search(photo, detect) {
  const longest = Math.max(photo.width, photo.height);
  let found = [];
  for (const side of levels(longest)) {
    const scale = side / longest;
    const seen = (await detect(shrunk(photo, scale), HINT)).map((box) => {
      const extent = Math.max(box.x1 - box.x0, box.y1 - box.y0);
      const misfit = Math.abs(Math.log(extent / BEST));
      return { ...divided(box, scale), score: box.score, roll: 0, misfit };
    });
    found = oneEach([...found, ...seen.filter((box) => box.score >= MIN_SCORE)], SAME_FACE);
    const hints = seen.filter(
      (box) => box.score < MIN_SCORE && !found.some((face) => isSame(face, box, SAME_FACE)),
    );
    const extents = found.map((box) => scale * Math.max(box.x1 - box.x0, box.y1 - box.y0));
    if (found.length && !hints.length && Math.min(...extents) >= SMALL) break;
  }
  if (found.some((box) => box.score >= SURE)) return found;
  const turned = await turnedFaces(photo, Math.min(1, TURNED_SIDE / longest), detect);
  const upright = found.map((box) => ({ ...box, misfit: 1 - box.score }));
  return oneEach([...upright, ...turned], SAME_TURNED);
}

/** The longer sides of the pictures to look at, each at most twice the one before. */
export function levels(longest) {
  const finest = Math.min(FINEST_PICTURE, longest);
  const count = Math.max(0, Math.ceil(Math.log2(finest / SMALLEST_PICTURE)));
  return [...Array.from({ length: count }, (_, level) => SMALLEST_PICTURE * 2 ** level), finest];
}

function shrunk(photo, scale) {
  const [width, height] = [photo.width, photo.height].map((side) =>
    Math.max(1, Math.round(side * scale)),
  );
  return resized(photo, width, height, "area");
}

async function turnedFaces(photo, scale, detect) {
  const small = shrunk(photo, scale);
  const found = [];
  for (const roll of TURNS) {
    const cosine = Math.cos((roll * Math.PI) / 180);
    const sine = Math.sin((roll * Math.PI) / 180);
    // The middles of both pictures lie on each other; the face's roll is taken back.
    const width = Math.abs(cosine) * small.width + Math.abs(sine) * small.height;
    const height = Math.abs(sine) * small.width + Math.abs(cosine) * small.height;
    const back = (x, y) => [
      cosine * (x - width / 2) - sine * (y - height / 2) + small.width / 2,
      sine * (x - width / 2) + cosine * (y - height / 2) + small.height / 2,
    ];
    const [left, top] = back(0, 0);
    const picture = warped(
      small,
      [cosine, -sine, left, sine, cosine, top],
      Math.ceil(width),
      Math.ceil(height),
    );
    for (const box of await detect(picture, MIN_SCORE)) {
      const center = back((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2);
      const there = boxAround(center, box.x1 - box.x0, box.y1 - box.y0);
      found.push({ ...divided(there, scale), score: box.score, roll, misfit: 1 - box.score });
    }
  }
  return oneEach(found, SAME_FACE);
}

/** Of boxes of one face, that whose picture suited the detector best. */
function oneEach(boxes, least) {
  const kept = [];
  for (const box of [...boxes].sort((one, other) => one.misfit - other.misfit)) {
    if (!kept.some((other) => isSame(other, box, least))) kept.push(box);
  }
  return kept;
}

/** YuNet's box with the forehead to that of the points: the center moves down the face. */
export function fromBrowsDown(box) {
  const forehead = FOREHEAD * (box.y1 - box.y0);
  const radians = (box.roll * Math.PI) / 180;
  const dx = (-Math.sin(radians) * forehead) / 2;
  const dy = ((Math.cos(radians) - 1) * forehead) / 2;
  return {
    ...box,
    x0: box.x0 + dx,
    y0: box.y0 + forehead + dy,
    x1: box.x1 + dx,
    y1: box.y1 + dy,
  };
}

function divided({ x0, y0, x1, y1 }, by) {
  return { x0: x0 / by, y0: y0 / by, x1: x1 / by, y1: y1 / by };
}

function moved(box, by) {
  return { ...box, x0: box.x0 + by, y0: box.y0 + by, x1: box.x1 + by, y1: box.y1 + by };
}

/** Pixel centers of a shrunken picture to those of the larger one. */
function scaled({ x0, y0, x1, y1 }, by) {
  const [left, top, right, bottom] = [x0, y0, x1, y1].map((value) => enlarged(value, by));
  return { x0: left, y0: top, x1: right, y1: bottom };
}
