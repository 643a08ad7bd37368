// What happens in the browser alone: what is drawn on a photo, which face is chosen, names below the
// cursor, points over the camera's preview, bars that follow a clip, the picture that is saved.

const kdParts = {
  "Points": "kdPoints",
  "Outlines": "kdOutlines",
  "Numbers": "kdNumbers",
  "Boxes": "kdBoxes",
  "Confidence colors": "kdColors",
};

// As data, not as classes: those of this element are Gradio's to write.
function kdShow(parts) {
  const tab = document.getElementById("photo-tab");
  for (const [part, name] of Object.entries(kdParts)) {
    tab.dataset[name] = parts.includes(part) ? "on" : "off";
  }
}

function kdChoose(number) {
  for (const face of document.querySelectorAll("#photo-tab [data-face]")) {
    face.classList.toggle("kd-chosen", face.dataset.face === String(number));
  }
  const choice = document.querySelector(`#photo-faces input[value="${number}"]`);
  if (choice) choice.checked = true;
}

document.addEventListener("click", (event) => {
  const face = event.target.closest?.("#photo-view .kd-face");
  if (face) kdChoose(face.dataset.face);
});

// The name of the landmark that is nearest to the cursor, or to a finger.
const kdNear = 14;

function kdNearest(picture, x, y) {
  const matrix = picture.getScreenCTM();
  let best = null, least = kdNear;
  for (const face of picture.querySelectorAll(".kd-face")) {
    const [...points] = face.querySelectorAll(".kd-point");
    for (const [index, point] of points.entries()) {
      const place = new DOMPoint(point.cx.baseVal.value, point.cy.baseVal.value);
      const shown = place.matrixTransform(matrix);
      const far = Math.hypot(shown.x - x, shown.y - y);
      if (far < least) [best, least] = [{ point, index, shown }, far];
    }
  }
  return best;
}

function kdName(event) {
  let tip = document.getElementById("kd-tip");
  const picture = event.target.closest?.("svg[data-names]");
  const found = picture && kdNearest(picture, event.clientX, event.clientY);
  for (const point of document.querySelectorAll(".kd-pointed")) point.classList.remove("kd-pointed");
  if (!found) {
    if (tip) tip.hidden = true;
    return;
  }
  if (!tip) {
    tip = document.body.appendChild(document.createElement("div"));
    tip.id = "kd-tip";
  }
  const { point, index, shown } = found;
  point.classList.add("kd-pointed");
  const sure = point.dataset.sure ? `, ${point.dataset.sure} sure` : "";
  tip.textContent = `${index} ${JSON.parse(picture.dataset.names)[index]}${sure}`;
  tip.hidden = false;
  const room = document.documentElement.clientWidth - tip.offsetWidth - 4;
  tip.style.left = `${Math.max(4, Math.min(shown.x + 14, room))}px`;
  tip.style.top = `${shown.y - tip.offsetHeight - 10}px`;
}

document.addEventListener("pointermove", kdName);
document.addEventListener("pointerdown", kdName);

// Gradio keeps the camera open, and goes on sending its pictures, behind another tab.
function kdStopStream() {
  document.querySelector('#webcam button:has([title="stop recording"])')?.click();
}

document.addEventListener("click", (event) => {
  if (!event.target.closest?.('button[role="tab"]')) return;
  setTimeout(async () => {
    const video = document.querySelector("#webcam video");
    const tracks = video?.srcObject?.getTracks() ?? [];
    if (!tracks.length) return;
    if (video.offsetParent === null) {
      kdStopStream();
      for (const track of tracks) track.stop();
    } else if (tracks.every((track) => track.readyState === "ended")) {
      const wanted = { video: tracks[0].getConstraints() };
      video.srcObject = await navigator.mediaDevices.getUserMedia(wanted);
      video.play();
    }
  }, 100);
});

// The last frame's points over the preview; they go when no more come.
let kdStale;

function kdOverlay() {
  if (document.querySelector("#webcam-view .kd-stream-over")) kdStopStream();
  const found = document.querySelector("#webcam-view .kd-overlay");
  const video = document.querySelector("#webcam video");
  let overlay = document.querySelector("#webcam .kd-overlay");
  clearTimeout(kdStale);
  if (!found || !video) return overlay?.remove();
  if (overlay?.parentElement !== video.parentElement) {
    overlay?.remove();
    overlay = found.cloneNode();
    video.parentElement.append(overlay);
  }
  // One element for all frames: what is taken out and put back flickers.
  overlay.setAttribute("viewBox", found.getAttribute("viewBox"));
  overlay.innerHTML = found.innerHTML;
  const box = video.getBoundingClientRect();
  const around = video.parentElement.getBoundingClientRect();
  overlay.style.left = `${box.left - around.left}px`;
  overlay.style.top = `${box.top - around.top}px`;
  overlay.style.width = `${box.width}px`;
  overlay.style.height = `${box.height}px`;
  kdStale = setTimeout(() => overlay.remove(), 1500);
}

