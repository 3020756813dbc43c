// Parallel coordinates on a 2D canvas, from a figure in Plotly's `parcoords` form.
// Plotly's own version needs WebGL and `eval`: it stays blank on a remote desktop or under a strict content policy, and
// takes over a second in software. Drag along an axis to brush it, click it to clear the brush, point at a line to see
// its run.
"use strict";
window.Review = window.Review || {};

// How far a curve between two axes has risen, as a share, at a share of the way between them: its Bézier, inverted.
function risen(along) {
  let [low, high] = [0, 1];
  for (let i = 0; i < 20; i += 1) {
    const t = (low + high) / 2;
    if (1.5 * t - 1.5 * t * t + t * t * t < along) low = t;
    else high = t;
  }
  return low * low * (3 - 2 * low);
}

Review.Parallel = class {
  constructor(root, onBrush) {
    this.root = root;
    this.onBrush = onBrush;
    this.canvas = root.appendChild(document.createElement("canvas"));
    this.axes = root.appendChild(document.createElement("div"));
    this.axes.className = "axes";
    this.brushes = new Map(); // dimension label -> [from, to] in the dimension's values
    this.marked = new Set(); // runs ticked in the table
    this.highlighted = new Set(); // runs under the pointer, here or elsewhere
    this.tip = root.appendChild(Review.element("div", "tip"));
    this.tip.hidden = true;
    new ResizeObserver(() => this.draw()).observe(root);
    root.addEventListener("pointermove", (event) => this.point(event));
    root.addEventListener("pointerleave", () => this.point(null));
    Review.onHighlight((ids) => {
      this.highlighted = new Set(ids);
      this.lines();
    });
  }

  // Draw a figure. The rows of `table` give the runs their names and colours.
  show(figure, table) {
    this.runs = new Map((table?.rows || []).map((row) => [row.id, row]));
    const trace = figure.data[0];
    this.ids = trace.ids || [];
    this.colours = trace.line.color;
    this.scale = figure.layout.coloraxis;
    this.dimensions = trace.dimensions.map((d) => ({ ...d, span: d.range || Review.extent(d.values) }));
    for (const label of this.brushes.keys()) {
      if (!this.dimensions.some((d) => d.label === label)) this.brushes.delete(label);
    }
    this.draw();
  }

  // Highlight the run whose line is nearest to the pointer.
  point(event) {
    const found = event && this.dimensions && !event.buttons ? this.nearest(event) : null;
    if (found === this.pointed) return;
    this.pointed = found;
    Review.highlight(found === null ? [] : [this.ids[found]]);
    this.tip.hidden = found === null;
    if (found === null) return;
    const run = this.runs.get(this.ids[found]);
    this.tip.replaceChildren(Review.runDot(run?.colour || Review.css("--best")), run?.name || this.ids[found]);
    const box = this.root.getBoundingClientRect();
    this.tip.style.left = `${Math.min(event.clientX - box.left + 14, this.width - this.tip.offsetWidth)}px`;
    this.tip.style.top = `${event.clientY - box.top + 14}px`;
  }

  // Return the index of the line within 10 pixels of an event, or null.
  nearest(event) {
    const box = this.root.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const k = this.dimensions.findIndex((_, i) => i > 0 && x <= this.x(i) && x >= this.x(i - 1));
    if (k < 1) return null;
    const share = risen((x - this.x(k - 1)) / (this.x(k) - this.x(k - 1)));
    const distance = (i) => {
      const [from, to] = [this.dimensions[k - 1], this.dimensions[k]];
      if (from.values[i] === null || to.values[i] === null || (this.brushes.size && !this.inside(i))) return Infinity;
      const [a, b] = [this.y(from, from.values[i]), this.y(to, to.values[i])];
      return Math.abs(a + share * (b - a) - y);
    };
    const distances = this.ids.map((_, i) => distance(i));
    const least = Math.min(...distances);
    return least <= 10 ? distances.indexOf(least) : null;
  }

  // The ids inside every brush, or null when nothing is brushed.
  selected() {
    if (!this.brushes.size) return null;
    return new Set(this.ids.filter((_, i) => this.inside(i)));
  }

  inside(i) {
    return this.dimensions.every((d) => {
      const brush = this.brushes.get(d.label);
      return !brush || (d.values[i] !== null && d.values[i] >= brush[0] && d.values[i] <= brush[1]);
    });
  }

  clear() {
    this.brushes.clear();
    this.changed();
  }

  mark(ids) {
    this.marked = new Set(ids);
    this.lines();
  }

  changed() {
    this.draw();
    this.onBrush(this.selected());
  }

  draw() {
    if (!this.dimensions) return;
    // Axes need room for their ticks: on a narrow screen the figure scrolls sideways.
    this.root.style.minWidth = `${42 * this.dimensions.length + 60}px`;
    this.width = this.root.clientWidth;
    this.height = this.root.clientHeight;
    this.top = 44;
    this.bottom = this.height - 16;
    this.lines();
    this.axes.replaceChildren(...this.dimensions.map((d, k) => this.axis(d, k)));
    [...this.axes.children].forEach((axis, k) => {
      const [label, x] = [axis.firstChild, this.x(k)];
      const half = label.offsetWidth / 2;
      label.style.left = `calc(50% + ${Math.max(half - x, 0) - Math.max(half - this.width + x, 0)}px)`; // stays inside
    });
  }

  x(k) {
    const margin = Math.min(80, this.width / 12);
    return margin + (k * (this.width - 2 * margin)) / Math.max(this.dimensions.length - 1, 1);
  }

  y(d, value) {
    const [low, high] = d.span;
    return this.bottom - ((value - low) / (high - low || 1)) * (this.bottom - this.top);
  }

  value(d, y) {
    const [low, high] = d.span;
    return low + ((this.bottom - y) / (this.bottom - this.top)) * (high - low);
  }

  lines() {
    if (!this.dimensions) return;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = this.width * ratio;
    this.canvas.height = this.height * ratio;
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const colour = Review.colours(this.scale);
    const alpha = this.ids.length > 300 ? 0.35 : this.ids.length > 80 ? 0.6 : 0.85;
    const stroke = (i, style, width, strength) => {
      pen.beginPath();
      this.dimensions.forEach((d, k) => {
        if (d.values[i] === null) return;
        const [x, y] = [this.x(k), this.y(d, d.values[i])];
        if (k === 0) return pen.moveTo(x, y);
        const half = (x - this.x(k - 1)) / 2; // curves keep crossing lines apart
        const before = this.dimensions[k - 1].values[i];
        const from = before === null ? y : this.y(this.dimensions[k - 1], before);
        pen.bezierCurveTo(x - half, from, x - half, y, x, y);
      });
      pen.globalAlpha = strength;
      pen.strokeStyle = style;
      pen.lineWidth = width;
      pen.stroke();
    };
    const brushed = this.brushes.size > 0;
    const faint = Review.css("--line");
    if (brushed) this.ids.forEach((_, i) => this.inside(i) || stroke(i, faint, 1, 0.5));
    this.ids.forEach((_, i) => {
      if (!brushed || this.inside(i)) stroke(i, colour(this.colours[i]), 1.4, brushed ? 0.9 : alpha);
    });
    this.ids.forEach((id, i) => {
      if (this.marked.has(id)) stroke(i, this.runs.get(id)?.colour || Review.css("--best"), 2.5, 1);
    });
    this.ids.forEach((id, i) => {
      if (this.highlighted.has(id)) stroke(i, Review.css("--best"), 4, 1);
    });
  }

  axis(d, k) {
    const axis = Review.element("div", "axis");
    axis.style.left = `${this.x(k)}px`;
    axis.style.height = `${this.height}px`;
    const label = axis.appendChild(Review.element("div", "axis-label", Review.unescape(d.label)));
    label.title = label.textContent;
    const crowded = this.dimensions.length > 8; // then the labels alternate between two lines
    const step = (crowded ? 2 : 1) * ((this.x(1) || this.width) - this.x(0));
    const room = Math.min(this.x(k), this.width - this.x(k)); // to the nearer side
    label.style.maxWidth = `${Math.max(56, Math.min(step - 6, room + step / 2 - 3))}px`;
    label.style.top = crowded && k % 2 === 0 ? "-3px" : "14px";
    const rail = axis.appendChild(Review.element("div", "rail"));
    rail.style.top = `${this.top}px`;
    rail.style.height = `${this.bottom - this.top}px`;
    for (const [value, text] of this.ticks(d)) {
      const tick = axis.appendChild(Review.element("div", "tick", text));
      tick.style.top = `${this.y(d, value)}px`;
    }
    const brush = this.brushes.get(d.label);
    if (brush) {
      const band = axis.appendChild(Review.element("div", "brush"));
      band.style.top = `${this.y(d, brush[1])}px`;
      band.style.height = `${Math.max(this.y(d, brush[0]) - this.y(d, brush[1]), 2)}px`;
    }
    axis.addEventListener("pointerdown", (event) => this.drag(event, d));
    return axis;
  }

  drag(event, d) {
    event.preventDefault();
    const top = this.root.getBoundingClientRect().top;
    const clip = (e) => Math.min(Math.max(e.clientY - top, this.top), this.bottom);
    const start = clip(event);
    let band = null;
    const move = (e) => {
      const [a, b] = [this.value(d, start), this.value(d, clip(e))];
      band = Math.abs(start - clip(e)) < 4 ? null : [Math.min(a, b), Math.max(a, b)];
      if (band) this.brushes.set(d.label, band);
      else this.brushes.delete(d.label);
      this.draw();
    };
    const up = () => {
      window.removeEventListener("pointermove", move);
      if (!band) this.brushes.delete(d.label);
      this.changed();
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", up, { once: true });
  }

  ticks(d) {
    if (d.tickvals) return d.tickvals.map((value, i) => [value, Review.unescape(d.ticktext[i])]);
    const [low, high] = d.span;
    const show = (v) => (d.tickformat ? `${(100 * v).toFixed(2)} %` : Review.number(v));
    const raw = (high - low) / 5 || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const whole = d.values.every((value) => value === null || Number.isInteger(value));
    const step = Math.max([1, 2, 5, 10].find((s) => s * power >= raw) * power, whole ? 1 : 0);
    const ticks = [];
    for (let v = Math.ceil(low / step - 1e-9) * step + 0; v <= high + step * 1e-9; v += step) ticks.push([v, show(+v.toPrecision(12) + 0)]);
    return ticks;
  }
};
