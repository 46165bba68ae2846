"use strict";
const form = document.querySelector(".filters");

function card(number) {
  const made = document.createElement("li");
  const link = document.createElement("a");
  const image = document.createElement("img");
  link.href = address("image.html", { row: SITE.rows[number], leaf: null });
  image.src = thumb(number);
  image.alt = describe(number);
  image.loading = "lazy";
  image.width = image.height = 256;
  link.append(image);
  const words = element("div", "", "words");
  const chips = element("p", "", "chips");
  const findings = known("finding", number).filter((each) => each !== "DR 0: none");
  chips.append(...findings.map((each) => element("span", each, "chip finding")));
  chips.append(...known("side", number).map((each) => element("span", each, "chip")));
  if (has("again", number)) chips.append(element("span", "shown again", "chip unreadable"));
  words.append(chips, element("p", `row ${SITE.rows[number].toLocaleString("en")}`, "row"));
  made.className = "card";
  made.append(link, words);
  return made;
}

function show() {
  const now = asked();
  const fit = fitting(now);
  const leaves = Math.max(1, Math.ceil(fit.length / SITE.atOnce));
  const leaf = Math.min(leaves, Math.max(1, Number(now.get("leaf")) || 1));
  for (const { key } of SITE.filters) form.elements[key].value = now.get(key) || "";
  find("cards").replaceChildren(...fit.slice((leaf - 1) * SITE.atOnce, leaf * SITE.atOnce).map(card));
  find("shown").textContent = `${fit.length.toLocaleString("en")} of ${SITE.rows.length.toLocaleString("en")}`;
  find("none").hidden = fit.length > 0;
  find("leaves").hidden = leaves === 1;
  find("leaf").textContent = `page ${leaf} of ${leaves}`;
  find("previous").disabled = leaf === 1;
  find("next").disabled = leaf === leaves;
  find("previous").onclick = () => turn(leaf - 1);
  find("next").onclick = () => turn(leaf + 1);
}

function turn(leaf) {
  location.hash = address("", { leaf });
  scrollTo(0, 0);
}

form.addEventListener("change", () => {
  const chosen = [...new FormData(form)].map(([key, value]) => [key, value || null]);
  location.hash = address("", { ...Object.fromEntries(chosen), leaf: null });
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => { location.hash = ""; });
addEventListener("hashchange", show);
show();
