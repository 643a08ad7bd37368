import assert from "node:assert/strict";
import test from "node:test";

import {
  isSame,
  overlap,
  roundEven,
  squareCrop,
  toPixels,
  uprightBox,
} from "../src/geometry.js";

test("halves are rounded to even numbers, as in Python", () => {
  assert.deepEqual([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, 2.6].map(roundEven), [0, 2, 2, 0, -2, 2, 3]);
});

test("a crop is a square of whole pixels around the box's center", () => {
  const square = squareCrop({ x0: 10, y0: 20, x1: 50, y1: 40, roll: 0 }, 1.25);
  assert.deepEqual(square, { left: 6, top: 6, side: 50, roll: 0 });
});

test("the middle of a crop stays in its place however it is turned", () => {
  for (const roll of [0, 30, 180]) {
    const [[x, y]] = toPixels([[0.5, 0.5]], { left: 6, top: 6, side: 50, roll });
    assert.ok(Math.hypot(x - 30.5, y - 30.5) < 1e-9);
  }
});

test("a turned box holds its points tightly, held upright", () => {
  const box = uprightBox([[0, 0], [10, 10], [20, 20]], 45);
  assert.ok(Math.abs(box.x1 - box.x0 - Math.hypot(20, 20)) < 1e-9);
  assert.ok(Math.abs(box.y1 - box.y0) < 1e-9);
});

test("boxes are compared by what they share", () => {
  const [large, small] = [
    { x0: 0, y0: 0, x1: 10, y1: 10 },
    { x0: 0, y0: 0, x1: 5, y1: 10 },
  ];
  assert.equal(overlap(large, small), 0.5);
  assert.ok(isSame(large, small, 0.9));
  assert.equal(overlap(large, { x0: 20, y0: 0, x1: 30, y1: 10 }), 0);
});
