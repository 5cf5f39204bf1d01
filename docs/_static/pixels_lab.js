// Two pixels and one filter, the edge between them: move the pixels, weigh the style, take steps.
//
// Plain JavaScript, no library, no request: it works from file://. The arithmetic is that of `two_pixels` on the page.

"use strict";

const WANTED_EDGE = 20; // the photograph's
const WANTED_SQUARE = 100; // the painting's mean square of edges
const PLOT = { left: 40, top: 12, width: 530, height: 150, from: -10, to: 30, most: 12 };

function contentOf(f) {
  return ((f - WANTED_EDGE) / WANTED_EDGE) ** 2;
}

function styleOf(f) {
  return ((f * f - WANTED_SQUARE) / WANTED_SQUARE) ** 2;
}

// The derivative of content + weight · style by the edge.
function slopeAt(f, weight) {
  return (2 * (f - WANTED_EDGE)) / WANTED_EDGE ** 2
    + (weight * 4 * f * (f * f - WANTED_SQUARE)) / WANTED_SQUARE ** 2;
}

function plotX(f) {
  return PLOT.left + ((f - PLOT.from) / (PLOT.to - PLOT.from)) * PLOT.width;
}

function plotY(value) {
  return PLOT.top + (1 - value / PLOT.most) * PLOT.height;
}

function curve(loss, color, width) {
  const points = [];
  for (let f = PLOT.from; f <= PLOT.to; f += 0.125) {
    if (loss(f) <= PLOT.most) points.push(`${plotX(f).toFixed(1)},${plotY(loss(f)).toFixed(1)}`); // what is higher is not shown
  }
  return `<polyline points="${points.join(" ")}" fill="none" stroke="${color}" stroke-width="${width}"/>`;
}

function fixed(value, digits) {
  return value.toFixed(digits).replace("-", "−");
}

class PixelsLab {
  constructor(place) {
    this.place = place;
    this.weight = 1;
    this.steps = 0;
    place.innerHTML = `
      <div class="lab-row">
        <div class="lab-cell"><label>pixel 1 <output></output><br><input type="range" min="0" max="40" step="0.1" aria-label="pixel 1"></label></div>
        <div class="lab-cell"><label>pixel 2 <output></output><br><input type="range" min="0" max="40" step="0.1" aria-label="pixel 2"></label></div>
        <div class="lab-cell"><label>weight of the style <output></output><br><input type="range" min="0" max="1.5" step="0.1" aria-label="weight of the style"></label></div>
      </div>
      <div class="lab-wide"><svg viewBox="0 0 592 208" role="img"></svg></div>
      <p class="lab-legend"><i style="background:#3f86d0"></i>content; <i style="background:#d9622b"></i>style, by its weight;
        thick: their sum, the loss; <i style="background:#2e7d5b"></i>where the two pixels are</p>
      <button type="button" class="one">one step</button>
      <button type="button" class="many">sixty steps</button>
      <button type="button" class="back">back to the photograph</button>
      <div class="lab-sum" aria-live="polite"></div>`;
    this.sliders = [...place.querySelectorAll("input")];
    this.outputs = [...place.querySelectorAll("output")];
    this.sliders.forEach((slider, k) => {
      slider.addEventListener("input", () => {
        if (k < 2) this.p[k] = Number(slider.value);
        else this.weight = Number(slider.value);
        this.steps = 0;
        this.update();
      });
    });
    place.querySelector(".one").addEventListener("click", () => this.descend(1));
    place.querySelector(".many").addEventListener("click", () => this.descend(60));
    place.querySelector(".back").addEventListener("click", () => this.begin());
    this.begin();
  }

  begin() {
    this.p = [10, 30];
    this.steps = 0;
    this.update();
  }

  descend(steps) {
    for (let k = 0; k < steps; k++) {
      const slope = slopeAt(this.p[1] - this.p[0], this.weight);
      this.p = [this.p[0] + slope, this.p[1] - slope];
    }
    this.steps += steps;
    this.update();
  }

  update() {
    const edge = this.p[1] - this.p[0];
    const slope = slopeAt(edge, this.weight);
    const total = (f) => contentOf(f) + this.weight * styleOf(f);
    [...this.p, this.weight].forEach((value, k) => {
      this.sliders[k].value = value;
      this.outputs[k].textContent = fixed(value, 1);
    });
    const seen = Math.max(PLOT.from, Math.min(PLOT.to, edge));
    const ticks = [-10, 0, 10, 20, 30].map((f) =>
      `<text x="${plotX(f)}" y="${PLOT.top + PLOT.height + 18}" text-anchor="middle">${fixed(f, 0)}</text>`);
    const svg = this.place.querySelector("svg");
    svg.setAttribute("aria-label", `the loss over the edge; the edge is ${edge.toFixed(2)}, the loss ${total(edge).toFixed(4)}`);
    svg.innerHTML = `<g fill="currentColor">
      <line x1="${PLOT.left}" x2="${PLOT.left + PLOT.width}" y1="${plotY(0)}" y2="${plotY(0)}" stroke="currentColor"/>
      ${ticks.join("")}
      <text x="${PLOT.left + PLOT.width}" y="204" text-anchor="end">the edge between the pixels</text>
      ${curve(contentOf, "#3f86d0", 1.5)}${curve((f) => this.weight * styleOf(f), "#d9622b", 1.5)}
      ${curve(total, "currentColor", 2.5)}
      <circle cx="${plotX(seen)}" cy="${plotY(Math.min(total(seen), PLOT.most))}" r="6" fill="#2e7d5b" stroke="currentColor"/></g>`;
    this.place.querySelector(".lab-sum").textContent =
      `${this.steps ? `step ${this.steps}: ` : ""}p = (${fixed(this.p[0], 2)}, ${fixed(this.p[1], 2)}), `
      + `edge ${fixed(edge, 2)}; content ${fixed(contentOf(edge), 4)} + style ${fixed(this.weight * styleOf(edge), 4)} `
      + `= ${fixed(total(edge), 4)}; gradient (${fixed(-slope, 4)}, ${fixed(slope, 4)})`;
  }
}

document.querySelectorAll(".pixels-lab").forEach((place) => {
  place.lab = new PixelsLab(place);
});
