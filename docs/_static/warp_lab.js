// A warp reads: choose how far apart its lanes' addresses lie, and see which sectors of memory must come.
//
// Plain JavaScript, no library, no request: it works from file://. The count is that of the chapter: 32 lanes, values
// of four bytes, sectors of 32 bytes, and a sector comes whole if one address lies in it.

"use strict";

const WARP_LANES = 32;
const WARP_SECTOR = 8; // values of four bytes
const WARP_COLUMNS = 8; // sectors in a row of the drawing
const WARP_CELL = 9; // pixels

const WARP_WAYS = {
  "a lane a channel": { stride: 1, offset: 0 },
  "a lane a pixel, 64 channels": { stride: 64, offset: 0 },
  "a lane a pixel, 3 channels": { stride: 3, offset: 0 },
  "every second value (a pool, planes)": { stride: 2, offset: 0 },
  "neighbors, begun off a sector": { stride: 1, offset: 3 },
  "all the same value": { stride: 0, offset: 0 },
};

function warpAddresses(stride, offset) {
  return Array.from({ length: WARP_LANES }, (_, lane) => offset + stride * lane);
}

class WarpLab {
  constructor(place) {
    this.place = place;
    const choices = Object.keys(WARP_WAYS).map((name) => `<option>${name}</option>`).join("");
    place.innerHTML = `
      <p style="margin:0 0 .5rem 0"><label>who reads what <select>${choices}</select></label><br>
        address of lane ℓ = <label>offset <input class="lab-offset" type="number" min="0" max="64" style="width:4.5em"></label>
        + <label>stride <input class="lab-stride" type="number" min="0" max="64" style="width:4.5em"></label> · ℓ</p>
      <div style="overflow-x:auto" tabindex="0" role="group" aria-label="the memory"><canvas role="img" aria-label="Memory as rows of sectors; what the lanes asked for, and what came along"></canvas></div>
      <div class="lab-sum" aria-live="polite"></div>`;
    this.stride = place.querySelector(".lab-stride");
    this.offset = place.querySelector(".lab-offset");
    this.way = place.querySelector("select");
    this.way.addEventListener("input", () => this.choose());
    for (const box of [this.stride, this.offset]) box.addEventListener("input", () => this.update());
    this.choose();
  }

  choose() {
    const { stride, offset } = WARP_WAYS[this.way.value];
    this.stride.value = stride;
    this.offset.value = offset;
    this.update();
  }

  update() {
    const number = (box) => Math.min(Math.max(Math.round(Number(box.value)) || 0, 0), 64);
    const addresses = warpAddresses(number(this.stride), number(this.offset));
    const sectors = new Set(addresses.map((a) => Math.floor(a / WARP_SECTOR)));
    const rows = Math.max(4, Math.ceil((Math.max(...addresses) + 1) / (WARP_SECTOR * WARP_COLUMNS)));
    const canvas = this.place.querySelector("canvas");
    canvas.width = WARP_SECTOR * WARP_COLUMNS * WARP_CELL;
    canvas.height = rows * WARP_CELL;
    canvas.style.maxWidth = "none";
    const context = canvas.getContext("2d");
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const cell = (address, color) => {
      const [row, column] = [Math.floor(address / (WARP_SECTOR * WARP_COLUMNS)), address % (WARP_SECTOR * WARP_COLUMNS)];
      context.fillStyle = color;
      context.fillRect(column * WARP_CELL, row * WARP_CELL, WARP_CELL - 1, WARP_CELL - 1);
    };
    for (const sector of sectors) for (let k = 0; k < WARP_SECTOR; k++) cell(sector * WARP_SECTOR + k, "#f3c9ae");
    for (const address of addresses) cell(address, "#1f5fa8");
    context.strokeStyle = "#8a9099";
    for (let k = 0; k <= WARP_COLUMNS; k++) {
      context.beginPath();
      context.moveTo(k * WARP_SECTOR * WARP_CELL - 0.5, 0);
      context.lineTo(k * WARP_SECTOR * WARP_CELL - 0.5, canvas.height);
      context.stroke();
    }
    const asked = new Set(addresses).size;
    const brought = sectors.size * WARP_SECTOR;
    this.place.querySelector(".lab-sum").textContent =
      `${sectors.size} sectors, ${4 * brought} bytes brought for ${4 * asked} asked: ` +
      `${Math.round((100 * asked) / brought)} % of them used`;
  }
}

document.querySelectorAll(".warp-lab").forEach((place) => {
  place.lab = new WarpLab(place);
});
