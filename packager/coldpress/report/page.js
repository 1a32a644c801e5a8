// Niceties only: sort candidates, move in treemaps by arrow keys, close hints by Escape, open what a mark leads to.
"use strict";
const table = document.querySelector(".candidates");
for (const head of table ? table.querySelectorAll("[data-sort]") : []) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = head.dataset.sort;
    const words = key === "name" || key === "state";
    const rows = [...table.querySelectorAll(".candidate")];
    rows.sort((a, b) => {
      const [x, y] = [a.dataset[key], b.dataset[key]];
      if (words) return up ? x.localeCompare(y) : y.localeCompare(x);
      if (x === "" || y === "") return (x === "") - (y === "");
      return up ? x - y : y - x;
    });
    table.append(...rows);
  });
}

for (const map of document.querySelectorAll(".map")) {
  map.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const cells = [...map.querySelectorAll(".cell")];
    const next = cells[cells.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    document.activeElement.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

addEventListener("keydown", (event) => {
  document.documentElement.classList.toggle("quiet", event.key === "Escape");
});
addEventListener("pointermove", () => document.documentElement.classList.remove("quiet"));

addEventListener("hashchange", () => {
  const details = document.getElementById(location.hash.slice(1))?.querySelector("details");
  if (details) details.open = true;
});
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll(".candidate details")) details.open = true;
});
