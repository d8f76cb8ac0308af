// Images through a run: a hole is painted and filled, an image is enlarged, or turned into one of another kind.

import {Refused, byId, count, element, percent, t, tell} from "./page.js";

const form = byId("take"), before = byId("before"), mask = byId("mask"), after = byId("after");
const hole = document.createElement("canvas"); // black, and white where to fill, in the pixels of the image
const pen = hole.getContext("2d", {willReadFrequently: true});
let model = null, photo = null, at = null, last = null, erasing = false;

export function restore(shown) {
  byId("restoring").hidden = !shown;
  if (!shown || JSON.stringify(shown) === JSON.stringify(model)) return;
  model = shown;
  form.elements.size.options[0].textContent = t("draw-size-trained", {width: model.width, height: model.height});
  form.elements.to.replaceChildren(...model.kinds.map((kind) => element("option", {value: kind}, kind)));
  byId("kind-field").hidden = !model.kinds.length;
  byId("painting").hidden = mask.hidden = model.kind !== "fill";
  byId("go").textContent = t(`draw-${model.kind}`);
  take();
}

function settings() {
  const which = photo === null ? {image: form.elements.image.value} : {photo};
  return new URLSearchParams({run: model.run, ...which, size: form.elements.size.value, ...(model.kinds.length ? {to: form.elements.to.value} : {})});
}

async function sentence(answer) {
  const isJson = answer.headers.get("content-type")?.startsWith("application/json");
  return new Refused(isJson ? (await answer.json()).error : await answer.text());
}

const say = (words) => { byId("restored").textContent = words; };

async function take() {
  try {
    const asked = settings();
    asked.delete("to");
    const answer = await fetch(`/draw/source.png?${asked}`);
    if (!answer.ok) throw await sentence(answer);
    const bitmap = await createImageBitmap(await answer.blob());
    for (const canvas of [before, mask, hole]) Object.assign(canvas, {width: bitmap.width, height: bitmap.height});
    before.classList.toggle("smooth", Math.max(bitmap.width, bitmap.height) > 16);
    before.getContext("2d").drawImage(bitmap, 0, 0);
    byId("before-size").textContent = t("draw-size-is", {width: count(bitmap.width), height: count(bitmap.height)});
    at = [bitmap.width / 2, bitmap.height / 2];
    forget();
    clear();
  } catch (error) { tell(error instanceof Refused ? error.message : t("lost")); }
}

function forget() {
  after.hidden = byId("after-save").hidden = true;
  byId("after-size").textContent = "";
}

// --- painting

function clear() {
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, hole.width, hole.height);
  show();
}

const radius = () => Math.max(.5, Number(byId("brush").value) / 200 * Math.max(hole.width, hole.height));

// Paint pixels whole, in or out, along a line.
function paint(from, to, out) {
  const size = radius(), steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / Math.max(.5, size / 2)));
  pen.fillStyle = out ? "#000" : "#fff";
  for (let k = 0; k <= steps; k += 1) {
    const x = from[0] + (to[0] - from[0]) * k / steps, y = from[1] + (to[1] - from[1]) * k / steps;
    for (let row = Math.floor(y - size); row <= y + size; row += 1) {
      const half = size * size - (row + .5 - y) ** 2;
      if (half < 0 && Math.floor(y) !== row) continue;
      const reach = Math.sqrt(Math.max(half, 0)), left = Math.min(Math.round(x - reach), Math.floor(x)), right = Math.max(Math.round(x + reach), Math.floor(x) + 1);
      pen.fillRect(left, row, right - left, 1);
    }
  }
  show();
}

function painted() {
  const {data} = pen.getImageData(0, 0, hole.width, hole.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4) found += data[i] >= 128;
  return found / (data.length / 4);
}

