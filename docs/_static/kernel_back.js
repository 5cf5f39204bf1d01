// The kernel lab run backward: put a gradient on output pixels, and see where the nine shifts carry it.
//
// Plain JavaScript, no library, no request: it works from file://. The picture, its size, the kernels and the painting
// are those of kernel_lab.js, which is loaded before. The arithmetic is that of conv3x3_backward for one channel in and
// one out: dxpad[r+i][s+j] += dy[r][s] * w[i][j], then the border is cut off. With the shifts not reversed it is
// dx[r][s] = sum over i, j of dypad[r+i][s+j] * w[i][j], the bug of this chapter.

"use strict";

function emptyMap() {
  return Array.from({ length: ROWS }, () => new Array(COLUMNS).fill(0));
}

function convolve(x, w) {
  const xpad = pad(x);
  let y = emptyMap();
  for (let k = 0; k < 9; k++) y = add(y, shiftedProduct(xpad, w, Math.floor(k / 3), k % 3));
  return y;
}

function convolveBack(dy, w) {
  const dxpad = pad(emptyMap()).map((row) => [...row]);
  for (let r = 0; r < ROWS; r++) {
    for (let s = 0; s < COLUMNS; s++) {
      if (dy[r][s] === 0) continue;
      for (let i = 0; i < 3; i++) {
        for (let j = 0; j < 3; j++) dxpad[r + i][s + j] += dy[r][s] * w[i][j];
      }
    }
  }
  return dxpad.slice(1, -1).map((row) => row.slice(1, -1));
}

function product(a, b) {
  let sum = 0;
  for (let r = 0; r < ROWS; r++) for (let s = 0; s < COLUMNS; s++) sum += a[r][s] * b[r][s];
  return sum;
}

class KernelBack {
  constructor(place) {
    this.place = place;
    this.x = drawPicture();
    this.dy = emptyMap();
    for (const [r, s] of [[5, 20], [9, 7], [12, 12]]) this.dy[r][s] = 1;
    this.at = [9, 7];
    this.kernel = "the worked example";
    this.reversed = true;
    const choices = Object.keys(KERNELS)
      .map((name) => `<option${name === this.kernel ? " selected" : ""}>${name}</option>`)
      .join("");
    place.innerHTML = `
      <div class="lab-row">
        <div class="lab-cell"><strong>ȳ</strong>: click pixels; arrow keys and space do it too<br>
          <canvas class="back-dy" width="${COLUMNS * ZOOM}" height="${ROWS * ZOOM}" tabindex="0" role="img"
            aria-label="The gradient at the output: pixels that can be switched on and off"></canvas></div>
        <div class="lab-cell"><strong>x̄</strong>: where it goes<br>
          <canvas class="back-dx" width="${COLUMNS * ZOOM}" height="${ROWS * ZOOM}" role="img"
            aria-label="The gradient at the input"></canvas></div>
        <div class="lab-cell"><label>kernel <select>${choices}</select></label><br>
          <label><input class="back-forget" type="checkbox"> forget to reverse the shifts</label><br>
          <button type="button" class="back-clear">clear</button></div>
      </div>
      <div class="lab-sum" aria-live="polite"></div>`;
    this.canvas = place.querySelector(".back-dy");
    this.canvas.addEventListener("pointerdown", (event) => {
      const box = this.canvas.getBoundingClientRect();
      this.at = [
        Math.floor(((event.clientY - box.top) / box.height) * ROWS),
        Math.floor(((event.clientX - box.left) / box.width) * COLUMNS),
      ];
      this.toggle();
    });
    this.canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      if (!(event.key in steps) && event.key !== " ") return;
      event.preventDefault();
      if (event.key === " ") return this.toggle();
      const [r, s] = [this.at[0] + steps[event.key][0], this.at[1] + steps[event.key][1]];
      this.at = [Math.min(Math.max(r, 0), ROWS - 1), Math.min(Math.max(s, 0), COLUMNS - 1)];
      this.update();
    });
    place.querySelector("select").addEventListener("change", (event) => {
      this.kernel = event.target.value;
      this.update();
    });
    place.querySelector(".back-forget").addEventListener("change", (event) => {
      this.reversed = !event.target.checked;
      this.update();
    });
    place.querySelector(".back-clear").addEventListener("click", () => {
      this.dy = emptyMap();
      this.update();
    });
    this.update();
  }

  toggle() {
    const [r, s] = this.at;
    this.dy[r][s] = 1 - this.dy[r][s];
    this.update();
  }

  update() {
    const w = KERNELS[this.kernel];
    const dx = this.reversed ? convolveBack(this.dy, w) : convolve(this.dy, w);
    paint(this.canvas, this.dy, -1, 1);
    frame(this.canvas, this.at[0], this.at[1], 1, 1, "#e8590c");
    const size = Math.max(1e-9, ...dx.flat().map(Math.abs));
    const shown = this.place.querySelector(".back-dx");
    paint(shown, dx, -size, size);
    frame(shown, this.at[0] - 1, this.at[1] - 1, 3, 3, "#e8590c");
    const [left, right] = [product(convolve(this.x, w), this.dy), product(this.x, dx)];
    const verdict = Math.abs(left - right) < 1e-9 ? "equal" : "not equal: this is not the adjoint";
    this.place.querySelector(".lab-sum").textContent =
      `with x the picture above: ⟨y, ȳ⟩ = ${number(left)},   ⟨x, x̄⟩ = ${number(right)}: ${verdict}`;
  }
}

document.querySelectorAll(".kernel-back").forEach((place) => {
  place.classList.add("kernel-lab"); // for its looks; kernel_lab.js has looked for its own by now
  place.lab = new KernelBack(place);
});
