/** A photo or a camera's picture on a canvas of the worker, and the pixels of its parts. */

import { resized, warped } from "./pixels.js";

// Phones refuse larger canvases. Nothing is lost: faces are looked for in smaller pictures.
const MOST_PIXELS = 16e6;
// A face that spans more is shrunk as it is cut: networks see 256 pixels at most.
const LARGEST_CUT = 2048;

/** Reuses its canvas for picture after picture. */
export class Picture {
  #canvas = new OffscreenCanvas(1, 1);
  #context = this.#canvas.getContext("2d", { willReadFrequently: true });

  /** Pixels of the photo to one of this picture: 1, or more for very large photos. */
  scale = 1;

  get width() {
    return this.#canvas.width;
  }

  get height() {
    return this.#canvas.height;
  }

  /**
   * Show a bitmap.
   *
   * @param {ImageBitmap} bitmap
   * @param {boolean} mirrored - as people see themselves
   */
  show(bitmap, mirrored) {
    this.scale = Math.max(1, Math.sqrt((bitmap.width * bitmap.height) / MOST_PIXELS));
    const width = Math.max(1, Math.floor(bitmap.width / this.scale));
    const height = Math.max(1, Math.floor(bitmap.height / this.scale));
    if (width !== this.width || height !== this.height) {
      Object.assign(this.#canvas, { width, height });
    }
    const context = this.#context;
    context.setTransform(mirrored ? -1 : 1, 0, 0, 1, mirrored ? width : 0, 0);
    context.fillStyle = "white"; // where a photo is transparent
    context.fillRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, width, height);
  }

  /** All of its pixels. */
  pixels() {
    return this.#context.getImageData(0, 0, this.width, this.height);
  }

  /**
   * A square, black outside the picture, its roll taken back.
   *
   * @param {import("./geometry.js").Square} square
   * @param {number} size - of the result
   * @returns {import("./pixels.js").Pixels}
   */
  cut(square, size) {
    if (!square.roll) return resized(this.#part(square).pixels, size, size, "triangle");
    // An upright square with the same center that covers the turned one.
    const more = Math.ceil((square.side * (Math.SQRT2 - 1)) / 2) + 1;
    const { pixels, shrink } = this.#part({
      left: square.left - more,
      top: square.top - more,
      side: square.side + 2 * more,
    });
    const side = Math.max(1, Math.round(square.side / shrink));
    const step = square.side / shrink / side;
    const cosine = step * Math.cos((square.roll * Math.PI) / 180);
    const sine = step * Math.sin((square.roll * Math.PI) / 180);
    const middle = pixels.width / 2 - 0.5;
    const half = side / 2 - 0.5;
    const left = middle - half * (cosine - sine);
    const top = middle - half * (sine + cosine);
    const upright = warped(pixels, [cosine, -sine, left, sine, cosine, top], side, side);
    return resized(upright, size, size, "triangle");
  }

  #part({ left, top, side }) {
    if (side <= LARGEST_CUT) {
      return { pixels: this.#context.getImageData(left, top, side, side), shrink: 1 };
    }
    const part = new OffscreenCanvas(LARGEST_CUT, LARGEST_CUT);
    const context = part.getContext("2d", { willReadFrequently: true });
    const shrink = side / LARGEST_CUT;
    context.imageSmoothingQuality = "high";
    context.setTransform(1 / shrink, 0, 0, 1 / shrink, -left / shrink, -top / shrink);
    context.drawImage(this.#canvas, 0, 0);
    return { pixels: context.getImageData(0, 0, LARGEST_CUT, LARGEST_CUT), shrink };
  }
}
