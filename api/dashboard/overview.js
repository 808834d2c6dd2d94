// All batches of the project, and what is wrong now.

import { at, get, query } from "./api.js";
import { h, sync, unchanged } from "./dom.js";
import { facts, meter } from "./figures.js";
import { gallery } from "./pictures.js";
import { board, look } from "./trouble.js";
import { clock, credits, ended, number, plural, span, total } from "./words.js";

const BATCHES = 10;
const PICTURES = 12;

export function overview(page, { cursor }) {
  const wrong = board(() => page.touch());
  const [figures, all] = [facts(), meter((state) => `#/jobs${query({ state })}`)];
  const [batches, pages, newest] = [h("ul.batches"), h("p.row"), gallery()];
  const empty = h("div.card");
  const list = h("section", h("h2", cursor ? "Older batches" : "Batches"), batches, pages);
  const recent = h("section", h("h2", "Newest pictures"), newest);
  page.show("Overview", wrong, h("h1.unseen", "Overview"), figures, all, empty, list, recent);

  page.watch(async (signal) => {
    const [{ usage, balance, found }, listed, made] = await Promise.all([
      look(signal),
      get(`/v1/batches${query({ limit: BATCHES, cursor })}`, signal),
      get(`/v1/jobs${query({ state: "succeeded", limit: PICTURES })}`, signal),
    ]);
    wrong.show(found);
    figures.show([
      ["project", usage.project],
      ["jobs", number(total(usage.jobs))],
      ["spent", credits(usage.credits.spent)],
      ["balance", left(balance)],
      ["workers", String(usage.workers ?? "")],
    ]);
    all.show(usage.jobs);
    newest.show(made.items);
    sync(batches, listed.items, (batch) => batch.id, unchanged(card));
    pages.replaceChildren(...pager(listed, cursor, "#/", {}));
    list.hidden = !listed.items.length;
    recent.hidden = !made.items.length || Boolean(cursor);
    all.hidden = !total(usage.jobs);
    empty.hidden = !(all.hidden && list.hidden);
    if (!empty.hidden && !empty.firstChild) empty.append(...invitation(usage.project));
  });
}

/** The credits on the keys, and when Stability was last asked. */
function left({ credits: sum, credentials }) {
  const [oldest] = credentials.map((key) => key.checked_at).filter(Boolean).sort();
  return oldest ? `${credits(sum)} at ${clock(oldest)}` : credits(sum);
}

/** A batch in a few lines. */
function card(batch) {
  const bar = meter();
  bar.show(batch.counts);
  const link = h("a", { href: at`#/batches/${batch.id}` }, batch.name);
  return h("li.card", h("h3", link, " ", standing(batch)), bar, h("p.faint", summary(batch)));
}

/** One word for how a batch is. */
export function standing({ counts, started_at, paused_at, canceled_at, paused_by }) {
  const [jobs, over] = [total(counts), ended(counts)];
  const word = !started_at ? "not started"
    : jobs === over ? (canceled_at ? "canceled" : "finished")
    : paused_at ? "paused"
    : paused_by.length ? `stopped: ${paused_by.join(", ")}`
    : over + (counts.held ?? 0) === jobs ? "held" : "running";
  return h(`span.chip.${word.split(/[ :]/)[0]}`, word);
}

/** Progress, speed and money in one line. */
function summary({ counts, rate, eta_seconds: left, credits: money }) {
  const { spent, lost_at_most: lost, estimated, budget } = money;
  const [jobs, over] = [total(counts), ended(counts)];
  return [
    `${number(over)} of ${plural(jobs, "job")} ended`,
    over < jobs && rate && `${number(rate)} a second`,
    over < jobs && left && `done in about ${span(left)}`,
    `${number(spent)}${estimated === null ? "" : ` of about ${number(estimated)}`} credits`,
    lost && `up to ${number(lost)} more for answers that were lost`,
    budget !== null && `budget ${number(budget)}`,
  ].filter(Boolean).join(" · ");
}

/** Links to what is older than a page, and back to the newest. */
export const pager = ({ next_cursor: next }, cursor, path, told) => [
  cursor && h("a.button", { href: `${path}${query(told)}` }, "Newest"),
  next && h("a.button", { href: `${path}${query({ ...told, cursor: next })}` }, "Older"),
].filter(Boolean);

/** What to do first. The command line works in one project, the interface in the key's. */
function invitation(project) {
  const body = '{"operation": "generate/core", "params": {"prompt": "a hare"}}';
  const curl = `curl -H "Authorization: Bearer $KEY" --json '${body}' ${location.origin}/v1/jobs`;
  const run = "darkroom run examples/prompts.csv --out pictures --yes";
  return [
    h("h2", "Nothing here yet"),
    h("p", "Ask for pictures in a terminal, and watch them come:"),
    ...(project === "default" ? [h("pre", run), h("p", "or, from anywhere:")] : []),
    h("pre", curl),
  ];
}
