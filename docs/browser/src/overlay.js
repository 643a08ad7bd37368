/** Points and lines over the picture, and the name of the point under the cursor. */

import { MIN_CONFIDENCE } from "./settings.js";

const LINE = "#00e676";
const UNSURE = "#ff9100";
const CHOSEN = "#ffffff";
// From the cursor to a point, in CSS pixels: a fingertip is not exact.
const REACH = 16;
// Between a point and its name.
const LIFT = 12;

/** Draws faces on a canvas that lies over the picture and has the screen's own pixels. */
export class Overlay {
  #canvas;
  #label;
  #faces = [];
  #cursor = null;
  #width = 1;
  #height = 1;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} label - shows the name
   */
  constructor(canvas, label) {
    this.#canvas = canvas;
    this.#label = label;
    this.scheme = { names: [], outlines: [] };
    const point = ({ clientX, clientY }) => {
      this.#cursor = [clientX, clientY];
      this.#draw();
    };
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("pointerleave", () => {
      this.#cursor = null;
      this.#draw();
    });
    new ResizeObserver(() => this.#draw()).observe(canvas);
  }

  /**
   * Show the faces of a picture of so many pixels.
   *
   * @param {object[]} faces - with `keypoints` and `confidence`
   * @param {number} width
   * @param {number} height
   */
  show(faces, width, height) {
    [this.#faces, this.#width, this.#height] = [faces, width, height];
    this.#draw();
  }

  #draw() {
    const { width: across, height: down, left, top } = this.#canvas.getBoundingClientRect();
    const density = window.devicePixelRatio || 1;
    const size = [Math.round(across * density), Math.round(down * density)];
    if (this.#canvas.width !== size[0] || this.#canvas.height !== size[1]) {
      [this.#canvas.width, this.#canvas.height] = size;
    }
    const context = this.#canvas.getContext("2d");
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, across, down);
    const place = ([x, y]) => [
      ((x + 0.5) * across) / this.#width,
      ((y + 0.5) * down) / this.#height,
    ];
    const shown = this.#faces.map((face) => ({ ...face, places: face.keypoints.map(place) }));
    for (const face of shown) this.#drawFace(context, face);
    const cursor = this.#cursor && [this.#cursor[0] - left, this.#cursor[1] - top];
    this.#name(context, nearest(shown, cursor), across);
  }

  #drawFace(context, { places, confidence }) {
    // Lines and dots grow with the face, not with the picture around it.
    const xs = places.map(([x]) => x);
    const extent = Math.max(...xs) - Math.min(...xs);
    context.lineWidth = Math.max(1, extent / 220);
    context.lineJoin = "round";
    context.strokeStyle = LINE;
    for (const { indices, closed } of this.scheme.outlines) {
      context.beginPath();
      for (const index of indices) context.lineTo(...places[index]);
      if (closed) context.closePath();
      context.stroke();
    }
    const radius = Math.max(1.5, extent / 100);
    for (const [index, [x, y]] of places.entries()) {
      context.fillStyle = confidence && confidence[index] < MIN_CONFIDENCE ? UNSURE : LINE;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
    }
  }

  #name(context, found, across) {
    this.#label.hidden = !found;
    if (!found) return;
    const { x, y, index, confidence } = found;
    context.strokeStyle = CHOSEN;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(x, y, 6, 0, 2 * Math.PI);
    context.stroke();
    const sure = confidence ? ` · ${Math.round(100 * confidence[index])} %` : "";
    this.#label.textContent = `${index} · ${this.scheme.names[index]}${sure}`;
    // Above the point, where no fingertip hides it, and within the picture.
    const lowest = this.#label.offsetHeight + LIFT;
    const half = this.#label.offsetWidth / 2;
    const middle = Math.min(Math.max(x, half), Math.max(half, across - half));
    this.#label.style.setProperty("--x", `${middle}px`);
    this.#label.style.setProperty("--y", `${Math.max(y, lowest) - LIFT}px`);
  }
}

/** The point under the cursor, or null. */
function nearest(faces, cursor) {
  let best = null;
  let least = REACH;
  for (const { places, confidence } of cursor ? faces : []) {
    for (const [index, [x, y]] of places.entries()) {
      const distance = Math.hypot(x - cursor[0], y - cursor[1]);
      if (distance < least) [least, best] = [distance, { x, y, index, confidence }];
    }
  }
  return best;
}
