// The browser's edge, driven by hand: a page with its clock, sockets, files, worker and network, for the tests beside this.
//
// static/incoming.js is loaded for real, into a context of its own; only what a browser would give it is made here.
// INCOMING_TEST_LIBRARY names another built file to be tested in its place.
// Time passes in `page.pass(seconds)` alone, and randomness is 0.5 unless a test says otherwise.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import vm from 'node:vm';
import { FakeBlob, FakeFile, file_reader_of } from './files.mjs';

export { FakeFile, StreamedFile, crc32c } from './files.mjs';

const LIBRARY = process.env.INCOMING_TEST_LIBRARY || new URL('../../static/incoming.js', import.meta.url);
const BEGAN_MS = Date.UTC(2026, 10, 23);
export const KIB = 1024;
const FRAME_MS = 16;

/** mulberry32: a small generator of numbers from 0 to 1. */
export function chance_of(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Lets every promise that can be settled settle. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

class Clock {
  now_ms = 0; // whole milliseconds: sums of tenths of seconds are not what they seem
  timers = new Map();
  next_id = 1;
  grain_ms = 1; // timers of the page come at multiples of it only, as those of hidden pages do

  set(callback, ms, every_ms) {
    const at_ms = this.now_ms + Math.round(ms || 0);
    return this.at(Math.ceil(at_ms / this.grain_ms) * this.grain_ms, callback, every_ms);
  }

  at(at_ms, callback, every_ms) {
    const id = this.next_id++;
    this.timers.set(id, { at_ms, callback, every_ms });
    return id;
  }

  async pass(seconds) {
    const end_ms = this.now_ms + Math.round(seconds * 1000);
    await settled();
    for (;;) {
      let due = null;
      for (const entry of this.timers) {
        if (entry[1].at_ms <= end_ms && (!due || entry[1].at_ms < due[1].at_ms)) due = entry;
      }
      if (!due) break;
      const [id, timer] = due;
      this.now_ms = Math.max(this.now_ms, timer.at_ms);
      if (timer.every_ms) timer.at_ms += timer.every_ms;
      else this.timers.delete(id);
      timer.callback();
      await settled();
    }
    this.now_ms = end_ms;
  }

  /** The machine sleeps: the time is another, and whatever was due comes once. */
  sleeps(seconds) {
    this.now_ms += seconds * 1000;
    for (const timer of this.timers.values()) timer.at_ms = Math.max(timer.at_ms, this.now_ms);
  }
}

/** What the library says in a chunk: where it belongs, its checksum, its bytes, and whether it is part of the file. */
function read_chunk(message) {
  const is_slice = message instanceof FakeBlob;
  const bytes = message.bytes ? message.bytes() : new Uint8Array(message.slice(0)); // it is used again
  const header = new DataView(bytes.buffer, bytes.byteOffset, 16);
  const from = header.getUint32(0) * 2 ** 32 + header.getUint32(4);
  const [crc, round] = [header.getUint32(8), header.getUint32(12)];
  return { from, end: from + bytes.length - 16, crc, round, bytes: bytes.subarray(16), is_slice };
}

function web_socket_of(page) {
  return class WebSocket {
    constructor(url) {
      if (page.bad_address) throw new SyntaxError('bad address');
      Object.assign(this, { url, readyState: 0, said: [], close_code: null });
      page.sockets.push(this);
    }

    send(data) {
      assert.equal(this.readyState, 1, 'nothing may be sent over a socket that is not open');
      if (typeof data === 'string') this.said.push(JSON.parse(data));
      else this.said.push(page.on_chunk ? page.on_chunk(this, data) : read_chunk(data));
    }

    close(code) {
      this.close_code = code;
      this.readyState = 2;
    }

    // What a test lets the other side do.

    open() {
      this.readyState = 1;
      this.onopen({});
    }

    hears(type, data) {
      this.hears_text(JSON.stringify({ MsgType: type, MsgData: data }));
    }

    hears_text(text) {
      assert.equal(this.readyState, 1, 'a browser delivers no message to a closing socket');
      this.onmessage({ data: text });
    }

    /** In chunks of 1 KiB, 4 of them ahead, unless a test says otherwise. */
    confirms(offset = 0, terms = {}) {
      this.hears('MsgUploadConf', {
        Version: 2, Offset: offset, MaxChunkBytes: KIB, MaxWindowBytes: 4 * KIB, SilenceS: 10, Compare: [], Arrived: false,
        FileName: 'holiday.mp4', FileLastModifiedMs: 0, ...terms,
      });
    }

    stores(offset, more = {}) {
      this.hears('MsgStored', { Offset: offset, ...more });
    }

    wants_again(offset, round) {
      this.hears('MsgResend', { Offset: offset, Round: round });
    }

    news(news, retry_after_s = 0, members = {}) {
      this.hears('MsgNews', { News: news, RetryAfterS: retry_after_s, ...members });
    }

    finishes() {
      this.hears('MsgAllDone', { Success: true, Crc32c: 0 });
    }

    /** Says what went wrong and closes, as the server does. */
    refuses(number, word, more = {}) {
      this.hears('MsgError', {
        ErrorCode: number, Code: word, Msg: 'No.', Retryable: false,
        FileName: '', FileLengthBytes: 0, FileLastModifiedMs: 0, ...more,
      });
      this.breaks(1000);
    }

    breaks(code = 1006, reason = '') {
      this.readyState = 3;
      if (this.onclose) this.onclose({ code, reason, wasClean: code !== 1006 });
    }

    // What a test looks at.

    get messages() {
      return this.said.filter((m) => m.MsgType);
    }

    get message_types() {
      return this.messages.map((m) => m.MsgType);
    }

    get chunks() {
      return this.said.filter((m) => !m.MsgType).map(({ from, end }) => [from, end]);
    }

    /** The members of the newest message of this type. */
    last(type) {
      return this.messages.filter((m) => m.MsgType === type).at(-1)?.MsgData;
    }
  };
}

/** Plain HTTP, answered by hand. While `page.http_status` is set, that is the answer to everything, and it has no body. */
function xml_http_request_of(page) {
  return class XMLHttpRequest extends EventTarget {
    headers = {};
    status = 0;
    responseText = '';
    answer_headers = {};
    is_over = false;

    open(method, url) {
      Object.assign(this, { method, url });
    }

    setRequestHeader(name, value) {
      this.headers[name] = value;
    }

    getResponseHeader(name) {
      return this.answer_headers[name] ?? null;
    }

    send(body) {
      this.body = body;
      page.requests.push(this);
      if (page.http_status) page.later(() => this.is_over || this.answers(page.http_status));
    }

    abort() {
      this.is_aborted = true;
      if (!this.is_over) this.end('abort');
    }

    end(event) {
      this.is_over = true;
      for (const name of [event, 'loadend']) if (this['on' + name]) this['on' + name]();
      this.dispatchEvent(new Event('loadend'));
    }

    // What a test lets the other side do.

    answers(status, text = '', headers = {}) {
      assert.equal(this.is_over, false, 'it was answered or given up already');
      Object.assign(this, { status, responseText: text, answer_headers: headers });
      this.end('load');
    }

    says(type, data = {}, headers = {}) {
      this.answers(200, JSON.stringify({ MsgType: type, MsgData: data }), headers);
    }

    refuses(status, word, more = {}, headers = {}) {
      const error = { ErrorCode: 99, Code: word, Msg: 'No.', Retryable: true, FileName: '', FileLengthBytes: 0, FileLastModifiedMs: 0 };
      this.answers(status, JSON.stringify({ MsgType: 'MsgError', MsgData: { ...error, ...more } }), headers);
    }

    breaks() {
      this.end('error');
    }

    // What a test looks at.

    get path() {
      return `${this.method} ${this.url.replace(/.*\/uploads\//, '')}`;
    }

    get message() {
      return JSON.parse(this.body);
    }
  };
}

/**
 * A worker whose script is really run, in a context of its own. `page.no_worker` spoils those that are made from then on:
 * 'throws' and 'fails' as browsers refuse one, 'silent' never loads, 'inert' is an object that an extension has put there.
 */
function worker_of(page) {
  return class Worker {
    constructor(url) {
      page.workers.push(this);
      if (page.no_worker === 'throws') throw new Error('SecurityError');
      if (page.no_worker === 'inert') return {};
      if (page.no_worker === 'fails') page.later(() => this.fails());
      if (page.no_worker) return;
      const { navigator } = page;
      const ArrayBuffer = class extends globalThis.ArrayBuffer {
        constructor(bytes) {
          if (bytes > page.memory_bytes) throw new RangeError('Array buffer allocation failed');
          super(bytes);
        }
      };
      const sockets = this.sockets = [];
      const WebSocket = class extends page.WebSocket {
        constructor(url) {
          super(url);
          sockets.push(this);
        }
      };
      this.context = vm.createContext({ ArrayBuffer, FileReader: file_reader_of(page), WebSocket, navigator });
      this.context.self = this.context;
      this.context.compile = (Module, bytes) => {
        page.wasm_tries += 1;
        if (page.no_wasm) throw new Error('CompileError');
        return new Module(bytes);
      };
      const watch = '{ const { Module } = WebAssembly; WebAssembly.Module = function (bytes) { return compile(Module, bytes); }; }';
      vm.runInContext(watch, this.context);
      this.context.postMessage = (data) => this.pass(data, () => this.onmessage({ data }));
      vm.runInContext(page.object_urls.get(url).text(), this.context, { filename: 'worker.js' });
    }

    postMessage(data) {
      this.pass(data, () => {
        if (this.throws_at === data.action) this.fails();
        else this.context.onmessage({ data });
      });
    }

    /** A browser ends it, and tells nobody. */
    dies() {
      this.context = null;
    }

    terminate() {
      this.dies();
      for (const socket of this.sockets || []) socket.readyState = 3;
    }

    fails() {
      this.onerror({ preventDefault() {} });
    }

    /** What sockets say passes at once, or each test would have to wait for it. Reading takes its time. */
    pass(data, deliver_now) {
      const deliver = () => this.context && deliver_now();
      const is_said = data.event && data.event !== 'refused'; // a constructor could not tell it
      if (is_said || ['dial', 'send', 'close'].includes(data.action)) deliver();
      else page.later(deliver);
    }
  };
}

/** localStorage: `page.storage` holds what is in it, and may be made null: then it is forbidden. */
function local_storage_of(page) {
  return {
    get length() {
      return page.storage.size;
    },
    key: (i) => [...page.storage.keys()][i] ?? null,
    getItem: (key) => page.storage.get(key) ?? null,
    setItem: (key, value) => {
      if (page.storage_is_full) throw new Error('QuotaExceededError');
      page.storage_writes += 1;
      page.storage.set(key, value);
    },
    removeItem: (key) => page.storage.delete(key),
  };
}

/** What the tabs of one browser share: Web Locks, channels and localStorage. */
export class Browser {
  storage = new Map();
  held = new Map(); // name -> the page that has the lock, and how it loses it
  channels = new Set();
  lock_ms = 0; // that a request takes
  trouble = null; // 'denied' or 'hangs': what becomes of requests for a lock

  /** A new tab. */
  tab(options = {}) {
    const page = new Page({ storage: this.storage, ...options });
    page.navigator.locks = { request: (...request) => this.request(page, ...request) };
    page.context.BroadcastChannel = this.channel_of(page);
    page.closes = () => {
      page.is_gone = true;
      for (const [name, { owner }] of this.held) if (owner === page) this.held.delete(name);
    };
    return page;
  }

  request(owner, name, options, callback) {
    return new Promise((resolve, reject) => {
      if (this.trouble === 'hangs') return;
      const later = this.lock_ms ? (callback) => owner.clock.set(callback, this.lock_ms) : queueMicrotask;
      later(() => {
        const before = this.held.get(name);
        if (this.trouble === 'denied') reject(new Error('SecurityError'));
        else if (before && !options.steal) resolve(callback(null));
        else {
          if (before) before.reject(new Error('AbortError'));
          const lock = { owner, reject };
          this.held.set(name, lock);
          const release = () => this.held.get(name) === lock && this.held.delete(name);
          Promise.resolve(callback({ name })).then(release).then(resolve);
        }
      });
    });
  }

  channel_of(page) {
    const { channels } = this;
    return class BroadcastChannel {
      constructor(name) {
        this.name = name;
        channels.add(this);
      }

      postMessage(data) {
        assert.ok(channels.has(this), 'the channel is open');
        const others = [...channels].filter((other) => other !== this && other.name === this.name);
        others.forEach((other) => queueMicrotask(() => other.hears(structuredClone(data))));
      }

      hears(data) {
        if (channels.has(this) && !page.is_gone) this.onmessage({ data });
      }

      close() {
        channels.delete(this);
      }
    };
  }
}

/** Lets the time pass in several tabs. */
export async function pass(seconds, ...pages) {
  for (let i = 0; i < Math.max(1, seconds * 10); i++) {
    for (const page of pages) if (!page.is_gone) await page.pass(seconds ? 0.1 : 0);
  }
}

/** Listeners of window and document alike: names are used once here. */
class Listeners {
  map = new Map();

  add = (name, callback) => {
    if (!this.map.has(name)) this.map.set(name, new Set());
    this.map.get(name).add(callback);
  };

  remove = (name, callback) => this.map.get(name)?.delete(callback);

  fire(event) {
    [...(this.map.get(event.type) ?? [])].forEach((callback) => callback(event));
  }
}

/** A page that has loaded the library. */
export class Page {
  constructor({ protocol = 'http:', host = 'app.example:8000', storage = new Map(), no_worker = null, no_wasm = false, firefox = false, src = null, has = {}, library = LIBRARY } = {}) {
    this.library = library;
    this.clock = new Clock();
    this.sockets = [];
    this.workers = [];
    this.reads = [];
    this.reported = [];
    this.warned = [];
    this.bad_address = false;
    this.no_worker = no_worker;
    this.no_wasm = no_wasm;
    this.wasm_tries = 0;
    this.memory_bytes = Infinity; // for one buffer of the worker
    this.object_urls = new Map();
    this.storage = storage;
    this.storage_writes = 0;
    this.storage_is_full = false;
    this.listeners = new Listeners();
    this.navigator = { onLine: true, userAgent: firefox ? 'Mozilla/5.0 (X11) Gecko/20100101 Firefox/153.0' : 'Mozilla/5.0' };
    this.random = 0.5;
    this.later = queueMicrotask;
    this.fetched = [];
    this.requests = []; // over HTTP
    this.fetch_status = 0; // what plain HTTP answers at the address of WebSockets; 0: nothing
    this.hides_status = false; // from pages of another host
    this.http_status = 0; // what it answers to the requests of an upload; 0: what the test says
    const currentScript = src === null ? null : { src };
    this.document = { currentScript, visibilityState: 'visible', addEventListener: this.listeners.add };
    this.WebSocket = web_socket_of(this);
    this.context = vm.createContext(this.globals(protocol, host));
    this.context.window = this.context;
    Object.assign(this.context, has);
    Object.assign(this.context, { random: () => this.random, now: () => this.now_ms });
    vm.runInContext('Math.random = random; delete globalThis.random; Date.now = now; delete globalThis.now;', this.context);
    this.globals_before = Object.keys(this.context);
    this.load();
    this.incoming = this.context.incoming;
  }

  globals(protocol, host) {
    const page = this;
    return {
      location: { protocol, host },
      navigator: this.navigator,
      document: this.document,
      performance: { now: () => this.clock.now_ms },
      addEventListener: this.listeners.add,
      removeEventListener: this.listeners.remove,
      dispatchEvent: (event) => this.listeners.fire(event),
      CustomEvent,
      Blob: FakeBlob,
      Event,
      EventTarget,
      FileReader: file_reader_of(this),
      WebSocket: this.WebSocket,
      XMLHttpRequest: xml_http_request_of(this),
      URLSearchParams,
      btoa,
      MessageChannel,
      Worker: worker_of(this),
      URL: class extends URL {
        static createObjectURL = (blob) => page.keep_url(blob);
      },
      get localStorage() {
        if (!page.storage) throw new Error('SecurityError');
        return local_storage_of(page);
      },
      setTimeout: (callback, ms) => this.clock.set(callback, ms),
      clearTimeout: (id) => this.clock.timers.delete(id),
      setInterval: (callback, ms) => this.clock.set(callback, ms, ms),
      clearInterval: (id) => this.clock.timers.delete(id),
      requestAnimationFrame: (callback) => (this.document.visibilityState === 'visible' ? this.clock.set(callback, FRAME_MS) : -1),
      cancelAnimationFrame: (id) => this.clock.timers.delete(id),
      fetch: (url, options) => this.fetch(url, options),
      console: { warn: (text) => this.warned.push(text) },
      reportError: (error) => this.reported.push(error),
    };
  }

  load() {
    vm.runInContext(readFileSync(this.library, 'utf8'), this.context, { filename: 'incoming.js' });
  }

  async fetch(url, options) {
    this.fetched.push({ url, ...options });
    const is_hidden = this.hides_status && options.mode !== 'no-cors';
    if (!this.fetch_status || is_hidden) throw new TypeError('Failed to fetch');
    return { status: this.hides_status ? 0 : this.fetch_status };
  }

  keep_url(blob) {
    const url = `blob:${this.object_urls.size}`;
    this.object_urls.set(url, blob);
    return url;
  }

  /** As Date.now() tells it. */
  get now_ms() {
    return BEGAN_MS + this.clock.now_ms;
  }

  pass(seconds) {
    return this.clock.pass(seconds);
  }

  fire(name, more = {}) {
    this.listeners.fire({ type: name, ...more });
  }

  /** The newest request over HTTP that waits for its answer. */
  get request() {
    return this.waiting.at(-1);
  }

  /** All that wait for their answers. */
  get waiting() {
    return this.requests.filter((request) => !request.is_over);
  }

  /** The newest connection. */
  get socket() {
    return this.sockets[this.sockets.length - 1];
  }

  /** An uploader that is watched: `events` holds what was called back, `seen` the properties at each onprogress. */
  uploader(file = new FakeFile(10 * KIB), id = 'ticket-1', options = {}) {
    const uploader = this.incoming.Uploader(id, file, options);
    uploader.events = [];
    uploader.seen = [];
    for (const name of ['onprogress', 'onfinished', 'oncancelled', 'onerror']) {
      uploader[name] = (u) => {
        uploader.events.push(name.slice(2));
        if (name === 'onprogress') uploader.seen.push(look(u));
      };
    }
    return uploader;
  }

  /** A started upload of 10 chunks, 4 sent ahead, nothing acknowledged. */
  async uploading(file = new FakeFile(10 * KIB)) {
    const uploader = this.uploader(file).start();
    await this.connects(0);
    return uploader;
  }

  /** The library dials, the server agrees to go on at `offset`, and the first chunks are sent. */
  async connects(offset, terms = {}) {
    await this.pass(0);
    this.socket.open();
    this.socket.confirms(offset, terms);
    await this.pass(0);
  }

  /** The server stores up to `offset`, and what may follow is sent. */
  async stores(offset) {
    this.socket.stores(offset);
    await this.pass(0);
  }

  /** Passes time in which the server answers pings and nothing else. It ends with the connection. */
  async pass_with_pongs(seconds) {
    const { socket } = this;
    for (let seen = socket.messages.length, passed_s = 0; passed_s < seconds && socket.readyState === 1; passed_s += 1) {
      await this.pass(1);
      for (; seen < socket.messages.length && socket.readyState === 1; seen += 1) {
        if (socket.messages[seen].MsgType === 'MsgPing') socket.hears('MsgPong', {});
      }
    }
  }

  /** Seconds until the library dials again. */
  async seconds_until_dialled(limit_s = 100) {
    const before = this.sockets.length;
    const start_ms = this.clock.now_ms;
    while (this.sockets.length === before) {
      assert.ok(this.clock.now_ms - start_ms < limit_s * 1000, `nobody dialled within ${limit_s} s`);
      await this.pass(0.1);
    }
    return (this.clock.now_ms - start_ms) / 1000;
  }
}

/** All properties of an uploader as plain data. */
export function look(uploader) {
  return JSON.parse(JSON.stringify(uploader, (key, value) => (['events', 'seen'].includes(key) ? undefined : value)));
}

/** The last callbacks, without the progress. */
export function endings(uploader) {
  return uploader.events.filter((name) => name !== 'progress');
}
