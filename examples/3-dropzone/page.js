/** The page of the dropzone: what the user does and sees. The queue has the uploads themselves. */
import { dropped_files } from "./dropped.js";
import { Queue } from "./queue.js";
import { Totals } from "./totals.js";

const AT_ONCE = 3; // more would only share the same connection
const SAY_EVERY_MS = 20_000; // so that a screen reader can say other things, too
const element = (id) => document.getElementById(id);
const queue = new Queue({ at_once: AT_ONCE, get_ticket, onchange: draw_soon });
const totals = new Totals(queue);
const rows = new Map(); // item -> its row
const to_draw = new Set();
let unfinished = []; // uploads of earlier visits
let wanted = null; // the one of them whose file is being chosen
let drawing, refreshing, said, said_at_ms, seen_finished = 0;

// ---- adding files ----

async function add_all(files) {
  unfinished = uploads_of_earlier_visits();
  complain("");
  let added = 0;
  for await (const { file, path } of files) {
    if (file) added += add(file, path);
    else complain(`${path} can't be read.`);
  }
  if (added) say(`${added} ${added === 1 ? "file" : "files"} added.`);
  draw_unfinished();
}

function add(file, path) {
  const twin = queue.items.find((item) => item.path === path && item.file.size === file.size
    && item.file.lastModified === file.lastModified && item.state !== "finished");
  if (twin && !twin.ended) return 0; // it is in the list already
  if (twin) remove(twin); // it had failed, and may be readable now
  if (twin) unfinished = uploads_of_earlier_visits();
  const begun = unfinished.find((upload) => incoming.matches(upload, file));
  unfinished = unfinished.filter((upload) => upload !== begun);
  queue.add(file, path, begun);
  return 1;
}

