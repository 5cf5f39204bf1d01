// Sixteen numbers, four blocks: type, and see what the pool takes and where its gradient goes.
//
// Plain JavaScript, no library, no request: it works from file://. The arithmetic is that of
// handstyle/network/pooling.py for one channel and even sides.

"use strict";

const POOL_X = [[1, 3, 2, 0], [4, 2, 5, 5], [0, 0, 1, 8], [0, 0, 2, 3]];
const POOL_DY = [[1, 2], [3, 4]];
const POOL_COLORS = ["#1f5fa8", "#d9622b", "#2e7d5b", "#8a5aa8"];

// The four values of block [r][s] in reading order.
function blockOf(x, r, s) {
  return [x[2 * r][2 * s], x[2 * r][2 * s + 1], x[2 * r + 1][2 * s], x[2 * r + 1][2 * s + 1]];
}

// Of equals the first wins, as in the package.
function poolForward(x, kind) {
  const y = [[0, 0], [0, 0]];
  for (let r = 0; r < 2; r++) {
    for (let s = 0; s < 2; s++) {
      const block = blockOf(x, r, s);
      y[r][s] = kind === "max" ? Math.max(...block) : block.reduce((a, b) => a + b) / 4;
    }
  }
  return y;
}

function poolBackward(x, dy, kind) {
  const dx = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]];
  for (let r = 0; r < 2; r++) {
    for (let s = 0; s < 2; s++) {
      const block = blockOf(x, r, s);
      const choice = block.indexOf(Math.max(...block));
      for (let k = 0; k < 4; k++) {
        const share = kind === "max" ? Number(k === choice) : 1 / 4;
        dx[2 * r + Math.floor(k / 2)][2 * s + (k % 2)] = share * dy[r][s];
      }
    }
  }
  return dx;
}

function dot(a, b) {
  return a.flat().reduce((sum, value, k) => sum + value * b.flat()[k], 0);
}

function shown(value) {
  return String(Math.round(value * 1000) / 1000).replace("-", "−");
}

class PoolingLab {
  constructor(place) {
    this.place = place;
    this.x = POOL_X.map((row) => [...row]);
    this.dy = POOL_DY.map((row) => [...row]);
    this.kind = "max";
    place.innerHTML = `
      <fieldset style="border:0;padding:0;margin:0 0 .6rem 0"><legend>take from each block</legend>
        <label><input type="radio" name="pool-kind" value="max" checked> the largest</label>
        <label><input type="radio" name="pool-kind" value="average"> the average</label></fieldset>
      <div class="lab-row">
        <div class="lab-cell" style="flex:0 1 auto"><strong>x</strong>, to type in<table class="pool-x"></table></div>
        <div class="lab-cell" style="flex:0 1 auto"><strong>y</strong><table class="pool-y"></table></div>
        <div class="lab-cell" style="flex:0 1 auto"><strong>ȳ</strong>, to type in<table class="pool-dy"></table></div>
        <div class="lab-cell" style="flex:0 1 auto"><strong>x̄</strong><table class="pool-dx"></table></div>
      </div>
      <div class="lab-sum" aria-live="polite"></div>`;
    this.fill(".pool-x", this.x, "x");
    this.fill(".pool-dy", this.dy, "gradient at y");
    for (const radio of place.querySelectorAll("input[type=radio]")) {
      radio.addEventListener("change", () => {
        this.kind = radio.value;
        this.update();
      });
    }
    this.update();
  }

  // A table of boxes to type in, bound to the array `values`.
  fill(selector, values, name) {
    const table = this.place.querySelector(selector);
    values.forEach((row, r) => {
      const line = table.insertRow();
      row.forEach((value, s) => {
        const box = document.createElement("input");
        box.type = "number";
        box.value = value;
        box.style.width = "3.4em";
        box.setAttribute("aria-label", `${name}, row ${r}, column ${s}`);
        box.addEventListener("input", () => {
          values[r][s] = Number(box.value) || 0;
          this.update();
        });
        const cell = line.insertCell();
        cell.append(box);
        if (values === this.x) this.frame(cell, r, s);
      });
    });
  }

  // The hue of the block that a pixel lies in.
  frame(cell, r, s) {
    cell.style.boxShadow = `inset 0 0 0 2px ${POOL_COLORS[2 * Math.floor(r / 2) + Math.floor(s / 2)]}`;
  }

  show(selector, values) {
    const table = this.place.querySelector(selector);
    table.innerHTML = "";
    values.forEach((row, r) => {
      const line = table.insertRow();
      row.forEach((value, s) => {
        const cell = line.insertCell();
        cell.textContent = shown(value);
        cell.style.opacity = value === 0 ? 0.45 : 1;
        const small = values.length === 2;
        this.frame(cell, small ? 2 * r : r, small ? 2 * s : s);
        cell.style.padding = "0.35rem 0.7rem";
      });
    });
  }

  update() {
    const y = poolForward(this.x, this.kind);
    const dx = poolBackward(this.x, this.dy, this.kind);
    this.show(".pool-y", y);
    this.show(".pool-dx", dx);
    this.place.querySelector(".lab-sum").textContent =
      `⟨y, ȳ⟩ = ${shown(dot(y, this.dy))},   ⟨x, x̄⟩ = ${shown(dot(this.x, dx))}`;
  }
}

document.querySelectorAll(".pooling-lab").forEach((place) => {
  place.lab = new PoolingLab(place);
});
