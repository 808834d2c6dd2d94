// The public interface, called with the key that this tab was given.

const STORE = "darkroom-key";

export const key = {
  get: () => sessionStorage.getItem(STORE),
  keep: (value) => sessionStorage.setItem(STORE, value),
  forget: () => sessionStorage.removeItem(STORE),
};

/** What the interface, or the way to it, has against a call: a sentence for people. */
class Problem extends Error {
  constructor(sentence, status, retryAfter) {
    super(sentence);
    Object.assign(this, { status, retryAfter });
  }
}

/** An address out of a template, whose values can never become anything but values. */
export const at = (parts, ...values) =>
  String.raw({ raw: parts }, ...values.map(encodeURIComponent));

/** A query of what is set, with its question mark. */
export function query(values) {
  const set = Object.entries(values).filter(([, value]) => value);
  return set.length ? `?${new URLSearchParams(set)}` : "";
}

/** The answer to a call; throws a Problem, or an AbortError if the caller has gone. */
export async function call(path, { method = "GET", body, headers, signal } = {}) {
  const authorization = `Bearer ${key.get()}`;
  const type = body && { "content-type": "application/json" };
  const all = { authorization, ...type, ...headers };
  let answer;
  try {
    const text = body && JSON.stringify(body);
    answer = await fetch(path, { method, signal, headers: all, body: text });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(`Nothing answers at ${location.host}. Is \`darkroom up\` running?`, 0);
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  signal?.throwIfAborted();
  const sentence = absence(told) || told.detail || told.title || `The answer has the status ${answer.status}.`;
  const problem = new Problem(sentence, answer.status, Number(answer.headers.get("retry-after")));
  if (answer.status === 401) dispatchEvent(new CustomEvent("refused", { detail: problem }));
  throw problem;
}

/** No id has another form, so nothing can be there: people are not told of forms. */
function absence({ faults = [] }) {
  const [, kind] = faults.map(({ field }) => /^path\.(\w+)_id$/.exec(field)).find(Boolean) ?? [];
  return kind && `There is no such ${kind}.`;
}

export const get = async (path, signal) => (await call(path, { signal })).json();
export const post = async (path, body) => (await call(path, { method: "POST", body })).json();
export const patch = async (path, body) => (await call(path, { method: "PATCH", body })).json();
