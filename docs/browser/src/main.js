/** The page: buttons, the chosen photo, the camera's loop, and what is said about both. */

import { Camera } from "./camera.js";
import { Engine } from "./engine.js";
import { Overlay } from "./overlay.js";

const elements = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((element) => [element.id, element]),
);
const overlay = new Overlay(elements.overlay, elements.name);

const DRAGGING = ["dragenter", "dragover", "dragleave", "drop"];

let engine;
let camera = null;
let shown = null; // what "Save points" saves
let turn = 0; // of what was asked for last: answers to what came before are dropped

/** Write a text; the same one is not written again, for screen readers would tell it again. */
function write(id, text) {
  if (elements[id].textContent !== text) elements[id].textContent = text;
}

function say(text, wrong = false) {
  write("message", text);
  elements.message.classList.toggle("wrong", wrong);
}

/** Show a picture of so many pixels, and what was found in it. */
function show(kind, name, faces, width, height) {
  elements.view.dataset.shows = kind;
  elements.view.style.setProperty("--ratio", width / height);
  elements.photo.hidden = kind !== "photo";
  elements.live.hidden = kind !== "camera";
  overlay.show(faces, width, height);
  write("faces", faces.length === 1 ? "1 face" : `${faces.length} faces`);
  elements.overlay.setAttribute("aria-label", `Landmarks of ${elements.faces.textContent}`);
  shown = { image: name, scheme: overlay.scheme.name, faces };
  elements.save.hidden = elements.legend.hidden = !faces.length;
}

function showNothing() {
  elements.view.dataset.shows = "nothing";
  for (const id of ["photo", "live", "save", "legend"]) elements[id].hidden = true;
  for (const id of ["faces", "rate"]) write(id, "");
  elements.overlay.setAttribute("aria-label", "Landmarks");
  overlay.show([], 1, 1);
}

async function openPhoto(file, name) {
  closeCamera();
  const mine = ++turn;
  showNothing();
  say("Looking for faces …");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file); // upright, by its EXIF orientation
  } catch {
    if (mine !== turn) return;
    say(`${name} is not a picture that this browser can read. JPEG, PNG and WebP always work.`, true);
    return;
  }
  if (mine !== turn) {
    bitmap.close();
    return;
  }
  const { width, height } = bitmap;
  URL.revokeObjectURL(elements.photo.src);
  elements.photo.src = URL.createObjectURL(file);
  let result;
  try {
    result = await engine.photo(bitmap);
  } catch (error) {
    if (mine === turn) say(`${name} could not be processed: ${error.message}.`, true);
    return;
  }
  if (mine !== turn) return;
  show("photo", name, result.faces, width, height);
  write("rate", `${Math.round(result.milliseconds)} ms`);
  say(
    result.faces.length
      ? ""
      : "No face was found. Faces should span a tenth of the photo or more, with both eyes in view.",
  );
}

async function openExample() {
  const name = "astronaut.jpg";
  closeCamera();
  const mine = ++turn;
  showNothing();
  say("Loading the example …");
  let file;
  try {
    const response = await fetch(name);
    if (!response.ok) throw new Error(`the server says ${response.status}`);
    file = await response.blob();
  } catch (error) {
    if (mine === turn) say(`The example cannot be loaded: ${error.message}.`, true);
    return;
  }
  if (mine === turn) await openPhoto(file, name);
}

function closeCamera() {
  camera?.close();
  camera = null;
  turn++;
  elements.camera.textContent = "Camera";
  elements.steadily.hidden = true;
}

async function toggleCamera() {
  if (camera) {
    closeCamera();
    showNothing();
    say("");
    return;
  }
  showNothing();
  const mine = ++turn;
  say("Opening the camera …");
  try {
    const opened = await Camera.open(() => {
      if (camera !== opened) return;
      closeCamera();
      showNothing();
      say("The camera was disconnected.", true);
    });
    if (mine !== turn) {
      opened.close();
      return;
    }
    camera = opened;
  } catch (error) {
    if (mine === turn) say(error.message, true);
    return;
  }
  elements.camera.textContent = "Stop camera";
  elements.steadily.hidden = false;
  try {
    await follow(mine);
  } catch (error) {
    if (mine !== turn) return;
    closeCamera();
    showNothing();
    say(`The camera's pictures could not be processed: ${error.message}.`, true);
  }
}

