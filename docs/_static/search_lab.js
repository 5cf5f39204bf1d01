// A line search, trial by trial: the step grows until it encloses a minimum, then cubics close in on it.
//
// Plain JavaScript, no library, no request: it works from file://. The search is `strong_wolfe` of
// handstyle/optimize/line_search.py, with its constants; the function is that of the chapter's first figure.

"use strict";

const SEARCH_WIDTH = 640;
const SEARCH_HEIGHT = 320;
const SEARCH_REACH = 4; // steps shown, from 0
const [SEARCH_LOW, SEARCH_HIGH] = [-4.6, 4]; // values shown
const DECREASE = 1e-4;
const CURVATURE = 0.9;
const GROWTH = 4;

const phi = (t) => ({
  step: t,
  value: -2 * t + 0.1 * t ** 2 + 0.02 * t ** 5 + 0.1 * (1 - Math.cos(3 * t)),
  slope: -2 + 0.2 * t + 0.1 * t ** 4 + 0.3 * Math.sin(3 * t),
});

const START = phi(0);
const decreases = (here) => here.value <= START.value + DECREASE * here.step * START.slope;
const flattens = (here) => Math.abs(here.slope) <= CURVATURE * -START.slope;

// The minimizer of the cubic with the values and slopes of two trials, or Infinity.
function cubicMinimum(a, b) {
  const d1 = a.slope + b.slope - (3 * (a.value - b.value)) / (a.step - b.step);
  const square = d1 ** 2 - a.slope * b.slope;
  if (!(square >= 0)) return Infinity;
  const d2 = Math.sign(b.step - a.step) * Math.sqrt(square);
  const below = b.slope - a.slope + 2 * d2;
  return below ? b.step - ((b.step - a.step) * (b.slope + d2 - d1)) / below : Infinity;
}

// The whole search as a list of moments: a trial, the two trials whose cubic proposed it, what is known then, and why.
function search(first) {
  const moments = [];
  const tell = (here, from, bracket, words) => moments.push({ here, from, bracket, words });

  const zoom = (low, high, here, from, words) => {
    tell(here, from, [low.step, high.step], words);
    while (moments.length < 20) {
      const gap = high.step - low.step;
      const fraction = (cubicMinimum(low, high) - low.step) / gap;
      from = [low, high];
      here = phi(low.step + gap * (Number.isFinite(fraction) ? Math.min(Math.max(fraction, 0.1), 0.9) : 0.5));
      if (!decreases(here) || here.value >= low.value) {
        high = here;
        tell(here, from, [low.step, high.step], "higher than the lowest so far: the minimum lies before it");
        continue;
      }
      if (flattens(here)) return tell(here, from, null, "low enough and flat enough: taken");
      if (here.slope * gap >= 0) high = low;
      low = here;
      tell(here, from, [low.step, high.step], "lower, and still steep: closer in");
    }
    return null;
  };

  let previous = START;
  let from = null;
  for (let step = first; moments.length < 20; ) {
    const here = phi(step);
    if (!decreases(here) || (moments.length && here.value >= previous.value)) {
      zoom(previous, here, here, from, "too high: a minimum lies between");
      break;
    }
    if (flattens(here)) {
      tell(here, from, null, "low enough and flat enough: taken");
      break;
    }
    if (here.slope >= 0) {
      zoom(here, previous, here, from, "the slope has turned up: a minimum lies between");
      break;
    }
    tell(here, from, null, "low enough, and it still falls steeply: a longer step");
    const gap = here.step - previous.step;
    step = Math.min(Math.max(cubicMinimum(previous, here), here.step + 1.1 * gap), here.step + GROWTH * gap);
    from = [previous, here];
    previous = here;
  }
  return moments;
}

// At t the cubic with the values and slopes of two trials.
function cubic(a, b, t) {
  const h = b.step - a.step;
  const u = (t - a.step) / h;
  return (
    (2 * u ** 3 - 3 * u ** 2 + 1) * a.value + (u ** 3 - 2 * u ** 2 + u) * h * a.slope +
    (-2 * u ** 3 + 3 * u ** 2) * b.value + (u ** 3 - u ** 2) * h * b.slope
  );
}

