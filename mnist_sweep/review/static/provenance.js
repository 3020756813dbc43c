// What followed a sweep: the confirmed number, the steps to it, sentences, and the table of the finals.
"use strict";
Review.provenance = (place, { headline, metric, steps, sentences, finals }) => {
  const R = Review;
  const parts = [];
  if (headline) {
    const result = R.element("p", "result");
    result.append(R.element("b", "", headline), " ", R.element("span", "", metric));
    parts.push(result);
  }
  const list = R.element("ol", "steps");
  for (const { label, value, hint, url } of steps) {
    const step = list.appendChild(R.element("li"));
    const name = step.appendChild(R.element("div", "tile-label"));
    if (R.safeUrl(url)) name.appendChild(Object.assign(R.element("a", "", label), { href: url }));
    else name.textContent = label;
    step.append(R.element("div", "step-value", value), R.element("div", "step-hint", hint));
  }
  parts.push(list);
  const points = R.element("ul", "findings");
  points.append(...sentences.map((text) => R.element("li", "", text)));
  parts.push(points);
  if (finals.length) {
    const [head, ...rows] = finals;
    const kind = (column) => (column === 1 ? "text" : "number");
    const grid = document.createElement("table");
    grid.createTHead().insertRow().append(...head.map((text, i) => R.element("th", kind(i), text)));
    const body = grid.createTBody();
    for (const cells of rows) {
      const row = body.insertRow();
      cells.forEach((text, i) => (row.appendChild(R.element("td", kind(i), text)).title = i === 1 ? text : ""));
    }
    const frame = R.element("div", "table-frame");
    frame.appendChild(grid);
    parts.push(frame);
  }
  place.replaceChildren(...parts);
};
