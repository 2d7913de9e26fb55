// The heat map: any two axes, any figure, the mean over what shares two labels.

const heatAxes = [...varyingAxes, ...(varies(auditorField) && auditorFilter.labels.length > 1 ? [auditorField] : [])];
const ALL_TOGETHER = { key: "", title: "", of: () => "all settings" };
const MOST_WRITTEN = 150;
const MOST_COLUMNS_WRITTEN = 14;
const MOST_COLUMNS_APART = 60;
const MOST_TICKS = 40;
const ROW_HEIGHT = 34;
const TALLEST = 1400;

function heatChoice() {
  const asked = heatAxes.find((field) => field.key === view.heatRows);
  const first = heatAxes.find((field) => field.key !== view.heatColumns);
  const down = heatAxes.length < 2 ? ALL_TOGETHER : asked ?? first;
  const others = heatAxes.filter((field) => field !== down);
  const across = others.find((field) => field.key === view.heatColumns) ?? others[0] ?? ALL_TOGETHER;
  return { down, across, column: columns.find((column) => column.title === view.heatFigure) ?? usualFigure() };
}

function makeHeat() {
  onChoice("heat-rows", (key) => chooseAxis("heatRows", "heatColumns", key));
  onChoice("heat-columns", (key) => chooseAxis("heatColumns", "heatRows", key));
  onChoice("heat-figure", (title) => { view.heatFigure = title; });
  document.getElementById("heat-details").addEventListener("toggle", drawHeatTable);
}

// The same axis both ways would say nothing: the other way takes what this one had.
function chooseAxis(name, other, key) {
  const { down, across } = heatChoice();
  const before = { heatRows: down.key, heatColumns: across.key };
  view[name] = key;
  view[other] = before[other] === key ? before[name] : before[other];
  showHeatChoice();
}

function showHeatChoice() {
  const { down, across, column } = heatChoice();
  fillSelect("heat-rows", heatAxes, down);
  fillSelect("heat-columns", heatAxes, across);
  fillSelect("heat-figure", columns, column);
}

function heatMap() {
  const { down, across, column } = heatChoice();
  const some = passingRows({ ignoresAuditor: [down, across].includes(auditorField) });
  const [downLabels, acrossLabels] = [labelsAmong(down, some), labelsAmong(across, some)];
  const fields = new Map();
  for (const row of some) addToField(fields, row, down.of(row), across.of(row), column);
  return { down, across, column, downLabels, acrossLabels, at: (one, other) => fields.get(`${one}\n${other}`) };
}

function labelsAmong(field, some) {
  if (field === ALL_TOGETHER) return [field.of()];
  const found = new Set(some.map(field.of));
  return labelsOf(field).filter((label) => found.has(label));
}

function addToField(fields, row, downLabel, acrossLabel, column) {
  const key = `${downLabel}\n${acrossLabel}`;
  if (!fields.has(key)) fields.set(key, { sum: 0, rows: 0, cells: 0, counted: new Set(), seen: new Set() });
  const field = fields.get(key);
  field.seen.add(row.setting);
  const figure = figureOf(row, column);
  const isKnown = field.counted.has(row.setting);
  // What is not about maps is the same before every auditor: a setting has one of it.
  if (!figure || (isKnown && !column.of_maps)) return;
  field.counted.add(row.setting);
  field.sum += figure.mean;
  field.rows += 1;
  field.cells += isKnown ? 0 : figure.n;
}

function meanOf(field) {
  return field?.rows ? field.sum / field.rows : null;
}

function fieldInWords(map, downLabel, acrossLabel) {
  const { down, across, column } = map;
  const field = map.at(downLabel, acrossLabel);
  const place = [[down, downLabel], [across, acrossLabel]]
    .filter(([axis]) => axis !== ALL_TOGETHER)
    .map(([axis, label]) => `${axis.title}: ${label}`);
  if (!field) return [...place, "no data: no such setting passes the filters"];
  const lacking = field.seen.size - field.counted.size;
  const missing = lacking ? [`no data: ${writeCount(lacking, "setting", "settings")}`] : [];
  if (!field.rows) return [...place, ...missing];
  const before = field.rows > field.counted.size ? " before several auditors" : "";
  const counted = writeCount(field.counted.size, "setting", "settings") + before;
  return [
    ...place,
    `${column.title}: ${write(column, meanOf(field))}`,
    `mean of ${counted}, ${writeCount(field.cells, "cell", "cells")}`,
    ...missing,
  ];
}

