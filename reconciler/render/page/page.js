"use strict";
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const words = document.getElementById("words");
  const kind = document.getElementById("kind");
  const shown = document.getElementById("shown");
  const none = document.getElementById("none");
  const targets = [...document.querySelectorAll("section.target")].map((element) => ({
    element,
    rows: [...element.querySelectorAll("tbody tr")].map((row) => ({ row, text: row.textContent.toLowerCase() })),
  }));
  const all = targets.reduce((sum, target) => sum + target.rows.length, 0);

  function filter() {
    const terms = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const active = terms.length > 0 || kind.value !== "";
    let matches = 0;
    for (const { element, rows } of targets) {
      let here = 0;
      for (const { row, text } of rows) {
        const fits = (!kind.value || row.dataset.kind === kind.value) && terms.every((word) => text.includes(word));
        row.hidden = !fits;
        here += fits ? 1 : 0;
      }
      element.hidden = active && here === 0;
      matches += here;
    }
    shown.value = active ? `${matches} of ${all} shown` : "";
    none.hidden = !active || matches > 0;
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  filter();
})();
