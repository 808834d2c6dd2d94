// The page's frame: asks for the key, and shows what the address after # names.

import { key } from "./api.js";
import { batch } from "./batch.js";
import { notice, say } from "./dom.js";
import { job } from "./job.js";
import { jobs } from "./jobs.js";
import { watch } from "./live.js";
import { overview } from "./overview.js";

const FRESH = { live: "live", reconnecting: "reconnecting…", polling: "looking every 5 s" };
const part = (id) => document.getElementById(id);
const [main, door, field, live] = [part("main"), part("door"), part("key"), part("live")];
let leaving = new AbortController();
let hasMoved = false;

/** The view of an address such as `#/batches/ID?cursor=C`, and what the address tells it. */
function route() {
  const [path, search] = location.hash.slice(1).split("?");
  const [, kind, id] = path.split("/");
  const told = Object.fromEntries(new URLSearchParams(search));
  if (kind === "batches" && id) return [batch, { ...told, id }];
  if (kind === "jobs") return id ? [job, { id }] : [jobs, told];
  return [overview, told];
}

/** Leave the view before, and show the one that is wanted, if there is a key. */
function go() {
  leaving.abort();
  leaving = new AbortController();
  const isIn = Boolean(key.get());
  door.hidden = isIn;
  for (const id of ["nav", "forget"]) part(id).hidden = !isIn;
  say(live, "");
  part("ask").close();
  main.replaceChildren();
  document.title = "Darkroom";
  notice("");
  if (!isIn) return field.focus();
  const [view, told] = route();
  view(pageFor(leaving.signal), told);
}

/** What a view works with; all of it ends with the signal. */
function pageFor(signal) {
  let isFaulty = false;
  const tell = (word) => {
    live.className = word;
    say(live, FRESH[word]);
  };
  const seen = (error) => {
    if (!error && main.hidden) {
      main.hidden = false;
      if (hasMoved) main.focus({ preventScroll: true });
    }
    if (error || isFaulty) notice(error?.message ?? "", Boolean(error));
    isFaulty = Boolean(error);
  };
  const page = {
    signal,
    name: (text) => (document.title = `${text} · Darkroom`),
    /** Lay the view out; it stays out of sight until it was looked up for the first time. */
    show: (name, ...content) => {
      page.name(name);
      main.hidden = true;
      main.replaceChildren(...content.filter(Boolean));
      scrollTo(0, 0);
    },
    watch: (look, about) => (page.touch = watch(look, { ...about, tell, seen, signal })),
  };
  return page;
}

function close(sentence) {
  key.forget();
  say(part("refusal"), sentence);
  go();
}

door.addEventListener("submit", (event) => {
  event.preventDefault();
  key.keep(field.value.trim());
  field.value = "";
  say(part("refusal"), "");
  go();
});
part("forget").addEventListener("click", () => close(""));
addEventListener("refused", (event) => key.get() && close(event.detail.message));
addEventListener("hashchange", () => {
  hasMoved = true;
  go();
});
go();
