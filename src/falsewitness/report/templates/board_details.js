// What opens below a row: its experiments, and its figures in full.

const FIGURE_HEADINGS = [
  "Figure", "Mean", "Deviation", "95 % interval", "Seeds", "Images", "Beside the best", "p", "d", "Note",
];

function detailsRow(row) {
  const inside = element("div", { class: "details" }, experimentsTable(row), figuresTable(row));
  return element("tr", { class: "opened", id: `details-${row.number}` }, wideCell(inside));
}

function experimentsTable(row) {
  const lines = row.setting.cells.map((cell) => [
    cell.seed || MISSING,
    element("span", { class: `state ${cell.state}` }, cell.state),
    cell.reason || MISSING,
    cell.link ? element("a", { href: cell.link }, "report") : MISSING,
  ]);
  return plainTable(`Experiments: ${nameOf(row)}`, ["Seed", "State", "Reason", "Run"], lines, 4);
}

function figuresTable(row) {
  const known = columns.filter((column) => figureOf(row, column));
  const lines = known.map((column) => figureLine(column, figureOf(row, column)));
  if (!lines.length) return element("p", { class: "muted" }, "No figure yet.");
  return plainTable("Figures in full", FIGURE_HEADINGS, lines, 1, [6, 9]);
}

function figureLine(column, figure) {
  return [
    column.title,
    write(column, figure.mean),
    writeDeviation(column, figure) || MISSING,
    writeInterval(column, figure) || MISSING,
    String(figure.n),
    exists(figure.images) ? wholeNumbers.format(figure.images) : MISSING,
    figure.standing || MISSING,
    writePValue(figure) || MISSING,
    exists(figure.effect) ? fixed(figure.effect, 2) : MISSING,
    figure.note || MISSING,
  ];
}

function nameOf(row) {
  const auditor = row.auditor && `before ${writtenIn(auditorField, row)}`;
  const labels = row.setting.labels.filter((label, axis) => varyingAxes.includes(axisFields[axis]));
  return [...labels, auditor].filter(Boolean).join(", ");
}

// A table of texts; the first so many columns are words, as are those named by their place.
function plainTable(caption, headings, lines, wordsUpTo, wordsAt = []) {
  const isText = (place) => place < wordsUpTo || wordsAt.includes(place);
  const cellClass = (place) => ({ class: isText(place) ? "text" : "" });
  const head = headings.map((text, place) => element("th", { scope: "col", ...cellClass(place) }, text));
  const body = lines.map((line) => element("tr", {}, ...line.map((content, place) => (
    place === 0 ? element("th", { scope: "row" }, content) : element("td", cellClass(place), content)
  ))));
  return element("table", { class: "narrow plain" },
    element("caption", { class: "plain-title" }, caption),
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...body));
}
