/**
 * Resizing and turning pixels as Pillow and OpenCV do in the package: what browsers do differs from
 * one to the next, and would move points.
 *
 * @typedef {{data: Uint8ClampedArray, width: number, height: number}} Pixels RGBA, as ImageData.
 */

const CHANNELS = 4;

/**
 * Which input pixels make an output pixel, and how much of each.
 *
 * @param {number} from - input size
 * @param {number} to - output size
 * @param {"area"|"triangle"} kind - OpenCV's INTER_AREA or Pillow's BILINEAR
 */
function shares(from, to, kind) {
  const scale = from / to;
  const reach = kind === "area" ? scale / 2 : Math.max(1, scale);
  const most = Math.ceil(2 * reach) + 2;
  const starts = new Int32Array(to);
  const counts = new Int32Array(to);
  const weights = new Float32Array(to * most);
  for (let index = 0; index < to; index++) {
    const center = (index + 0.5) * scale;
    const first = Math.max(0, Math.floor(center - reach));
    const end = Math.min(from, Math.ceil(center + reach));
    let sum = 0;
    for (let at = first; at < end; at++) {
      const weight =
        kind === "area"
          ? Math.min(at + 1, center + reach) - Math.max(at, center - reach)
          : Math.max(0, 1 - Math.abs(at + 0.5 - center) / reach);
      weights[index * most + at - first] = weight;
      sum += weight;
    }
    for (let at = 0; at < end - first; at++) weights[index * most + at] /= sum;
    starts[index] = first;
    counts[index] = end - first;
  }
  return { starts, counts, weights, most };
}

/**
 * Pixels in another size.
 *
 * @param {Pixels} pixels
 * @param {number} width
 * @param {number} height
 * @param {"area"|"triangle"} kind
 * @returns {Pixels}
 */
export function resized(pixels, width, height, kind) {
  if (pixels.width === width && pixels.height === height) return pixels;
  const across = shares(pixels.width, width, kind);
  const down = shares(pixels.height, height, kind);
  const rows = new Float32Array(width * pixels.height * CHANNELS);
  const { data } = pixels;
  for (let y = 0, at = 0; y < pixels.height; y++) {
    const row = y * pixels.width * CHANNELS;
    for (let x = 0; x < width; x++, at += CHANNELS) {
      let red = 0;
      let green = 0;
      let blue = 0;
      let from = row + across.starts[x] * CHANNELS;
      const first = x * across.most;
      for (let tap = first; tap < first + across.counts[x]; tap++, from += CHANNELS) {
        const weight = across.weights[tap];
        red += weight * data[from];
        green += weight * data[from + 1];
        blue += weight * data[from + 2];
      }
      rows[at] = red;
      rows[at + 1] = green;
      rows[at + 2] = blue;
    }
  }
  const result = new Uint8ClampedArray(width * height * CHANNELS);
  const stride = width * CHANNELS;
  const sums = new Float32Array(stride);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let tap = 0; tap < down.counts[y]; tap++) {
      const weight = down.weights[y * down.most + tap];
      const row = (down.starts[y] + tap) * stride;
      for (let at = 0; at < stride; at++) sums[at] += weight * rows[row + at];
    }
    result.set(sums, y * stride); // rounds and clamps
  }
  return { data: result, width, height };
}

/**
 * Pixels under an affine map, black outside, bilinear.
 *
 * @param {Pixels} pixels
 * @param {number[]} matrix - a, b, c, d, e, f: an output pixel (x, y) shows the input at
 *   (a x + b y + c, d x + e y + f)
 * @param {number} width
 * @param {number} height
 * @returns {Pixels}
 */
export function warped(pixels, [a, b, c, d, e, f], width, height) {
  const { data } = pixels;
  const result = new Uint8ClampedArray(width * height * CHANNELS);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += CHANNELS) {
      const u = a * x + b * y + c;
      const v = d * x + e * y + f;
      const left = Math.floor(u);
      const top = Math.floor(v);
      if (left < -1 || top < -1 || left >= pixels.width || top >= pixels.height) continue;
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let corner = 0; corner < 4; corner++) {
        const px = left + (corner & 1);
        const py = top + (corner >> 1);
        if (px < 0 || py < 0 || px >= pixels.width || py >= pixels.height) continue;
        const weight = (1 - Math.abs(u - px)) * (1 - Math.abs(v - py));
        const from = (py * pixels.width + px) * CHANNELS;
        red += weight * data[from];
        green += weight * data[from + 1];
        blue += weight * data[from + 2];
      }
      result[at] = red;
      result[at + 1] = green;
      result[at + 2] = blue;
    }
  }
  return { data: result, width, height };
}

/** A square picture turned counterclockwise by quarters. */
export function turnedByQuarters(pixels, quarters) {
  const size = pixels.width;
  let from = new Uint32Array(pixels.data.buffer, pixels.data.byteOffset, size * size);
  for (let turn = 0; turn < quarters; turn++) {
    const to = new Uint32Array(size * size);
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) to[y * size + x] = from[x * size + size - 1 - y];
    }
    from = to;
  }
  const data = new Uint8ClampedArray(from.buffer, from.byteOffset, size * size * CHANNELS);
  return { data, width: size, height: size };
}