class SearchLab {
  constructor(place) {
    this.place = place;
    this.shown = 1;
    place.innerHTML = `
      <p><label>first step <input class="lab-first" type="range" min="0.02" max="4" step="0.02" value="3.4"></label>
        <output class="lab-first-shown"></output>
        <button type="button" class="lab-next">next trial</button>
        <button type="button" class="lab-play">play</button></p>
      <canvas width="${SEARCH_WIDTH}" height="${SEARCH_HEIGHT}" role="img"
        aria-label="A function along a line, the trials of a search on it, and the cubic that proposed the last"></canvas>
      <p class="lab-legend">across: the step, up: the value; <i style="background:#79b69a"></i>both conditions hold, a trial here
        is taken; <i style="background:#d9622b"></i>the last trial</p>
      <div class="lab-sum" aria-live="polite"></div>`;
    this.canvas = place.querySelector("canvas");
    place.querySelector(".lab-first").addEventListener("input", () => {
      clearInterval(this.timer);
      this.shown = 1;
      this.update();
    });
    place.querySelector(".lab-next").addEventListener("click", () => {
      clearInterval(this.timer);
      this.shown = this.shown < this.moments.length ? this.shown + 1 : 1;
      this.update();
    });
    place.querySelector(".lab-play").addEventListener("click", () => this.play());
    this.update();
  }

  play() {
    clearInterval(this.timer);
    this.shown = 1;
    this.update();
    this.timer = setInterval(() => {
      if (this.shown >= this.moments.length) return clearInterval(this.timer);
      this.shown += 1;
      this.update();
      return null;
    }, 1200);
  }

  at(t, value) {
    return [(t / SEARCH_REACH) * SEARCH_WIDTH, SEARCH_HEIGHT * (1 - (value - SEARCH_LOW) / (SEARCH_HIGH - SEARCH_LOW))];
  }

  curve(color, width, dashes, value) {
    const context = this.canvas.getContext("2d");
    context.strokeStyle = color;
    context.lineWidth = width;
    context.setLineDash(dashes);
    context.beginPath();
    for (let t = 0; t <= SEARCH_REACH; t += 0.01) context.lineTo(...this.at(t, value(t)));
    context.stroke();
    context.setLineDash([]);
  }

  update() {
    const first = Number(this.place.querySelector(".lab-first").value);
    this.place.querySelector(".lab-first-shown").textContent = first.toFixed(2);
    this.moments = search(first);
    const seen = this.moments.slice(0, this.shown);
    const last = seen[seen.length - 1];
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, SEARCH_WIDTH, SEARCH_HEIGHT);
    context.fillStyle = "#d5e5dd"; // where both conditions hold
    for (let t = 0; t < SEARCH_REACH; t += 0.01) {
      const here = phi(t);
      if (t > 0 && decreases(here) && flattens(here)) context.fillRect(this.at(t, 0)[0], 0, SEARCH_WIDTH / 400 + 0.5, SEARCH_HEIGHT);
    }
    if (last.bracket) {
      const [a, b] = [...last.bracket].sort((x, y) => x - y);
      context.fillStyle = "#1f5fa8"; // what is known to hold a minimum
      context.fillRect(this.at(a, 0)[0], SEARCH_HEIGHT - 8, this.at(b, 0)[0] - this.at(a, 0)[0], 8);
    }
    this.curve("#7a7f87", 2, [], (t) => phi(t).value);
    if (last.from) this.curve("#d9622b", 2, [7, 5], (t) => cubic(...last.from, t));
    const scale = SEARCH_WIDTH / (this.canvas.clientWidth || SEARCH_WIDTH); // a phone shows the canvas smaller
    context.font = `${Math.round(14 * scale)}px sans-serif`;
    [START, ...seen.map((moment) => moment.here)].forEach((trial, k) => {
      const [x, y] = this.at(Math.min(trial.step, SEARCH_REACH), Math.min(trial.value, SEARCH_HIGH - 0.2));
      context.fillStyle = k === seen.length ? "#d9622b" : "#1f5fa8";
      context.beginPath();
      context.arc(x, y, 5, 0, 2 * Math.PI);
      context.fill();
      context.fillText(String(k), Math.min(x + 6, SEARCH_WIDTH - 12 * scale), Math.max(y - 8, 14 * scale));
    });
    const { step, value, slope } = last.here;
    const tried = seen.length === 1 ? "1 trial" : `${seen.length} trials`;
    this.place.querySelector(".lab-sum").textContent = (
      `${tried}: step ${step.toFixed(4)}, value ${value.toFixed(4)}, slope ${slope.toFixed(4)}; ${last.words}`
    ).replaceAll("-", "−");
  }
}

document.querySelectorAll(".search-lab").forEach((place) => {
  place.lab = new SearchLab(place);
});
