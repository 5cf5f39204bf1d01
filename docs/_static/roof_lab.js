// The roofline of a machine: choose its two rates and a layer, and see which of them the layer waits for.
//
// Plain JavaScript, no library, no request: it works from file://. Operations and bytes of a convolution are those of
// handstyle.kernels.counting.convolution_cost by lowering: F = 18 HWCK, Q = 4 (HWC + HWK + 9 CK).

"use strict";

const ROOF_WIDTH = 640;
const ROOF_HEIGHT = 300;
const ROOF_LEFT = 70;
const ROOF_BOTTOM = 34;
const ROOF_X = [-1, 3.5]; // powers of ten of operations a byte
const ROOF_Y = [8, 15]; // powers of ten of operations a second
const ROOF_SIDE = 512;
const ROOF_CONVOLUTIONS = [
  ["conv1_1", 3, 64, 1], ["conv1_2", 64, 64, 1], ["conv2_1", 64, 128, 2], ["conv3_2", 256, 256, 4],
  ["conv4_2", 512, 512, 8], ["conv5_1", 512, 512, 16],
];

// {name, F, Q} for layers of VGG-19 at 512 x 512.
function roofLayers() {
  const layers = ROOF_CONVOLUTIONS.map(([name, C, K, scale]) => {
    const pixels = (ROOF_SIDE / scale) ** 2;
    return { name, F: 18 * pixels * C * K, Q: 4 * (pixels * (C + K) + 9 * C * K) };
  });
  const values = ROOF_SIDE ** 2 * 64;
  layers.push({ name: "relu1_1", F: values, Q: 8 * values });
  return layers;
}

class RoofLab {
  constructor(place) {
    this.place = place;
    this.layers = roofLayers();
    const choices = this.layers.map(({ name }) => `<option${name === "conv3_2" ? " selected" : ""}>${name}</option>`).join("");
    place.innerHTML = `
      <p style="margin:0 0 .5rem 0">
        <label>arithmetic <input class="lab-flops" type="range" min="9.5" max="14.5" step="0.05" value="10.78"
          aria-label="the power of ten of the operations a second"></label> <output class="lab-flops-shown"></output><br>
        <label>memory <input class="lab-bytes" type="range" min="9" max="13" step="0.05" value="9.9"
          aria-label="the power of ten of the bytes a second"></label> <output class="lab-bytes-shown"></output><br>
        <label>layer <select>${choices}</select></label></p>
      <div class="lab-wide" tabindex="0" role="group" aria-label="the roofline"><svg viewBox="0 0 ${ROOF_WIDTH} ${ROOF_HEIGHT}" style="width:100%;max-width:${ROOF_WIDTH}px;display:block" role="img"
        aria-label="Rate over operations a byte, both logarithmic: a slope and a flat roof, and a dot for each layer on it"></svg></div>
      <p class="lab-legend">up: operations a second, across: operations a byte; a dot is a layer at 512 × 512,
        <i style="background:#1f77d0"></i>waiting for arithmetic or <i style="background:#d9622b"></i>for memory</p>
      <div class="lab-sum" aria-live="polite"></div>`;
    for (const input of place.querySelectorAll("input, select")) input.addEventListener("input", () => this.update());
    this.update();
  }

  at(intensity, rate) {
    const part = (value, [low, high]) => (Math.min(Math.max(Math.log10(value), low), high) - low) / (high - low);
    return [
      ROOF_LEFT + part(intensity, ROOF_X) * (ROOF_WIDTH - ROOF_LEFT - 10),
      (1 - part(rate, ROOF_Y)) * (ROOF_HEIGHT - ROOF_BOTTOM - 10) + 10,
    ];
  }

  text(x, y, words, anchor) {
    return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="currentColor">${words}</text>`;
  }

  update() {
    const P = 10 ** Number(this.place.querySelector(".lab-flops").value);
    const beta = 10 ** Number(this.place.querySelector(".lab-bytes").value);
    const chosen = this.place.querySelector("select").value;
    this.place.querySelector(".lab-flops-shown").textContent = `${(P / 1e9).toPrecision(3)} · 10⁹ operations a second`;
    this.place.querySelector(".lab-bytes-shown").textContent = `${(beta / 1e9).toPrecision(3)} · 10⁹ bytes a second`;
    const parts = [];
    for (let k = 8; k <= 14; k += 2) {
      const [x, y] = this.at(0.1, 10 ** k);
      parts.push(`<line x1="${x}" x2="${ROOF_WIDTH - 10}" y1="${y}" y2="${y}" stroke="currentColor" opacity="0.15"/>`);
      parts.push(this.text(x - 6, y + 4, `1e${k}`, "end"));
    }
    for (const k of [0.1, 1, 10, 100, 1000]) parts.push(this.text(this.at(k, 1e9)[0], ROOF_HEIGHT - 8, k, "middle"));
    const [left, right] = ROOF_X.map((power) => 10 ** power);
    const balance = Math.min(Math.max(P / beta, left), right); // it may lie beyond what is shown
    const line = [left, balance, right].map((x) => this.at(x, Math.min(P, x * beta)).join(","));
    parts.push(`<polyline points="${line.join(" ")}" fill="none" stroke="currentColor" stroke-width="2"/>`);
    for (const { name, F, Q } of this.layers) {
      const [x, y] = this.at(F / Q, Math.min(P, (F / Q) * beta));
      const fill = F / Q < P / beta ? "#d9622b" : "#1f77d0";
      parts.push(`<circle cx="${x}" cy="${y}" r="${name === chosen ? 8 : 4.5}" fill="${fill}"/>`);
      if (name === chosen) parts.push(this.text(Math.min(Math.max(x, ROOF_LEFT + 60), ROOF_WIDTH - 60), y - 14, name, "middle"));
    }
    this.place.querySelector("svg").innerHTML = parts.join("");
    const { name, F, Q } = this.layers.find((layer) => layer.name === chosen);
    const [computing, moving] = [F / P, Q / beta];
    this.place.querySelector(".lab-sum").textContent =
      `${name}: ${(F / Q).toPrecision(3)} operations a byte; computing takes ${(1000 * computing).toPrecision(3)} ms, ` +
      `moving ${(1000 * moving).toPrecision(3)} ms: it waits for ${computing > moving ? "arithmetic" : "memory"}`;
  }
}

document.querySelectorAll(".roof-lab").forEach((place) => {
  place.lab = new RoofLab(place);
});
