// The gallery: asks this server's own API and shows what it answers. Nothing is kept but the token,
// and that only until the tab is closed.
"use strict";

const $ = (id) => document.getElementById(id);
const EXAMPLES = {
  "healthy": "Right eye. Normal fundus with a healthy optic disc and macula.",
  "mild DR": "Left eye with mild non-proliferative diabetic retinopathy, few microaneurysms.",
  "proliferative DR": "Right eye with proliferative diabetic retinopathy and diabetic macular edema.",
  "glaucoma": "Left eye with glaucoma.",
  "vein occlusion": "Right eye with a retinal vein occlusion.",
};
let model = null;
let running = null;

function headers() {
  const token = $("token").value.trim();
  return { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { headers: headers(), ...options });
  const body = await answer.json().catch(() => ({}));
  if (answer.status === 401) $("door").hidden = false;
  if (!answer.ok) throw new Error(body.error?.message || `the server answered ${answer.status}`);
  return body;
}

function say(text, bad = false) {
  $("state").textContent = text;
  $("state").classList.toggle("bad", bad);
}

async function meet(again = false) {
  if (model && !again) return;
  model = (await ask("v1/models")).data[0];
  $("labels").replaceChildren();
  $("phantoms").hidden = true;
  sessionStorage.setItem("token", $("token").value.trim());
  $("door").hidden = true;
  const gates = model.gates.length ? `gates: ${model.gates.join(", ")}` : "no gates";
  $("model").textContent = `${model.id} · ${model.size} px · ${gates}`;
  $("reads").textContent = model.reads_prompts ? ""
    : "This model draws the labels that a prompt states, and reads no other words.";
  const solver = model.steps > 1;
  $("stepsbox").hidden = $("guidancebox").hidden = !solver;
  $("steps").placeholder = model.steps;
  $("guidance").placeholder = model.guidance;
  for (const label of model.labels) addLabel(label.name, meaning(label), values(label));
  if (model.sources) addLabel("source", "camera (source)", model.sources.map((s) => [s, s]));
}

function meaning(label) {
  const words = label.meaning.replace(/:.*/, "");
  return label.name === "eye_side" ? "eye" : words;
}

function values(label) {
  if (label.name === "eye_side") return [["0", "right"], ["1", "left"]];
  if (label.highest === 1) return [["0", "no"], ["1", "yes"]];
  const grades = (label.meaning.split(": ")[1] || "").split(", ");
  return Array.from({ length: label.highest + 1 }, (_, n) => [String(n), grades[n] || String(n)]);
}

function addLabel(name, words, choices) {
  const line = document.createElement("div");
  const label = document.createElement("label");
  const select = document.createElement("select");
  label.textContent = words;
  if (model.phantom_only.includes(name)) {
    label.append(" *");
    $("phantoms").hidden = false;
  }
  label.htmlFor = select.id = `label-${name}`;
  select.dataset.label = name;
  for (const [value, text] of [["", "–"], ...choices]) select.add(new Option(text, value));
  select.addEventListener("change", tellChosen);
  line.append(label, select);
  $("labels").append(line);
}

function chosen() {
  const found = {};
  for (const select of $("labels").querySelectorAll("select")) {
    const { label } = select.dataset;
    if (select.value) found[label] = label === "source" ? select.value : Number(select.value);
  }
  return found;
}

function tellChosen() {
  const names = Object.keys(chosen());
  $("chosen").textContent = names.length ? `${names.length} set here, others as the prompt states`
    : "as the prompt states them";
}

function order() {
  const labels = chosen();
  if (!Number.isSafeInteger(Number($("seed").value))) throw new Error(`seed: 0 to ${Number.MAX_SAFE_INTEGER} on this page`);
  const number = (id) => ($(id).value === "" ? undefined : Number($(id).value));
  return {
    model: model.id,
    prompt: $("prompt").value,
    n: Number($("count").value),
    seed: number("seed"),
    steps: number("steps"),
    guidance: number("guidance"),
    output_format: $("format").value,
    response_format: "b64_json",
    labels: Object.keys(labels).length ? labels : undefined,
  };
}

