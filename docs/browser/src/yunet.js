/** YuNet on one picture: its input, and the boxes in its output, as OpenCV's FaceDetectorYN. */

import { boxAround, overlap } from "./geometry.js";
import { MAX_OVERLAP, SMALLEST_SIDE } from "./settings.js";

const STRIDES = [8, 16, 32];
const COARSEST = STRIDES.at(-1);

/**
 * A picture as YuNet takes it: blue, green and red planes from 0 to 255, black added on the right
 * and at the bottom up to whole steps of its coarsest grid.
 *
 * @param {import("./pixels.js").Pixels} picture
 * @returns {{data: Float32Array, width: number, height: number}}
 */
export function networkInput(picture) {
  const [width, height] = [picture.width, picture.height].map(
    (side) => Math.ceil(Math.max(side, SMALLEST_SIDE) / COARSEST) * COARSEST,
  );
  const plane = width * height;
  const data = new Float32Array(3 * plane);
  for (let y = 0, from = 0; y < picture.height; y++) {
    for (let x = 0, to = y * width; x < picture.width; x++, to++, from += 4) {
      data[to] = picture.data[from + 2];
      data[to + plane] = picture.data[from + 1];
      data[to + 2 * plane] = picture.data[from];
    }
  }
  return { data, width, height };
}

/**
 * The boxes that YuNet's outputs mean, one for each face, the surest first.
 *
 * @param {Object<string, ArrayLike<number>>} outputs - cls, obj and bbox of each stride
 * @param {number} width - of the network's input
 * @param {number} height
 * @param {number} minScore
 * @returns {{x0: number, y0: number, x1: number, y1: number, score: number}[]} edges in pixels
 */
export function decoded(outputs, width, height, minScore) {
  const found = [];
  for (const stride of STRIDES) {
    const columns = width / stride;
    const faces = outputs[`cls_${stride}`];
    const objects = outputs[`obj_${stride}`];
    const boxes = outputs[`bbox_${stride}`];
    for (let cell = 0; cell < columns * (height / stride); cell++) {
      const score = Math.sqrt(clamped(faces[cell]) * clamped(objects[cell]));
      if (score < minScore) continue;
      const [dx, dy, logWidth, logHeight] = boxes.slice(4 * cell, 4 * cell + 4);
      const center = [((cell % columns) + dx) * stride, (Math.floor(cell / columns) + dy) * stride];
      const box = boxAround(center, Math.exp(logWidth) * stride, Math.exp(logHeight) * stride);
      found.push({ ...box, score });
    }
  }
  return oneEach(found);
}

function clamped(value) {
  return Math.min(1, Math.max(0, value));
}

/** The surest of boxes that overlap. */
function oneEach(boxes) {
  const kept = [];
  for (const box of boxes.sort((one, other) => other.score - one.score)) {
    if (kept.every((other) => overlap(box, other) <= MAX_OVERLAP)) kept.push(box);
  }
  return kept;
}
