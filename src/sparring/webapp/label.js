// Label: one image at a time with one hand, or a page of one predicted class of which the odd ones are clicked out.

import {ask, byId, count, element, follow, framed, keyOf, percent, pictureOf, placeOf, smoothed, t, tell, typing} from "./page.js";

const AHEAD = 5; // questions that the page has before they are asked
const help = byId("help"), image = byId("asked");
let mode = "useful", classes = [], counts = [], standing = null, waiting = [], current = null, mine = [], page = [], fetching = false;
const readyImages = new Map(); // pictures of the next questions, loaded before they are asked

// Answers go to the server one after the other, in their order; one that fails is tried again.
const unsent = [];
let sending = false;
function send(answer) {
  return new Promise((done) => { unsent.push({answer, done}); deliver(); });
}
async function deliver() {
  if (sending) return;
  sending = true;
  while (unsent.length) {
    say();
    const {answer, done} = unsent[0];
    try {
      done((await ask("/api/answer", answer)).number);
      unsent.shift();
    } catch (error) {
      if (error.constructor.name === "Refused") { tell(error.message); done(null); unsent.shift(); continue; }
      say(t("lost"));
      await new Promise((wake) => setTimeout(wake, 1500));
    }
  }
  sending = false;
  say();
}
function say(why) {
  byId("saved").textContent = why ? t("unsaved", {n: unsent.length, why}) : unsent.length ? t("saving", {n: unsent.length}) : mine.length ? t("saved") : "";
}
window.addEventListener("beforeunload", (event) => { if (unsent.length) event.preventDefault(); });

// One at a time.

async function more() {
  if (fetching || mode === "page" || waiting.length >= AHEAD) return;
  fetching = true;
  const asked = mode;
  try {
    const have = [...waiting, ...(current ? [current] : [])].map((question) => question.i);
    const unsaved = unsent.flatMap(({answer}) => answer.images ?? []);
    const found = await ask("/api/questions", {mode, count: AHEAD, have: [...have, ...unsaved]});
    if (asked === mode) {
      for (const question of found) {
        waiting.push(question);
        const picture = new Image();
        picture.src = pictureOf(question.i, "large");
        readyImages.set(question.i, picture);
      }
      if (!current) next();
    }
  } catch (error) { tell(error.message); }
  fetching = false;
}

function next() {
  current = waiting.shift() ?? null;
  show();
  more();
}

function show() {
  byId("waiting").hidden = current !== null;
  image.hidden = current === null;
  image.parentElement.hidden = current === null;
  byId("asked-name").textContent = current?.name ?? "";
  byId("why").textContent = current ? why(current) : "";
  byId("asking-h").textContent = current?.why === "suspect" ? t("check", {label: current.label}) : t("question");
  if (current) {
    image.src = pictureOf(current.i, "large");
    image.alt = current.name;
    image.dataset.i = current.i;
    readyImages.delete(current.i);
  } else {
    byId("waiting").textContent = empty();
  }
  for (const button of byId("classes").children) {
    const suggested = current && mode !== "page" && button.dataset.name === current.suggested[0];
    button.classList.toggle("suggested", Boolean(suggested));
    button.setAttribute("aria-describedby", suggested ? "why" : "");
  }
}

function empty() {
  const state = (name) => standing?.steps.find((step) => step.name === name)?.state;
  if (mode === "suspects") return state("checking") === "done" ? t(standing.labelled ? "no-suspects" : "few-labels") : t("wait");
  return state("suggesting") === "done" ? t("done") : t("wait");
}

function why(question) {
  const [first, second] = question.suggested, [p, q] = question.proba;
  if (question.why === "first") return t("why-first");
  if (question.why === "random") return t("why-random");
  if (question.why === "suspect") return first ? t("why-suspect", {label: first}) : "";
  if (p !== undefined && p - q < 0.5) return t("why-between", {first, second, p: percent(p), q: percent(q)});
  return question.around > 1 ? t("why-chosen", {n: count(question.around)}) : t("why-alone");
}

function answer(kind, label = null) {
  if (!current) return;
  const question = current;
  const number = send({kind, images: [question.i], label, why: question.why, suggested: question.suggested[0] ?? null});
  mine.push({question, number});
  next();
}

async function undo() {
  const last = mine.pop();
  if (!last) return;
  const number = await last.number;
  if (number === null) return;
  await send({kind: "undo", of: number});
  if (last.page) return turn();
  if (current) waiting.unshift(current);
  current = last.question;
  show();
}

// A page of one class.

