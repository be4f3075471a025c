// The status page: asks once a second what is being uploaded, and shows it. Names of files are strangers' texts, so
// nothing here ever becomes markup: only textContent and attributes are set.
"use strict";

(() => {
  const POLL_MS = 1000;
  const SLOWEST_POLL_MS = 10000;
  const GIVE_UP_MS = 8000;
  const HISTORY_S = 300;
  const LIMIT = 100;
  const REST = 3; // times as long as an answer took, before the next question
  const TYPING_MS = 250; // a search begins when a person pauses
  const LONG = 160; // characters, which fill several lines
  const STATES = {
    issued: "not started", uploading: "uploading", paused: "paused", handing_over: "being handed over",
    waiting: "with the app", finished: "finished", failed: "failed", cancelled: "cancelled",
    expired: "expired",
  };
  const FILES = { local: "on disk", s3: "in S3" };
  const STORES = { redis: "Redis", s3: "S3" };

  /**
   * @typedef {{id: string, name: string, app: string, state: keyof typeof STATES, reason: string,
   *   length_bytes: number | null, offset_bytes: number | null, bytes_per_s: number,
   *   seconds_left: number | null, age_s: number, issued_unix_s: number | null, source: string, idle_s: number, parts: number | null,
   *   instance: string | null, dest_type: string, storage: keyof typeof FILES}} Upload
   * @typedef {{by_state: Record<string, number>, undelivered: number, oldest_undelivered_s: number,
   *   bytes_per_s: number, connections: number, free_bytes: number | null, reserved_bytes: number}} Totals
   * @typedef {{name: string, bytes_per_s: number, connections: number, since_s: number}} Instance
   * @typedef {{name: keyof typeof STORES, away: boolean, mean_call_s: number | null, failures: number,
   *   parts_in_flight: number | null}} Store
   * @typedef {{uploads: Upload[], matching: number, totals: Totals, history: {bytes_per_s: number[]},
   *   instances: Instance[], stores: Store[], storages: string[]}} Answer
   */

  /** @param {string} id */
  const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
  const chosen = /** @type {HTMLSelectElement} */ (byId("state"));
  const searched = /** @type {HTMLInputElement} */ (byId("search"));
  const really = /** @type {HTMLDialogElement} */ (byId("really"));
  const canOperate = document.body.dataset.operate === "yes";

  /** Characters that turn the direction of a text, and so can make fdp.exe look like exe.pdf. */
  const TURNING = /[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/g;

  /** A name of which nothing can be seen. */
  const INVISIBLE = /^[\s\p{Cc}\p{Cf}\p{DI}\u2800]+$/u;

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

  /**
   * @param {number} count
   * @param {string} word
   */
  const counted = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

  /** @param {number} seconds */
  function shortTime(seconds) {
    const ms = seconds * 1000;
    if (ms >= 1000) return time(seconds);
    return `${ms < 10 ? ms.toPrecision(2) : Math.round(ms)} ms`;
  }

  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const calendar = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const zone = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" }).formatToParts()
    .find(({ type }) => type === "timeZoneName")?.value || "";

  /** The time of this day, or the date if it was another day. @param {number} unixS */
  function wallTime(unixS) {
    const then = new Date(unixS * 1000);
    return (then.toDateString() === new Date().toDateString() ? clock : calendar).format(then);
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

  /**
   * A stranger's text can be long. Then its beginning is seen, and all of it while it has the focus.
   * @param {HTMLElement} element
   * @param {string} text
   */
  function writeLong(element, text) {
    write(element, text);
    const isLong = text.length > LONG;
    element.classList.toggle("long", isLong);
    if (isLong) element.tabIndex = 0;
    else element.removeAttribute("tabindex");
  }

  // --- the list ----------------------------------------------------------------------------------

  /** @type {Map<string, ReturnType<typeof makeRow>>} */
  let rows = new Map();

  function makeRow() {
    const parts = {
      name: make("bdi", ""), about: make("span", "small"), bar: document.createElement("progress"),
      amount: make("span", "small"), state: make("span", "state"), reason: make("span", "small"),
      speed: make("span", ""), left: make("span", "small"), age: make("span", ""), begun: make("time", "small"),
      act: document.createElement("button"), upload: /** @type {Upload | null} */ (null),
    };
    const cells = [
      make("td", "", parts.name, parts.about), make("td", "", parts.bar, parts.amount),
      make("td", "", parts.state, parts.reason), make("td", "number", parts.speed, parts.left),
      make("td", "number", parts.age, parts.begun), make("td", "number", parts.act),
    ];
    const row = make("tr", "", ...cells);
    row.setAttribute("role", "row");
    cells.forEach((cell) => cell.setAttribute("role", "cell"));
    const made = { row, ...parts };
    made.act.type = "button";
    made.act.addEventListener("click", () => made.upload && confirmAct(made.upload, made.act));
    return made;
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
   * @param {boolean} showsPlace whether there are several places of files
   */
  function fill(parts, upload, showsPlace) {
    const { length_bytes: length, offset_bytes: offset } = upload;
    const name = nameOf(upload);
    parts.row.dataset.state = upload.state;
    writeLong(parts.name, name);
    const kind = upload.dest_type === "folder" ? "folder " : "";
    const pieces = upload.parts ? `, in ${counted(upload.parts, "part")}` : "";
    const holder = upload.instance ? `, on ${upload.instance}` : "";
    const place = showsPlace ? `, ${FILES[upload.storage] || upload.storage}` : "";
    const source = upload.source ? `, from ${upload.source}` : "";
    writeLong(parts.about, `${kind}${upload.id} for ${upload.app}${source}${pieces}${place}${holder}`);
    parts.bar.hidden = !underWay(upload) || offset === null;
    parts.bar.value = length ? (offset || 0) / length : 0;
    parts.bar.setAttribute("aria-label", `Progress of ${name}`);
    write(parts.amount, amount(upload));
    write(parts.state, STATES[upload.state] || upload.state);
    writeLong(parts.reason, upload.reason);
    write(parts.speed, pace(upload));
    write(parts.left, upload.seconds_left ? `${time(upload.seconds_left)} left` : "");
    write(parts.age, `${time(upload.age_s)} ago`);
    const at = upload.issued_unix_s;
    write(parts.begun, at ? wallTime(at) : "");
    parts.begun.title = at ? new Date(at * 1000).toISOString() : "";
    parts.upload = upload;
    const act = canOperate ? actOn(upload) : null;
    parts.act.hidden = !act;
    if (act) write(parts.act, act.label);
    parts.act.setAttribute("aria-label", act ? `${act.label} ${name}` : "");
  }

  // --- what the operator does ----------------------------------------------------------------------

  /** @typedef {{label: string, route: string, title: string, text: string, yes: string, done: string}} Act */

  /** @type {Act} */
  const CANCEL = {
    label: "Cancel", route: "cancel_upload", title: "Cancel this upload?", yes: "Cancel the upload", done: "was cancelled",
    text: "What is stored of it is removed. Its user and its app are told that the operator has cancelled it.",
  };
  /** @type {Act} */
  const RETRY = {
    label: "Retry", route: "retry_upload", title: "Call the app again?", yes: "Call the app", done: "is offered to its app again",
    text: "The file is complete, and the app has not accepted it.",
  };

  /** @param {Upload} upload */
  function actOn(upload) {
    if (upload.state === "failed") return RETRY;
    return upload.state === "issued" || underWay(upload) ? CANCEL : null;
  }

  /** @param {Upload} upload */
  function nameOf(upload) {
    const name = upload.name.replace(TURNING, "\ufffd");
    return INVISIBLE.test(name) ? "(a name without visible characters)" : name || "(no file yet)";
  }

  /**
   * @param {Upload} upload
   * @param {HTMLElement} button
   */
  function confirmAct(upload, button) {
    const act = actOn(upload);
    if (!act) return;
    write(byId("really-title"), act.title);
    write(byId("really-text"), `${nameOf(upload)} (${upload.id} for ${upload.app}). ${act.text}`);
    write(byId("yes"), act.yes);
    byId("yes").className = act === CANCEL ? "bad" : "";
    really.returnValue = "no"; // which Escape leaves as it is
    really.onclose = () => {
      if (really.returnValue === "yes") operate(upload, act);
      (button.isConnected && !button.hidden ? button : byId("uploads")).focus();
    };
    really.showModal();
  }

  /**
   * @param {Upload} upload
   * @param {Act} act
   */
  async function operate(upload, act) {
    const address = new URL(`status/${act.route}`, location.origin + location.pathname);
    tell(`${act.label} of ${nameOf(upload)}: asking the server …`, false);
    try {
      const answer = await fetch(address, {
        method: "POST",
        // With text/html a browser asks a person for the password who has not given it yet.
        headers: { Accept: "application/json, text/html;q=0.1", "Content-Type": "application/json" },
        body: JSON.stringify({ id: upload.id }),
      });
      if (!answer.ok) throw new Error((await answer.json()).error.message);
      tell(`${nameOf(upload)} ${act.done}.`, false);
    } catch (error) {
      const why = error instanceof TypeError ? "The server is not reachable." : /** @type {Error} */ (error).message;
      tell(`${act.label} of ${nameOf(upload)} did not work. ${why}`, true);
    }
    poll();
  }

  /**
   * @param {string} text
   * @param {boolean} trouble
   */
  function tell(text, trouble) {
    write(byId("result"), text);
    byId("result").className = trouble ? "trouble" : "";
  }

  /**
   * @param {Upload[]} uploads
   * @param {boolean} showsPlace whether there are several places of files
   */
  function showList(uploads, showsPlace) {
    const before = rows;
    rows = new Map();
    const body = byId("rows");
    const focused = document.activeElement;
    uploads.forEach((upload, place) => {
      let key = upload.id;
      while (rows.has(key)) key += "+"; // an id is shown in part, and two can begin alike
      const parts = before.get(key) || makeRow();
      rows.set(key, parts);
      fill(parts, upload, showsPlace);
      if (body.children[place] !== parts.row) body.insertBefore(parts.row, body.children[place] || null);
    });
    while (body.children.length > uploads.length) body.children[uploads.length].remove();
    if (focused instanceof HTMLElement && focused !== document.activeElement && !really.open) {
      (focused.isConnected && !focused.hidden ? focused : byId("uploads")).focus({ preventScroll: true });
    }
  }

  // --- totals and plot -----------------------------------------------------------------------------

  /** @typedef {[title: string, value: string | number, more: string, bad?: boolean]} Tile */

  /**
   * @param {Totals} totals
   * @param {string[]} storages
   */
  function showTotals(totals, storages) {
    const { uploading = 0, paused = 0, failed = 0, finished = 0 } = totals.by_state;
    const waiting = totals.undelivered ? `the oldest for ${time(totals.oldest_undelivered_s)}` : "";
    const free = totals.free_bytes === null ? "unknown" : size(totals.free_bytes);
    /** @type {Tile[]} */
    const all = [
      ["Uploading", uploading, speed(totals.bytes_per_s)],
      ["Paused", paused, ""],
      ["Waiting for the app", totals.undelivered, waiting],
      ["Failed", failed, failed ? "not accepted by their app" : "", failed > 0],
      ["Finished", finished, ""],
    ];
    if (storages.includes("local")) {
      all.push(["Disk free", free, totals.reserved_bytes ? `${size(totals.reserved_bytes)} of it reserved` : ""]);
    }
    const list = byId("totals");
    while (list.children.length < all.length) {
      list.append(make("div", "", make("dt", ""), make("dd", "", make("span", ""), make("span", "small"))));
    }
    while (list.children.length > all.length) list.children[all.length].remove();
    all.forEach(([title, value, more, bad], place) => {
      const [term, number, small] = Array.from(list.children[place].querySelectorAll("dt, span"));
      write(term, title);
      write(number, String(value));
      number.className = bad ? "trouble" : "";
      write(small, more);
    });
  }

  /** @param {Instance} one */
  function doing(one) {
    const runs = time(Math.max(Date.now() / 1000 - one.since_s, 0));
    return `${speed(one.bytes_per_s)}, ${counted(one.connections, "connection")}, runs for ${runs}`;
  }

  /** @param {Store} store */
  function answering(store) {
    const words = [];
    if (store.away) words.push("does not answer");
    if (store.mean_call_s !== null) words.push(`${shortTime(store.mean_call_s)} a call`);
    if (store.parts_in_flight) words.push(`${counted(store.parts_in_flight, "part")} on the way`);
    if (store.failures) words.push(`${counted(store.failures, "failed call")} in the last minute`);
    return words.join(", ") || "no calls in the last minute";
  }

  /**
   * @param {Instance[]} instances
   * @param {Store[]} stores
   */
  function showServers(instances, stores) {
    /** @type {[name: string, about: string, bad: boolean][]} */
    const all = instances.map((one) => [one.name, doing(one), false]);
    stores.forEach((store) => all.push([STORES[store.name] || store.name, answering(store), store.away]));
    byId("servers").hidden = !all.length;
    const list = byId("instances");
    while (list.children.length < all.length) {
      list.append(make("li", "", make("b", ""), make("span", "small")));
    }
    while (list.children.length > all.length) list.children[all.length].remove();
    all.forEach(([title, more, bad], place) => {
      const [name, about] = Array.from(list.children[place].children);
      write(name, title);
      write(about, more);
      about.className = bad ? "small trouble" : "small";
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
  let isAskedAgain = false; // while one is under way: what is searched for has changed
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

  const since = () => (lastAt ? `; these values are from ${lastAt}` : "");

  /** @param {Answer} answer */
  function show(answer) {
    showTotals(answer.totals, answer.storages);
    showServers(answer.instances, answer.stores);
    showPlot(answer.history.bytes_per_s);
    showList(answer.uploads, answer.storages.length > 1);
    const { length } = answer.uploads;
    const none = searched.value.trim() ? "Nothing is found." : "None.";
    write(byId("shown"), length < answer.matching ? `The first ${length} of ${answer.matching}.`
      : length ? "" : none);
  }

  async function ask() {
    const abort = new AbortController();
    const late = setTimeout(() => abort.abort(), GIVE_UP_MS);
    try {
      const asked = new URLSearchParams({ limit: `${LIMIT}`, history: `${HISTORY_S}`, state: chosen.value, search: searched.value });
      const list = new URL("backend/uploads", location.origin + location.pathname); // without a password
      const answer = await fetch(`${list}?${asked}`, {
        headers: { Accept: "application/json" }, cache: "no-store", signal: abort.signal,
      });
      if (answer.status === 401 || answer.status === 403) {
        say("The server no longer accepts this page's credentials. Reload the page to sign in.", true);
        failures = Infinity;
        return;
      }
      if (answer.status === 500 && (await answer.json()).error.code === "storage_failed") {
        failures += 1;
        say(`The server can't read the list: Redis does not answer${since()}. Trying again …`, true);
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
      say(`The server is not reachable${since()}. Trying again …`, true);
    } finally {
      clearTimeout(late);
    }
  }

  async function poll() {
    clearTimeout(timer);
    if (document.hidden) return;
    if (asking) {
      isAskedAgain = true;
      return;
    }
    asking = true;
    const beganMs = performance.now();
    do {
      isAskedAgain = false;
      await ask();
    } while (isAskedAgain);
    asking = false;
    const tookMs = performance.now() - beganMs; // a search of many uploads must not keep the server busy
    const waitMs = Math.max(POLL_MS * 2 ** failures, REST * tookMs);
    const pauseMs = Math.min(waitMs, failures === Infinity ? Infinity : SLOWEST_POLL_MS);
    if (pauseMs !== Infinity) timer = setTimeout(poll, pauseMs);
  }

  document.addEventListener("visibilitychange", poll);
  chosen.addEventListener("change", poll);
  let typing = 0;
  searched.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(poll, TYPING_MS);
  });
  write(byId("zone"), zone && `Times of day are in ${zone}.`);
  byId("closed").hidden = canOperate;
  poll();
})();
