/** Looking at faces upright, however they are turned: kd_landmarks/inference/upright.py. */

import { bounds, squareCrop, toPixels, uprightBox } from "./geometry.js";
import { turnedByQuarters } from "./pixels.js";
import { ASIDE, DOUBTFUL, FARTHEST, LOOKS, SURER, TURNED } from "./settings.js";

const QUARTERS = [1, 2, 3];

/**
 * @typedef {object} Look a face in one crop of its picture
 * @property {import("./geometry.js").Square} square
 * @property {import("./pixels.js").Pixels} crop
 * @property {import("./geometry.js").Point[]} points
 * @property {number[]} scores
 * @property {number[]|null} confidence
 * @property {number} sure - mean confidence of the points, 1 where it is not known
 */

/**
 * What the network says of the faces in boxes, each seen upright.
 *
 * @param {import("./geometry.js").Box[]} boxes
 * @param {(square: import("./geometry.js").Square) => import("./pixels.js").Pixels} cut
 * @param {import("./student.js").Student} student
 * @returns {Promise<Look[]>}
 */
export async function look(boxes, cut, student) {
  const { crop_margin: margin, scheme } = student.description;
  const cutAll = (some) =>
    some.map((box) => {
      const square = squareCrop(box, margin);
      return { square, crop: cut(square) };
    });
  const found = await answered(cutAll(boxes), student);
  const doubtful = found.map(({ sure }) => sure < DOUBTFUL);
  for (const [index, one] of found.entries()) {
    if (!doubtful[index]) continue;
    const turns = await answered(
      QUARTERS.map((quarters) => ({
        square: { ...one.square, roll: one.square.roll + 90 * quarters },
        crop: turnedByQuarters(one.crop, quarters),
      })),
      student,
    );
    const best = turns.reduce((most, turn) => (turn.sure > most.sure ? turn : most));
    if (best.sure > one.sure + SURER) found[index] = best;
  }
  for (let number = 0; number < LOOKS; number++) {
    const again = [];
    for (const [index, one] of found.entries()) {
      const box = otherBox(one, scheme, number === 0 && doubtful[index]);
      if (box) again.push({ index, box });
    }
    const closer = await answered(cutAll(again.map(({ box }) => box)), student);
    for (const [at, { index }] of again.entries()) {
      if (closer[at].sure >= found[index].sure - SURER) found[index] = closer[at];
    }
  }
  return found;
}

async function answered(looks, student) {
  const answers = await student.run(looks.map(({ crop }) => crop));
  return looks.map((one, index) => ({
    ...one,
    ...answers[index],
    points: toPixels(answers[index].points, one.square),
  }));
}

/**
 * A face's roll in degrees clockwise, or null where the scheme has no eye corners or no lips.
 *
 * @param {import("./geometry.js").Point[]} points
 * @param {object} scheme
 */
function faceRoll(points, scheme) {
  const lips = scheme.outlines.find(({ name }) => name === "outer_lips");
  if (!scheme.eye_corners || !lips) return null;
  const [left, right] = scheme.eye_corners.map((index) => points[index]);
  const mouth = [0, 1].map(
    (axis) =>
      lips.indices.reduce((sum, index) => sum + points[index][axis], 0) / lips.indices.length,
  );
  const across = [right[0] - left[0], right[1] - left[1]];
  const down = [mouth[0] - (left[0] + right[0]) / 2, mouth[1] - (left[1] + right[1]) / 2];
  return (Math.atan2(across[1] - down[0], across[0] + down[1]) * 180) / Math.PI;
}

/** The box around a face's points, with its roll where it is turned. */
export function uprightTightBox(points, scheme) {
  const roll = faceRoll(points, scheme);
  if (roll === null || !isTurned(roll)) return { ...bounds(points), roll: 0 };
  return uprightBox(points, roll);
}

/** The box of a face's own points where it is doubtful, or not upright or aside in its crop. */
function otherBox(one, scheme, doubtful) {
  const { x0, y0, x1, y1 } = bounds(one.points);
  // Points far from the crop, or all in one place, are no face's.
  const longest = Math.max(x1 - x0, y1 - y0);
  if (!(longest > 0 && longest < FARTHEST * one.square.side)) return null;
  const roll = faceRoll(one.points, scheme);
  if (roll === null) return null;
  const box = uprightBox(one.points, roll);
  const { left, top, side } = one.square;
  const right = (box.x0 + box.x1 - side) / 2 - left;
  const down = (box.y0 + box.y1 - side) / 2 - top;
  const aside = Math.max(Math.abs(right), Math.abs(down)) > ASIDE * side;
  return doubtful || aside || isTurned(roll - one.square.roll) ? box : null;
}

function isTurned(degrees) {
  const turn = (((degrees + 180) % 360) + 360) % 360;
  return Math.abs(turn - 180) >= TURNED;
}
