/// <reference path="incoming.d.ts" />
/*!
 * incoming.js 0.3.0: uploads to an Incoming!! server. MIT license.
 */
// Sends files of any size, and resumes by itself after whatever happens. How to use it: docs/javascript.md. Types: incoming.d.ts.
// The only global is `incoming`.
(function () {
  'use strict';

  if (typeof window === 'undefined') return; // imported where pages are made, not shown: there is nothing to do
  const { incoming: loaded } = /** @type {any} */ (window);
  if (loaded && loaded.version && loaded.Uploader) return; // loaded twice: the first one has the uploads

  const VERSION = '0.3.0';

  // An upload is in one of nine states. Everything that a page can see is derived from the state and from a few
  // counters (`PROPERTIES`, near the end), and `MOVES` is the only way from one state to another.
  //
  // Whether there is a connection is another matter: connections come and go, and an upload that is `running`
  // stays `running` without one. So a state says what is *wanted* (`online`: a connection), and `settle` makes
  // it so, after every event. What to say over a new connection follows from the state, too: an upload that is
  // cancelled while the network is down says so when it is back.
  //
  // A user's cancel needs an answer: it can come too late. Once all bytes have arrived the app may have the file
  // already, and then that counts.

  /** @typedef {'new'|'held'|'running'|'paused'|'arrived'|'cancelling'|'finished'|'cancelled'|'failed'} State */
  /** @typedef {'start'|'pause'|'unpause'|'cancel'|'arrive'|'rewind'|'call_off'|'fail'|'finish'} Move */

  /** @type {Record<State, Partial<Record<Move, State>>>} */
  const MOVES = {
    new: { start: 'running', pause: 'held', cancel: 'cancelling' },
    held: { start: 'paused', unpause: 'new', cancel: 'cancelling' }, // paused before it was started
    paused: { unpause: 'running', cancel: 'cancelling' },
    running: {
      pause: 'paused', cancel: 'cancelling', arrive: 'arrived',
      call_off: 'cancelled', fail: 'failed', finish: 'finished',
    },
    arrived: { rewind: 'running', call_off: 'cancelled', fail: 'failed', finish: 'finished' },
    // An error that ends the upload ends it as the user wished.
    cancelling: { arrive: 'arrived', call_off: 'cancelled', fail: 'cancelled', finish: 'finished' },
    finished: {},
    cancelled: {},
    failed: {},
  };

  /**
   * What holds in a state: the sentence for users, and whether a connection is wanted.
   * @type {Record<State, {text: string, online: boolean}>}
   */
  const STATES = {
    new: { text: 'Not started yet.', online: false },
    held: { text: 'Paused.', online: false },
    running: { text: 'Uploading.', online: true },
    paused: { text: 'Paused.', online: false },
    arrived: { text: 'All data has arrived. Waiting for the app to take the file.', online: true },
    cancelling: { text: 'Cancelling.', online: true },
    finished: { text: 'Finished.', online: false },
    cancelled: { text: 'Cancelled.', online: false },
    failed: { text: 'The upload failed.', online: false },
  };

  /** @type {Partial<Record<State, 'finished'|'cancelled'|'error'>>} */
  const ENDINGS = { finished: 'finished', cancelled: 'cancelled', failed: 'error' };

  const NOT_READABLE_NOW = 'The file cannot be read at the moment.';
  const READ_IS_SLOW = 'Reading the file takes long: its drive does not answer.';
  const NO_MEMORY = 'The browser has too little memory at the moment.';
  const WORKER_LOST = 'The browser has stopped the background work of this page.';
  /** By the status of plain HTTP. @type {Record<number, string>} */
  const REFUSALS = {
    426: 'A proxy on the way to the upload server does not pass WebSockets on.',
    429: 'Your network has too many connections to the upload server at the moment.',
  };
  const APP_IS_SILENT = 'All data has arrived. Waiting for the app, which does not answer yet; it is asked again.';

  const UPLOAD_PATH = '/incoming/frontend/upload_ws';
  const TICK_S = 1;
  const CONNECT_PATIENCE_S = 15;
  const WOKEN_PATIENCE_S = 3; // after a sleep or a change of network a connection is probably dead
  const READ_PATIENCE_S = 30; // a network drive that has gone away lets its readers wait for ever
  const SLOW_READ_S = 8; // then the page says what it waits for
  const WORKER_PATIENCE_TICKS = 5; // iOS ends the workers of hidden pages without an event
  const WORKER_START_TICKS = 10; // a busy machine starts one late
  const WORKER_TRIES = 3; // lost in a row; then the page's thread takes over
  const WORKER_PROVEN_MS = 60000; // one that lived longer does not count as lost in a row
  const RETRY_FIRST_S = 1;
  const RETRY_MAX_S = 60;
  const RETRY_JITTER = 0.3; // or all clients of a restarted server come back in the same instant
  const TAKEN_OVER_FIRST_S = 10; // two windows with the same upload must not fight
  const DOUBTFUL_TRIES = 3; // texts have no checksums: without https somebody may have spoilt one
  const SUSPICIOUS_TRIES = 3; // a server that is being restarted is back by then
  const UNREADABLE_TRIES = 3; // a drive that was unplugged, a network share that hiccups

  const KIB = 1024;
  const CHUNK_MIN_BYTES = 8 * KIB;
  const CHUNK_MAX_BYTES = 4096 * KIB;
  const ALLOWED_FOR_MS = 1000; // how long the sizes hold that an acknowledgement has told
  const WINDOW_FIRST_BYTES = 64 * KIB; // a quarter of a second at 2 Mbit/s
  const QUEUE_S = 0.3; // of data beyond what the link itself holds: more makes nothing faster, and pauses late
  const QUEUE_MAX_BYTES = 16 * 1024 * KIB; // four large chunks keep any link busy; all of it is in memory
  const QUEUE_SEEN_MS = 100; // that a chunk takes longer than the fastest did
  const RATE_OVER_MS = 1000;
  const SAMPLE_MIN_MS = 20; // acknowledgements come in bursts: what a shorter time shows means nothing
  const CHUNKS_AHEAD = 3; // whose checksums are asked for while others are on their way
  const PIECE_BYTES = 4096 * KIB; // of a long range that is read for its checksum
  const OWN_PIECE_BYTES = 256 * KIB; // the same in the page's own thread: less than a millisecond
  const BURST_S = 1.5; // timers of a hidden page fire once a second
  const SPEED_SAMPLE_MS = 500;
  const SPEED_OVER_MS = 5000;

  const MEMORY_WRITE_MS = 1000;
  const MEMORY_DAYS = 30;
  const LIVE_MS = 5000; // since an upload was last marked as live: its tab may have crashed
  const OWNER_PATIENCE_TICKS = 10; // iOS stops hidden tabs without closing them

  const CLOSE_NORMAL = 1000; // RFC 6455 section 7.4.1
  const CLOSE_RESTART = 1012; // and its registry
  const CLOSE_TRY_AGAIN_LATER = 1013;
  const CLOSE_TAKEN_OVER = 4001; // the server's own: a newer connection has the ticket

  const CANCELLED_CODE = 30; // of the server's errors, which are below 100
  const UNKNOWN_TICKET_CODE = 11;
  const NOT_UNDERSTOOD_CODES = [20, 21]; // we were not: but we say nothing wrong
  const TICKET_ENDED_CODES = [11, 23, 31, 32, 104]; // after these the ticket will not do for this file any more
  // And these are found here.
  const FILE_UNREADABLE = { code: 100, msg: 'The file can no longer be read: it was changed, moved or deleted.' };
  const NEVER_READABLE = { // a folder that was dropped onto a file input looks like this
    code: 100, msg: 'The file cannot be read: it is a folder, or it was changed, moved or deleted.',
  };
  const FILE_CHANGED = { code: 101, msg: 'The file has changed since it was chosen.' };
  const NOT_UNDERSTOOD = { code: 102, msg: 'The upload server gave an answer that makes no sense.' };
  const BAD_ADDRESS = { code: 103, msg: 'The address of the upload server cannot be used from this page.' };
  const NOT_TAKEN = { code: 104, msg: 'The app did not take the file.' };
  const TOO_OLD = { code: 105, msg: 'The upload server is older than the script of this page.' };

  function ignore() {}

  /** Never goes back, and may stand still while the machine sleeps. */
  function now_ms() {
    return performance.now();
  }

  // ---- the wire: docs/protocol.md, version 2 -----------------------------------------------------------------

  /** @typedef {{offset: number, max_chunk_bytes: number, max_window_bytes: number, silence_s: number,
   *   idle_silence_s: number,   compare: [number, number][], arrived: boolean}} Terms */

  /**
   * What a connection tells its upload: in the first two lines its own news, below the server's messages.
   * @typedef {{type: 'opened'} | {type: 'tick'} | {type: 'lost', code: number, reason: string}
   *   | {type: 'bad_address'} | {type: 'ignored'} | {type: 'not_understood'}
   *   | {type: 'confirmed', terms: Terms} | {type: 'stored', offset: number, max_chunk_bytes: number, max_window_bytes: number}
   *   | {type: 'resend', offset: number, round: number}
   *   | {type: 'news', news: string, retry_after_s: number, why: string} | {type: 'cancel_acknowledged'} | {type: 'finished'}
   *   | {type: 'cancelled', reason: string} | {type: 'error', code: number, msg: string}
   *   | {type: 'passing_error', word: string, msg: string}} News
   */

  /** @type {Record<string, (data: any) => News>} */
  const READERS = {
    MsgUploadConf: (data) => (
      data.Version === 2 ? { type: 'confirmed', terms: terms_of(data) } : { type: 'error', ...TOO_OLD }),
    MsgStored: (data) => ({
      type: 'stored', offset: data.Offset, max_chunk_bytes: Number(data.MaxChunkBytes) || 0,
      max_window_bytes: Number(data.MaxWindowBytes) || 0,
    }),
    MsgResend: (data) => ({ type: 'resend', offset: data.Offset, round: data.Round }),
    MsgNews: (data) => ({
      type: 'news', news: data.News, retry_after_s: Number(data.RetryAfterS) || 0, why: String(data.Why || ''),
    }),
    MsgCancelAck: () => ({ type: 'cancel_acknowledged' }),
    MsgAllDone: (data) => (data.Success ? { type: 'finished' } : { type: 'error', ...NOT_TAKEN }),
    MsgError: read_error,
  };

  /** @param {any} text @returns {News} */
  function read_message(text) {
    try {
      const { MsgType, MsgData } = JSON.parse(text);
      const reader = Object.prototype.hasOwnProperty.call(READERS, MsgType) && READERS[MsgType];
      return reader ? reader(MsgData) : { type: 'ignored' }; // a newer server may say more
    } catch (error) {
      return { type: 'not_understood' };
    }
  }

  /** @param {any} data @returns {Terms} */
  function terms_of(data) {
    return {
      offset: data.Offset, max_chunk_bytes: data.MaxChunkBytes, max_window_bytes: data.MaxWindowBytes,
      silence_s: data.SilenceS, idle_silence_s: Number(data.IdleSilenceS) || 0, // of a server that has it
      compare: data.Compare, arrived: data.Arrived,
    };
  }

  /** Whether terms can be kept for a file of this length. @param {Terms} terms @param {number} bytes_total */
  function make_sense(terms, bytes_total) {
    const { offset, max_chunk_bytes, max_window_bytes, silence_s, compare } = terms;
    const whole = [offset, max_chunk_bytes, max_window_bytes].every(Number.isSafeInteger);
    const fits = offset >= 0 && offset <= bytes_total && max_chunk_bytes > 0 && max_window_bytes > 0 && silence_s > 0;
    const in_file = (/** @type {[number, number]} */ [from, to]) => from >= 0 && from <= to && to <= bytes_total;
    return whole && fits && Array.isArray(compare) && compare.every(in_file);
  }

  /** @param {any} data @returns {News} */
  function read_error(data) {
    const msg = harmless(data.Msg);
    if (data.Retryable === true) return { type: 'passing_error', word: String(data.Code), msg };
    if (data.ErrorCode === CANCELLED_CODE) return { type: 'cancelled', reason: msg };
    const other_file = ['wrong_file', 'length_mismatch'].includes(data.Code) && data.FileName;
    return { type: 'error', code: Number(data.ErrorCode), msg: other_file ? msg + ' ' + file_meant(data) : msg };
  }

  /** Tells users which file an upload was begun with. @param {any} data */
  function file_meant(data) {
    const { FileName: name, FileLengthBytes: bytes, FileLastModifiedMs: changed_ms } = data;
    const changed = changed_ms > 0 ? ', last changed ' + new Date(changed_ms).toLocaleString() : '';
    return harmless('It was begun with "' + name + '" (' + readable_size(bytes) + changed + ').');
  }

  /** @param {number} bytes */
  function readable_size(bytes) {
    const power = bytes < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
    return (power ? (bytes / 1000 ** power).toFixed(1) : bytes) + ' ' + ['bytes', 'kB', 'MB', 'GB', 'TB'][power];
  }

  /**
   * A text from elsewhere without what means something in HTML: there are pages that use innerHTML.
   * @param {any} text
   */
  function harmless(text) {
    return String(text === undefined ? '' : text).replace(/</g, '(').replace(/>/g, ')').replace(/&/g, '+');
  }

  /**
   * Writes what is in front of a chunk's bytes.
   * @param {ArrayBuffer} buffer @param {number} offset @param {number} crc
   * @param {number} round how often the server has asked for something again
   */
  function write_header(buffer, offset, crc, round) {
    const header = new DataView(buffer);
    header.setUint32(0, Math.floor(offset / 2 ** 32));
    header.setUint32(4, offset % 2 ** 32);
    header.setUint32(8, crc);
    header.setUint32(12, round);
  }

  // ---- the worker ----------------------------------------------------------------------------------------------

  // A worker reads the files, computes the checksums and holds the sockets, so that the page's own thread never sees a
  // byte of a file pass. That a chunk was read before it is sent also tells that it can be read at all: a browser that
  // can't read what it sends just drops the connection, with the code of any lost connection (1006).
  //
  // Chunks are sent as they were read. Firefox sends a slice of a file two to three times faster than bytes, for which
  // it reads the slice once more (docs/performance.md). Without a worker all browsers are asked to do so: then the page's
  // thread reads small pieces only.

  const HEADER_BYTES = 16;
  const sends_slices = () => / Firefox\//.test(navigator.userAgent);

  /**
   * Makes what reads a blob and computes the CRC-32C of its bytes, going on from the one of what was before them. It
   * answers with that and, if there is to be room before them, with the bytes. In place of the checksum it says null
   * when the blob can't be read, and -1 when there is no memory for it.
   * Its source is the worker's source, too: it must need nothing else.
   */
  function make_reader() {
    // Castagnoli's polynomial divides x^5275 + x^4508 + x^2751 + 1, and with it the square of that, which has the same
    // terms with twice the exponents, and so on: also the one with 32 times the exponents. So a word may be taken away from
    // the front of a message when it is added (by exclusive or) to the ones 767, 2524 and 5275 words behind it: the
    // remainder stays the same. Only the last 5275 words have to be divided, with a table. Two to three times as fast
    // as tables alone; the views, all onto the same words, spare engines the sums of indices.
    const NEAR = 5275 - 4508, MIDDLE = 5275 - 2751, FAR = 5275;
    const FOLD_WORDS = 8192; // that fit into the processor's first cache
    const PAGE_BYTES = 65536; // of WebAssembly: there is room for FAR + FOLD_WORDS
    const module = make_module();
    const folded = new Int32Array(module ? module.memory.buffer : new ArrayBuffer(PAGE_BYTES), 0, FAR + FOLD_WORDS);
    const [far, middle, near, now] = [FAR, MIDDLE, NEAR, 0].map((words) => folded.subarray(FAR - words));
    const added = module && new Int32Array(module.memory.buffer, PAGE_BYTES);
    const table = new Int32Array(256);
    for (let byte = 0; byte < 256; byte++) {
      let crc = byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
      table[byte] = crc;
    }

    /**
     * `fold` for four words at a time: Chromium looks at each access of a script whether the memory is still there, once
     * any was sent away. Null where policies or browsers have no WebAssembly or it is no gain (Firefox). The memory: a
     * page for `folded`, a page for what is added. The module is put together here, so that one can read what it does.
     * @returns {{fold: (from: number, to_bytes: number) => void, memory: WebAssembly.Memory} | null}
     */
    function make_module() {
      if (typeof window !== 'undefined' || / Firefox\//.test(navigator.userAgent)) return null; // and in the worker only
      /** @type {(n: number) => number[]} */
      const number = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...number(n >>> 7)]);
      const sized = (/** @type {number[]} */ ...body) => [...number(body.length), ...body];
      const load = (/** @type {number} */ bytes) => [0x20, 0, 0xfd, 0, 0, ...number(bytes)]; // v128.load, from + bytes
      const xor = [0xfd, 0x51];
      const code = [
        0x03, 0x40, 0x20, 0, // loop; from (for the store)
        ...load(PAGE_BYTES), ...load(0), ...xor, ...load(4 * (FAR - MIDDLE)), ...xor, ...load(4 * (FAR - NEAR)), ...xor,
        0xfd, 0x0b, 0, ...number(4 * FAR), // v128.store
        0x20, 0, 0x41, 16, 0x6a, 0x22, 0, 0x20, 1, 0x49, 0x0d, 0, 0x0b, // from += 16; again, if from < to_bytes; end
      ];
      const bytes = [
        0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // "\0asm", version 1
        1, ...sized(1, 0x60, 2, 0x7f, 0x7f, 0), 3, ...sized(1, 0), // types: a function of two i32; functions: one of that
        5, ...sized(1, 0, 2), 7, ...sized(2, 1, 0x66, 0, 0, 1, 0x6d, 2, 0), // memories: two pages; exports: "f" and "m"
        10, ...sized(1, ...sized(0, ...code, 0x0b)), // code: no more locals; end
      ];
      try {
        const { f, m } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes))).exports;
        return { fold: /** @type {() => void} */ (f), memory: /** @type {WebAssembly.Memory} */ (m) };
      } catch (error) {
        return null;
      }
    }

    /** Whoever changes it should time it: engines are touchy (docs/performance.md). @param {Int32Array} words */
    function fold(words) {
      const f = far, m = middle, n = near, to = now;
      for (let i = 0; i < words.length; i++) to[i] = words[i] ^ f[i] ^ m[i] ^ n[i];
    }

    /** @param {ArrayBuffer} buffer @param {number} from a multiple of four @param {number} seed */
    function crc32c(buffer, from, seed) {
      const words = new Int32Array(buffer, from, (buffer.byteLength - from) >>> 2);
      const rest = new Uint8Array(buffer, from + words.byteLength);
      const last = Math.max(0, words.length - FAR);
      folded.fill(0, 0, FAR);
      folded[0] = ~seed;
      for (let at = 0; at < last; at += FOLD_WORDS) {
        const count = Math.min(FOLD_WORDS, last - at);
        if (module && added) {
          added.set(words.subarray(at, at + count));
          module.fold(0, 4 * count); // up to three words more, into what is not read
        } else {
          fold(words.subarray(at, at + count));
        }
        folded.copyWithin(0, count, count + FAR);
      }
      now.fill(0); // what was not taken away is not to be added
      let crc = words.length ? 0 : ~seed;
      for (let i = 0; last + i < words.length; i++) {
        crc ^= words[last + i] ^ far[i] ^ middle[i] ^ near[i];
        for (let byte = 0; byte < 4; byte++) crc = (crc >>> 8) ^ table[crc & 255];
      }
      for (let i = 0; i < rest.length; i++) crc = (crc >>> 8) ^ table[(crc ^ rest[i]) & 255];
      return ~crc >>> 0;
    }

    /** Those that are being read: Chromium collects as garbage what only waits for its data. @type {Set<object>} */
    const streams = new Set();

    /**
     * In Chromium half again as fast as FileReader.
     * @param {ReadableStreamBYOBReader} stream @param {ArrayBuffer} buffer @param {number} from
     */
    async function fill(stream, buffer, from) {
      for (let at = from; at < buffer.byteLength;) {
        const view = new Uint8Array(buffer, at);
        const { done, value } = await stream.read(view, { min: view.length }); // at once, where browsers know of that
        if (done || !value) return null;
        at += value.byteLength;
        buffer = /** @type {ArrayBuffer} */ (value.buffer); // the same memory
      }
      stream.cancel();
      return buffer;
    }

    /** @param {Blob} blob @returns {ReadableStreamBYOBReader | null} null: not in this browser (WebKit has half of it) */
    function open_stream(blob) {
      try {
        return blob.stream().getReader({ mode: 'byob' });
      } catch (error) {
        return null;
      }
    }

    /** @param {Blob} blob @returns {Promise<ArrayBuffer | null>} */
    function read_at_once(blob) {
      return new Promise((resolve) => {
        const reader = new FileReader();
        reader.onload = () => {
          const buffer = /** @type {ArrayBuffer} */ (reader.result);
          // Firefox reads a file that was cut short without an error: it just gives less.
          resolve(buffer.byteLength === blob.size ? buffer : null);
        };
        reader.onerror = () => resolve(null);
        reader.readAsArrayBuffer(blob);
      });
    }

    const SHORT_BYTES = 256 * 1024; // and of an empty file a stream does not tell that it is gone
    const SPARE_BUFFERS = 4;

    /** Buffers that were used: new memory is dear, 1,024 pages for a chunk of 4 MiB. @type {ArrayBuffer[]} */
    const spare = [];

    /** @param {number} bytes */
    function buffer_of(bytes) {
      const at = spare.findIndex((buffer) => buffer.byteLength === bytes);
      return at < 0 ? new ArrayBuffer(bytes) : spare.splice(at, 1)[0];
    }

    /** @param {Blob} blob @param {number} from @returns {Promise<ArrayBuffer | null>} */
    async function fetch_bytes(blob, from) {
      const stream = from || blob.size > SHORT_BYTES ? open_stream(blob) : null;
      if (stream) {
        streams.add(stream);
        const buffer = await fill(stream, buffer_of(from + blob.size), from).catch(() => null);
        streams.delete(stream);
        return buffer;
      }
      const buffer = await read_at_once(blob);
      if (!buffer || !from) return buffer;
      const behind_room = buffer_of(from + buffer.byteLength);
      new Uint8Array(behind_room, from).set(new Uint8Array(buffer));
      free(buffer);
      return behind_room;
    }

    /** Firefox lets hundreds of MiB gather before it collects them. @param {any} buffer */
    function free(buffer) {
      if (buffer.transfer) buffer.transfer(0); // browsers since 2024
    }

    /** @param {ArrayBuffer} buffer that is needed no more */
    function give_back(buffer) {
      spare.push(buffer);
      if (spare.length > SPARE_BUFFERS) free(spare.shift());
    }

    /**
     * @param {Blob} blob @param {number} seed @param {number} room_bytes
     * @returns {Promise<{crc: number | null, buffer: ArrayBuffer | null}>}
     */
    async function read(blob, seed, room_bytes) {
      try {
        const buffer = await fetch_bytes(blob, room_bytes);
        if (!buffer) return { crc: null, buffer };
        const crc = crc32c(buffer, room_bytes, seed);
        if (!room_bytes) give_back(buffer);
        return { crc, buffer: room_bytes ? buffer : null };
      } catch (error) {
        spare.length = 0;
        return { crc: -1, buffer: null }; // a RangeError
      }
    }

    return { read, give_back };
  }

  /** The worker's own part. @param {typeof make_reader} make */
  function work(make) {
    const { read, give_back } = make();
    const scope = /** @type {Worker} */ (/** @type {unknown} */ (self));
    /** @type {Map<number, WebSocket>} */
    const sockets = new Map();

    /** @type {Record<string, (order: any) => void>} */
    const actions = {
      async read({ id, blob, seed, room_bytes }) {
        const { crc, buffer } = await read(blob, seed, room_bytes);
        scope.postMessage({ id, crc, buffer }, buffer ? [buffer] : []);
      },
      dial({ id, url }) {
        try {
          const socket = new WebSocket(url);
          socket.onopen = () => scope.postMessage({ id, event: 'open' });
          socket.onmessage = ({ data }) => scope.postMessage({ id, event: 'message', data });
          socket.onclose = ({ code, reason }) => scope.postMessage({ id, event: 'close', code, reason });
          sockets.set(id, socket);
        } catch (error) {
          scope.postMessage({ id, event: 'bad_address' });
        }
      },
      send({ id, data }) {
        const socket = sockets.get(id);
        if (socket) socket.send(data);
        if (data instanceof ArrayBuffer) give_back(data); // the browser has a copy
      },
      close({ id, code }) {
        const socket = sockets.get(id);
        sockets.delete(id);
        if (!socket) return;
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.close(code);
      },
      ping() {
        scope.postMessage({});
      },
    };
    scope.onmessage = ({ data }) => actions[data.action](data);
  }

  /** @typedef {(crc: number | null, buffer: ArrayBuffer | null) => void} TakeRead as `make_reader` says; null: not kept */

  /**
   * One worker for all uploads of the page. Where none is to be had, the page's own thread does its work.
   *
   * A browser does not tell when it ends a worker, and an extension may put something else in its place. So a worker
   * that has work is asked each second whether it is there. One that does not answer is replaced.
   */
  const worker = {
    /** @type {Worker | null | undefined} undefined: not tried yet */
    thread: undefined,
    is_proven: false, // it has answered: a policy that forbids it shows late
    started_ms: 0,
    losses: 0, // in a row
    silent_ticks: 0,
    ticked_ms: 0,
    /** @type {ReturnType<typeof make_reader> | null} */
    own_reader: null,
    /** @type {Map<number, {blob: Blob, seed: number, keep: boolean, answer: TakeRead}>} */
    jobs: new Map(),
    /** @type {Map<number, FarSocket>} */
    sockets: new Map(),
    last_id: 0,

    /**
     * @param {Blob} blob @param {number} seed @param {boolean} keep the bytes, if that makes sense
     * @param {TakeRead} answer
     */
    read(blob, seed, keep, answer) {
      if (this.thread === undefined) this.start();
      if (!this.thread) {
        this.read_here(blob, seed, answer);
        return;
      }
      const id = this.last_id += 1;
      this.jobs.set(id, { blob, seed, keep, answer });
      this.order({ action: 'read', id, blob, seed, room_bytes: keep && !sends_slices() ? HEADER_BYTES : 0 });
    },

    /** @param {object} order @param {Transferable[]} [transfer] */
    order(order, transfer = []) {
      const { thread } = this;
      if (!thread) return;
      try {
        thread.postMessage(order, transfer);
      } catch (error) {
        setTimeout(() => this.lose(thread)); // the caller is not ready to hear of it yet
      }
    },

    start() {
      this.thread = null;
      this.is_proven = false;
      this.started_ms = now_ms();
      this.silent_ticks = 0;
      try {
        const source = new Blob(['(' + work + ')(' + make_reader + ')'], { type: 'text/javascript' });
        const thread = this.thread = new Worker(URL.createObjectURL(source));
        thread.onmessage = ({ data }) => {
          if (thread === this.thread) this.hear(data);
        };
        thread.onerror = thread.onmessageerror = (/** @type {Event} */ event) => {
          // A Content Security Policy without `worker-src blob:` is no error of the page.
          if (!this.is_proven) event.preventDefault();
          this.lose(thread);
        };
      } catch (error) {
        this.thread = null; // some browsers say so at once
      }
    },

    /** @param {any} data */
    hear(data) {
      this.is_proven = true;
      this.silent_ticks = 0;
      const socket = this.sockets.get(data.id);
      if (socket) socket.hear(data);
      const job = this.jobs.get(data.id);
      this.jobs.delete(data.id);
      if (job) job.answer(data.crc, data.buffer);
    },

    /**
     * Each connection calls it once a second. Counts ticks and not the time: a machine may sleep, and timers of hidden
     * pages rest.
     */
    tick() {
      const { thread } = this;
      const is_new_second = now_ms() - this.ticked_ms >= TICK_S * 900;
      if (!thread || !is_new_second || !(this.jobs.size + this.sockets.size)) return;
      this.ticked_ms = now_ms();
      this.silent_ticks += 1;
      if (this.silent_ticks >= (this.is_proven ? WORKER_PATIENCE_TICKS : WORKER_START_TICKS)) this.lose(thread);
      else this.order({ action: 'ping' });
    },

    /** Replaces a worker that is of no use. One that has never answered is not replaced. @param {Worker} thread */
    lose(thread) {
      if (thread !== this.thread) return;
      const { jobs, sockets } = this;
      this.jobs = new Map();
      this.sockets = new Map();
      this.losses = now_ms() - this.started_ms > WORKER_PROVEN_MS ? 1 : this.losses + 1;
      this.thread = null;
      if (thread.terminate) thread.terminate(); // an extension's object may lack it
      if (this.is_proven && this.losses < WORKER_TRIES) this.start();
      this.is_proven = false;
      sockets.forEach((socket) => socket.hear({ event: 'close', code: CLOSE_TRY_AGAIN_LATER, reason: WORKER_LOST }));
      jobs.forEach(({ blob, seed, keep, answer }) => this.read(blob, seed, keep, answer));
    },

    /** Piece by piece, so that the page stays alive. @param {Blob} blob @param {number} seed @param {TakeRead} answer */
    async read_here(blob, seed, answer) {
      const { read } = this.own_reader = this.own_reader || make_reader();
      const is_long = blob.size > OWN_PIECE_BYTES;
      const { crc } = await read(is_long ? blob.slice(0, OWN_PIECE_BYTES) : blob, seed, 0);
      if (is_long && crc !== null && crc >= 0) this.read_here(blob.slice(OWN_PIECE_BYTES), crc, answer);
      else answer(crc, null);
    },
  };

  /** As much of a WebSocket as is used here; the worker has the real one. */
  class FarSocket {
    /** @param {string} url */
    constructor(url) {
      /** @type {((event: any) => void) | null} */
      this.onopen = null;
      /** @type {((event: any) => void) | null} */
      this.onmessage = null;
      /** @type {((event: any) => void) | null} */
      this.onclose = null;
      /** @type {((event: any) => void) | null} */
      this.onbad_address = null;
      this.id = worker.last_id += 1;
      worker.sockets.set(this.id, this);
      worker.order({ action: 'dial', id: this.id, url });
    }

    /** @param {string | Blob | ArrayBuffer} data */
    send(data) {
      worker.order({ action: 'send', id: this.id, data }, data instanceof ArrayBuffer ? [data] : []);
    }

    /** @param {number} code */
    close(code) {
      worker.sockets.delete(this.id);
      worker.order({ action: 'close', id: this.id, code });
    }

    /** @param {{event: 'open' | 'message' | 'close' | 'bad_address', code?: number, reason?: string}} event */
    hear(event) {
      const listener = this[/** @type {'onopen'} */ ('on' + event.event)];
      if (listener) listener(event);
    }
  }

  // ---- checksums -----------------------------------------------------------------------------------------------

  // Checksums are polynomials over two elements modulo Castagnoli's, with the lowest power in the highest bit. Bytes
  // that follow shift them: CRC(a + b) = CRC(a) * x^(8 * length of b) + CRC(b).

  const ONE = 1 << 31;

  /** @param {number} a @param {number} b */
  function multiply(a, b) {
    let product = 0;
    for (let bit = ONE; bit; bit >>>= 1) {
      if (a & bit) product ^= b;
      b = b & 1 ? (b >>> 1) ^ 0x82f63b78 : b >>> 1; // b * x
    }
    return product;
  }

  /** x^8 (one byte), x^16, x^32 and so on: enough for any length that can be counted. */
  const SHIFTS = [1 << 23];
  while (SHIFTS.length < 53) SHIFTS.push(multiply(SHIFTS[SHIFTS.length - 1], SHIFTS[SHIFTS.length - 1]));

  /** The checksum of a + b. @param {number} crc_a @param {number} crc_b @param {number} bytes_b */
  function combine(crc_a, crc_b, bytes_b) {
    let shifted = crc_a;
    for (let i = 0, left = bytes_b; left > 0; i++, left = Math.floor(left / 2)) {
      if (left % 2) shifted = multiply(shifted, SHIFTS[i]);
    }
    return (shifted ^ crc_b) >>> 0;
  }

  /**
   * What the server has of a file, as a row of parts with their checksums. Those of chunks are known; what came there
   * otherwise (before a reload, or without its acknowledgement) has to be read for it.
   */
  class Parts {
    constructor() {
      /** @type {{from: number, bytes: number, known_bytes: number, crc: number}[]} */
      this.list = [];
      this.bytes = 0;
    }

    /** @param {number} bytes @param {number} known_bytes @param {number} crc */
    add(bytes, known_bytes, crc) {
      const last = this.list[this.list.length - 1];
      if (last && last.known_bytes === last.bytes && known_bytes === bytes) {
        last.crc = combine(last.crc, crc, bytes);
        last.bytes = last.known_bytes += bytes;
      } else if (bytes) {
        this.list.push({ from: this.bytes, bytes, known_bytes, crc });
      }
      this.bytes += bytes;
    }

    /** The server has this many bytes. @param {number} bytes */
    reach(bytes) {
      if (bytes < this.bytes) { // a disaster on its disk
        this.list = [];
        this.bytes = 0;
      }
      this.add(bytes - this.bytes, 0, 0);
    }

    /** The checksum of all of it was found out at once. @param {number} crc */
    know(crc) {
      const { bytes } = this;
      this.reach(0);
      this.add(bytes, bytes, crc);
    }

    /** The first part that has to be read. */
    gap() {
      return this.list.find((part) => part.known_bytes < part.bytes);
    }

    /** The checksum of all parts and the chunks after them. @param {Chunk[]} chunks */
    crc(chunks) {
      const sum = (/** @type {number} */ crc, /** @type {{crc: number | null, bytes: number}} */ part) =>
        combine(crc, Number(part.crc), part.bytes);
      return chunks.reduce(sum, this.list.reduce(sum, 0));
    }
  }

  // ---- how fast -----------------------------------------------------------------------------------------------

  /**
   * A chunk that is being prepared (`crc` is null until it is known; the buffer then has it behind its header, or
   * the browser reads it once more), or on its way: since when, and how much was on its way then, with it.
   * @typedef {{from: number, bytes: number, crc: number | null, buffer: ArrayBuffer | null, sent_ms: number,
   *   ahead_bytes: number}} Chunk
   */

  /**
   * How much to have on its way, and in which pieces. While a chunk takes its way, all that was ahead of it gets
   * through: that is a sample of the rate of the link. The window is what the link holds at that rate, and a bit. So
   * it grows several times a round trip until something queues; then the link is full, and it follows the mean.
   */
  class Pace {
    /**
     * The first two are the server's limits, which hold unless it has just said others.
     * @param {number} max_chunk_bytes @param {number} max_window_bytes @param {number} first_window_bytes
     */
    constructor(max_chunk_bytes, max_window_bytes, first_window_bytes) {
      this.agreed = this.told = { chunk_bytes: Math.min(max_chunk_bytes, CHUNK_MAX_BYTES), window_bytes: max_window_bytes };
      this.told_ms = -Infinity;
      this.window_bytes = Math.min(first_window_bytes, max_window_bytes);
      // The shortest of this connection, not of the last seconds: with a full window there is always a queue before us.
      this.round_trip_ms = Infinity;
      this.rate = 0; // bytes/ms
      this.sampled_ms = now_ms();
      this.queued_ms = -Infinity; // when something was seen to queue, on the link or before it
    }

    /** A power of two, a quarter to an eighth of the window: smaller ones cost Chromium a third of its speed. */
    get chunk_bytes() {
      const wished = 2 ** Math.floor(Math.log2(this.window_bytes / 4));
      return Math.min(Math.max(wished, CHUNK_MIN_BYTES), this.allowed.chunk_bytes);
    }

    /** What the server takes now. */
    get allowed() {
      return now_ms() - this.told_ms <= ALLOWED_FOR_MS ? this.told : this.agreed;
    }

    /**
     * What the server takes for a while; 0 where it has not said.
     * @param {number} max_chunk_bytes @param {number} max_window_bytes
     */
    allow(max_chunk_bytes, max_window_bytes) {
      if (!(max_chunk_bytes >= 1)) return;
      const most_bytes = this.agreed.window_bytes;
      this.told = {
        chunk_bytes: Math.min(Math.floor(max_chunk_bytes), CHUNK_MAX_BYTES),
        window_bytes: max_window_bytes >= 1 ? Math.min(max_window_bytes, most_bytes) : most_bytes,
      };
      this.told_ms = now_ms();
    }

    /**
     * Our own window may be passed by a part of a chunk: it would never be full otherwise. That of the server may not.
     * @param {number} ahead_bytes that are on their way @param {number} bytes
     */
    admits(ahead_bytes, bytes) {
      return ahead_bytes === 0 || (ahead_bytes < this.window_bytes && ahead_bytes + bytes <= this.allowed.window_bytes);
    }

    /** @param {Chunk} chunk that is stored */
    stored(chunk) {
      const now = now_ms();
      const took_ms = Math.max(now - chunk.sent_ms, SAMPLE_MIN_MS);
      // With the least of windows nothing queues: then the way has become longer (another network).
      const is_least = this.window_bytes <= 2 * CHUNK_MIN_BYTES;
      this.round_trip_ms = is_least ? took_ms : Math.min(this.round_trip_ms, took_ms);
      if (took_ms > this.round_trip_ms + QUEUE_SEEN_MS) this.queued_ms = now;
      this.note(chunk.ahead_bytes / took_ms, now);
      const wished = this.rate * this.round_trip_ms + Math.min(this.rate * QUEUE_S * 1000, QUEUE_MAX_BYTES);
      this.window_bytes = Math.min(Math.max(wished, 2 * CHUNK_MIN_BYTES), this.agreed.window_bytes);
    }

    /**
     * A full link's acknowledgements come in bursts (TCP has mended a loss): one alone means little then.
     * @param {number} rate @param {number} now
     */
    note(rate, now) {
      const is_full = now - this.queued_ms < RATE_OVER_MS;
      const weight = 1 - Math.exp((this.sampled_ms - now) / RATE_OVER_MS);
      this.rate = is_full ? this.rate + (rate - this.rate) * weight : Math.max(this.rate, rate);
      this.sampled_ms = now;
    }
  }

  /** Keeps to a number of bytes a second, by the clock: timers come late, in hidden pages once a second. */
  class Throttle {
    constructor() {
      this.bytes_per_s = 0; // 0: no limit
      this.saved_bytes = 0; // that may be sent now
      this.at_ms = now_ms();
    }

    /** @param {number} bytes_per_s */
    limit(bytes_per_s) {
      this.save();
      this.saved_bytes = this.bytes_per_s ? Math.min(this.saved_bytes, bytes_per_s * BURST_S) : 0;
      this.bytes_per_s = bytes_per_s;
    }

    save() {
      const now = now_ms();
      const saved_bytes = this.saved_bytes + this.bytes_per_s * (now - this.at_ms) / 1000;
      this.saved_bytes = Math.min(saved_bytes, this.bytes_per_s * BURST_S);
      this.at_ms = now;
    }

    /** How long to wait before these may be sent. @param {number} bytes */
    wait_ms(bytes) {
      if (!this.bytes_per_s) return 0;
      this.save();
      const missing_bytes = Math.min(bytes, this.bytes_per_s * BURST_S) - this.saved_bytes;
      return Math.max(0, missing_bytes / this.bytes_per_s * 1000);
    }

    /** @param {number} bytes */
    take(bytes) {
      if (this.bytes_per_s) this.saved_bytes -= bytes;
    }
  }

  /** The speed that is shown: acknowledged bytes over the last seconds. */
  class Speed {
    /** @param {number} bytes */
    constructor(bytes) {
      this.samples = [{ at_ms: now_ms(), bytes }];
      this.bytes_per_s = 0;
    }

    /** @param {number} bytes */
    look(bytes) {
      const { samples } = this;
      const at_ms = now_ms();
      if (at_ms - samples[samples.length - 1].at_ms < SPEED_SAMPLE_MS) return;
      samples.push({ at_ms, bytes });
      while (samples.length > 2 && samples[1].at_ms <= at_ms - SPEED_OVER_MS) samples.shift();
      this.bytes_per_s = (bytes - samples[0].bytes) / (at_ms - samples[0].at_ms) * 1000;
    }
  }

  // ---- one connection -----------------------------------------------------------------------------------------

  /** One attempt to talk with the server, until the close. Tells its news to `hear`. */
  class Connection {
    /** @param {(news: News) => void} hear */
    constructor(hear) {
      this.hear = hear;
      /** @type {WebSocket | FarSocket | null} */
      this.socket = null;
      this.open = false;
      this.confirmed = false; // the server has told its terms
      this.agreed = false; // and it was told the checksums that it asked for: chunks may follow
      this.completed = false; // and that there are no more
      this.unanswered_s = 0; // since that was said
      this.handed_over = false; // the server has begun to
      this.round = 0; // how often something was asked for again
      this.silent_s = 0;
      this.silence_s = this.idle_silence_s = this.patience_s = CONNECT_PATIENCE_S;
      this.waits = false; // chunks are out
      this.unstored_s = 0; // and none of them was stored for so long
      this.pinged = false;
      this.retry_after_s = 0; // wished for by a server that stops
      this.reading = 0; // parts of the file that are being read for this connection
      this.reading_s = 0; // since the last one was
      this.filling = false; // some of these are of what had arrived before
      this.pace = new Pace(1, 1, 1); // until the terms are there
      this.ticked_at = Date.now();
      this.ticker = setInterval(() => this.tick(), TICK_S * 1000);
    }

    dial() {
      this.patience_s = CONNECT_PATIENCE_S;
      let socket;
      try {
        socket = worker.is_proven ? new FarSocket(server_url()) : new WebSocket(server_url());
      } catch (error) {
        this.hear({ type: 'bad_address' });
        return;
      }
      if (socket instanceof FarSocket) socket.onbad_address = () => this.hear({ type: 'bad_address' });
      socket.onopen = () => {
        this.open = true;
        this.hear({ type: 'opened' });
      };
      socket.onmessage = (/** @type {{data: any}} */ event) => {
        const news = read_message(event.data);
        if (!['ignored', 'not_understood'].includes(news.type)) was_reached = true;
        this.silent_s = 0;
        this.pinged = false;
        this.patience_s = this.silence_s;
        this.hear(news);
      };
      socket.onclose = (/** @type {{code: number, reason: string}} */ event) => (
        this.hear({ type: 'lost', code: event.code, reason: harmless(event.reason) }));
      this.socket = socket;
    }

    /** @param {Terms} terms @param {number} first_window_bytes */
    confirm(terms, first_window_bytes) {
      this.confirmed = true;
      this.silence_s = this.patience_s = terms.silence_s;
      this.idle_silence_s = Math.max(terms.silence_s, terms.idle_silence_s);
      this.pace = new Pace(terms.max_chunk_bytes, terms.max_window_bytes, first_window_bytes);
    }

    /** @param {string | Blob | ArrayBuffer} data */
    send(data) {
      if (this.socket && this.open) this.socket.send(data);
    }

    /** @param {string} type @param {object} data */
    say(type, data) {
      this.send(JSON.stringify({ MsgType: type, MsgData: data }));
    }

    /**
     * Counts the silence. Little of it while a laptop sleeps or the timers of a hidden page rest: what was said
     * meanwhile can still be heard, if anything was.
     */
    tick() {
      const gap_s = (Date.now() - this.ticked_at) / 1000;
      this.ticked_at = Date.now();
      const seconds = Math.min(Math.max(gap_s, TICK_S), WOKEN_PATIENCE_S);
      this.silent_s += this.socket ? seconds : 0; // before that the file is waited for
      this.reading_s = this.reading ? this.reading_s + seconds : 0;
      this.unstored_s = this.waits ? this.unstored_s + seconds : 0;
      this.unanswered_s += seconds;
      worker.tick();
      if (gap_s > WOKEN_PATIENCE_S) this.doubt();
      else if (this.silent_s >= this.silence_s / 2 && !this.pinged) this.ping();
      this.hear({ type: 'tick' });
    }

    /** Nothing that we wait for is the server's to do: then thousands of us are not to ask it all the time. */
    rest() {
      this.handed_over = true;
      this.silence_s = this.patience_s = this.idle_silence_s;
    }

    ping() {
      if (!this.confirmed) return;
      this.pinged = true;
      this.say('MsgPing', {});
    }

    /** It is probably dead: it has a moment to prove the contrary. */
    doubt() {
      this.patience_s = Math.min(this.patience_s, this.silent_s + WOKEN_PATIENCE_S);
      this.ping();
    }

    is_dead() {
      return Math.max(this.silent_s, this.unstored_s) >= this.patience_s;
    }

    /** Closes, and says nothing more. The browser sends what is queued first; nobody needs to wait for that. */
    drop() {
      clearInterval(this.ticker);
      this.hear = ignore;
      this.open = false;
      if (!this.socket) return;
      this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
      this.socket.close(CLOSE_NORMAL);
    }
  }

  const { src: own_address } = /** @type {HTMLScriptElement} */ (document.currentScript || {}); // is told only now
  let server_hostname = '';
  let was_reached = false; // an upload server has answered
  let warned_of = ''; // an address, in the console

  /** Without it the page's; below the same path as this script, if it is from there: a proxy may have put both there. */
  function server_host() {
    const { host } = window.location;
    const found = /^https?:\/\/([^/?#]+)([^?#]*)\/incoming\/(0\.1\/)?frontend\//.exec(own_address);
    return server_hostname || (found && found[1] === host ? host + found[2] : host);
  }

  function server_url() {
    const scheme = window.location.protocol === 'https:' ? 'wss' : 'ws';
    return scheme + '://' + server_host() + UPLOAD_PATH;
  }

  /** Why no connection opens: no browser tells that, but plain HTTP may. @returns {Promise<string>} empty: who knows */
  async function refusal() {
    try {
      const { status } = await fetch(server_url().replace('ws', 'http'), { credentials: 'omit', cache: 'no-store' });
      return REFUSALS[status] || 'The address of the upload server answers with HTTP ' + status + '.';
    } catch (error) {
      return '';
    }
  }

  /** Tells the page's author, once for each address. @param {string} note */
  function warn_of_address(note) {
    if (warned_of === server_url()) return;
    warned_of = server_url();
    console.warn('incoming.js: ' + note + ' Is ' + warned_of + ' right? incoming.set_server_hostname() sets it.');
  }

  // ---- the upload -----------------------------------------------------------------------------------------

  /** The uploads that want a connection. @type {Set<Upload>} */
  const online_uploads = new Set();

  /** The truth behind an `incoming.Uploader`. Each public call, each news and each timer ends with `settle`. */
  class Upload {
    /** @param {string} ticket_id @param {Blob} file @param {incoming.Uploader} uploader */
    constructor(ticket_id, file, uploader) {
      this.ticket_id = ticket_id;
      this.file = file;
      this.uploader = uploader;
      this.filename = name_of(file);
      this.bytes_total = file.size;
      /** @type {State} */
      this.state = 'new';
      this.bytes_acked = this.bytes_tx = 0;
      this.chunks_acked_now = this.chunks_tx_now = 0;
      this.error_msg = this.cancel_msg = '';
      /** @type {number | null} */
      this.error_code = null;

      /** @type {Connection | null} */
      this.connection = null;
      this.parts = new Parts();
      this.bytes_asked = 0; // up to here checksums of chunks were asked for
      /** @type {Chunk[]} */
      this.ready = []; // to be sent, once their checksums are known
      this.first_window_bytes = WINDOW_FIRST_BYTES;
      /** @type {Chunk[]} */
      this.on_way = []; // sent and not acknowledged; kept after a lost connection: some may have arrived
      this.throttle = new Throttle();
      /** @type {ReturnType<typeof setTimeout> | null} */
      this.throttle_timer = null;
      this.speed = new Speed(0);
      this.memory = new Memory(this);
      this.share = new Share(this);
      /** What the owner shows, while this one follows it. @type {Record<string, unknown> | null} */
      this.mirror = null;
      this.app_is_silent = false;
      this.app_trouble = '';

      /** @type {ReturnType<typeof setTimeout> | null} */
      this.retry_timer = null;
      /** @type {number | null} */
      this.next_retry_at = null;
      this.retry_note = '';
      this.tries = this.takeovers = this.unreadable_tries = this.doubtful_tries = 0;
      this.was_read = false;
      this.most_bytes = CHUNK_MAX_BYTES; // at once, for which there was memory
      this.warns = false;
      this.telling = false;
      this.told = this.snapshot();
      this.ended = false;
      /** @type {(uploader: incoming.Uploader) => void} */
      this.resolve = ignore;
      /** @type {(error: Error) => void} */
      this.reject = ignore;
      this.done = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
      this.done.catch(ignore); // whoever does not wait for it has not missed an error
    }

    // -- what a page asks for

    start() {
      this.move('start');
      this.settle();
    }

    /** @param {incoming.PauseRequest} what */
    pause(what) {
      const asked = what !== 'toggle' ? what : PROPERTIES.paused(this) ? 'unpause' : 'pause';
      if (this.move(asked)) this.share.ask({ pause: asked });
      this.settle();
    }

    /** @param {string} reason */
    cancel(reason) {
      if (this.move('cancel')) {
        this.cancel_msg = reason;
        this.stop_waiting();
        this.say('MsgCancel', { Reason: reason });
        this.share.ask({ cancel: reason });
      }
      this.settle();
    }

    /** @param {number} bytes_per_s */
    limit(bytes_per_s) {
      this.throttle.limit(bytes_per_s);
      this.stop_throttle();
      const { connection } = this;
      const is_large = (/** @type {Chunk} */ chunk) => connection && chunk.bytes > 2 * this.chunk_bytes(connection.pace);
      // Only then: a slider changes the limit faster than chunks are read.
      if (this.ready.some(is_large)) this.prepare_from(this.bytes_tx);
      this.send_chunks();
      this.settle();
    }

    /** The network or the window is back. */
    wake() {
      if (this.retry_timer !== null) this.tries = 0;
      this.stop_waiting();
      if (this.connection) this.connection.doubt();
      this.settle();
    }

    /** What another tab, which has this upload, tells about it. @param {State} state @param {Record<string, any>} values */
    follow(state, values) {
      if (state === 'failed') return; // this one may fare better, and has the ticket soon
      this.state = state;
      this.mirror = values;
      this.cancel_msg = values.cancel_msg;
      this.bytes_acked = this.bytes_tx = Math.min(values.bytes_acked, this.bytes_total);
      this.settle();
    }

    // -- news from the connection

    /** @param {News} news */
    hear(news) {
      switch (news.type) {
        case 'opened': this.on_opened(); break;
        case 'tick': this.on_tick(); break;
        case 'lost': this.on_lost(news.code, news.reason); break;
        case 'bad_address': this.fail(BAD_ADDRESS); break;
        case 'confirmed': this.on_confirmed(news.terms); break;
        case 'stored': this.on_stored(news); break;
        case 'resend': this.on_resend(news.offset, news.round); break;
        case 'news': this.on_news(news.news, news.retry_after_s, news.why); break;
        case 'finished': this.on_finished(); break;
        case 'cancel_acknowledged': this.move('call_off'); break;
        case 'cancelled': this.on_cancelled(news.reason); break;
        case 'error': this.on_error(news); break;
        case 'passing_error': this.on_passing_error(news.word, news.msg); break;
        case 'not_understood': this.on_lost(0, ''); break; // somebody in between, perhaps
        case 'ignored': break;
      }
      this.settle();
    }

    on_opened() {
      if (!this.connection) return;
      this.connection.say('MsgUploadReq', {
        Version: 2, Id: this.ticket_id, LengthBytes: this.bytes_total, Name: this.filename,
        LastModifiedMs: last_change_of(this.file),
      });
    }

    /** @param {Terms} terms */
    on_confirmed(terms) {
      const connection = this.connection;
      if (!connection || connection.confirmed) return;
      if (!make_sense(terms, this.bytes_total)) {
        this.on_doubtful(NOT_UNDERSTOOD);
        return;
      }
      connection.confirm(terms, this.first_window_bytes);
      this.retry_note = '';
      this.app_is_silent = false;
      if (terms.offset > this.bytes_acked) this.has_progressed();
      this.take_stored(terms.offset);
      this.parts.reach(terms.offset);
      this.on_way = [];
      this.chunks_acked_now = 0;
      this.bytes_acked = terms.offset;
      this.prepare_from(terms.offset);
      this.memory.begin();
      this.resume(terms);
    }

    /** Says over a new connection what the state demands. @param {Terms} terms */
    resume(terms) {
      if (terms.arrived) {
        this.say('MsgAgree', { Crc32c: [] });
        this.move('arrive');
      } else if (this.state === 'cancelling') {
        this.say('MsgCancel', { Reason: this.cancel_msg });
      } else {
        this.move('rewind');
        this.compare(terms.compare, []);
      }
    }

    /**
     * Tells the server what it asks for, to be sure that it is the same file.
     * @param {[number, number][]} ranges @param {number[]} found
     */
    compare(ranges, found) {
      if (this.state !== 'running') return; // it is being cancelled
      if (ranges.length === 0) {
        this.say('MsgAgree', { Crc32c: found });
        if (this.connection) this.connection.agreed = true;
        this.speed = new Speed(this.bytes_acked);
        this.send_chunks();
        this.fill();
        return;
      }
      const [[from, to], ...others] = ranges;
      this.read_range(from, to, 0, (crc) => {
        if (from === 0 && to === this.parts.bytes) this.parts.know(crc); // no need to read it once more
        this.compare(others, found.concat(crc));
      });
    }

    /** @param {{offset: number, max_chunk_bytes?: number, max_window_bytes?: number}} news */
    on_stored({ offset, max_chunk_bytes = 0, max_window_bytes = 0 }) {
      const { connection } = this;
      if (!this.progress_to(offset)) return;
      if (connection) connection.pace.allow(max_chunk_bytes, max_window_bytes);
      this.send_chunks();
      this.arrive_if_complete();
    }

    /** Returns false if that makes no sense. @param {number} offset all before it is stored */
    progress_to(offset) {
      const { connection } = this;
      if (!connection || !(this.bytes_acked <= offset && offset <= this.bytes_tx)) {
        this.on_lost(0, ''); // this one or an earlier one was spoilt on its way; a new connection tells which
        return false;
      }
      if (offset === this.bytes_acked) return true;
      const newest = this.take_stored(offset);
      if (newest) connection.pace.stored(newest);
      connection.waits = offset < this.bytes_tx;
      connection.unstored_s = 0;
      this.bytes_acked = offset;
      this.has_progressed();
      return true;
    }

    /** Books the chunks that have arrived; returns the newest of them. @param {number} offset */
    take_stored(offset) {
      let newest = null;
      while (this.on_way.length && this.on_way[0].from + this.on_way[0].bytes <= offset) {
        newest = /** @type {Chunk} */ (this.on_way.shift());
        this.parts.add(newest.bytes, newest.bytes, Number(newest.crc));
        this.chunks_acked_now += 1;
      }
      return newest;
    }

    /** What should follow at `offset` was damaged on its way. @param {number} offset @param {number} round */
    on_resend(offset, round) {
      const { connection } = this;
      if (!connection || !this.progress_to(offset)) return;
      this.parts.reach(offset);
      this.on_way = [];
      this.chunks_tx_now = this.chunks_acked_now;
      connection.round = round;
      connection.waits = connection.completed = false;
      this.prepare_from(offset);
      this.send_chunks();
    }

    /** @param {string} news @param {number} retry_after_s @param {string} why - what is wrong with the app */
    on_news(news, retry_after_s, why) {
      if (news === 'stopping' && this.connection) this.connection.retry_after_s = retry_after_s;
      if (news !== 'handing_over' && news !== 'waiting_for_app') return;
      if (this.connection) this.connection.rest();
      this.app_is_silent = news === 'waiting_for_app';
      this.app_trouble = why;
      this.on_stored({ offset: this.bytes_total });
    }

    on_finished() {
      if (this.move('finish')) this.bytes_acked = this.bytes_tx = this.bytes_total;
    }

    /** Somebody else has cancelled, or it was us and the answer got lost. @param {string} reason */
    on_cancelled(reason) {
      if (this.state !== 'cancelling') this.cancel_msg = reason;
      this.move('call_off');
    }

    /** @param {{code: number, msg: string}} error */
    on_error(error) {
      const was_known = error.code === UNKNOWN_TICKET_CODE && this.memory.key !== '';
      if (was_known || NOT_UNDERSTOOD_CODES.includes(error.code)) this.on_doubtful(error);
      else this.fail(error);
    }

    /**
     * Somebody on the way may have spoilt a word: what is said three times is believed.
     * @param {{code: number, msg: string}} error
     */
    on_doubtful(error) {
      this.doubtful_tries += 1;
      if (this.doubtful_tries < DOUBTFUL_TRIES) this.retry_later(error.msg);
      else this.fail(error);
    }

    /** @param {string} word @param {string} msg */
    on_passing_error(word, msg) {
      this.on_lost(word === 'taken_over' ? CLOSE_TAKEN_OVER : CLOSE_TRY_AGAIN_LATER, msg);
    }

    on_tick() {
      const connection = this.connection;
      if (!connection) return;
      if (this.is_sending()) this.speed.look(this.bytes_acked);
      if (connection.is_dead()) this.on_lost(0, '');
      else if (connection.reading_s >= READ_PATIENCE_S) this.retry_later(NOT_READABLE_NOW);
      else if (this.state === 'arrived' && connection.confirmed) this.wait_for_app(connection);
    }

    /** @param {Connection} connection */
    wait_for_app(connection) {
      this.tries = 0; // no acknowledgement will come to do so
      const { completed, handed_over, unanswered_s, silence_s } = connection;
      // The word may have been spoilt on its way.
      if (completed && !handed_over && unanswered_s >= silence_s) this.say_complete(connection);
    }

    /** @param {number} code @param {string} reason */
    on_lost(code, reason) {
      const { confirmed = false, open = false, retry_after_s = 0 } = this.connection || {};
      if (code === CLOSE_TAKEN_OVER) {
        this.takeovers += 1;
        this.retry_later('The upload goes on in another window.', TAKEN_OVER_FIRST_S * 2 ** (this.takeovers - 1));
      } else if (retry_after_s) {
        this.retry_later(reason || 'The server is being restarted.', 0, retry_after_s * (0.5 + Math.random()));
      } else if ((code === CLOSE_RESTART || code === CLOSE_TRY_AGAIN_LATER) && reason) {
        this.retry_later(reason);
      } else {
        this.retry_later(confirmed ? 'The connection was lost.' : 'No connection to the server.');
        if (!was_reached && this.tries >= SUSPICIOUS_TRIES && !is_offline()) this.ask_why(open);
      }
    }

    /** @param {boolean} opened but nothing came that an upload server would say */
    async ask_why(opened) {
      const timer = this.retry_timer;
      const host = harmless(server_host());
      const note = opened ? 'What answers at ' + host + ' is no upload server, or is too busy.'
        : await refusal() || 'No connection to the upload server at ' + host + '.';
      if (timer !== this.retry_timer || was_reached) return; // it is tried again already
      warn_of_address(note);
      this.retry_note = note;
      this.settle();
    }

    on_unreadable() {
      this.unreadable_tries += 1;
      const gives_up = this.unreadable_tries >= UNREADABLE_TRIES && this.state !== 'cancelling';
      if (gives_up) this.fail(this.was_read || this.file.type ? FILE_UNREADABLE : NEVER_READABLE);
      else this.retry_later(NOT_READABLE_NOW);
    }

    /** Ends the upload, here: its ticket may still do. @param {{code: number, msg: string}} error */
    fail(error) {
      if (!this.move('fail') || this.state !== 'failed') return;
      this.error_code = error.code;
      this.error_msg = error.msg;
    }

    // -- sending

    /** From here on chunks are prepared anew. @param {number} offset */
    prepare_from(offset) {
      this.ready = [];
      this.bytes_tx = this.bytes_asked = offset;
    }

    /** Sends what may be sent now, and sees to it that more will be ready. */
    send_chunks() {
      const connection = this.connection;
      if (this.state !== 'running' || !connection || !connection.agreed) return;
      this.read_ahead();
      while (this.ready.length && this.ready[0].crc !== null && this.may_send(this.ready[0], connection.pace)) {
        this.send_chunk(/** @type {Chunk} */ (this.ready.shift()), connection);
        this.read_ahead();
      }
      this.complete();
    }

    /** @param {Chunk} chunk @param {Pace} pace */
    may_send(chunk, pace) {
      const ahead = this.bytes_tx - this.bytes_acked;
      if (!pace.admits(ahead, chunk.bytes)) return false; // an acknowledgement will come
      const wait_ms = this.throttle.wait_ms(chunk.bytes);
      if (wait_ms > 0 && this.throttle_timer === null) {
        this.throttle_timer = setTimeout(() => {
          this.throttle_timer = null;
          this.send_chunks();
          this.settle();
        }, Math.ceil(wait_ms));
      }
      return wait_ms === 0;
    }

    /** @param {Chunk} chunk @param {Connection} connection */
    send_chunk(chunk, connection) {
      const end = chunk.from + chunk.bytes;
      chunk.sent_ms = now_ms();
      chunk.ahead_bytes = end - this.bytes_acked;
      this.throttle.take(chunk.bytes);
      const message = chunk.buffer || new ArrayBuffer(HEADER_BYTES);
      write_header(message, chunk.from, Number(chunk.crc), connection.round);
      connection.send(chunk.buffer ? message : new Blob([message, this.file.slice(chunk.from, end)]));
      chunk.buffer = null;
      connection.waits = true;
      this.on_way.push(chunk);
      this.bytes_tx = end;
      this.chunks_tx_now += 1;
    }

    read_ahead() {
      while (this.connection && this.ready.length < CHUNKS_AHEAD && this.bytes_asked < this.bytes_total) {
        const from = this.bytes_asked;
        const bytes = Math.min(this.chunk_bytes(this.connection.pace), this.bytes_total - from);
        /** @type {Chunk} */
        const chunk = { from, bytes, crc: null, buffer: null, sent_ms: 0, ahead_bytes: 0 };
        this.ready.push(chunk);
        this.bytes_asked += bytes;
        this.read(this.file.slice(from, from + bytes), 0, true, (crc, buffer) => {
          chunk.crc = crc;
          chunk.buffer = buffer;
          this.send_chunks();
        });
      }
    }

    /** @param {Pace} pace */
    chunk_bytes(pace) {
      const { bytes_per_s } = this.throttle;
      const most_bytes = Math.min(pace.chunk_bytes, this.most_bytes);
      if (!bytes_per_s) return most_bytes;
      return Math.min(most_bytes, Math.max(CHUNK_MIN_BYTES, Math.floor(bytes_per_s / 4)));
    }

    /** Says that all chunks were sent, once the checksum of the whole file is known. */
    complete() {
      const connection = this.connection;
      if (!connection || connection.completed || this.bytes_tx < this.bytes_total || this.parts.gap()) return;
      connection.completed = true;
      this.say_complete(connection);
      this.arrive_if_complete();
    }

    /** @param {Connection} connection */
    say_complete(connection) {
      connection.unanswered_s = 0;
      this.say('MsgComplete', { Crc32c: this.parts.crc(this.on_way), Round: connection.round });
    }

    /** From then on the app may have the file, and a cancel comes too late. */
    arrive_if_complete() {
      const completed = this.connection !== null && this.connection.completed;
      if (completed && this.bytes_acked === this.bytes_total) this.move('arrive');
    }

    // -- reading the file

    /**
     * Computes a checksum, going on from `seed`. If the connection is another one by then, nobody is told.
     * @param {Blob} blob @param {number} seed @param {boolean} keep the bytes, for the next argument, if that makes sense
     * @param {(crc: number, buffer: ArrayBuffer | null) => void} then
     */
    read(blob, seed, keep, then) {
      const connection = this.connection;
      if (!connection) return;
      connection.reading += 1;
      worker.read(blob, seed, keep, (crc, buffer) => {
        if (connection !== this.connection) return;
        connection.reading -= 1;
        connection.reading_s = 0;
        if (crc === null) {
          this.on_unreadable();
        } else if (crc < 0) {
          this.on_no_memory(blob.size, keep);
        } else {
          this.was_read = true;
          then(crc, buffer);
        }
        this.settle();
      });
    }

    /** @param {number} bytes that were to be read at once @param {boolean} keep it was to be a chunk */
    on_no_memory(bytes, keep) {
      this.most_bytes = Math.max(CHUNK_MIN_BYTES, Math.min(this.most_bytes, Math.floor(bytes / 2)));
      if (!keep || bytes <= CHUNK_MIN_BYTES) {
        this.retry_later(NO_MEMORY);
        return;
      }
      this.prepare_from(this.bytes_tx);
      this.send_chunks();
    }

    /** @param {number} from @param {number} to @param {number} seed @param {(crc: number) => void} then */
    read_range(from, to, seed, then) {
      const end = Math.min(to, from + Math.min(PIECE_BYTES, this.most_bytes));
      this.read(this.file.slice(from, end), seed, false, (crc) => {
        if (end === to) then(crc);
        else this.read_range(end, to, crc, then);
      });
    }

    /** Reads for its checksum what arrived otherwise than over this page's connections, while chunks are sent. */
    fill() {
      const connection = this.connection;
      const gap = this.parts.gap();
      if (!connection || connection.filling || !gap) {
        this.send_chunks(); // and perhaps complete
        return;
      }
      connection.filling = true;
      const from = gap.from + gap.known_bytes;
      const bytes = Math.min(PIECE_BYTES, this.most_bytes, gap.bytes - gap.known_bytes);
      this.read(this.file.slice(from, from + bytes), gap.crc, false, (crc) => {
        connection.filling = false;
        gap.known_bytes += bytes;
        gap.crc = crc;
        this.fill();
      });
    }

    // -- the state, and what follows from it

    /** Goes to the next state. Returns false if there is none: then `what` has no meaning now. @param {Move} what */
    move(what) {
      const next = MOVES[this.state][what];
      if (next) this.state = next;
      return Boolean(next);
    }

    /** Makes true what the state wants, and tells the page. */
    settle() {
      const needs_file = this.state === 'running' && !this.connection;
      if (needs_file && this.file.size !== this.bytes_total) this.fail(FILE_CHANGED);
      const { online } = STATES[this.state];
      if (online) {
        online_uploads.add(this);
        this.share.join();
      } else {
        online_uploads.delete(this);
      }
      if (online && this.share.owns) {
        if (!this.connection && this.retry_timer === null) this.connect();
      } else {
        this.stop_waiting();
        this.hang_up();
        this.retry_note = '';
      }
      if (this.is_sending()) this.speed.look(this.bytes_acked);
      this.memory.update();
      watch_unload(this);
      this.tell();
    }

    /** Dials once the file has shown that it can be read: a ticket that was never used is good for another one. */
    connect() {
      const connection = this.connection = new Connection((news) => this.hear(news));
      // Of an empty file only the whole shows whether it is still there; a slice of it can always be read.
      const sample = this.bytes_total ? this.file.slice(this.bytes_total - 1) : this.file;
      if (this.state !== 'running') connection.dial();
      else this.read(sample, 0, false, () => connection.dial());
    }

    hang_up() {
      this.stop_throttle();
      if (!this.connection) return;
      const { pace, confirmed } = this.connection;
      if (confirmed) this.first_window_bytes = Math.max(WINDOW_FIRST_BYTES, pace.window_bytes / 2);
      this.connection.drop();
      this.connection = null;
      this.prepare_from(this.bytes_acked);
      this.chunks_tx_now = this.chunks_acked_now = 0;
    }

    stop_throttle() {
      if (this.throttle_timer !== null) clearTimeout(this.throttle_timer);
      this.throttle_timer = null;
    }

    has_progressed() {
      this.tries = this.unreadable_tries = this.doubtful_tries = 0;
    }

    /**
     * @param {string} note why there is no connection, a sentence for users
     * @param {number} [at_least_s] @param {number} [exactly_s] instead of the growing pauses
     */
    retry_later(note, at_least_s = 0, exactly_s = 0) {
      this.hang_up();
      const grown_s = is_offline() ? RETRY_MAX_S : RETRY_FIRST_S * 2 ** this.tries;
      const jitter = 1 + RETRY_JITTER * (2 * Math.random() - 1);
      const delay_s = exactly_s || jitter * Math.min(RETRY_MAX_S, Math.max(grown_s, at_least_s));
      this.tries += 1;
      this.retry_note = note;
      this.next_retry_at = Math.round(Date.now() + delay_s * 1000);
      this.retry_timer = setTimeout(() => {
        this.stop_waiting();
        this.settle();
      }, delay_s * 1000);
    }

    stop_waiting() {
      if (this.retry_timer !== null) clearTimeout(this.retry_timer);
      this.retry_timer = this.next_retry_at = null;
    }

    /**
     * Sends, if the server has told its terms already. (If not, `resume` will say what is to be said.)
     * @param {string} type @param {object} data
     */
    say(type, data) {
      if (this.connection && this.connection.confirmed) this.connection.say(type, data);
    }

    is_sending() {
      return this.state === 'running' && this.connection !== null && this.connection.agreed;
    }

    state_msg() {
      if (this.retry_timer !== null) {
        return is_offline() ? 'You are offline. This will go on by itself.' : this.retry_note + ' Trying again soon.';
      }
      if (this.state === 'arrived' && this.app_is_silent) {
        return this.app_trouble ? `All data has arrived, but ${this.app_trouble}. It is asked again.` : APP_IS_SILENT;
      }
      if (this.state !== 'running') return STATES[this.state].text;
      if (this.connection && this.connection.reading_s >= SLOW_READ_S) return READ_IS_SLOW;
      if (!this.connection || !this.connection.confirmed) return 'Connecting.';
      const checks = !this.connection.agreed || (this.bytes_acked === this.bytes_total && this.bytes_total > 0);
      return checks ? 'Making sure that it is the same file.' : STATES.running.text;
    }

    bytes_per_s() {
      return this.is_sending() ? Math.round(this.speed.bytes_per_s) : 0;
    }

    seconds_left() {
      const bytes_per_s = this.bytes_per_s();
      return bytes_per_s ? Math.ceil((this.bytes_total - this.bytes_acked) / bytes_per_s) : null;
    }

    // -- telling the page

    snapshot() {
      /** @type {Record<string, unknown>} */
      const values = {};
      for (const name of NAMES) values[name] = value_of(this, name);
      return JSON.stringify(values);
    }

    /** Calls back until nothing has changed any more: a callback may pause or cancel, too. */
    tell() {
      if (this.telling) return; // by a callback: the loop below will see what it did
      this.telling = true;
      for (let now = this.snapshot(); now !== this.told; now = this.snapshot()) {
        this.told = now;
        this.share.tell();
        this.call('progress');
      }
      this.telling = false;
      const ending = ENDINGS[this.state];
      if (ending && !this.ended) {
        this.ended = true;
        this.share.leave();
        this.call(ending);
        this.finish_promise();
      }
    }

    /** @param {'progress'|'finished'|'cancelled'|'error'} name */
    call(name) {
      const callback = this.uploader[/** @type {'onprogress'} */ ('on' + name)];
      if (typeof callback === 'function') {
        try {
          callback.call(this.uploader, this.uploader);
        } catch (error) {
          report(error);
        }
      }
      this.uploader.dispatchEvent(new Event(name)); // which reports what listeners throw
    }

    finish_promise() {
      if (this.state === 'finished') {
        this.resolve(this.uploader);
        return;
      }
      const reason = this.state === 'cancelled' ? 'cancelled' : 'error';
      const msg = this.error_msg || this.cancel_msg;
      this.reject(Object.assign(new Error(msg), { code: this.error_code, reason, uploader: this.uploader }));
    }
  }

  function is_offline() {
    return navigator.onLine === false;
  }

  /** Shows the page's author what a callback threw, without letting it into the upload. @param {unknown} error */
  function report(error) {
    if (typeof reportError === 'function') reportError(error);
    else setTimeout(() => { throw error; });
  }

  /** @param {Blob} file */
  function name_of(file) {
    return /** @type {File} */ (file).name || 'upload';
  }

  /** In ms since 1970; 0 for a Blob, which does not tell. @param {Blob} file */
  function last_change_of(file) {
    return Math.max(0, Math.floor(/** @type {File} */ (file).lastModified) || 0);
  }

  // ---- one uploader a ticket -----------------------------------------------------------------------------------

  // Two tabs, or a page that is mounted twice, may have uploaders of the same ticket. The one that holds the ticket's lock
  // is its owner, and uploads. The others follow it: they show what it tells over a channel, hand on what their users ask
  // for, and take over once the lock is free. Without locks (a page over http, a browser of before 2022) each of them
  // uploads, and the server gives the ticket to the newest.

  /** Those that others may hear of. @type {Set<Share>} */
  const shares = new Set();

  class Share {
    /** @param {Upload} upload */
    constructor(upload) {
      this.upload = upload;
      this.owns = !navigator.locks;
      /** @type {BroadcastChannel | null} */
      this.channel = null;
      this.name = '';
      this.ticker = 0;
      this.silent_ticks = 0; // of the owner
      this.is_followed = false;
      this.wish = {}; // that the owner may not have heard yet; an empty one asks for news
      /** @type {(value?: unknown) => void} */
      this.release = ignore;
    }

    /** Becomes the owner, or follows the one that there is. Lets that one do what is wanted here. */
    join() {
      if (this.owns || this.channel) return;
      const { upload } = this;
      this.name = memory_prefix() + upload.ticket_id;
      try {
        this.channel = new BroadcastChannel(this.name);
        this.channel.onmessage = ({ data }) => this.hear(data);
        this.ticker = setInterval(() => this.tick(), TICK_S * 1000);
        shares.add(this);
        this.wish = upload.state === 'cancelling' ? { cancel: upload.cancel_msg } : { pause: 'unpause' };
        this.request({ ifAvailable: true });
      } catch (error) {
        this.owns = true; // it is forbidden here
      }
    }

    /** @param {LockOptions} options */
    request(options) {
      const { channel } = this;
      navigator.locks.request(this.name, options, (lock) => {
        if (this.owns || channel !== this.channel) return null; // the second: it has ended meanwhile
        if (!lock) {
          this.post(this.wish);
          return null;
        }
        this.own(true);
        return new Promise((resolve) => { this.release = resolve; });
      }).catch(() => {
        if (channel === this.channel) this.own(!this.owns); // it was stolen, or is forbidden here
      });
    }

    /** @param {boolean} owns */
    own(owns) {
      this.owns = owns;
      this.silent_ticks = 0;
      this.wish = {};
      this.upload.mirror = null;
      this.upload.settle();
    }

    /** An owner that says nothing stands still, or the lock is stuck. */
    tick() {
      if (this.owns) {
        this.upload.memory.write();
        return;
      }
      this.silent_ticks += 1;
      if (this.silent_ticks >= 2 * OWNER_PATIENCE_TICKS) this.own(true);
      else this.request(this.silent_ticks === OWNER_PATIENCE_TICKS ? { steal: true } : { ifAvailable: true });
    }

    /** @param {object} message a wish to the owner, or its news */
    post(message) {
      if (this.channel) this.channel.postMessage(message);
    }

    /** @param {{pause?: Move, cancel?: string}} wish that was granted here, and goes to the owner */
    ask(wish) {
      if (this.owns) return;
      this.upload.mirror = null;
      this.wish = wish;
      this.post(wish);
    }

    /** @param {{pause?: incoming.PauseRequest, cancel?: string, state: State, values?: Record<string, unknown>}} message */
    hear({ pause, cancel, state, values }) {
      if (values) {
        this.silent_ticks = 0;
        this.wish = {};
        if (!this.owns) this.upload.follow(state, values);
        return;
      }
      if (!this.owns) return;
      this.is_followed = true;
      if (pause) this.upload.pause(pause);
      if (cancel) this.upload.cancel(cancel);
      this.tell();
    }

    tell() {
      const { state, told } = this.upload;
      if (this.owns && this.is_followed) this.post({ state, values: JSON.parse(told) });
    }

    leave() {
      clearInterval(this.ticker);
      shares.delete(this);
      if (this.channel) this.channel.close();
      this.channel = null;
      this.release();
      this.upload.memory.write(); // as one that nobody has any more
    }
  }

  // ---- leaving the page, and coming back -----------------------------------------------------------------------

  /** The uploads that would stop if the page was left now, and want the user to be asked. @type {Set<Upload>} */
  const guarded_uploads = new Set();

  /** Listens only when it has to: pages that do so can't come back from the browser's cache. @param {Upload} upload */
  function watch_unload(upload) {
    const would_stop = upload.share.owns && ['running', 'paused', 'cancelling'].includes(upload.state);
    if (upload.warns && would_stop) guarded_uploads.add(upload);
    else guarded_uploads.delete(upload);
    if (guarded_uploads.size) window.addEventListener('beforeunload', ask_user);
    else window.removeEventListener('beforeunload', ask_user);
  }

  /** @param {BeforeUnloadEvent} event */
  function ask_user(event) {
    event.preventDefault();
    event.returnValue = ''; // browsers of before 2024 want this instead
  }

  /** @typedef {incoming.UnfinishedUpload & {seen_at_ms: number, live_ms: number}} Entry */

  /**
   * What is kept about an upload, for after a reload: an entry of localStorage, from the server's agreement until the
   * file has arrived (then nobody has to come back with it) or the ticket has ended.
   */
  class Memory {
    /** @param {Upload} upload */
    constructor(upload) {
      this.upload = upload;
      this.key = ''; // once the server knows the upload
      this.begun_at_ms = 0;
      this.written_bytes = -1;
      this.written_ms = -Infinity;
      this.has_ended = false;
    }

    begin() {
      this.key = memory_prefix() + this.upload.ticket_id;
      const entry = with_storage((storage) => entry_at(storage, this.key));
      this.begun_at_ms = entry ? entry.begun_at_ms : Date.now();
    }

    update() {
      const { state, error_code, bytes_acked, connection } = this.upload;
      const has_arrived = ['arrived', 'finished', 'cancelled'].includes(state);
      const had_ended = this.has_ended;
      this.has_ended = has_arrived || TICKET_ENDED_CODES.includes(Number(error_code));
      const is_due = now_ms() - this.written_ms >= MEMORY_WRITE_MS || !connection; // without one: perhaps the last time
      if (this.has_ended && !had_ended) this.end();
      if (is_due && bytes_acked !== this.written_bytes) this.write();
    }

    write(live_ms = this.upload.share.channel ? Date.now() : 0) {
      if (!this.key || this.has_ended) return;
      const { ticket_id, filename, bytes_total, bytes_acked, file } = this.upload;
      const frac_complete = bytes_total ? bytes_acked / bytes_total : 0;
      /** @type {Entry} */
      const entry = {
        upload_id: ticket_id, filename, bytes_total, bytes_acked, frac_complete, last_modified_ms: last_change_of(file),
        begun_at_ms: this.begun_at_ms, seen_at_ms: Date.now(), live_ms,
      };
      this.written_bytes = bytes_acked;
      this.written_ms = now_ms();
      with_storage((storage) => storage.setItem(this.key, JSON.stringify(entry)));
    }

    end() {
      this.written_bytes = -1;
      this.written_ms = -Infinity;
      with_storage((storage) => storage.removeItem(this.key || memory_prefix() + this.upload.ticket_id));
    }
  }

  function memory_prefix() {
    return 'incoming:' + server_host() + ':';
  }

  /**
   * Storage can be forbidden, full, or not there: nothing of an upload depends on it.
   * @template T @param {(storage: Storage) => T} use
   */
  function with_storage(use) {
    try {
      return use(localStorage);
    } catch (error) {
      return null;
    }
  }

  /**
   * Null if there is none that makes sense, or nobody came back to it for too long.
   * @param {Storage} storage @param {string} key @returns {Entry | null}
   */
  function entry_at(storage, key) {
    try {
      const entry = JSON.parse(String(storage.getItem(key)));
      return entry.seen_at_ms > Date.now() - MEMORY_DAYS * 86400e3 ? entry : null;
    } catch (error) {
      return null;
    }
  }

  /** @param {Entry} entry @returns {incoming.UnfinishedUpload} */
  function without_dates({ seen_at_ms, live_ms, ...begun }) {
    return begun;
  }

  /** @returns {incoming.UnfinishedUpload[]} */
  function unfinished() {
    const prefix = memory_prefix();
    return with_storage((storage) => {
      const keys = Array.from({ length: storage.length }, (_, i) => String(storage.key(i)));
      /** @type {incoming.UnfinishedUpload[]} */
      const found = [];
      for (const key of keys.filter((name) => name.startsWith(prefix))) {
        const entry = entry_at(storage, key);
        if (!entry) storage.removeItem(key);
        else if (entry.live_ms > Date.now() - LIVE_MS) continue; // a tab has it
        else if (key === prefix + entry.upload_id) found.push(without_dates(entry)); // not of "host:port" for "host"
      }
      return found.sort((a, b) => b.begun_at_ms - a.begun_at_ms);
    }) || [];
  }

  /** @param {incoming.UnfinishedUpload} upload @param {Blob} file */
  function matches(upload, file) {
    return upload.filename === name_of(file) && upload.bytes_total === file.size
      && upload.last_modified_ms === last_change_of(file);
  }

  /** @param {string} upload_id */
  function forget(upload_id) {
    with_storage((storage) => storage.removeItem(memory_prefix() + upload_id));
  }

  // ---- what pages see ---------------------------------------------------------------------------------------

  /** @type {(...states: State[]) => (upload: Upload) => boolean} */
  const in_state = (...states) => (upload) => states.includes(upload.state);

  const arrived = in_state('arrived', 'finished');
  const cancelled = in_state('cancelling', 'cancelled');

  /** @type {{[Name in keyof incoming.UploaderProperties]: (upload: Upload) => incoming.UploaderProperties[Name]}} */
  const PROPERTIES = {
    filename: (upload) => upload.filename,
    bytes_total: (upload) => upload.bytes_total,
    bytes_tx: (upload) => upload.bytes_tx,
    bytes_acked: (upload) => upload.bytes_acked,
    bytes_ahead: (upload) => upload.bytes_tx - upload.bytes_acked,
    frac_complete: (upload) => (upload.bytes_total ? upload.bytes_acked / upload.bytes_total : Number(arrived(upload))),
    bytes_per_s: (upload) => upload.bytes_per_s(),
    seconds_left: (upload) => upload.seconds_left(),
    chunks_tx_now: (upload) => upload.chunks_tx_now,
    chunks_acked_now: (upload) => upload.chunks_acked_now,
    chunks_ahead: (upload) => upload.chunks_tx_now - upload.chunks_acked_now,
    state_msg: (upload) => upload.state_msg(),
    error_msg: (upload) => upload.error_msg,
    error_code: (upload) => upload.error_code,
    cancel_msg: (upload) => (cancelled(upload) ? upload.cancel_msg : ''), // a cancel can come too late
    connected: (upload) => upload.connection !== null && upload.connection.open,
    retrying: (upload) => upload.retry_note !== '',
    next_retry_at: (upload) => upload.next_retry_at,
    paused: in_state('held', 'paused'),
    can_pause: in_state('new', 'held', 'running', 'paused'),
    can_cancel: in_state('new', 'held', 'running', 'paused'),
    cancelling: in_state('cancelling'),
    cancelled: in_state('cancelled'),
    finished: in_state('finished'),
  };
  /** @param {Upload} upload @param {keyof incoming.UploaderProperties} name @returns {unknown} */
  function value_of(upload, name) {
    const { mirror } = upload;
    return mirror && name in mirror ? mirror[name] : PROPERTIES[name](upload);
  }

  const NAMES = /** @type {(keyof incoming.UploaderProperties)[]} */ (Object.keys(PROPERTIES));

  /** @typedef {'max_bytes_per_s' | 'warn_before_unload'} Settings */

  /**
   * All that an uploader has. Each member works without its uploader, too: `button.onclick = uploader.cancel`.
   * @param {Upload} upload @param {incoming.Uploader} uploader @returns {Record<string, PropertyDescriptor>}
   */
  function members_of(upload, uploader) {
    /** @type {Record<Settings | 'done', PropertyDescriptor>} */
    const settings = {
      max_bytes_per_s: {
        get: () => upload.throttle.bytes_per_s,
        set: (bytes_per_s) => {
          check(bytes_per_s >= 0 && Number.isFinite(bytes_per_s), 'max_bytes_per_s has to be a number, 0 for no limit');
          upload.limit(bytes_per_s);
        },
      },
      warn_before_unload: {
        get: () => upload.warns,
        set: (warns) => {
          upload.warns = Boolean(warns);
          watch_unload(upload);
        },
      },
      done: { value: upload.done },
    };
    /** @type {Omit<incoming.Uploader, keyof incoming.UploaderProperties | keyof EventTarget | Settings | 'done'>} */
    const controls = {
      start() {
        upload.start();
        return uploader;
      },
      pause(what = 'pause') {
        check(['pause', 'unpause', 'toggle'].includes(what), 'pause takes "pause", "unpause" or "toggle"');
        upload.pause(what);
        return uploader;
      },
      cancel(reason) {
        // Not a string: `button.onclick = uploader.cancel` passes an event.
        upload.cancel(typeof reason === 'string' && reason ? reason : 'Cancelled by the user.');
        return uploader;
      },
      onprogress: null,
      onfinished: null,
      oncancelled: null,
      onerror: null,
    };
    /** @type {Record<string, PropertyDescriptor>} */
    const members = { ...Object.getOwnPropertyDescriptors(controls), ...settings };
    for (const name of NAMES) members[name] = { get: () => value_of(upload, name), enumerable: true };
    return members;
  }

  /** What the uploaders of a page's own classes find behind `super`. @type {WeakMap<object, any>} */
  const originals = new WeakMap();

  /**
   * A plain function, so that it works with and without `new`. A class may extend it: its methods win.
   * @param {string} upload_id @param {Blob} file @returns {incoming.Uploader}
   */
  function Uploader(upload_id, file) {
    check(typeof upload_id === 'string' && upload_id !== '', 'upload_id has to be the id of a ticket, a string');
    check(is_blob(file), 'file has to be a File or a Blob');
    /** @type {incoming.Uploader} */
    const uploader = Reflect.construct(EventTarget, [], new.target || Uploader);
    const members = members_of(new Upload(upload_id, file, uploader), uploader);
    originals.set(uploader, Object.create(null, members));
    for (const name of Object.keys(members)) {
      if (!is_overridden(uploader, name)) Object.defineProperty(uploader, name, members[name]);
    }
    return uploader;
  }
  Uploader.prototype = Object.create(EventTarget.prototype, { constructor: { value: Uploader } });
  Object.setPrototypeOf(Uploader, EventTarget);
  for (const name of ['start', 'pause', 'cancel']) {
    Uploader.prototype[name] = function (/** @type {any[]} */ ...args) {
      return originals.get(this)[name](...args);
    };
  }
  for (const name of [...NAMES, 'done', 'max_bytes_per_s', 'warn_before_unload']) {
    Object.defineProperty(Uploader.prototype, name, {
      get() {
        return originals.get(this)[name];
      },
      set(value) {
        originals.get(this)[name] = value;
      },
    });
  }

  /**
   * Whether a class between an uploader and `Uploader` has this member.
   * @param {object} uploader @param {string} name @returns {boolean}
   */
  function is_overridden(uploader, name) {
    const proto = Object.getPrototypeOf(uploader);
    return proto && proto !== Uploader.prototype && (proto.hasOwnProperty(name) || is_overridden(proto, name));
  }

  /** @param {string} hostname */
  function set_server_hostname(hostname) {
    const fits = typeof hostname === 'string' && /^[^\s/?#@\\]+(\/[^\s/?#\\]+)*\/?$/.test(hostname);
    check(fits, 'the hostname of the server has to be "host", "host:port" or "host:port/prefix"');
    server_hostname = hostname.replace(/\/$/, '');
    was_reached = false;
  }

  /** @param {boolean} condition @param {string} complaint */
  function check(condition, complaint) {
    if (!condition) throw new TypeError('incoming.js: ' + complaint);
  }

  /** By its tag: a file of another frame is no `instanceof Blob` here. @param {any} file */
  function is_blob(file) {
    return /^\[object (File|Blob)\]$/.test(Object.prototype.toString.call(file));
  }

  function wake_all() {
    online_uploads.forEach((upload) => upload.wake());
  }

  window.addEventListener('online', wake_all);
  window.addEventListener('offline', () => online_uploads.forEach((upload) => upload.settle())); // a new state_msg
  window.addEventListener('pageshow', wake_all);
  window.addEventListener('pagehide', () => shares.forEach(({ owns, upload }) => owns && upload.memory.write(0)));
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') wake_all();
  });

  /** @type {typeof incoming} */
  const library = {
    version: VERSION,
    Uploader: /** @type {incoming.UploaderConstructor} */ (/** @type {unknown} */ (Uploader)),
    set_server_hostname,
    unfinished,
    matches,
    forget,
  };
  Object.assign(window, { incoming: library });
})();
