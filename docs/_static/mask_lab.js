// Paint a mask and see what becomes of it at three layers of VGG, by the rule of the mean and by the strict one, and
// where the values that it counts pull on the picture: the leak map.
//
// Plain JavaScript, no library, no request: it works from file://. The arithmetic is that of handstyle/losses/regions.py:
// a convolution takes the mean (or the least) of its window of 3 x 3 within the picture, a pooling that of its block.
// The leak map is the backward sweep of a network whose kernels are all means and whose pools are averages, begun with
// the carried mask; its number is that of `leak`.

"use strict";

const MASK_ROWS = 48;
const MASK_COLUMNS = 64;
const MASK_ZOOM = 4; // screen pixels a picture pixel

// The way from the picture to each layer, counted from the layer before.
const WAY = [
  ["relu2_1", ["conv", "conv", "pool", "conv"]],
  ["relu3_1", ["conv", "pool", "conv"]],
  ["relu4_1", ["conv", "conv", "conv", "pool", "conv"]],
];

const MERGE = {
  fraction: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
  inside: (values) => Math.min(...values),
};

// The values of m in a rectangle, as far as it lies within.
function part(m, top, left, size) {
  const values = [];
  for (let r = Math.max(top, 0); r < Math.min(top + size, m.length); r++) {
    for (let s = Math.max(left, 0); s < Math.min(left + size, m[0].length); s++) values.push(m[r][s]);
  }
  return values;
}

function carry(m, steps, merge) {
  for (const step of steps) {
    const before = m;
    if (step === "conv") {
      m = before.map((row, r) => row.map((_, s) => merge(part(before, r - 1, s - 1, 3))));
    } else {
      m = Array.from({ length: before.length >> 1 }, (_, r) =>
        Array.from({ length: before[0].length >> 1 }, (_, s) => merge(part(before, 2 * r, 2 * s, 2))));
    }
  }
  return m;
}

// The sweep back: a kernel of nine ninths with zeros around the map is its own adjoint, a pool gives a quarter to each.
function sweepBack(d, steps) {
  for (const step of [...steps].reverse()) {
    const after = d;
    if (step === "conv") {
      d = after.map((row, r) => row.map((_, s) => part(after, r - 1, s - 1, 3).reduce((sum, value) => sum + value, 0) / 9));
    } else {
      d = Array.from({ length: 2 * after.length }, (_, r) =>
        Array.from({ length: 2 * after[0].length }, (_, s) => after[r >> 1][s >> 1] / 4));
    }
  }
  return d;
}

// The share of the squared pull where the mask is not.
function leakOf(pull, mask) {
  let outside = 0;
  let whole = 0;
  pull.forEach((row, r) =>
    row.forEach((value, s) => {
      outside += (1 - mask[r][s]) * value ** 2;
      whole += value ** 2;
    }));
  return whole ? outside / whole : 0;
}

