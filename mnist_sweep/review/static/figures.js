// The figures of a page: Plotly draws each place with `data-figure` when it comes near, in the colours of the theme.
"use strict";
window.Review = window.Review || {};

// Draw with Plotly. `meta.runs` of a trace are the runs that it joins, `ids` those of its points: they can be highlighted.
Review.plot = async (place, traces, layout, options) => {
  const numbered = traces.map((trace, i) => ({ ...trace, uid: `trace-${i}` })); // Plotly makes it a class of the drawn trace
  const drawn = { uirevision: "kept", ...layout, ...Review.wholeAxes(traces, layout) };
  await window.Plotly.react(place, numbered, drawn, { responsive: true, displaylogo: false, ...options });
  if (place.followed) return;
  place.followed = true;
  place.on("plotly_hover", ({ points }) => {
    const run = Review.runAt(points[0]);
    if (run) Review.highlight([run]);
  });
  place.on("plotly_unhover", () => Review.highlight([]));
};

// Return axes with a tick per number for linear axes of a layout on which all values are few whole numbers.
Review.wholeAxes = (traces, layout) => {
  const whole = (letter, suffix) => {
    const axis = layout[`${letter}axis${suffix}`] || {};
    const [low, high] = axis.range || [];
    if ((axis.type && axis.type !== "linear") || axis.tickvals || axis.dtick || /%/.test(axis.tickformat) || high - low > 9) return null;
    const own = traces.filter((trace) => (trace[`${letter}axis`] || letter) === letter + suffix);
    if (own.some((trace) => trace[letter]?.bdata)) return null; // numbers in base64, which only Plotly reads
    const marks = (layout.shapes || []).filter((shape) => (shape[`${letter}ref`] || letter) === letter + suffix); // the axis reaches to them
    const ends = marks.flatMap((shape) => [shape[`${letter}0`], shape[`${letter}1`]]);
    const values = [...own.flatMap((trace) => [...(trace[letter] || [])]), ...ends].filter((value) => value !== null && value !== undefined);
    const [least, most] = [Math.min(...values.slice(0, 10000)), Math.max(...values.slice(0, 10000))];
    return values.length && most - least <= 9 && values.every(Number.isInteger) ? { ...axis, dtick: 1, tickformat: "d" } : null;
  };
  const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
  return Object.fromEntries(axes.map((key) => [key, whole(key[0], key.slice(5))]).filter(([, axis]) => axis));
};

// Return the run of a point of a chart, or undefined.
Review.runAt = ({ data, pointNumber, id }) => {
  const runs = data.meta?.runs;
  if (!runs) return id;
  if (runs.length === 1) return runs[0];
  const gaps = data.x.slice(0, pointNumber).filter((x) => x === null).length; // a gap separates two runs' curves
  return runs[gaps];
};

// Fade what a drawn chart shows of other runs. A chart without these runs stays as it was.
Review.emphasise = (place, ids) => {
  const traces = (place.data || []).map((trace, i) => [trace, place.querySelector(`.trace-${i}, .tracetrace-${i}`)]);
  const runs = traces.flatMap(([trace]) => [...(trace.meta?.runs || []), ...(trace.ids || [])]);
  const fades = runs.some((run) => ids.includes(run)) ? (run) => (ids.includes(run) ? "" : "0.12") : () => "";
  for (const [trace, node] of traces) {
    if (node && trace.meta?.runs) node.style.opacity = trace.meta.runs.length > 1 ? fades(null) && "0.3" : fades(trace.meta.runs[0]);
    if (node && trace.ids) node.querySelectorAll(".point").forEach((point) => (point.style.opacity = fades(trace.ids[point.__data__.i])));
  }
  if (place.dataset.figure === "curves") Review.outline(place, ids);
};

// Draw the highlighted run over a chart whose grey trace joins many runs.
Review.outline = (place, ids) => {
  place.querySelectorAll(".outline").forEach((node) => node.remove());
  for (const [i, trace] of place.data.entries()) {
    const at = (trace.meta?.runs?.length > 1 ? trace.meta.runs : []).findIndex((run) => ids.includes(run));
    const path = at >= 0 && place.querySelector(`.tracetrace-${i} .js-line`);
    const part = path && path.getAttribute("d").match(/M[^M]*/g)?.[at];
    if (!part) continue;
    const line = path.cloneNode();
    line.setAttribute("d", part);
    line.classList.add("outline");
    line.setAttribute("style", `fill: none; stroke: ${Review.css("--best")}; stroke-width: 2.5px; opacity: 1`);
    path.parentNode.parentNode.parentNode.appendChild(line);
  }
};

Review.onHighlight((ids) => document.querySelectorAll(".js-plotly-plot").forEach((place) => Review.emphasise(place, ids)));

// Mark when a page drew its first charts, for scripts/review_speed.py.
Review.drawn = () => performance.getEntriesByName("review-drawn").length || performance.mark("review-drawn");

