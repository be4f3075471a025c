// Modules of static/src by themselves: pure ones, without a page.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { combine } from '../../static/src/checksums.js';
import { StoredRanges } from '../../static/src/ranges.js';
import { STATES, TRANSITIONS } from '../../static/src/states.js';
import { are_valid, read_message, write_header } from '../../static/src/wire.js';
import { make_crc32c } from '../../static/src/worker/crc32c.js';
import { crc32c as slow_crc32c } from './files.mjs';

const bytes_of = (length, seed = 1) => new Uint8Array(length).map((_, i) => ((i + seed) * 2654435761) >>> 13);

test('the fast checksum is that of the definition, for any length and any seed', () => {
  const crc32c = make_crc32c(null);
  for (const length of [0, 1, 3, 4, 5, 21099, 21100, 21101, 60000]) {
    const bytes = bytes_of(length);
    assert.equal(crc32c(bytes.buffer, 0, 0), slow_crc32c(bytes), `${length} bytes`);
    const half = (length >> 1) & ~3;
    const seed = crc32c(bytes.slice(0, half).buffer, 0, 0);
    assert.equal(crc32c(bytes.buffer, half, seed), slow_crc32c(bytes), `${length} bytes in two parts`);
  }
});

test('checksums of ranges combine to the checksum of the whole', () => {
  for (const [a, b] of [[0, 5], [5, 0], [1, 1], [1000, 7], [7, 4096]]) {
    const whole = bytes_of(a + b);
    const combined = combine(slow_crc32c(whole.subarray(0, a)), slow_crc32c(whole.subarray(a)), b);
    assert.equal(combined, slow_crc32c(whole), `${a} + ${b}`);
  }
});

test('stored ranges know what has to be read again, and forget what a server has lost', () => {
  const ranges = new StoredRanges();
  ranges.add(10, 10, 1);
  assert.equal(ranges.gap(), undefined);
  ranges.reach(15);
  ranges.add(5, 5, 2);
  assert.deepEqual([ranges.gap().from, ranges.gap().bytes, ranges.bytes], [10, 5, 20]);
  ranges.know(3);
  assert.equal(ranges.gap(), undefined);
  ranges.reach(4);
  assert.deepEqual([ranges.gap().from, ranges.gap().bytes, ranges.bytes], [0, 4, 4]);
});

test('no message makes the reader throw', () => {
  for (const text of ['', 'null', '7', '[]', '{}', '{"MsgType":"MsgStored"}', '{"MsgType":"constructor","MsgData":{}}', undefined]) {
    assert.ok(['ignored', 'not_understood'].includes(read_message(text).type), `${text}`);
  }
});

test('terms that no file of this length can have are not valid', () => {
  const terms = { offset: 0, max_chunk_bytes: 1, max_window_bytes: 1, silence_s: 1, idle_silence_s: 0, compare: [], arrived: false };
  assert.equal(are_valid(terms, 10), true);
  for (const change of [
    { offset: -1 }, { offset: 11 }, { offset: 0.5 }, { offset: '0' }, { max_chunk_bytes: 0 }, { max_window_bytes: NaN },
    { silence_s: 0 }, { compare: null }, { compare: [[0, 11]] }, { compare: [[3, 2]] }, { compare: [[-1, 2]] },
  ]) {
    assert.equal(are_valid({ ...terms, ...change }, 10), false, JSON.stringify(change));
  }
});

test('a header holds offsets beyond 4 GiB', () => {
  const buffer = new ArrayBuffer(16);
  write_header(buffer, 5 * 2 ** 32 + 7, 0xfedcba98, 3);
  assert.deepEqual([...new Uint32Array(buffer)].map((word) => Buffer.from(Uint32Array.of(word).buffer).readUInt32BE()), [5, 7, 0xfedcba98, 3]);
});

test('every transition leads to a state, and an upload that has ended stays as it is', () => {
  assert.deepEqual(Object.keys(TRANSITIONS).sort(), Object.keys(STATES).sort());
  for (const [state, transitions] of Object.entries(TRANSITIONS)) {
    for (const next of Object.values(transitions)) assert.ok(next in STATES, `${state} -> ${next}`);
  }
  for (const state of ['finished', 'cancelled', 'failed']) assert.deepEqual(TRANSITIONS[state], {});
});

test('the sentences for users hold no HTML, and no other module has one', async () => {
  const folder = new URL('../../static/src/', import.meta.url);
  const modules = readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.js') && !name.startsWith('texts/')); // texts.test.mjs has those
  assert.ok(modules.length > 30);
  for (const name of modules) {
    if (name === 'element/texts.js') {
      const { TEXTS } = await import(new URL(name, folder)); // its texts are labels, too
      const shown = Object.values(TEXTS).flatMap((text) => (typeof text === 'function' ? text('a', 'b', 'c') : text));
      for (const text of shown) assert.doesNotMatch(text, /[<>&]/);
    } else if (name === 'frameworks/uppy.js') {
      continue; // Uppy has a table of its own
    } else if (name.endsWith('texts.js')) {
      const { ENGLISH } = await import(new URL(name, folder));
      const { units, per_second, seconds, minutes, hours, ...table } = ENGLISH;
      const as_shown = (text) => (typeof text === 'function' ? text('a', 'b', 'c') : text);
      const sentences = Object.values(table).map(as_shown);
      assert.ok(sentences.length > 5, name);
      for (const sentence of sentences) assert.match(sentence, /^[A-Z][^<>&]+\.$/);
      const numbers = [units, per_second, seconds, minutes, hours].flat().filter(Boolean);
      for (const number of numbers) assert.match(as_shown(number), /^[^<>&]+$/);
    } else {
      const code = readFileSync(new URL(name, folder), 'utf8').replace(/\/\*[^]*?\*\/|\/\/.*/g, '');
      assert.doesNotMatch(code, /'[A-Z][a-z]+ [^']*\.'/, name);
    }
  }
});
