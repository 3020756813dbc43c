// The figures of a page, drawn by Plotly when they come near: places with `data-figure`, and what the theme makes of them.
"use strict";
window.Review = window.Review || {};

// Draw with Plotly.
Review.plot = (place, traces, layout, options) => window.Plotly.react(place, traces, layout, { responsive: true, displaylogo: false, ...options });

// The first charts that a page has drawn leave a mark, for scripts/review_speed.py.
Review.drawn = () => performance.getEntriesByName("review-drawn").length || performance.mark("review-drawn");

// A figure's layout in the colours of the theme.
Review.themed = (figure) => {
  const [ink, grid, card] = [Review.css("--ink-soft"), Review.css("--grid"), Review.css("--card")];
  const layout = structuredClone(figure.layout);
  layout.font = { ...layout.font, color: ink, family: Review.css("--sans") };
  layout.hoverlabel = { ...layout.hoverlabel, bgcolor: card, bordercolor: grid, font: { color: Review.css("--ink") } };
  layout.autosize = true;
  if (layout.coloraxis) layout.coloraxis.colorscale = Review.scale();
  for (const shape of layout.shapes || []) if (shape.label) shape.label.font = { color: ink, size: 11 };
  for (const key of Object.keys(layout).filter((k) => /^[xy]axis/.test(k))) {
    layout[key] = { gridcolor: grid, linecolor: grid, tickcolor: grid, ...layout[key] };
  }
  return layout;
};

// A legend below a figure and its axis.
Review.below = { orientation: "h", xref: "container", x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom", font: { size: 11 } };

// A layout for a place that is too narrow for it: panels one below the other, the legend below them.
Review.narrowed = (layout, width) => {
  if (width >= 500) return layout;
  if (layout.grid?.columns > 1) {
    const axes = Object.keys(layout).filter((key) => /^yaxis/.test(key));
    const own = (layout.height - 70) / layout.grid.rows; // about what the figure gives a panel
    const grid = { ...layout.grid, rows: axes.length, columns: 1, ygap: 0.4 };
    const labelled = Object.fromEntries(axes.map((key) => [key, { ...layout[key], showticklabels: true }]));
    layout = { ...layout, ...labelled, grid, height: 70 + own * axes.length };
  }
  if (layout.showlegend === false) return layout;
  const axes = Object.keys(layout).filter((key) => /^xaxis/.test(key));
  const moving = Object.fromEntries(axes.map((key) => [key, { ...layout[key], automargin: true }])); // makes room for it
  const margin = { ...layout.margin, r: 16, t: layout.title?.text ? layout.margin.t : 16 };
  return { ...layout, ...moving, margin, height: layout.height && layout.height + 60, legend: { ...layout.legend, ...Review.below } };
};

Review.Figures = class {
  constructor(data) {
    this.data = data; // `figures`, and the points by run that they are filled with (`curves`)
    const due = (place) => place.dataset.drawn || this.draw(place);
    this.near = new IntersectionObserver(
      (entries) => entries.forEach((e) => e.isIntersecting && setTimeout(due, 0, e.target)), // each is seen as soon as it is there
      { rootMargin: "300px" },
    );
  }

  // Plotly's bundle is large: it is read after the first paint, from the page itself or from the server.
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
    let layout = Review.themed(figure);
    if (this.data.over && place.dataset.figure === "run") this.over(layout);
    layout = Review.narrowed(layout, place.clientWidth);
    if (layout.height) place.style.height = place.style.minHeight = `${layout.height}px`;
    Review.plot(place, this.filled(figure), layout, { modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] }).then(Review.drawn);
  }

  // Draw anew what was drawn.
  renew() {
    document.querySelectorAll("[data-figure][data-drawn]").forEach((place) => this.draw(place));
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

  // The axis that a reader chose for a run's curves, in place of the run's own.
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
    choice.replaceChildren(...[["", "its own axis"], ...axes].map(option));
    choice.value = this.data.over || "";
    choice.onchange = () => {
      this.data.over = choice.value;
      this.draw(document.querySelector("[data-figure=run]"));
    };
  }
};