async function draw(event) {
  event.preventDefault();
  if (running) return;
  running = new AbortController();
  $("draw").disabled = true;
  $("stop").hidden = false;
  const began = performance.now();
  const clock = setInterval(() => say(`drawing … ${seconds(began)} s`), 200);
  try {
    await meet();
    const wanted = order();
    const body = JSON.stringify(wanted);
    const signal = running.signal;
    const answer = await ask("v1/images/generations", { method: "POST", body, signal });
    show(wanted, answer);
    clearInterval(clock);
    say(`${answer.data.filter((one) => one.b64_json).length} drawn in ${seconds(began)} s`);
  } catch (error) {
    clearInterval(clock);
    if (error.name === "AbortError") say("stopped");
    else say(error.message, true);
  } finally {
    clearInterval(clock);
    running = null;
    $("draw").disabled = false;
    $("stop").hidden = true;
  }
}

const seconds = (began) => ((performance.now() - began) / 1000).toFixed(1);

function show(wanted, answer) {
  const part = $("batch").content.cloneNode(true);
  part.querySelector("h2").textContent = wanted.prompt.trim() || "from labels alone";
  const facts = part.querySelector(".facts");
  facts.append(`${answer.model} · seed ${answer.seed} · `);
  facts.append(button("use this seed", () => { $("seed").value = answer.seed; $("seed").focus(); }));
  const labels = words(answer.data[0].labels);
  if (labels) facts.append(` · ${labels}`);
  const pictures = part.querySelector(".pictures");
  for (const one of answer.data) pictures.append(picture(one, wanted, answer));
  $("results").querySelector(".empty")?.remove();
  $("results").prepend(part);
}

function words(labels) {
  const told = [];
  for (const [name, value] of Object.entries(labels)) {
    const known = model.labels.find((label) => label.name === name);
    if (!known) told.push(`${name}: ${value}`);
    else told.push(`${meaning(known)}: ${values(known)[value][1]}${evidence(name)}`);
  }
  return told.join(", ");
}

const evidence = (name) => (model.phantom_only.includes(name) ? " (learned from phantoms)" : "");

function picture(one, wanted, answer) {
  const part = $("picture").content.cloneNode(true);
  const figure = part.querySelector("figure");
  const name = `seed ${answer.seed}, image ${one.index}`;
  const save = part.querySelector(".save");
  if (one.b64_json) {
    const bytes = Uint8Array.from(atob(one.b64_json), (letter) => letter.charCodeAt(0));
    const url = URL.createObjectURL(new Blob([bytes], { type: `image/${answer.output_format}` }));
    const image = part.querySelector("img");
    image.src = save.href = url;
    image.alt = `Synthetic fundus photograph: ${wanted.prompt || words(one.labels)}, ${name}`;
    save.download = `synthetic-${answer.model}-seed${answer.seed}-${one.index}.${answer.output_format}`;
  } else {
    const why = document.createElement("p");
    why.textContent = one.error.message;
    figure.classList.add("failed");
    part.querySelector(".frame").replaceChildren(why);
    save.remove();
  }
  const told = part.querySelector(".told");
  told.textContent = `image ${one.index}${one.attempts > 1 ? ` · try ${one.attempts}` : ""}`;
  if (one.attempts > 1) told.title = "The gates refused what was drawn before.";
  return part;
}

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
}

for (const [name, prompt] of Object.entries(EXAMPLES)) {
  $("examples").append(button(name, () => { $("prompt").value = prompt; }));
}
$("form").addEventListener("submit", draw);
$("stop").addEventListener("click", () => running?.abort());
$("token").value = sessionStorage.getItem("token") || "";
$("token").addEventListener("change", () => meet(true).then(() => say(""), (error) => say(error.message, true)));
meet().catch((error) => say(error.message, $("door").hidden));
