// Race descent, Adam and L-BFGS down a valley: click a start, choose how steep, count evaluations.
//
// Plain JavaScript, no library, no request: it works from file://. The function is f = (x1^2 + steep * x2^2) / 2. Adam is
// that of handstyle/optimize/adam.py; L-BFGS has the two loops of chapter 17 and halves its step until the value falls.

"use strict";

const VALLEY_WIDTH = 520;
const VALLEY_HEIGHT = 300;
const REACH = 13; // x1 from -REACH to REACH
const EVALUATIONS = 60;

const dot = (a, b) => a[0] * b[0] + a[1] * b[1];
const plus = (a, t, b) => [a[0] + t * b[0], a[1] + t * b[1]];

class Valley {
  constructor(steep) {
    this.steep = steep;
    this.path = []; // every evaluation: [x1, x2, value]
  }

  at(x) {
    const value = (x[0] ** 2 + this.steep * x[1] ** 2) / 2;
    this.path.push([x[0], x[1], value]);
    return { value, g: [x[0], this.steep * x[1]] };
  }

  get spent() {
    return this.path.length >= EVALUATIONS;
  }
}

// The best fixed rate for this valley, 2 / (1 + steep).
function descent(valley, x) {
  while (!valley.spent) x = plus(x, -2 / (1 + valley.steep), valley.at(x).g);
}

function adam(valley, x, rate = 0.5) {
  let m = [0, 0];
  let s = [0, 0];
  for (let t = 1; !valley.spent; t++) {
    const { g } = valley.at(x);
    m = m.map((value, i) => 0.9 * value + 0.1 * g[i]);
    s = s.map((value, i) => 0.999 * value + 0.001 * g[i] ** 2);
    x = x.map((value, i) => value - (rate * (m[i] / (1 - 0.9 ** t))) / (Math.sqrt(s[i] / (1 - 0.999 ** t)) + 1e-8));
  }
}

function twoLoop(g, pairs) {
  let q = g;
  const alphas = [];
  for (const [s, y] of [...pairs].reverse()) {
    const alpha = dot(s, q) / dot(s, y);
    alphas.unshift(alpha);
    q = plus(q, -alpha, y);
  }
  const [s, y] = pairs[pairs.length - 1];
  let r = q.map((value) => (value * dot(s, y)) / dot(y, y));
  pairs.forEach(([s, y], k) => {
    r = plus(r, alphas[k] - dot(y, r) / dot(s, y), s);
  });
  return r;
}

function lbfgs(valley, x) {
  let here = valley.at(x);
  const pairs = [];
  while (!valley.spent && dot(here.g, here.g) > 1e-20) {
    const d = (pairs.length ? twoLoop(here.g, pairs) : here.g).map((value) => -value);
    let t = pairs.length ? 1 : 1 / Math.sqrt(dot(here.g, here.g));
    let there = valley.at(plus(x, t, d));
    while (there.value > here.value + 1e-4 * t * dot(here.g, d) && !valley.spent) {
      t /= 2;
      there = valley.at(plus(x, t, d));
    }
    const s = [t * d[0], t * d[1]];
    const y = plus(there.g, -1, here.g);
    if (dot(s, y) > 0) pairs.push([s, y]);
    if (pairs.length > 10) pairs.shift();
    x = plus(x, t, d);
    here = there;
  }
}

const RUNNERS = [["descent", descent, "#1f5fa8"], ["Adam", adam, "#2e7d5b"], ["L-BFGS", lbfgs, "#d9622b"]];

class ValleyLab {
  constructor(place) {
    this.place = place;
    this.start = [10, 4];
    place.innerHTML = `
      <p>click a start, or move it with the arrow keys</p>
      <canvas width="${VALLEY_WIDTH}" height="${VALLEY_HEIGHT}" tabindex="0" role="img"
        aria-label="Contours of a valley with the paths of three optimizers from one start"></canvas>
      <p><label>steepness <input class="lab-steep" type="range" min="1" max="100" value="10"></label>
        <output class="lab-steep-shown"></output>
        <label>&ensp; evaluations <input class="lab-count" type="range" min="1" max="${EVALUATIONS}" value="20"></label>
        <output class="lab-count-shown"></output>
        <button type="button" class="lab-race">race</button></p>
      <table aria-live="polite"><tbody></tbody></table>`;
    this.canvas = place.querySelector("canvas");
    this.count = place.querySelector(".lab-count");
    this.canvas.addEventListener("pointerdown", (event) => {
      const box = this.canvas.getBoundingClientRect();
      const x = (event.clientX - box.left) * (VALLEY_WIDTH / box.width);
      const y = (event.clientY - box.top) * (VALLEY_HEIGHT / box.height);
      this.move([(x - VALLEY_WIDTH / 2) / this.scale, (VALLEY_HEIGHT / 2 - y) / this.scale]);
    });
    this.canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: [0, 0.5], ArrowDown: [0, -0.5], ArrowLeft: [-0.5, 0], ArrowRight: [0.5, 0] };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.move(plus(this.start, 1, steps[event.key]));
    });
    for (const input of place.querySelectorAll("input")) input.addEventListener("input", () => this.update());
    place.querySelector(".lab-race").addEventListener("click", () => this.race());
    this.update();
  }

  get scale() {
    return VALLEY_WIDTH / (2 * REACH);
  }

  move(x) {
    this.start = x.map((value) => Math.round(10 * Math.min(Math.max(value, -REACH), REACH)) / 10);
    this.update();
  }

  race() {
    clearInterval(this.timer);
    this.count.value = 1;
    this.update();
    this.timer = setInterval(() => {
      this.count.value = Number(this.count.value) + 1;
      this.update();
      if (Number(this.count.value) >= EVALUATIONS) clearInterval(this.timer);
    }, 150);
  }

  point(x) {
    return [VALLEY_WIDTH / 2 + x[0] * this.scale, VALLEY_HEIGHT / 2 - x[1] * this.scale];
  }

  update() {
    const steep = Number(this.place.querySelector(".lab-steep").value);
    const count = Number(this.count.value);
    this.place.querySelector(".lab-steep-shown").textContent = steep;
    this.place.querySelector(".lab-count-shown").textContent = count;
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, VALLEY_WIDTH, VALLEY_HEIGHT);
    context.lineWidth = 1;
    context.strokeStyle = "#c8ccd2";
    for (let a = 1.5; a < 3 * REACH; a *= 1.5) {
      context.beginPath();
      context.ellipse(...this.point([0, 0]), a * this.scale, (a * this.scale) / Math.sqrt(steep), 0, 0, 2 * Math.PI);
      context.stroke();
    }
    const rows = [];
    this.values = {};
    for (const [name, run, color] of RUNNERS) {
      const valley = new Valley(steep);
      run(valley, this.start);
      const path = valley.path.slice(0, count);
      context.strokeStyle = color;
      context.fillStyle = color;
      context.lineWidth = 2;
      context.beginPath();
      path.forEach((x) => context.lineTo(...this.point(x)));
      context.stroke();
      path.forEach((x) => context.fillRect(...this.point(x).map((value) => value - 2), 4, 4));
      this.values[name] = Math.min(...path.map((x) => x[2]));
      rows.push(`<tr><th scope="row"><span style="color:${color}" aria-hidden="true">▬</span> ${name}</th><td>${this.values[name].toExponential(3)}</td></tr>`);
    }
    const body = this.place.querySelector("tbody");
    body.innerHTML = `<tr><td></td><th scope="col">best value</th></tr>${rows.join("")}`;
  }
}

document.querySelectorAll(".valley-lab").forEach((place) => {
  place.lab = new ValleyLab(place);
});
