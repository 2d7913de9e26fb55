// What both charts share: their colours, their words, and when they are drawn.

// Okabe and Ito's colours, which the colour-blind can tell apart; their black is the ink of the page.
const HUES = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "ink"];
const SHAPES = ["circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "pentagon"];
const LONGEST_TICK = 28;
const REST_BEFORE_DRAWING = 150;

const charts = [];
let timer = 0;

// A chart is drawn once it comes near the reader's eyes, and again when what it shows has changed.
function addChart(id, draw) {
  const chart = { plot: document.getElementById(id), draw, isNear: false, isOutdated: true };
  charts.push(chart);
  new IntersectionObserver(([entry]) => {
    chart.isNear = entry.isIntersecting;
    drawOutdated();
  }, { rootMargin: "300px" }).observe(chart.plot.closest("section"));
}

function outdateCharts() {
  for (const chart of charts) chart.isOutdated = true;
  clearTimeout(timer);
  timer = setTimeout(drawOutdated, REST_BEFORE_DRAWING);
}

function drawOutdated() {
  if (!window.Plotly) return;
  for (const chart of charts) {
    if (!chart.isNear || !chart.isOutdated) continue;
    chart.isOutdated = false;
    chart.draw(chart.plot);
  }
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function hue(place) {
  const chosen = HUES[place % HUES.length];
  return chosen === "ink" ? colour("ink") : chosen;
}

// Plotly reads tags in the texts it draws; these have none.
function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function shortened(text) {
  return text.length > LONGEST_TICK ? text.slice(0, LONGEST_TICK - 1) + "…" : text;
}

function titleWithUnit(column) {
  return column.unit ? `${column.title} (${column.unit})` : column.title;
}

function layoutWith(more) {
  const font = { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("ink") };
  return {
    font,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: colour("panel"),
    hoverlabel: { align: "left", bgcolor: colour("paper"), bordercolor: colour("line"), font },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("blue") },
    margin: { l: 20, r: 20, t: 34, b: 20 },
    ...more,
  };
}

function axisWith(more) {
  const [line, muted] = [colour("line"), colour("muted")];
  return { automargin: true, gridcolor: line, linecolor: line, zerolinecolor: muted, ...more };
}

// The buttons are named one by one: one of Plotly's own would send the chart to its makers.
function drawPlot(plot, traces, layout, buttons) {
  return window.Plotly.react(plot, traces, layout, {
    displaylogo: false, responsive: true, typesetMath: false, plotlyServerURL: "", modeBarButtons: [buttons],
    toImageButtonOptions: { format: "svg", filename: plot.id },
  });
}

// A choice among fewer than two is none.
function fillSelect(id, choices, chosen) {
  const select = document.getElementById(id);
  select.replaceChildren(...choices.map((choice) => option(choice.key ?? choice.title, choice.title)));
  select.value = chosen?.key ?? chosen?.title ?? "";
  select.parentElement.hidden = choices.length < 2;
}

function onChoice(id, choose) {
  const select = document.getElementById(id);
  select.addEventListener("change", () => {
    choose(select.value);
    writeAddress();
    outdateCharts();
  });
}