/** Compute and show one picture of the camera after another, until something else is asked for. */
async function follow(mine) {
  await engine.restart();
  const { mirrored } = camera;
  let time = 0;
  const compute = async () => {
    const picture = await camera.picture();
    // Browsers that guard against fingerprinting give the same time to several pictures.
    time = Math.max(performance.now() / 1000, time + 1e-3);
    return engine.frame(picture, { mirrored, time, steady: elements.steady.checked });
  };
  const times = [];
  let coming = compute();
  while (mine === turn) {
    const { faces, bitmap } = await coming;
    if (mine !== turn) return;
    coming = compute(); // while this one is drawn
    coming.catch(() => {}); // is thrown above, unless the camera has been stopped
    drawLive(bitmap, mirrored);
    show("camera", "camera", faces, bitmap.width, bitmap.height);
    bitmap.close();
    say(faces.length ? "" : "No face is in view.");
    showRate(times);
  }
}

/** The very picture that the points are of: they would trail behind the camera's newest one. */
function drawLive(bitmap, mirrored) {
  const { width, height } = bitmap;
  if (elements.live.width !== width || elements.live.height !== height) {
    Object.assign(elements.live, { width, height });
  }
  const context = elements.live.getContext("2d");
  context.setTransform(mirrored ? -1 : 1, 0, 0, 1, mirrored ? width : 0, 0);
  context.drawImage(bitmap, 0, 0);
}

/** Frames per second over the last two seconds. */
function showRate(times) {
  const now = performance.now();
  times.push(now);
  while (now - times[0] > 2000) times.shift();
  if (times.length < 5) return;
  write("rate", `${Math.round((1000 * (times.length - 1)) / (now - times[0]))} frames/s`);
}

function savePoints() {
  const rounded = (key, value) =>
    typeof value === "number" ? Number(value.toFixed(key === "track" ? 0 : 4)) : value;
  const text = JSON.stringify(shown, rounded);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = `${shown.image.replace(/\.[^.]*$/, "")}-landmarks.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function connect() {
  const { choose, file, view } = elements;
  choose.addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    const [chosen] = file.files;
    if (chosen) openPhoto(chosen, chosen.name);
    file.value = ""; // so that the same photo can be chosen again
  });
  elements.camera.addEventListener("click", toggleCamera);
  elements.example.addEventListener("click", openExample);
  elements.save.addEventListener("click", savePoints);
  for (const type of DRAGGING) {
    document.addEventListener(type, (event) => {
      view.classList.toggle("over", type === "dragenter" || type === "dragover");
      const [dropped] = type === "drop" ? event.dataTransfer.files : [];
      if (dropped) openPhoto(dropped, dropped.name);
    });
  }
}

async function start() {
  // Wherever it falls, and whenever: browsers would open the photo in place of the page.
  for (const type of DRAGGING) document.addEventListener(type, (event) => event.preventDefault());
  const buttons = [elements.choose, elements.camera, elements.example];
  for (const button of buttons) button.disabled = true;
  if (location.protocol === "file:") {
    say("This page needs a web server. In its folder, run: python -m http.server", true);
    return;
  }
  try {
    engine = new Engine();
    const { description, threads } = await engine.load();
    const { scheme, parameters, bytes, image_size: size } = description;
    overlay.scheme = scheme;
    const facts = [
      `${scheme.names.length} points (${scheme.name})`,
      ...(parameters ? [`${(parameters / 1e6).toFixed(2)} M parameters`] : []), // if its file says
      `${(bytes / 1e6).toFixed(1)} MB`,
      `crops of ${size} pixels`,
      threads === 1 ? "1 thread" : `${threads} threads`,
    ];
    elements.model.textContent = `The network: ${facts.join(" · ")}. Point at a landmark for its name.`;
  } catch (error) {
    say(`The networks could not be loaded: ${error.message}. Reload the page to try again.`, true);
    return;
  }
  connect();
  for (const button of buttons) button.disabled = false;
  say("");
}

start();
