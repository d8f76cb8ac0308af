// Draw: pictures of a generator. Every setting stands in the address, so a link makes the same pictures again.

import {Refused, ask, byId, count, element, follow, smoothed, t, tell} from "./page.js";
import {restore} from "./restore.js";

const form = byId("settings"), runForm = byId("choose-run"), sides = byId("sides");
const NO_LIMIT = 3.1, GAP = 2, MANY = 12;
const DEFAULTS = {run: "0", count: "1", seed: "0", first: "0", steps: "8"};
const ORDER = ["run", "class", "code", "seed", "first", "count", "truncation", "to", "to-class", "steps"];
const models = new Map(); // what each run can do, or the sentence that says why nothing
let runs = [], now = read(), model = null;

// --- the address

function read() {
  const given = Object.fromEntries([...new URLSearchParams(location.search)].filter(([name, value]) => value && name !== "lang"));
  return {...DEFAULTS, ...(Object.keys(given).some((name) => !["run", "with"].includes(name)) ? {} : {count: String(MANY)}), ...given};
}

// The settings of a picture as the server reads them; `more` stands for others.
function query(more = {}) {
  const {with: beside, film, ...rest} = {...now, ...more};
  const place = (name) => ORDER.indexOf(name) < 0 ? ORDER.length : ORDER.indexOf(name);
  const kept = Object.entries(rest).filter(([name, value]) => value !== "" && value != null && (name === "run" || name === "count" || value !== DEFAULTS[name]));
  return new URLSearchParams(kept.sort(([a], [b]) => place(a) - place(b) || a.localeCompare(b, "en", {numeric: true})));
}

function address() {
  const all = query();
  for (const name of ["with", "film"]) if (now[name]) all.set(name, now[name]);
  return `/draw?${all}`;
}

function change(settings, {push = false} = {}) {
  now = {...now, ...settings};
  for (const [name, value] of Object.entries(now)) if (value === "" || value == null) delete now[name];
  history[push ? "pushState" : "replaceState"](null, "", address());
  draw();
}

// --- what is drawn

let drawing = false, again = false;

async function draw() {
  if (drawing) { again = true; return; }
  drawing = true;
  try {
    const places = [now.run, now.with].filter(Boolean);
    while (sides.children.length > places.length) sides.lastChild.remove();
    while (sides.children.length < places.length) sides.append(side());
    byId("all").hidden = morphs() || Number(now.count) > 1;
    await Promise.all(places.map((run, k) => fill(sides.children[k], run)));
    byId("drawn").textContent = morphs() || now.count !== "1" ? t("draw-n", {n: count(Number(now.count) * steps())}) :
      t("draw-one", {i: count(Number(now.first) + 1), seed: now.seed});
  } finally { drawing = false; }
  if (again) { again = false; draw(); }
}

const morphs = () => Boolean(now.to || now["to-class"]);
const steps = () => morphs() ? Number(now.steps) : 1;

function side() {
  return element("section", {}, element("header", {}, element("h3", {}), element("a", {class: "button", hidden: true}, t("draw-save"))),
    element("p", {class: "problem", hidden: true}), element("ul", {class: "made"}), element("div", {class: "film-place"}));
}

async function fill(place, run) {
  const [header, problem, list, film] = place.children, [title, save] = header.children;
  const name = nameOf(run), address = `/draw/picture.png?${query({run})}`;
  title.textContent = name;
  place.setAttribute("aria-label", name);
  try {
    const shown = await modelOf(run);
    const answer = await fetch(address);
    if (!answer.ok) throw new Refused((await answer.json().catch(() => ({error: t("lost")}))).error);
    const bitmap = await createImageBitmap(await answer.blob());
    slice(list, bitmap, shown);
    Object.assign(save, {href: address, download: `${["drawn", run, now.class, now.seed].filter(Boolean).join("-")}.png`});
    save.setAttribute("aria-label", `${t("draw-save")}: ${name}`);
    problem.hidden = true;
  } catch (error) {
    problem.textContent = error instanceof Refused ? error.message : t("lost");
    problem.hidden = false;
    list.replaceChildren();
  }
  save.hidden = !problem.hidden;
  showFilm(film, run, problem.hidden);
}

function showFilm(place, run, possible) {
  if (!(possible && morphs() && now.film)) { place.replaceChildren(); return; }
  const source = `/draw/film.webp?${query({run, steps: String(Math.floor(Math.min(24, 64 / Number(now.count))))})}`;
  if (place.dataset.source === source && place.children.length) return;
  place.dataset.source = source;
  place.replaceChildren(element("img", {class: "film", src: source, alt: t("draw-film-of")}),
    element("a", {class: "button", href: source, download: `film-${run}-${now.seed}-${now.to ?? now.seed}.webp`}, t("draw-save-film")));
}

