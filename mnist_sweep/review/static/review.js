// A page: its data is in `#review-data`, and `data-…` attributes mark the places that show it. Missing parts stay hidden.
// A page with `live` in its data polls for news with the cursor of the last answer. Only places whose content changed
// are rendered again.
"use strict";
(() => {
  const R = window.Review;
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const data = JSON.parse($("#review-data")?.textContent || "{}");
  let parallel = null;
  let table = null;
  let workspace = null;
  let media = null;
  let runMedia = []; // media of the runs of a report

  // --- theme ---------------------------------------------------------------------------------------------------
  const remember = (key, value) => {
    try {
      if (value !== undefined) localStorage.setItem(key, value);
      return localStorage.getItem(key);
    } catch {
      return null; // a page from disk may have no storage
    }
  };

  function setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    remember("review-theme", theme);
    repaint();
  }

  // Draw what uses Plotly beside the figures.
  function others() {
    [workspace, media, ...runMedia].forEach((part) => part && part.drawAll());
  }

  function repaint() {
    figures.renew();
    if (parallel) parallel.draw();
    others();
  }

  // --- the parts -----------------------------------------------------------------------------------------------
  function texts() {
    const write = (node, text) => R.changed(node, text) && (node.textContent = text);
    $$("[data-text]").forEach((node) => write(node, data.texts[node.dataset.text] ?? ""));
    $$("[data-note]").forEach((node) => {
      write(node, data.notes[node.dataset.note] ?? "");
      node.hidden = !node.textContent;
    });
    $$("[data-stats]").forEach((node) => R.changed(node, data.stats) && node.replaceChildren(...data.stats.map(tile)));
    $$("[data-list]").forEach((node) => {
      const entries = data[node.dataset.list] || [];
      if (R.changed(node, entries)) node.replaceChildren(...entries.map((text) => R.element(node.dataset.item || "li", "", text)));
    });
  }

  function tile({ label, value, hint }) {
    const node = R.element("div", "tile");
    const parts = { "tile-label": label, "tile-value": value, "tile-hint": hint || "" };
    node.append(...Object.entries(parts).map(([name, text]) => R.element("div", name, text)));
    return node;
  }

  // A section is shown when the data it needs (`data-needs`, one of several) is there.
  function sections() {
    const has = (name) => {
      const value = name.split(".").reduce((part, key) => part?.[key], data);
      return Array.isArray(value) ? value.length > 0 : value && (typeof value !== "object" || Object.keys(value).length > 0);
    };
    $$("[data-needs]").forEach((node) => (node.hidden = !node.dataset.needs.split(" ").some(has)));
    $$("nav a[href^='#']").forEach((link) => {
      const target = $(link.getAttribute("href"));
      link.hidden = !target || target.hidden;
    });
  }

  function compare(ids) {
    const place = $("[data-compare]");
    if (!place || !data.table) return;
    const rows = ids.map((id) => data.table.rows.find((row) => row.id === id)).filter(Boolean);
    if (!R.changed(place, [rows, data.table.columns])) return;
    if (rows.length < 2) {
      place.replaceChildren(R.element("p", "quiet", "Tick two or more runs in the table to see how they differ."));
      return;
    }
    const grid = document.createElement("table");
    const head = grid.createTHead().insertRow();
    head.append(R.element("th", "text", ""), ...rows.map(compared));
    const body = grid.createTBody();
    let same = 0;
    for (const { key, label, kind } of data.table.columns) {
      const values = rows.map((row) => row[key]);
      if (key === "name" || values.every((v) => v === undefined)) continue;
      if (values.every((v) => v === values[0])) {
        same += 1;
        continue;
      }
      const line = body.insertRow();
      line.appendChild(R.element("th", "text", label)).setAttribute("scope", "row");
      values.forEach((value) => line.appendChild(R.element("td", "number", R.cell(value, kind) || "–")));
    }
    const frame = R.element("div", "table-frame");
    frame.appendChild(grid);
    const foot = R.element("p", "quiet", `${same} fields that are equal in all ${rows.length} runs are not shown.`);
    if (data.compare_url) {
      const href = `${data.compare_url}?runs=${rows.map((row) => encodeURIComponent(row.id)).join(",")}`;
      foot.append(" ", Object.assign(document.createElement("a"), { href, textContent: "Compare them on a page of their own" }));
    }
    place.replaceChildren(frame, foot);
  }

  function compared(row) {
    const head = R.element("th", "number", row.name);
    head.prepend(R.runDot(row.colour));
    head.addEventListener("mouseenter", () => R.highlight([row.id]));
    head.addEventListener("mouseleave", () => R.highlight([]));
    return head;
  }

  function mistakes(id) {
    const found = data.mistakes[id];
    if (!found) return;
    data.figures.confusion = found.confusion;
    const place = $("[data-figure=confusion]");
    if (place) {
      place.hidden = !found.confusion;
      if (found.confusion) figures.draw(place);
    }
    const grid = $("[data-images]");
    grid.replaceChildren(
      ...found.images.map(({ src, label, prediction, confidence, index }) => {
        const card = R.element("figure", "mistake");
        card.appendChild(Object.assign(document.createElement("img"), { src, alt: `${label}, predicted as ${prediction}`, loading: "lazy" }));
        const sure = confidence === null ? "" : `, confidence ${Math.round(100 * confidence)} %`;
        card.title = `image ${index}: ${label}, predicted as ${prediction}${sure}`;
        const words = card.appendChild(R.element("figcaption"));
        words.append(R.element("b", "", label), R.element("span", "arrow", " → "), R.element("b", "wrong", prediction));
        return card;
      }),
    );
  }

  function mistakeChoice() {
    const choice = $("[data-mistake-run]");
    const ids = Object.keys(data.mistakes || {});
    if (!choice || !ids.length || !R.changed(choice, ids)) return;
    choice.replaceChildren(
      ...ids.map((id) => Object.assign(document.createElement("option"), { value: id, textContent: data.mistakes[id].name })),
    );
    choice.hidden = ids.length < 2;
    choice.onchange = () => mistakes(choice.value);
    mistakes(ids[0]);
  }

  function chain() {
    const place = $("[data-chain]");
    if (place && data.chain?.steps && R.changed(place, data.chain)) R.provenance(place, data.chain);
  }

  function gallery() {
    const place = $("[data-gallery]");
    if (!place || !data.gallery || !R.changed(place, data.gallery)) return;
    place.replaceChildren(
      ...data.gallery.map(({ label, images }) => {
        const row = R.element("div", "strip");
        row.appendChild(R.element("span", "strip-label", label));
        images.forEach((src) => row.appendChild(Object.assign(document.createElement("img"), { src, alt: "" })));
        return row;
      }),
    );
  }

  function runs() {
    const place = $("[data-table]");
    if (!place || !data.table) return;
    table ||= new R.Table(place, {
      keepsSelection: !data.selected?.length, // the address of a comparison names its runs itself
      onSelect: (ids) => {
        compare(ids);
        if (parallel) parallel.mark(ids);
        if (workspace) workspace.show(table.visible(), table);
      },
    });
    table.onClear = () => parallel.clear();
    if (workspace) table.onDraw ||= (rows) => workspace.show(rows, table);
    if (!table.selectionChosen) {
      const best = () => data.table.rows.filter((row) => row.rank).slice(0, 3).map((row) => row.id);
      table.selected = new Set(data.selected || best());
    }
    if (R.changed(place, data.table)) table.show(data.table);
    compare([...table.selected]);
  }

  function coordinates() {
    $$("[data-parallel]").forEach((node) => node.dataset.parallel && new R.Parallel(node, () => {}).show(data.figures[node.dataset.parallel]));
    const place = $("[data-parallel='']");
    if (!place || !data.figures.parallel) return;
    if (!R.changed(place, data.figures.parallel)) return;
    parallel ||= new R.Parallel(place, (ids) => table && table.update({ brush: ids }));
    parallel.show(data.figures.parallel, data.table);
  }

  // Show those of a sweep's buttons that make sense in its state. On other pages the server chooses them.
  function buttons() {
    if (!data.offered) return;
    $$("[data-action]").forEach((button) => (button.hidden = !data.offered.includes(button.dataset.action)));
  }

  function facts() {
    const place = $("[data-facts]");
    if (!place || !R.changed(place, data.facts)) return;
    const entries = data.facts.map(({ label, value, elapsed }) => {
      const entry = R.element("div");
      const shown = R.element("dd", "", value);
      if (elapsed !== undefined) R.countOn(shown, elapsed);
      entry.append(R.element("dt", "", label), shown);
      return entry;
    });
    place.replaceChildren(...entries);
  }

  function log() {
    const place = $("[data-log]");
    if (!place) return;
    if (!R.changed(place, data.log)) return;
    const atEnd = place.scrollTop + place.clientHeight >= place.scrollHeight - 8;
    const lines = Object.keys(data.log).map(Number).sort((a, b) => a - b);
    place.textContent = lines.map((line) => data.log[line]).join("\n");
    if (atEnd) place.scrollTop = place.scrollHeight;
  }

  function charts() {
    const place = $("[data-workspace]");
    if (place && data.workspace) workspace = new R.Workspace(place, data.workspace);
  }

  function logged() {
    const place = $("[data-media='']");
    if (place && data.media?.keys) media = new R.Media(place, data.media);
    runMedia = $$("[data-media]").filter((node) => node !== place).map((node) => new R.Media(node, data.run_media[node.dataset.media]));
  }

  function render() {
    texts();
    chain();
    facts();
    sections();
    runs();
    coordinates();
    mistakeChoice();
    gallery();
    figures.axisChoice();
    buttons();
    log();
  }

  // --- live ----------------------------------------------------------------------------------------------------
  // Take over what is new, and return the names of the figures that changed.
  function merge(news) {
    const before = Object.fromEntries(Object.entries(news.figures || {}).map(([name]) => [name, JSON.stringify(data.figures[name])]));
    const filled = Object.keys(news.curves || {}).length ? ["curves", "run"] : [];
    for (const [id, points] of Object.entries(news.curves || {})) append((data.curves[id] ||= {}), points);
    if (news.table) {
      const rows = new Map(data.table.rows.map((row) => [row.id, row]));
      R.unpacked(news.table).rows.forEach((row) => rows.set(row.id, row));
      const order = new Map((news.order || []).map((id, i) => [id, i]));
      const rank = (row) => order.get(row.id) ?? Infinity;
      const kept = [...rows.values()].filter((row) => !news.order || order.has(row.id)); // some may be deleted
      data.table = { columns: news.table.columns, rows: kept.sort((a, b) => rank(a) - rank(b)) };
      if (news.ranks) data.table.rows.forEach((row) => (row.rank = news.ranks[row.id]));
    }
    Object.assign(data.figures, news.figures || {});
    if (news.workspace) {
      data.workspace = news.workspace;
      if (workspace) workspace.renew(news.workspace);
      else charts();
    }
    for (const [line, text] of news.log || []) data.log[line] = text;
    if (Object.keys(news.media?.keys || {}).length) {
      data.media = news.media;
      if (media) media.add(news.media.keys);
      else logged();
    }
    for (const key of ["chain", "texts", "notes", "stats", "findings", "state", "offered", "axes", "facts", "mistakes"]) if (news[key]) data[key] = news[key];
    return [...filled, ...Object.keys(before).filter((name) => before[name] !== JSON.stringify(data.figures[name]))];
  }

  // Append new points to a curve. A point that was sent before is replaced.
  function append(known, points) {
    const along = points.x ? "x" : "_step";
    const keep = (known[along] || []).filter((x) => x < points[along][0]).length;
    for (const name of new Set([...Object.keys(known), ...Object.keys(points)])) {
      const old = (known[name] || Array(keep).fill(null)).slice(0, keep);
      known[name] = [...old, ...(points[name] || points[along].map(() => null))];
    }
  }

  async function poll() {
    const { url, every } = data.live;
    let wait = every;
    try {
      if (!document.hidden) {
        const answer = await fetch(`${url}${url.includes("?") ? "&" : "?"}${new URLSearchParams({ cursor: data.live.cursor, state: data.state || "" })}`);
        if (!answer.ok) throw new Error(answer.statusText);
        const news = await answer.json();
        if (news.cursor !== data.live.cursor || news.state !== data.state) {
          data.live.cursor = news.cursor;
          const changed = merge(news);
          render();
          figures.renew((name) => changed.includes(name));
        }
        document.body.classList.remove("offline");
        wait = data.live.every = news.every || every;
      }
    } catch {
      document.body.classList.add("offline"); // the server is unavailable: keep what is shown and retry
      wait = every * 3;
    }
    setTimeout(poll, wait * 1000);
  }

  // --- go ------------------------------------------------------------------------------------------------------
  const stored = remember("review-theme");
  if (stored) document.documentElement.dataset.theme = stored;
  $$("[data-theme-toggle]").forEach((node) =>
    node.addEventListener("click", () => setTheme(R.dark() ? "light" : "dark")),
  );
  $$("[data-copy]").forEach((place) => R.copyable(place));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    if (!document.documentElement.dataset.theme) repaint();
  });
  data.figures ||= {};
  data.curves ||= {};
  data.texts ||= {};
  data.notes ||= {};
  data.stats ||= [];
  data.log ||= {};
  data.facts ||= [];
  if (data.table) data.table = R.unpacked(data.table);
  const figures = new R.Figures(data);
  charts();
  logged();
  render();
  performance.mark("review-shown");
  if ($("[data-figure], [data-workspace], [data-media]")) requestAnimationFrame(() => setTimeout(() => figures.load(others), 0));
  if (data.live) setTimeout(poll, data.live.every * 1000);
})();
