// Keeps a page true: events say that something changed, and then it is looked up, but never more
// often than is bearable. Without events it is looked up now and then; in the background never.

import { call, query } from "./api.js";

const GAP = 2000; // Between two looks, however much happens.
const IDLE = 15000; // Between two looks while nothing happens, for times and balances.
const POLL = 5000; // The same while events cannot be had.
const SILENCE = 45000; // The stream shows a sign of life every 15 s: after this it is dead.
const FORGIVEN = 60000; // After a longer break a look is cheaper than all that was missed.
const LONGEST = 60000; // A look that takes longer is given up: the way to the server may be dead.
const SLOWEST = 30000; // Between two tries, however slow the server is or how long it is away.

/** Wait so long, or until `hold` was given a function and that is called; leaves nothing behind. */
const pause = (ms, signal, hold = () => {}) => new Promise((resolve) => {
  const end = () => {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    resolve();
  };
  const timer = setTimeout(end, ms);
  signal.addEventListener("abort", end);
  hold(end);
});

/** Whether the same again will not help: the key may not, or there is no such thing. */
const isVain = (error) => error?.status >= 400 && error.status < 500 && error.status !== 429;

/** Wait until somebody looks at the tab. */
const visible = (signal) => new Promise((resolve) => {
  const look = () => {
    if (document.hidden && !signal.aborted) return;
    document.removeEventListener("visibilitychange", look);
    signal.removeEventListener("abort", look);
    resolve();
  };
  document.addEventListener("visibilitychange", look);
  signal.addEventListener("abort", look);
  look();
});

/**
 * Call `look(signal)` now, and whenever something happened that it `wants`, until the signal is
 * aborted. `tell(word)` hears how fresh the page is, `seen(error)` how the look went. Returns what
 * asks for a look at once, for somebody who has just pressed a button.
 */
export function watch(look, { batch, wants = () => true, tell, seen: looked, signal }) {
  let [wake, rouse] = [() => {}, () => {}];
  let [isStale, isUrgent, isLive] = [true, false, false];
  const touch = () => {
    isStale = true;
    wake();
  };
  const hurry = () => {
    isUrgent = true;
    rouse();
    touch();
  };

  async function looking() {
    while (!signal.aborted) {
      await visible(signal);
      isStale = isUrgent = false;
      const begun = performance.now();
      let error = null;
      try {
        await look(AbortSignal.any([signal, AbortSignal.timeout(LONGEST)]));
      } catch (caught) {
        error = caught;
      }
      if (signal.aborted) return;
      looked(error);
      if (isVain(error)) return;
      // A slow answer means that many wait for theirs; a very slow one, that the machine slept.
      const pace = Math.min(SLOWEST, 5 * (performance.now() - begun));
      const rest = Math.max(GAP, pace, 1000 * (error?.retryAfter || 0));
      if (!isUrgent) await pause(rest, signal, (end) => (rouse = end));
      if (!isStale) await pause(isLive && !error ? IDLE : POLL, signal, (end) => (wake = end));
    }
  }

  async function hear(last, onEvent) {
    const ear = new AbortController();
    const hang = () => (signal.aborted || document.hidden) && ear.abort();
    let watchdog;
    document.addEventListener("visibilitychange", hang);
    signal.addEventListener("abort", hang);
    try {
      const headers = last === null ? {} : { "last-event-id": last };
      const address = `/v1/events${query({ batch })}`;
      const answer = await call(address, { headers, signal: ear.signal });
      for await (const event of events(answer.body)) {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => ear.abort(), SILENCE);
        onEvent(event);
      }
    } finally {
      clearTimeout(watchdog);
      document.removeEventListener("visibilitychange", hang);
      signal.removeEventListener("abort", hang);
    }
  }

  async function listening() {
    let [last, lostAt, failures] = [null, null, 0];
    const onEvent = (event) => {
      if (!isLive) {
        [isLive, lostAt, failures] = [true, null, 0];
        tell("live");
        if (last === null) touch();
      }
      last = event.id ?? last;
      if (event.data && wants(JSON.parse(event.data))) touch();
    };
    while (!signal.aborted) {
      await visible(signal);
      if (lostAt !== null && performance.now() - lostAt > FORGIVEN) last = null;
      try {
        await hear(last, onEvent);
      } catch (error) {
        if (isVain(error)) return;
      }
      isLive = false;
      lostAt ??= performance.now();
      if (signal.aborted || document.hidden) continue;
      failures += 1;
      tell(failures < 3 ? "reconnecting" : "polling");
      // Not all at once: others lost the same server.
      await pause(Math.min(SLOWEST, 500 * 2 ** failures) * (0.5 + Math.random()), signal);
    }
  }

  document.addEventListener("visibilitychange", () => document.hidden || hurry(), { signal });
  looking();
  listening();
  return hurry;
}

/** The events of a stream as they come, signs of life too; only an unfinished one is kept. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        yield Object.fromEntries(block.split("\n").map((line) => line.split(/: ?(.*)/s)));
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