function drawHeat(plot) {
  const map = heatChoice().column ? heatMap() : null;
  const hasFields = Boolean(map?.downLabels.length && map.acrossLabels.length);
  plot.hidden = !hasFields;
  document.getElementById("heat-details").hidden = !hasFields;
  const note = document.getElementById("heat-note");
  note.textContent = map ? "No row passes the filters." : "No setting has a figure yet.";
  if (!hasFields) return;
  const { column, downLabels, acrossLabels } = map;
  const lines = downLabels.map((one, y) => (
    acrossLabels.map((other, x) => ({ one, other, x, y, mean: meanOf(map.at(one, other)) }))
  ));
  const gaps = lines.flat().filter((field) => field.mean === null);
  const inWords = ({ one, other }) => fieldInWords(map, one, other).map(plain).join("<br>");
  const isSpacious = acrossLabels.length <= MOST_COLUMNS_APART;
  const traces = [fieldsTrace(lines, column, inWords, isSpacious), gapsTrace(gaps, inWords, isSpacious)];
  drawPlot(plot, traces, heatLayout(map), ["toImage"]);
  plot.setAttribute("aria-label", `Heat map of ${column.title}; the table below it says the same.`);
  note.textContent = heatNote(map, gaps.length);
  drawHeatTable();
}

function fieldsTrace(lines, column, inWords, isSpacious) {
  const width = lines[0]?.length ?? 0;
  const isWritten = width * lines.length <= MOST_WRITTEN && width <= MOST_COLUMNS_WRITTEN;
  const gap = isSpacious ? 2 : 0;
  return {
    type: "heatmap", colorscale: "Cividis", xgap: gap, ygap: gap, hoverongaps: false, hoverinfo: "text",
    z: lines.map((line) => line.map((field) => (field.mean === null ? null : column.scale * field.mean))),
    hovertext: lines.map((line) => line.map(inWords)),
    text: lines.map((line) => line.map((field) => (field.mean === null ? "" : write(column, field.mean)))),
    ...(isWritten ? { texttemplate: "%{text}" } : {}),
    colorbar: {
      orientation: "h", x: 0, xanchor: "left", y: 1, yanchor: "bottom", len: 0.4, thickness: 12, outlinewidth: 0,
      title: { text: plain(titleWithUnit(column)), side: "top" },
    },
  };
}

function gapsTrace(gaps, inWords, isSpacious) {
  return {
    type: "scatter", mode: "markers", showlegend: false, hoverinfo: "text",
    x: gaps.map((gap) => gap.x), y: gaps.map((gap) => gap.y), hovertext: gaps.map(inWords),
    marker: { symbol: "x-thin-open", size: 9, opacity: isSpacious ? 1 : 0, color: colour("muted") },
  };
}

function heatLayout({ down, across, downLabels, acrossLabels }) {
  return layoutWith({
    height: Math.min(TALLEST, 210 + ROW_HEIGHT * downLabels.length),
    xaxis: axisWith({ ...labelled(acrossLabels, across), range: [-0.5, acrossLabels.length - 0.5] }),
    yaxis: axisWith({ ...labelled(downLabels, down, 12), range: [downLabels.length - 0.5, -0.5] }),
  });
}

function labelled(labels, { title }, standoff) {
  // Where there are more labels than room, every so manyth is written.
  const step = Math.ceil(labels.length / MOST_TICKS);
  const places = labels.map((_, place) => place).filter((place) => place % step === 0);
  return {
    tickmode: "array", tickvals: places, ticktext: places.map((place) => plain(shortened(labels[place]))),
    showgrid: false, zeroline: false, title: { text: plain(shortened(title)), standoff },
  };
}

function heatNote({ down, across, acrossLabels }, gaps) {
  const lines = [];
  if (!heatAxes.length) lines.push("No axis varies: one field holds every setting.");
  if ([down, across].includes(auditorField)) {
    lines.push("The auditor is an axis here, so the filter on auditors does not apply.");
  }
  if (gaps) lines.push(acrossLabels.length <= MOST_COLUMNS_APART ? "A cross: no data." : "Without colour: no data.");
  return lines.join(" ");
}

function drawHeatTable() {
  if (!document.getElementById("heat-details").open || !heatChoice().column) return;
  const map = heatMap();
  const lines = map.downLabels.map((one) => [one, ...map.acrossLabels.map((other) => {
    const mean = meanOf(map.at(one, other));
    return mean === null ? MISSING : write(map.column, mean);
  })]);
  const made = plainTable(map.column.title, [map.down.title, ...map.acrossLabels], lines, 1);
  document.getElementById("heat-table").replaceChildren(made);
}
