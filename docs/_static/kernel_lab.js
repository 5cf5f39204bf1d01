// Drag a 3x3 kernel over a picture and watch nine shifted products add up.
//
// Plain JavaScript, no library, no request: it works from file://. The arithmetic is that of
// handstyle/network/convolution.py for one channel in and one out: y[r][s] = sum over i, j of xpad[r+i][s+j] * w[i][j].

"use strict";

const ROWS = 20;
const COLUMNS = 28;
const ZOOM = 10; // screen pixels a picture pixel

const KERNELS = {
  "vertical edges": [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
  "horizontal edges": [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
  "mean of nine": [[1 / 9, 1 / 9, 1 / 9], [1 / 9, 1 / 9, 1 / 9], [1 / 9, 1 / 9, 1 / 9]],
  "what differs from its neighbors": [[0, -1, 0], [-1, 4, -1], [0, -1, 0]],
  "shift to the left": [[0, 0, 0], [0, 0, 1], [0, 0, 0]],
  "the worked example": [[0, 1, 0], [0, 0, 2], [0, 0, 0]],
};

// The picture: an evening sky, a moon, a house. Values 0 to 9, so that the sums can be followed by eye.
function drawPicture() {
  const x = [];
  for (let r = 0; r < ROWS; r++) {
    x.push([]);
    for (let s = 0; s < COLUMNS; s++) {
      let value = Math.round(2 + (3 * r) / ROWS); // sky, lighter below
      if ((r - 5) ** 2 + (s - 21) ** 2 < 10) value = 9; // moon
      if (r >= 15) value = 1; // ground
      if (r >= 8 && r < 16 && s >= 5 && s < 15) value = 7; // wall
      if (r >= 3 && r < 8 && Math.abs(s - 9.5) <= (r - 2) * 1.2) value = 0; // roof
      if (r >= 10 && r < 13 && (s === 7 || s === 8 || s === 11 || s === 12)) value = 2; // windows
      x[r].push(value);
    }
  }
  return x;
}

// A border of one zero around x.
function pad(x) {
  const border = new Array(COLUMNS + 2).fill(0);
  return [border, ...x.map((row) => [0, ...row, 0]), border];
}

// The picture shifted by tap [i][j] and multiplied by its weight: one of the nine terms.
function shiftedProduct(xpad, w, i, j) {
  const term = [];
  for (let r = 0; r < ROWS; r++) term.push(xpad[r + i].slice(j, j + COLUMNS).map((value) => value * w[i][j]));
  return term;
}

function add(a, b) {
  return a.map((row, r) => row.map((value, s) => value + b[r][s]));
}

function number(value) {
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}

// Gray from low (black) to high (white); when there are negative values, zero is mid gray.
function paint(canvas, values, low, high) {
  const context = canvas.getContext("2d");
  for (let r = 0; r < ROWS; r++) {
    for (let s = 0; s < COLUMNS; s++) {
      const gray = Math.round((255 * (values[r][s] - low)) / (high - low || 1));
      context.fillStyle = `rgb(${gray}, ${gray}, ${gray})`;
      context.fillRect(s * ZOOM, r * ZOOM, ZOOM, ZOOM);
    }
  }
}

function rangeOf(values) {
  const all = values.flat();
  const size = Math.max(1e-9, ...all.map(Math.abs));
  return Math.min(...all) < 0 ? [-size, size] : [0, size];
}

function frame(canvas, r, s, rows, columns, hue) {
  const context = canvas.getContext("2d");
  context.strokeStyle = hue;
  context.lineWidth = 3;
  context.strokeRect(s * ZOOM, r * ZOOM, columns * ZOOM, rows * ZOOM);
}

class KernelLab {
  constructor(place) {
    this.place = place;
    this.x = drawPicture();
    this.xpad = pad(this.x);
    this.w = KERNELS["vertical edges"].map((row) => [...row]);
    this.at = [8, 5]; // the output pixel under the kernel
    this.added = 9; // how many of the nine terms the right picture shows
    this.build();
    this.update();
  }

  build() {
    const choices = Object.keys(KERNELS).map((name) => `<option>${name}</option>`).join("");
    this.place.innerHTML = `
      <div class="lab-row">
        <div class="lab-cell"><strong>x</strong>: drag the frame, or use the arrow keys<br>
          <canvas class="lab-input" width="${COLUMNS * ZOOM}" height="${ROWS * ZOOM}" tabindex="0" role="img"
            aria-label="Picture of a house and a moon under a movable frame of three by three pixels"></canvas></div>
        <div class="lab-cell"><strong>y</strong>: the sum of <span class="lab-added">9</span> of 9 shifted products<br>
          <canvas class="lab-output" width="${COLUMNS * ZOOM}" height="${ROWS * ZOOM}" role="img"
            aria-label="The picture convolved with the kernel, as far as its terms are added up"></canvas><br>
          <label>terms <input class="lab-slider" type="range" min="1" max="9" value="9"></label>
          <button type="button" class="lab-play">add one by one</button></div>
        <div class="lab-cell"><label>kernel <select>${choices}</select></label>
          <table class="lab-kernel" aria-label="The weights of the kernel, which can be changed"></table>
          <p class="lab-products-title">pixel × weight, at the frame</p>
          <table class="lab-products" aria-live="polite"></table></div>
      </div>
      <div class="lab-sum"></div>`;
    this.input = this.place.querySelector(".lab-input");
    this.output = this.place.querySelector(".lab-output");
    this.slider = this.place.querySelector(".lab-slider");
    this.fillKernel();

    const drag = (event) => {
      const box = this.input.getBoundingClientRect();
      const r = Math.floor(((event.clientY - box.top) / box.height) * ROWS);
      const s = Math.floor(((event.clientX - box.left) / box.width) * COLUMNS);
      this.move(r, s);
    };
    this.input.addEventListener("pointerdown", (event) => {
      this.input.setPointerCapture(event.pointerId);
      drag(event);
    });
    this.input.addEventListener("pointermove", (event) => event.buttons && drag(event));
    this.input.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.move(this.at[0] + steps[event.key][0], this.at[1] + steps[event.key][1]);
    });
    this.place.querySelector("select").addEventListener("change", (event) => {
      this.w = KERNELS[event.target.value].map((row) => [...row]);
      this.fillKernel();
      this.update();
    });
    this.slider.addEventListener("input", () => this.show(Number(this.slider.value)));
    this.place.querySelector(".lab-play").addEventListener("click", () => this.play());
  }

  // The nine weights as boxes to type in.
  fillKernel() {
    const table = this.place.querySelector(".lab-kernel");
    table.innerHTML = "";
    this.w.forEach((row, i) => {
      const line = table.insertRow();
      row.forEach((weight, j) => {
        const box = document.createElement("input");
        box.className = "tap";
        box.type = "number";
        box.step = "any";
        box.value = number(weight);
        box.setAttribute("aria-label", `weight, row ${i}, column ${j}`);
        box.addEventListener("input", () => {
          this.w[i][j] = Number(box.value) || 0;
          this.update();
        });
        line.insertCell().append(box);
      });
    });
  }

  move(r, s) {
    this.at = [Math.min(Math.max(r, 0), ROWS - 1), Math.min(Math.max(s, 0), COLUMNS - 1)];
    this.update();
  }

  show(added) {
    this.added = added;
    this.slider.value = added;
    this.update();
  }

  play() {
    clearInterval(this.timer);
    this.show(1);
    this.timer = setInterval(() => (this.added < 9 ? this.show(this.added + 1) : clearInterval(this.timer)), 600);
  }

  update() {
    const [r, s] = this.at;
    let y = this.x.map((row) => row.map(() => 0));
    let whole = y;
    for (let k = 0; k < 9; k++) {
      const term = shiftedProduct(this.xpad, this.w, Math.floor(k / 3), k % 3);
      whole = add(whole, term);
      if (k < this.added) y = add(y, term);
    }
    paint(this.input, this.x, 0, 9);
    frame(this.input, r - 1, s - 1, 3, 3, "#e8590c");
    paint(this.output, y, ...rangeOf(whole));
    frame(this.output, r, s, 1, 1, "#e8590c");

    const products = this.place.querySelector(".lab-products");
    products.innerHTML = "";
    const terms = [];
    for (let i = 0; i < 3; i++) {
      const line = products.insertRow();
      for (let j = 0; j < 3; j++) {
        const pixel = this.xpad[r + i][s + j];
        const cell = line.insertCell();
        cell.textContent = `${pixel} × ${number(this.w[i][j])}`;
        cell.style.opacity = 3 * i + j < this.added ? 1 : 0.3;
        if (3 * i + j < this.added) terms.push(number(pixel * this.w[i][j]));
      }
    }
    this.place.querySelector(".lab-added").textContent = this.added;
    this.place.querySelector(".lab-sum").textContent =
      `y[${r}, ${s}] = ${terms.join(" + ").replaceAll("+ -", "− ")} = ${number(y[r][s])}`;
  }
}

document.querySelectorAll(".kernel-lab").forEach((place) => {
  place.lab = new KernelLab(place);
});
