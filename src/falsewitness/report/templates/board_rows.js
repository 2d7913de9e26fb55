// Which rows are shown, and in which order.

const axisFields = given.axes.map((title, axis) => ({
  key: "axis." + (given.axes.indexOf(title) === axis ? title : `${title} ${axis + 1}`),
  title,
  of: (row) => row.setting.labels[axis],
}));
const auditorField = {
  key: "auditor", title: "Auditor", of: (row) => row.auditor,
  addition: (row) => (row.trainedAgainst ? "trained against" : ""),
};
const threatField = { key: "threat", title: "Attacker controls", of: (row) => row.threatModel };
const cellsField = { key: "cells", title: "Cells", of: (row) => row.setting.state };
const deviceField = { key: "device", title: "Device", of: (row) => row.device };

function writtenIn(field, row) {
  const addition = field.addition?.(row);
  return addition ? `${field.of(row)} (${addition})` : field.of(row);
}

// The labels of a field, in the order of the benchmark; numbers in theirs.
function labelsOf(field) {
  const labels = [...new Set(rows.map(field.of))].filter((label) => label !== "");
  return labels.every((label) => Number.isFinite(parseFloat(label))) ? labels.sort(compareLabels) : labels;
}

function varies(field) {
  return new Set(rows.map((row) => writtenIn(field, row)).filter((label) => label !== "")).size > 1;
}

const varyingAxes = axisFields.filter(varies);
const textFields = [...axisFields, auditorField, threatField, cellsField];
const varyingFields = textFields.filter(varies);
// A column that says the same in every row is told once, above the table.
const leadingFields = varyingFields.length ? varyingFields : textFields;
const trailingFields = varies(deviceField) || leadingFields === textFields ? [deviceField] : [];
const constantFields = [...textFields, deviceField].filter(
  (field) => !leadingFields.includes(field) && !trailingFields.includes(field),
);

const collator = new Intl.Collator("en", { numeric: true });

function compareLabels(one, other) {
  const [first, second] = [parseFloat(one), parseFloat(other)];
  return Number.isFinite(first) && Number.isFinite(second) && first !== second
    ? first - second : collator.compare(one, other);
}

function passes(row, terms, ignoresAuditor) {
  for (const [key, wanted] of Object.entries(view.chosen)) {
    if (wanted && key !== "auditor" && !filterFor(key).accepts(row, wanted)) return false;
  }
  return (ignoresAuditor || passesAuditor(row)) && terms.every((term) => searchedText(row).includes(term));
}

// A setting without a finished cell has no auditor yet; it stays in sight.
function passesAuditor(row) {
  const wanted = view.chosen.auditor;
  if (!wanted) return row.isMain;
  return wanted === EVERY || row.auditor === wanted || row.auditor === "";
}

function searchedText(row) {
  row.searched ??= [
    ...row.setting.labels, row.auditor, row.threatModel, row.device,
    ...row.setting.cells.flatMap((cell) => [cell.seed, cell.state, cell.reason]),
  ].join("\n").toLowerCase();
  return row.searched;
}

function passingRows({ ignoresAuditor = false } = {}) {
  const terms = view.search.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => passes(row, terms, ignoresAuditor));
}

// Best first, by what the attacker wants; rows without the figure last whichever way it is sorted.
function sorted(some) {
  const rank = rankBy(view.sort);
  if (!rank) return some;
  const sign = view.reversed ? -1 : 1;
  const [ranked, missing] = [[], []];
  for (const row of some) {
    const value = rank.of(row);
    (exists(value) ? ranked : missing).push({ row, value });
  }
  ranked.sort((one, other) => sign * rank.compare(one.value, other.value));
  return [...ranked, ...missing].map((entry) => entry.row);
}

function rankBy(key) {
  const column = columns.find((candidate) => figureKey(candidate) === key);
  if (column) {
    const place = columns.indexOf(column);
    return {
      of: (row) => row.figures[place] && distanceFromWanted(column, row.figures[place].mean),
      compare: (one, other) => one - other,
    };
  }
  if (key === cellsField.key) return { of: (row) => row.setting.done, compare: (one, other) => other - one };
  const field = [...textFields, deviceField].find((candidate) => candidate.key === key);
  return field && { of: (row) => field.of(row) || null, compare: compareLabels };
}
