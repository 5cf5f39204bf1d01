// What is printed is dark on white, whatever the screen shows, only long code is broken, and what leads to a figure stands above it; and what the theme's sidebar leaves unnamed has a name.
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

  // What is wider than the page and scrolls by itself can be reached, and moved, by the keyboard.
  const reach = () => {
    for (const e of document.querySelectorAll(".bd-article code .pre")) { // a name that is wider than the page is broken
      const around = e.closest("p, li, dd, figcaption, h1, h2, h3");
      if (around && !e.closest("table") && e.getBoundingClientRect().width > around.clientWidth - 12) e.classList.add("wide");
    }
    for (const e of document.querySelectorAll(".bd-article p mjx-container:not([display])")) { // a formula within a line
      e.classList.toggle("wide", e.firstElementChild.getBoundingClientRect().width > e.closest("p").clientWidth);
    }
    for (const e of document.querySelectorAll(".bd-article :is(mjx-container, div.math, pre, figure, .pst-scrollable-table-container)")) {
      const scrolls = e.scrollWidth > e.clientWidth && getComputedStyle(e).overflowX !== "visible";
      if (scrolls) e.tabIndex = 0;
      else if (e.matches("mjx-container, div.math, figure")) e.removeAttribute("tabindex");
    }
  };
  addEventListener("load", () => {
    const set = window.MathJax?.startup?.promise ?? Promise.resolve();
    set.then(glue).then(reach);
  });
  addEventListener("resize", reach);
  addEventListener("click", () => setTimeout(reach)); // a solution that is unfolded has widths only now
})();
