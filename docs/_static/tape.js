// The worked example of the sweep, with numbers to change and bugs to switch on.
//
// Plain JavaScript, no library, no request: it works from file://. The chain is a = 3x, b = max(a, 0), c = -2b, with
// losses (a - 5)^2 / 2 and (c + 10)^2 / 2; the sweep is that of handstyle.network.sequence.

"use strict";

const TAPE_LAYERS = [
  { name: "a", forward: (x) => 3 * x, backward: (dy) => 3 * dy },
  { name: "b", forward: (x) => Math.max(x, 0), backward: (dy, x) => (x > 0 ? dy : 0) },
  { name: "c", forward: (x) => -2 * x, backward: (dy) => -2 * dy },
];
const TAPE_TARGETS = { a: 5, b: 1, c: -10 };

// Each sweep gives the gradient on every wire, from the input's to the output's.
const TAPE_SWEEPS = {
  "the true sweep": (g, entering, layer, x) => layer.backward(g + entering, x),
  "a tap overwrites": (g, entering, layer, x, tapped) => layer.backward(tapped ? entering : g, x),
  "only the deepest tap": (g, entering, layer, x, tapped, begun) => layer.backward(begun ? g : entering, x),
  "a tap enters behind its layer": (g, entering, layer, x) => layer.backward(g, x) + entering,
};

function tapeForward(x) {
  const wires = [x];
  for (const layer of TAPE_LAYERS) wires.push(layer.forward(wires[wires.length - 1]));
  return wires;
}

function tapeLoss(x, taps) {
  const wires = tapeForward(x);
  return TAPE_LAYERS.reduce((sum, layer, k) => {
    return sum + (taps[layer.name] ? (wires[k + 1] - TAPE_TARGETS[layer.name]) ** 2 / 2 : 0);
  }, 0);
}

function tapeBackward(x, taps, sweep) {
  const wires = tapeForward(x);
  const gradients = [0, 0, 0, 0];
  const added = [0, 0, 0];
  let begun = false;
  for (let k = TAPE_LAYERS.length - 1; k >= 0; k--) {
    const layer = TAPE_LAYERS[k];
    const tapped = taps[layer.name];
    added[k] = tapped ? wires[k + 1] - TAPE_TARGETS[layer.name] : 0;
    gradients[k] = TAPE_SWEEPS[sweep](gradients[k + 1], added[k], layer, wires[k], tapped, begun);
    begun = begun || tapped;
  }
  return { wires, gradients, added };
}

class Tape {
  constructor(place) {
    place.classList.add("kernel-lab"); // for its looks
    this.place = place;
    const sweeps = Object.keys(TAPE_SWEEPS).map((name) => `<option>${name}</option>`).join("");
    const taps = TAPE_LAYERS.map(({ name }) => {
      return `<label><input type="checkbox" value="${name}"${name === "b" ? "" : " checked"}> at ${name}</label>`;
    }).join(" ");
    place.innerHTML = `
      <p style="margin:0 0 .5rem 0"><label>x = <input class="tape-x" type="number" value="2" step="0.5" style="width:5em"></label>
        &nbsp; losses ${taps} &nbsp; <label>sweep <select>${sweeps}</select></label></p>
      <div style="overflow-x:auto"><table class="tape-wires"></table></div>
      <div class="lab-sum" aria-live="polite"></div>`;
    place.addEventListener("input", () => this.update());
    this.update();
  }

  update() {
    const x = Number(this.place.querySelector(".tape-x").value) || 0;
    const taps = {};
    for (const box of this.place.querySelectorAll("input[type=checkbox]")) taps[box.value] = box.checked;
    const sweep = this.place.querySelector("select").value;
    const { wires, gradients, added } = tapeBackward(x, taps, sweep);
    const show = (value) => String(Math.round(value * 1000) / 1000).replace("-", "−");
    const names = ["x", "a = 3x", "b = max(a, 0)", "c = −2b"];
    const row = (title, cells) => `<tr><th scope="row" style="text-align:left">${title}</th>${cells.map((c) => `<td>${c}</td>`).join("")}</tr>`;
    this.place.querySelector(".tape-wires").innerHTML =
      row("wire", names) +
      row("value, forward →", wires.map(show)) +
      row("gradient of its own loss", ["", ...TAPE_LAYERS.map(({ name }, k) => (taps[name] ? show(added[k]) : "no loss"))]) +
      row("what the sweep brings from the right ←", gradients.map(show));
    const h = 1e-5;
    const slope = (tapeLoss(x + h, taps) - tapeLoss(x - h, taps)) / (2 * h);
    const right = Math.abs(slope - gradients[0]) <= 1e-5 * Math.max(1, Math.abs(slope));
    this.place.querySelector(".lab-sum").textContent =
      `L = ${show(tapeLoss(x, taps))};  gradient at x by the sweep: ${show(gradients[0])}, by a difference: ${show(slope)}: ` +
      (right ? "equal" : "WRONG");
  }
}

document.querySelectorAll(".tape-lab").forEach((place) => {
  place.lab = new Tape(place);
});
