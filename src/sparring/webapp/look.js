// Look: a wall of images of which only those in sight are there, filters, and one image with its neighbours.

import {ask, byId, count, element, follow, framed, keyOf, percent, pictureOf, placeOf, smoothed, t, tell, typing} from "./page.js";

const wall = byId("grid"), filters = byId("filters"), dialog = byId("one");
const GAP = 10, SAYS = 34, LEAST = 116, LEAST_ON_A_PHONE = 96;
const known = new Map(); // what is known of images, by number
const cells = new Map(); // what is on the page, by place
let order = null, total = 0, classes = [], standing = null, shown = -1, asking = false, finding = 0;

const numberAt = (place) => order ? order[place] : place;

function layout() {
  const width = wall.clientWidth, least = width < 500 ? LEAST_ON_A_PHONE : LEAST;
  const columns = Math.max(2, Math.floor((width + GAP) / (least + GAP)));
  const side = Math.floor((width + GAP) / columns) - GAP;
  return {columns, side, pitch: side + SAYS + GAP};
}

// Put the cells in sight on the page, and take all others off it.
function draw() {
  const {columns, side, pitch} = layout();
  wall.style.height = `${Math.ceil(total / columns) * pitch}px`;
  const top = window.scrollY - wall.offsetTop;
  const first = Math.max(0, Math.floor((top - window.innerHeight / 2) / pitch)) * columns;
  const last = Math.min(total, Math.ceil((top + 1.5 * window.innerHeight) / pitch) * columns);
  for (const [place, cell] of cells) if (place < first || place >= last) { cell.remove(); cells.delete(place); }
  for (let place = first; place < last; place++) {
    let cell = cells.get(place);
    if (!cell) {
      cell = tile(place);
      cells.set(place, cell);
      const after = [...cells.keys()].filter((other) => other > place).sort((a, b) => a - b)[0];
      wall.insertBefore(cell, after === undefined ? null : cells.get(after));
    }
    cell.style.width = `${side}px`;
    cell.style.left = `${(place % columns) * (side + GAP)}px`;
    cell.style.top = `${Math.floor(place / columns) * pitch}px`;
  }
  learn();
}

function tile(place) {
  const i = numberAt(place), says = element("span", {class: "says"}, count(place + 1));
  const button = element("button", {type: "button", class: "tile", "data-place": place, onclick: () => open(place)}, framed(i), says);
  const cell = element("li", {"aria-setsize": total, "aria-posinset": place + 1}, button);
  if (known.has(i)) write(button, known.get(i));
  return cell;
}

function write(button, what) {
  const says = button.querySelector(".says"), name = what.name.split("/").pop();
  const label = what.label ?? (what.answer === "none" ? t("answered-none") : null);
  const second = what.suspect ? t("perhaps", {label: what.suspect}) :
    what.predicted && what.label === null ? t("sure", {label: what.predicted, p: percent(what.confidence)}) : label ? name : "";
  says.replaceChildren(label ? element("b", {}, label) : name, element("span", {class: what.suspect && "suspect"}, second));
  button.title = what.name;
}

// Ask what is known of the cells on the page that say nothing yet.
async function learn() {
  if (asking) return;
  asking = true;
  try {
    for (;;) {
      const missing = [...cells.keys()].map(numberAt).filter((i) => !known.has(i)).slice(0, 300);
      if (!missing.length) break;
      for (const what of await ask("/api/tiles", {images: missing})) known.set(what.i, what);
      for (const [place, cell] of cells) {
        const what = known.get(numberAt(place));
        if (what) write(cell.firstChild, what);
      }
    }
  } catch (error) { tell(error.message); }
  asking = false;
}

async function find(again) {
  const query = new URLSearchParams([...new FormData(filters)].filter(([name, value]) => value && !(name === "below" && Number(value) >= 1)));
  const turn = ++finding; // an older question may be answered after a newer one
  let found;
  try { found = await ask(`/api/find?${query}`); } catch (error) {
    byId("nothing").textContent = error.message;
    byId("nothing").hidden = false;
    return;
  }
  if (turn !== finding) return;
  const same = again && total === found.total && JSON.stringify(order) === JSON.stringify(found.images);
  order = found.images;
  total = found.total;
  known.clear();
  if (!same) { for (const cell of cells.values()) cell.remove(); cells.clear(); }
  byId("found").textContent = t("found", {n: count(total)});
  byId("nothing").hidden = total > 0;
  if (!total) byId("nothing").textContent = nothing();
  if (!again) window.scrollTo(0, 0);
  draw();
}

function nothing() {
  const wanted = new FormData(filters), state = (name) => standing?.steps.find((step) => step.name === name)?.state;
  if (wanted.get("predicted") || Number(wanted.get("below")) < 1) return t(state("suggesting") === "done" ? "no-predictions" : "not-yet");
  if (["suspects", "duplicates", "unusual"].includes(wanted.get("only")) && state("checking") !== "done") return t("not-yet");
  return t("none-found");
}

