// The queue of the dropzone, and the sums over it, in Node: with uploads that go on when a test says so.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

/** The modules are plain .js files: Node takes those for something else, unless they come by a data: URL. */
async function load(name) {
  const source = await readFile(new URL(`../../examples/3-dropzone/${name}`, import.meta.url), "utf-8");
  return import(`data:text/javascript,${encodeURIComponent(source)}`);
}

const { Queue } = await load("queue.js");
const { Totals } = await load("totals.js");
const { dropped_files } = await load("dropped.js");

/** What the queue sees of an uploader: it does nothing by itself. */
class Uploader {
  constructor(upload_id, file) {
    Object.assign(this, { upload_id, file, calls: [], can_pause: true, can_cancel: true, bytes_acked: 0, retrying: false });
  }

  start() { this.calls.push("start"); }

  pause(what) { this.calls.push(what); return this; }

  cancel() { this.calls.push("cancel"); this.can_cancel = this.can_pause = false; }

  ack(bytes) { this.bytes_acked = bytes; this.onprogress(); }

  arrive() { this.ack(this.file.size); this.can_cancel = this.can_pause = false; }

  fail(code) { Object.assign(this, { error_code: code, error_msg: `Error ${code}.` }); this.onerror(); }
}
globalThis.incoming = { Uploader };

const file = (size = 100) => ({ size });
const settled = () => new Promise((resolve) => setImmediate(resolve));
const states = (queue) => queue.items.map(({ state }) => state).join(" ");

async function queue_of(count, options = {}) {
  let tickets = 0;
  const queue = new Queue({ at_once: 2, get_ticket: async () => `ticket ${++tickets}`, onchange() {}, ...options });
  for (let n = 1; n <= count; n += 1) queue.add(file(), `${n}.txt`);
  await settled();
  return queue;
}

test("a few run at once, and each that ends makes room for the next in line", async () => {
  const queue = await queue_of(4);
  assert.equal(states(queue), "running running waiting waiting");
  queue.items[1].uploader.onfinished();
  assert.equal(states(queue), "running finished running waiting");
  queue.items[0].uploader.fail(11);
  assert.equal(states(queue), "failed finished running running");
  assert.equal(queue.items[0].message, "Error 11.");
});

test("a ticket is asked for when there is a place, and not before", async () => {
  const asked = [];
  const queue = await queue_of(3, { get_ticket: async ({ path }) => { asked.push(path); return path; } });
  assert.deepEqual(asked, ["1.txt", "2.txt"]);
  assert.deepEqual(queue.items.map(({ upload_id }) => upload_id), ["1.txt", "2.txt", ""]);
});

test("a file without a ticket fails with the app's words, and makes room", async () => {
  const queue = await queue_of(3, { at_once: 1, get_ticket: () => Promise.reject(new Error("No.")) });
  assert.equal(states(queue), "failed failed failed");
  assert.equal(queue.items[0].message, "No.");
});

test("a paused upload gives its place to the next, and waits for one when it is resumed", async () => {
  const queue = await queue_of(3);
  const [first, , third] = queue.items;
  first.pause();
  assert.equal(states(queue), "paused running running");
  first.resume();
  assert.equal(states(queue), "waiting running running");
  await settled();
  third.uploader.onfinished();
  assert.equal(states(queue), "running running finished");
  assert.deepEqual(first.uploader.calls, ["start", "pause", "unpause"]);
});

test("an upload whose bytes have all arrived can be neither paused nor cancelled", async () => {
  const [item] = (await queue_of(1)).items;
  item.uploader.arrive();
  item.pause();
  assert.equal(item.state, "running");
  assert.equal(item.can_cancel, false);
});

test("one that is paused and resumed while it gets its ticket starts once, with that ticket", async () => {
  let give;
  let asked = 0;
  const get_ticket = () => { asked += 1; return new Promise((resolve) => { give = resolve; }); };
  const [item] = (await queue_of(1, { get_ticket })).items;
  item.pause();
  item.resume();
  give("the ticket");
  await settled();
  assert.equal(asked, 1);
  assert.deepEqual([item.state, item.upload_id, item.uploader.calls], ["running", "the ticket", ["start"]]);
});

