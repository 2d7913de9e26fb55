// The leaderboard: its heading, the rows of one page, and the way through the pages.

const table = document.getElementById("leaderboard-table");
const region = document.getElementById("leaderboard-region");
const ARROWS = { descending: " ▼", ascending: " ▲", other: " ◆" };
const ORDERS_IN_WORDS = {
  high: ["highest", "lowest"],
  low: ["lowest", "highest"],
  "": ["lowest", "highest"],
  "near zero": ["nearest to 0", "farthest from 0"],
  "near 0.5": ["nearest to 0.5", "farthest from 0.5"],
};
const opened = new Set();
let shown = [];

function showFromTheStart() {
  view.page = 0;
  showRows();
}

function showRows() {
  shown = sorted(passingRows());
  view.page = Math.min(view.page, Math.max(0, pageCount() - 1));
  drawHeading();
  drawPage();
  outdateCharts();
  writeAddress();
}

function pageCount() {
  return Math.ceil(shown.length / view.size);
}

function makeHeading() {
  const line = element("tr", {});
  leadingFields.forEach((field, place) => {
    line.append(heading(field.key, field.title, { class: `text fixed fixed-${place}` }));
  });
  for (const column of columns) line.append(heading(figureKey(column), column.title, {}, meaningOf(column)));
  for (const field of trailingFields) line.append(heading(field.key, field.title, { class: "text" }));
  table.tHead.replaceChildren(line);
}

function meaningOf(column) {
  return column.meaning + (column.better ? ` The attacker wants: ${column.better}.` : "");
}

function heading(key, title, properties, meaning = "") {
  const arrow = element("span", { "aria-hidden": "true" });
  const button = element("button", { type: "button", class: "sort", title: meaning }, title, arrow);
  button.addEventListener("click", () => sortBy(key));
  const cell = element("th", { scope: "col", ...properties }, button);
  cell.dataset.key = key;
  return cell;
}

// Once: the best first; twice: the other way round; a third time: as the benchmark has them.
function sortBy(key) {
  const isSorted = view.sort === key;
  view.sort = isSorted && view.reversed ? "" : key;
  view.reversed = isSorted && !view.reversed;
  showFromTheStart();
  region.scrollTop = 0;
}

function drawHeading() {
  for (const cell of table.tHead.rows[0].cells) {
    const isSorted = cell.dataset.key === view.sort;
    const order = orderOf(cell.dataset.key);
    cell.querySelector("span").textContent = isSorted ? ARROWS[order] : "";
    if (isSorted) cell.setAttribute("aria-sort", order);
    else cell.removeAttribute("aria-sort");
  }
}

function orderOf(key) {
  const wanted = columns.find((column) => figureKey(column) === key)?.wanted;
  // Sorted by the distance from a value, numbers neither rise nor fall.
  if (wanted?.startsWith("near")) return "other";
  const startsHigh = wanted === "high" || key === cellsField.key;
  return startsHigh === view.reversed ? "ascending" : "descending";
}

function drawPage() {
  const start = view.page * view.size;
  const onPage = shown.slice(start, start + view.size);
  const lines = onPage.flatMap((row) => (opened.has(row) ? [tableRow(row), detailsRow(row)] : [tableRow(row)]));
  const nothing = element("tr", {}, wideCell("No row passes the filters."));
  table.tBodies[0].replaceChildren(...(lines.length ? lines : [nothing]));
  document.getElementById("count").textContent = countLine();
  document.getElementById("page-place").textContent = `${view.page + 1} of ${Math.max(1, pageCount())}`;
  document.getElementById("page-back").disabled = view.page === 0;
  document.getElementById("page-on").disabled = view.page >= pageCount() - 1;
  keepLeadingColumns();
}

function wideCell(content) {
  const width = leadingFields.length + columns.length + trailingFields.length;
  return element("td", { class: "text", colspan: width }, content);
}

function countLine() {
  return `${wholeNumbers.format(shown.length)} of ${writeCount(rows.length, "row", "rows")}${sortLine()}`;
}

function sortLine() {
  const column = columns.find((candidate) => figureKey(candidate) === view.sort);
  const field = [...leadingFields, ...trailingFields].find((candidate) => candidate.key === view.sort);
  if (!column) return field ? `, sorted by ${field.title}` : ", in the order of the benchmark";
  const [best, worst] = ORDERS_IN_WORDS[column.wanted];
  return `, sorted by ${column.title}, ${view.reversed ? worst : best} first`;
}

