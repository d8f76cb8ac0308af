// Try: photographs go to the server as they are, one after the other; the answer can be put right.

import {Refused, ask, byId, element, follow, framed, percent, t, tell} from "./page.js";

const drop = byId("drop"), input = byId("files"), list = byId("tried");
let classes = [], turn = Promise.resolve();

function take(files) {
  for (const file of files) {
    const item = element("li", {},
      element("img", {class: "picture", src: URL.createObjectURL(file), alt: file.name}),
      element("div", {}, element("p", {class: "name"}, file.name), element("p", {class: "note"}, "…")));
    item.firstChild.addEventListener("error", (event) => event.target.classList.add("gone"));
    list.prepend(item);
    turn = turn.then(() => look(file, item.lastChild));
  }
}

async function look(file, place) {
  try {
    const answer = await fetch("/api/try", {method: "POST", headers: {"Content-Type": "application/octet-stream"}, body: file});
    const isJson = answer.headers.get("content-type")?.startsWith("application/json");
    const found = isJson ? await answer.json() : {error: await answer.text()};
    if (!answer.ok) throw new Refused(found.error);
    describe(place, file.name, found);
  } catch (error) {
    place.lastChild.textContent = error instanceof Refused ? error.message : t("lost");
  }
}

function describe(place, name, {number, said, answer, heat, like}) {
  const bars = said.flatMap(([label, p]) => [element("span", {}, label), element("meter", {value: p, "aria-label": label}, percent(p)), element("span", {}, percent(p))]);
  const choices = [...new Set([...said.map(([label]) => label), ...classes])];
  const kept = element("p", {class: "note", role: "status"});
  const buttons = choices.map((label) => element("button", {type: "button", "aria-pressed": "false", onclick: async (event) => {
    try {
      const {image} = await ask("/api/try/keep", {number, label, suggested: said[0]?.[0] ?? null});
      for (const button of event.target.closest(".classes").children) button.disabled = true;
      event.target.closest("button").setAttribute("aria-pressed", "true");
      kept.textContent = `${t("kept", {label})} (${image})`;
    } catch (error) { tell(error.message); }
  }}, element("span", {}, label)));
  place.replaceChildren(...[
    element("p", {class: "name"}, name),
    said.length ? element("h3", {}, t("probably")) : element("p", {class: "note"}, t("no-model")),
    answer && answer !== "sure" ? element("p", {}, element("span", {class: "pill broken"}, t(answer))) : null,
    said.length ? element("div", {class: "bars"}, ...bars) : null,
    buttons.length ? element("h3", {}, t("correct")) : null,
    element("div", {class: "classes"}, ...buttons), kept,
    heat ? element("h3", {}, t("heat")) : null,
    heat ? element("img", {class: "heat", src: `/try/${number}/heat`, alt: t("heat")}) : null,
    like.length ? element("h3", {}, t("nearest")) : null,
    element("ul", {class: "strip"}, ...like.map((other) => element("li", {}, framed(other.i), element("span", {class: "note"}, other.label ?? t("no-label"))))),
  ].filter(Boolean));
}

byId("choose").addEventListener("click", () => input.click());
input.addEventListener("change", () => { take(input.files); input.value = ""; });
for (const what of ["dragenter", "dragover"]) document.addEventListener(what, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const what of ["dragleave", "drop"]) document.addEventListener(what, () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files); });
follow((found) => { classes = found.classes; });
