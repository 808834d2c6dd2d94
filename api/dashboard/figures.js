// A bar and a legend for counts by state: told by colour, by texture and by number.

import { h, sync } from "./dom.js";
import { STANDS, number, total } from "./words.js";

/** A bar with its legend; `show(counts)` sets it. `link(state)` is where a single state leads. */
export function meter(link) {
  const [bar, legend] = [h("div.bar", { role: "img" }), h("ul.legend")];
  const name = ({ name, states }) =>
    link && states.length === 1 ? h("a", { href: link(states[0]) }, name) : name;
  const show = (counts) => {
    const parts = STANDS.map((stand) => ({ ...stand, count: total(counts, stand.states) }));
    const told = parts.filter((part) => part.count);
    const words = told.map((part) => `${number(part.count)} ${part.name}`);
    bar.setAttribute("aria-label", words.join(", ") || "no jobs yet");
    sync(bar, told, (part) => part.kind, (part, before) => {
      const piece = before ?? h(`span.stand.${part.kind}`);
      piece.style.flexGrow = part.count;
      return piece;
    });
    sync(legend, told, (part) => part.kind, (part, before) => {
      const swatch = () => h(`span.swatch.stand.${part.kind}`);
      const item = before ?? h("li", swatch(), h("b"), " ", name(part));
      item.querySelector("b").textContent = number(part.count);
      return item;
    });
  };
  return Object.assign(h("div", bar, legend), { show });
}

/** Figures with their names; `show([["spent", "3 credits"], ...])` leaves out empty ones. */
export function facts() {
  const root = h("dl.facts");
  const draw = ([name, value], before) => {
    const item = before ?? h("div", h("dt", name), h("dd"));
    if (item.lastChild.textContent !== value) item.lastChild.textContent = value;
    return item;
  };
  const show = (pairs) => sync(root, pairs.filter(([, value]) => value), ([name]) => name, draw);
  return Object.assign(root, { show });
}
