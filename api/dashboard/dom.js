// Elements out of plain values. Text is always text: what users wrote is never read as HTML.

/** An element: `h("a.name", {href}, "text", child)`. Functions listen; false is left out. */
export function h(what, ...content) {
  const [name, ...classes] = what.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  const isPlain = content[0]?.constructor === Object;
  for (const [name, value] of Object.entries(isPlain ? content.shift() : {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...content.flat().filter(Boolean));
  return element;
}

/** Set a text if it is another one, so that nothing is read aloud twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

/**
 * Make the children of a parent those of a list, in its order. What stays is the same element as
 * before: it keeps its focus and its picture. `draw(item, element)` makes one, or gets the old one.
 */
export function sync(parent, items, keyOf, draw) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const before = old.get(key);
    const element = draw(item, before);
    element.dataset.key = key;
    old.delete(key);
    if (before && before !== element) {
      if (place === before) place = element;
      swap(before, element);
    }
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const gone of old.values()) gone.remove();
}

/** Put an element into another's place; what had the focus passes it on. */
function swap(before, element) {
  const controls = (of) => [...of.querySelectorAll("a, button")];
  const place = controls(before).indexOf(document.activeElement);
  before.replaceWith(element);
  controls(element)[place]?.focus();
}

/** Draws once, and again only when the item has changed. */
export const unchanged = (draw) => (item, before) => {
  const seen = JSON.stringify(item);
  return before?.seen === seen ? before : Object.assign(draw(item), { seen });
};

/** Ask before something is done: true, or the number if one is given; null for no. */
export function ask(what, why, yes, number) {
  const part = (name) => document.getElementById(name);
  const [dialog, field] = [part("ask"), part("ask-number")];
  say(part("ask-what"), what);
  say(part("ask-why"), why);
  say(part("ask-yes"), yes);
  field.hidden = field.disabled = number === undefined;
  field.value = number ?? "";
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    const answer = () => (number === undefined ? true : field.valueAsNumber);
    dialog.onclose = () => resolve(dialog.returnValue === "yes" ? answer() : null);
  });
}

/** A button that does something, and says what came of it or what is against it. */
export function button(label, act, kind = "") {
  const press = async ({ currentTarget: self }) => {
    if (self.ariaBusy === "true") return;
    // Not disabled: it keeps the focus, and gets it back from a dialog.
    self.ariaBusy = "true";
    try {
      notice((await act()) || "");
    } catch (error) {
      notice(error.name === "AbortError" ? "" : error.message, true);
    }
    self.ariaBusy = "false";
  };
  return h(`button${kind}`, { type: "button", click: press }, label);
}

/** Buttons by their labels: `[[label, act, kind], ...]`; those that stay keep the focus. */
export const buttons = (parent, list) =>
  sync(parent, list, ([label]) => label, (one, before) => before ?? button(...one));

/** One line about what was just done, or why not. */
export function notice(text, isTrouble = false) {
  const line = document.getElementById("notice");
  line.classList.toggle("trouble", isTrouble);
  say(line, text);
}
