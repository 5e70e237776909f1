// What a person sees of a page, for the tests that open it.
globalThis.seen = (() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const visible = (part) => part.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const name = (part) =>
    `${part.tagName.toLowerCase()}.${part.getAttribute("class") || ""} ${part.textContent.trim().slice(0, 40)}`;

  const ready = async () => {
    if (document.readyState !== "complete")
      await new Promise((done) => addEventListener("load", done));
    if (window.MathJax?.startup) await MathJax.startup.promise;
    await new Promise((done) => requestAnimationFrame(done));
  };

  // TeX in programs is no TeX that was left over.
  const tex = () => {
    const copy = (document.querySelector("article") || document.body).cloneNode(true);
    all("pre, code, script, style, mjx-container", copy).forEach((part) => part.remove());
    return copy.textContent.match(/\\[A-Za-z(\[]+|\$[^$\s]+\$/g) || [];
  };

  // What has to be moved aside to be read. Code may be: its lines are as they are. So may the
  // blocks of worked examples, in boxes that keys scroll. MathML that only screen readers find has
  // no place on the screen.
  const wide = () =>
    all("table, article p, article li, article dt, article dd, .math-wrapper, main")
      .filter((part) => visible(part) && !part.closest("pre, .highlight, .worked-box"))
      .filter((part) => {
        const holder = part.tagName === "TABLE" ? part.parentElement : part;
        const right = holder.getBoundingClientRect().right + 1;
        return [part, ...all("svg, code, img, a, td, th", part)].some(
          (inner) => !inner.closest("pre") && inner.getBoundingClientRect().right > right,
        );
      })
      .map(name);

  const layout = () => ({
    width: document.documentElement.clientWidth,
    needed: document.documentElement.scrollWidth,
    formulas: all(".math").length,
    typeset: all(".math mjx-container").length,
    errors: all("[data-mml-node=merror]").map((part) => part.textContent),
    tex: tex(),
    wide: wide(),
  });

  const numbers = (color) => {
    const found = color.match(/[\d.]+/g).map(Number);
    if (color.startsWith("color(srgb")) found.splice(0, 3, ...found.slice(0, 3).map((c) => 255 * c));
    return found.length === 3 ? [...found, 1] : found;
  };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
  const behind = (part) => {
    const layers = [];
    for (let at = part; at; at = at.parentElement) {
      const color = numbers(getComputedStyle(at).backgroundColor);
      if (color[3]) layers.push(color);
      if (color[3] === 1) break;
    }
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    return layers.reverse().reduce((below, top) => over(top, below), dark ? [0, 0, 0] : [255, 255, 255]);
  };
  const luminance = (color) => {
    const [r, g, b] = color.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };

  // Text that is hard to read, each combination of colors once. Large text may be fainter.
  const faint = () => {
    const found = new Map();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const part = walker.currentNode.parentElement;
      if (!walker.currentNode.textContent.trim() || part.closest("script, style, noscript, svg")) continue;
      const style = getComputedStyle(part);
      const size = parseFloat(style.fontSize);
      const least = size >= 24 || (size >= 18.5 && style.fontWeight >= 700) ? 3 : 4.5;
      const key = `${part.className}|${style.color}|${part.parentElement.className}`;
      if (found.has(key) || !visible(part)) continue;
      const below = behind(part);
      const ratio = contrast(over(numbers(style.color), below), below);
      found.set(key, ratio < least ? `${ratio.toFixed(2)} ${name(part)}` : null);
    }
    return [...found.values()].filter(Boolean);
  };

  const images = () =>
    all("img").filter(visible).map((image) => {
      const box = image.getBoundingClientRect();
      return { src: image.getAttribute("src"), x: box.x + scrollX, y: box.y + scrollY, width: box.width, height: box.height };
    });

  // Luminance of an image's edge, where its background shows.
  const edge = async (png) => {
    const blob = await (await fetch(`data:image/png;base64,${png}`)).blob();
    const bitmap = await createImageBitmap(blob);
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const at = (x, y) => luminance([...context.getImageData(x, y, 1, 1).data].slice(0, 3));
    const [x, y] = [bitmap.width - 3, bitmap.height - 3];
    return Math.max(at(2, 2), at(x, 2), at(2, y), at(x, y));
  };

  return { ready, layout, faint, images, edge, all, visible };
})();
0;
