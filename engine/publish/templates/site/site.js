"use strict";
const find = (id) => document.getElementById(id);

function element(name, text, kind) {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/* The filters and the place that the address names: all that a link needs. */
const asked = () => new URLSearchParams(location.hash.slice(1));

function has(token, number) {
  const bits = SITE.bits[token];
  return bits !== undefined && (parseInt(bits.substr((number >> 3) * 2, 2), 16) >> (7 - (number & 7)) & 1) === 1;
}

/* The numbers of all rows that fit every filter. */
function fitting(address) {
  const tokens = SITE.filters.map(({ key }) => address.get(key)).filter(Boolean);
  return [...SITE.rows.keys()].filter((number) => tokens.every((token) => has(token, number)));
}

/* What is known of a row by one filter, in words. */
function known(key, number) {
  const { options } = SITE.filters.find((filter) => filter.key === key) || { options: [] };
  return options.filter(({ token }) => has(token, number)).map(({ words }) => words);
}

function describe(number) {
  const said = [...known("finding", number), ...known("side", number).map((side) => `${side} eye`)];
  return [`${SITE.picture}, row ${SITE.rows[number]}`, ...said].join(", ");
}

function thumb(number) {
  const row = SITE.rows[number];
  const place = `${String(Math.floor(row / SITE.inFolder)).padStart(4, "0")}/${String(row).padStart(8, "0")}`;
  return has("small", number) ? `shown/${place}-small.webp` : `bundle/images/${place}.${SITE.extension}`;
}

/* The same filters at another place. */
function address(page, changes) {
  const now = asked();
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) now.delete(key); else now.set(key, value);
  }
  return `${page}#${now}`;
}
