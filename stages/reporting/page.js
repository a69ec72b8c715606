"use strict";

const root = document.documentElement;
const wanted = matchMedia("(prefers-color-scheme: dark)");

/** Draw every chart as wide as there is room, in the page's colours. */
async function draw() {
  const dark = root.classList.contains("dark");
  for (const place of document.querySelectorAll(".chart")) {
    const spec = JSON.parse(place.dataset.chart);
    const room = place.clientWidth;
    const names = spec.params?.find((one) => one.name === "names")?.value; // of classes, beside a square
    const beside = !names ? 90 : room < 560 ? 170 : 330; // axis and legend
    for (const part of spec.vconcat ?? [spec])
      if (typeof part.width === "number") part.width = Math.min(part.width, Math.max(120, room - beside));
    if (names) {
      spec.height = spec.width;
      for (const { encoding } of spec.layer) for (const { axis } of [encoding.x, encoding.y]) axis.labelFontSize = Math.min(10, spec.width / names.length);
    }
    if (spec.columns) spec.columns = Math.max(1, Math.floor(room / 260));
    const config = { ...spec.config, background: "transparent" };
    config.legend = { symbolFillColor: "#888", ...config.legend, ...(room < 560 && { orient: "bottom", columns: 1, gradientLength: 120 }) };
    config.font = "system-ui, sans-serif";
    if (dark) config.axis = { gridColor: "#3b3c44", ...config.axis };
    delete spec.config;
    if (spec.encoding?.y?.axis?.labelLimit && room < 560) spec.encoding.y.axis.labelLimit = 110;
    for (const layer of spec.layer ?? [])
      if (layer.encoding?.y?.axis && room < 560) layer.encoding.y.axis.labelLimit = room < 320 ? 110 : 150;
    await vegaEmbed(place, spec, { actions: false, renderer: "svg", theme: dark ? "dark" : undefined, config });
    place.querySelector("svg").setAttribute("aria-hidden", "true"); // of hundreds of marks; the label says it at once
  }
  root.dataset.drawn = dark ? "dark" : "light";
}

/** Have a table sorted by the column whose heading is pressed. */
function makeSortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") !== "descending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((one, other) => (down ? -1 : 1) * compare(one.cells[column], other.cells[column]));
      table.tBodies[0].append(...rows);
    });
  });
}

function compare(one, other) {
  const [first, second] = [one, other].map((cell) => cell.dataset.value ?? cell.textContent.trim());
  const [a, b] = [first, second].map((text) => parseFloat(text.replace(/[+,]/g, "")));
  return Number.isNaN(a) || Number.isNaN(b) ? first.localeCompare(second) : a - b;
}

/** Long words wrap, numbers do not; a table that is too wide scrolls by itself, also by keyboard. */
function makeRoomy(table) {
  for (const cell of table.querySelectorAll("tbody td")) cell.classList.toggle("words", cell.textContent.length > 40);
  if (table.closest(".wide")) return;
  const frame = document.createElement("div");
  frame.className = "wide";
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", table.closest("section").querySelector("h2")?.textContent ?? "Table");
  table.replaceWith(frame);
  frame.append(table);
}

document.querySelectorAll("table").forEach(makeSortable);
document.querySelectorAll("table").forEach(makeRoomy);
for (const box of document.querySelectorAll(".where"))
  box.addEventListener("change", () => box.closest("section").classList.toggle("looked", box.checked));
root.classList.toggle("dark", wanted.matches);
wanted.addEventListener("change", () => { root.classList.toggle("dark", wanted.matches); draw(); });
document.getElementById("scheme").addEventListener("click", () => { root.classList.toggle("dark"); draw(); });
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
draw();
