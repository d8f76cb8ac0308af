// What all tabs share: words, questions to the server, tiles, keys, and the line that says what is going on.

export const said = JSON.parse(document.getElementById("said").textContent);
export const language = document.documentElement.lang;
const numbers = new Intl.NumberFormat(language);
const percents = new Intl.NumberFormat(language, {style: "percent", maximumFractionDigits: 0});

export const t = (key, values = {}) => said[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
export const count = (n) => numbers.format(n);
export const percent = (share) => percents.format(share);
export const byId = (id) => document.getElementById(id);

export class Refused extends Error {}

// Ask the server: JSON is posted, without it something is got. A sentence of the server is thrown as Refused.
export async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
  };
  const answer = await fetch(path, options);
  if (answer.headers.get("content-type")?.startsWith("application/json")) {
    const value = await answer.json();
    if (!answer.ok) throw new Refused(value.error);
    return value;
  }
  throw new Refused(await answer.text());
}

// Make an element; children are elements or text, so no text of the data is ever read as HTML.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null && child !== false && child !== ""));
  return made;
}

let toldUntil;
export function tell(words) {
  const place = byId("told");
  place.textContent = words;
  place.hidden = !words;
  clearTimeout(toldUntil);
  if (words) toldUntil = setTimeout(() => { place.hidden = true; }, 8000);
}

export const pictureOf = (i, size = "small") => `/picture/${size}/${i}`;

// Drawings of a few pixels keep them, larger images are shown smooth.
export function smoothed(image) {
  image.classList.toggle("smooth", Math.max(image.naturalWidth, image.naturalHeight) > 16);
}

export function framed(i, size = "small") {
  const image = element("img", {src: pictureOf(i, size), alt: "", decoding: "async", draggable: "false"});
  const frame = element("span", {class: "frame", "data-says": t("unreadable")}, image);
  image.addEventListener("load", () => smoothed(image));
  image.addEventListener("error", () => frame.classList.add("unreadable"));
  return frame;
}

const LETTERS = "qwertyiopasdfghjklzxcvbnm"; // u takes back
export const keyOf = (place) => place < 9 ? String(place + 1) : LETTERS[place - 9] ?? "";
export const placeOf = (key) => /^[1-9]$/.test(key) ? Number(key) - 1 :
  key.length === 1 && LETTERS.includes(key) ? 9 + LETTERS.indexOf(key) : -1;

export const typing = (event) => event.target.matches?.("input:not([type=radio]), select, textarea");

// Follow what the server knows: `onChange` gets it now and whenever it is another.
export function follow(onChange) {
  let seen = null;
  async function look() {
    try {
      const found = await ask("/api/standing");
      byId("status").textContent = statusOf(found);
      byId("data").textContent = found.name;
      if (seen !== found.revision) await onChange(found, seen === null);
      seen = found.revision;
    } catch (error) {
      byId("status").textContent = error instanceof Refused ? error.message : t("lost");
    }
  }
  const again = async () => {
    await look();
    setTimeout(again, document.hidden ? 5000 : 1200);
  };
  again();
  return look;
}

function statusOf(found) {
  const failed = found.steps.find((step) => step.state === "failed");
  const working = found.steps.find((step) => step.state === "working");
  const parts = [t("images", {n: count(found.images)}), t("labelled", {n: count(found.labelled)})];
  if (failed) parts.push(failed.problem);
  else if (working) parts.push(t(working.name === "suggesting" && working.done >= working.total ? "learning" : working.name, {done: count(working.done), total: count(working.total)}));
  return parts.join(" · ");
}
