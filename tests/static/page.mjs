// The browser's edge, driven by hand: a page with its clock, sockets, files and network, for the tests beside this.
//
// static/incoming.js is loaded for real, into a context of its own; only what a browser would give it is made here.
// Time passes in `page.pass(seconds)` alone, and randomness is 0.5 unless a test says otherwise.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import vm from 'node:vm';

const LIBRARY = new URL('../../static/incoming.js', import.meta.url);
export const KIB = 1024;

/** Lets every promise that can be settled settle. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

class Clock {
  now_ms = 0; // whole milliseconds: sums of tenths of seconds are not what they seem
  timers = new Map();
  next_id = 1;

  set(callback, ms, every_ms) {
    const id = this.next_id++;
    this.timers.set(id, { at_ms: this.now_ms + Math.round(ms || 0), callback, every_ms });
    return id;
  }

  async pass(seconds) {
    const end_ms = this.now_ms + Math.round(seconds * 1000);
    await settled();
    for (;;) {
      const due = [...this.timers].filter(([, t]) => t.at_ms <= end_ms).sort((a, b) => a[1].at_ms - b[1].at_ms)[0];
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
}

/** A file whose reading a test can spoil: `file.trouble` is null, 'missing', 'shorter' or 'stuck'. */
export class FakeFile {
  constructor(size, name = 'holiday.mp4', root = null, start = 0) {
    Object.assign(this, { size, name, root: root || this, start });
    this.trouble = null;
  }

  get [Symbol.toStringTag]() {
    return 'File';
  }

  slice(from, to = this.size) {
    const first = from < 0 ? Math.max(0, this.size + from) : Math.min(from, this.size);
    return new FakeFile(Math.max(0, Math.min(to, this.size) - first), undefined, this.root, this.start + first);
  }

  get end() {
    return this.start + this.size;
  }
}

function file_reader_of(page) {
  return class FileReader {
    readAsArrayBuffer(blob) {
      page.reads.push([blob.start, blob.end]);
      const { trouble } = blob.root;
      if (trouble === 'stuck') return;
      // A slice without bytes can always be read, whatever happened to the file (seen in Chromium and Firefox).
      const fails = trouble === 'missing' && (blob.size > 0 || blob === blob.root);
      queueMicrotask(() => {
        if (fails) {
          this.error = new Error('NotFoundError');
          this.onerror();
        } else {
          this.result = { byteLength: trouble === 'shorter' ? 0 : blob.size };
          this.onload();
        }
      });
    }
  };
}

function web_socket_of(page) {
  return class WebSocket {
    constructor(url) {
      if (page.bad_address) throw new SyntaxError('bad address');
      Object.assign(this, { url, readyState: 0, bufferedAmount: 0, said: [], close_code: null });
      page.sockets.push(this);
    }

    send(data) {
      assert.equal(this.readyState, 1, 'nothing may be sent over a socket that is not open');
      this.said.push(typeof data === 'string' ? JSON.parse(data) : data);
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

    confirms(offset = 0, chunk_kib = 1, send_ahead = 4) {
      this.hears('MsgUploadConf', { ChunkSizeKB: chunk_kib, FilePos: offset, SendAhead: send_ahead });
    }

    acknowledges(bytes = KIB, times = 1) {
      for (let i = 0; i < times; i++) this.hears('MsgChunkAck', { ChunkSize: bytes });
    }

    breaks(code = 1006, reason = '') {
      this.readyState = 3;
      if (this.onclose) this.onclose({ code, reason, wasClean: code !== 1006 });
    }

    // What a test looks at.

    get messages() {
      return this.said.filter((m) => !(m instanceof FakeFile));
    }

    get message_types() {
      return this.messages.map((m) => m.MsgType);
    }

    get chunks() {
      return this.said.filter((m) => m instanceof FakeFile).map((chunk) => [chunk.start, chunk.end]);
    }
  };
}

/** A page that has loaded the library. */
export class Page {
  constructor({ protocol = 'http:', host = 'app.example:8000' } = {}) {
    this.clock = new Clock();
    this.sockets = [];
    this.reads = [];
    this.reported = [];
    this.bad_address = false;
    this.listeners = {};
    this.navigator = { onLine: true };
    this.random = 0.5;
    const listen = (name, callback) => (this.listeners[name] ??= []).push(callback);
    this.document = { visibilityState: 'visible', addEventListener: listen };
    this.context = vm.createContext({
      location: { protocol, host },
      navigator: this.navigator,
      document: this.document,
      addEventListener: listen,
      WebSocket: web_socket_of(this),
      FileReader: file_reader_of(this),
      setTimeout: (callback, ms) => this.clock.set(callback, ms),
      clearTimeout: (id) => this.clock.timers.delete(id),
      setInterval: (callback, ms) => this.clock.set(callback, ms, ms),
      clearInterval: (id) => this.clock.timers.delete(id),
      reportError: (error) => this.reported.push(error),
    });
    this.context.window = this.context;
    this.context.random = () => this.random;
    vm.runInContext('Math.random = random; delete globalThis.random;', this.context);
    this.globals_before = Object.keys(this.context);
    vm.runInContext(readFileSync(LIBRARY, 'utf8'), this.context, { filename: 'incoming.js' });
    this.incoming = this.context.incoming;
  }

  pass(seconds) {
    return this.clock.pass(seconds);
  }

  fire(name) {
    this.listeners[name].forEach((callback) => callback({ type: name }));
  }

  /** The newest connection. */
  get socket() {
    return this.sockets[this.sockets.length - 1];
  }

  /** An uploader that is watched: `events` holds what was called back, `seen` the properties at each onprogress. */
  uploader(file = new FakeFile(10 * KIB), id = 'ticket-1') {
    const uploader = this.incoming.Uploader(id, file);
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

  /** The library dials, the server agrees to go on at `offset`. */
  async connects(offset) {
    await this.pass(0);
    this.socket.open();
    this.socket.confirms(offset);
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
