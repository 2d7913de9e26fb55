(function () {
  "use strict";
  function openTarget() {
    var target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  }
  addEventListener("hashchange", openTarget);
  openTarget();

  var chooser = document.querySelector(".chooser");
  if (!chooser) return;
  var parts = document.querySelectorAll("[data-auditor]");
  function show() {
    var chosen = chooser.querySelector("input:checked").value;
    parts.forEach(function (part) { part.classList.toggle("off", part.dataset.auditor !== chosen); });
  }
  chooser.hidden = false;
  chooser.addEventListener("change", show);
  show();
})();
