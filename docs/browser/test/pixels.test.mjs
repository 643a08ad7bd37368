import assert from "node:assert/strict";
import test from "node:test";

import { resized, turnedByQuarters, warped } from "../src/pixels.js";

/** A gray picture of these values. */
function gray(width, values) {
  const data = new Uint8ClampedArray(values.flatMap((value) => [value, value, value, 255]));
  return { data, width, height: values.length / width };
}

function red({ data }) {
  return [...data].filter((_, index) => index % 4 === 0);
}

test("areas are averaged, also by parts of pixels", () => {
  assert.deepEqual(red(resized(gray(4, [0, 100, 200, 100]), 2, 1, "area")), [50, 150]);
  assert.deepEqual(red(resized(gray(3, [0, 90, 180]), 2, 1, "area")), [30, 150]);
});

test("triangles are as wide as Pillow's", () => {
  // Image.fromarray(np.uint8([[0, 100, 200, 100]])).resize((2, 1), Image.Resampling.BILINEAR)
  assert.deepEqual(red(resized(gray(4, [0, 100, 200, 100]), 2, 1, "triangle")), [71, 143]);
});

test("an affine map that changes nothing gives the same picture, black outside", () => {
  const picture = gray(2, [10, 20, 30, 40]);
  assert.deepEqual(red(warped(picture, [1, 0, 0, 0, 1, 0], 2, 2)), [10, 20, 30, 40]);
  assert.deepEqual(red(warped(picture, [1, 0, 5, 0, 1, 0], 2, 2)), [0, 0, 0, 0]);
});

test("quarters turn a picture counterclockwise", () => {
  const picture = gray(2, [1, 2, 3, 4]);
  assert.deepEqual(red(turnedByQuarters(picture, 1)), [2, 4, 1, 3]);
  assert.deepEqual(red(turnedByQuarters(picture, 4)), [1, 2, 3, 4]);
});