class MaskLab {
  constructor(place) {
    this.place = place;
    this.at = [24, 32];
    this.clear();
    const canvas = (name, label, said) =>
      `<div class="lab-cell">${label}<br><canvas class="lab-${name}" width="${MASK_COLUMNS * MASK_ZOOM}"
        height="${MASK_ROWS * MASK_ZOOM}" role="img" aria-label="${label}"></canvas><br><span class="${said}"></span></div>`;
    const taps = WAY.map(([tap]) => tap);
    place.innerHTML = `
      <p>paint with the pointer; or move the brush with the arrow keys and paint with the space bar
        <label>brush <input class="lab-brush" type="range" min="1" max="12" value="5"></label>
        <label>rule <select class="lab-rule"><option>fraction</option><option>inside</option></select></label>
        <button type="button" class="lab-erase">erase</button></p>
      <div class="lab-row">${canvas("mask", "the mask", "mean-mask")}</div>
      <div class="lab-row">${taps.map((tap) => canvas(tap, `the mask at ${tap}`, `mean-${tap}`)).join("")}</div>
      <div class="lab-row">${taps.map((tap) => canvas(`leak-${tap}`, `where ${tap} pulls`, `share-${tap}`)).join("")}</div>`;
    this.canvas = place.querySelector(".lab-mask");
    this.canvas.tabIndex = 0;
    const paintAt = (event) => {
      const box = this.canvas.getBoundingClientRect();
      this.at = [
        Math.floor(((event.clientY - box.top) / box.height) * MASK_ROWS),
        Math.floor(((event.clientX - box.left) / box.width) * MASK_COLUMNS),
      ];
      this.paint();
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      paintAt(event);
    });
    this.canvas.addEventListener("pointermove", (event) => event.buttons && paintAt(event));
    this.canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      if (event.key === " ") this.paint();
      else if (event.key in steps) this.at = this.at.map((value, i) => value + steps[event.key][i]);
      else return;
      event.preventDefault();
      this.update();
    });
    place.querySelector(".lab-rule").addEventListener("change", () => this.update());
    place.querySelector(".lab-erase").addEventListener("click", () => {
      this.clear();
      this.update();
    });
    for (let s = 14; s < 40; s++) {
      this.at = [24, s];
      this.stamp(9);
    }
    this.update();
  }

  clear() {
    this.mask = Array.from({ length: MASK_ROWS }, () => new Array(MASK_COLUMNS).fill(0));
  }

  stamp(radius) {
    const [r0, s0] = this.at;
    for (let r = 0; r < MASK_ROWS; r++) {
      for (let s = 0; s < MASK_COLUMNS; s++) if ((r - r0) ** 2 + (s - s0) ** 2 < radius ** 2) this.mask[r][s] = 1;
    }
  }

  paint() {
    this.stamp(Number(this.place.querySelector(".lab-brush").value));
    this.update();
  }

  // Draw a plane of numbers, each in the color that `color` gives for it and its place.
  draw(name, m, color) {
    const context = this.place.querySelector(`.lab-${name}`).getContext("2d");
    const size = (MASK_COLUMNS * MASK_ZOOM) / m[0].length;
    m.forEach((row, r) =>
      row.forEach((value, s) => {
        context.fillStyle = color(value, r, s);
        context.fillRect(s * size, r * size, size, size);
      }));
  }

  show(name, m) {
    this.draw(name, m, (value) => `rgb(${[255, 255, 255].map((full) => Math.round(full * value)).join(", ")})`);
    const mean = MERGE.fraction(m.flat());
    this.place.querySelector(`.mean-${name}`).textContent = `mean ${mean.toFixed(4)}`;
  }

  // Gray within the mask, orange outside, brighter where the pull is stronger; a root, so that what is weak shows.
  showLeak(tap, pull) {
    const largest = Math.max(...pull.flat()) || 1;
    this.draw(`leak-${tap}`, pull, (value, r, s) => {
      const bright = Math.sqrt(value / largest);
      const hue = this.mask[r][s] ? [255, 255, 255] : [255, 140, 60];
      return `rgb(${hue.map((full) => Math.round(full * bright)).join(", ")})`;
    });
    const share = 100 * leakOf(pull, this.mask);
    this.place.querySelector(`.share-${tap}`).textContent = `${share.toFixed(3)} % outside`;
  }

  update() {
    this.at = [Math.min(Math.max(this.at[0], 0), MASK_ROWS - 1), Math.min(Math.max(this.at[1], 0), MASK_COLUMNS - 1)];
    let m = this.mask;
    this.show("mask", m);
    const walked = [];
    for (const [tap, steps] of WAY) {
      m = carry(m, steps, MERGE[this.place.querySelector(".lab-rule").value]);
      walked.push(...steps);
      this.show(tap, m);
      this.showLeak(tap, sweepBack(m, walked));
    }
    const context = this.canvas.getContext("2d");
    context.strokeStyle = "#e8590c";
    context.lineWidth = 2;
    context.strokeRect(this.at[1] * MASK_ZOOM - 2, this.at[0] * MASK_ZOOM - 2, MASK_ZOOM + 4, MASK_ZOOM + 4);
  }
}

document.querySelectorAll(".mask-lab").forEach((place) => {
  place.lab = new MaskLab(place);
});
