// Puts everything in place.

function showAll() {
  readAddress();
  showFilters();
  document.getElementById("page-size").value = view.size;
  showHeatChoice();
  showScatterChoice();
  showRows();
}

for (const part of document.querySelectorAll(".needs-script")) part.hidden = false;
makeFilters();
makeHeading();
makePager();
tellConstants();
makeHeat();
makeScatter();
showAll();

// The address holds the view, so a link within the page moves the eye and leaves it alone.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (!link) return;
  event.preventDefault();
  document.getElementById(link.hash.slice(1)).scrollIntoView();
});
addEventListener("hashchange", showAll);
addEventListener("resize", keepLeadingColumns);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", outdateCharts);
// Plotly comes last in the file, so that the table does not wait for it.
addEventListener("load", () => {
  addChart("heat-plot", drawHeat);
  addChart("scatter-plot", drawScatter);
});
