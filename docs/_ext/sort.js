// Lets a reader sort the table of all errata by a column. Without it the table is as it was written.
"use strict";

// The number that a cell begins with, after a sign for a ratio; NaN where it has none.
function leadingNumber(text) {
  const found = /^×?([+-]?[\d,]*\.?\d+)/.exec(text.replaceAll("−", "-"));
  return found ? Number(found[1].replaceAll(",", "")) : NaN;
}

// Cells without a number come last in a column of numbers, whichever way it is sorted.
function comparison(texts, sign) {
  const numbers = texts.map(leadingNumber);
  const words = (a, b) => sign * texts[a].localeCompare(texts[b], undefined, { numeric: true });
  if (numbers.every(Number.isNaN)) return words;
  return (a, b) => {
    const missing = Number.isNaN(numbers[a]) - Number.isNaN(numbers[b]);
    return missing || (Number.isNaN(numbers[a]) ? 0 : sign * (numbers[a] - numbers[b]));
  };
}

function sortBy(table, column) {
  const headings = [...table.tHead.rows[0].cells];
  const up = headings[column].getAttribute("aria-sort") !== "ascending";
  headings.forEach((heading) => heading.removeAttribute("aria-sort"));
  headings[column].setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const texts = rows.map((row) => row.cells[column].textContent.trim());
  const order = rows.map((_, index) => index).sort(comparison(texts, up ? 1 : -1));
  body.append(...order.map((index) => rows[index]));
}

addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("#all-entries table").forEach((table) => {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.className = "sort";
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sortBy(table, column));
      heading.append(button);
    });
  });
});
