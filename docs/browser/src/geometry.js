/**
 * Boxes, square crops and their units, as kd_landmarks/imaging/crop.py and boxes.py define them.
 *
 * @typedef {[number, number]} Point x and y in pixels, pixel centers at whole numbers.
 * @typedef {{x0: number, y0: number, x1: number, y1: number, roll: number}} Box its roll in
 *   degrees clockwise: the box of the face held upright, turned around its center.
 * @typedef {{left: number, top: number, side: number, roll: number}} Square whole pixels.
 */

/** Round half to even, as Python and numpy do: a crop is the same to the pixel. */
export function roundEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Points turned clockwise, as y points down, around a center. */
export function turned(points, degrees, [cx, cy]) {
  const radians = (degrees * Math.PI) / 180;
  const cosine = Math.cos(radians);
  const sine = Math.sin(radians);
  return points.map(([x, y]) => [
    (x - cx) * cosine - (y - cy) * sine + cx,
    (x - cx) * sine + (y - cy) * cosine + cy,
  ]);
}

/** The smallest and the largest x and y of points. */
export function bounds(points) {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  return { x0: Math.min(...xs), y0: Math.min(...ys), x1: Math.max(...xs), y1: Math.max(...ys) };
}

/** The box of a face that is turned by `roll` degrees, tight around its points. */
export function uprightBox(points, roll) {
  const held = bounds(turned(points, -roll, [0, 0]));
  const middle = [(held.x0 + held.x1) / 2, (held.y0 + held.y1) / 2];
  const [center] = turned([middle], roll, [0, 0]);
  return { ...boxAround(center, held.x1 - held.x0, held.y1 - held.y0), roll };
}

/** A box by its center and its sides. */
export function boxAround([cx, cy], width, height) {
  return { x0: cx - width / 2, y0: cy - height / 2, x1: cx + width / 2, y1: cy + height / 2 };
}

/** A pixel center of a shrunken picture, x or y, in the larger one. */
export function enlarged(value, by) {
  return (value + 0.5) * by - 0.5;
}

/** The square crop around a face box: `margin` times its longer side, in whole pixels. */
export function squareCrop({ x0, y0, x1, y1, roll }, margin) {
  const side = Math.max(1, roundEven(margin * Math.max(x1 - x0, y1 - y0)));
  return {
    left: roundEven((x0 + x1) / 2 - (side - 1) / 2),
    top: roundEven((y0 + y1) / 2 - (side - 1) / 2),
    side,
    roll,
  };
}

/** Crop units, 0 to 1 across the square, to pixels of the picture. */
export function toPixels(points, { left, top, side, roll }) {
  const placed = points.map(([x, y]) => [x * side - 0.5 + left, y * side - 0.5 + top]);
  if (!roll) return placed;
  return turned(placed, roll, [left + (side - 1) / 2, top + (side - 1) / 2]);
}

function area({ x0, y0, x1, y1 }) {
  return (x1 - x0) * (y1 - y0);
}

function sharedArea(one, other) {
  const width = Math.min(one.x1, other.x1) - Math.max(one.x0, other.x0);
  const height = Math.min(one.y1, other.y1) - Math.max(one.y0, other.y0);
  return Math.max(0, width) * Math.max(0, height);
}

/** Shared area over joint area, 0 to 1; rolls are left out. */
export function overlap(one, other) {
  const shared = sharedArea(one, other);
  return shared / (area(one) + area(other) - shared);
}

/** Whether boxes share more than `least` of the smaller one: they are of one face. */
export function isSame(one, other, least) {
  return sharedArea(one, other) > least * Math.min(area(one), area(other));
}
