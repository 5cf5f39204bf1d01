// Drag the points of a cloud of two-channel features and watch its Gram matrix, the style loss and the gradient.
//
// Plain JavaScript, no library, no request: it works from file://. The arithmetic is that of handstyle/losses/gram.py:
// G = sum over pixels of f fT / M, loss = |G - A|^2, and the gradient at a pixel is 4 f (G - A) / M.

"use strict";

const SIDE = 384; // screen pixels
const LOW = -3.2; // features shown, LOW to HIGH in both channels: no ellipse of such points reaches farther
const HIGH = 3.2;

// The worked example: three pixels of the picture, and the painting's Gram matrix.
const START = [[1, 0], [1, 1], [0, 2]];
const TARGET = [[2 / 3, 0], [0, 5 / 3]];

function gram(points) {
  const G = [[0, 0], [0, 0]];
  for (const f of points) {
    for (let i = 0; i < 2; i++) for (let j = 0; j < 2; j++) G[i][j] += (f[i] * f[j]) / points.length;
  }
  return G;
}

function minus(a, b) {
  return a.map((row, i) => row.map((value, j) => value - b[i][j]));
}

function lossOf(points) {
  return minus(gram(points), TARGET).flat().reduce((sum, value) => sum + value * value, 0);
}

// The gradient at each pixel: the same small matrix, applied to what the pixel has.
function gradients(points) {
  const D = minus(gram(points), TARGET);
  const factor = 4 / points.length;
  return points.map((f) => [factor * (f[0] * D[0][0] + f[1] * D[1][0]), factor * (f[0] * D[0][1] + f[1] * D[1][1])]);
}

// The points x with x G^-1 xT = 1: the root mean square of the cloud in each direction.
function ellipse(G) {
  const mean = (G[0][0] + G[1][1]) / 2;
  const gap = Math.hypot((G[0][0] - G[1][1]) / 2, G[0][1]);
  const turn = 0.5 * Math.atan2(2 * G[0][1], G[0][0] - G[1][1]);
  const a = Math.sqrt(Math.max(mean + gap, 0));
  const b = Math.sqrt(Math.max(mean - gap, 0));
  const points = [];
  for (let k = 0; k <= 60; k++) {
    const t = (2 * Math.PI * k) / 60;
    const u = a * Math.cos(t);
    const v = b * Math.sin(t);
    points.push([u * Math.cos(turn) - v * Math.sin(turn), u * Math.sin(turn) + v * Math.cos(turn)]);
  }
  return points;
}

function screen(f) {
  const scale = SIDE / (HIGH - LOW);
  return [(f[0] - LOW) * scale, SIDE - (f[1] - LOW) * scale];
}

