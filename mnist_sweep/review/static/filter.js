// The filter of a table. `Review.filter(text, columns)` reads what a reader typed and returns `{ test, problem }`:
// `test(row)` says whether a row passes, and `problem` is one sentence when the text was not understood.
//
//   conditions  = alternatives { "," alternatives }          all must hold
//   alternatives = all { "or" all }                          one must hold
//   all         = condition { "and" condition }
//   condition   = column operator value | column "in" list | "(" conditions ")" | text in any shown column
//   operator    = "=" | "!=" | "<" | "<=" | ">" | ">="
"use strict";
window.Review = window.Review || {};

(() => {
  const OPERATOR = /^("[^"]*"|[^<>=!]+?)\s*(!=|<=|>=|==|=|<|>)\s*(.*)$/s;
  const MEMBER = /^(.+?)\s+(not\s+)?in\s*([[(].*)$/is;
  const OPENING = { "(": ")", "[": "]" };

  class Problem extends Error {}

  // The parts of a text between separators (a regular expression), outside of quotes and brackets.
  function split(text, separator) {
    const parts = [];
    const closing = [];
    let quote = "";
    let start = 0;
    for (let i = 0; i < text.length; i += 1) {
      const character = text[i];
      if (quote) quote = character === quote ? "" : quote;
      else if (character === '"') quote = character;
      else if (OPENING[character]) closing.push(OPENING[character]);
      else if (closing.at(-1) === character) closing.pop();
      else if (!closing.length) {
        separator.lastIndex = i;
        const found = separator.exec(text);
        if (found) {
          parts.push(text.slice(start, i));
          start = i + found[0].length;
          i = start - 1;
        }
      }
    }
    return [...parts, text.slice(start)].map((part) => part.trim()).filter(Boolean);
  }

  const unquoted = (text) => (/^"[^"]*"$/.test(text) ? text.slice(1, -1) : text);

  function columnOf(name, find, condition) {
    const column = find(name);
    if (column) return column;
    throw new Problem(`“${condition}”: there is no column “${unquoted(name)}”. Put a text to search for in quotes.`);
  }

  // A condition `in [a, b]`, or null.
  function member(text, find) {
    const [, name, not, list] = text.match(MEMBER) || [];
    if (!name) return null;
    const column = columnOf(name, find, text);
    if (list.at(-1) !== OPENING[list[0]]) throw new Problem(`“${text}”: the list has no closing ${OPENING[list[0]]}.`);
    const values = split(list.slice(1, -1), /,/y);
    if (!values.length) throw new Problem(`“${text}”: the list is empty.`);
    const tests = values.map((value) => equals(column, value, text));
    return (row) => tests.some((test) => test(row[column.key])) !== Boolean(not);
  }

  // Numbers are compared as numbers; a number also equals the rounded text that its cell shows.
  function equals(column, text, condition) {
    const wanted = unquoted(text).toLowerCase();
    const bound = number(column, wanted);
    if (bound === null && ["percent", "metric", "number", "count", "seconds"].includes(column.kind) && text === unquoted(text)) {
      throw new Problem(`“${condition}”: ${column.label} holds numbers, and “${text}” is not one.`);
    }
    return (value) => value !== undefined && (value === bound || [value, Review.cell(value, column.kind)].some((v) => String(v).toLowerCase() === wanted));
  }

  function number(column, text) {
    const percent = column.kind === "percent" && text.endsWith("%");
    const digits = (percent ? text.slice(0, -1) : text).trim();
    const value = Number(digits);
    return digits === "" || Number.isNaN(value) ? null : value / (percent ? 100 : 1);
  }

  function compares(column, operator, text, condition) {
    const bound = number(column, text);
    const time = column.kind === "time";
    if (bound === null && !time) throw new Problem(`“${condition}”: ${operator} needs a number, and “${text}” is not one.`);
    const order = { "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b }[operator];
    const limit = time ? unquoted(text).replace(" ", "T") : bound;
    return (value) => typeof value === typeof limit && order(value, limit);
  }

  function condition(text, columns, find) {
    if (text[0] === "(" && text.at(-1) === ")") return conditions(text.slice(1, -1), columns, find);
    const isMember = member(text, find);
    if (isMember) return isMember;
    const [, name, operator, value] = (text[0] === '"' && text === `"${unquoted(text)}"` ? null : text.match(OPERATOR)) || [];
    if (!name) return contains(unquoted(text).toLowerCase(), columns);
    const column = columnOf(name, find, text);
    if (!value) throw new Problem(`“${text}”: a value is missing after ${operator}.`);
    if (["=", "==", "!="].includes(operator)) {
      const test = equals(column, value, text);
      return (row) => test(row[column.key]) === (operator !== "!=");
    }
    const test = compares(column, operator, value, text);
    return (row) => test(row[column.key]);
  }

  function contains(text, columns) {
    const shown = columns.filter((column) => column.shown);
    return (row) => shown.some((column) => Review.cell(row[column.key], column.kind).toLowerCase().includes(text));
  }

  function conditions(text, columns, find) {
    const all = split(text, /,/y).map((part) => {
      const alternatives = split(part, /\s+or\s+/iy).map((alternative) => {
        const tests = split(alternative, /\s+and\s+/iy).map((one) => condition(one, columns, find));
        return (row) => tests.every((test) => test(row));
      });
      return (row) => alternatives.some((test) => test(row));
    });
    return (row) => all.every((test) => test(row));
  }

  Review.filter = (text, columns) => {
    const find = (name) => {
      const wanted = name.trim().toLowerCase();
      const named = (one) => columns.find((c) => c.label.toLowerCase() === one) || columns.find((c) => c.key.toLowerCase() === one);
      return named(wanted) || named(unquoted(wanted));
    };
    try {
      return { test: conditions(text, columns, find), problem: "" };
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return { test: () => true, problem: error.message };
    }
  };
})();
