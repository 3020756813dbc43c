// The charts of a project's page: one per metric, with the runs that the table shows. The page's address keeps the choices.
"use strict";
window.Review = window.Review || {};

const LEGEND = 20; // runs

Review.Workspace = class {
  constructor(root, data) {
    this.root = root;
    this.data = data;
    this.known = new Map(); // metric and x axis -> points by run, and the cursor up to which they are known
    this.waiting = new Set(); // places to draw once their points have arrived
    this.selects = {};
    this.grids = {};
    this.rows = [];
    this.chosen = Object.fromEntries(["x", "smooth", "log", "by"].map((name) => [name, Review.chosen(name)]));
    this.near = new IntersectionObserver(
      (entries) => entries.forEach((e) => ((e.target.near = e.isIntersecting), e.isIntersecting && this.draw([e.target]))),
      { rootMargin: "200px" },
    );
    this.build();
  }

  build() {
    const bar = this.root.appendChild(Review.element("div", "toolbar"));
    for (const [key, name] of [["x", "X axis"], ["by", "Group by"], ["log", "Logarithmic"]]) {
      const select = (this.selects[key] = bar.appendChild(document.createElement("select")));
      select.setAttribute("aria-label", name);
      select.addEventListener("change", () => this.choose(key, select.value));
    }
    const label = bar.appendChild(Review.element("label", "quiet", "smoothing "));
    const slider = label.appendChild(Object.assign(document.createElement("input"), { type: "range", min: 0, max: 0.99, step: 0.01 }));
    slider.setAttribute("aria-label", "Smoothing");
    slider.value = this.chosen.smooth || "0";
    slider.addEventListener("input", () => this.choose("smooth", slider.value === "0" ? "" : slider.value));
    this.legend = this.root.appendChild(Review.element("div", "legend"));
    Review.onHighlight((ids) => {
      for (const entry of this.legend.children) entry.classList.toggle("highlighted", ids.includes(entry.dataset.id));
    });
    this.fill();
  }

  // Offer the choices and add a place for every metric. Both grow while runs log.
  fill() {
    const prefixed = (words, options) => Object.fromEntries(Object.entries(options).map(([key, name]) => [key, words + name]));
    const groups = { group: "group", agent: "job type", ...this.data.groups };
    this.offer("x", { "": "x: metric's own step", ...prefixed("x: ", this.data.axes) });
    this.offer("by", { "": "every run", ...prefixed("mean by ", groups) });
    this.offer("log", { "": "linear", y: "log y", x: "log x", xy: "log x and y" });
    for (const metric of this.data.metrics) {
      const grid = this.grid(metric.includes("/") ? metric.split("/")[0] : "charts");
      if ([...grid.children].some((place) => place.dataset.metric === metric)) continue;
      const place = grid.appendChild(Review.element("div", "chart"));
      place.dataset.metric = metric;
      this.near.observe(place);
    }
  }

  grid(name) {
    if (!this.grids[name]) {
      const section = this.root.appendChild(Review.element("details", "charts"));
      section.open = true;
      section.appendChild(Review.element("summary", "", name));
      this.grids[name] = section.appendChild(Review.element("div", "chart-grid"));
    }
    return this.grids[name];
  }

  offer(key, options) {
    const select = this.selects[key];
    if (select.options.length === Object.keys(options).length) return;
    const option = ([value, textContent]) => Object.assign(document.createElement("option"), { value, textContent });
    select.replaceChildren(...Object.entries(options).map(option));
    select.value = this.chosen[key];
  }

  // Take over news. The charts fetch what is new since their last points when they are drawn.
  renew(data) {
    this.data = data;
    this.fill();
    this.drawAll();
  }

  choose(key, value) {
    this.chosen[key] = value;
    Review.remember(this.chosen);
    this.drawLegend();
    this.drawAll();
  }

  // Show rows of the table, as filtered and sorted: the ticked ones, or the first 40 if none is ticked.
  show(rows, table) {
    const ticked = rows.filter((row) => table.selected.has(row.id));
    this.rows = ticked.length ? ticked : rows.slice(0, 40);
    this.drawLegend();
    this.drawAll();
  }

  // One legend for all charts of single runs; charts of groups have their own.
  drawLegend() {
    this.legend.hidden = Boolean(this.chosen.by);
    const shown = this.rows.slice(0, LEGEND);
    if (!Review.changed(this.legend, [shown.map((row) => [row.id, row.name]), this.rows.length])) return;
    const entries = shown.map((row) => {
      const entry = Review.element("span", "entry", row.name);
      entry.dataset.id = row.id;
      entry.prepend(Review.runDot(row.colour));
      entry.addEventListener("mouseenter", () => Review.highlight([row.id]));
      entry.addEventListener("mouseleave", () => Review.highlight([]));
      return entry;
    });
    const more = this.rows.length - shown.length;
    this.legend.replaceChildren(...entries, ...(more > 0 ? [Review.element("span", "quiet", `and ${more} more; their colours are in the table`)] : []));
  }

  drawAll() {
    this.draw([...this.root.querySelectorAll(".chart")].filter((place) => place.near || place.hidden));
  }

  // Charts that come into sight together share one request.
  draw(places) {
    places.forEach((place) => this.waiting.add(place));
    this.turn ||= setTimeout(async () => {
      const now = [...this.waiting];
      this.waiting.clear();
      this.turn = null;
      await this.fetch(now.map((place) => place.dataset.metric));
      await Promise.all(now.map((place) => this.paint(place)));
      if (window.Plotly) Review.drawn();
    });
  }

  points(metric) {
    const key = JSON.stringify([metric, this.chosen.x]);
    if (!this.known.has(key)) this.known.set(key, { points: {}, cursors: {} });
    return this.known.get(key);
  }

  // Fetch all points of runs that are new here, and only the newer points of the others.
  async fetch(metrics) {
    const [cursor, over, ids] = [this.data.cursor, this.chosen.x, this.rows.map((row) => row.id)];
    const asks = {};
    for (const metric of metrics) {
      for (const id of ids) {
        const since = this.points(metric).cursors[id] ?? "0";
        if (since === cursor) continue;
        const ask = (asks[since] ||= { metrics: new Set(), runs: new Set() });
        ask.metrics.add(metric);
        ask.runs.add(id);
      }
    }
    const known = Object.fromEntries(metrics.map((metric) => [metric, this.points(metric)]));
    const all = Object.entries(asks).map(async ([since, { metrics, runs }]) => {
      const query = new URLSearchParams([...[...metrics].map((m) => ["metric", m]), ["over", over], ["since", since], ["runs", [...runs].join()]]);
      const answer = await fetch(`${this.data.url}?${query}`);
      if (!answer.ok) return;
      for (const [metric, points] of Object.entries(await answer.json())) {
        Object.assign(known[metric].points, points);
        for (const id of runs) known[metric].cursors[id] = cursor;
      }
    });
    await Promise.all(all).catch(() => {}); // the server is unavailable: retried with the next news
  }

  paint(place) {
    const metric = place.dataset.metric;
    const { points } = this.points(metric);
    place.hidden = !this.rows.some((row) => points[row.id]); // a number that was set once, not logged over steps
    if (place.hidden || !window.Plotly) return;
    const { log, by } = this.chosen;
    const axis = (letter) => ({ zeroline: false, automargin: true, exponentformat: "power", type: log.includes(letter) ? "log" : "linear" });
    const height = by ? 290 : 250;
    place.style.height = `${height}px`;
    const layout = Review.themed({
      layout: {
        title: { text: metric.replaceAll("<", "&lt;"), font: { size: 13 }, x: 0.02, xanchor: "left" },
        margin: { l: 46, r: 18, t: 34, b: 36 }, // wide enough for the labels, or Plotly draws everything twice
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        showlegend: Boolean(by),
        legend: { ...Review.below, font: { size: 10 } },
        hovermode: "closest",
        height,
        xaxis: axis("x"),
        yaxis: axis("y"),
      },
    });
    const traces = by ? this.grouped(points) : this.single(points);
    return Review.plot(place, traces, layout, { displayModeBar: false });
  }

  groupColour(i) {
    return this.data.series[i % this.data.series.length];
  }

  single(points) {
    return this.rows.flatMap((row) => {
      const run = points[row.id];
      if (!run) return [];
      const mode = run.x.length > 1 ? "lines" : "markers";
      const name = String(row.name).replaceAll("<", "&lt;");
      return [{ type: "scatter", mode, name, x: run.x, y: this.smoothed(run.y), line: { color: row.colour, width: 1.5 }, meta: { runs: [row.id] } }];
    });
  }

  // The mean of each group, and the band from its lowest to its highest run.
  grouped(points) {
    const groups = Object.groupBy(this.rows.filter((row) => points[row.id]), (row) => String(row[this.chosen.by] ?? "none"));
    const drawn = Object.entries(groups).map(([value, rows], i) => {
      const runs = rows.map((row) => ({ x: points[row.id].x, y: this.smoothed(points[row.id].y) }));
      const x = [...new Set(runs.flatMap((run) => run.x))].filter((v) => v !== null).sort((a, b) => a - b);
      const there = x.map((at) => runs.map((run) => Review.interpolate(run, at)).filter((y) => y !== null));
      const line = { type: "scatter", mode: "lines", x, legendgroup: value };
      const band = { ...line, line: { width: 0 }, hoverinfo: "skip", showlegend: false };
      const fill = `${this.groupColour(i)}33`;
      const name = `${value.replaceAll("<", "&lt;")} (${runs.length})`;
      const bands = [
        { ...band, y: there.map((ys) => Math.min(...ys)) },
        { ...band, y: there.map((ys) => Math.max(...ys)), fill: "tonexty", fillcolor: fill },
      ];
      return [bands, { ...line, name, y: there.map((ys) => ys.reduce((a, b) => a + b, 0) / ys.length), line: { color: this.groupColour(i), width: 2 } }];
    });
    return [...drawn.flatMap(([bands]) => bands), ...drawn.map(([, mean]) => mean)]; // means over bands
  }

  // Return the exponential mean, corrected for its bias towards the start.
  smoothed(values) {
    const weight = parseFloat(this.chosen.smooth) || 0;
    if (!weight) return values;
    let [mean, total] = [0, 0];
    return values.map((value) => {
      if (value === null) return null;
      [mean, total] = [weight * mean + (1 - weight) * value, weight * total + (1 - weight)];
      return mean / total;
    });
  }
};

// Return a curve's height at `at`, or null outside its range.
Review.interpolate = ({ x, y }, at) => {
  const next = x.findIndex((v) => v !== null && v >= at);
  if (next < 0 || y[next] === null) return null;
  if (x[next] === at) return y[next];
  if (next === 0 || y[next - 1] === null) return null;
  return y[next - 1] + ((y[next] - y[next - 1]) * (at - x[next - 1])) / (x[next] - x[next - 1]);
};
