/**
 * Faces from frame to frame: kd_landmarks/inference/tracking.py without its search for cuts, which
 * a camera does not have.
 */

import { bounds, overlap } from "./geometry.js";
import { MIN_CONFIDENCE, TRACK_OVERLAP, STRAYED } from "./settings.js";
import { PointSmoother } from "./smoothing.js";
import { uprightTightBox } from "./upright.js";

// Frames from one detection to the next, as in Python, and while no face is followed: a search
// that finds nothing goes through all sizes and turns and costs more time than many frames.
const DETECT_EVERY = 10;
const SEARCH_EVERY = 5;

/** Follows the faces of a camera's pictures. */
export class FaceTracker {
  #tracks = [];
  #wait = 0;
  #number = 0;
  #size = "";

  /**
   * The faces of the next picture.
   *
   * @param {object} picture - width and height
   * @param {number} time - in seconds
   * @param {boolean} steady - whether points are smoothed
   * @param {() => Promise<import("./faces.js").FoundFace[]>} find
   * @param {(boxes: object[]) => Promise<import("./upright.js").Look[]>} lookAt
   * @param {object} scheme
   * @returns {Promise<object[]>} looks with `box`, `score` and `track`
   */
  async next(picture, time, steady, find, lookAt, scheme) {
    const size = `${picture.width} x ${picture.height}`;
    if (size !== this.#size) [this.#size, this.#tracks, this.#wait] = [size, [], 0];
    if (this.#wait <= 0) {
      this.#match(await find());
      this.#wait = this.#tracks.length ? DETECT_EVERY : SEARCH_EVERY;
    }
    this.#wait--;
    if (!this.#tracks.length) return [];
    const tracks = this.#tracks;
    const looks = await lookAt(tracks.map(({ box }) => box));
    const faces = [];
    this.#tracks = [];
    for (const [index, one] of looks.entries()) {
      if (one.sure < MIN_CONFIDENCE) continue;
      const track = tracks[index];
      const { number, score } = track;
      if (!steady) track.smoother = null;
      else track.smoother ??= new PointSmoother();
      const points = track.smoother?.next(one.points, time) ?? one.points;
      faces.push({ ...one, points, box: bounds(points), score, track: number });
      // The next box comes from the points as they are: a smoothed box would trail behind.
      track.box = uprightTightBox(one.points, scheme);
      if (canGoOn(track.box, picture)) this.#tracks.push(track);
    }
    // Who has just been lost is looked for at once.
    if (!this.#tracks.length && tracks.length) this.#wait = 0;
    return faces;
  }

  /** Give found boxes to the faces that are followed, start new ones, drop the others. */
  #match(found) {
    const pairs = this.#tracks.flatMap((track) =>
      found.map((box) => ({ track, box, share: overlap(box, track.box) })),
    );
    // Those that fit best first: of two faces side by side none takes the other's box.
    const kept = [];
    const free = new Set(found);
    for (const { track, box, share } of pairs.sort((one, other) => other.share - one.share)) {
      if (share < TRACK_OVERLAP) break;
      if (!free.has(box) || kept.includes(track)) continue;
      free.delete(box);
      track.score = box.score;
      if (share < STRAYED) track.box = box;
      kept.push(track);
    }
    kept.sort((one, other) => one.number - other.number);
    for (const box of free) kept.push({ number: this.#number++, box, score: box.score });
    this.#tracks = kept;
  }
}

/** Whether a face is still in the picture, and is one. */
function canGoOn({ x0, y0, x1, y1 }, { width, height }) {
  const inside = x0 < width - 1 && y0 < height - 1 && x1 > 0 && y1 > 0;
  return inside && Math.max(x1 - x0, y1 - y0) >= 2;
}
