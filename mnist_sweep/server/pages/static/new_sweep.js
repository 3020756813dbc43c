// The page of a new sweep: check the configuration while it is typed, and show what the check says.
"use strict";
(() => {
  const form = document.querySelector("[data-new-sweep]");
  const text = form.elements.config;
  const place = form.querySelector("[data-answer]");
  let typed = 0;

  async function check() {
    const mine = (typed += 1);
    const answer = await fetch(form.dataset.newSweep, { method: "POST", body: text.value, headers: { "Content-Type": "text/plain" } });
    if (!answer.ok) throw new Error(answer.statusText);
    const { problem, warnings = [], sentences = [] } = await answer.json();
    if (mine !== typed) return; // an answer to an older text
    form.querySelector("[data-create]").disabled = Boolean(problem);
    const line = (kind) => (sentence) => Review.element("p", kind, sentence);
    place.replaceChildren(...(problem ? [problem] : warnings).map(line("warn")), ...sentences.map(line("quiet")));
  }

  const unanswered = () => place.replaceChildren(Review.element("p", "warn", "The server does not answer; the text was not checked."));
  let waiting = null;
  text.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => check().catch(unanswered), 300);
  });
  check().catch(unanswered);
})();
