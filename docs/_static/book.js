// What is printed is dark on white, whatever the screen shows, only long code is broken, and what leads to a figure stands above it; a page that is not up to date says so; and what the theme's sidebar leaves unnamed has a name.
"use strict";

(() => {
  const page = document.documentElement;
  let shown;
  addEventListener("beforeprint", () => {
    shown = page.dataset.theme;
    page.dataset.theme = "light";
    for (const code of document.querySelectorAll("pre")) code.classList.toggle("long", code.textContent.split("\n").length > 24);
    for (const p of document.querySelectorAll(".bd-article p")) p.classList.toggle("leads", p.textContent.trim().endsWith(":"));
  });
  addEventListener("afterprint", () => {
    if (shown) page.dataset.theme = shown;
  });

  // For those who hear the page: the logo is in a landmark, and what unfolds a part of the contents says which.
  addEventListener("DOMContentLoaded", () => {
    const home = document.querySelector(".sidebar-primary-item:has(> .navbar-brand)");
    home?.setAttribute("role", "navigation");
    home?.setAttribute("aria-label", "home");
    for (const summary of document.querySelectorAll("details > summary:has(.toctree-toggle)")) {
      const title = summary.closest("li").querySelector("a").textContent.trim();
      summary.setAttribute("aria-label", `pages of ${title}`);
    }
  });

  // A page whose pictures and outputs are older than the last change of the package says so.
  addEventListener("DOMContentLoaded", () => {
    if (!leftOver.some((name) => location.pathname.endsWith(`/${name}.html`))) return;
    const note = document.createElement("p");
    note.className = "left-over";
    note.setAttribute("role", "note");
    note.innerHTML = "Some of this page was computed before the last change of the package. <code>make book-whole</code> computes it again.";
    document.querySelector(".bd-article h1").after(note);
  });

  // A formula in a line keeps the bracket before it and the stop or comma behind it: a line may end at neither.
  const glue = () => {
    for (const e of document.querySelectorAll(".bd-article span.math")) {
      const [before, behind] = [e.previousSibling, e.nextSibling];
      const open = before?.nodeType === Node.TEXT_NODE && before.data.match(/[(\[“]+$/)?.[0];
      const stop = behind?.nodeType === Node.TEXT_NODE && behind.data.match(/^[.,;:!?)\]”’]+/)?.[0];
      if (open) before.data = before.data.slice(0, -open.length), e.prepend(open);
      if (stop) behind.data = behind.data.slice(stop.length), e.append(stop);
    }
  };

  // A formula that is wider than its column is set on several lines: before a \qquad, then before relations, then signs,
  // and last within brackets. What is left too wide, a large matrix, scrolls.
  const SIGNS = [
    /^\\q?quad(?![a-zA-Z])/,
    /^(?:=|<|>|\\(?:approx|geq?|leq?|lesssim|propto|sim|to|mapsto|Rightarrow|Longrightarrow|leftarrow)(?![a-zA-Z]))/,
    /^(?:[+\-]|\\(?:cdot|odot|wedge|text(?=\{ and ))(?![a-zA-Z]))/,
    /^,/,
  ];
  const OPENS = /^(?:[([]|\\(?:\{|lfloor|lceil|langle)(?![a-zA-Z]))/, SHUTS = /^(?:[)\]]|\\(?:\}|rfloor|rceil|rangle)(?![a-zA-Z]))/;
  const BLANK = /^(?:\s|~|\\[;,!: ]|\\q?quad(?![a-zA-Z]))+|(?:\s|~|\\[;,!: ]|\\q?quad(?![a-zA-Z]))+$/g;

  // Return the pieces of a formula that lie between signs of `SIGNS[level]`, the last level also within brackets.
  const pieces = (tex, level, at = SIGNS[level]) => {
    const found = [];
    let [from, inside, brackets, begun] = [0, 0, 0, false];
    for (let i = 0; i < tex.length; ) {
      const rest = tex.slice(i);
      const word = rest.match(/^\\(?:[a-zA-Z]+|[^])|^[^]/)[0];
      if (/^(?:\{|\\begin$|\\left$)/.test(word)) inside++;
      else if (/^(?:\}|\\end$|\\right$)/.test(word)) inside--;
      else if (!inside && OPENS.test(rest)) brackets++;
      else if (!inside && SHUTS.test(rest)) brackets--;
      else if (!inside && (!brackets || level === 3) && begun && (at.test(rest) || (level === 3 && SIGNS[2].test(rest)))) {
        const cut = level === 3 && word === "," ? i + 1 : i;
        found.push(tex.slice(from, cut));
        [from, begun] = [cut, false];
      }
      if (!/^(?:\s|\\[;,!: ]|[=<>&])/.test(rest) && !SIGNS[1].test(rest)) begun = inside > 0 || !OPENS.test(rest);
      i += word.length;
    }
    found.push(tex.slice(from));
    return found.map((piece) => piece.replace(BLANK, "")).filter(Boolean);
  };

  const width = (tex, display) => parseFloat(MathJax.tex2svg(tex, { display }).querySelector("svg").getAttribute("width"));

  // Return lines [TeX, goes on], each at most `room` ex wide if it can be.
  const lines = (tex, room, display, level = 0) => {
    if (level === SIGNS.length || width(tex, display) <= room) return [[tex, false]];
    const parts = pieces(tex, level);
    for (let k = parts.length - 2; k >= 0; k--) { // an arrow, or a word, goes with what it leads to
      if (/^(?:\\Longrightarrow|\\text\{[^}]*\})$/.test(parts[k])) parts.splice(k, 2, `${parts[k]}\\ ${parts[k + 1]}`);
    }
    const found = [];
    for (const part of parts) {
      const last = found.at(-1), joined = last && `${last[0]}${level ? "" : "\\quad "}${part}`;
      if (last && width(joined, display) <= room) last[0] = joined;
      else found.push(...lines(part, room, display, level + 1).map(([line, on], k) => [line, on || (level > 0 && found.length > 0) || k > 0]));
    }
    return found;
  };

  const whole = new WeakMap(); // formula -> what stands in its place since it was broken
  const seen = new WeakMap(); // formula -> the width of its column then
  const narrow = () => {
    for (const { typesetRoot: root, math } of window.MathJax?.startup?.document?.math ?? []) {
      const shown = whole.get(root) ?? root;
      const block = shown?.closest("div.math"), around = block ?? shown?.closest("p, li, dd");
      if (!around?.clientWidth || seen.get(root) === around.clientWidth || shown.closest("table, figcaption")) continue;
      seen.set(root, around.clientWidth);
      if (shown !== root) shown.replaceWith(root), whole.delete(root);
      block?.classList.remove("broken");
      const svg = root.querySelector("svg"), full = svg.getBoundingClientRect().width;
      if (full <= (block ? root : around).clientWidth) continue;
      block?.classList.add("broken"); // its number goes below it
      if (block && full <= block.clientWidth) continue;
      const room = around.clientWidth / (full / parseFloat(svg.getAttribute("width"))) - (block ? 5 : 1);
      const body = math.trim().replace(/^\\begin\{split\}([^]*)\\end\{split\}$/, "$1");
      const rows = body.match(/^\\begin\{(aligned|gathered)\}([^]*)\\end\{\1\}$/)?.[2];
      const found = (rows ? pieces(rows, 0, /^\\\\/) : [body]).flatMap((text) => {
        const cells = rows ? pieces(text.replace(/^\\\\\s*/, ""), 0, /^&/) : [text];
        const row = cells.map((cell) => cell.replace(/^&\s*&/, "\\qquad ").replace(/^&/, " ")).join("");
        const on = /^ \s*(?:[=+\-]|\\(?!begin))/.test(row); // it begins with what the row above has on its left
        return lines(row, room, !!block).map(([line, more]) => [line, more || on]);
      });
      const aligned = found.map(([line, on]) => `&${on ? "\\quad {}" : ""}${line}`).join(" \\\\[4pt] ");
      const broken = block ? MathJax.tex2svg(`\\begin{aligned} ${aligned} \\end{aligned}`, { display: true }) : document.createElement("span");
      if (!block) broken.className = "broken", broken.append(...found.flatMap(([line], k) => [k ? " " : "", MathJax.tex2svg(line, { display: false })]));
      root.replaceWith(broken);
      whole.set(root, broken);
    }
  };

  // A line of code or output that is wrapped goes on behind its own indentation; a table of outputs is not wrapped.
  const hang = () => {
    for (const code of document.querySelectorAll(".bd-article :is(.cell, .pair, .mutants, details, section > [class*='highlight-']) pre")) {
      const texts = code.textContent.split("\n");
      if (code.closest(".cell_output")) code.classList.toggle("columns", texts.filter((line) => /\S {2,}\S.*\S {2,}\S/.test(line)).length > 1);
      if (texts.length > 400 || !texts.some((line) => line.length > 34)) continue;
      const marked = code.innerHTML.replace(/\n((?:<\/span>)+)/g, "$1\n").split("\n");
      code.innerHTML = marked.map((line, k) => {
        if ((texts[k]?.length ?? 0) <= 34) return line;
        const kept = code.closest(".cell_output") ? line.replace(/(against|most|pair) (?=-?\d)/g, "$1\u00a0") : line; // with its number
        return `<span class="line" style="--in: ${texts[k].search(/\S|$/) + 4}ch">${kept}</span>`;
      }).join("\n");
    }
  };

  // What is wider than the page and scrolls by itself can be reached, and moved, by the keyboard.
  const reach = () => {
    for (const e of document.querySelectorAll(".bd-article code .pre")) { // a name that is wider than the page is broken
      const around = e.closest("figcaption") ?? e.closest("p, li, dd, h1, h2, h3");
      if (!around?.clientWidth || e.closest("table")) continue;
      e.classList.remove("wide");
      e.classList.toggle("wide", e.getBoundingClientRect().width > around.clientWidth - 24);
    }
    for (const e of document.querySelectorAll(".bd-article p mjx-container:not([display])")) { // a formula within a line
      e.classList.toggle("wide", e.firstElementChild.getBoundingClientRect().width > e.closest("p").clientWidth);
    }
    for (const e of document.querySelectorAll(".bd-article :is(mjx-container, div.math, pre, figure, .lab-wide, .cell_output, .pst-scrollable-table-container)")) {
      const scrolls = e.scrollWidth > e.clientWidth && getComputedStyle(e).overflowX !== "visible";
      e.classList.toggle("scrolls", scrolls);
      e.classList.toggle("more", scrolls && e.scrollLeft + e.clientWidth < e.scrollWidth - 2);
      e.onscroll ??= () => e.classList.toggle("more", e.scrollLeft + e.clientWidth < e.scrollWidth - 2);
      if (scrolls) e.tabIndex = 0;
      else if (e.matches("mjx-container, div.math, figure, .cell_output")) e.removeAttribute("tabindex");
    }
  };
  // A number of a table, and its unit, stay on their line; words may be broken. A long name of a module is broken at its dots.
  const words = () => {
    for (const e of document.querySelectorAll(".bd-article td")) {
      e.classList.toggle("words", e.textContent.length > 20 || !/\d/.test(e.textContent));
      const text = document.createTreeWalker(e, NodeFilter.SHOW_TEXT);
      while (text.nextNode()) text.currentNode.data = text.currentNode.data.replace(/(\d) (?=(?:m?s|[kMG]i?B|px)\b)/g, "$1\u00a0");
    }
    for (const e of document.querySelectorAll(".genindextable a, .bd-article :is(h1, .sig-prename, .sig-name), .bd-links a")) {
      const text = document.createTreeWalker(e, NodeFilter.SHOW_TEXT), found = [];
      while (text.nextNode()) found.push(text.currentNode);
      for (const node of found) {
        const parts = node.data.split(/(?<=\w[._])(?=\w)/);
        node.replaceWith(...parts.flatMap((part, k) => (k ? [document.createElement("wbr"), part] : [part])));
      }
    }
  };

  const fit = () => (narrow(), reach());
  addEventListener("load", () => {
    const set = window.MathJax?.startup?.promise ?? Promise.resolve();
    hang();
    words();
    set.then(glue).then(fit);
  });
  addEventListener("resize", fit);
  addEventListener("click", () => setTimeout(fit)); // a solution that is unfolded has widths only now
})();
