// What is printed is dark on white, whatever the screen shows.
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
})();
