/** Where everything is computed: the page itself stays free for clicks and drawing. */

import * as ort from "onnxruntime-web/wasm";
import { findFaces } from "./faces.js";
import { bounds, enlarged } from "./geometry.js";
import { Picture } from "./picture.js";
import { MIN_CONFIDENCE } from "./settings.js";
import { Student } from "./student.js";
import { FaceTracker } from "./tracking.js";
import { look } from "./upright.js";
import { decoded, networkInput } from "./yunet.js";

// More help little with networks this small. One core is left to the page and the camera.
const MOST_THREADS = 4;

const picture = new Picture();
let tracker = new FaceTracker();
let student;
let yunet;

function tensor(data, dims) {
  return new ort.Tensor("float32", data, dims);
}

async function fetched(name) {
  const response = await fetch(new URL(`models/${name}`, import.meta.url));
  if (!response.ok) throw new Error(`${name} cannot be loaded: the server says ${response.status}`);
  return response;
}

async function session(name) {
  const bytes = new Uint8Array(await (await fetched(name)).arrayBuffer());
  return ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], logSeverityLevel: 3 });
}

async function load() {
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = new URL("ort/", import.meta.url).href;
  // Threads share memory, which browsers allow on isolated pages alone.
  const threads = self.crossOriginIsolated ? navigator.hardwareConcurrency - 1 : 1;
  ort.env.wasm.numThreads = Math.min(Math.max(threads, 1), MOST_THREADS);
  const description = await (await fetched("student.json")).json();
  student = new Student(await session("student.onnx"), tensor, description);
  yunet = await session("yunet.onnx");
  return { description, threads: ort.env.wasm.numThreads };
}

async function detect(part, minScore) {
  const { data, width, height } = networkInput(part);
  const output = await yunet.run({ input: tensor(data, [1, 3, height, width]) });
  const outputs = Object.fromEntries(
    Object.entries(output).map(([name, { data: values }]) => [name, values]),
  );
  return decoded(outputs, width, height, minScore).filter(
    // What lies in the black that was added is no face.
    ({ x0, y0, x1, y1 }) => x0 < part.width && y0 < part.height && x1 > 0 && y1 > 0,
  );
}

const find = () => findFaces(picture.pixels(), detect);
const lookAt = (boxes) =>
  look(boxes, (square) => picture.cut(square, student.description.image_size), student);

async function photo({ bitmap }) {
  picture.show(bitmap, false);
  bitmap.close();
  const found = await find();
  const looks = await lookAt(found);
  const faces = looks
    .map((one, index) => ({ ...one, box: found[index], score: found[index].score }))
    .filter(({ sure }) => sure >= MIN_CONFIDENCE);
  return { faces: faces.map(told) };
}

async function frame({ bitmap, mirrored, time, steady }) {
  picture.show(bitmap, mirrored);
  const { scheme } = student.description;
  const faces = await tracker.next(picture, time, steady, find, lookAt, scheme);
  return { faces: faces.map(told), bitmap };
}

/** A face with the names of `kd-landmarks predict`, in pixels of the photo. */
function told({ points, scores, confidence, sure, box, score, track }) {
  const place = (value) => enlarged(value, picture.scale);
  // A turned face's own box leans: it gets the upright one of its points, as in Python.
  const { x0, y0, x1, y1 } = box.roll ? bounds(points) : box;
  return {
    ...(track === undefined ? {} : { track }),
    keypoints: points.map((point) => point.map(place)),
    scores,
    confidence,
    face_confidence: confidence && sure,
    box: [x0, y0, x1, y1].map(place),
    detection_score: score,
  };
}

function restart() {
  tracker = new FaceTracker();
  return {};
}

const answers = { load, photo, frame, restart };

async function answer({ id, type, ...given }) {
  try {
    const began = performance.now();
    const result = await answers[type](given);
    const milliseconds = performance.now() - began;
    const transfer = result.bitmap ? [result.bitmap] : [];
    self.postMessage({ id, result: { ...result, milliseconds } }, transfer);
  } catch (error) {
    self.postMessage({ id, error: error?.message ?? String(error) });
  }
}

// One after the other: they share the picture.
let before = Promise.resolve();
self.onmessage = ({ data }) => {
  before = before.then(() => answer(data));
};
