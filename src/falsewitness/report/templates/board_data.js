// What the page shows, read once from its JSON, and how numbers are written.

const given = JSON.parse(document.getElementById("board-data").textContent);
const MISSING = "\u2013";
const MINUS = "\u2212";
const NARROW_SPACE = "\u202f";

const columns = given.columns;
const figures = given.figures.map(readFigure);
const settings = readSettings(given.settings);
const rows = readRows(given.rows);

function readFigure([mean, deviation, n, images, low, high, standing, pValue, effect, note]) {
  return { mean, deviation, n, images, low, high, standing: word(standing), pValue, effect, note: word(note) };
}

function readSettings({ labels, state, done, cells }) {
  return state.map((place, number) => ({
    labels: labels.map((ofAxis) => word(ofAxis[number])),
    state: word(place),
    done: done[number],
    cells: cells[number].map(([seed, cellState, reason, link]) => ({
      seed: word(seed), state: word(cellState), reason: word(reason), link,
    })),
  }));
}

function readRows(lists) {
  return lists.setting.map((place, number) => ({
    number,
    setting: settings[place],
    isMain: lists.main[number] === 1,
    auditor: word(lists.auditor[number]),
    trainedAgainst: lists.trained_against[number] === 1,
    threatModel: word(lists.threat_model[number]),
    device: word(lists.device[number]),
    figures: lists.figures.map((ofColumn) => figures[ofColumn[number]]),
  }));
}

function word(place) {
  return given.words[place ?? 0];
}

function figureOf(row, column) {
  return row.figures[columns.indexOf(column)];
}

function exists(value) {
  return value !== null && value !== undefined;
}

// Writing numbers, as the report's other pages do.

function fixed(value, decimals) {
  const size = Math.abs(value);
  let text = size.toFixed(decimals);
  // toFixed takes an exact tie away from zero; elsewhere in the report it goes to the even digit.
  const isTie = (size * 2 ** (decimals + 1)) % 2 === 1;
  if (isTie && Number(text.at(-1)) % 2 === 1) text = (Number(text) - 10 ** -decimals).toFixed(decimals);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

function writeNumber(form, value) {
  const text = fixed(form.scale * value, form.decimals);
  const isPositive = !text.startsWith(MINUS) && Number(text) > 0;
  return form.signed && isPositive ? "+" + text : text;
}

function write(form, value) {
  return writeNumber(form, value) + (form.unit ? NARROW_SPACE + form.unit : "");
}

function writeInterval(form, figure) {
  return exists(figure.low) && exists(figure.high)
    ? `${writeNumber(form, figure.low)} to ${write(form, figure.high)}` : "";
}

function writeDeviation(form, figure) {
  return exists(figure.deviation) ? fixed(form.scale * figure.deviation, form.decimals) : "";
}

const wholeNumbers = new Intl.NumberFormat("en-US");

function writeCount(count, one, many) {
  return `${wholeNumbers.format(count)}${NARROW_SPACE}${count === 1 ? one : many}`;
}

function writePValue(figure) {
  if (!exists(figure.pValue)) return "";
  return figure.pValue < 0.001 ? "< 0.001" : fixed(figure.pValue, 3);
}

function writeTest(figure) {
  const parts = [];
  if (exists(figure.pValue)) parts.push(`p ${figure.pValue < 0.001 ? "" : "= "}${writePValue(figure)}`);
  if (exists(figure.effect)) parts.push(`effect size d = ${fixed(figure.effect, 2)}`);
  return parts.join(", ");
}

// How far a value is from what the attacker wants: less is better, and comes first.
function distanceFromWanted(column, value) {
  switch (column.wanted) {
    case "high": return -value;
    case "near zero": return Math.abs(value);
    case "near 0.5": return Math.abs(value - 0.5);
    default: return value;
  }
}
