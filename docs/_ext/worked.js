// One step of a worked example at a time. Without this script all of them stand below one another.
(function () {
  "use strict";

  function element(name, attributes, text) {
    const made = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    if (text) made.textContent = text;
    return made;
  }

  function begin(example) {
    const steps = [...example.querySelectorAll(".worked-step")];
    const titles = steps.map((step) => step.querySelector(".worked-title").textContent);
    let now = 0;
    const controls = element("div", { class: "worked-controls", role: "group", "aria-label": "Steps of the example" });
    const back = element("button", { type: "button" }, "Back");
    const slider = element("input", { type: "range", min: 1, max: steps.length, value: 1, "aria-label": "Step" });
    const next = element("button", { type: "button" }, "Next");
    const all = element("button", { type: "button" });
    const said = element("output", { "aria-live": "polite" });
    controls.append(back, slider, next, all, said);
    example.prepend(controls);

    function show(place) {
      now = Math.min(Math.max(place, 0), steps.length - 1);
      steps.forEach((step, each) => step.classList.toggle("worked-now", each === now));
      back.disabled = now === 0;
      next.disabled = now === steps.length - 1;
      slider.value = now + 1;
      slider.setAttribute("aria-valuetext", titles[now]);
      said.textContent = titles[now] + " (of " + steps.length + ")";
      if (controls.getBoundingClientRect().top < 0) example.scrollIntoView();
    }

    function fold(one) {
      example.classList.toggle("worked-live", one);
      all.textContent = one ? "All steps" : "One step at a time";
      [back, slider, next, said].forEach((part) => { part.hidden = !one; });
    }

    // A link to a step, or to anything in it, opens it.
    function arrive() {
      const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
      const place = target ? steps.findIndex((step) => step.contains(target)) : -1;
      if (place >= 0) {
        show(place);
        target.scrollIntoView();
      }
    }

    back.addEventListener("click", () => show(now - 1));
    next.addEventListener("click", () => show(now + 1));
    slider.addEventListener("input", () => show(slider.value - 1));
    all.addEventListener("click", () => fold(!example.classList.contains("worked-live")));
    controls.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: -1, ArrowRight: 1 };
      if (event.target === slider || !(event.key in moves)) return;
      event.preventDefault();
      show(now + moves[event.key]);
    });
    addEventListener("hashchange", arrive);
    fold(true);
    show(0);
    arrive();
  }

  function start() {
    document.querySelectorAll(".worked").forEach(begin);
  }
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
})();
