// Whatever happens in whatever order: rules that always hold, and an ending that is always reached.
//
// A server that only knows the protocol (CONTRACT 4) stands behind the page. Chance decides what comes next:
// an answer, a lost connection, a click, time. Each walk has a number, and the same number walks the same way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page, endings, look } from './page.mjs';

const WALKS = 400;
const STEPS = 60;
const SIZES = [0, 1, KIB, 5 * KIB + 7, 20 * KIB];

/** mulberry32: a small generator of numbers from 0 to 1. */
function chance_of(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A server with one ticket. It reads what a socket has said, one message at a time, and answers. */
class Server {
  stored = 0;
  outcome = null; // null, 'finished' or 'cancelled'
  read = new Map();

  constructor(length) {
    this.length = length;
  }

  /** Reads one message of an open socket; false if there is none. */
  step(socket) {
    const at = this.read.get(socket) || 0;
    if (socket.readyState !== 1 || at >= socket.said.length) return false;
    this.read.set(socket, at + 1);
    const said = socket.said[at];
    if (said instanceof FakeFile) this.store(socket, said);
    else this[said.MsgType](socket, said.MsgData);
    return true;
  }

  store(socket, chunk) {
    assert.equal(chunk.start, this.stored, 'chunks are sent in order, from where the server said');
    this.stored = chunk.end;
    socket.acknowledges(chunk.size);
    if (this.stored === this.length) this.outcome ??= 'finished';
  }

  MsgUploadReq(socket) {
    if (this.outcome === 'cancelled') socket.hears('MsgError', { ErrorCode: 30, Msg: 'Cancelled.' });
    else socket.confirms(this.stored);
  }

  MsgAck() {
    if (this.stored === this.length) this.outcome ??= 'finished';
  }

  MsgPause() {}

  MsgCancel(socket) {
    if (this.outcome === 'finished') return; // it gets the result instead
    this.outcome = 'cancelled';
    socket.hears('MsgCancelAck', { Ack: true });
  }

  MsgError(socket, { Msg }) {
    assert.fail(`the page complains: ${Msg}`);
  }

  tell_result(socket) {
    const agreed = socket.messages.some((m) => m.MsgType === 'MsgAck' || m.MsgType === 'MsgCancel');
    if (this.outcome === 'finished' && agreed && socket.readyState === 1) socket.hears('MsgAllDone', { Success: true });
  }
}

const EVENTS = {
  start: (page, uploader) => uploader.start(),
  pause: (page, uploader) => uploader.pause('pause'),
  unpause: (page, uploader) => uploader.pause('unpause'),
  cancel: (page, uploader, server, chance) => chance() < 0.2 && uploader.cancel('enough'),
  open: (page) => page.socket && page.socket.readyState === 0 && page.socket.open(),
  serve: (page, uploader, server) => page.socket && server.step(page.socket),
  serve_more: (page, uploader, server) => {
    for (let i = 0; i < 3 && page.socket; i++) server.step(page.socket);
  },
  result: (page, uploader, server, chance) => page.socket && chance() < 0.3 && server.tell_result(page.socket),
  breaks: (page, uploader, server, chance) => {
    const codes = [1000, 1006, 1012, 1013, 4001];
    const alive = page.socket && page.socket.readyState < 2;
    if (alive) page.socket.breaks(codes[Math.floor(chance() * codes.length)], 'Some reason.');
  },
  app_cancels: (page, uploader, server, chance) => {
    const sending = page.socket && page.socket.readyState === 1 && page.socket.message_types.at(-1) === 'MsgAck';
    if (!sending || server.outcome || chance() > 0.1) return;
    server.outcome = 'cancelled';
    page.socket.hears('MsgCancel', { Reason: 'quota' });
  },
  network: (page, uploader, server, chance) => {
    page.navigator.onLine = chance() < 0.5;
    page.fire(page.navigator.onLine ? 'online' : 'offline');
  },
  show: (page) => page.fire('visibilitychange'),
  time: (page, uploader, server, chance) => page.pass(chance() * 40),
};

function check(page, uploader) {
  const { bytes_acked, bytes_tx, bytes_total, frac_complete } = uploader;
  assert.ok(bytes_acked >= 0 && bytes_acked <= bytes_tx && bytes_tx <= bytes_total);
  assert.ok(frac_complete >= 0 && frac_complete <= 1);
  if (uploader.seen.length) assert.deepEqual(uploader.seen.at(-1), look(uploader), 'a change without onprogress');
  assert.ok(page.sockets.filter((socket) => socket.readyState < 2).length <= 1, 'one connection at a time');
  const ends = [uploader.finished, uploader.cancelled, endings(uploader).includes('error')].filter(Boolean).length;
  assert.equal(endings(uploader).length, ends, 'one ending, called once');
  if (!ends) return;
  assert.equal(page.clock.timers.size, 0, 'nothing goes on after the end');
  assert.deepEqual([uploader.connected, uploader.can_pause, uploader.can_cancel], [false, false, false]);
}

/** From here on nothing goes wrong: the upload has to end. */
async function goes_well(page, uploader, server) {
  page.navigator.onLine = true;
  uploader.start().pause('unpause');
  for (let i = 0; i < 200 && !endings(uploader).length; i++) {
    await page.pass(5);
    if (page.socket.readyState === 0) page.socket.open();
    while (server.step(page.socket));
    server.tell_result(page.socket);
    check(page, uploader);
  }
}

async function walk(number) {
  const chance = chance_of(number);
  const page = new Page();
  page.random = chance();
  const file = new FakeFile(SIZES[Math.floor(chance() * SIZES.length)]);
  const uploader = page.uploader(file);
  const server = new Server(file.size);
  const names = Object.keys(EVENTS);
  const trace = [];
  try {
    for (let i = 0; i < STEPS; i++) {
      const name = names[Math.floor(chance() * names.length)];
      trace.push(name);
      await EVENTS[name](page, uploader, server, chance);
      check(page, uploader);
    }
    trace.push('and all goes well');
    await goes_well(page, uploader, server);
    assert.deepEqual(endings(uploader), [server.outcome], 'the page and the server agree about the end');
  } catch (error) {
    error.message += `\nwalk ${number}: ${trace.join(' ')}`;
    throw error;
  }
  return server.outcome;
}

test('in any order of events the rules hold, and once all goes well the upload ends as the server says', async () => {
  const outcomes = new Set();
  for (let number = 1; number <= WALKS; number++) outcomes.add(await walk(number));
  assert.deepEqual([...outcomes].sort(), ['cancelled', 'finished']);
});
