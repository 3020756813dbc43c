// What every part of a page uses: elements, the page's address, numbers for people, colours of the theme.
"use strict";
window.Review = window.Review || {};

const whole = new Intl.NumberFormat("en-US"); // creating one is slow
const clocks = new Map(); // place -> when the seconds that it shows began, on the page's clock
const rendered = new WeakMap(); // place -> JSON of what it shows

Object.assign(Review, {
  element(tag, className = "", text = null) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== null) node.textContent = text;
    return node;
  },

  button(parent, text, action, className = "button") {
    const node = parent.appendChild(Review.element("button", className, text));
    node.type = "button";
    node.addEventListener("click", action);
    return node;
  },

  dot(status) {
    return Review.element("span", `dot ${status}`);
  },

  // A dot in the colour of a run.
  runDot(colour) {
    const dot = Review.element("span", "dot run");
    dot.style.background = colour;
    return dot;
  },

  // Whether a place is to show something new. Rendering only then keeps the reader's focus and selection.
  changed(place, content) {
    const text = JSON.stringify(content);
    if (rendered.get(place) === text) return false;
    rendered.set(place, text);
    return true;
  },

  // Run `change`, which may move the focused element, and give the focus back to that element.
  keepingFocus(change) {
    const focused = document.activeElement;
    change();
    if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  },

  // What a reader chose on this page is kept in its address, so that a copied address shows the same.
  chosen(name) {
    return new URLSearchParams(location.search).get(name) || "";
  },

  remember(choices) {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(choices)) value ? query.set(name, value) : query.delete(name);
    const text = query.toString();
    try {
      history.replaceState(null, "", (text ? `?${text}` : location.pathname) + location.hash);
    } catch {
      // a page opened from disk may not change its address
    }
  },

  // Show the same runs highlighted everywhere: in tables, charts and parallel coordinates. An empty list ends it.
  highlight(ids) {
    document.dispatchEvent(new CustomEvent("highlight", { detail: ids }));
  },

  onHighlight(act) {
    document.addEventListener("highlight", (event) => act(event.detail));
  },

  // Give a place with a command a button that copies it. The clipboard needs TLS or this machine, so it may be missing.
  copyable(place) {
    const text = place.textContent;
    if (!navigator.clipboard) return;
    const button = Review.button(place, "Copy", async () => {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  },

  css(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  },

  dark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
  },

  // Whether an address may become a link: http(s) or a path. Anything else (javascript:) stays text.
  safeUrl(url) {
    return typeof url === "string" && /^(https?:\/\/|\/(?!\/))/.test(url);
  },

  extent(values) {
    let [low, high] = [Infinity, -Infinity];
    for (const v of values) if (v !== null) [low, high] = [Math.min(low, v), Math.max(high, v)];
    return low > high ? [0, 1] : low === high ? [low - 0.5, high + 0.5] : [low, high];
  },

  number(value) {
    if (Number.isInteger(value)) return whole.format(value);
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(+value.toPrecision(4));
  },

  // The same format as in review/formatting.py.
  duration(seconds) {
    if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
    const minutes = Math.round(seconds / 60);
    return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  },

  // Show seconds in a place, and let them count on until it shows something else.
  countOn(place, seconds) {
    place.textContent = Review.duration(seconds);
    clocks.set(place, performance.now() - 1000 * seconds);
  },

  stopCounting(place) {
    clocks.delete(place);
  },

  cell(value, kind) {
    if (value === undefined || value === null) return "";
    if (typeof value !== "number") return kind === "time" ? String(value).replace("T", " ").slice(0, 19) : String(value);
    if (kind === "percent") return `${(100 * value).toFixed(2)} %`;
    if (kind === "seconds") return Review.duration(value);
    if (kind === "metric" && Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4) return value.toPrecision(4); // 0.1910 beside 0.1896
    return Review.number(value);
  },

  unescape(text) {
    return String(text).replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
  },

  // Return a table whose rows are objects. They arrive as arrays: id, address, colour, and a value or null per column.
  unpacked({ columns, rows }) {
    const keys = ["id", "url", "colour", ...columns.map((column) => column.key)];
    const row = (cells) => {
      const found = {};
      keys.forEach((key, i) => cells[i] !== null && (found[key] = cells[i]));
      return found;
    };
    return { columns, rows: rows.map(row) };
  },

  save(name, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  },

  // Return the colour scale of a figure's `coloraxis` in the colours of the theme.
  scale() {
    return [0, 0.45, 0.75, 1].map((stop, i) => [stop, Review.css(`--scale-${i}`)]);
  },

  colours(axis) {
    const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    const stops = Review.scale().map(([at, hex]) => [at, rgb(hex)]);
    const [low, high] = [axis.cmin ?? 0, axis.cmax ?? 1];
    return (value) => {
      let t = Math.min(Math.max((value - low) / (high - low || 1), 0), 1);
      if (axis.reversescale) t = 1 - t;
      const k = Math.max(stops.findIndex(([at]) => at >= t), 1);
      const [[a, from], [b, to]] = [stops[k - 1], stops[k]];
      const mix = from.map((c, i) => Math.round(c + ((t - a) / (b - a)) * (to[i] - c)));
      return `rgb(${mix.join(",")})`;
    };
  },
});

setInterval(() => {
  for (const [place, start] of clocks) {
    if (place.isConnected) place.textContent = Review.duration((performance.now() - start) / 1000);
    else clocks.delete(place);
  }
}, 1000);
