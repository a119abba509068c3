"use strict";
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const words = document.getElementById("words");
  const kind = document.getElementById("kind");
  const shown = document.getElementById("shown");
  const none = document.getElementById("none");
  const textOf = (element, selector) =>
    [...element.querySelectorAll(selector)].map((part) => part.textContent).join(" ").toLowerCase();

  // An alias matches by its own name, and by what its batch and its move say about all of theirs.
  const targets = [...document.querySelectorAll("section.target")].map((element) => ({
    element,
    moves: [...element.querySelectorAll(".move")].map((move) => ({
      element: move,
      batches: [...move.querySelectorAll(".batch")].map((batch) => ({
        element: batch,
        text: `${textOf(move, ".shared")} ${textOf(batch, ".own")}`,
        aliases: [...batch.querySelectorAll(".alias")].map((alias) => ({
          element: alias,
          text: alias.textContent.toLowerCase(),
        })),
      })),
    })),
  }));
  const all = document.querySelectorAll(".batch .alias").length;

  function filter() {
    const terms = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const active = terms.length > 0 || kind.value !== "";
    const show = ({ element }, matches) => {
      element.hidden = active && matches === 0;
      return matches;
    };
    const total = (parts, count) => parts.reduce((sum, part) => sum + show(part, count(part)), 0);
    const matches = total(targets, (target) =>
      total(target.moves, (move) =>
        total(move.batches, (batch) =>
          total(batch.aliases, (alias) => {
            const kindFits = !kind.value || batch.element.dataset.kind === kind.value;
            return kindFits && terms.every((term) => alias.text.includes(term) || batch.text.includes(term)) ? 1 : 0;
          })
        )
      )
    );
    shown.value = active ? `${matches} of ${all} shown` : "";
    none.hidden = !active || matches > 0;
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  filter();
})();
