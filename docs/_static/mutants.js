// Sorts the table of mutants: a press on a heading sorts by its column, another turns the order round.
"use strict";

for (const table of document.querySelectorAll(".mutants table")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];

  const key = (row, column) => {
    const cell = row.cells[column];
    return "key" in cell.dataset ? Number(cell.dataset.key) : cell.textContent.trim().toLowerCase();
  };

  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a, column), key(b, column)];
        return x < y ? -1 : x > y ? 1 : 0; // equal ones stay as they lie
      });
      body.append(...(down ? rows.reverse() : rows));
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
}