function choose(name, values) {
  const select = filters.elements[name], kept = select.value;
  select.replaceChildren(select.options[0], ...values.map((value) => element("option", {value}, value)));
  select.value = values.includes(kept) ? kept : "";
}

// One image.

async function open(place) {
  if (place < 0 || place >= total) return;
  shown = place;
  const i = numberAt(place), image = byId("one-image");
  image.src = pictureOf(i, "large");
  if (!dialog.open) dialog.showModal();
  for (const near of [place + 1, place - 1]) if (near >= 0 && near < total) new Image().src = pictureOf(numberAt(near), "large");
  byId("one-before").disabled = place === 0;
  byId("one-after").disabled = place === total - 1;
  try {
    const found = await ask("/api/image", {i});
    if (shown === place) describe(found);
  } catch (error) { tell(error.message); }
}

function describe({image: what, like}) {
  known.set(what.i, what);
  byId("one-name").textContent = what.name;
  byId("one-image").alt = what.name;
  const facts = [
    [t("is"), what.label ?? (what.answer === "none" ? t("answered-none") : t("no-label"))],
    what.predicted && [t("seems"), t("sure", {label: what.predicted, p: percent(what.confidence)})],
    what.suspect && [t("suspects"), t("perhaps", {label: what.suspect})],
    what.unusual && [t("seems"), t("unusual")],
    what.part && [t("part"), what.part],
    what.group && [t("group"), what.group],
  ].filter(Boolean);
  byId("one-facts").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  byId("one-classes").replaceChildren(
    ...classes.map((name, place) => element("button", {type: "button", "aria-pressed": String(name === what.label), onclick: () => answer("label", name)},
      element("span", {}, name), keyOf(place) && element("kbd", {}, keyOf(place).toUpperCase()))),
    element("button", {type: "button", "aria-pressed": String(what.answer === "none"), onclick: () => answer("none", null)}, t("none"), element("kbd", {}, "0")),
  );
  byId("one-like-later").hidden = like.length > 0;
  byId("one-like").replaceChildren(...like.map((other) => {
    const button = element("button", {type: "button", class: "tile", title: other.name, onclick: () => openImage(other.i)}, framed(other.i),
      element("span", {class: "says"}, other.label ?? element("span", {class: "hidden"}, other.name)));
    return element("li", {}, button);
  }));
}

// A neighbour may be outside of what the filter shows: then the wall shows all images.
function openImage(i) {
  const place = order ? order.indexOf(i) : i;
  if (place >= 0) return open(place);
  filters.reset();
  return find().then(() => open(i));
}

async function answer(kind, label) {
  const i = numberAt(shown), place = shown;
  try {
    await ask("/api/answer", {kind, images: [i], label, why: "look", suggested: known.get(i)?.suspect ?? known.get(i)?.predicted ?? null});
    known.delete(i);
    learn();
    if (place + 1 < total) open(place + 1); else open(place);
  } catch (error) { tell(error.message); }
}

byId("one-image").addEventListener("load", (event) => smoothed(event.target));
byId("one-before").addEventListener("click", () => open(shown - 1));
byId("one-after").addEventListener("click", () => open(shown + 1));
byId("one-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => { cells.get(shown)?.firstChild.focus(); });

document.addEventListener("keydown", (event) => {
  if (typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (dialog.open) {
    const place = placeOf(event.key.toLowerCase());
    if (step) open(shown + step);
    else if (event.key === "0") answer("none", null);
    else if (place >= 0 && place < classes.length) answer("label", classes[place]);
    else return;
    event.preventDefault();
    return;
  }
  const here = event.target.closest?.(".tile")?.dataset.place;
  if (here === undefined) return;
  const {columns, pitch} = layout(), far = {ArrowUp: -columns, ArrowDown: columns}[event.key] ?? step;
  const next = Number(here) + far;
  if (!far || next < 0 || next >= total) return;
  event.preventDefault();
  const y = wall.offsetTop + Math.floor(next / columns) * pitch, over = 140;
  if (y - over < window.scrollY) window.scrollTo(0, y - over);
  else if (y + pitch > window.scrollY + window.innerHeight) window.scrollTo(0, y + pitch - window.innerHeight);
  draw();
  cells.get(next)?.firstChild.focus({preventScroll: true});
});

let later;
filters.addEventListener("input", () => { clearTimeout(later); later = setTimeout(find, 150); });
filters.addEventListener("submit", (event) => event.preventDefault());
let drawing = false;
for (const what of ["scroll", "resize"]) window.addEventListener(what, () => {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; draw(); });
}, {passive: true});

filters.reset();
total = Number(wall.dataset.total);
if (total) {
  byId("found").textContent = t("found", {n: count(total)});
  draw();
} else find();
follow(async (found, first) => {
  standing = found;
  classes = found.classes;
  for (const name of ["label", "predicted"]) choose(name, classes);
  for (const [kind, name] of [["parts", "part"], ["groups", "group"]]) {
    choose(name, found[kind]);
    filters.querySelector(`[data-choices=${kind}]`).hidden = found[kind].length < 2;
  }
  if (!first || !total) await find(true);
});