test("one that is paused or cancelled while it gets its ticket does not start", async () => {
  const gives = [];
  const queue = await queue_of(2, { get_ticket: () => new Promise((resolve) => gives.push(resolve)) });
  const [paused, cancelled] = queue.items;
  paused.pause();
  cancelled.cancel();
  gives.forEach((give, n) => give(`ticket ${n}`));
  await settled();
  assert.equal(states(queue), "paused cancelled");
  assert.deepEqual([paused.uploader, cancelled.uploader], [null, null]);
  paused.resume();
  await settled();
  assert.equal(paused.uploader.upload_id, "ticket 0");
});

test("a cancelled upload keeps its place until the server knows", async () => {
  const queue = await queue_of(3);
  const [item] = queue.items;
  item.cancel();
  assert.equal(states(queue), "running running waiting");
  Object.assign(item.uploader, { cancel_msg: "By the user." }).oncancelled();
  assert.equal(states(queue), "cancelled running running");
  assert.equal(item.message, "By the user.");
});

test("all are paused, resumed and cancelled without a single one starting in between", async () => {
  const asked = [];
  const queue = await queue_of(5, { get_ticket: async ({ path }) => { asked.push(path); return path; } });
  queue.pause();
  assert.equal(states(queue), "paused paused paused paused paused");
  queue.resume();
  assert.equal(states(queue), "running running waiting waiting waiting");
  queue.items[1].pause();
  await settled();
  queue.cancel();
  await settled();
  assert.equal(states(queue), "running paused running cancelled cancelled");
  queue.items.slice(0, 3).forEach(({ uploader }) => uploader.oncancelled());
  assert.equal(states(queue), "cancelled cancelled cancelled cancelled cancelled");
  assert.deepEqual(asked, ["1.txt", "2.txt", "3.txt"]);
});

test("what has failed is tried again from the start with a new ticket", async () => {
  const queue = await queue_of(1);
  const [item] = queue.items;
  item.uploader.ack(40);
  item.uploader.fail(32);
  queue.retry();
  await settled();
  assert.deepEqual([item.state, item.uploader.upload_id, item.bytes_acked], ["running", "ticket 2", 0]);
});

test("a file that could not be read goes on with its ticket when it is tried again", async () => {
  const queue = await queue_of(1);
  const [item] = queue.items;
  item.uploader.ack(40);
  item.uploader.fail(100);
  item.retry();
  await settled();
  assert.deepEqual([item.state, item.uploader.upload_id, item.bytes_acked], ["running", "ticket 1", 40]);
});

test("an upload that waits for the network tries at once when it is told to", async () => {
  const queue = await queue_of(2);
  queue.items[0].uploader.retrying = true;
  queue.retry();
  assert.deepEqual(queue.items.map(({ uploader }) => uploader.calls), [["start", "pause", "unpause"], ["start"]]);
});

test("an upload of an earlier visit goes on with its ticket, and its bar never goes back", async () => {
  const queue = await queue_of(0);
  const item = queue.add(file(), "old.txt", { upload_id: "old", bytes_acked: 60 });
  await settled();
  assert.equal(item.uploader.upload_id, "old");
  item.uploader.ack(0);
  assert.equal(item.bytes_acked, 60);
  item.uploader.ack(70);
  assert.equal(item.bytes_acked, 70);
  assert.equal(queue.moved_bytes, 10);
});

test("only what has ended can be taken off the list", async () => {
  const queue = await queue_of(2);
  const [first, second] = queue.items;
  first.uploader.onfinished();
  queue.remove(first);
  queue.remove(second);
  assert.deepEqual(queue.items, [second]);
});

test("whoever draws is told of every change", async () => {
  const drawn = [];
  const queue = await queue_of(1, { onchange: ({ state, bytes_acked }) => drawn.push(`${state} ${bytes_acked}`) });
  const { uploader } = queue.items[0];
  uploader.ack(50);
  uploader.arrive();
  uploader.onfinished();
  assert.deepEqual(drawn, ["waiting 0", "running 0", "running 50", "running 100", "finished 100"]);
});

test("totals count what was not cancelled", async () => {
  const queue = await queue_of(4);
  const totals = new Totals(queue);
  queue.items[3].cancel();
  queue.items[0].uploader.arrive();
  queue.items[0].uploader.onfinished();
  queue.items[1].uploader.ack(50);
  const { files, finished, bytes_total, bytes_acked, frac_complete } = totals.at(0);
  assert.deepEqual({ files, finished, bytes_total, bytes_acked, frac_complete },
    { files: 3, finished: 1, bytes_total: 300, bytes_acked: 150, frac_complete: 0.5 });
});

