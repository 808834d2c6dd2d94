// Figures, states and history as people say them.

/** How jobs stand, in the order of the bar; what a job soon passes through is one part of it. */
export const STANDS = [
  ["succeeded", ["succeeded"]],
  ["filtered", ["filtered"]],
  ["failed", ["failed"]],
  ["skipped", ["skipped"]],
  ["canceled", ["canceled"]],
  ["held", ["held"]],
  ["under way", ["submitting", "polling", "storing"]],
  ["queued", ["queued"]],
  ["waiting", ["waiting"]],
].map(([name, states]) => ({ name, states, kind: name.replace(" ", "-") }));
export const STATES = STANDS.flatMap((stand) => stand.states);
const LINE = 120;
const ENDED = ["succeeded", "filtered", "failed", "skipped", "canceled"];

export const total = (counts, states = STATES) =>
  states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
export const ended = (counts) => total(counts, ENDED);
export const kindOf = (state) => STANDS.find((stand) => stand.states.includes(state)).kind;

/** What each verb of a job's history means; the note beside it says more. */
export const VERBS = {
  submitted: "Let in.",
  started: "Its batch was started.",
  ready: "All that it needs is there.",
  submitting: "A worker sends the paid call.",
  accepted: "Stability has accepted it and works on it.",
  received: "The result has arrived.",
  succeeded: "Stored in the bucket, and checked.",
  filtered: "Stored, but Stability says that its content was filtered.",
  failed: "It ended without an output.",
  too_late: "It was not started by its deadline.",
  refused: "Refused without a charge: it is tried again.",
  uncertain: "The answer to the paid call was lost: it may have been charged.",
  expired: "The result was paid, and cannot be fetched any more.",
  refetch: "The result arrived damaged, and is fetched again.",
  adopted: "What an earlier call had brought was found, and is used.",
  charged_late: "An earlier call turned out to have been charged.",
  rescued: "Its worker was lost; another one takes over.",
  unfunded: "No Stability key can pay for it: it waits for credits.",
  funded: "A Stability key can pay again.",
  budgeted: "The batch's budget has room for it.",
  resubmitted: "Somebody decided to pay once more.",
  given_up: "Somebody decided not to pay again.",
  fronted: "Moved before all others.",
  retried: "Opened again.",
  canceled: "Canceled.",
  skipped: "A job that it needs did not succeed.",
};

/** Why jobs are held, and what helps. */
export const HELD = {
  uncertain: "the answer to a paid call was lost, and may have been charged: somebody must decide",
  budget: "the batch's budget has no room: raise it, or wait until others give theirs back",
  funds: "no Stability key can pay: add credits, and it goes on by itself",
};

export const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 2 });
export const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;
export const credits = (value) => (value === null ? "" : plural(value, "credit"));
export const clock = (text) => new Date(text).toLocaleTimeString();
export const time = (text) =>
  text ? new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" }) : "";

export function span(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 360) / 10} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function size(bytes) {
  const power = Math.min(3, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${Math.round(bytes / 1000 ** power)} ${["bytes", "kB", "MB", "GB"][power]}`;
}

/** What a job is about, in one line: a prompt may be a page long. */
export function title({ name, params, operation }) {
  const text = String(name || params.prompt || params.fields?.prompt
    || params.text_prompts?.[0]?.text || operation);
  return text.length <= LINE ? text : `${text.slice(0, LINE - 1)}…`;
}
