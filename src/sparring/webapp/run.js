// Run: a queue of comparisons and trainings; the list is drawn anew where something changed.

import {ask, byId, count, element, follow, t, tell} from "./page.js";

const form = byId("new"), list = byId("runs");
const drawn = new Map(); // what each run looked like when it was drawn

form.elements.kind.addEventListener("change", () => {
  for (const field of form.querySelectorAll("[data-kind]")) field.hidden = field.dataset.kind !== form.elements.kind.value;
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = new FormData(form), kind = given.get("kind"), minutes = Number(given.get("minutes"));
  const wanted = kind === "compare" ?
    {kind, minutes, repeats: Number(given.get("repeats")), methods: given.get("methods").split(/[,\s]+/).filter(Boolean)} :
    {kind, minutes, recipe: given.get("recipe"), images: Number(given.get("images"))};
  await act("add", wanted);
});

async function act(what, body) {
  try { await ask(`/api/jobs/${what}`, body); } catch (error) { tell(error.message); }
  await look();
}

async function look() {
  const jobs = await ask("/api/jobs");
  byId("no-runs").hidden = jobs.length > 0;
  const names = new Set(jobs.map((job) => job.number));
  for (const item of [...list.children]) if (!names.has(item.dataset.number)) { item.remove(); drawn.delete(item.dataset.number); }
  jobs.forEach((job, place) => {
    const now = JSON.stringify(job);
    let item = [...list.children].find((other) => other.dataset.number === job.number);
    if (drawn.get(job.number) !== now) {
      const focused = item?.contains(document.activeElement) ? document.activeElement.dataset.does : null;
      const made = entry(job);
      item?.replaceWith(made);
      item = made;
      if (focused) item.querySelector(`[data-does=${focused}]`)?.focus();
      drawn.set(job.number, now);
    }
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
  });
}

function entry(job) {
  const number = Number(job.number), ours = Number.isInteger(number);
  const name = `${job.kind === "compare" ? t("compare") : t("train")}${ours ? ` ${job.number}` : ""}`;
  const button = (what, words) => element("button", {type: "button", "data-does": what, "aria-label": `${words}: ${name}`, onclick: () => act(what, {number})}, words);
  const progress = job.kind === "compare" ? t("fits", {n: count(job.done)}) : t("images", {n: count(job.done)});
  return element("li", {"data-number": job.number},
    element("header", {},
      element("h3", {}, name), element("span", {class: `pill ${job.state}`}, t(job.state)),
      element("span", {class: "note"}, [job.done ? progress : "", job.seconds ? t("seconds", {n: count(Math.round(job.seconds))}) : ""].filter(Boolean).join(" · ")),
      element("p", {class: "others"},
        job.report && element("a", {class: "button", href: `/runs/${job.number}/report.html`, target: "_blank", rel: "noopener", "data-does": "report", "aria-label": `${t("report")}: ${name}`}, t("report")),
        ours && ["waiting", "running"].includes(job.state) && button("stop", t("stop")),
        ours && ["stopped", "broken"].includes(job.state) && button("resume", t("resume")),
        ours && job.state !== "running" && button("remove", t("remove")))),
    job.samples && element("img", {src: `/runs/${job.number}/samples?${job.samples}`, alt: t("samples", {what: name})}),
    element("pre", {tabindex: "0", "aria-label": `${t("log")}: ${name}`}, [job.title, ...job.log.filter((line) => line !== job.title)].join("\n")));
}

follow(() => {});
const again = async () => {
  try { await look(); } catch { /* the line above says that the server does not answer */ }
  setTimeout(again, document.hidden ? 8000 : 2000);
};
again();
