"use strict";

/* Each file of what is said of rows calls this; a page on a disk cannot read JSON. */
const said = new Map();
const told = (leaf, rows) => said.set(leaf, rows);

function load(leaf) {
  return said.has(leaf) ? Promise.resolve() : new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = `data/${String(leaf).padStart(4, "0")}.js`;
    script.onload = done;
    script.onerror = failed;
    document.body.append(script);
  });
}

function mask({ name, file, colour }) {
  const overlay = document.createElement("img");
  overlay.alt = `${name.replace("_", " ")} mask`;
  overlay.src = file;
  overlay.hidden = true;
  find("overlays").append(overlay);
  const label = element("label", "");
  const box = document.createElement("input");
  const dot = document.createElement("i");
  box.type = "checkbox";
  box.addEventListener("change", () => { overlay.hidden = !box.checked; });
  dot.style.background = colour;
  label.append(box, " ", dot, name.replace("_", " "));
  find("masks").append(label);
}

function label([name, words]) {
  const { head, lines } = SITE.evidence;
  const line = lines.find((each) => each.name === name);
  const row = document.createElement("tr");
  const first = element("th", words);
  first.scope = "row";
  const code = element("span", name, "code-name");
  first.append(code);
  if (line && line.doubt) first.append(element("span", line.doubt, "chip unreadable"));
  row.append(first, ...(line ? line.cells : head.slice(1).map(() => "unknown")).map((cell) => element("td", cell)));
  return row;
}

function pairs(list) {
  return list.map(([name, value]) => {
    const made = document.createElement("div");
    made.append(element("dt", name), element("dd", value));
    return made;
  });
}

function fill(number) {
  const row = said.get(Math.floor(number / SITE.atOnce))[number % SITE.atOnce];
  document.title = document.title.replace(/^[^·]*/, `Row ${row.index} `);
  find("which").textContent = `Row ${row.index.toLocaleString("en")}`;
  find("large").src = row.file;
  find("large").alt = describe(number);
  find("told").textContent = row.caption || "This row has no caption.";
  find("file").href = row.file;
  find("chips").replaceChildren(...row.chips.map(({ words, title, kind }) => {
    const chip = element("span", words, `chip ${kind}`);
    chip.title = title;
    return chip;
  }));
  if (has("again", number)) find("chips").append(element("span", "an eye that is shown before", "chip unreadable"));
  find("origin").replaceChildren(...pairs([...row.facts, ...SITE.lineage]));
  find("head").replaceChildren(...["label", ...SITE.evidence.head.slice(1)].map((name) => {
    const cell = element("th", name);
    cell.scope = "col";
    return cell;
  }));
  find("labels").replaceChildren(...row.labels.map(label));
  find("overlays").replaceChildren();
  find("masks").replaceChildren(element("legend", "Masks"));
  find("masks").hidden = !row.masks.length;
  find("maskless").hidden = row.masks.length > 0;
  row.masks.forEach(mask);
}

async function show() {
  const now = asked();
  const fit = fitting(now);
  const number = SITE.rows.indexOf(Number(now.get("row") || SITE.rows[0]));
  if (number < 0) {
    find("which").textContent = "No such row";
    return;
  }
  const at = fit.indexOf(number);
  const step = (by) => address("", { row: SITE.rows[fit[(at + by + fit.length) % fit.length]] });
  find("back").href = address("browse.html", { row: null });
  find("place").textContent = at < 0 ? "" : `${(at + 1).toLocaleString("en")} of ${fit.length.toLocaleString("en")}`;
  find("previous").href = step(-1);
  find("next").href = step(1);
  await load(Math.floor(number / SITE.atOnce));
  fill(number);
}

addEventListener("hashchange", show);
addEventListener("keydown", ({ key, target }) => {
  if (target.closest("input, select, [role=group]")) return;
  if (key === "ArrowLeft") find("previous").click();
  if (key === "ArrowRight") find("next").click();
});
show();