// Bars that follow a clip: `data-frames` has a time and the values of each frame.
function kdSetBar(bar, value) {
  const [low, high] = [Number(bar.dataset.low), Number(bar.dataset.high)];
  const share = (one) => 100 * (Math.min(Math.max(one, low), high) - low) / (high - low);
  const ends = value === null ? [0, 0] : [share(0), share(value)];
  const line = bar.querySelector("i");
  line.style.left = `${Math.min(...ends)}%`;
  line.style.width = `${Math.abs(ends[1] - ends[0])}%`;
  line.hidden = value === null;
  const unit = bar.dataset.unit;
  const told = unit ? Math.round(value) + 0 : value?.toFixed(2);  // + 0: no -0
  bar.querySelector("b").textContent = value === null ? "–" : told + unit;
}

function kdFollow(video, on) {
  const bars = document.querySelector("#video-measures .kd-bars");
  const frames = bars && JSON.parse(bars.dataset.frames || "[]");
  if (!frames?.length) return;
  const [...rows] = bars.querySelectorAll("div");
  const step = () => {
    if (!bars.isConnected) return;
    const frame = frames.findLast((one) => one[0] <= video.currentTime + 0.01) ?? frames[0];
    for (const [index, row] of rows.entries()) kdSetBar(row, frame[index + 1]);
    const last = frames.at(-1)[0];
    const first = frames[0][0];
    const share = Math.min(1, Math.max(0, (video.currentTime - first) / (last - first || 1)));
    for (const mark of document.querySelectorAll("#video-measures .kd-now")) {
      mark.setAttribute("transform", `translate(${share * Number(mark.dataset.width)} 0)`);
    }
    if (on && !video.paused && !video.ended) requestAnimationFrame(step);
  };
  step();
}

// Events of media do not bubble.
for (const name of ["play", "seeked"]) {
  document.addEventListener(name, (event) => {
    if (event.target.matches?.("#video-view video")) kdFollow(event.target, name === "play");
  }, true);
}

// The styles that a picture on its own needs.
const kdDrawn = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "display", "r",
  "paint-order", "font-family", "text-anchor", "dominant-baseline", "stroke-linejoin"];
const kdSmallestPicture = 1024;
const kdLargestPicture = 2048;

async function kdSavePicture(selector) {
  const shown = document.querySelector(selector);
  if (!shown) return;
  const copy = shown.cloneNode(true);
  const pairs = [shown, ...shown.querySelectorAll("*")].entries();
  const copies = [copy, ...copy.querySelectorAll("*")];
  for (const [index, element] of pairs) {
    const style = getComputedStyle(element);
    for (const key of kdDrawn) copies[index].style.setProperty(key, style.getPropertyValue(key));
  }
  const box = shown.viewBox.baseVal;
  // What is enlarged on the page is enlarged in the file; the page has no more of a large photo.
  const longest = Math.max(box.width, box.height);
  const wanted = shown.closest("[data-face]") ? kdSmallestPicture / longest : 1;
  const scale = Math.min(Math.max(1, wanted), Math.max(wanted, kdLargestPicture / longest));
  const [width, height] = [box.width, box.height].map((side) => Math.round(side * scale));
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.style.display = "block";
  const photo = copy.querySelector("image");
  photo?.remove();  // Safari may draw the rest before it has decoded a picture inside
  const text = new XMLSerializer().serializeToString(copy);
  const address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  try {
    for (const source of [photo?.getAttribute("href"), address].filter(Boolean)) {
      const picture = new Image();
      picture.src = source;
      await picture.decode();
      context.drawImage(picture, 0, 0, width, height);
    }
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    if (!blob) throw new Error("the browser has no room for it");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = shown.closest("[data-face]") ? "face.png" : "landmarks.png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  } catch (error) {
    alert(`The picture cannot be saved: ${error.message}`);
  } finally {
    URL.revokeObjectURL(address);
  }
}
