// Choose the step of a central difference, and read how many digits it gives in float64 and in float32.
//
// Plain JavaScript, no library, no request: it works from file://. The function is exp at 1, whose slope is e.
// JavaScript's numbers are float64; Math.fround rounds one to float32.

"use strict";

const V_WIDTH = 640;
const V_HEIGHT = 260;
const V_LEFT = 76;
const V_BOTTOM = 38;
const V_STEPS = [-13, -0.5]; // powers of ten
const V_ERRORS = [-15, 1];
const V_KINDS = { float64: { round: (a) => a, hue: "#1f77d0" }, float32: { round: Math.fround, hue: "#d9622b" } };

// The relative error of [exp(1 + h) - exp(1 - h)] / 2h, every number rounded to the kind.
function slopeError(h, round) {
  const step = round(h);
  const ahead = round(Math.exp(round(1 + step)));
  const behind = round(Math.exp(round(1 - step)));
  const slope = round(round(ahead - behind) / round(2 * step));
  return Math.abs(slope - Math.E) / Math.E;
}

class VCurve {
  constructor(place) {
    place.classList.add("kernel-lab"); // for its looks
    place.innerHTML = `
      <label>step h = <output></output><br>
        <input type="range" min="${V_STEPS[0]}" max="${V_STEPS[1]}" step="0.125" value="-5" style="width:min(100%,36rem)"
          aria-label="the power of ten of the step"></label>
      <div class="lab-wide" tabindex="0" role="group" aria-label="the curves"><svg viewBox="0 0 ${V_WIDTH} ${V_HEIGHT}" style="width:100%;max-width:${V_WIDTH}px;display:block" role="img"
        aria-label="Relative error over the step, both logarithmic, in float64 and float32"></svg></div>
      <p class="lab-legend">up: the relative error of the slope, across: the step;
        <i style="background:${V_KINDS.float64.hue}"></i>float64, <i style="background:${V_KINDS.float32.hue}"></i>float32</p>
      <div class="lab-sum" aria-live="polite"></div>`;
    this.place = place;
    this.slider = place.querySelector("input");
    this.slider.addEventListener("input", () => this.update());
    this.update();
  }

  // From powers of ten to places in the drawing.
  at(step, error) {
    const across = (step - V_STEPS[0]) / (V_STEPS[1] - V_STEPS[0]);
    const up = (Math.max(error, V_ERRORS[0]) - V_ERRORS[0]) / (V_ERRORS[1] - V_ERRORS[0]);
    return [V_LEFT + across * (V_WIDTH - V_LEFT - 8), (1 - up) * (V_HEIGHT - V_BOTTOM - 16) + 16];
  }

  text(x, y, words, anchor) {
    return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="currentColor">${words}</text>`;
  }

  update() {
    const chosen = Number(this.slider.value);
    const parts = [];
    for (let error = V_ERRORS[0]; error <= V_ERRORS[1]; error += 4) {
      const [x, y] = this.at(V_STEPS[0], error);
      parts.push(`<line x1="${x}" x2="${V_WIDTH - 8}" y1="${y}" y2="${y}" stroke="currentColor" opacity="0.15"/>`);
      parts.push(this.text(x - 6, y + 4, `1e${error}`, "end"));
    }
    for (let step = -12; step <= -2; step += 2) {
      parts.push(this.text(this.at(step, 0)[0], V_HEIGHT - 10, `1e${step}`, "middle"));
    }
    const words = [];
    for (const [name, { round, hue }] of Object.entries(V_KINDS)) {
      for (let step = V_STEPS[0]; step <= V_STEPS[1]; step += 0.125) {
        const error = slopeError(10 ** step, round);
        if (!Number.isFinite(error)) continue;
        const [x, y] = this.at(step, Math.log10(error + 1e-17));
        parts.push(`<circle cx="${x}" cy="${y}" r="2.2" fill="${hue}"/>`);
      }
      const error = slopeError(10 ** chosen, round);
      if (Number.isFinite(error)) {
        const [x, y] = this.at(chosen, Math.log10(error + 1e-17));
        parts.push(`<circle cx="${x}" cy="${y}" r="6" fill="none" stroke="${hue}" stroke-width="2.5"/>`);
      }
      const digits = Math.max(0, Math.floor(-Math.log10(error + 1e-17)));
      const said = Number.isFinite(error) ? `error ${error.toExponential(1)}, ${digits} digits` : "1 + h is 1: no answer";
      words.push(`${name}: ${said}`);
    }
    this.place.querySelector("svg").innerHTML = parts.join("");
    this.place.querySelector("output").textContent = (10 ** chosen).toExponential(1);
    this.place.querySelector(".lab-sum").textContent = words.join("     ");
  }
}

document.querySelectorAll(".v-curve").forEach((place) => {
  place.lab = new VCurve(place);
});
