// Point at a layer and at a place: the square of the picture that one number there can see.
//
// Plain JavaScript, no library, no request: it works from file://. The recursion is that of
// handstyle.network.vgg.summary: a convolution adds 2 strides to the field, a pool 1 stride, and doubles the stride.

"use strict";

const FIELD_SIDE = 256; // pixels of the picture, a side
const FIELD_ZOOM = 1.25; // screen pixels a picture pixel
const FIELD_COUNTS = { "VGG-19": [2, 2, 4, 4, 4], "VGG-16": [2, 2, 3, 3, 3] };

// [{name, field, stride}] for the layers of an architecture.
function fieldTable(counts) {
  const rows = [];
  let field = 1;
  let stride = 1;
  counts.forEach((count, k) => {
    for (let i = 1; i <= count; i++) {
      field += 2 * stride;
      rows.push({ name: `conv${k + 1}_${i}`, field, stride });
    }
    field += stride;
    stride *= 2;
    rows.push({ name: `pool${k + 1}`, field, stride });
  });
  return rows;
}

// An evening sky, a moon, a row of houses with windows; enough for sizes to mean something.
function drawTown(context) {
  const sky = context.createLinearGradient(0, 0, 0, 180);
  sky.addColorStop(0, "#16224d");
  sky.addColorStop(1, "#5a6aa8");
  context.fillStyle = sky;
  context.fillRect(0, 0, 256, 256);
  context.fillStyle = "#f4efd6";
  context.beginPath();
  context.arc(196, 46, 16, 0, 2 * Math.PI);
  context.fill();
  context.fillStyle = "#2b2f3a";
  context.fillRect(0, 200, 256, 56);
  const walls = ["#b8792f", "#8c4a34", "#c9a262", "#77563f", "#ad6b3c", "#93743f"];
  walls.forEach((wall, k) => {
    const left = 6 + 41 * k;
    const top = 124 + 9 * ((k * 2) % 3);
    context.fillStyle = wall;
    context.fillRect(left, top, 38, 200 - top);
    context.fillStyle = "#4a2a24";
    context.beginPath();
    context.moveTo(left - 2, top);
    context.lineTo(left + 19, top - 24);
    context.lineTo(left + 40, top);
    context.fill();
    context.fillStyle = "#f7d98a";
    for (let r = 0; r < 3; r++) {
      for (let s = 0; s < 3; s++) context.fillRect(left + 5 + 11 * s, top + 8 + 17 * r, 6, 9);
    }
  });
}

class ReceptiveField {
  constructor(place) {
    this.place = place;
    this.at = [128, 128];
    this.architecture = "VGG-19";
    this.layer = "conv3_1";
    const choices = Object.keys(FIELD_COUNTS).map((name) => `<option>${name}</option>`).join("");
    place.innerHTML = `
      <div class="lab-row">
        <div class="lab-cell"><canvas width="${FIELD_SIDE * FIELD_ZOOM}" height="${FIELD_SIDE * FIELD_ZOOM}" tabindex="0"
          role="img" aria-label="A picture of houses under a moon; a square shows what one number of the layer can see"></canvas></div>
        <div class="lab-cell"><label>network <select>${choices}</select></label>
          <div class="field-layers" role="listbox" tabindex="0" aria-label="layers; arrow keys choose"
            style="display:flex;flex-wrap:wrap;gap:.25rem;margin:.6rem 0"></div>
          <p>Point at a layer, then at the picture. On the keyboard: arrow keys, in the list and in the picture.</p></div>
      </div>
      <div class="lab-sum" aria-live="polite"></div>`;
    this.canvas = place.querySelector("canvas");
    this.list = place.querySelector(".field-layers");
    place.querySelector("select").addEventListener("change", (event) => {
      this.architecture = event.target.value;
      this.fill();
      this.update();
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const box = this.canvas.getBoundingClientRect();
      this.move(((event.clientX - box.left) / box.width) * FIELD_SIDE, ((event.clientY - box.top) / box.height) * FIELD_SIDE);
    });
    this.canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const { stride } = this.row();
      this.move(this.at[0] + steps[event.key][0] * stride, this.at[1] + steps[event.key][1] * stride);
    });
    this.list.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const names = this.table.map((row) => row.name);
      this.choose(names[Math.min(Math.max(names.indexOf(this.layer) + step, 0), names.length - 1)]);
    });
    this.fill();
    this.update();
  }

  fill() {
    this.table = fieldTable(FIELD_COUNTS[this.architecture]);
    if (!this.table.some((row) => row.name === this.layer)) this.layer = "conv3_1";
    this.list.innerHTML = "";
    for (const { name } of this.table) {
      const chip = document.createElement("span");
      chip.textContent = name;
      chip.dataset.layer = name;
      chip.setAttribute("role", "option");
      chip.style.cssText = "border:1px solid #8888;border-radius:4px;padding:.1rem .4rem;font-size:.8rem;cursor:pointer";
      chip.addEventListener("pointerenter", () => this.choose(name));
      chip.addEventListener("click", () => this.choose(name));
      this.list.append(chip);
    }
  }

  row() {
    return this.table.find((row) => row.name === this.layer);
  }

  choose(layer) {
    this.layer = layer;
    this.update();
  }

  move(s, r) {
    this.at = [Math.min(Math.max(s, 0), FIELD_SIDE - 1), Math.min(Math.max(r, 0), FIELD_SIDE - 1)];
    this.update();
  }

  update() {
    const { name, field, stride } = this.row();
    const context = this.canvas.getContext("2d");
    context.setTransform(FIELD_ZOOM, 0, 0, FIELD_ZOOM, 0, 0);
    drawTown(context);
    // The layer's numbers lie a stride apart; the one nearest to the pointer.
    const [s, r] = this.at.map((value) => (Math.floor(value / stride) + 0.5) * stride);
    context.fillStyle = "rgba(0, 0, 0, 0.55)";
    const [left, top] = [s - field / 2, r - field / 2];
    context.beginPath();
    context.rect(0, 0, FIELD_SIDE, FIELD_SIDE);
    context.rect(left, top, field, field);
    context.fill("evenodd");
    context.strokeStyle = "#e8590c";
    context.lineWidth = 1.5;
    context.strokeRect(left, top, field, field);
    for (const chip of this.list.children) {
      const chosen = chip.dataset.layer === name;
      chip.setAttribute("aria-selected", chosen);
      chip.style.outline = chosen ? "2px solid #e8590c" : "none";
    }
    this.place.querySelector(".lab-sum").textContent =
      `${name}: one number sees ${field} × ${field} pixels; its neighbor sees the same, ${stride} further on`;
  }
}

document.querySelectorAll(".receptive-field").forEach((place) => {
  place.lab = new ReceptiveField(place);
});