function chosen({ target }) {
  const files = [...target.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  target.value = ""; // the same file may be chosen again
  const fits = !wanted || files.some(({ file }) => incoming.matches(wanted, file));
  if (fits) add_all(files);
  else complain(`This is not the same ${wanted.filename}. Choose the file that the upload was started with.`);
}

function choose(input, upload = null) {
  wanted = upload;
  element(input).click();
}

function uploads_of_earlier_visits() {
  const here = new Set(queue.items.map((item) => item.upload_id));
  return incoming.unfinished().filter(({ upload_id }) => !here.has(upload_id));
}

async function get_ticket(item) {
  for (let wait_s = 1; ; wait_s = Math.min(2 * wait_s, 30)) {
    const body = new URLSearchParams({ path: item.path });
    const { status, text } = await ask("/api/frontend/request_upload", { method: "POST", body });
    if (status === 200) return text;
    if (status >= 400 && status < 500) throw new Error(text);
    item.message = "The upload could not start yet. Trying again soon.";
    draw_soon(item);
    await new Promise((resolve) => setTimeout(resolve, wait_s * 1000));
    if (item.state !== "running") throw new Error("No longer needed.");
  }
}

/** Sends a request to the app. The status is 0 if the response does not arrive completely. */
async function ask(url, options) {
  try {
    const answer = await fetch(url, options);
    return { status: answer.status, text: await answer.text() };
  } catch (error) {
    return { status: 0, text: "" };
  }
}

// ---- what the page shows ----

function draw_soon(item) {
  to_draw.add(item);
  drawing ??= setTimeout(draw, 100); // a fast upload has news a hundred times a second
}

function draw() {
  clearTimeout(drawing);
  drawing = undefined;
  to_draw.forEach(draw_row);
  to_draw.clear();
  draw_total();
}

function draw_row(item) {
  const row = rows.get(item) || new_row("rows", item.path);
  rows.set(item, row);
  row.className = `row ${item.state}`;
  row.querySelector("progress").value = item.state === "finished" ? 1 : item.bytes_acked / (item.file.size || 1);
  put(row.querySelector(".state"), describe(item));
  const go = item.state === "failed" ? ["Try again", () => item.retry()]
    : item.state === "paused" && item.can_cancel ? ["Resume", () => item.resume()]
    : item.can_pause && ["Pause", () => item.pause()];
  set_button(row.querySelector(".go"), go, item.path);
  const stop = item.ended ? ["Dismiss", () => remove(item)] : item.can_cancel && ["Cancel", () => item.cancel()];
  set_button(row.querySelector(".stop"), stop, item.path);
}

function describe({ state, message, file, bytes_acked, uploader }) {
  if (state === "finished") return `Finished · ${size(file.size)}`;
  if (state === "failed") return message;
  if (state === "cancelled") return message || "Cancelled.";
  const amount = bytes_acked ? `${percent(bytes_acked / file.size)} · ${size(bytes_acked)} of ${size(file.size)}` : size(file.size);
  if (uploader && uploader.cancelling) return "Cancelling.";
  if (state !== "running") return `${state === "paused" ? "Paused" : "Waiting"} · ${amount}`;
  if (!uploader) return message || `Starting · ${amount}`;
  if (!uploader.bytes_per_s || bytes_acked === file.size) return `${amount} · ${uploader.state_msg}`;
  return `${amount} · ${size(uploader.bytes_per_s)}/s${time_left(uploader.seconds_left)}`;
}

function draw_total() {
  const sum = totals.at(performance.now());
  const failed = queue.in_state("failed").length;
  const busy = queue.in_state("waiting", "running", "paused").length;
  show(element("total"), queue.items.length > 0);
  put(element("headline"), `${sum.finished} of ${sum.files} ${sum.files === 1 ? "file" : "files"} finished${failed ? `, ${failed} failed` : ""}`);
  element("bar").value = sum.frac_complete;
  put(element("numbers"), `${percent(sum.frac_complete)} · ${size(sum.bytes_acked)} of ${size(sum.bytes_total)}`
    + (sum.bytes_per_s ? ` · ${size(sum.bytes_per_s)}/s${time_left(sum.seconds_left)}` : ""));
  show(element("pause"), queue.items.some((item) => item.can_pause));
  show(element("resume"), queue.in_state("paused").length > 0);
  show(element("retry"), queue.items.some(({ state, uploader }) => state === "failed" || (uploader && uploader.retrying)));
  show(element("cancel"), queue.items.some((item) => item.can_cancel));
  show(element("clear"), queue.in_state("finished", "cancelled").length > 0);
  document.title = busy ? `${percent(sum.frac_complete)} · Dropzone` : "Dropzone";
  const news = element("headline").textContent;
  if (queue.items.length && news !== said && (!busy || performance.now() > said_at_ms + SAY_EVERY_MS)) say(news);
  if (sum.finished > seen_finished) refreshing ??= setTimeout(refresh, 1000);
  seen_finished = sum.finished;
}

function draw_unfinished() {
  element("begun").replaceChildren();
  for (const upload of unfinished) {
    const row = new_row("begun", upload.filename);
    row.querySelector("progress").value = upload.frac_complete;
    row.querySelector(".state").textContent = `${percent(upload.frac_complete)} of ${size(upload.bytes_total)} uploaded`;
    set_button(row.querySelector(".go"), ["Choose file", () => choose("files", upload)], upload.filename);
    set_button(row.querySelector(".stop"), ["Forget", () => forget(upload)], upload.filename);
  }
  show(element("unfinished"), unfinished.length > 0);
}

function new_row(list, path) {
  const row = element("row").content.firstElementChild.cloneNode(true);
  const cut = path.lastIndexOf("/") + 1;
  row.querySelector(".folder").textContent = path.slice(0, cut);
  row.querySelector(".name").textContent = path.slice(cut);
  row.querySelector("progress").ariaLabel = `Uploaded of ${path}`;
  element(list).append(row);
  return row;
}

function set_button(button, action, what) { // always the same two buttons, so that the focus stays
  if (action) {
    put(button, action[0]);
    button.ariaLabel = `${action[0]} ${what}`;
    button.onclick = action[1];
  }
  show(button, Boolean(action));
}

function show(part, visible) {
  const focus = document.activeElement;
  if (!visible && part.contains(focus)) (part.parentElement.closest("[tabindex]") || element("choose_files")).focus();
  part.hidden = !visible;
}

function remove(item) {
  const row = rows.get(item);
  if (row && row.contains(document.activeElement)) (row.nextElementSibling || element("total")).focus();
  if (row) row.remove();
  rows.delete(item);
  to_draw.delete(item);
  queue.remove(item);
  draw_total();
}

function forget(upload) {
  incoming.forget(upload.upload_id);
  unfinished = uploads_of_earlier_visits();
  draw_unfinished();
  (unfinished.length ? element("unfinished") : element("choose_files")).focus();
}

async function refresh() { // the list of what is stored
  refreshing = undefined;
  const { status, text } = await ask("/");
  if (status !== 200 || element("stored").contains(document.activeElement)) return;
  element("stored").replaceWith(new DOMParser().parseFromString(text, "text/html").getElementById("stored"));
}

function put(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

function say(text) {
  said = text;
  said_at_ms = performance.now();
  element("news").textContent = text;
}

function complain(text) { element("problem").textContent = text; }

const percent = (fraction) => `${Math.floor(100 * fraction)} %`;
const size = (bytes) => bytes < 1e3 ? `${bytes} bytes` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB`
  : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
const time_left = (s) => s === null ? "" : s < 60 ? ` · ${Math.ceil(s)}\u00a0s\u00a0left`
  : s < 3600 ? ` · ${Math.ceil(s / 60)}\u00a0min\u00a0left` : ` · ${Math.floor(s / 3600)}\u00a0h ${Math.floor(s % 3600 / 60)}\u00a0min\u00a0left`;

// ---- what the user does ----

function start() {
  incoming.set_server_hostname(new URL(element("library").src).host);
  element("choose_files").onclick = () => choose("files");
  element("choose_folder").onclick = () => choose("folder");
  element("files").onchange = element("folder").onchange = chosen;
  element("pause").onclick = () => queue.pause();
  element("resume").onclick = () => queue.resume();
  element("retry").onclick = () => queue.retry();
  element("cancel").onclick = () => {
    element("really").returnValue = "no"; // which Escape leaves as it is
    element("really").showModal();
  };
  element("really").onclose = ({ target }) => { if (target.returnValue === "yes") queue.cancel(); };
  element("clear").onclick = () => queue.in_state("finished", "cancelled").forEach(remove);
  window.ondragover = window.ondragenter = (event) => drag(event, event.dataTransfer.types.includes("Files"));
  window.ondragleave = (event) => drag(event, event.relatedTarget !== null);
  window.ondrop = (event) => {
    drag(event, false);
    add_all(dropped_files(event.dataTransfer));
  };
  window.onbeforeunload = (event) => { // "Leave the page?"
    if (queue.in_state("waiting", "running", "paused").length) event.preventDefault();
  };
  unfinished = uploads_of_earlier_visits();
  draw_unfinished();
  setInterval(draw, 1000); // speeds change without events, too
}

function drag(event, over) {
  event.preventDefault(); // or the browser opens the file itself
  document.body.classList.toggle("dragging", over);
}

if (window.incoming) {
  start();
} else {
  complain("The upload server does not respond. Please try again later.");
  element("choose_files").hidden = element("choose_folder").hidden = true;
}