async function turn() {
  const label = byId("page-class").value;
  page = [];
  if (label) {
    try { page = await ask("/api/page", {label}); } catch (error) { tell(error.message); }
  }
  byId("page-tiles").replaceChildren(...page.map((what) => {
    const name = what.name.split("/").pop();
    const button = element("button", {type: "button", class: "tile", "aria-pressed": "false", "data-i": what.i, title: what.name},
      framed(what.i), element("span", {class: "says"}, element("b", {}, percent(what.confidence)), element("span", {}, name)));
    button.addEventListener("click", () => { button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true")); tally(); });
    return element("li", {}, button);
  }));
  byId("page-note").textContent = page.length ? t("page-odd", {label}) :
    standing?.steps.find((step) => step.name === "suggesting").state === "done" && label ? t("page-none", {label}) : t("no-predictions");
  tally();
}

const tilesOut = (out) => [...byId("page-tiles").querySelectorAll(".tile")].filter((tile) => (tile.getAttribute("aria-pressed") === "true") === out).map((tile) => Number(tile.dataset.i));

function tally() {
  const kept = tilesOut(false);
  byId("commit").textContent = t("commit", {n: count(kept.length), label: byId("page-class").value});
  byId("commit").hidden = !page.length;
  byId("commit").disabled = !page.length;
}

async function commit() {
  if (!page.length) return;
  const label = byId("page-class").value, kept = tilesOut(false), out = tilesOut(true);
  page = [];
  byId("commit").disabled = true;
  if (out.length) await send({kind: "not", images: out, label, why: "page"});
  if (kept.length) mine.push({page: true, number: send({kind: "label", images: kept, label, why: "page", suggested: label})});
  await mine.at(-1)?.number;
  await turn();
}

// Classes, modes, keys.

function listClasses() {
  byId("first").hidden = classes.length > 0;
  byId("classes").replaceChildren(...classes.map((name, place) => element("button", {type: "button", "data-name": name, onclick: () => choose(name)},
    keyOf(place) && element("kbd", {}, keyOf(place).toUpperCase()), element("span", {}, name), element("span", {class: "count"}, count(counts[place])))));
  const select = byId("page-class"), kept = select.value;
  select.replaceChildren(...classes.map((name) => element("option", {value: name}, name)));
  select.value = classes.includes(kept) ? kept : classes[0] ?? "";
  show();
}

function choose(name) {
  if (mode !== "page") return answer("label", name);
  byId("page-class").value = name;
  turn();
}

function change(to) {
  mode = to;
  waiting = [];
  current = null;
  byId("asking").hidden = mode === "page";
  byId("paging").hidden = mode !== "page";
  for (const id of ["none", "skip"]) byId(id).disabled = mode === "page";
  show();
  if (mode === "page") turn(); else more();
}

async function addClass(event) {
  event.preventDefault();
  const field = byId("class-name"), label = field.value.trim();
  if (!label) return;
  field.value = "";
  await send({kind: "class", label});
  await look();
  field.blur();
}

function showHelp() {
  const rows = mode === "page" ? [["Space", t("key-page-space")], ["Enter", t("key-page-enter")]] :
    [...classes.slice(0, 34).map((name, place) => [keyOf(place).toUpperCase(), name]), ["Enter", t("key-enter")], ["0", t("key-none")], ["Space", t("key-space")]];
  rows.push(["U", t("key-undo")], ["?", t("key-help")]);
  byId("help-keys").replaceChildren(...rows.flatMap(([key, what]) => [element("dt", {}, element("kbd", {}, key)), element("dd", {}, what)]));
  help.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "z" && (event.ctrlKey || event.metaKey) && !typing(event)) { event.preventDefault(); undo(); return; }
  if (typing(event) || event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const key = event.key.toLowerCase(), place = placeOf(key), onButton = event.target.matches("button:not(.tile), a, summary");
  if (key === "?") showHelp();
  else if (key === "u") undo();
  else if (mode === "page") {
    if (key !== "enter" || onButton) return;
    commit();
  } else if (key === "enter" && !onButton) {
    const label = current?.why === "suspect" ? current.label : current?.suggested[0];
    if (label) answer("label", label); else return;
  } else if (key === " " && !onButton) answer("skip");
  else if (key === "0") answer("none");
  else if (place >= 0 && place < classes.length) answer("label", classes[place]);
  else return;
  event.preventDefault();
});

image.addEventListener("load", () => { smoothed(image); image.classList.toggle("little", Math.max(image.naturalWidth, image.naturalHeight) <= 96); });
byId("none").addEventListener("click", () => answer("none"));
byId("skip").addEventListener("click", () => answer("skip"));
byId("undo").addEventListener("click", undo);
byId("commit").addEventListener("click", commit);
byId("page-class").addEventListener("change", turn);
byId("new-class").addEventListener("submit", addClass);
byId("help-open").addEventListener("click", showHelp);
byId("help-close").addEventListener("click", () => help.close());
for (const radio of document.querySelectorAll("[name=mode]")) radio.addEventListener("change", () => { change(radio.value); radio.blur(); });
for (const button of document.querySelectorAll("[data-export]")) button.addEventListener("click", async () => {
  try { byId("exported").textContent = t("exported", await ask("/api/export", {form: button.dataset.export})); } catch (error) { tell(error.message); }
});

change("useful");
const look = follow(async (found) => {
  standing = found;
  const other = JSON.stringify([classes, counts]) !== JSON.stringify([found.classes, found.counts]);
  classes = found.classes;
  counts = found.counts;
  if (other) listClasses(); else if (!current) show();
  if (found.right !== null) {
    byId("accuracy").textContent = percent(found.right);
    byId("accuracy-note").textContent = t("accuracy-note", {low: percent(found.low), high: percent(found.high), n: count(found.tested)});
  }
  if (mode === "page") { if (!page.length) await turn(); } else more();
});