// Return a figure's layout in the colours of the theme.
Review.themed = (figure) => {
  const layout = structuredClone(figure.layout);
  const painted = layout.paper_bgcolor && !/^rgba\(.*, ?0\)$/.test(layout.paper_bgcolor); // with a background of its author
  const [ink, grid, card] = painted ? ["#444", "#eee", "#fff"] : [Review.css("--ink-soft"), Review.css("--grid"), Review.css("--card")]; // Plotly's own
  layout.font = { ...layout.font, color: (painted && layout.font?.color) || ink, family: Review.css("--sans") };
  layout.hoverlabel = { ...layout.hoverlabel, bgcolor: card, bordercolor: grid, font: { color: painted ? ink : Review.css("--ink") } };
  layout.autosize = true;
  delete layout.width; // a figure is as wide as its place
  if (layout.coloraxis) layout.coloraxis.colorscale = Review.scale();
  for (const shape of layout.shapes || []) if (shape.label) shape.label.font = { color: ink, size: 11 };
  for (const key of Object.keys(layout).filter((k) => /^[xy]axis/.test(k))) {
    layout[key] = { gridcolor: grid, linecolor: grid, tickcolor: grid, ...layout[key] };
  }
  return layout;
};

// The position of a legend below a figure and its axis.
Review.below = { orientation: "h", xref: "container", x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom", font: { size: 11 } };

// Adapt a layout to a narrow place: panels one below the other, the legend below them.
Review.narrowed = (layout, width) => {
  if (width >= 500) return layout;
  if (layout.grid?.columns > 1) {
    const axes = Object.keys(layout).filter((key) => /^yaxis/.test(key));
    const own = (layout.height - 70) / layout.grid.rows; // about the height that the figure gives a panel
    const grid = { ...layout.grid, rows: axes.length, columns: 1, ygap: 0.4 };
    const labelled = Object.fromEntries(axes.map((key) => [key, { ...layout[key], showticklabels: true }]));
    layout = { ...layout, ...labelled, grid, height: 70 + own * axes.length };
  }
  const shorter = (note) => ({ ...note, text: note.text?.replace("; double-click shows all", "") });
  if (layout.annotations) layout = { ...layout, annotations: layout.annotations.map(shorter) };
  if (layout.showlegend === false) return layout;
  const axes = Object.keys(layout).filter((key) => /^xaxis/.test(key));
  const moving = Object.fromEntries(axes.map((key) => [key, { ...layout[key], automargin: true }])); // makes room for the legend
  const margin = { ...layout.margin, r: 16, t: layout.title?.text ? layout.margin.t : 16 };
  return { ...layout, ...moving, margin, height: layout.height && layout.height + 60, legend: { ...layout.legend, ...Review.below } };
};

Review.Figures = class {
  constructor(data) {
    this.data = data; // `figures`, and `curves`: the points by run that fill them
    const due = (place) => place.dataset.drawn || this.draw(place);
    this.near = new IntersectionObserver(
      (entries) => entries.forEach((e) => e.isIntersecting && setTimeout(due, 0, e.target)), // one task each, so that each appears as soon as it is drawn
      { rootMargin: "300px" },
    );
  }

  // Load Plotly after the first paint, from the page itself or from the server: its bundle is large.
  load(then) {
    const script = document.createElement("script");
    const inline = document.querySelector("#plotly-source");
    const ready = () => {
      then();
      document.querySelectorAll("[data-figure]").forEach((place) => this.near.observe(place));
    };
    if (inline) script.textContent = inline.textContent;
    else {
      script.src = document.body.dataset.plotly;
      script.onload = ready;
    }
    document.head.appendChild(script);
    if (inline) ready();
  }

  draw(place) {
    const figure = this.data.figures[place.dataset.figure];
    if (!figure || !window.Plotly) return;
    place.dataset.drawn = "yes";
    let layout = { ...Review.themed(figure), uirevision: this.data.over || "kept" };
    if (this.data.over && place.dataset.figure === "run") this.over(layout);
    layout = Review.narrowed(layout, place.clientWidth);
    if (layout.height) place.style.height = place.style.minHeight = `${layout.height}px`;
    Review.plot(place, this.filled(figure), layout, { modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] }).then(Review.drawn);
  }

  // Draw figures again: all that were drawn, or those whose name passes.
  renew(passes = () => true) {
    document.querySelectorAll("[data-figure][data-drawn]").forEach((place) => passes(place.dataset.figure) && this.draw(place));
  }

  filled(figure) {
    const { curves, over } = this.data;
    return figure.data.map((trace) => {
      const { runs, column, x = "x" } = trace.meta || {};
      if (!runs || trace.x) return trace;
      const join = (name) => runs.flatMap((id) => [...((curves[id] || {})[name] || []), null]);
      return { ...trace, x: join((x !== "x" && over) || x), y: join(column) };
    });
  }

  // Use the x axis that the reader chose for a run's curves.
  over(layout) {
    for (const key of Object.keys(layout).filter((k) => /^xaxis/.test(k))) {
      const { title, zeroline } = layout[key];
      layout[key] = { zeroline, title: { text: title?.text && this.data.axes[this.data.over] } };
    }
  }

  axisChoice() {
    const choice = document.querySelector("[data-over]");
    const axes = Object.entries(this.data.axes || {});
    if (!choice || choice.options.length === axes.length + 1) return;
    const option = ([value, textContent]) => Object.assign(document.createElement("option"), { value, textContent });
    choice.replaceChildren(...[["", "metric's own step"], ...axes].map(option));
    choice.value = this.data.over || "";
    choice.onchange = () => {
      this.data.over = choice.value;
      this.draw(document.querySelector("[data-figure=run]"));
    };
  }
};