// Cut one picture of several into tiles; canvases are kept, so nothing flickers and the focus stays.
function slice(list, bitmap, shown) {
  const total = Number(now.count) * steps(), one = total === 1, scale = one ? 1 : shown.scale, gap = one ? 0 : GAP;
  const across = one ? 1 : Math.max(1, Math.round((bitmap.width - gap) / (shown.width * scale + gap)));
  list.className = `made${one ? " one" : morphs() ? " row" : ""}`;
  const rows = Math.ceil(steps() / 16);
  list.style.gridTemplateColumns = !one && morphs() ? `repeat(${Math.ceil(steps() / rows)}, minmax(0, 7rem))` : "";
  const kind = one || morphs() ? "still" : "tile";
  if (list.dataset.kind !== kind) { list.replaceChildren(); list.dataset.kind = kind; }
  while (list.children.length > total) list.lastChild.remove();
  while (list.children.length < total) list.append(kind === "tile" ? tile(list.children.length) : still());
  [...list.children].forEach((item, i) => {
    const canvas = item.querySelector("canvas");
    Object.assign(canvas, {width: shown.width, height: shown.height});
    canvas.classList.toggle("smooth", Math.max(shown.width, shown.height) > 16);
    const left = gap + (i % across) * (shown.width * scale + gap), top = gap + Math.floor(i / across) * (shown.height * scale + gap);
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(bitmap, left, top, shown.width * scale, shown.height * scale, 0, 0, shown.width, shown.height);
    const number = Number(now.first) + (morphs() ? Math.floor(i / steps()) : i);
    const label = now.class ?? (shown.classes.length ? shown.classes[number % shown.classes.length] : "");
    const words = morphs() ? t("draw-step", {i: count(i % steps() + 1), n: count(steps())}) : [t("draw-one", {i: count(number + 1), seed: now.seed}), label].filter(Boolean).join(", ");
    if (kind === "tile") {
      item.firstChild.setAttribute("aria-label", words);
      item.querySelector(".says").textContent = label;
    } else {
      canvas.setAttribute("aria-label", words);
    }
  });
}

function tile(i) {
  return element("li", {}, element("button", {type: "button", class: "tile", onclick: () => choose(i)},
    element("span", {class: "frame"}, element("canvas", {"aria-hidden": "true"})), element("span", {class: "says"})));
}

function still() {
  return element("li", {}, element("span", {class: "frame"}, element("canvas", {role: "img"})));
}

function choose(i) {
  change({first: String(Number(now.first) + i), count: "1"}, {push: true});
  show();
  byId("all").focus();
}

// --- the settings

// Put the settings of the address into the form.
function show() {
  const fields = form.elements, draws = model?.kind === "draw";
  if (!draws) return;
  options(fields.class, model.classes, t("draw-in-turn"), now.class);
  options(fields["to-class"], model.classes, t("draw-same-class"), now["to-class"]);
  options(fields.code, Array.from({length: model.codes}, (_, k) => String(k)), t("draw-in-turn"), now.code);
  byId("class-field").hidden = byId("to-class-field").hidden = !model.classes.length;
  byId("code-field").hidden = !model.codes;
  ranges(byId("directions"), "d", model.directions, 3, "draw-direction");
  ranges(byId("sliders"), "s", model.sliders, 1, "draw-slider");
  fields.seed.value = now.seed;
  fields.count.value = now.count;
  fields.steps.value = now.steps;
  fields.truncation.value = now.truncation ?? NO_LIMIT;
  if (now.to) fields.to.value = now.to;
  fields.morph.checked = morphs();
  fields.film.checked = Boolean(now.film);
  byId("morph-fields").hidden = !morphs();
  outputs();
}

function options(select, names, first, chosen = "") {
  const known = !chosen || names.includes(chosen) ? names : [...names, chosen];
  select.replaceChildren(element("option", {value: ""}, first), ...known.map((name) => element("option", {value: name}, name)));
  select.value = chosen;
}

function ranges(place, letter, number, reach, words) {
  place.hidden = !number;
  place.querySelector(".ranges").replaceChildren(...Array.from({length: number}, (_, k) => {
    const name = `${letter}${k + 1}`;
    const range = element("input", {type: "range", name, min: -reach, max: reach, step: letter === "d" ? 0.1 : 0.05, "aria-label": t(words, {n: k + 1})});
    range.value = now[name] ?? 0;
    return element("label", {}, element("span", {"aria-hidden": "true"}, String(k + 1)), range, element("output", {}));
  }));
}

function outputs() {
  const limit = Number(form.elements.truncation.value), place = form.elements.truncation.nextElementSibling;
  place.textContent = limit >= NO_LIMIT ? t("draw-no-limit") : limit.toFixed(1);
  form.elements.truncation.setAttribute("aria-valuetext", place.textContent);
  for (const range of form.querySelectorAll(".ranges input")) range.nextElementSibling.textContent = range.name[0] === "s" && now[range.name] == null ? "–" : (Number(range.value) || 0).toFixed(range.name[0] === "d" ? 1 : 2);
}

