// A run to scrub through: drag to an iteration, and a curtain between the photograph and the picture.
//
// Plain JavaScript, no library, no request: it works from file://. The run itself is in film_frames.js, which
// docs/fig/film.py writes when the book is built: FILM = [{iteration, value, content, style, picture}], pictures as
// data addresses, the first one the photograph.

"use strict";

class FilmLab {
  constructor(place, film) {
    this.place = place;
    this.film = film;
    place.innerHTML = `
      <div class="film-frame" style="position:relative;max-width:32rem;line-height:0">
        <img class="film-picture" style="width:100%" alt="">
        <img class="film-before" style="position:absolute;left:0;top:0;width:100%" alt="the photograph, up to the curtain">
      </div>
      <p style="margin:.5rem 0 0"><label style="display:block">iteration <output class="film-iteration"></output><br>
        <input class="film-at" type="range" min="0" max="${film.length - 1}" value="${film.length - 1}" style="width:min(100%,32rem)"></label>
        <label style="display:block">curtain: the photograph to its left<br>
        <input class="film-curtain" type="range" min="0" max="100" value="30" style="width:min(100%,32rem)"></label>
        <button type="button" class="film-play">play</button></p>
      <div class="lab-sum" aria-live="polite"></div>`;
    place.querySelector(".film-before").src = film[0].picture;
    this.slider = place.querySelector(".film-at");
    this.curtain = place.querySelector(".film-curtain");
    this.slider.addEventListener("input", () => this.update());
    this.curtain.addEventListener("input", () => this.update());
    place.querySelector(".film-play").addEventListener("click", () => this.play());
    this.update();
  }

  play() {
    clearInterval(this.timer);
    this.slider.value = 0;
    this.update();
    this.timer = setInterval(() => {
      this.slider.value = Number(this.slider.value) + 1;
      this.update();
      if (Number(this.slider.value) >= this.film.length - 1) clearInterval(this.timer);
    }, 250);
  }

  update() {
    const now = this.film[Number(this.slider.value)];
    const picture = this.place.querySelector(".film-picture");
    picture.src = now.picture;
    picture.alt = `the picture after ${now.iteration} iterations`;
    this.place.querySelector(".film-before").style.clipPath = `inset(0 ${100 - Number(this.curtain.value)}% 0 0)`;
    this.place.querySelector(".film-iteration").textContent = now.iteration;
    this.slider.setAttribute("aria-valuetext", `iteration ${now.iteration}`);
    this.place.querySelector(".lab-sum").textContent =
      now.value === null
        ? "iteration 0: the photograph"
        : `iteration ${now.iteration}: loss ${now.value.toPrecision(4)}, of it content ${now.content.toPrecision(3)}, ` +
          `style ${now.style.toPrecision(3)}`;
  }
}

document.querySelectorAll(".film-lab").forEach((place) => {
  place.lab = new FilmLab(place, FILM);
});
