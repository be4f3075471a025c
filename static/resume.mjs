/*! resume.mjs 0.3.0: continues uploads to an Incoming!! server after a reload. MIT license. */
// Built by scripts/build-library.mjs: make changes in static/src, which has the comments, too.
// src/resume/database.js
var NAME = "incoming";
var STORE = "handles";
var OPEN_TIMEOUT_MS = 3e3;
async function with_rows(mode, act) {
  let database = null;
  try {
    database = await opened();
    const transaction = database.transaction(STORE, mode);
    const request = act(transaction.objectStore(STORE));
    await completed(transaction);
    return request.result;
  } catch (error) {
    return null;
  } finally {
    if (database) database.close();
  }
}
function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    let is_late = false;
    const timer = setTimeout(() => {
      is_late = true;
      reject(new Error("timeout"));
    }, OPEN_TIMEOUT_MS);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "upload_id" });
    request.onerror = (event) => {
      event.preventDefault();
      clearTimeout(timer);
      reject(request.error);
    };
    request.onsuccess = () => {
      clearTimeout(timer);
      if (is_late) request.result.close();
      resolve(request.result);
    };
  });
}
function completed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = (event) => {
      event.preventDefault();
      reject(transaction.error);
    };
  });
}

// src/resume/core.js
import "./incoming.mjs";
var KEY_PREFIX = "incoming:";
function library() {
  return (
    /** @type {any} */
    window.incoming
  );
}

// src/storage.js
function with_storage(use) {
  try {
    return use(localStorage);
  } catch (error) {
    return null;
  }
}

// src/resume/owners.js
var PREFIX = "incoming-upload:";
var KEEP_DAYS = 30;
function own(upload_id, owner) {
  with_storage((storage) => storage.setItem(PREFIX + upload_id, JSON.stringify({ owner, at_ms: Date.now() })));
}
function disown(upload_id) {
  with_storage((storage) => storage.removeItem(PREFIX + upload_id));
}
function owned_by(owner) {
  const ids = /* @__PURE__ */ new Set();
  with_storage((storage) => {
    for (const key of Object.keys(storage).filter((name) => name.startsWith(PREFIX))) {
      const entry = parsed(storage.getItem(key));
      if (!(entry.at_ms > Date.now() - KEEP_DAYS * 864e5)) storage.removeItem(key);
      else if (entry.owner === owner) ids.add(key.slice(PREFIX.length));
    }
  });
  return ids;
}
function parsed(text) {
  try {
    return Object(JSON.parse(String(text)));
  } catch (error) {
    return {};
  }
}

// src/resume/handles.js
var UNLISTED_DAYS = 1;
var changes = Promise.resolve();
function change(act) {
  const changed = changes.then(() => with_rows("readwrite", act)).then(() => void 0);
  changes = changed;
  return changed;
}
async function remember(upload_id, handle, owner) {
  if (owner) own(upload_id, owner);
  if (handle) await change((rows) => rows.put({ upload_id, handle, kept_at_ms: Date.now() }));
}
function drop(upload_id) {
  disown(upload_id);
  return change((rows) => rows.delete(upload_id));
}
async function recall(upload_id) {
  await changes;
  const row = await with_rows("readonly", (rows) => rows.get(upload_id));
  return row ? row.handle : null;
}
async function all_handles() {
  await changes;
  const rows = await with_rows("readonly", (store) => store.getAll()) || [];
  const listed = listed_ids();
  const oldest_ms = Date.now() - UNLISTED_DAYS * 864e5;
  const is_kept = (row) => listed.has(row.upload_id) || row.kept_at_ms > oldest_ms;
  rows.filter((row) => !is_kept(row)).forEach(({ upload_id }) => drop(upload_id));
  return new Map(rows.filter(is_kept).map(({ upload_id, handle }) => [upload_id, handle]));
}
function listed_ids() {
  const ids = /* @__PURE__ */ new Set();
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(KEY_PREFIX)) ids.add(JSON.parse(String(localStorage.getItem(key))).upload_id);
    }
  } catch (error) {
  }
  return ids;
}
async function reopen(handle) {
  try {
    const permission = handle.requestPermission ? await handle.requestPermission({ mode: "read" }) : "granted";
    if (permission !== "granted") return null;
    return handle.getFile ? await handle.getFile() : handle;
  } catch (error) {
    return null;
  }
}
function listen() {
  window.addEventListener("incoming:ended", (event) => drop(
    /** @type {CustomEvent<string>} */
    event.detail
  ));
}
function forget(upload_id, options) {
  library().forget(upload_id, options);
  return drop(upload_id);
}