class CloudLab {
  constructor(place) {
    this.place = place;
    this.reset();
    place.innerHTML = `
      <div class="lab-row">
        <div class="lab-cell">drag a point; or <kbd>1</kbd> to <kbd>3</kbd> to choose one, arrow keys to move it<br>
          <canvas width="${SIDE}" height="${SIDE}" tabindex="0" role="img"
            aria-label="Three points in a plane of two channels, with the ellipses of their Gram matrix and of the target"></canvas></div>
        <div class="lab-cell">
          <table aria-live="polite"><tbody class="lab-gram"></tbody></table>
          <p>blue: the picture's ellipse; dashed orange: the painting's; arrows: minus the gradient</p>
          <p>loss <strong class="lab-loss"></strong></p>
          <button type="button" class="lab-step">a step of 0.1 down the gradient</button>
          <button type="button" class="lab-reset">the worked example</button></div>
      </div>`;
    this.canvas = place.querySelector("canvas");
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      const at = this.feature(event);
      const distances = this.points.map((f) => Math.hypot(f[0] - at[0], f[1] - at[1]));
      this.chosen = distances.indexOf(Math.min(...distances));
      this.move(at);
    });
    this.canvas.addEventListener("pointermove", (event) => event.buttons && this.move(this.feature(event)));
    this.canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: [0, 0.1], ArrowDown: [0, -0.1], ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0] };
      if (["1", "2", "3"].includes(event.key)) this.chosen = Number(event.key) - 1;
      else if (!(event.key in steps)) return;
      event.preventDefault();
      const step = steps[event.key] || [0, 0];
      const f = this.points[this.chosen];
      this.move([f[0] + step[0], f[1] + step[1]]);
    });
    place.querySelector(".lab-step").addEventListener("click", () => this.descend(0.1));
    place.querySelector(".lab-reset").addEventListener("click", () => {
      this.reset();
      this.update();
    });
    this.update();
  }

  reset() {
    this.points = START.map((f) => [...f]);
    this.chosen = 1;
  }

  feature(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = LOW + ((event.clientX - box.left) / box.width) * (HIGH - LOW);
    const y = HIGH - ((event.clientY - box.top) / box.height) * (HIGH - LOW);
    return [Math.round(x * 20) / 20, Math.round(y * 20) / 20];
  }

  move(f) {
    this.points[this.chosen] = f.map((value) => Math.min(Math.max(value, LOW), HIGH));
    this.update();
  }

  descend(rate) {
    const all = gradients(this.points);
    this.points = this.points.map((f, r) => [f[0] - rate * all[r][0], f[1] - rate * all[r][1]]);
    this.update();
  }

  line(points, color, dashes) {
    const context = this.canvas.getContext("2d");
    context.beginPath();
    points.map(screen).forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.strokeStyle = color;
    context.setLineDash(dashes);
    context.lineWidth = 2;
    context.stroke();
    context.setLineDash([]);
  }

  arrow(from, to, color) {
    this.line([from, to], color, []);
    const [[x, y], [u, v]] = [screen(from), screen(to)];
    const angle = Math.atan2(v - y, u - x), size = Math.min(9, Math.hypot(u - x, v - y));
    if (size < 3) return; // as good as none
    const context = this.canvas.getContext("2d");
    context.beginPath();
    context.moveTo(u, v);
    for (const turn of [0.45, -0.45]) context.lineTo(u - size * Math.cos(angle + turn), v - size * Math.sin(angle + turn));
    context.fillStyle = color;
    context.fill();
  }

  update() {
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, SIDE, SIDE);
    this.line([[LOW, 0], [HIGH, 0]], "#c8ccd2", []);
    this.line([[0, LOW], [0, HIGH]], "#c8ccd2", []);
    const G = gram(this.points);
    this.line(ellipse(G), "#1f5fa8", []);
    this.line(ellipse(TARGET), "#d9622b", [6, 4]);
    const all = gradients(this.points);
    this.points.forEach((f, r) => {
      this.arrow(f, [f[0] - all[r][0], f[1] - all[r][1]], "#2e7d5b");
      const [x, y] = screen(f);
      context.beginPath();
      context.arc(x, y, r === this.chosen ? 8 : 6, 0, 2 * Math.PI);
      context.fillStyle = r === this.chosen ? "#0d2f57" : "#1f5fa8";
      context.fill();
      context.fillStyle = "#ffffff";
      context.font = "10px sans-serif";
      context.fillText(String(r + 1), x - 3, y + 3.5);
    });
    const row = (name, a) =>
      `<tr><th scope="row">${name}</th>${a.flat().map((value) => `<td>${value.toFixed(3).replace(/^-(?=0\.0+$)/, "")}</td>`).join("")}</tr>`;
    this.place.querySelector(".lab-gram").innerHTML =
      `<tr><td></td><th scope="col">11</th><th scope="col">12</th><th scope="col">21</th><th scope="col">22</th></tr>` +
      row("G", G) + row("A", TARGET) + row("G − A", minus(G, TARGET));
    this.place.querySelector(".lab-loss").textContent = lossOf(this.points).toFixed(4);
  }
}

document.querySelectorAll(".cloud-lab").forEach((place) => {
  place.lab = new CloudLab(place);
});
