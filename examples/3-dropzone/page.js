/** The page of the dropzone: what the user does and sees. The queue has the uploads themselves. */
import incoming from "incoming-uploads"; // frontend_tmpl.html says where these two are
import { Queue, ticket_from } from "incoming-uploads/queue";
import { Files } from "./files.js";

const SAY_EVERY_MS = 20_000; // so that a screen reader can say other things, too
const element = (id) => document.getElementById(id);
const queue = new Queue({
  get_ticket: ticket_from("/api/frontend/request_upload"),
  restrictions: { disallow_duplicates: true },
  resume_unfinished: true,
  uploader_options: { when_unreadable: "leave_out" }, // of a folder: the other files are still worth having
  onchange: draw_soon,
});
const rows = new Map(); // item -> its row
const lists = new Map(); // item of a folder -> the list of its files
const told = new Set(); // folders whose app has said what became of their files
const to_draw = new Set();
let unfinished = []; // uploads of earlier visits
let wanted = null; // the one of them whose file is being chosen
let drawing, refreshing, said, said_at_ms, seen_finished = 0;

// ---- adding files ----

async function add_all(files) {
  complain("");
  const { added, refused } = await queue.add_all(files);
  const unreadable = refused.find(({ code }) => code === "unreadable"); // others are in the list already
  if (unreadable) complain(`${isolated(unreadable.path)} can't be read.`);
  if (added.length) say(`${added.length} ${added.length === 1 ? "file" : "files"} added.`);
  unfinished = uploads_of_earlier_visits();
  draw_unfinished();
}

async function add_folder(source) { // all its files are one upload
  complain("");
  const asked = wanted;
  try {
    const onprogress = (files) => put(element("listing"), `Reading the folder: ${count(files)} so far.`);
    const folder = await incoming.list_folder(source, { onprogress });
    if (asked && !incoming.matches(asked, folder)) {
      complain(`This is not the same ${isolated(asked.filename)}: a file was added, changed or removed. Choose the folder as it was when the upload started.`);
      return;
    }
    const item = queue.add(folder);
    if (item.state === "refused") { // it is in the list already
      queue.remove(item);
      return;
    }
    say(`${item.path} added, with ${count(folder.files_total)}.`);
    unfinished = uploads_of_earlier_visits();
    draw_unfinished();
  } catch (error) {
    complain("There are no files in this folder.");
  } finally {
    put(element("listing"), "");
  }
}

function dropped({ items, files }) {
  wanted = null;
  const entries = [...items].map((item) => item.kind === "file" && item.webkitGetAsEntry());
  const folders = entries.filter((entry) => entry && entry.isDirectory);
  if (!folders.length) return add_all(files);
  const others = [...items].filter((item, at) => item.kind === "file" && !folders.includes(entries[at])).map((item) => item.getAsFile());
  if (others.length) add_all(others);
  folders.forEach(add_folder);
}

function chosen({ target }) {
  const files = [...target.files];
  target.value = ""; // the same file may be chosen again
  if (target.id === "folder") return files.length && add_folder(files);
  const fits = !wanted || files.some((file) => incoming.matches(wanted, file));
  if (fits) add_all(files);
  else complain(`This is not the same ${isolated(wanted.filename)}. Choose the file that the upload was started with.`);
}

function choose(input, upload = null) {
  wanted = upload;
  element(input).click();
}

function uploads_of_earlier_visits() {
  const here = new Set(queue.items.map((item) => item.upload_id));
  return incoming.unfinished().filter(({ upload_id }) => !here.has(upload_id));
}

// ---- what the page shows ----

function draw_soon(item) {
  if (item) to_draw.add(item);
  drawing ??= setTimeout(draw, 100); // a fast upload has news a hundred times a second
}

function draw() {
  clearTimeout(drawing);
  drawing = undefined;
  to_draw.forEach(draw_row);
  to_draw.clear();
  const items = new Set(queue.items);
  for (const item of rows.keys()) if (!items.has(item)) remove_row(item);
  draw_total();
}

function draw_row(item) {
  const row = rows.get(item) || new_row("rows", item.path);
  rows.set(item, row);
  row.className = `row ${item.state}`;
  row.querySelector("progress").value = item.state === "finished" ? 1 : item.bytes_acked / (item.file.size || 1);
  put(row.querySelector(".state"), describe(item));
  if (item.file.files_total) draw_folder(item, row);
  const go = item.state === "failed" ? ["Try again", () => item.retry()]
    : item.can_resume ? ["Resume", () => item.resume()]
    : item.can_pause && ["Pause", () => item.pause()];
  set_button(row.querySelector(".go"), go, item.path);
  const stop = item.ended ? ["Dismiss", () => queue.remove(item)] : item.can_cancel && ["Cancel", () => item.cancel()];
  set_button(row.querySelector(".stop"), stop, item.path);
}

function draw_folder(item, row) {
  const { file, state, uploader } = item;
  const is_sending = state === "running" && uploader;
  put(row.querySelector(".now"), (is_sending || state === "failed") && uploader ? uploader.current_file : "");
  if (!lists.has(item)) lists.set(item, new Files(row.querySelector("details"), item));
  lists.get(item).draw();
  if (state === "finished" && !told.has(item)) tell(item, row.querySelector(".told"));
}

