// The table of runs: sort, filter, choose columns, select for comparison, CSV. Every value is written as text.
// A `plain` one has rows of anything, which cannot be selected.
"use strict";
window.Review = window.Review || {};

Review.Table = class {
  constructor(root, { onSelect, onHover, query = "", sort = "", columns = "", statuses = "", noun = "runs", plain = false, picture }) {
    this.root = root;
    this.noun = noun;
    this.plain = plain;
    this.picture = picture; // of a cell with an image
    this.onSelect = onSelect;
    this.onHover = onHover;
    this.query = query;
    this.statuses = new Set(statuses.split(",").filter(Boolean)); // empty: all
    this.brush = null;
    this.sort = { key: sort.replace(/^-/, "") || null, down: sort.startsWith("-") };
    this.selected = new Set();
    this.wanted = columns.split(",").filter(Boolean); // the columns a reader chose, if any
    this.limit = 50;
    this.bar = root.appendChild(Review.element("div", "toolbar"));
    this.frame = root.appendChild(Review.element("div", "table-frame"));
    this.table = this.frame.appendChild(document.createElement("table"));
    this.foot = root.appendChild(Review.element("div", "table-foot"));
    this.buildBar();
  }

  buildBar() {
    const search = (this.search = this.bar.appendChild(document.createElement("input")));
    Object.assign(search, { type: "search", className: "search", value: this.query });
    search.setAttribute("aria-label", `Filter the ${this.noun}`);
    search.addEventListener("input", () => this.update({ query: search.value }));
    this.chips = this.bar.appendChild(Review.element("div", "chips"));
    this.bar.appendChild(Review.element("span", "spacer"));
    const columns = this.bar.appendChild(Review.element("details", "menu"));
    columns.appendChild(Review.element("summary", "button", "Columns"));
    this.menu = columns.appendChild(Review.element("div", "menu-list"));
    document.addEventListener("click", (event) => columns.contains(event.target) || (columns.open = false));
    Review.button(this.bar, "CSV", () => Review.save(this.plain ? "table.csv" : "runs.csv", this.csv())).title = "The rows and columns shown, as CSV";
  }

  show({ columns, rows }) {
    const before = new Map((this.columns || []).map((c) => [c.key, c.shown]));
    const shown = (c) => (this.wanted.length ? this.wanted.includes(c.key) : (before.get(c.key) ?? c.shown));
    this.columns = columns.map((c) => ({ ...c, shown: shown(c) }));
    this.rows = rows;
    this.search.placeholder = this.example();
    this.menu.replaceChildren(
      ...this.columns.map((column) => {
        const label = Review.element("label");
        const box = label.appendChild(Object.assign(document.createElement("input"), { type: "checkbox" }));
        box.checked = column.shown;
        box.addEventListener("change", () => {
          column.shown = box.checked;
          this.wanted = this.columns.filter((c) => c.shown).map((c) => c.key);
          this.draw();
        });
        label.append(` ${column.label}`);
        return label;
      }),
    );
    const count = (status) => rows.filter((row) => row.status === status).length;
    const present = [...new Set(rows.map((row) => row.status))].filter((status) => !this.plain && status);
    this.chips.replaceChildren(
      ...present.map((status) => {
        const chip = Review.element("button", "chip", `${status} ${count(status)}`);
        chip.prepend(Review.dot(status));
        chip.setAttribute("aria-pressed", this.statuses.has(status));
        chip.addEventListener("click", () => {
          this.statuses.has(status) ? this.statuses.delete(status) : this.statuses.add(status);
          chip.setAttribute("aria-pressed", this.statuses.has(status));
          this.draw();
        });
        return chip;
      }),
    );
    this.draw();
  }

  // A filter that says something about these runs: a searched number, halfway.
  example() {
    const column = this.columns.find((c) => (this.plain || c.key.startsWith("config:")) && c.kind === "number" && c.shown);
    const values = column ? this.rows.map((row) => row[column.key]).filter((v) => v !== undefined).sort((a, b) => a - b) : [];
    const middle = values[Math.floor(values.length / 2)];
    return middle === undefined ? `Filter: ${this.plain ? "a text" : "a name"}` : `Filter: ${this.plain ? "a text" : "a name"}, or ${column.label} < ${Review.number(middle)}`;
  }

  update(change) {
    Object.assign(this, change);
    this.draw();
  }

  visible() {
    const wanted = this.query.toLowerCase().split(/\s+and\s+|,/).map((t) => t.trim()).filter(Boolean);
    const rows = this.rows.filter(
      (row) =>
        (!this.brush || this.brush.has(row.id)) &&
        (!this.statuses.size || this.statuses.has(row.status)) &&
        wanted.every((term) => this.matches(row, term)),
    );
    const { key, down } = this.sort;
    if (!key) return rows;
    const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
    return [...rows].sort((a, b) => {
      if (a[key] === undefined || b[key] === undefined) return (a[key] === undefined) - (b[key] === undefined);
      return down ? order(b[key], a[key]) : order(a[key], b[key]);
    });
  }

  // `dropout >= 0.1`, `status = finished`, or a text that any shown cell contains.
  matches(row, term) {
    const parts = term.match(/^(.+?)\s*(<=|>=|<|>|=)\s*(.+)$/);
    const column = parts && this.columns.find((c) => [c.label, c.key].some((n) => n.toLowerCase() === parts[1]));
    if (!column) return this.columns.some((c) => c.shown && Review.cell(row[c.key], c.kind).toLowerCase().includes(term));
    const percent = column.kind === "percent" && parts[3].endsWith("%");
    const bound = parseFloat(parts[3]) / (percent ? 100 : 1);
    const value = row[column.key];
    if (value === undefined) return false;
    if (typeof value !== "number") return parts[2] === "=" && String(value).toLowerCase() === parts[3];
    return { "<": value < bound, ">": value > bound, "<=": value <= bound, ">=": value >= bound, "=": value === bound }[parts[2]];
  }

  draw() {
    const shown = this.columns.filter((c) => c.shown);
    const rows = this.visible();
    const head = document.createElement("thead");
    const line = head.insertRow();
    if (!this.plain) line.appendChild(Review.element("th", "pick"));
    shown.forEach((column) => {
      const th = line.appendChild(Review.element("th", column.kind));
      th.setAttribute("scope", "col");
      const sorted = this.sort.key === column.key;
      th.setAttribute("aria-sort", sorted ? (this.sort.down ? "descending" : "ascending") : "none");
      Review.button(th, column.label, () => this.order(column), "head");
    });
    const body = document.createElement("tbody");
    rows.slice(0, this.limit).forEach((row) => body.appendChild(this.line(row, shown)));
    this.table.replaceChildren(head, body);
    this.foot.replaceChildren();
    const all = rows.length === this.rows.length ? `${rows.length} ${this.noun}` : `${rows.length} of ${this.rows.length} ${this.noun}`;
    this.foot.appendChild(Review.element("span", "count", all));
    if (this.brush) Review.button(this.foot, "Clear the brush", () => this.onClear && this.onClear());
    if (this.onDraw) this.onDraw(rows);
    if (rows.length > this.limit) Review.button(this.foot, `Show all ${rows.length}`, () => this.update({ limit: Infinity }));
  }

  order(column) {
    const same = this.sort.key === column.key;
    const first = ["percent", "number", "seconds"].includes(column.kind); // numbers: largest first
    this.sort = { key: column.key, down: same ? !this.sort.down : first };
    this.draw();
  }

  line(row, shown) {
    const line = document.createElement("tr");
    line.dataset.id = row.id;
    if (row.rank === 1) line.className = "best";
    if (!this.plain) this.pick(line, row);
    for (const column of shown) {
      const cell = line.insertCell();
      cell.className = column.kind;
      const text = Review.cell(row[column.key], column.kind);
      if (column.key === "name" && Review.safeUrl(row.url)) {
        cell.appendChild(Object.assign(document.createElement("a"), { href: row.url, textContent: text }));
      } else if (column.kind === "image" && Review.safeUrl(row[column.key]?.image)) {
        cell.appendChild(this.picture(row[column.key], column.label));
      } else {
        cell.textContent = text;
        if (column.key === "status") cell.prepend(Review.dot(row.status));
      }
      if (column.kind === "text") cell.title = text;
    }
    if (this.onHover) {
      line.addEventListener("mouseenter", () => this.onHover([row.id]));
      line.addEventListener("mouseleave", () => this.onHover([]));
    }
    return line;
  }

  pick(line, row) {
    if (!row.rank) line.classList.add("unranked");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: this.selected.has(row.id) });
    box.setAttribute("aria-label", `Compare ${row.name}`);
    box.addEventListener("change", () => {
      box.checked ? this.selected.add(row.id) : this.selected.delete(row.id);
      this.onSelect([...this.selected]);
    });
    line.insertCell().appendChild(box);
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
