// What is printed is dark on white, whatever the screen shows; and what the theme's sidebar leaves unnamed has a name.
"use strict";

(() => {
  const page = document.documentElement;
  let shown;
  addEventListener("beforeprint", () => {
    shown = page.dataset.theme;
    page.dataset.theme = "light";
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

  // What is wider than the page and scrolls by itself can be reached, and moved, by the keyboard.
  const reach = () => {
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
    set.then(reach);
  });
  addEventListener("resize", reach);
})();
