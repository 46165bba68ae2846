
"use strict";
const cards = [...document.querySelectorAll(".card")];
const form = document.querySelector(".filters");
const viewer = document.getElementById("viewer");
const find = (id) => document.getElementById(id);
const link = (card) => card.querySelector("a");
let current = null;

function filter() {
  const asked = new FormData(form);
  const tokens = [...asked].filter(([key, value]) => key !== "words" && value).map(([, value]) => value);
  const words = asked.get("words").toLowerCase().split(/\s+/).filter(Boolean);
  for (const card of cards) {
    const has = card.dataset.tokens.split(" ");
    const text = card.querySelector(".caption").textContent.toLowerCase();
    card.hidden = !(tokens.every((token) => has.includes(token)) && words.every((word) => text.includes(word)));
  }
  const shown = cards.filter((card) => !card.hidden).length;
  find("shown").textContent = `${shown} shown`;
  find("none").hidden = shown > 0;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function mask({ name, file, colour }) {
  const overlay = document.createElement("img");
  overlay.alt = `${name} mask`;
  overlay.src = file;
  overlay.hidden = true;
  find("overlays").append(overlay);
  const label = element("label", "");
  const box = document.createElement("input");
  const dot = document.createElement("i");
  box.type = "checkbox";
  box.addEventListener("change", () => { overlay.hidden = !box.checked; });
  dot.style.background = colour;
  label.append(box, " ", dot, name);
  find("masks").append(label);
}

function enlarge(card) {
  const from = link(card);
  const shown = cards.filter((each) => !each.hidden);
  current = card;
  find("large").src = from.getAttribute("href");
  find("large").alt = from.querySelector("img").alt;
  find("which").textContent = `Row ${from.dataset.row}`;
  find("place").textContent = `${shown.indexOf(card) + 1} of ${shown.length}`;
  find("told").textContent = card.querySelector(".caption").textContent;
  find("facts").replaceChildren(...JSON.parse(from.dataset.facts).flatMap(
    ([name, value]) => [element("dt", name), element("dd", value)]));
  find("overlays").replaceChildren();
  find("masks").replaceChildren(element("legend", "Masks"));
  const masks = JSON.parse(from.dataset.masks);
  find("masks").hidden = !masks.length;
  masks.forEach(mask);
  if (!viewer.open) viewer.showModal();
}

function walk(step) {
  const shown = cards.filter((card) => !card.hidden);
  enlarge(shown[(shown.indexOf(current) + step + shown.length) % shown.length]);
}

if (form) {
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  filter();
}
for (const card of cards) {
  link(card).addEventListener("click", (event) => { event.preventDefault(); enlarge(card); });
}
find("previous").addEventListener("click", () => walk(-1));
find("next").addEventListener("click", () => walk(1));
find("close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("close", () => { if (current) link(current).focus(); });
viewer.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") walk(-1);
  if (event.key === "ArrowRight") walk(1);
});
