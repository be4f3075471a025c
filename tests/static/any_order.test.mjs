// Whatever happens in whatever order: rules that always hold, and an ending that is always reached.
//
// A server that only knows the protocol (docs/reference/protocol.md, version 2) stands behind the page, and a network that
// damages what it carries. Chance decides what comes next: an answer, a lost connection, a click, time. Each walk has
// a number, and the same number walks the same way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Browser, FakeFile, KIB, Page, chance_of, crc32c, endings, look } from './page.mjs';

const WALKS = 400;
const STEPS = 60;
const SIZES = [0, 1, KIB, 5 * KIB + 7, 20 * KIB];
const MAX_DAMAGED = 8;

/** A server with one ticket. It reads what a socket has said, one message at a time, and answers. */
class Server {
  bytes = new Uint8Array(0); // stored
  arrived = false;
  outcome = null; // null, 'finished' or 'cancelled'
  talks = new Map(); // socket -> {read, round, damaged, compared}

  constructor(length, chance) {
    Object.assign(this, { length, chance });
  }

  get stored() {
    return this.bytes.length;
  }

  /** Reads one message of an open socket; false if there is none. */
  step(socket) {
    if (!this.talks.has(socket)) this.talks.set(socket, { read: 0, round: 0, damaged: 0, agreed: false });
    const talk = this.talks.get(socket);
    if (socket.readyState !== 1 || talk.read >= socket.said.length) return false;
    const said = socket.said[talk.read++];
    if (said.MsgType) this[said.MsgType](socket, said.MsgData, talk);
    else this.chunk(socket, said, talk);
    return true;
  }

  chunk(socket, { from, crc, bytes, round }, talk) {
    assert.ok(talk.agreed, 'chunks follow MsgAgree');
    if (round !== talk.round) return;
    const damaged = this.spoils && this.chance() < 0.2;
    if (damaged || crc32c(bytes) !== crc || from > this.stored) {
      this.ask_again(socket, talk);
      return;
    }
    assert.equal(from, this.stored, 'chunks are sent in order, from where the server said');
    this.bytes = Uint8Array.from([...this.bytes, ...bytes]);
    talk.damaged = 0;
    if (this.chance() < 0.8) socket.stores(this.stored);
  }

  ask_again(socket, talk) {
    talk.round += 1;
    talk.damaged += 1;
    if (talk.damaged > MAX_DAMAGED) socket.refuses(24, 'damaged', { Retryable: true });
    else socket.wants_again(this.stored, talk.round);
  }

  MsgUploadReq(socket) {
    if (this.outcome === 'cancelled') {
      socket.refuses(30, 'cancelled');
      return;
    }
    const Compare = this.stored && !this.arrived ? [[0, Math.ceil(this.stored / 2)], [this.stored - 1, this.stored]] : [];
    socket.confirms(this.stored, { Arrived: this.arrived, Compare });
  }

  MsgAgree(socket, { Crc32c }, talk) {
    talk.agreed = true;
    if (!Crc32c.length) return;
    const expected = [this.bytes.subarray(0, Math.ceil(this.stored / 2)), this.bytes.subarray(-1)].map((b) => crc32c(b));
    assert.deepEqual(Crc32c, expected);
  }

  MsgComplete(socket, { Crc32c, Round }, talk) {
    if (Round !== talk.round) return;
    if (this.stored < this.length) {
      this.ask_again(socket, talk);
      return;
    }
    assert.equal(Crc32c, crc32c(this.bytes), 'the page knows the checksum of all that was stored, whoever sent it');
    this.arrived = true;
    socket.news('handing_over');
  }

  MsgPing(socket) {
    socket.hears('MsgPong', {});
  }

  MsgCancel(socket) {
    if (this.arrived) return; // it gets the result instead
    this.outcome = 'cancelled';
    socket.hears('MsgCancelAck', { Ack: true });
  }

  tell_result(socket) {
    if (!this.arrived || this.outcome === 'cancelled' || socket.readyState !== 1) return;
    this.outcome = 'finished';
    if (this.talks.get(socket)?.agreed) socket.finishes();
  }
}

