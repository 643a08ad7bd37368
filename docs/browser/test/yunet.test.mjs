import assert from "node:assert/strict";
import test from "node:test";

import { findFaces, fromBrowsDown, levels } from "../src/faces.js";
import { decoded, networkInput } from "../src/yunet.js";

/** Outputs without a face for an input of so many pixels. */
function silence(width, height) {
  const outputs = {};
  for (const stride of [8, 16, 32]) {
    const cells = (width / stride) * (height / stride);
    outputs[`cls_${stride}`] = new Float32Array(cells);
    outputs[`obj_${stride}`] = new Float32Array(cells);
    outputs[`bbox_${stride}`] = new Float32Array(4 * cells);
  }
  return outputs;
}

function addFace(outputs, stride, cell, score, box) {
  outputs[`cls_${stride}`][cell] = score;
  outputs[`obj_${stride}`][cell] = score;
  outputs[`bbox_${stride}`].set(box, 4 * cell);
}

test("a cell's answer is a box around its place in the picture", () => {
  const outputs = silence(128, 96);
  addFace(outputs, 16, 8 + 3, 0.9, [0.5, 0.25, Math.log(2), Math.log(4)]); // row 1, column 3
  const [box, ...others] = decoded(outputs, 128, 96, 0.6);
  assert.equal(others.length, 0);
  assert.ok(Math.abs(box.score - 0.9) < 1e-6);
  assert.deepEqual(
    [box.x0, box.y0, box.x1, box.y1].map((value) => Math.round(value * 1e4) / 1e4),
    [40, -12, 72, 52],
  );
});

test("of boxes of one face the surest is kept, and unsure ones are left out", () => {
  const outputs = silence(128, 96);
  addFace(outputs, 8, 20, 0.7, [0, 0, Math.log(4), Math.log(4)]);
  addFace(outputs, 8, 21, 0.8, [0, 0, Math.log(4), Math.log(4)]);
  addFace(outputs, 8, 150, 0.5, [0, 0, Math.log(4), Math.log(4)]);
  const scores = decoded(outputs, 128, 96, 0.6).map(({ score }) => score.toFixed(1));
  assert.deepEqual(scores, ["0.8"]);
});

test("pictures are filled up with black to whole steps of the coarsest grid", () => {
  const input = networkInput({ data: new Uint8ClampedArray(4).fill(7), width: 1, height: 1 });
  assert.deepEqual([input.width, input.height], [64, 64]);
  assert.equal(input.data.reduce((sum, value) => sum + value), 3 * 7);
});

test("small pictures are looked at first, each half of the next", () => {
  assert.deepEqual(levels(640), [128, 256, 512, 640]);
  assert.deepEqual(levels(5000), [128, 256, 512, 1024, 1280]);
  assert.deepEqual(levels(100), [100]);
});

test("the forehead is cut off where the face's top is", () => {
  const box = { x0: 0, y0: 0, x1: 80, y1: 100 };
  const upright = fromBrowsDown({ ...box, roll: 0 });
  assert.deepEqual([upright.y0, upright.y1], [25, 100]);
  // Upside down, the center moves up by as much as it moves down upright.
  const upended = fromBrowsDown({ ...box, roll: 180 });
  assert.ok(Math.abs((upended.y0 + upended.y1) / 2 - (50 - 12.5)) < 1e-9);
});

test("a turned face stays beside one that an upright box takes the place of", async () => {
  const side = 160;
  const photo = { data: new Uint8ClampedArray(4 * side * side), width: side, height: side };
  const faces = { upright: [[20, 0.75]], over: [[160 - 78, 0.7], [160 - 102, 0.68]] };
  let asked = 0;
  const detect = async (picture, least) => {
    asked += 1;
    // A small picture shows the first face; of the turned ones, the fourth is upside down.
    const seen = asked === 1 ? faces.upright : asked === 1 + 4 ? faces.over : [];
    const scale = asked === 1 ? 128 / side : 1;
    return seen
      .filter(([, score]) => score >= least)
      .map(([x, score]) => ({
        x0: x * scale,
        y0: 60 * scale,
        x1: (x + 40) * scale,
        y1: 100 * scale,
        score,
      }));
  };
  const found = await findFaces(photo, detect);
  assert.deepEqual(
    found.map(({ score }) => score),
    [0.75, 0.68],
  );
});
