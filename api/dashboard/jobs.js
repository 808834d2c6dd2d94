// A list of jobs, by batch, state and words.

import { at, get, query } from "./api.js";
import { h, say, sync, unchanged } from "./dom.js";
import { pager } from "./overview.js";
import { STATES, kindOf, number, time, title } from "./words.js";

const PAGE = 50;
const COLUMNS = ["State", "Job", "Operation", "Credits", "Created", "What is the matter"];
const ID = /^[0-9a-z]{26}$/;

export function jobs(page, { state = "", q = "", batch, cursor }) {
  const option = (value) => h("option", { value, selected: value === state && "" }, value || "any");
  const select = h("select", { id: "state" }, ["", ...STATES].map(option));
  const hint = "part of a prompt, or a job's id";
  const words = h("input", { id: "q", type: "search", value: q, placeholder: hint });
  const submit = (event) => {
    event.preventDefault();
    const text = words.value.trim();
    const list = `#/jobs${query({ batch, state: select.value, q: text })}`;
    location.hash = ID.test(text) ? at`#/jobs/${text}` : list;
  };
  const search = h("form.row", { role: "search", submit }, h("label", { for: "state" }, "State"),
    select, h("label", { for: "q" }, "Find"), words, h("button", "Show"));
  const heads = COLUMNS.map((name) => h("th", { scope: "col" }, name));
  const [rows, note, pages] = [h("tbody"), h("p.faint"), h("p.row")];
  const back = batch && h("p", h("a", { href: at`#/batches/${batch}` }, "Back to the batch"));
  const table = h("table", h("thead", h("tr", heads)), rows);
  page.show("Jobs", h("h1", batch ? "Jobs of a batch" : "Jobs"), back, search,
    h("div.wide", table), note, pages);

  page.watch(async (signal) => {
    const found = await get(`/v1/jobs${query({ state, q, batch, cursor, limit: PAGE })}`, signal);
    sync(rows, found.items, (job) => job.id, unchanged(row));
    const none = found.next_cursor ? "None yet; there are older jobs to look at."
      : "There are no such jobs.";
    say(note, found.items.length ? "" : none);
    pages.replaceChildren(...pager(found, cursor, "#/jobs", { batch, state, q }));
  }, { batch });
}

/** A chip with a job's state. */
export const chip = ({ state, held_for: why }) =>
  h(`span.chip.${kindOf(state)}`, why ? `${state}: ${why}` : state);

/** Its error, if that still matters: a job that succeeded at last, or was canceled, keeps the one
 * before. Of a canceled one only what may have been paid does. */
export const complaint = ({ state, error }) => {
  const isPast = ["succeeded", "filtered"].includes(state)
    || (state === "canceled" && error?.charged === "no");
  return error && !isPast ? `${error.message} (${error.code})` : "";
};

const row = (job) => h("tr", h("td", chip(job)),
  h("td.grow", h("a", { href: at`#/jobs/${job.id}` }, title(job))), h("td", job.operation),
  h("td.right", number(job.credits.charged)), h("td", time(job.created_at)),
  h("td.grow", complaint(job)));
