/** The One-Euro filter with the settings of kd_landmarks/inference/smoothing.py. */

import { bounds } from "./geometry.js";
import { FOLLOW, SPEED_CUTOFF, STEADINESS } from "./settings.js";

/** How much of the new value a low pass of that cutoff (hertz) takes after a step (seconds). */
function share(cutoff, step) {
  const ratio = 2 * Math.PI * cutoff * step;
  return ratio / (ratio + 1);
}

/** Smooths the points of one face from frame to frame. */
export class PointSmoother {
  #points = null;
  #speed = null;
  #time = 0;

  /**
   * The smoothed points of the next frame; the first frame's as they are.
   *
   * @param {import("./geometry.js").Point[]} now - in pixels
   * @param {number} time - in seconds, later than the frame before
   * @returns {import("./geometry.js").Point[]}
   */
  next(now, time) {
    if (!this.#points) {
      this.#points = now;
      this.#speed = now.map(() => [0, 0]);
      this.#time = time;
      return now;
    }
    const step = time - this.#time;
    const { x0, y0, x1, y1 } = bounds(now);
    const side = Math.max(x1 - x0, y1 - y0, 1);
    const speedShare = share(SPEED_CUTOFF, step);
    this.#points = now.map((point, index) => {
      const before = this.#points[index];
      const speed = this.#speed[index];
      for (const axis of [0, 1]) {
        const moved = (point[axis] - before[axis]) / (side * step);
        speed[axis] += speedShare * (moved - speed[axis]);
      }
      // One cutoff for both coordinates: a point that moves sideways must not lag in height.
      const cutoff = 1 / (2 * Math.PI * STEADINESS) + FOLLOW * Math.hypot(...speed);
      const taken = share(cutoff, step);
      return before.map((value, axis) => value + taken * (point[axis] - value));
    });
    this.#time = time;
    return this.#points;
  }
}
