// Formulas move what is below them when they are typeset: go again to the place that was asked for,
// unless the reader has begun to read.
{
  let reads = false;
  for (const kind of ["wheel", "keydown", "touchstart", "pointerdown"])
    addEventListener(kind, () => (reads = true), { once: true, passive: true });
  addEventListener("load", async () => {
    await window.MathJax?.startup?.promise;
    if (!reads) document.querySelector(":target")?.scrollIntoView({ behavior: "instant" });
  });
}
