// What a search lists first: an equation that is asked for by its number, then a function by its
// name, written with spaces or not; bounds after what they bound.
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,

  score: ([page, title, anchor, description, score, _file, kind]) => {
    const asked = (new URLSearchParams(location.search).get("q") || "").trim().toLowerCase();
    const found = title.toLowerCase();
    const number = asked.match(/\beq\.?\s*\(?([a-z]?\d+\w?)\)?|\balg(?:orithm|\.)?\s*(\d+)/);
    if (number && page.startsWith("book/") && found.includes(": ")) {
      const label = number[1] ? `eq. (${number[1]})` : `alg. ${number[2]}`;
      const ours = found.startsWith("subbit");
      if (found.includes(`, ${label}:`)) return score + (ours ? 90 : 100);
    }
    // A chapter that is called so comes before a class that is.
    if (kind === "title" && found === asked && !page.includes("/")) return score + 200;
    if (found.split(".").pop() === asked.replace(/[\s-]+/g, "_") && kind === "object") {
      const isModule = /^Python module/.test(description || "");
      return score + (isModule ? 20 : 60) - (found.includes(".bounds.") ? 40 : 0);
    }
    if (/\.bounds\.|_bound$|_margin$/.test(found)) return score - 10;
    // The sources of tests and kernels answer only where nothing else does.
    return /^book\/(conformance|fast)\//.test(page) ? score - 10 : score;
  },
};
