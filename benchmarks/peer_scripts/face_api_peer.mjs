// @vladmandic/face-api in Node with TensorFlow.js's WebAssembly backend: 68 points in the boxes of
// its own SSD detector. Speaks as harness.py does, but writes points as raw float32.
//
//   node face_api_peer.mjs FOLDER points OUT.bin
//   node face_api_peer.mjs FOLDER time OUT.json THREADS

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const here = path.join(import.meta.dirname, '.cache/face-api/node_modules');
const require = createRequire(path.join(here, 'x.js'));
const tf = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');
const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');

const POINTS = 68;
const [FACES, ROUNDS, WARM_UP] = [30, 6, 2];
const [folder, mode, out, threads] = process.argv.slice(2);
const model = path.join(here, '@vladmandic/face-api/model');

wasm.setWasmPaths(path.join(here, '@tensorflow/tfjs-backend-wasm/dist/'));
if (threads) wasm.setThreadsCount(Number(threads));
await tf.setBackend('wasm');
await tf.ready();
await faceapi.nets.ssdMobilenetv1.loadFromDisk(model);
await faceapi.nets.faceLandmark68Net.loadFromDisk(model);
const options = new faceapi.SsdMobilenetv1Options({ minConfidence: 0.3, maxResults: 1 });

const { count, size, timed } = JSON.parse(fs.readFileSync(path.join(folder, 'frames.json')));
const file = fs.openSync(path.join(folder, 'frames.bin'));

function frame(number) {
  const bytes = Buffer.alloc(size * size * 3);
  fs.readSync(file, bytes, 0, bytes.length, number * bytes.length);
  return tf.tensor3d(new Int32Array(bytes), [size, size, 3], 'int32');
}

async function find(photo) {
  const face = await faceapi.detectSingleFace(photo, options).withFaceLandmarks();
  return face ? face.landmarks.positions.map((point) => [point.x, point.y]) : null;
}

function median(values) {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

if (mode === 'points') {
  const found = new Float32Array(count * POINTS * 2).fill(NaN);
  for (let number = 0; number < count; number++) {
    const photo = frame(number);
    const points = await find(photo);
    if (points) found.set(points.flat(), number * POINTS * 2);
    photo.dispose();
  }
  fs.writeFileSync(out, Buffer.from(found.buffer));
} else {
  const [steps, whole] = [[], []];
  for (let number = timed; number < timed + FACES; number++) {
    const photo = frame(number);
    const face = await faceapi.detectSingleFace(photo, options);
    if (face) {
      for (let round = 0; round < ROUNDS; round++) {
        const start = performance.now();
        const [crop] = await faceapi.extractFaceTensors(photo, [face.box]);
        await faceapi.nets.faceLandmark68Net.detectLandmarks(crop);
        crop.dispose();
        if (round >= WARM_UP) steps.push(performance.now() - start);
      }
    }
    const canvas = tf.pad(photo, [[48, 48], [128, 128], [0, 0]], 128);
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now();
      await find(canvas);
      if (round >= WARM_UP) whole.push(performance.now() - start);
    }
    tf.dispose([photo, canvas]);
  }
  fs.writeFileSync(out, JSON.stringify({
    step_ms: median(steps),
    photo_ms: median(whole),
    timed: steps.length,
    peak_mb: Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status'))[1]) / 1024,
    disk_mb: fs.statSync(path.join(model, 'face_landmark_68_model.bin')).size / 1e6,
  }));
}
process.exit(0);
