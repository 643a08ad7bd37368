/**
 * Writes the finished page into dist/: any web server can serve that folder.
 *
 *     npm ci
 *     npm run build
 *     npm run build -- --model path/to/model_int8.onnx
 */

import { build } from "esbuild";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { anySize, metadata } from "./onnx_file.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const kit = join(here, "../../kd_landmarks");
const dist = join(here, "dist");

const { values } = parseArgs({ options: { model: { type: "string" } } });
const model =
  values.model ?? join(kit, "models/weights/mobilenetv2-300w/onnx/model_int8.onnx");

const student = await readFile(model).catch(() => fail(`there is no file ${model}`));
const told = metadata(student).kd_landmarks;
if (!told) {
  fail(`${model} is not a kd-landmarks detector: make one with \`kd-landmarks export --int8\``);
}
const description = { ...JSON.parse(told), bytes: student.length };
const runtime = join(here, "node_modules/onnxruntime-web");

await rm(dist, { recursive: true, force: true });
await mkdir(join(dist, "models"), { recursive: true });
await mkdir(join(dist, "ort"));
const common = { bundle: true, minify: true, outdir: dist, target: "es2022", legalComments: "none" };
await build({ ...common, entryPoints: [join(here, "src/main.js")], format: "iife" });
await build({
  ...common,
  entryPoints: [join(here, "src/worker.js")],
  format: "esm",
  // Its WebAssembly stays a file of its own, which browsers compile as it arrives.
  conditions: ["onnxruntime-web-use-extern-wasm"],
});
for (const name of ["index.html", "style.css", "icon.svg"]) {
  await copyFile(join(here, "src", name), join(dist, name));
}
for (const name of ["ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"]) {
  await copyFile(join(runtime, "dist", name), join(dist, "ort", name));
}
await copyFile(join(kit, "demo/examples/astronaut.jpg"), join(dist, "astronaut.jpg"));
await writeFile(join(dist, "models/student.onnx"), student);
await writeFile(join(dist, "models/student.json"), JSON.stringify(description));
const yunet = anySize(await readFile(join(kit, "imaging/yunet.onnx")));
await writeFile(join(dist, "models/yunet.onnx"), yunet);
const licenses = [
  ["kd-landmarks, code (the weights are for non-commercial research only)", join(kit, "../LICENSE")],
  ["YuNet, models/yunet.onnx (its input made to take pictures of any size)", join(kit, "imaging/yunet.LICENSE")],
  ["ONNX Runtime Web, ort/ and a part of worker.js", join(here, "onnxruntime.LICENSE")],
];
const texts = licenses.map(async ([what, file]) => `${what}\n\n${await readFile(file, "utf8")}`);
await writeFile(join(dist, "licenses.txt"), (await Promise.all(texts)).join(`\n${"-".repeat(80)}\n\n`));
console.log(`${dist}: ${description.scheme.name}, ${(student.length / 1e6).toFixed(1)} MB`);

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}