function show() {
  const share = painted(), ink = mask.getContext("2d"), pixels = pen.getImageData(0, 0, hole.width, hole.height);
  for (let i = 0; i < pixels.data.length; i += 4) pixels.data.set([240, 60, 130, pixels.data[i] >= 128 ? 190 : 0], i);
  ink.putImageData(pixels, 0, 0);
  if (document.activeElement === mask && mask.matches(":focus-visible")) {
    ink.strokeStyle = "#0a5ea8";
    ink.lineWidth = Math.max(.5, hole.width / 120);
    ink.strokeRect(at[0] - radius(), at[1] - radius(), 2 * radius(), 2 * radius());
  }
  say(model?.kind === "fill" ? t("draw-painted", {p: percent(share)}) : "");
  byId("go").disabled = model?.kind === "fill" && share === 0;
}

function placeOf(event) {
  const box = mask.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * mask.width, (event.clientY - box.top) / box.height * mask.height];
}

mask.tabIndex = 0;
mask.setAttribute("role", "application");
mask.setAttribute("aria-label", t("draw-canvas"));
mask.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  mask.setPointerCapture(event.pointerId);
  at = last = placeOf(event);
  paint(last, last, erasing);
});
mask.addEventListener("pointermove", (event) => {
  if (!last) return;
  const next = placeOf(event);
  paint(last, next, erasing);
  at = last = next;
});
for (const what of ["pointerup", "pointercancel"]) mask.addEventListener(what, () => { last = null; });
for (const what of ["focus", "blur"]) mask.addEventListener(what, () => { if (at) show(); });
const MOVES = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
mask.addEventListener("keydown", (event) => {
  const move = MOVES[event.key], step = Math.max(1, radius());
  if (move) at = [Math.min(hole.width, Math.max(0, at[0] + step * move[0])), Math.min(hole.height, Math.max(0, at[1] + step * move[1]))];
  else if (![" ", "Backspace", "Delete"].includes(event.key)) return;
  event.preventDefault();
  if (move) show();
  else paint(at, at, event.key !== " ");
});
byId("erase").addEventListener("click", (event) => {
  erasing = !erasing;
  event.target.setAttribute("aria-pressed", String(erasing));
});
byId("clear").addEventListener("click", clear);
byId("brush").addEventListener("input", () => { if (at) show(); });

// --- what is made

byId("go").addEventListener("click", async () => {
  const said = byId("restored").textContent;
  byId("go").disabled = true;
  say(t("draw-working"));
  try {
    const body = model.kind === "fill" ? await new Promise((done) => hole.toBlob(done, "image/png")) : new Blob();
    const answer = await fetch(`/api/draw/restored?${settings()}`, {method: "POST", headers: {"Content-Type": "application/octet-stream"}, body});
    if (!answer.ok) throw await sentence(answer);
    URL.revokeObjectURL(after.src);
    after.src = URL.createObjectURL(await answer.blob());
    await after.decode();
    after.alt = t("draw-after");
    after.classList.toggle("smooth", Math.max(after.naturalWidth, after.naturalHeight) > 16);
    after.hidden = byId("after-save").hidden = false;
    byId("after-save").href = after.src;
    byId("after-size").textContent = t("draw-size-is", {width: count(after.naturalWidth), height: count(after.naturalHeight)});
    say(said);
  } catch (error) { say(error instanceof Refused ? error.message : t("lost")); }
  byId("go").disabled = false;
});

// --- which image

form.addEventListener("submit", (event) => { event.preventDefault(); photo = null; take(); });
for (const name of ["size"]) form.elements[name].addEventListener("change", take);

async function give(file) {
  if (!file || byId("restoring").hidden) return;
  try {
    const answer = await fetch("/api/draw/photo", {method: "POST", headers: {"Content-Type": "application/octet-stream"}, body: file});
    if (!answer.ok) throw await sentence(answer);
    photo = (await answer.json()).photo;
    await take();
  } catch (error) { tell(error instanceof Refused ? error.message : t("lost")); }
}

const drop = byId("photo-drop"), input = byId("photo-file");
byId("photo-choose").addEventListener("click", () => input.click());
input.addEventListener("change", () => { give(input.files[0]); input.value = ""; });
for (const what of ["dragenter", "dragover"]) document.addEventListener(what, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const what of ["dragleave", "drop"]) document.addEventListener(what, () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => { event.preventDefault(); give(event.dataTransfer.files[0]); });
