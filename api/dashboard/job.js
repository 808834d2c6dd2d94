// One job: what was asked for, what it made, and its whole story.

import { at, get, post } from "./api.js";
import { ask, button, buttons, h, say, sync, unchanged } from "./dom.js";
import { facts } from "./figures.js";
import { chip, complaint } from "./jobs.js";
import { fileOf, load, save } from "./pictures.js";
import { HELD, VERBS, credits, number, plural, size, time, title } from "./words.js";

export function job(page, { id }) {
  const path = at`/v1/jobs/${id}`;
  const [back, head, fault, figures] = [h("p"), h("h1"), h("p.trouble"), facts()];
  const [row, outputs, params, story] = [h("div.row"), h("div"), h("dl.params"), h("ol.story")];
  page.show("Job", back, head, fault, row, outputs, figures,
    h("section", h("h2", "What was asked for"), params), h("section", h("h2", "Its story"), story));
  const link = (batch) => h("a", { href: at`#/batches/${batch}` }, "Back to its batch");

  page.watch(async (signal) => {
    const [found, told] = await Promise.all([get(path, signal), get(`${path}/history`, signal)]);
    page.name(`${found.state}: ${title(found)}`);
    if (found.batch_id) sync(back, [found.batch_id], (batch) => batch, unchanged(link));
    sync(head, [found], () => "", unchanged((one) => h("span", title(one), " ", chip(one))));
    say(fault, found.held_for ? `Held: ${HELD[found.held_for]}.` : complaint(found));
    buttons(row, actions(found, path, page.touch));
    figures.show(measures(found));
    const draw = (output, before) => before ?? figure(found, output, page.signal);
    sync(outputs, found.outputs, (output) => String(output.index), draw);
    const pair = unchanged(([name, value]) => h("div", h("dt", name), h("dd", value)));
    sync(params, asked(found), ([name]) => name, pair);
    sync(story, lines(told), (line) => line.key, unchanged(event));
  }, { wants: (event) => event.job_id === id });
}

/** What may be done with it as it is: label, deed, kind. */
function actions({ state, held_for: why }, path, touch) {
  const doing = (verb, body, question) => async () => {
    if (question && !(await ask(...question))) return;
    await post(`${path}/${verb}`, body);
    touch();
  };
  const twice = ["Pay once more?", "The lost call may have been charged already.", "Pay once more"];
  const stop = ["Cancel the job?", "It was not sent, so it costs nothing.", "Cancel the job"];
  const is = (...states) => states.includes(state);
  return [
    why === "uncertain" && ["Pay once more", doing("resolve", { decision: "resubmit" }, twice)],
    why === "uncertain" && ["Give it up", doing("resolve", { decision: "give-up" })],
    is("failed", "canceled", "skipped") && ["Retry", doing("retry")],
    is("waiting", "queued", "held") && ["Cancel", doing("cancel", undefined, stop), ".danger"],
  ].filter(Boolean);
}

function measures({ credits: { charged, estimated }, ...found }) {
  return [
    ["id", found.id],
    ["operation", found.operation],
    ["charged", credits(charged)],
    ["estimated", charged ? "" : credits(estimated)],
    ["attempts", number(found.attempts)],
    ["seed", String(found.seed ?? "")],
    ["place in the queue", found.position ? number(found.position) : ""],
    ["ends at about", time(found.eta)],
    ["created", time(found.created_at)],
    ["finished", time(found.finished_at)],
  ];
}

/** Parameters, inputs and metadata with their values as texts. */
function asked({ params, inputs, metadata }) {
  const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const pairs = (values, before = "") =>
    Object.entries(values ?? {}).map(([name, value]) => [before + name, shown(value)]);
  return [...pairs(params), ...pairs(inputs), ...pairs(metadata, "metadata.")];
}

/** Events and attempts in the order of their times. */
function lines({ events, attempts }) {
  const happened = events.map(({ id, at, verb, note, credits: cost }) => {
    const charge = cost ? ` ${plural(cost, "credit")} charged.` : "";
    return { key: `event ${id}`, at, text: (VERBS[verb] ?? verb) + charge, note };
  });
  const tried = attempts.map(({ number: n, begun_at, credential_id: by, fate, note }) => ({
    key: `attempt ${n}`, at: begun_at, text: `Attempt ${n} with ${by}: ${fate}.`, note,
  }));
  return [...happened, ...tried].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

const event = ({ at, text, note }) =>
  h("li", h("time", { datetime: at }, time(at)), h("span", text), note && h("small", note));

function figure(found, output, signal) {
  const { content_type: type, width, height } = output;
  const name = `${found.id}-${output.index}.${output.key.split(".").pop()}`;
  const source = `${fileOf(found, output)}?redirect=false`;
  const fail = () => media.replaceWith(h("p.trouble", "This browser cannot show it: save it."));
  const media = type.startsWith("image/") ? h("img", { alt: title(found) })
    : type.startsWith("video/") ? h("video", { controls: "", error: fail }) : null;
  if (media) {
    load(media, source, signal).then((address) => {
      signal.addEventListener("abort", () => URL.revokeObjectURL(address));
    }).catch((error) => media.replaceWith(h("p.trouble", error.message)));
  }
  const about = [type, width && `${width} × ${height}`, size(output.bytes)].filter(Boolean);
  return h("figure", media, h("figcaption.row", about.join(", "),
    button("Save", () => save(source, name))));
}
