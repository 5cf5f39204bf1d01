// A zigzag of rectifiers: a central difference, the derivative, and the kinks that lie between its two ends.
//
// Plain JavaScript, no library, no request: it works from file://. The arithmetic is that of
// handstyle/network/relu.py and of `kinks_between`, an exercise of the page.

"use strict";

const KINKS = [-2, -1.3, -0.6, 0.1, 0.9, 1.5]; // where each rectifier opens
const SLOPES = [1.2, -2.1, 1.9, -1.6, 2.2, -2.4]; // what each adds to the slope behind it
const KINK_PLOT = { left: 20, right: 572, top: 16, bottom: 176, from: -2, to: 2, low: -0.8, high: 1.6 };

function zigzag(x) {
  return KINKS.reduce((sum, kink, k) => sum + SLOPES[k] * Math.max(x - kink, 0), 0);
}

function zigzagSlope(x) {
  return KINKS.reduce((sum, kink, k) => sum + (x > kink ? SLOPES[k] : 0), 0);
}

// Rectifiers whose state differs between the two ends.
function kinksBetween(x, h) {
  return KINKS.filter((kink) => x - h > kink !== x + h > kink).length;
}

function kinkX(x) {
  const { left, right, from, to } = KINK_PLOT;
  return left + ((x - from) / (to - from)) * (right - left);
}

function kinkY(value) {
  const { top, bottom, low, high } = KINK_PLOT;
  return bottom - ((value - low) / (high - low)) * (bottom - top);
}

function signedNumber(value, digits) {
  return value.toFixed(digits).replace("-", "−");
}

class KinksLab {
  constructor(place) {
    this.place = place;
    place.innerHTML = `
      <div class="lab-row">
        <div class="lab-cell"><label>the point x = <output></output><br><input type="range" min="-1.9" max="1.9" step="0.05" value="0.3" aria-label="the point x"></label></div>
        <div class="lab-cell"><label>the step h = <output></output><br><input type="range" min="-3" max="0" step="0.05" value="-0.4" aria-label="logarithm of the step"></label></div>
      </div>
      <div class="lab-wide"><svg viewBox="0 0 592 192" role="img"></svg></div>
      <p class="lab-legend"><i style="background:#3f86d0"></i>the point; <i style="background:#d9622b"></i>a step before and
        behind it, and the line between, whose slope is the central difference</p>
      <div class="lab-sum" aria-live="polite"></div>`;
    this.sliders = [...place.querySelectorAll("input")];
    for (const slider of this.sliders) slider.addEventListener("input", () => this.update());
    this.update();
  }

  update() {
    const [x, h] = [Number(this.sliders[0].value), 10 ** Number(this.sliders[1].value)];
    const [behind, ahead] = [zigzag(x - h), zigzag(x + h)];
    const [slope, secant, between] = [zigzagSlope(x), (ahead - behind) / (2 * h), kinksBetween(x, h)];
    const ends = [[x - h, behind], [x + h, ahead]].map(([at, value]) => [kinkX(at), kinkY(value)]);
    const bends = [KINK_PLOT.from - 1, ...KINKS, KINK_PLOT.to + 1].map((at) => `${kinkX(at)},${kinkY(zigzag(at))}`);
    const svg = this.place.querySelector("svg");
    this.place.querySelectorAll("output").forEach((output, k) => {
      output.textContent = k ? h.toPrecision(3) : signedNumber(x, 2);
    });
    svg.setAttribute("aria-label", `a zigzag and a secant across ${between} kinks`);
    svg.innerHTML = `
      <polyline points="${bends.join(" ")}" fill="none" stroke="currentColor" stroke-width="2"/>
      <line x1="${ends[0][0]}" y1="${ends[0][1]}" x2="${ends[1][0]}" y2="${ends[1][1]}" stroke="#d9622b" stroke-width="2.5"/>
      ${ends.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="4" fill="#d9622b"/>`).join("")}
      <circle cx="${kinkX(x)}" cy="${kinkY(zigzag(x))}" r="5" fill="#3f86d0" stroke="currentColor"/>`;
    this.place.querySelector(".lab-sum").textContent =
      `derivative ${signedNumber(slope, 4)}, central difference ${signedNumber(secant, 4)} with h = ${h.toPrecision(3)}; `
      + `kinks between: ${between}${between ? ": draw again, or take a smaller step" : ": what is compared is one smooth piece"}`;
  }
}

document.querySelectorAll(".kinks-lab").forEach((place) => {
  place.lab = new KinksLab(place);
});
