// The status page: asks once a second what is being uploaded, and shows it. Names of files are strangers' texts, so
// nothing here ever becomes markup: only textContent and attributes are set.
"use strict";

(() => {
  const POLL_MS = 1000;
  const SLOWEST_POLL_MS = 10000;
  const GIVE_UP_MS = 8000;
  const HISTORY_S = 300;
  const LIMIT = 100;
  const STATES = {
    issued: "not started", uploading: "uploading", paused: "paused", handing_over: "being handed over",
    waiting: "with the app", finished: "finished", failed: "failed", cancelled: "cancelled",
    expired: "expired",
  };

  /**
   * @typedef {{id: string, name: string, app: string, state: keyof typeof STATES, reason: string,
   *   length_bytes: number | null, offset_bytes: number | null, bytes_per_s: number,
   *   seconds_left: number | null, age_s: number, idle_s: number, parts: number | null}} Upload
   * @typedef {{by_state: Record<string, number>, undelivered: number, oldest_undelivered_s: number,
   *   bytes_per_s: number, connections: number, free_bytes: number | null, reserved_bytes: number}} Totals
   * @typedef {{uploads: Upload[], matching: number, totals: Totals, history: {bytes_per_s: number[]}}} Answer
   */

  /** @param {string} id */
  const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
  const chosen = /** @type {HTMLSelectElement} */ (byId("state"));

  /** Characters that turn the direction of a text, and so can make fdp.exe look like exe.pdf. */
  const TURNING = /[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/g;

  // --- texts -------------------------------------------------------------------------------------

  /** @param {number} bytes */
  function size(bytes) {
    const units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let unit = 0;
    while (bytes >= 999.5 && unit < units.length - 1) {
      bytes /= 1000;
      unit += 1;
    }
    return `${unit && bytes < 9.95 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
  }

  /** @param {number} bytesPerS */
  const speed = (bytesPerS) => `${size(bytesPerS)}/s`;

  /** @param {number} seconds */
  function time(seconds) {
    if (seconds < 90) return `${Math.round(seconds)} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    return seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
  }

  // --- elements ----------------------------------------------------------------------------------

  /**
   * Makes an element, once; what changes in it later is set by `write`.
   * @param {string} tag
   * @param {string} className
   * @param {...Node} children
   */
  function make(tag, className, ...children) {
    const element = document.createElement(tag);
    element.className = className;
    element.append(...children);
    return element;
  }

  /**
   * Leaves alone what says so already: a selection stays, and nothing is read out again.
   * @param {Element} element
   * @param {string} text
   */
  function write(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  // --- the list ----------------------------------------------------------------------------------

  /** @type {Map<string, ReturnType<typeof makeRow>>} */
  let rows = new Map();

  function makeRow() {
    const parts = {
      name: make("bdi", ""), about: make("span", "small"), bar: document.createElement("progress"),
      amount: make("span", "small"), state: make("span", "state"), reason: make("span", "small"),
      speed: make("span", ""), left: make("span", "small"), age: make("span", ""),
    };
    const cells = [
      make("td", "", parts.name, parts.about), make("td", "", parts.bar, parts.amount),
      make("td", "", parts.state, parts.reason), make("td", "number", parts.speed, parts.left),
      make("td", "number", parts.age),
    ];
    const row = make("tr", "", ...cells);
    row.setAttribute("role", "row");
    cells.forEach((cell) => cell.setAttribute("role", "cell"));
    return { row, ...parts };
  }

  /** @param {Upload} upload */
  const underWay = (upload) => upload.state === "uploading" || upload.state === "paused";

  /** @param {Upload} upload */
  function amount(upload) {
    if (upload.length_bytes === null) return "";
    if (!underWay(upload)) return size(upload.length_bytes);
    if (upload.offset_bytes === null) return `of ${size(upload.length_bytes)}`;
    const percent = upload.length_bytes ? (100 * upload.offset_bytes) / upload.length_bytes : 100;
    return `${Math.floor(percent)} % of ${size(upload.length_bytes)}`;
  }

  /** @param {Upload} upload */
  function pace(upload) {
    if (upload.bytes_per_s) return speed(upload.bytes_per_s);
    return upload.state === "uploading" && upload.idle_s >= 2 ? `nothing for ${time(upload.idle_s)}` : "";
  }

  /**
   * @param {ReturnType<typeof makeRow>} parts
   * @param {Upload} upload
   */
  function fill(parts, upload) {
    const { length_bytes: length, offset_bytes: offset } = upload;
    const name = upload.name.replace(TURNING, "\ufffd") || "(no file yet)";
    parts.row.dataset.state = upload.state;
    write(parts.name, name);
    const pieces = upload.parts ? `, in ${upload.parts} ${upload.parts === 1 ? "part" : "parts"}` : "";
    write(parts.about, `${upload.id} for ${upload.app}${pieces}`);
    parts.bar.hidden = !underWay(upload) || offset === null;
    parts.bar.value = length ? (offset || 0) / length : 0;
    parts.bar.setAttribute("aria-label", `Progress of ${name}`);
    write(parts.amount, amount(upload));
    write(parts.state, STATES[upload.state] || upload.state);
    write(parts.reason, upload.reason);
    write(parts.speed, pace(upload));
    write(parts.left, upload.seconds_left ? `${time(upload.seconds_left)} left` : "");
    write(parts.age, time(upload.age_s));
  }

  /** @param {Upload[]} uploads */
  function showList(uploads) {
    const before = rows;
    rows = new Map();
    const body = byId("rows");
    uploads.forEach((upload, place) => {
      let key = upload.id;
      while (rows.has(key)) key += "+"; // an id is shown in part, and two can begin alike
      const parts = before.get(key) || makeRow();
      rows.set(key, parts);
      fill(parts, upload);
      if (body.children[place] !== parts.row) body.insertBefore(parts.row, body.children[place] || null);
    });
    while (body.children.length > uploads.length) body.children[uploads.length].remove();
  }

  // --- totals and plot -----------------------------------------------------------------------------

  /** @param {Totals} totals */
  function showTotals(totals) {
    const { uploading = 0, paused = 0, failed = 0, finished = 0 } = totals.by_state;
    const waiting = totals.undelivered ? `the oldest for ${time(totals.oldest_undelivered_s)}` : "";
    const free = totals.free_bytes === null ? "unknown" : size(totals.free_bytes);
    /** @type {[string, string | number, string, boolean?][]} */
    const all = [
      ["Uploading", uploading, speed(totals.bytes_per_s)],
      ["Paused", paused, ""],
      ["Waiting for the app", totals.undelivered, waiting],
      ["Failed", failed, failed ? "not accepted by their app" : "", failed > 0],
      ["Finished", finished, ""],
      ["Disk free", free, totals.reserved_bytes ? `${size(totals.reserved_bytes)} of it reserved` : ""],
    ];
    const list = byId("totals");
    if (!list.children.length) {
      all.forEach(([title]) => {
        const term = make("dt", "");
        term.textContent = title;
        list.append(make("div", "", term, make("dd", "", make("span", ""), make("span", "small"))));
      });
    }
    all.forEach(([, value, more, bad], place) => {
      const [number, small] = Array.from(list.children[place].querySelectorAll("span"));
      write(number, String(value));
      number.className = bad ? "trouble" : "";
      write(small, more);
    });
  }

  /** @param {number[]} history */
  function showPlot(history) {
    const peak = Math.max(...history, 0);
    const now = history[history.length - 1] || 0;
    const step = 10 ** Math.floor(Math.log10(Math.max(peak, 1)));
    const top = [1, 2, 5, 10].map((factor) => factor * step).find((value) => value >= peak) || peak;
    const points = history.map((value, second) => `${second} ${(99.5 - (98 * value) / top).toFixed(1)}`);
    byId("line").setAttribute("d", points.length ? `M${points.join("L")}` : "");
    byId("area").setAttribute("d", points.length ? `M0 99.5L${points.join("L")}L299 99.5Z` : "");
    const words = `now ${speed(now)}, at most ${speed(peak)}`;
    write(byId("top"), peak ? speed(top) : "");
    write(byId("rates"), words);
    byId("plot").setAttribute("aria-label", `Throughput in the last five minutes: ${words}`);
  }

  // --- asking --------------------------------------------------------------------------------------

  let failures = 0;
  let asking = false;
  let timer = 0;
  let lastAt = "";

  /**
   * @param {string} text
   * @param {boolean} trouble
   */
  function say(text, trouble) {
    write(byId("link"), text);
    byId("link").className = trouble ? "trouble" : "";
    document.body.className = trouble ? "stale" : "";
  }

  /** @param {Answer} answer */
  function show(answer) {
    showTotals(answer.totals);
    showPlot(answer.history.bytes_per_s);
    showList(answer.uploads);
    const { length } = answer.uploads;
    write(byId("shown"), length < answer.matching ? `The first ${length} of ${answer.matching}.`
      : length ? "" : "None.");
  }

  async function ask() {
    const abort = new AbortController();
    const late = setTimeout(() => abort.abort(), GIVE_UP_MS);
    try {
      const asked = new URLSearchParams({ limit: `${LIMIT}`, history: `${HISTORY_S}`, state: chosen.value });
      const list = new URL("backend/uploads", location.origin + location.pathname); // without a password
      const answer = await fetch(`${list}?${asked}`, {
        headers: { Accept: "application/json" }, cache: "no-store", signal: abort.signal,
      });
      if (answer.status === 401 || answer.status === 403) {
        say("The server no longer accepts this page's credentials. Reload the page to sign in.", true);
        failures = Infinity;
        return;
      }
      if (!answer.ok) throw new Error(answer.statusText);
      const content = await answer.json();
      failures = 0;
      lastAt = new Date().toLocaleTimeString();
      say("Live", false);
      show(content);
    } catch {
      failures += 1;
      say(`The server is not reachable${lastAt ? `; these values are from ${lastAt}` : ""}. Trying again …`, true);
    } finally {
      clearTimeout(late);
    }
  }

  async function poll() {
    clearTimeout(timer);
    if (asking || document.hidden) return;
    asking = true;
    await ask();
    asking = false;
    const pauseMs = Math.min(POLL_MS * 2 ** failures, failures === Infinity ? Infinity : SLOWEST_POLL_MS);
    if (pauseMs !== Infinity) timer = setTimeout(poll, pauseMs);
  }

  document.addEventListener("visibilitychange", poll);
  chosen.addEventListener("change", poll);
  poll();
})();