function changed(event) {
  const field = event.target, {name} = field;
  if (!name || (event.type === "input" && field.type !== "range")) return;
  if (name === "morph") {
    byId("morph-fields").hidden = !field.checked;
    change(field.checked ? {to: form.elements.to.value, count: "1"} : {to: "", "to-class": "", film: "", ...(now.first === "0" ? {count: String(MANY)} : {})}, {push: true});
    show();
    return;
  }
  if (!field.checkValidity()) { field.reportValidity(); return; }
  if (name === "film") change({film: field.checked ? "1" : ""});
  else if (name === "truncation") change({truncation: Number(field.value) >= NO_LIMIT ? "" : Number(field.value).toFixed(1)});
  else if (field.type === "range") change({[name]: name[0] === "d" && Number(field.value) === 0 ? "" : String(Number(Number(field.value).toFixed(3)))});
  else if (name === "to-class" && !field.value) change({"to-class": "", to: form.elements.to.value});
  else change({[name]: field.value}, {push: true});
  outputs();
}

const another = () => String(Math.floor(Math.random() * 1e6));

form.addEventListener("input", changed);
form.addEventListener("change", (event) => { if (event.target.type !== "range") changed(event); });
form.addEventListener("submit", (event) => event.preventDefault());
byId("another").addEventListener("click", () => { change({seed: another(), first: "0"}, {push: true}); show(); });
byId("another-to").addEventListener("click", () => { change({to: another()}, {push: true}); show(); });
byId("all").addEventListener("click", () => { change({count: String(MANY), first: "0"}, {push: true}); show(); form.elements.seed.focus(); });
for (const [id, letter] of [["middle", "d"], ["chance", "s"]]) byId(id).addEventListener("click", () => {
  change(Object.fromEntries(Object.keys(now).filter((name) => new RegExp(`^${letter}\\d+$`).test(name)).map((name) => [name, ""])));
  show();
});
byId("copy").addEventListener("click", async () => {
  try { await navigator.clipboard.writeText(location.href); byId("drawn").textContent = t("draw-copied"); } catch { tell(location.href); }
});

// --- the runs

const nameOf = (run) => {
  const known = runs.find((other) => String(other.run) === run);
  return known ? `${known.name}${known.state === "finished" ? "" : ` (${t(known.state)})`}` : run;
};

async function modelOf(run) {
  if (!models.has(run)) models.set(run, await ask(`/api/draw/run?run=${encodeURIComponent(run)}`));
  return models.get(run);
}

async function start() {
  const problem = byId("draw-problem");
  for (const name of ["run", "with"]) runForm.elements[name].value = now[name] ?? "";
  try {
    model = await modelOf(now.run);
    problem.hidden = true;
  } catch (error) {
    model = null;
    problem.textContent = error instanceof Refused ? error.message : t("lost");
    problem.hidden = false;
  }
  byId("drawing").hidden = model?.kind !== "draw";
  runForm.querySelector("[data-for=draw]").hidden = model?.kind !== "draw" || runs.length < 2;
  restore(model && model.kind !== "draw" ? model : null);
  if (model?.kind !== "draw") return;
  show();
  history.replaceState(null, "", address());
  await draw();
}

runForm.addEventListener("change", async (event) => {
  now = event.target.name === "run" ? {...DEFAULTS, count: now.count, seed: now.seed, run: event.target.value, ...(now.with ? {with: now.with} : {})} : {...now, with: event.target.value};
  if (!now.with) delete now.with;
  history.pushState(null, "", address());
  await start();
});
addEventListener("popstate", () => { now = read(); start(); });

async function look() {
  const found = await ask("/api/draw/runs");
  if (JSON.stringify(found) === JSON.stringify(runs)) return;
  const first = !runs.length;
  runs = found;
  models.clear(); // a training went on
  byId("draw-none").hidden = runs.length > 0;
  byId("studio").hidden = !runs.length;
  if (!runs.length) return;
  if (first && !new URLSearchParams(location.search).has("run") && !runs.some((run) => String(run.run) === now.run)) now.run = String(runs[0].run);
  const entries = () => runs.map((run) => element("option", {value: String(run.run)}, nameOf(String(run.run))));
  runForm.elements.run.replaceChildren(...entries(), ...(runs.some((run) => String(run.run) === now.run) ? [] : [element("option", {value: now.run}, now.run)]));
  runForm.elements.with.replaceChildren(runForm.elements.with.firstElementChild, ...entries());
  await start();
}

follow(() => {});
const lookAgain = async () => {
  try { await look(); } catch { /* the line above says that the server does not answer */ }
  byId("draw-none").hidden = runs.length > 0;
  setTimeout(lookAgain, document.hidden ? 10000 : 4000);
};
lookAgain();
