// A page for the tests of the queue: uploads that continue when a test says so, and a clock.

import { mock } from 'node:test';

const built = process.env.INCOMING_TEST_LIBRARY || '';
const QUEUE = new URL(`../../static/queue${built.includes('.min.') ? '.min' : ''}.mjs`, import.meta.url);

/** What the queue sees of an uploader: it does nothing by itself. */
export class Uploader extends EventTarget {
  constructor(upload_id, file, options) {
    super();
    Object.assign(this, { upload_id, file, options, calls: [], can_pause: true, can_cancel: true, bytes_acked: 0, retrying: false });
  }

  start() { this.calls.push('start'); }

  pause(what) { this.calls.push(what); return this; }

  cancel() { this.calls.push('cancel'); this.can_cancel = this.can_pause = false; }

  // What a test lets happen.

  says(event, values = {}) { Object.assign(this, values).dispatchEvent(new Event(event)); }

  ack(bytes) { this.says('progress', { bytes_acked: bytes }); }

  arrive() {
    this.ack(this.file.size);
    this.can_cancel = this.can_pause = false;
  }

  finish() { this.says('finished'); }

  fail(code) { this.says('error', { error_code: code, error_msg: `Error ${code}.` }); }
}

/** The library that is in the page already: an upload of an earlier visit waits for its file. */
export const incoming = { version: '0.3.0', Uploader, texts: {}, begun: [], unfinished: () => [...incoming.begun], matches: ({ filename }, { name }) => filename === name };
const listeners = new Map();
globalThis.window = {
  incoming,
  addEventListener: (name, listener) => listeners.set(listener, name),
  removeEventListener: (name, listener) => listeners.delete(listener),
};

/** Fires an event of the window. */
export function fire(name) {
  [...listeners].filter(([, heard]) => heard === name).forEach(([listener]) => listener());
}

/** How many listen to the window. */
export const listening = () => listeners.size;

/** What a browser would have reported as an error of the page. */
export const reported = [];
globalThis.reportError = (error) => reported.push(error.message);

globalThis.requestAnimationFrame = () => 0; // the page is hidden
globalThis.cancelAnimationFrame = () => {};

mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
let now_ms = 0;
performance.now = () => now_ms;

/** Lets promises settle that can be settled. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Lets time pass. */
export async function pass(seconds) {
  for (let left_ms = seconds * 1000; left_ms > 0; left_ms -= 50) {
    now_ms += 50;
    mock.timers.tick(50);
    await settled();
  }
}

export const { Queue, check_file, files_of, formats, is_accepted, ticket_from } = await import(QUEUE);

export const file_of = (size = 100, name = 'a.txt', more = {}) => ({ size, name, type: 'text/plain', lastModified: 1, ...more });

export const states = (queue) => queue.items.map(({ state }) => state).join(' ');

/** A queue of so many files of 100 bytes, two at a time. */
export async function queue_of(count, options = {}) {
  let tickets = 0;
  const queue = new Queue({ at_once: 2, get_ticket: async () => `ticket ${++tickets}`, ...options });
  for (let n = 1; n <= count; n += 1) queue.add(file_of(), { path: `${n}.txt` });
  await settled();
  return queue;
}
