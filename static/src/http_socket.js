// The messages of protocol version 2 in requests of plain HTTP, where no WebSocket opens (docs/reference/protocol.md,
// "Over HTTP"). It is used as a WebSocket is.
//
// The bytes of a chunk are a slice of the file, which the browser reads and sends without the page's thread.

import { now_ms } from './clock.js';

/** @typedef {import('./server.js').Server} Server */
/** @typedef {{MsgType: string, MsgData: any}} Message */
/** @typedef {{from: number, crc: number, body: Blob}} ChunkToSend */

const HELD_S = 25; // how long the server may hold a request until the app has the file
const MAX_HELD = 2; // of all uploads of the page: browsers have six connections for a host
const FIRST_POLL_MS = 250; // where no request may be held, and the next time doubles
const MAX_POLL_MS = 8000;
const CLOSE_LOST = 1006;
const CLOSE_RESTART = 1012;
const TOO_LARGE_STATUS = 413;
/** After these errors of the server another session continues at once. */
const LOST_CODES = ['checksum_mismatch', 'incomplete_body', 'offset_mismatch', 'session_ended'];

let held = 0; // requests of this page

/** @param {number} crc @returns {string} as Upload-Checksum has it */
function checksum_header(crc) {
  return 'crc32c ' + btoa(String.fromCharCode(crc >>> 24, (crc >>> 16) & 255, (crc >>> 8) & 255, crc & 255));
}

/** @param {string} text @returns {string} never throws, other than encodeURIComponent */
function encoded(text) {
  return String(new URLSearchParams({ '': text })).slice(1).replace(/\+/g, '%20');
}

/** @param {string} text @returns {Message | null} null: it is not from an upload server */
function read_answer(text) {
  try {
    const message = JSON.parse(text);
    return message.MsgData ? message : null;
  } catch (error) {
    return null;
  }
}

export class HttpSocket {
  /** @param {Server} server */
  constructor(server) {
    this.server = server;
    /** @type {((event: any) => void) | null} */
    this.onopen = null;
    /** @type {((event: any) => void) | null} */
    this.onmessage = null;
    /** @type {((event: any) => void) | null} */
    this.onclose = null;
    this.url = new URL(server.uploads_url()).href; // throws, as a WebSocket does
    this.session_token = '';
    /** @type {Set<XMLHttpRequest>} */
    this.open_requests = new Set();
    /** @type {ChunkToSend[]} */
    this.next_chunks = [];
    this.on_way = 0;
    this.has_agreed = false;
    this.offset = 0;
    /** @type {[number, number][]} */
    this.compare = [];
    this.last_text = ''; // MsgComplete, until it is sent
    this.held_request = new XMLHttpRequest(); // the last one that the server may hold
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.poll_ms = FIRST_POLL_MS;
    Promise.resolve().then(() => this.onopen && this.onopen({}));
  }

  /** @param {string | ArrayBuffer} data a message, or the header of a chunk @param {Blob} [body] the chunk */
  send(data, body) {
    if (typeof data === 'string') {
      this.send_message(data, JSON.parse(data));
    } else if (body) {
      const header = new DataView(data);
      this.next_chunks.push({ from: header.getUint32(0) * 2 ** 32 + header.getUint32(4), crc: header.getUint32(8), body });
      this.send_chunks();
    }
  }

  /** @param {string} text @param {Message} message the same */
  send_message(text, { MsgType, MsgData }) {
    switch (MsgType) {
      case 'MsgUploadReq': this.begin(text, MsgData.Id); break;
      case 'MsgAgree': this.agree(MsgData.Crc32c); break;
      case 'MsgComplete':
        if (this.last_text) this.lose(); // again: what it waits for gets no answer
        this.last_text = text;
        this.send_chunks();
        break;
      case 'MsgCancel':
        this.stop();
        this.request('POST', '/cancel', text); // proxies block DELETE
        break;
      case 'MsgPing': this.request('GET', '', null, {}, (message) => this.deliver(message)); break;
    }
  }

  /** @param {string} text @param {string} ticket_id */
  begin(text, ticket_id) {
    this.url += encoded(ticket_id) + '/session';
    this.request('POST', '', text, {}, (message, request) => {
      const { Offset, Compare, Arrived } = message.MsgData;
      this.session_token = String(request.getResponseHeader('Upload-Session'));
      this.offset = Offset;
      this.compare = Compare;
      this.has_agreed = Arrived;
      this.deliver(message);
      if (Arrived) this.watch();
    });
  }

  /** @param {number[]} crcs */
  agree(crcs) {
    if (this.has_agreed) return; // it has arrived
    const agreed = () => {
      this.has_agreed = true;
      this.send_chunks();
    };
    const members = { Crc32c: crcs, Compare: this.compare };
    if (!crcs.length) agreed();
    else this.request('PUT', '', JSON.stringify({ MsgType: 'MsgAgree', MsgData: members }), {}, agreed);
  }

  send_chunks() {
    while (this.has_agreed && this.next_chunks.length && this.on_way < this.server.most_chunks) {
      this.send_chunk(/** @type {ChunkToSend} */ (this.next_chunks.shift()));
    }
    if (this.has_agreed && this.last_text && !this.on_way) this.complete();
  }