function tableRow(row) {
  const line = element("tr", { id: `row-${row.number}`, class: row.setting.done ? "" : "without-figures" });
  leadingFields.forEach((field, place) => line.append(leadingCell(row, field, place)));
  columns.forEach((column, place) => line.append(figureCell(column, row.figures[place])));
  for (const field of trailingFields) line.append(element("td", { class: "text" }, writtenIn(field, row) || MISSING));
  return line;
}

function leadingCell(row, field, place) {
  const text = field.of(row) || MISSING;
  const addition = field.addition?.(row) && element("small", {}, field.addition(row));
  const kind = field === cellsField || field === threatField ? "wordy" : "";
  if (place > 0) return element("td", { class: `text fixed fixed-${place} ${kind}` }, text, addition);
  const isOpen = opened.has(row);
  const button = element("button", { type: "button", class: "open", "aria-expanded": String(isOpen) }, text);
  if (isOpen) button.setAttribute("aria-controls", `details-${row.number}`);
  button.addEventListener("click", () => toggle(row));
  return element("th", { scope: "row", class: "fixed fixed-0" }, button, addition);
}

function figureCell(column, figure) {
  if (!figure) return element("td", {}, MISSING);
  const deviation = writeDeviation(column, figure);
  const seeds = writeCount(figure.n, "seed", "seeds");
  return element("td", { title: figureInWords(column, figure) },
    write(column, figure.mean),
    element("small", {}, deviation ? `±${NARROW_SPACE}${deviation}, ${seeds}` : seeds),
    writeInterval(column, figure) && element("small", {}, writeInterval(column, figure)),
    figure.standing && element("small", { class: `standing ${figure.standing.replaceAll(" ", "-")}` }, figure.standing),
    figure.note && element("small", { class: "note" }, figure.note));
}

function figureInWords(column, figure) {
  const beside = { worse: "worse than the best", "not distinguishable": "not distinguishable from the best" };
  const parts = [
    beside[figure.standing] ?? figure.standing, writeTest(figure), writeCount(figure.n, "seed", "seeds"),
    exists(figure.images) && writeCount(figure.images, "image", "images"),
  ];
  return `${column.title}: ${parts.filter(Boolean).join("; ")}`;
}

function toggle(row) {
  if (!opened.delete(row)) opened.add(row);
  drawPage();
  openButton(row).focus({ preventScroll: true });
}

function openButton(row) {
  return document.querySelector(`#row-${row.number} button.open`);
}

// Lead from a chart to a row: turn to its page, open it, bring it into sight.
function visit(row) {
  view.page = Math.floor(shown.indexOf(row) / view.size);
  opened.add(row);
  drawPage();
  writeAddress();
  const line = document.getElementById(`row-${row.number}`);
  document.getElementById("filters").scrollIntoView();
  region.scrollTop = line.offsetTop - table.tHead.offsetHeight;
  openButton(row).focus({ preventScroll: true });
}

// The axes and the auditor, which name a row, stay in sight as long as they leave most of the width to the figures.
function keepLeadingColumns() {
  let left = 0;
  table.style.setProperty("--seen", `${region.clientWidth}px`);
  leadingFields.forEach((field, place) => {
    const { width } = table.tHead.rows[0].cells[place].getBoundingClientRect();
    const isName = field === auditorField || axisFields.includes(field);
    const isKept = place === 0 || (isName && left + width <= 0.45 * region.clientWidth);
    table.style.setProperty(`--left-${place}`, isKept ? `${left}px` : "auto");
    left = isKept ? left + width : Infinity;
    if (isKept) table.dataset.kept = place;
  });
}

function makePager() {
  const size = document.getElementById("page-size");
  size.addEventListener("change", () => {
    view.size = Number(size.value);
    showFromTheStart();
  });
  const turn = (pages) => () => {
    view.page += pages;
    drawPage();
    writeAddress();
    region.scrollTop = 0;
  };
  document.getElementById("page-back").addEventListener("click", turn(-1));
  document.getElementById("page-on").addEventListener("click", turn(1));
}

function tellConstants() {
  const told = constantFields
    .map((field) => [field.title, rows.map((row) => writtenIn(field, row)).find(Boolean)])
    .filter(([, label]) => label);
  const line = told.map(([title, label]) => `${title} ${label}`).join("; ");
  document.getElementById("constants").textContent = line && `The same in every row that has it: ${line}.`;
}