const EVENTS = {
  start: (page, uploader) => uploader.start(),
  pause: (page, uploader) => uploader.pause('pause'),
  unpause: (page, uploader) => uploader.pause('unpause'),
  cancel: (page, uploader, server, chance) => chance() < 0.2 && uploader.cancel('enough'),
  limit: (page, uploader, server, chance) => { uploader.max_bytes_per_s = chance() < 0.5 ? 0 : 10 + chance() * 1e5; },
  open: (page) => page.socket && page.socket.readyState === 0 && page.socket.open(),
  settle: (page) => page.pass(0),
  serve: (page, uploader, server) => page.socket && server.step(page.socket),
  serve_more: async (page, uploader, server) => {
    for (let i = 0; i < 6 && page.socket; i++) {
      server.step(page.socket);
      await page.pass(0);
    }
  },
  result: (page, uploader, server, chance) => page.socket && chance() < 0.3 && server.tell_result(page.socket),
  breaks: (page, uploader, server, chance) => {
    const codes = [1000, 1006, 1012, 1013, 4001];
    const alive = page.socket && page.socket.readyState < 2;
    if (alive) page.socket.breaks(codes[Math.floor(chance() * codes.length)], 'Some reason.');
  },
  stops: (page, uploader, server, chance) => {
    if (!page.socket || page.socket.readyState !== 1 || chance() < 0.5) return;
    page.socket.news('stopping', 2);
    page.socket.breaks(1012, 'The server is being restarted.');
  },
  refuses: (page, uploader, server, chance) => {
    const open = page.socket && page.socket.readyState === 1;
    if (open && chance() < 0.5) page.socket.refuses(41, 'storage_full', { Retryable: true });
  },
  app_cancels: (page, uploader, server, chance) => {
    if (!page.socket || page.socket.readyState !== 1 || server.outcome || server.arrived || chance() > 0.1) return;
    server.outcome = 'cancelled';
    page.socket.refuses(30, 'cancelled');
  },
  network: (page, uploader, server, chance) => {
    page.navigator.onLine = chance() < 0.5;
    page.fire(page.navigator.onLine ? 'online' : 'offline');
  },
  show: (page) => page.fire('visibilitychange'),
  sleep: (page, uploader, server, chance) => page.clock.sleeps(chance() * 100),
  time: (page, uploader, server, chance) => page.pass(chance() * 40),
};

function check(page, uploader) {
  const { bytes_acked, bytes_tx, bytes_total, frac_complete } = uploader;
  assert.ok(bytes_acked >= 0 && bytes_acked <= bytes_tx && bytes_tx <= bytes_total);
  assert.ok(bytes_tx - bytes_acked <= 4 * KIB, 'no more on its way than the server allows');
  assert.ok(frac_complete >= 0 && frac_complete <= 1);
  if (uploader.seen.length) assert.deepEqual(uploader.seen.at(-1), look(uploader), 'a change without onprogress');
  assert.ok(page.sockets.filter((socket) => socket.readyState < 2).length <= 1, 'one connection at a time');
  const ends = [uploader.finished, uploader.cancelled, endings(uploader).includes('error')].filter(Boolean).length;
  assert.equal(endings(uploader).length, ends, 'one ending, called once');
  if (!ends) return;
  assert.equal(page.clock.timers.size, 0, 'nothing goes on after the end');
  assert.deepEqual([uploader.connected, uploader.can_pause, uploader.can_cancel], [false, false, false]);
  assert.equal(page.storage.size, 0, 'nothing is kept after the end');
}

/** From here on nothing goes wrong: the upload has to end. */
async function goes_well(page, uploader, server) {
  page.navigator.onLine = true;
  server.spoils = false;
  uploader.start().pause('unpause').max_bytes_per_s = 0;
  for (let i = 0; i < 200 && !endings(uploader).length; i++) {
    await page.pass(5);
    if (page.socket.readyState === 0) page.socket.open();
    for (let served = true; served;) {
      served = server.step(page.socket);
      await page.pass(0);
    }
    server.tell_result(page.socket);
    check(page, uploader);
  }
}

async function walk(number) {
  const chance = chance_of(number);
  const options = { no_worker: chance() < 0.2 ? 'fails' : null };
  const page = chance() < 0.5 ? new Page(options) : new Browser().tab(options);
  page.random = chance();
  const file = new FakeFile(SIZES[Math.floor(chance() * SIZES.length)]);
  const uploader = page.uploader(file);
  const server = new Server(file.size, chance);
  server.spoils = chance() < 0.5;
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
    if (server.outcome === 'finished') assert.deepEqual(server.bytes, file.bytes());
    assert.deepEqual(page.reported, []);
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
