"use strict";
const STEP = 50;

for (const place of document.querySelectorAll("[data-samples]")) {
  const body = place.querySelector("tbody");
  const heads = [...place.querySelectorAll("th")];
  const [search, select] = [place.querySelector("input"), place.querySelector("select")];
  const [more, every] = [place.querySelector("[data-more]"), place.querySelector("[data-every]")];
  const status = place.querySelector("[role=status]");
  const order = new Intl.Collator("en", { numeric: true });
  let rows = [...body.rows].map((row) => ({ row, text: row.textContent.toLowerCase() }));
  let shown = STEP;

  function show() {
    const wanted = search.value.trim().toLowerCase();
    let found = 0;
    for (const { row, text } of rows) {
      const matches = text.includes(wanted) && (select.value === "all" || "differs" in row.dataset);
      found += matches;
      row.hidden = !matches || found > shown;
    }
    const seen = Math.min(found, shown);
    const first = seen < found ? `, of which the first ${seen} are shown` : "";
    status.textContent = `${found} of ${rows.length} samples${first}`;
    more.parentElement.hidden = seen === found;
  }

  function compare(column, isNumber, sign, a, b) {
    const [x, y] = [a, b].map(({ row }) => isNumber ? row.cells[column].dataset.key : row.cells[column].textContent);
    // What is missing comes last, whichever way.
    if (x === "" || y === "") return (x === "") - (y === "");
    return sign * (isNumber ? x - y : order.compare(x, y));
  }

  function sort(head, column) {
    const isUp = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
    rows.sort((a, b) => compare(column, ["number", "label"].includes(head.dataset.kind), isUp ? 1 : -1, a, b));
    body.append(...rows.map(({ row }) => row));
    shown = STEP;
    show();
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head, column));
    head.append(button);
  });
  for (const [control, event] of [[search, "input"], [select, "change"]]) {
    control.addEventListener(event, () => { shown = STEP; show(); });
  }
  more.addEventListener("click", () => { shown += STEP; show(); });
  every.addEventListener("click", () => { shown = Infinity; show(); });
  place.querySelector(".controls").hidden = false;
  show();
}

for (const button of document.querySelectorAll("[data-copy]")) {
  const code = button.parentElement.querySelector("code");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      // Not allowed here: it is selected instead.
      getSelection().selectAllChildren(code);
    }
  });
}
