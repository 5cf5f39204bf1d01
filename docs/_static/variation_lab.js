// A noisy step, smoothed by a variation of any power, and what an edge costs when it is spread out.
//
// Plain JavaScript, no library, no request: it works from file://. The curve minimizes
// 1/2 sum (p - noisy)^2 + weight * sum |d|^power over the differences d of neighbors, by reweighted least squares.

"use strict";

const N = 48; // pixels
const EDGE = 120; // height of the step in gray levels
const ZOOM_X = 11;
const HEIGHT = 220;

// A generator of the same noise for everybody (mulberry32), twelve uniform numbers a normal one.
function makeNoise() {
  let state = 7;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return Array.from({ length: N }, () => 9 * (Array.from({ length: 12 }, uniform).reduce((a, b) => a + b) - 6));
}

function differences(p) {
  return p.slice(1).map((value, i) => value - p[i]);
}

function variation(p, power) {
  return differences(p).reduce((sum, d) => sum + Math.abs(d) ** power, 0);
}

// Solve (I + D^T W D) p = b, a matrix with three diagonals, by elimination from the left.
function solve(w, b) {
  const diagonal = b.map((_, i) => 1 + (w[i - 1] || 0) + (w[i] || 0));
  const right = [...b];
  for (let i = 1; i < N; i++) {
    const factor = -w[i - 1] / diagonal[i - 1];
    diagonal[i] += factor * w[i - 1];
    right[i] -= factor * right[i - 1];
  }
  const p = new Array(N);
  p[N - 1] = right[N - 1] / diagonal[N - 1];
  for (let i = N - 2; i >= 0; i--) p[i] = (right[i] + w[i] * p[i + 1]) / diagonal[i];
  return p;
}

// Replace |d|^power by a parabola that touches it, solve, and again: the weights are phi'(d) / d.
function smooth(noisy, power, weight) {
  let p = [...noisy];
  for (let k = 0; k < 80; k++) {
    const w = differences(p).map((d) => weight * power * (d * d + 1e-4) ** (power / 2 - 1));
    p = solve(w, noisy);
  }
  return p;
}

class VariationLab {
  constructor(place) {
    this.place = place;
    const noise = makeNoise();
    this.noisy = noise.map((value, i) => (i < N / 2 ? 60 : 60 + EDGE) + value);
    place.innerHTML = `
      <div class="lab-row"><div class="lab-cell">
        <canvas width="${N * ZOOM_X}" height="${HEIGHT}" role="img"
          aria-label="A noisy step of 48 pixels and the smoothed curve through it"></canvas>
        <p class="lab-legend">dots: a noisy edge of ${EDGE} gray levels; line: the same after smoothing</p></div>
      <div class="lab-cell">
        <p><label>power <input class="lab-power" type="range" min="1" max="3" step="0.05" value="1"></label>
          <output class="lab-power-shown"></output></p>
        <p><label>strength <input class="lab-weight" type="range" min="0" max="100" value="50"></label>
          <output class="lab-weight-shown"></output></p>
        <p><label>spread an edge of ${EDGE} over <input class="lab-pixels" type="range" min="1" max="12" value="4"></label>
          <output class="lab-pixels-shown"></output> steps</p>
        <p>it costs <strong class="lab-cost"></strong> of what it costs in one</p></div></div>`;
    this.canvas = place.querySelector("canvas");
    for (const input of place.querySelectorAll("input")) input.addEventListener("input", () => this.update());
    this.update();
  }

  update() {
    const value = (name) => Number(this.place.querySelector(name).value);
    const power = value(".lab-power");
    const k = value(".lab-pixels");
    // The same strength for each power: what it does to a difference of ten gray levels.
    const weight = (0.02 * 1.09 ** value(".lab-weight") * 10 ** (2 - power)) / power;
    const p = smooth(this.noisy, power, weight);
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, this.canvas.width, HEIGHT);
    const y = (gray) => HEIGHT - ((gray - 20) / 200) * HEIGHT;
    context.fillStyle = "#7a7f87";
    this.noisy.forEach((gray, i) => context.fillRect((i + 0.5) * ZOOM_X - 2, y(gray) - 2, 4, 4));
    context.strokeStyle = "#1f5fa8";
    context.lineWidth = 2.5;
    context.beginPath();
    p.forEach((gray, i) => context.lineTo((i + 0.5) * ZOOM_X, y(gray)));
    context.stroke();
    const ramp = Array.from({ length: k + 1 }, (_, i) => (EDGE * i) / k);
    const share = variation(ramp, power) / variation([0, EDGE], power);
    this.place.querySelector(".lab-power-shown").textContent = power.toFixed(2);
    this.place.querySelector(".lab-weight-shown").textContent = weight.toPrecision(2);
    this.place.querySelector(".lab-pixels-shown").textContent = k;
    this.place.querySelector(".lab-cost").textContent = `${(100 * share).toFixed(1)} %`;
    this.curve = p;
  }
}

document.querySelectorAll(".variation-lab").forEach((place) => {
  place.lab = new VariationLab(place);
});
