import assert from "node:assert/strict";
import test from "node:test";

import { PointSmoother } from "../src/smoothing.js";

const FACE = [[0, 0], [100, 0], [50, 100]];

function shifted(by) {
  return FACE.map(([x, y]) => [x + by, y]);
}

test("a trembling face is held steadier than it was found", () => {
  const smoother = new PointSmoother();
  let most = 0;
  for (let frame = 0; frame < 60; frame++) {
    const [[x]] = smoother.next(shifted(frame % 2), frame / 30);
    if (frame > 30) most = Math.max(most, Math.abs(x - 0.5));
  }
  assert.ok(most < 0.25, `${most} of 0.5 pixels are left`);
});

test("a face that moves is followed", () => {
  const smoother = new PointSmoother();
  let points;
  for (let frame = 0; frame < 60; frame++) points = smoother.next(shifted(5 * frame), frame / 30);
  assert.ok(Math.abs(points[0][0] - 5 * 59) < 5);
});
