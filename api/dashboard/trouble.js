// What is wrong now, in plain words, each with what mends it.

import { at, get, post, query } from "./api.js";
import { button, h, sync, unchanged } from "./dom.js";
import { HELD, clock, ended, plural, total } from "./words.js";

const SAMPLE = 50; // Of the held jobs, the newest.
const STOPPED = {
  key: (name) => `Stability refuses the key ${name} (401). Replace it; it is tried every minute.`,
  funds: (name) => `The key ${name} has too few credits. Add some; it is asked every minute.`,
  "by hand": (name) => `The key ${name} was stopped by hand.`,
};

/** Look at all that could be wrong for a project; for a batch, with its counts, only its own held
 * jobs count. */
export async function look(signal, { batch, counts, mend } = {}) {
  const held = `/v1/jobs${query({ state: "held", batch, limit: SAMPLE })}`;
  const [usage, balance] = await Promise.all([get("/v1/usage", signal), balanceOf(signal)]);
  const holds = usage.jobs.held ? (await get(held, signal)).items : [];
  const found = [
    ...ofWorkers(usage), ...ofPauses(usage), ...balance.credentials.flatMap(ofKey),
    ...ofBreaker(usage), ...ofHolds(holds, (counts ?? usage.jobs).held, mend),
  ];
  return { usage, balance, found };
}

/** What is left, or nothing for a key that may not see it. */
const balanceOf = (signal) =>
  get("/v1/balance", signal).catch((error) => {
    if (error.status !== 403) throw error;
    return { credits: null, credentials: [] };
  });

function ofWorkers({ workers, jobs }) {
  const open = total(jobs) - ended(jobs) - (jobs.held ?? 0);
  if (workers === null) {
    return [{ text: "Redis does not answer: nothing is sent until it is back.",
      command: "darkroom doctor" }];
  }
  if (workers || !open) return [];
  return [{ text: `No worker is running, so ${plural(open, "job")} cannot go on.`,
    command: "darkroom worker --beat" }];
}

function ofPauses({ paused_by: by }) {
  return [
    by.includes("all") && { text: "Everything is paused: nothing new is sent or paid.",
      command: "darkroom resume" },
    by.includes("project") && { text: "This project is paused: nothing new is sent or paid.",
      label: "Resume the project", path: "/v1/resume" },
  ].filter(Boolean);
}

function ofKey({ id, name, stopped_at, stop_reason: why, paused_at, frozen_until: thaw }) {
  return [
    stopped_at && { text: STOPPED[why]?.(name) ?? `The key ${name} is stopped: ${why}.`,
      command: why === "by hand" && `darkroom credentials start ${id}` },
    paused_at && { text: `The key ${name} is paused.`,
      command: `darkroom resume --credential ${id}` },
    thaw && { text: `Stability has locked the key ${name} out (429) until ${clock(thaw)}: `
      + "then it goes on by itself." },
  ].filter(Boolean);
}

const ofBreaker = ({ probe_at: at }) => at ? [{ text: "Answers to paid calls were lost one after "
  + `the other, so no more are made but one at ${clock(at)}. Once one is answered, all goes on.` }]
  : [];

/** `held` is how many there are: if the sample has one reason only, it is taken for that of all. */
function ofHolds(jobs, held = 0, mend) {
  const why = [...new Set(jobs.map((job) => job.held_for))];
  const isPart = held > jobs.length && jobs.length === SAMPLE;
  return why.map((reason) => {
    const some = jobs.filter((job) => job.held_for === reason);
    const many = !isPart ? plural(some.length, "job")
      : why.length === 1 ? plural(held, "job") : `At least ${plural(some.length, "job")}`;
    const [batch, other] = new Set(some.map((job) => job.batch_id));
    const list = `#/jobs${query({ state: "held", batch: other === undefined && batch })}`;
    const href = batch && other === undefined && !mend ? at`#/batches/${batch}` : list;
    return { text: `${many} held: ${HELD[reason] ?? reason}.`, href, ...mend?.[reason] };
  });
}

/** The list of them; `show(found)` makes it tell others. */
export function board(touch) {
  const press = ({ path, act }) => async () => {
    await (act ? act() : post(path));
    touch();
  };
  const draw = unchanged((one) => h("li.trouble", h("span", one.text),
    one.command && h("code", one.command), one.href && h("a.button", { href: one.href }, "See"),
    one.label && button(one.label, press(one))));
  const root = h("ul.troubles", { role: "status", "aria-label": "What is wrong now" });
  return Object.assign(root, { show: (found) => sync(root, found, (one) => one.text, draw) });
}
