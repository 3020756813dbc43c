// A table of runs: sort, filter, choose columns, tick rows for comparison, save as CSV. Every value is written as text.
// The page's address keeps what the reader chose. A `plain` table has other rows, which cannot be ticked, and keeps nothing.
// A table is rendered in place: only cells whose content changed are written, so keyboard focus stays where it is.
"use strict";
window.Review = window.Review || {};

Review.Table = class {
  constructor(root, { onSelect, onDraw, picture, noun = "runs", plain = false, keepsSelection = true } = {}) {
    Object.assign(this, { onSelect, onDraw, picture, noun, plain, keepsSelection });
    const chosen = plain ? () => "" : Review.chosen;
    this.query = chosen("q");
    this.statuses = new Set(chosen("status").split(",").filter(Boolean)); // empty: all
    this.sort = { key: chosen("sort").replace(/^-/, "") || null, down: chosen("sort").startsWith("-") };
    this.wanted = chosen("columns").split(",").filter(Boolean).map((key) => key.replaceAll("%2C", ",").replaceAll("%25", "%")); // empty: the default columns
    this.selected = new Set((keepsSelection ? chosen("runs") : "").split(",").filter(Boolean));
    this.selectionChosen = this.selected.size > 0;
    this.brush = null;
    this.limit = 50;
    this.lines = new Map(); // row id -> its element
    this.bar = root.appendChild(Review.element("div", "toolbar"));
    this.problem = root.appendChild(Review.element("p", "warn"));
    this.problem.setAttribute("role", "alert");
    this.problem.hidden = true;
    const frame = root.appendChild(Review.element("div", "table-frame"));
    const table = frame.appendChild(document.createElement("table"));
    this.head = table.createTHead().insertRow();
    this.body = table.createTBody();
    this.foot = root.appendChild(Review.element("div", "table-foot"));
    this.buildBar();
    if (!plain) this.highlights();
  }

  buildBar() {
    const search = (this.search = this.bar.appendChild(document.createElement("input")));
    Object.assign(search, { type: "search", className: "search", value: this.query });
    search.setAttribute("aria-label", `Filter the ${this.noun}`);
    search.title = "Conditions: name = value, !=, <, <=, >, >=, name in [a, b]; join them with and, or, commas";
    search.addEventListener("input", () => this.update({ query: search.value }));
    this.chips = this.bar.appendChild(Review.element("div", "chips"));
    this.bar.appendChild(Review.element("span", "spacer"));
    const columns = this.bar.appendChild(Review.element("details", "menu"));
    columns.appendChild(Review.element("summary", "button", "Columns"));
    this.menu = columns.appendChild(Review.element("div", "menu-list"));
    document.addEventListener("click", (event) => columns.contains(event.target) || (columns.open = false));
    const csv = Review.button(this.bar, "CSV", () => Review.save(this.plain ? "table.csv" : "runs.csv", this.csv()));
    csv.title = "Save the visible rows and columns as CSV";
  }

  // A row under the pointer is highlighted everywhere, and a run under the pointer elsewhere is highlighted here.
  highlights() {
    const row = (event) => event.target.closest?.("tr")?.dataset.id;
    this.body.addEventListener("mouseover", (event) => row(event) && Review.highlight([row(event)]));
    this.body.addEventListener("mouseleave", () => Review.highlight([]));
    this.body.addEventListener("focusin", (event) => row(event) && Review.highlight([row(event)]));
    this.body.addEventListener("focusout", () => Review.highlight([]));
    Review.onHighlight((ids) => {
      for (const [id, line] of this.lines) line.classList.toggle("highlighted", ids.includes(id));
    });
  }

  show({ columns, rows }) {
    const before = new Map((this.columns || []).map((c) => [c.key, c.shown]));
    const shown = (c) => (this.wanted.length ? this.wanted.includes(c.key) : (before.get(c.key) ?? c.shown));
    this.columns = columns.map((c) => ({ ...c, shown: shown(c) }));
    this.rows = rows;
    this.search.placeholder = this.example();
    this.showMenu();
    this.showChips();
    this.draw();
  }

  showMenu() {
    const boxes = this.columns.map(({ key, label, shown }) => [key, label, shown]);
    if (!Review.changed(this.menu, boxes)) return;
    this.menu.replaceChildren(
      ...boxes.map(([key, text, checked]) => {
        const label = Review.element("label");
        const box = label.appendChild(Object.assign(document.createElement("input"), { type: "checkbox", checked }));
        box.addEventListener("change", () => {
          this.columns.find((column) => column.key === key).shown = box.checked;
          this.wanted = this.columns.filter((c) => c.shown).map((c) => c.key);
          this.draw();
        });
        label.append(` ${text}`);
        return label;
      }),
    );
  }

  showChips() {
    const counts = this.plain ? {} : Object.groupBy(this.rows.filter((row) => row.status), (row) => row.status);
    const chips = Object.entries(counts).map(([status, rows]) => [status, rows.length]);
    if (!Review.changed(this.chips, chips)) return;
    const before = new Map([...this.chips.children].map((chip) => [chip.dataset.status, chip]));
    const wanted = chips.map(([status, count]) => {
      const chip = before.get(status) || this.chip(status);
      chip.lastChild.textContent = `${status} ${count}`;
      return chip;
    });
    Review.keepingFocus(() => this.chips.replaceChildren(...wanted));
  }

  chip(status) {
    const chip = Review.element("button", "chip");
    chip.type = "button";
    chip.dataset.status = status;
    chip.append(Review.dot(status), "");
    chip.setAttribute("aria-pressed", this.statuses.has(status));
    chip.addEventListener("click", () => {
      this.statuses.has(status) ? this.statuses.delete(status) : this.statuses.add(status);
      chip.setAttribute("aria-pressed", this.statuses.has(status));
      this.draw();
    });
    return chip;
  }

  // A filter that makes sense for these rows: the median of a searched number.
  example() {
    const column = this.columns.find((c) => (this.plain || c.key.startsWith("config:")) && c.kind === "number" && c.shown);
    const values = column ? this.rows.map((row) => row[column.key]).filter((v) => v !== undefined).sort((a, b) => a - b) : [];
    const middle = values[Math.floor(values.length / 2)];
    const text = `Filter: ${this.plain ? "a text" : "a name"}`;
    return middle === undefined ? text : `${text}, or ${column.label} < ${Review.number(middle)}`;
  }

  update(change) {
    Object.assign(this, change);
    this.draw();
  }

  visible() {
    const { test, problem } = Review.filter(this.query, this.columns);
    this.problem.textContent = problem && `The filter was not applied. ${problem}`;
    this.problem.hidden = !problem;
    const rows = this.rows.filter(
      (row) => (!this.brush || this.brush.has(row.id)) && (!this.statuses.size || this.statuses.has(row.status)) && test(row),
    );
    const { key, down } = this.sort;
    if (!key) return rows;
    const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
    return rows.sort((a, b) => {
      if (a[key] === undefined || b[key] === undefined) return (a[key] === undefined) - (b[key] === undefined);
      return down ? order(b[key], a[key]) : order(a[key], b[key]);
    });
  }

  draw() {
    const shown = this.columns.filter((c) => c.shown);
    const rows = this.visible();
    this.drawHead(shown);
    this.drawBody(rows.slice(0, this.limit), shown);
    this.drawFoot(rows);
    if (!this.plain) this.remember();
    if (this.onDraw) this.onDraw(rows);
  }

  drawHead(shown) {
    if (Review.changed(this.head, shown)) {
      this.head.replaceChildren(...(this.plain ? [] : [Review.element("th", "pick")]));
      for (const column of shown) {
        const th = this.head.appendChild(Review.element("th", column.kind));
        th.setAttribute("scope", "col");
        th.dataset.key = column.key;
        Review.button(th, column.label, () => this.order(column), "head");
      }
    }
    const direction = this.sort.down ? "descending" : "ascending";
    for (const th of this.head.querySelectorAll("[data-key]")) {
      th.setAttribute("aria-sort", th.dataset.key === this.sort.key ? direction : "none");
    }
  }

  drawBody(rows, shown) {
    const lines = rows.map((row) => {
      const line = this.lines.get(row.id) || this.line(row);
      this.fill(line, row, shown);
      return line;
    });
    this.lines = new Map(rows.map((row, i) => [row.id, lines[i]]));
    const same = lines.length === this.body.rows.length && lines.every((line, i) => this.body.rows[i] === line);
    if (!same) Review.keepingFocus(() => this.body.replaceChildren(...lines));
  }

  drawFoot(rows) {
    const all = this.rows.length;
    const count = rows.length === all ? `${all} ${this.noun}` : `${rows.length} of ${all} ${this.noun}`;
    if (!Review.changed(this.foot, [count, Boolean(this.brush), rows.length > this.limit])) return;
    this.foot.replaceChildren(Review.element("span", "count", count));
    if (this.brush) Review.button(this.foot, "Clear the brush", () => this.onClear && this.onClear());
    if (rows.length > this.limit) Review.button(this.foot, `Show all ${rows.length}`, () => this.update({ limit: Infinity }));
  }

  remember() {
    const sort = this.sort.key ? `${this.sort.down ? "-" : ""}${this.sort.key}` : "";
    const columns = this.wanted.map((key) => key.replaceAll("%", "%25").replaceAll(",", "%2C")).join();
    Review.remember({ q: this.query, sort, columns, status: [...this.statuses].join() });
    if (this.keepsSelection && this.selectionChosen) Review.remember({ runs: [...this.selected].join() });
  }

  order(column) {
    const same = this.sort.key === column.key;
    const first = ["percent", "metric", "number", "seconds"].includes(column.kind); // numbers: largest first
    this.sort = { key: column.key, down: same ? !this.sort.down : first };
    this.draw();
  }

  line(row) {
    const line = document.createElement("tr");
    line.dataset.id = row.id;
    if (!this.plain) line.insertCell().appendChild(this.tick(row));
    return line;
  }

  // Write the cells of a row that changed.
  fill(line, row, shown) {
    if (!this.plain) {
      line.classList.toggle("best", row.rank === 1);
      line.classList.toggle("unranked", !row.rank);
      line.cells[0].firstChild.checked = this.selected.has(row.id);
    }
    const first = this.plain ? 0 : 1;
    shown.forEach((column, i) => {
      const cell = line.cells[first + i] || line.insertCell();
      if (Review.changed(cell, [column.key, row[column.key], column.key === "name" && row.url, row.status])) this.cell(cell, row, column);
    });
    while (line.cells.length > first + shown.length) line.deleteCell(-1);
  }

  cell(cell, row, column) {
    cell.className = column.kind;
    Review.stopCounting(cell); // it may have shown another column
    const text = Review.cell(row[column.key], column.kind);
    cell.title = column.kind === "text" ? text : "";
    if (column.kind === "image" && Review.safeUrl(row[column.key]?.image)) {
      cell.replaceChildren(this.picture(row[column.key], column.label));
    } else if (column.key === "name" && Review.safeUrl(row.url)) {
      cell.replaceChildren(Object.assign(document.createElement("a"), { href: row.url, textContent: text }));
    } else if (column.kind === "seconds" && text && ["running", "stopping"].includes(row.status)) {
      Review.countOn(cell, row[column.key]);
    } else {
      cell.textContent = text;
    }
    if (column.key === "status" && !this.plain) cell.prepend(Review.dot(row.status));
    if (column.key === "name" && !this.plain) cell.prepend(Review.runDot(row.colour));
  }

  tick(row) {
    const box = Object.assign(document.createElement("input"), { type: "checkbox" });
    box.setAttribute("aria-label", `Compare ${row.name}`);
    box.addEventListener("change", () => {
      box.checked ? this.selected.add(row.id) : this.selected.delete(row.id);
      this.selectionChosen = true;
      this.remember();
      this.onSelect([...this.selected]);
    });
    return box;
  }

  csv() {
    const shown = this.columns.filter((c) => c.shown);
    // A text that starts like a formula would run in a spreadsheet: a leading quote keeps it text.
    const quote = (value) => {
      const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? "");
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const lines = [shown.map((c) => c.label), ...this.visible().map((row) => shown.map((c) => row[c.key]))];
    return lines.map((line) => line.map(quote).join(",")).join("\r\n") + "\r\n";
  }
};
