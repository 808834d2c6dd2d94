// One batch: how far it is, what failed, what it has made.

import { at, get, patch, post, query } from "./api.js";
import { ask, button, buttons, h, say, sync, unchanged } from "./dom.js";
import { facts, meter } from "./figures.js";
import { pager, standing } from "./overview.js";
import { gallery, save } from "./pictures.js";
import { board, look } from "./trouble.js";
import { credits, ended, number, plural, span, time, total } from "./words.js";

const PICTURES = 36;
/** How a batch is exported: label, format, end of the file's name. */
const EXPORTS = [
  ["All files (tar)", "files", "tar"],
  ["imagefolder (tar)", "imagefolder", "imagefolder.tar"],
  ["WebDataset (tar)", "webdataset", "webdataset.tar"],
  ["Parquet", "parquet", "parquet"],
  ["Metadata with links (JSONL)", "jsonl", "jsonl"],
  ["What failed, to run again (JSONL)", "failed", "failed.jsonl"],
];
const FAILURES = 200; // The newest are told apart by their codes.

export function batch(page, { id, cursor }) {
  const path = at`/v1/batches/${id}`;
  const jobs = (state, more) => `jobs${query({ batch: id, state, ...more })}`;
  const [wrong, head, figures] = [board(() => page.touch()), h("h1"), facts()];
  const bar = meter((state) => `#/${jobs(state)}`);
  const [row, failures] = [h("div.row"), h("ul.batches")];
  const [pictures, note, pages] = [gallery(), h("p.faint"), h("p.row")];
  const failed = h("section", h("h2", "What failed"), failures);
  const made = h("section", h("h2", "What it has made"), pictures, note, pages);
  page.show("Batch", wrong, head, bar, figures, row, failed, made, downloads(id, path));
  let found;
  const mend = { budget: { label: "Raise the budget", act: () => raise(found, path) } };

  page.watch(async (signal) => {
    found = await get(path, signal);
    const some = { items: [] };
    const [{ found: faults }, outputs, losses] = await Promise.all([
      look(signal, { batch: id, counts: found.counts, mend }),
      get(`/v1/${jobs("succeeded", { limit: PICTURES, cursor })}`, signal),
      found.counts.failed ? get(`/v1/${jobs("failed", { limit: FAILURES })}`, signal) : some,
    ]);
    page.name(`${number(ended(found.counts))}/${number(total(found.counts))} ${found.name}`);
    wrong.show(faults);
    sync(head, [found], () => "", unchanged((one) => h("span", one.name, " ", standing(one))));
    bar.show(found.counts);
    figures.show(measures(found));
    buttons(row, actions(path, page.touch, () => found));
    failed.hidden = !losses.items.length;
    const draw = unchanged((group) => failure(group, `#/${jobs("failed")}`));
    sync(failures, groups(losses.items, found.counts.failed), (group) => group.code, draw);
    pictures.show(outputs.items);
    say(note, outputs.items.length ? "" : "Nothing yet: what is stored appears here.");
    pages.replaceChildren(...pager(outputs, cursor, at`#/batches/${id}`, {}));
  }, { batch: id });
}

function measures({ counts, rate, eta_seconds: left, credits: money, ...found }) {
  const isOpen = ended(counts) < total(counts);
  return [
    ["ended", `${number(ended(counts))} of ${plural(total(counts), "job")}`],
    ["rate", isOpen && rate ? `${number(rate)} a second` : ""],
    ["done in about", isOpen && left ? span(left) : ""],
    ["spent", credits(money.spent)],
    ["and for lost answers", money.lost_at_most ? `up to ${credits(money.lost_at_most)}` : ""],
    ["estimated", credits(money.estimated)],
    ["budget", credits(money.budget)],
    ["lost answers", String(found.uncertain || "")],
    ["being done", found.under_way ?? ""],
    ["started", time(found.started_at) || "not yet"],
  ];
}

/** What may be done with it as it is: label, deed, kind. */
function actions(path, touch, now) {
  const { counts, started_at, paused_at, name } = now();
  const open = total(counts) - ended(counts);
  const after = (deed) => async () => {
    const answer = await deed();
    touch();
    return answer;
  };
  const all = (verb, done, what, why) => after(async () => {
    if (!(await ask(what, why(), what.replace("?", "")))) return "";
    const { changed, is_over: isOver } = await post(`${path}/${verb}`);
    return `${plural(changed, "job")} ${done}${isOver ? "." : " so far; the rest follows."}`;
  });
  const again = () => `${plural(now().counts.failed ?? 0, "failed job")} of ${name} will be tried `
    + "again, and paid for when they succeed.";
  const stop = () => "What was not sent yet is canceled and costs nothing. What was sent is paid, "
    + "and finishes.";
  const plain = (verb) => after(() => post(`${path}/${verb}`).then(() => ""));
  return [
    !started_at && ["Start", plain("start")],
    started_at && paused_at && ["Resume", plain("resume")],
    started_at && !paused_at && open && ["Pause", plain("pause")],
    counts.failed
      && ["Retry what failed", all("retry", "opened again", "Retry what failed?", again)],
    open && ["Cancel the batch", all("cancel", "canceled", "Cancel the batch?", stop), ".danger"],
  ].filter(Boolean);
}

async function raise({ name, credits: { spent, budget } }, path) {
  const why = `${name} may spend ${credits(budget)}, and has spent ${number(spent)}.`;
  const wanted = await ask("New budget in credits", why, "Set the budget", budget);
  if (wanted !== null) await patch(path, { budget: wanted });
}

/** Failures by their codes, each told by its newest. */
function groups(jobs, all) {
  const found = new Map();
  const of = jobs.length < all ? ` of the newest ${number(jobs.length)}` : "";
  for (const { error } of jobs) {
    const group = found.get(error?.code) ?? { ...error, of, count: 0 };
    group.count += 1;
    found.set(error?.code, group);
  }
  return [...found.values()].sort((a, b) => b.count - a.count);
}

const failure = ({ code, message, charged, count, of }, href) => h("li.card",
  h("b", `${number(count)}${of}: ${code}`), h("p", message),
  h("p.faint", `charged: ${charged} · `, h("a", { href }, "see these jobs")));

function downloads(id, path) {
  const file = ([label, format, end]) =>
    button(label, () => save(`${path}/export?format=${format}`, `${id}.${end}`));
  const url = `${location.origin}${path}/export`;
  return h("section", h("h2", "Take it with you"), h("div.row", EXPORTS.map(file)),
    h("p.faint", "A very large one in a terminal:"),
    h("pre", `curl -H "Authorization: Bearer $KEY" -o ${id}.tar ${url}`));
}