async function tell(item, list) { // what became of the files
  told.add(item);
  const answer = await fetch(`/api/frontend/result?id=${item.upload_id}`).then((answer) => answer.json()).catch(() => ({}));
  const { renamed = [], renamed_count = 0, left_out_count = 0 } = answer;
  const left_out = (item.uploader && item.uploader.left_out) || [];
  const missing = Math.max(left_out.length, left_out_count);
  const lines = [
    ...left_out.slice(0, 100).map((path) => ["missing", `${isolated(path)} could not be read and was left out.`]),
    ...renamed.map(([from, to]) => ["", `${isolated(from)} is now ${isolated(to)}.`]),
  ];
  const more = missing + renamed_count - lines.length;
  if (more > 0) lines.push(["", `And ${count(more)} more.`]);
  list.replaceChildren(...lines.map(([kind, text]) => Object.assign(document.createElement("li"), { className: kind, textContent: text })));
  list.hidden = !lines.length;
  if (lines.length) say(`${item.path} has arrived. ${left_out.length} left out, ${renamed_count} renamed.`);
}

function describe({ state, message, file, bytes_acked, uploader }) {
  const { files_total } = file; // of a folder
  if (state === "finished") return `Finished · ${files_total ? stored_of(file, new Set(uploader.left_out)) : size(file.size)}`;
  if (state === "failed") return message;
  if (state === "cancelled") return message || "Cancelled.";
  const sizes = bytes_acked ? `${percent(bytes_acked / file.size)} · ${size(bytes_acked)} of ${size(file.size)}` : size(file.size);
  const amount = files_total ? `${sizes} · ${uploader && bytes_acked ? `${number(uploader.files_acked)} of ` : ""}${count(files_total)}` : sizes;
  if (uploader && uploader.cancelling) return "Cancelling.";
  if (state !== "running") return `${state === "paused" ? "Paused" : "Waiting"} · ${amount}`;
  if (!uploader) return message || `Starting · ${amount}`;
  if (!uploader.bytes_per_s || bytes_acked === file.size) return `${amount} · ${uploader.state_msg}`;
  return `${amount} · ${size(uploader.bytes_per_s)}/s${time_left(uploader.seconds_left)}`;
}

function stored_of({ entries }, left_out) { // how many files of a folder the app has, and their size
  const files = entries.filter((entry) => entry.file && !left_out.has(entry.path));
  return `${count(files.length)} · ${size(files.reduce((sum, file) => sum + file.size, 0))}`;
}

function draw_total() {
  const sum = queue.totals();
  const { failed } = sum;
  const busy = sum.waiting + sum.running + sum.paused;
  show(element("total"), queue.items.length > 0);
  const what = lists.size ? (sum.files === 1 ? "upload" : "uploads") : sum.files === 1 ? "file" : "files";
  put(element("headline"), `${sum.finished} of ${sum.files} ${what} finished${failed ? `, ${failed} failed` : ""}`);
  element("bar").value = sum.frac_complete;
  put(element("numbers"), `${percent(sum.frac_complete)} · ${size(sum.bytes_acked)} of ${size(sum.bytes_total)}`
    + (sum.bytes_per_s ? ` · ${size(sum.bytes_per_s)}/s${time_left(sum.seconds_left)}` : ""));
  show(element("pause"), queue.items.some((item) => item.can_pause));
  show(element("resume"), sum.paused > 0);
  show(element("retry"), queue.items.some((item) => item.can_retry));
  show(element("cancel"), queue.items.some((item) => item.can_cancel));
  show(element("clear"), sum.finished + sum.cancelled > 0);
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
    const [what, input] = upload.files_total === undefined ? ["Choose file", "files"] : ["Choose folder", "folder"];
    set_button(row.querySelector(".go"), [what, () => choose(input, upload)], upload.filename);
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

function remove_row(item) {
  const row = rows.get(item);
  if (row.contains(document.activeElement)) (row.nextElementSibling || element("total")).focus();
  row.remove();
  rows.delete(item);
  lists.delete(item);
}

function forget(upload) {
  incoming.forget(upload.upload_id);
  unfinished = uploads_of_earlier_visits();
  draw_unfinished();
  (unfinished.length ? element("unfinished") : element("choose_files")).focus();
}

async function refresh() { // the list of what is stored
  refreshing = undefined;
  const text = await fetch("/").then((answer) => answer.ok && answer.text()).catch(() => ""); // the app may be down
  if (!text || element("stored").contains(document.activeElement)) return;
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

const isolated = (name) => `\u2068${name}\u2069`; // a name that turns text, such as \u202e, turns only itself
const number = (value) => value.toLocaleString("en");
const count = (files) => `${number(files)} ${files === 1 ? "file" : "files"}`;
const percent = (fraction) => `${Math.floor(100 * fraction)} %`;
const size = (bytes) => bytes < 1e3 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB`
  : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
const time_left = (s) => s === null ? "" : s < 60 ? ` · ${Math.ceil(s)}\u00a0s\u00a0left`
  : s < 3600 ? ` · ${Math.ceil(s / 60)}\u00a0min\u00a0left` : ` · ${Math.floor(s / 3600)}\u00a0h ${Math.floor(s % 3600 / 60)}\u00a0min\u00a0left`;

// ---- what the user does ----

function start() {
  incoming.set_server_hostname(new URL(element("library").href).host);
  element("choose_files").hidden = element("choose_folder").hidden = false;
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
  element("clear").onclick = () => queue.clear("finished", "cancelled");
  window.ondragover = window.ondragenter = (event) => drag(event, event.dataTransfer.types.includes("Files"));
  window.ondragleave = (event) => drag(event, event.relatedTarget !== null);
  window.ondrop = (event) => {
    drag(event, false);
    dropped(event.dataTransfer);
  };
  window.onbeforeunload = (event) => { // "Leave the page?"
    if (queue.items.some((item) => !item.ended)) event.preventDefault();
  };
  unfinished = uploads_of_earlier_visits();
  draw_unfinished();
  setInterval(draw, 1000); // speeds change without events, too
}

function drag(event, over) {
  event.preventDefault(); // or the browser opens the file itself
  document.body.classList.toggle("dragging", over);
}

start();
