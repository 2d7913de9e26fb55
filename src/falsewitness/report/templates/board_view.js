// What the reader has chosen, kept in the address so that a view can be linked.

const PAGE_SIZES = [50, 100, 500];
const EVERY = "*";

function defaultView() {
  const first = usualFigure();
  return {
    sort: first ? figureKey(first) : "", reversed: false, search: "", chosen: {}, page: 0, size: PAGE_SIZES[0],
    heatRows: "", heatColumns: "", heatFigure: "", scatterFigure: "",
  };
}

const view = defaultView();

// What is looked at first, in the table as in the heat map.
function usualFigure() {
  return columns.find((column) => column.title === "Attack success") ?? columns[0];
}

function figureKey(column) {
  return "figure." + column.title;
}

function readAddress() {
  Object.assign(view, defaultView());
  const text = location.hash.slice(1);
  if (!text.includes("=")) return;
  const asked = new URLSearchParams(text);
  for (const filter of filters) {
    const value = asked.get(filter.key);
    if (filterValues(filter).includes(value)) view.chosen[filter.key] = value;
  }
  const size = Number(asked.get("size"));
  const page = Number(asked.get("page"));
  view.sort = asked.get("sort") ?? view.sort;
  view.reversed = asked.has("reversed");
  view.search = asked.get("search") ?? "";
  view.size = PAGE_SIZES.includes(size) ? size : view.size;
  view.page = Number.isInteger(page) && page > 0 ? page - 1 : 0;
  for (const name of ["heatRows", "heatColumns", "heatFigure", "scatterFigure"]) view[name] = asked.get(name) ?? "";
}

function writeAddress() {
  const usual = defaultView();
  const told = new URLSearchParams();
  if (view.sort !== usual.sort) told.set("sort", view.sort);
  if (view.reversed) told.set("reversed", "yes");
  if (view.search) told.set("search", view.search);
  for (const [key, value] of Object.entries(view.chosen)) if (value) told.set(key, value);
  if (view.size !== usual.size) told.set("size", view.size);
  if (view.page) told.set("page", view.page + 1);
  for (const name of ["heatRows", "heatColumns", "heatFigure", "scatterFigure"]) {
    if (view[name]) told.set(name, view[name]);
  }
  const text = told.toString();
  const address = text ? "#" + text : location.pathname + location.search;
  if (text !== location.hash.slice(1)) history.replaceState(null, "", address);
}