test("totals of empty files count files", async () => {
  const queue = await queue_of(0);
  const totals = new Totals(queue);
  assert.equal(totals.at(0).frac_complete, 0);
  queue.add(file(0), "a");
  queue.add(file(0), "b");
  await settled();
  queue.items[0].uploader.onfinished();
  assert.equal(totals.at(0).frac_complete, 0.5);
});

test("the speed is that of the last seconds, over all files", async () => {
  const queue = await queue_of(2);
  const totals = new Totals(queue);
  assert.equal(totals.at(0).bytes_per_s, 0);
  queue.items[0].uploader.ack(10);
  assert.deepEqual([totals.at(500).bytes_per_s, totals.at(500).seconds_left], [0, null], "too early to tell");
  queue.items[1].uploader.ack(20);
  assert.equal(totals.at(2000).bytes_per_s, 15);
  assert.equal(totals.at(2000).seconds_left, 170 / 15);
  for (let s = 3; s <= 20; s += 1) totals.at(s * 1000);
  assert.deepEqual([totals.at(20_000).bytes_per_s, totals.at(20_000).seconds_left], [0, null], "it stands");
});

test("a pause does not make the speed after it lower", async () => {
  const queue = await queue_of(1);
  const totals = new Totals(queue);
  totals.at(0);
  queue.items[0].uploader.ack(20);
  assert.equal(totals.at(2000).bytes_per_s, 10);
  queue.pause();
  assert.equal(totals.at(60_000).bytes_per_s, 0);
  queue.resume();
  totals.at(61_000);
  queue.items[0].uploader.ack(40);
  assert.equal(totals.at(63_000).bytes_per_s, 10);
});

test("there is no speed while no upload has a connection", async () => {
  const queue = await queue_of(2);
  const totals = new Totals(queue);
  totals.at(0);
  queue.items[0].uploader.ack(20);
  queue.items[0].uploader.retrying = true;
  assert.equal(totals.at(2000).bytes_per_s, 10, "the other one goes on");
  queue.items[1].uploader.retrying = true;
  assert.equal(totals.at(2100).bytes_per_s, 0);
});

// ---- what is dropped: entries as browsers give them ----

const file_entry = (fullPath, readable = true) => ({
  fullPath, name: fullPath.split("/").pop(), isDirectory: false,
  file: (resolve, reject) => (readable ? resolve(`content of ${fullPath}`) : reject(new Error("gone"))),
});

function folder_entry(fullPath, children, readable = true) {
  const createReader = () => {
    const left = [...children];
    return { readEntries: (resolve, reject) => (readable ? resolve(left.splice(0, 100)) : reject(new Error("no"))) };
  };
  return { fullPath, name: fullPath.split("/").pop(), isDirectory: true, createReader };
}

async function dropped(...entries) {
  const found = [];
  const items = entries.map((entry) => ({ webkitGetAsEntry: () => entry }));
  for await (const { path, file: content } of dropped_files({ items })) found.push([path, content]);
  return found;
}

test("a folder is walked to its end, in the order that a person would expect", async () => {
  const many = Array.from({ length: 250 }, (_, n) => file_entry(`/album/photos/${250 - n}.jpg`));
  const found = await dropped(file_entry("/a.txt"), folder_entry("/album", [folder_entry("/album/photos", many), folder_entry("/album/empty", [])]));
  assert.deepEqual(found[0], ["a.txt", "content of /a.txt"]);
  assert.deepEqual(found.slice(1).map(([path]) => path), Array.from({ length: 250 }, (_, n) => `album/photos/${n + 1}.jpg`));
});

test("what can't be read is named, and keeps nothing else away", async () => {
  const album = folder_entry("/album", [file_entry("/album/1", false), folder_entry("/album/2", [], false), file_entry("/album/3")]);
  assert.deepEqual(await dropped(album), [["album/1", null], ["album/2", null], ["album/3", "content of /album/3"]]);
});

test("a dropped text is no file", async () => {
  assert.deepEqual(await dropped(null), []);
});
