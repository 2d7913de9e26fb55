// What the attack costs in accuracy against what it gains, a point a setting, and the front of the best.

const costColumn = columns.find((column) => column.title === "Gap to control");
const gainColumns = columns.filter((column) => column.of_maps || column.title === "Attack success");
const MOST_WITH_INTERVALS = 200;
const MOST_AS_DRAWING = 1000;
const MOST_LISTED = 40;

function makeScatter() {
  onChoice("scatter-figure", (title) => { view.scatterFigure = title; });
}

function gainColumn() {
  return gainColumns.find((column) => column.title === view.scatterFigure)
    ?? gainColumns.find((column) => column.title === "Pearson to original") ?? gainColumns[0];
}

function showScatterChoice() {
  fillSelect("scatter-figure", gainColumns, gainColumn());
}

function scatterPoints(gain) {
  const seen = new Set();
  return passingRows().flatMap((row) => {
    const [cost, won] = [figureOf(row, costColumn), figureOf(row, gain)];
    // Where the gain is not about maps, a setting before a second auditor is the same point again.
    if (!cost || !won || (!gain.of_maps && seen.has(row.setting))) return [];
    seen.add(row.setting);
    return [{
      row, cost, won,
      x: costColumn.scale * cost.mean, y: gain.scale * won.mean,
      loss: [distanceFromWanted(costColumn, cost.mean), distanceFromWanted(gain, won.mean)],
    }];
  });
}

// Walk from the cheapest on: a point is on the front where it gains more than every cheaper one.
function frontOf(points) {
  const ordered = [...points].sort((one, other) => one.loss[0] - other.loss[0] || one.loss[1] - other.loss[1]);
  let least = Infinity;
  const front = ordered.filter((point) => {
    const isBetter = point.loss[1] < least;
    if (isBetter) least = point.loss[1];
    return isBetter;
  });
  return front.sort((one, other) => one.x - other.x);
}

function drawScatter(plot) {
  const gain = gainColumn();
  const points = costColumn && gain ? scatterPoints(gain) : [];
  const note = document.getElementById("scatter-note");
  plot.hidden = !points.length;
  note.textContent = points.length ? "" : "No setting that passes the filters has both figures.";
  listFront([], gain);
  if (!points.length) return;
  const front = frontOf(points);
  const hasIntervals = points.length <= MOST_WITH_INTERVALS;
  note.textContent = `${writeCount(points.length, "point", "points")}, ${front.length} on the front. `
    + (hasIntervals ? "Bars are 95 % intervals." : `Intervals are drawn for up to ${MOST_WITH_INTERVALS} points.`);
  // Thousands of points are painted by the graphics card, where there is one; the front then too, to lie above them.
  const type = points.length > MOST_AS_DRAWING && hasWebGl() ? "scattergl" : "scatter";
  const traces = [...groupsOf(points, gain, hasIntervals), frontTrace(front)].map((trace) => ({ ...trace, type }));
  drawPlot(plot, traces, scatterLayout(plot, gain), ["toImage", "zoom2d", "pan2d", "resetScale2d"]);
  if (!plot.dataset.leads) {
    plot.dataset.leads = "yes";
    plot.on("plotly_click", ({ points: [point] }) => visit(rows[point.customdata]));
  }
  const label = `${gain.title} against ${costColumn.title}; the settings on the front are listed below.`;
  plot.setAttribute("aria-label", label);
  listFront(front, gain);
}

function groupsOf(points, gain, hasIntervals) {
  const field = hueField();
  const size = points.length > MOST_AS_DRAWING ? 5 : points.length > MOST_WITH_INTERVALS ? 7 : 10;
  return labelsOf(field).map((label, place) => {
    const own = points.filter((point) => field.of(point.row) === label);
    return {
      mode: "markers", name: plain(shortened(label)), hoverinfo: "text",
      x: own.map((point) => point.x), y: own.map((point) => point.y),
      customdata: own.map((point) => point.row.number),
      hovertext: own.map((point) => pointInWords(point, gain).map(plain).join("<br>")),
      marker: {
        color: hue(place), symbol: SHAPES[place % SHAPES.length], size,
        line: { width: size > 5 ? 0.75 : 0, color: colour("paper") },
      },
      ...(hasIntervals ? {
        error_x: bars(own.map((point) => point.cost), costColumn, hue(place)),
        error_y: bars(own.map((point) => point.won), gain, hue(place)),
      } : {}),
    };
  }).filter((trace) => trace.x.length);
}

function hueField() {
  return varyingAxes[0] ?? auditorField;
}

function hasWebGl() {
  return Boolean(document.createElement("canvas").getContext("webgl"));
}

function bars(some, column, color) {
  const reach = (figure, end, sign) => (exists(end) ? Math.max(0, sign * column.scale * (end - figure.mean)) : 0);
  return {
    type: "data", symmetric: false, thickness: 1, width: 0, color,
    array: some.map((figure) => reach(figure, figure.high, 1)),
    arrayminus: some.map((figure) => reach(figure, figure.low, -1)),
  };
}

function pointInWords({ row, cost, won }, gain) {
  const told = (column, figure) => {
    const interval = writeInterval(column, figure);
    const value = write(column, figure.mean) + (interval && ` (${interval})`);
    return `${column.title}: ${value}, ${writeCount(figure.n, "seed", "seeds")}`;
  };
  return [
    ...varyingAxes.map((field) => `${field.title}: ${field.of(row)}`),
    row.auditor && `Auditor: ${writtenIn(auditorField, row)}`,
    told(costColumn, cost), told(gain, won),
  ].filter(Boolean);
}

function frontTrace(front) {
  return {
    mode: "lines+markers", name: "front", hoverinfo: "skip",
    x: front.map((point) => point.x), y: front.map((point) => point.y),
    customdata: front.map((point) => point.row.number),
    line: { color: colour("ink"), width: 1.5, dash: "dot" },
    marker: { symbol: "circle-open", size: 17, color: colour("ink"), line: { width: 1.75 } },
  };
}

function scatterLayout(plot, gain) {
  const better = (column) => (column.better ? `, the attacker wants: ${column.better}` : "");
  const isNarrow = plot.clientWidth < 720;
  const title = { text: plain(shortened(hueField().title)) };
  return layoutWith({
    height: isNarrow ? 620 : 540, hovermode: "closest",
    xaxis: axisWith({ title: { text: plain(titleWithUnit(costColumn) + better(costColumn)) } }),
    yaxis: axisWith({ title: { text: plain(titleWithUnit(gain) + better(gain)) } }),
    legend: isNarrow ? { orientation: "h", y: -0.2, title } : { title },
    showlegend: true,
  });
}

function listFront(front, gain) {
  document.getElementById("front-details").hidden = !front.length;
  document.getElementById("front").replaceChildren(...front.slice(0, MOST_LISTED).map((point) => {
    const button = element("button", { type: "button", class: "link" }, nameOf(point.row) || "the only setting");
    button.addEventListener("click", () => visit(point.row));
    const [cost, won] = [write(costColumn, point.cost.mean), write(gain, point.won.mean)];
    return element("li", {}, button, `: ${costColumn.title} ${cost}, ${gain.title} ${won}`);
  }));
}
