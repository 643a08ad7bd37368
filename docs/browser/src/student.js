/** The landmark network: crops in, points and their confidence out. */

import { LEAST_SPREAD } from "./settings.js";

// Faces of a crowd do not go through the network all at once.
const FACES_PER_PASS = 16;

/** An exported detector, and what its file tells of it. */
export class Student {
  #session;
  #tensor;

  /**
   * @param {object} session - of ONNX Runtime
   * @param {(data: Float32Array, dims: number[]) => object} tensor - makes ONNX Runtime's tensors
   * @param {object} description - crop_margin, image_size, image_mean, image_std, scheme and
   *   confidence: the metadata that `kd-landmarks export` writes
   */
  constructor(session, tensor, description) {
    this.#session = session;
    this.#tensor = tensor;
    this.description = description;
  }

  /**
   * @param {import("./pixels.js").Pixels[]} crops - of the network's input size
   * @returns {Promise<{points: [number, number][], scores: number[], confidence: number[]|null,
   *   sure: number}[]>} points in crop units
   */
  async run(crops) {
    const answers = [];
    for (let start = 0; start < crops.length; start += FACES_PER_PASS) {
      answers.push(...(await this.#pass(crops.slice(start, start + FACES_PER_PASS))));
    }
    return answers;
  }

  async #pass(crops) {
    const { image_size: size, scheme, confidence: calibration } = this.description;
    const input = this.#tensor(this.#normalized(crops), [crops.length, 3, size, size]);
    const output = await this.#session.run({ pixel_values: input });
    const count = scheme.names.length;
    const places = output.keypoints.data;
    return crops.map((_, face) => {
      const points = scheme.names.map((_, index) => {
        const at = 2 * (face * count + index);
        return [places[at], places[at + 1]];
      });
      const scores = output.scores
        ? [...output.scores.data.slice(face * count, (face + 1) * count)]
        : null;
      const confidence = scores && calibration ? probabilities(scores, calibration) : null;
      const sure = confidence
        ? confidence.reduce((sum, value) => sum + value, 0) / confidence.length
        : 1;
      return { points, scores, confidence, sure };
    });
  }

  /** Crops as planes of red, green and blue, less the mean, divided by the deviation. */
  #normalized(crops) {
    const { image_size: size, image_mean: mean, image_std: deviation } = this.description;
    const plane = size * size;
    const values = new Float32Array(crops.length * 3 * plane);
    for (const [face, { data }] of crops.entries()) {
      for (let channel = 0; channel < 3; channel++) {
        const scale = 1 / (255 * deviation[channel]);
        const offset = -mean[channel] / deviation[channel];
        const start = (face * 3 + channel) * plane;
        for (let at = 0; at < plane; at++) {
          values[start + at] = data[4 * at + channel] * scale + offset;
        }
      }
    }
    return values;
  }
}

/** Each point's probability of being right, from its score. */
function probabilities(scores, { slope, intercepts }) {
  return scores.map((score, index) => {
    const spread = Math.min(1, Math.max(LEAST_SPREAD, 1 - score));
    return 1 / (1 + Math.exp(-(intercepts[index] + slope * Math.log(spread))));
  });
}
