// Two outputs of a correlation of length three, multiplication by multiplication: six one way, four by F(2, 3).
//
// Plain JavaScript, no library, no request: it works from file://. The three transforms are those that
// handstyle.kernels.winograd_matrices.transforms(2) returns. Below it the count for a whole map, as
// handstyle.kernels.counting.convolution_cost counts: tiles at the edge are computed whole.

"use strict";

const WINOGRAD_X = [1, 3, 2, 5];
const WINOGRAD_W = [2, 4, -2];

// The six products of the definition, y[k] = sum over i of x[k + i] w[i]: [name, value, output].
function directProducts(x, w) {
  const products = [];
  for (let k = 0; k < 2; k++) {
    for (let i = 0; i < 3; i++) products.push([`x${k + i} · w${i}`, x[k + i] * w[i], k]);
  }
  return products;
}

function transformKernel(w) {
  return [-w[0], (w[0] + w[1] + w[2]) / 2, (w[0] - w[1] + w[2]) / 2, w[2]];
}

function transformInput(x) {
  return [x[2] - x[0], x[1] + x[2], x[2] - x[1], x[3] - x[1]];
}

function transformBack(p) {
  return [p[0] + p[1] + p[2], p[1] - p[2] + p[3]];
}

// Multiplications for a map of H x W outputs and a pair of channels, with tiles of m x m.
function countTiles(H, W, m) {
  return (m + 2) ** 2 * Math.ceil(H / m) * Math.ceil(W / m);
}

class WinogradLab {
  constructor(place) {
    this.place = place;
    this.x = [...WINOGRAD_X];
    this.w = [...WINOGRAD_W];
    this.done = 0;
    place.innerHTML = `
      <p class="lab-x">x: </p>
      <p class="lab-w">w: </p>
      <p><button type="button" class="lab-next">multiply once</button>
        <button type="button" class="lab-again">begin again</button></p>
      <div class="lab-row">
        <div class="lab-cell"><strong>by the definition</strong><table class="lab-direct"></table>
          <div class="lab-sum lab-direct-sum" aria-live="polite"></div></div>
        <div class="lab-cell"><strong>by F(2, 3)</strong><table class="lab-tile"></table>
          <div class="lab-sum lab-tile-sum" aria-live="polite"></div></div>
      </div>
      <p style="margin:.9rem 0 0">A whole map of <label>height <input class="lab-height" type="number" min="1" value="30" style="width:5em"></label>
        <label>width <input class="lab-width" type="number" min="1" value="40" style="width:5em"></label>
        <label>tiles of <select><option value="2">2 × 2</option><option value="4">4 × 4</option><option value="6">6 × 6</option></select></label></p>
      <div class="lab-sum lab-count" aria-live="polite"></div>`;
    this.boxes(".lab-x", this.x, "x");
    this.boxes(".lab-w", this.w, "w");
    place.querySelector(".lab-next").addEventListener("click", () => this.step(this.done + 1));
    place.querySelector(".lab-again").addEventListener("click", () => this.step(0));
    for (const input of place.querySelectorAll(".lab-height, .lab-width, select")) {
      input.addEventListener("input", () => this.update());
    }
    this.update();
  }

  boxes(selector, values, name) {
    values.forEach((value, k) => {
      const box = document.createElement("input");
      box.type = "number";
      box.value = value;
      box.style.width = "3.6em"; // four beside one another on a phone
      box.setAttribute("aria-label", `${name}${k}`);
      box.addEventListener("input", () => {
        values[k] = Number(box.value) || 0;
        this.update();
      });
      this.place.querySelector(selector).append(box, " ");
    });
  }

  step(done) {
    this.done = Math.min(done, 6);
    this.update();
  }

  // A line a product: what is multiplied and, once it was, the result.
  list(selector, products) {
    const rows = products.map(([name, value], k) => {
      const result = k < this.done ? `<strong>${show(value)}</strong>` : "";
      return `<tr><td>${k + 1}</td><td style="text-align:left">${name}</td><td style="min-width:3.5em">${result}</td></tr>`;
    });
    this.place.querySelector(selector).innerHTML = rows.join("");
  }

  update() {
    const direct = directProducts(this.x, this.w);
    this.list(".lab-direct", direct);
    const sums = [0, 1].map((k) => direct.filter((product) => product[2] === k).reduce((sum, product) => sum + product[1], 0));

    const u = transformKernel(this.w);
    const v = transformInput(this.x);
    const products = u.map((value, k) => value * v[k]);
    const names = ["(x2 − x0) · (−w0)", "(x1 + x2) · ½(w0 + w1 + w2)", "(x2 − x1) · ½(w0 − w1 + w2)", "(x3 − x1) · w2"];
    this.list(".lab-tile", names.map((name, k) => [`${name} = ${show(v[k])} · ${show(u[k])}`, products[k]]));
    const outputs = transformBack(products);

    const said = (needed, y) => {
      if (this.done < needed) return `${this.done} of ${needed} multiplications`;
      return `${needed} multiplications: y0 = ${show(y[0])}, y1 = ${show(y[1])}`;
    };
    this.place.querySelector(".lab-direct-sum").textContent = said(6, sums);
    this.place.querySelector(".lab-tile-sum").textContent = said(4, outputs);

    const [H, W] = [".lab-height", ".lab-width"].map((name) => Math.max(1, Number(this.place.querySelector(name).value) || 1));
    const m = Number(this.place.querySelector("select").value);
    const [whole, tiled] = [9 * H * W, countTiles(H, W, m)];
    this.place.querySelector(".lab-count").textContent =
      `for each pair of channels ${whole} multiplications by the definition, ${tiled} in ` +
      `${Math.ceil(H / m)} × ${Math.ceil(W / m)} tiles: ${(whole / tiled).toFixed(2)} times fewer`;
  }
}

function show(value) {
  return String(Math.round(value * 1000) / 1000).replace("-", "−");
}

document.querySelectorAll(".winograd-lab").forEach((place) => {
  place.lab = new WinogradLab(place);
});
