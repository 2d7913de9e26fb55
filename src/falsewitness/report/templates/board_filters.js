// The filters: one choice for every axis that varies, the auditor, the threat model and the state.

const STATES = ["done", "diverged", "failed", "skipped", "running", "waiting"];

const stateFilter = {
  key: "state", title: "Has a cell that is",
  labels: STATES.filter((state) => settings.some((setting) => hasCell(setting, state))),
  accepts: (row, wanted) => hasCell(row.setting, wanted),
};

function hasCell(setting, state) {
  return setting.cells.some((cell) => cell.state === state);
}

function labelFilter(field) {
  const accepts = (row, wanted) => field.of(row) === wanted;
  return { key: field.key, title: field.title, labels: labelsOf(field), accepts };
}

const auditorFilter = labelFilter(auditorField);
const filters = [
  ...varyingAxes.map(labelFilter),
  auditorFilter,
  labelFilter(threatField),
  stateFilter,
].filter((filter) => filter.labels.length > 1);

function filterValues(filter) {
  return filter === auditorFilter ? [EVERY, ...filter.labels] : filter.labels;
}

function filterFor(key) {
  return filters.find((filter) => filter.key === key);
}

function makeFilters() {
  const form = document.getElementById("filters");
  for (const filter of filters) {
    const select = element("select", { name: filter.key }, ...filterOptions(filter));
    select.addEventListener("change", () => {
      view.chosen[filter.key] = select.value;
      showFromTheStart();
    });
    form.append(element("label", {}, element("span", {}, filter.title), select));
  }
  const search = document.getElementById("search");
  search.addEventListener("input", () => {
    view.search = search.value;
    showFromTheStart();
  });
  const reset = element("button", { type: "button" }, "Clear filters");
  reset.addEventListener("click", () => {
    Object.assign(view, { chosen: {}, search: "" });
    showFilters();
    showFromTheStart();
  });
  form.append(reset);
  form.addEventListener("submit", (event) => event.preventDefault());
}

function filterOptions(filter) {
  const options = filter.labels.map((label) => option(label, label));
  return filter === auditorFilter
    ? [option("", "Main (trained against, else first)"), option(EVERY, "Every auditor"), ...options]
    : [option("", "All"), ...options];
}

function showFilters() {
  for (const select of document.querySelectorAll("#filters select")) select.value = view.chosen[select.name] ?? "";
  document.getElementById("search").value = view.search;
}

// Elements are made from text alone: nothing that comes from a run is ever read as HTML.
function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value !== undefined && value !== "") made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== "" && exists(child)));
  return made;
}

function option(value, text) {
  const made = element("option", {}, text);
  made.value = value;
  return made;
}
