// What happens in the browser alone: what is drawn on a photo, which face is chosen, the picture
// that is saved.

const kdParts = {
  "Points": "kdPoints",
  "Outlines": "kdOutlines",
  "Numbers": "kdNumbers",
  "Boxes": "kdBoxes",
  "Confidence colors": "kdColors",
};

// As data, not as classes: those of this element are Gradio's to write.
function kdShow(parts) {
  const view = document.getElementById("photo-view");
  for (const [part, name] of Object.entries(kdParts)) {
    view.dataset[name] = parts.includes(part) ? "on" : "off";
  }
}

function kdChoose(number) {
  for (const face of document.querySelectorAll("#photo-view .kd-face")) {
    face.classList.toggle("kd-chosen", face.dataset.face === String(number));
  }
}

// The styles that a picture on its own needs.
const kdDrawn = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "display",
  "paint-order", "font-family", "vector-effect", "stroke-linejoin"];

function kdSavePicture(id, name) {
  const shown = document.querySelector(`#${id} svg.kd-photo`);
  if (!shown) return;
  const copy = shown.cloneNode(true);
  const pairs = [shown, ...shown.querySelectorAll("*")].entries();
  const copies = [copy, ...copy.querySelectorAll("*")];
  for (const [index, element] of pairs) {
    const style = getComputedStyle(element);
    for (const key of kdDrawn) copies[index].style.setProperty(key, style.getPropertyValue(key));
  }
  const { width, height } = shown.viewBox.baseVal;
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.style.display = "block";
  const text = new XMLSerializer().serializeToString(copy);
  const address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  const picture = new Image();
  picture.onload = () => {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    canvas.getContext("2d").drawImage(picture, 0, 0, width, height);
    URL.revokeObjectURL(address);
    canvas.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    }, "image/png");
  };
  picture.src = address;
}
