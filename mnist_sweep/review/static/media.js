// What a run logged beside numbers: a card per key, with a slider over its steps if it has several.
"use strict";
window.Review = window.Review || {};

Review.Media = class {
  constructor(root, data) {
    this.root = root;
    this.url = data.url;
    this.series = data.series;
    this.cards = new Map();
    this.add(data.keys);
  }

  // Add new keys, and new steps of known ones. A slider at the last step moves to the new last step.
  add(keys) {
    for (const [key, shown] of Object.entries(keys)) {
      const card = this.cards.get(key) || this.card(key, shown.kind);
      const atEnd = card.at === card.entries.length - 1;
      for (const entry of shown.entries) {
        const place = card.entries.findIndex((known) => known.line === entry.line);
        if (place < 0) card.entries.push(entry);
        else card.entries[place] = entry;
      }
      card.slider.max = card.entries.length - 1;
      card.slider.hidden = card.entries.length < 2;
      const named = Object.entries(shown.classes).filter(([id]) => id !== "0"); // 0 is the background
      card.classes.replaceChildren(...named.map(([id, name]) => {
        const entry = Review.element("span", "class", name);
        entry.prepend(Object.assign(Review.element("span", "dot"), { style: `background: ${this.colour(id)}` }));
        return entry;
      }));
      if (atEnd) this.show(card, card.entries.length - 1);
    }
  }

  card(key, kind) {
    const node = Review.element("figure", `medium ${kind}`);
    this.root.insertBefore(node, kind === "table" ? null : this.root.querySelector(".medium.table")); // figures over tables
    node.dataset.key = key;
    const head = node.appendChild(Review.element("figcaption"));
    head.appendChild(Review.element("b", "", key));
    const when = head.appendChild(Review.element("span", "quiet"));
    const slider = head.appendChild(Object.assign(document.createElement("input"), { type: "range", min: 0, value: 0 }));
    slider.setAttribute("aria-label", `Step of ${key}`);
    const body = node.appendChild(Review.element("div", "medium-body"));
    const classes = node.appendChild(Review.element("div", "classes"));
    const card = { key, kind, node, when, slider, body, classes, entries: [], at: -1 };
    slider.addEventListener("input", () => this.show(card, Number(slider.value)));
    this.cards.set(key, card);
    return card;
  }

  async show(card, at) {
    card.at = at;
    card.slider.value = at;
    const entry = card.entries[at];
    card.when.textContent = entry.at;
    try {
      await this[card.kind](card, entry);
    } catch (error) {
      this.say(card, error.message);
    }
  }

  say(card, text) {
    card.body.replaceChildren(Review.element("p", "quiet", text));
  }

  address(path) {
    return `${this.url}/media/${path.split("/").map(encodeURIComponent).join("/")}`;
  }

  colour(id) {
    return this.series[Math.abs(Number(id) || 0) % this.series.length];
  }

  image(card, entry) {
    card.body.replaceChildren(
      ...entry.items.map(({ path, caption, boxes = [], masks = [] }) => {
        const figure = Review.element("figure");
        const over = [boxes, masks].map((paths) => paths.map((one) => this.address(one)));
        figure.appendChild(this.picture(this.address(path), caption || card.key, ...over));
        const [image] = figure.getElementsByTagName("img");
        image.addEventListener("load", () => card.node.classList.toggle("wide", image.naturalWidth > Math.max(700, 2 * image.naturalHeight)));
        figure.appendChild(Review.element("figcaption", "", caption));
        return figure;
      }),
    );
  }

  // An image with its boxes and masks, given by their addresses.
  picture(src, alt, boxes, masks) {
    const image = Object.assign(document.createElement("img"), { src, alt, loading: "lazy" });
    image.addEventListener("load", () => image.classList.toggle("tiny", image.naturalWidth <= 128)); // its pixels are to be seen
    return boxes.length + masks.length ? Review.overlaid(image, boxes, masks, (id) => this.colour(id)) : image;
  }

  audio(card, entry) {
    this.players(card, entry, "audio");
  }

  video(card, entry) {
    this.players(card, entry, "video");
  }

  players(card, entry, tag) {
    card.body.replaceChildren(
      ...entry.items.map(({ path, caption }) => {
        const figure = Review.element("figure");
        figure.appendChild(Object.assign(document.createElement(tag), { src: this.address(path), controls: true, preload: "metadata" }));
        figure.appendChild(Review.element("figcaption", "", caption));
        return figure;
      }),
    );
  }

  // HTML that a run logged: shown in a frame in which no script runs.
  html(card, entry) {
    card.body.replaceChildren(
      ...entry.items.map(({ path }) => {
        const frame = Object.assign(document.createElement("iframe"), { src: this.address(path), title: card.key });
        frame.setAttribute("sandbox", "");
        return frame;
      }),
    );
  }

  file(card, entry) {
    card.body.replaceChildren(...entry.items.map(({ path }) => Review.element("p", "quiet", `${path}: see the files below`)));
  }

  histogram(card, { bins, values }) {
    const x = values.map((_, i) => (bins[i] + bins[i + 1]) / 2);
    const width = values.map((_, i) => bins[i + 1] - bins[i]);
    const colour = Review.css("--accent");
    return this.draw(card, { data: [{ type: "bar", x, y: values, width, marker: { color: colour } }], layout: { height: 240 } });
  }

  async fetched(card, entry, chart = "") {
    const query = new URLSearchParams({ line: entry.line, key: entry.key, chart });
    const answer = await fetch(`${this.url}/logged?${query}`);
    if (!answer.ok) throw new Error((await answer.json()).errors?.[0]?.message || answer.statusText);
    return answer.json();
  }

  async figure(card, entry) {
    const { figure } = await this.fetched(card, entry);
    if (card.entries[card.at] === entry) await this.draw(card, figure);
  }

  async chart(card, entry) {
    const found = await this.fetched(card, entry, card.key);
    if (card.entries[card.at] !== entry) return;
    if (found.figure) return this.draw(card, found.figure);
    this.rows(card, found);
    card.body.prepend(Review.element("p", "quiet", "Only W&B's servers have the definition of this chart. This is the table that it draws."));
  }

  async table(card, entry) {
    const found = await this.fetched(card, entry);
    if (card.entries[card.at] === entry) this.rows(card, found);
  }

  rows(card, { columns, rows, total }) {
    const kind = (i) => {
      const cells = rows.map((row) => row[i]).filter((cell) => cell !== null);
      if (cells.some((cell) => cell?.image !== undefined)) return "image";
      return cells.length && cells.every((cell) => typeof cell === "number") ? "number" : "text";
    };
    card.body.replaceChildren();
    const table = new Review.Table(card.body, { noun: total > rows.length ? `rows of ${total}` : "rows", plain: true, picture: ({ image, boxes, masks }, alt) => this.picture(image, alt, boxes, masks) });
    const shown = columns.map((label, i) => ({ key: String(i), label, kind: kind(i), shown: true }));
    table.show(Review.unpacked({ columns: shown, rows: rows.map((row, id) => [String(id), null, null, ...row]) }));
  }

  async draw(card, figure) {
    card.drawn = figure;
    if (!window.Plotly) return; // drawn when Plotly has loaded
    const place = card.body.firstElementChild?.classList.contains("plot") ? card.body.firstElementChild : Review.element("div", "plot");
    if (!place.parentNode) card.body.replaceChildren(place);
    const { width, ...own } = figure.layout || {};
    card.node.classList.toggle("wide", width > 700); // before the place is measured
    const share = Math.min(1, place.clientWidth / width) || 1;
    if (width && own.height) own.height = Math.max(240, Math.round(own.height * share));
    if (own.margin) own.margin = Object.fromEntries(Object.entries(own.margin).map(([side, size]) => [side, size > 60 ? Math.max(60, size * share) : size]));
    const layout = Review.themed({ layout: { margin: { l: 48, r: 12, t: 28, b: 40 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", xaxis: {}, yaxis: {}, ...own, template: undefined } });
    await Review.plot(place, figure.data || [], Review.narrowed(layout, place.clientWidth), { displayModeBar: false });
  }

  drawAll() {
    for (const card of this.cards.values()) if (card.drawn) this.draw(card, card.drawn);
  }
};
