// Outputs on the page. They ask for the key, so they are fetched, and shown out of memory.

import { at, call } from "./api.js";
import { h, sync } from "./dom.js";
import { size, title } from "./words.js";

const AT_ONCE = 4;
const MOST_BYTES = 500e6; // More is not gathered in memory.

export const fileOf = (job, output) => at`/v1/jobs/${job.id}/outputs/${output.index}`;

const waiting = new Set();
let loading = 0;

/** Whoever comes into sight waits for its turn, and whoever leaves gives the turn up. */
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) waiting.add(target);
    else waiting.delete(target);
  }
  loadNext();
}, { rootMargin: "200px" });

function loadNext() {
  for (const image of waiting) {
    if (loading >= AT_ONCE) return;
    waiting.delete(image);
    sight.unobserve(image);
    if (!image.isConnected) continue;
    loading += 1;
    load(image, image.dataset.source).catch(({ retryAfter: seconds }) => {
      if (seconds) setTimeout(() => sight.observe(image), 1000 * seconds);
      else image.closest("li").classList.add("lost");
    }).finally(() => {
      loading -= 1;
      loadNext();
    });
  }
}

/** Show a file in an element. A picture's bytes are freed at once, others by who asks for them. */
export async function load(element, path, signal) {
  const address = URL.createObjectURL(await (await call(path, { signal })).blob());
  element.src = address;
  if (element.decode) await element.decode().finally(() => URL.revokeObjectURL(address));
  return address;
}

/** A grid of what jobs made; `show(jobs)` keeps the tiles that are there. */
export function gallery() {
  const root = h("ul.gallery");
  const show = (jobs) => {
    const tiles = jobs.flatMap((job) => job.outputs.map((output) => [job, output]));
    const draw = ([job, output], before) => before ?? tile(job, output);
    sync(root, tiles, ([job, output]) => `${job.id}-${output.index}`, draw);
  };
  return Object.assign(root, { show });
}

function tile(job, output) {
  const [link, name] = [{ href: at`#/jobs/${job.id}`, title: title(job) }, title(job)];
  const [kind] = output.content_type.split("/");
  if (kind !== "image") {
    const about = h("small", `${kind}, ${size(output.bytes)}`);
    return h("li", h("a.file", link, h("b", kind === "video" ? "▶" : "◆"), h("span", name), about));
  }
  const image = h("img", { alt: name, "data-source": `${fileOf(job, output)}/thumbnail` });
  sight.observe(image);
  return h("li", h("a", link, image));
}

/** Save what an address answers under a name: straight to the disk where the browser can. */
export async function save(path, name) {
  const file = await window.showSaveFilePicker?.({ suggestedName: name });
  const answer = await call(path);
  if (file) await answer.body.pipeTo(await file.createWritable());
  else keep(await gathered(answer.body, name), name);
  return `${name} is saved.`;
}

async function gathered(body, name) {
  const [reader, pieces] = [body.getReader(), []];
  for (let length = 0; ;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(pieces, { type: "application/octet-stream" });
    length += pieces.push(value) && value.length;
    if (length > MOST_BYTES) {
      reader.cancel();
      throw new Error(`${name} is larger than ${size(MOST_BYTES)}: fetch it in a terminal.`);
    }
  }
}

function keep(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}