// src/resume/awake.js
var RETRY_MS = 6e4;
function keep_awake(sender) {
  const { wakeLock } = (
    /** @type {{wakeLock: WakeLock}} */
    navigator
  );
  if (!wakeLock) return () => {
  };
  let sentinel = null;
  let is_asking = false;
  let is_refused = false;
  let is_over = false;
  let retrying_since_ms = 0;
  let timer = 0;
  function wants() {
    if (is_over || document.visibilityState !== "visible") return false;
    const busy = uploaders_of(sender).filter(is_busy);
    if (busy.some(({ retrying }) => !retrying)) {
      retrying_since_ms = 0;
      return true;
    }
    if (!busy.length) return false;
    retrying_since_ms = retrying_since_ms || Date.now();
    const left_ms = retrying_since_ms + RETRY_MS - Date.now();
    clearTimeout(timer);
    if (left_ms > 0) timer = setTimeout(check, left_ms);
    return left_ms > 0;
  }
  async function check() {
    if (!wants()) {
      is_refused = false;
      if (sentinel) sentinel.release();
      sentinel = null;
    } else if (!sentinel && !is_asking && !is_refused) {
      is_asking = true;
      try {
        sentinel = await wakeLock.request("screen");
        sentinel.onrelease = () => {
          sentinel = null;
        };
      } catch (error) {
        is_refused = true;
      }
      is_asking = false;
      if (sentinel && !wants()) check();
    }
  }
  function end() {
    is_over = true;
    clearTimeout(timer);
    stops.forEach((stop) => stop());
    check();
  }
  const stops = [listen2(document, "visibilitychange", check)];
  if ("items" in sender) {
    stops.push(sender.subscribe(check));
  } else {
    stops.push(listen2(sender, "progress", check));
    for (const ending of ["finished", "cancelled", "error"]) stops.push(listen2(sender, ending, end));
  }
  check();
  return end;
}
function uploaders_of(sender) {
  if (!("items" in sender)) return [sender];
  return (
    /** @type {incoming.Uploader[]} */
    sender.items.map(({ uploader }) => uploader).filter(Boolean)
  );
}
function is_busy({ connected, retrying, paused, frac_complete }) {
  return (connected || retrying) && !paused && frac_complete < 1;
}
function listen2(target, name, listener) {
  target.addEventListener(name, listener);
  return () => target.removeEventListener(name, listener);
}

// src/resume/list.js
var LIVE_INTERVAL_MS = 1e3;
var CHANGE_DELAY_MS = 50;
async function unfinished({ server, owner } = {}) {
  const owned = owner ? owned_by(owner) : null;
  const uploads = library().unfinished({ server, live: true }).filter(({ upload_id }) => !owned || owned.has(upload_id));
  const [held, handles] = await Promise.all([held_locks(), all_handles()]);
  return uploads.map((upload) => ({
    ...upload,
    handle: handles.get(upload.upload_id) || null,
    live: Boolean(upload.live) && (!held || held.some((name) => name.endsWith(":" + upload.upload_id)))
  }));
}
async function held_locks() {
  try {
    const { held } = await navigator.locks.query();
    return (held || []).map(({ name }) => String(name)).filter((name) => name.startsWith(KEY_PREFIX));
  } catch (error) {
    return null;
  }
}
function watch_unfinished(listener, options) {
  let shown = "";
  let timer = 0;
  let is_over = false;
  async function look() {
    timer = 0;
    const uploads = await unfinished(options);
    if (is_over) return;
    const now = JSON.stringify(uploads);
    if (now !== shown) listener(uploads);
    shown = now;
    if (uploads.some(({ live }) => live)) look_in(LIVE_INTERVAL_MS);
  }
  function look_in(ms) {
    if (is_over) return;
    clearTimeout(timer);
    timer = setTimeout(look, ms);
  }
  function on_event(event) {
    const { key } = (
      /** @type {StorageEvent} */
      event
    );
    if (!key || key.startsWith(KEY_PREFIX)) look_in(CHANGE_DELAY_MS);
  }
  const events = ["storage", "pageshow", "incoming:ended"];
  events.forEach((name) => window.addEventListener(name, on_event));
  look();
  return () => {
    is_over = true;
    clearTimeout(timer);
    events.forEach((name) => window.removeEventListener(name, on_event));
  };
}

// src/resume/pick.js
async function pick_files(options = {}) {
  return await pick_with_handles(options) || pick_with_input(options);
}
async function pick_with_handles({ multiple = false, accept = "" }) {
  const { showOpenFilePicker } = (
    /** @type {any} */
    window
  );
  try {
    const handles = await showOpenFilePicker.call(window, { multiple, ...types_of(accept) });
    return await Promise.all(handles.map(async (handle) => {
      const file = await handle.getFile();
      return { path: file.name, file, handle };
    }));
  } catch (error) {
    return (
      /** @type {Error} */
      error.name === "AbortError" ? [] : null
    );
  }
}
function types_of(accept) {
  const types = {};
  for (const wish of accept.split(",").map((part) => part.trim().toLowerCase()).filter(Boolean)) {
    if (wish.startsWith(".")) (types["*/*"] = types["*/*"] || []).push(wish);
    else types[wish] = types[wish] || [];
  }
  return Object.keys(types).length ? { types: [{ accept: types }] } : {};
}
function pick_with_input({ multiple = false, accept = "" }) {
  return new Promise((resolve) => {
    const input = Object.assign(document.createElement("input"), { type: "file", multiple, accept });
    const chosen = () => {
      input.remove();
      resolve(Array.from(input.files || [], (file) => ({ path: file.name, file, handle: null })));
    };
    input.hidden = true;
    input.addEventListener("change", chosen);
    input.addEventListener("cancel", chosen);
    document.body.append(input);
    input.click();
  });
}

// src/resume/module.js
if (typeof window !== "undefined") listen();
export {
  forget,
  keep_awake,
  pick_files,
  pick_with_handles,
  recall,
  remember,
  reopen,
  unfinished,
  watch_unfinished
};