  /** @param {ChunkToSend} chunk */
  send_chunk({ from, crc, body }) {
    this.on_way += 1;
    const headers = { 'Upload-Offset': String(from), 'Upload-Checksum': checksum_header(crc) };
    const on_stored = (/** @type {Message} */ message) => {
      const { Offset } = message.MsgData;
      if (!(Offset >= from + body.size)) { // it is not from this server
        this.lose();
        return;
      }
      this.on_way -= 1;
      this.server.note_stored(body.size);
      this.send_chunks();
      if (Offset <= this.offset) return; // the answers of two chunks may overtake each other
      this.offset = Offset;
      this.deliver(message);
    };
    this.request('PATCH', '', body, headers, on_stored, (status) => {
      this.server.note_refused(body.size, status === TOO_LARGE_STATUS);
    });
  }

  complete() {
    const text = this.last_text;
    this.last_text = '';
    this.hold((wait_s) => this.request('POST', '/complete?wait=' + wait_s, text));
  }

  // -- the end

  /** @param {Message} message news, the end, or the acknowledgement of a cancel */
  on_result(message) {
    this.deliver(message);
    if (message.MsgType === 'MsgNews') this.watch();
  }

  /** Asks until the end. */
  watch() {
    if (!this.onclose) return;
    this.hold((wait_s) => {
      const since_ms = now_ms();
      return this.request('GET', '?wait=' + wait_s, null, {}, (message) => {
        this.deliver(message);
        this.timer = setTimeout(() => this.watch(), now_ms() - since_ms > FIRST_POLL_MS ? 0 : this.poll_ms);
        this.poll_ms = Math.min(MAX_POLL_MS, this.poll_ms * 2);
      });
    });
  }

  /** Makes a request that the server may hold, unless too many are. @param {(wait_s: number) => XMLHttpRequest} make */
  hold(make) {
    this.give_up(this.held_request); // or those that the server never answers would take all connections
    const holds = Number(held < MAX_HELD);
    held += holds;
    const request = this.held_request = make(holds * HELD_S);
    request.addEventListener('loadend', () => { held -= holds; }); // even when it is aborted
  }

  // -- requests

  /**
   * @param {string} method @param {string} path below the session's @param {string | Blob | null} body
   * @param {Record<string, string>} [headers]
   * @param {(message: Message, request: XMLHttpRequest) => void} [then] when it was answered as asked
   * @param {(status: number) => void} [on_refused] by another than an upload server; 0: there is no answer
   */
  request(method, path, body, headers = {}, then = (message) => this.on_result(message), on_refused) {
    const request = new XMLHttpRequest();
    request.open(method, this.url + path);
    if (this.session_token && method !== 'GET') request.setRequestHeader('Upload-Session', this.session_token);
    Object.keys(headers).forEach((name) => request.setRequestHeader(name, headers[name]));
    request.onloadend = () => { // the browser may give it up, too
      this.open_requests.delete(request);
      const { status } = request;
      const message = read_answer(request.responseText);
      if (message ? message.MsgType !== 'MsgError' : status === 204 && method === 'PUT') {
        then(/** @type {Message} */ (message), request);
        return;
      }
      if (!message && on_refused) on_refused(status);
      if (message) this.on_error(message, Number(request.getResponseHeader('Retry-After')));
      this.lose();
    };
    this.open_requests.add(request);
    request.send(body);
    return request;
  }

  /** @param {Message} message @param {number} retry_after_s */
  on_error(message, retry_after_s) {
    const { Code, Msg } = message.MsgData;
    // One has overtaken another: a balancer sends them to several servers, of which one at a time has the upload.
    if (Code === 'offset_mismatch') this.server.most_chunks = 1;
    if (Code === 'stopping') {
      this.deliver({ MsgType: 'MsgNews', MsgData: { News: Code, RetryAfterS: retry_after_s } });
      this.lose(CLOSE_RESTART, Msg);
    } else if (!LOST_CODES.includes(Code)) {
      this.deliver(message);
    }
  }

  /** @param {Message} message */
  deliver(message) {
    const { MsgData } = message;
    if (MsgData.MaxChunkBytes) MsgData.MaxChunkBytes = Math.min(MsgData.MaxChunkBytes, this.server.most_body_bytes);
    if (this.onmessage) this.onmessage({ data: JSON.stringify(message) });
  }

  lose(code = CLOSE_LOST, reason = '') {
    const { onclose } = this;
    this.close();
    if (onclose) onclose({ code, reason });
  }

  close() {
    this.onopen = this.onmessage = this.onclose = null;
    this.stop();
  }

  /** Gives all requests up. */
  stop() {
    clearTimeout(this.timer);
    this.next_chunks = [];
    this.last_text = '';
    this.open_requests.forEach((request) => this.give_up(request));
  }

  /** @param {XMLHttpRequest} request */
  give_up(request) {
    this.open_requests.delete(request);
    request.onloadend = null;
    request.abort();
  }
}
