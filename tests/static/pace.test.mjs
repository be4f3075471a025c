// Filling the link, and no more: window and chunk sizes on emulated links, limits, and the speed that is shown.
//
// tests/net does the same with real packets.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EmptyFile } from './files.mjs';
import { Link } from './link.mjs';
import { KIB, Page } from './page.mjs';

const MIB = KIB * KIB;
const MBIT = 125_000; // bytes a second
const TERMS = { MaxChunkBytes: 4 * MIB, MaxWindowBytes: 64 * MIB };

/** A page that uploads over such a link. */
async function uploading(line, { terms = {}, prepare = () => {} } = {}) {
  const page = new Page();
  let seed = 1;
  page.chance = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const link = new Link(page, line);
  const uploader = page.incoming.Uploader('ticket', new EmptyFile(4 * 1024 * MIB));
  prepare(uploader, page);
  uploader.start();
  await page.connects(0, { ...TERMS, ...terms });
  return { page, link, uploader };
}

test('a fast, long link is full after a second', async () => {
  const { link } = await uploading({ bytes_per_s: 1000 * MBIT, round_trip_s: 0.1 });
  await link.share_of(1);
  assert.ok(await link.share_of(2) > 0.97);
  assert.ok(link.most_queued_s < 0.5);
  assert.equal(link.chunk_sizes.at(-1), 4 * MIB);
});

test('even over a satellite the link fills', async () => {
  const { link } = await uploading({ bytes_per_s: 50 * MBIT, round_trip_s: 0.6 });
  await link.share_of(10);
  assert.ok(await link.share_of(5) > 0.97);
});

test('on a slow link never more than half a second is queued, and it is full all the same', async () => {
  for (const mbit of [2, 10, 100]) {
    const { page, link, uploader } = await uploading({ bytes_per_s: mbit * MBIT, round_trip_s: 0.05 });
    await link.share_of(1);
    assert.ok(await link.share_of(20) > 0.97, `${mbit} Mbit/s`);
    assert.ok(link.most_queued_s < 0.5, `${mbit} Mbit/s: ${link.most_queued_s} s`);
    assert.ok(uploader.bytes_ahead / link.bytes_per_s < 0.5);
    uploader.cancel('enough');
    assert.ok((link.last_heard_ms - page.clock.now_ms) / 1000 < 1, 'a cancel is heard within a second');
  }
});

test('a fast link keeps the parts of a slow storage full', async () => {
  const { page, link, uploader } = await uploading({ bytes_per_s: 800 * MBIT, round_trip_s: 0.03 });
  link.storage = { part_bytes: 8 * MIB, after_s: 0.3 };
  await page.pass(3);
  link.least_unstored_bytes = Infinity;
  assert.ok(await link.share_of(5) > 0.95);
  assert.ok(link.least_unstored_bytes >= 40 * MIB, `four parts on their way and one that fills: ${link.least_unstored_bytes}`);
  assert.equal(uploader.bytes_acked, link.stored_bytes, 'what is shown is stored');
});

test('a slow link has no more on its way because a storage is slow', async () => {
  for (const mbit of [1, 10]) {
    const most = [];
    for (const storage of [null, { part_bytes: 8 * MIB, after_s: 0.3 }, { part_bytes: 8 * MIB, after_s: 3 }]) {
      const { page, link, uploader } = await uploading({ bytes_per_s: mbit * MBIT, round_trip_s: 0.03 });
      link.storage = storage;
      await page.pass(20);
      assert.ok(link.taken_bytes > 0.95 * 20 * link.bytes_per_s, `${mbit} Mbit/s: ${link.taken_bytes}`);
      assert.equal(page.sockets.length, 1, 'what is taken shows that the connection lives');
      assert.ok(uploader.bytes_acked <= link.stored_bytes);
      most.push(link.most_on_way_bytes);
    }
    assert.ok(Math.max(...most) === most[0], `${mbit} Mbit/s: ${most}`);
  }
});

test('what is taken and not stored stays within the limit of the server', async () => {
  const { page, link, uploader } = await uploading({ bytes_per_s: 800 * MBIT, round_trip_s: 0.03 });
  link.storage = { part_bytes: 8 * MIB, after_s: 1000 };
  await page.pass(5);
  assert.equal(page.sockets.length, 1);
  assert.equal(uploader.bytes_acked, 0);
  assert.ok(uploader.bytes_ahead > 56 * MIB && uploader.bytes_ahead <= 64 * MIB, `${uploader.bytes_ahead}`);
});

test('nonsense about what is taken is not heard', async () => {
  for (const nonsense of [-1, 'x', null, {}, 1e300]) {
    const { page, link } = await uploading({ bytes_per_s: 100 * MBIT, round_trip_s: 0.05 });
    link.says = { Taken: nonsense };
    await page.pass(1);
    assert.ok(await link.share_of(3) > 0.9, `${nonsense}`);
    assert.equal(page.sockets.length, 1);
  }
});

test('when the way becomes longer, as with another network, the link fills again', async () => {
  const { link } = await uploading({ bytes_per_s: 50 * MBIT, round_trip_s: 0.05 });
  await link.share_of(5);
  link.round_trip_s = 0.8;
  await link.share_of(30);
  assert.ok(await link.share_of(10) > 0.9);
});

test('a very slow link has small chunks, so that it never sounds dead', async () => {
  const { page, link, uploader } = await uploading({ bytes_per_s: 4000, round_trip_s: 0.3 });
  await page.pass(60);
  assert.equal(page.sockets.length, 1);
  assert.ok(Math.max(...link.chunk_sizes) <= 16 * KIB);
  assert.ok(uploader.bytes_ahead <= 32 * KIB);
});

test('when a link becomes slow the window follows within seconds, and when it becomes fast again, too', async () => {
  const { page, link, uploader } = await uploading({ bytes_per_s: 200 * MBIT, round_trip_s: 0.03 });
  await page.pass(3);
  link.bytes_per_s = 20 * MBIT;
  await page.pass(6);
  link.most_queued_s = 0;
  await page.pass(2);
  assert.ok(link.most_queued_s < 0.5, `${link.most_queued_s}`);
  assert.ok(uploader.bytes_ahead < 0.5 * link.bytes_per_s);
  link.bytes_per_s = 200 * MBIT;
  await page.pass(2);
  assert.ok(await link.share_of(2) > 0.97);
});

test('jitter and stalls neither empty the link nor fill its queue', async () => {
  const { page, link } = await uploading({ bytes_per_s: 50 * MBIT, round_trip_s: 0.04, jitter_s: 0.02 });
  await page.pass(1);
  link.most_queued_s = 0;
  let share = 0;
  for (let i = 0; i < 10; i++) {
    link.free_at_ms = Math.max(link.free_at_ms, page.clock.now_ms) + 200; // a lost packet is sent again
    share += await link.share_of(2) / 10;
  }
  assert.ok(share > 0.87, `${share}`); // a tenth of the time nothing went out
  assert.ok(link.most_queued_s < 0.8, `${link.most_queued_s}`);
  assert.equal(page.sockets.length, 1);
});

test('acknowledgements that come in a burst, as after a lost packet, do not fill the queue of a slow link', async () => {
  const { page, link, uploader } = await uploading({ bytes_per_s: 2 * MBIT, round_trip_s: 0.05 });
  let [share, most_ahead] = [0, 0];
  uploader.onprogress = () => { most_ahead = Math.max(most_ahead, uploader.bytes_ahead); };
  for (let i = 0; i < 50; i++) {
    link.last_heard_ms = page.clock.now_ms + 100 + 250 * page.chance();
    share += await link.share_of(0.4) / 50;
  }
  assert.ok(most_ahead / link.bytes_per_s < 0.5, `${most_ahead}`);
  assert.ok(share > 0.9, `${share}`);
});

test('the limits of the server are kept', async () => {
  const terms = { MaxChunkBytes: 100 * KIB, MaxWindowBytes: 250 * KIB };
  const { page, link, uploader } = await uploading({ bytes_per_s: 1000 * MBIT, round_trip_s: 0.1 }, { terms });
  let most = 0;
  uploader.onprogress = () => { most = Math.max(most, uploader.bytes_ahead); };
  await page.pass(3);
  assert.ok(most <= 250 * KIB && most > 150 * KIB, `${most}`);
  assert.ok(Math.max(...link.chunk_sizes) <= 100 * KIB);
});

test('chunks are as large as the last acknowledgement allows', async () => {
  const terms = { MaxChunkBytes: 512 * KIB };
  const { page, link } = await uploading({ bytes_per_s: 1000 * MBIT, round_trip_s: 0.1 }, { terms });
  await page.pass(1);
  assert.equal(Math.max(...link.chunk_sizes), 512 * KIB);
  for (const allowed of [4 * MIB, 2 * MIB, 64 * KIB]) {
    link.says = { MaxChunkBytes: allowed };
    await page.pass(1);
    assert.equal(link.chunk_sizes.at(-1), allowed);
  }
});

test('no more is on its way than the last acknowledgement allows, nor than the connection began with', async () => {
  const terms = { MaxChunkBytes: 512 * KIB, MaxWindowBytes: 4 * MIB };
  const { page, link, uploader } = await uploading({ bytes_per_s: 125 * MBIT, round_trip_s: 0.4 }, { terms });
  let most = 0;
  uploader.onprogress = () => { most = Math.max(most, uploader.bytes_ahead); };
  const window_for = async (says) => {
    link.says = { MaxChunkBytes: 512 * KIB, ...says };
    await page.pass(3); // the window is filled again
    most = 0;
    await page.pass(3);
    return most;
  };
  assert.equal(await window_for({}), 4 * MIB);
  assert.equal(await window_for({ MaxWindowBytes: MIB }), MIB);
  for (const no_less of [0, -1, 'x', null, 64 * MIB]) {
    assert.equal(await window_for({ MaxWindowBytes: no_less }), 4 * MIB, `${no_less}`);
  }
});

test('after a silence as much is on its way as the connection began with', async () => {
  const { page, link, uploader } = await uploading(
    { bytes_per_s: 1000 * MBIT, round_trip_s: 0.1 }, { terms: { MaxWindowBytes: 16 * MIB, SilenceS: 100 } });
  link.says = { MaxChunkBytes: MIB, MaxWindowBytes: 2 * MIB };
  await page.pass(3);
  assert.equal(uploader.bytes_ahead, 2 * MIB);
  link.round_trip_s = 5;
  await page.pass(1.2);
  assert.ok(uploader.bytes_ahead <= 2 * MIB);
  link.says = {};
  link.round_trip_s = 0.1;
  await page.pass(8);
  assert.ok(uploader.bytes_ahead > 10 * MIB, `${uploader.bytes_ahead}`);
});

test('after a silence chunks are as large as the connection began with, but for those that are ready', async () => {
  const terms = { MaxChunkBytes: 512 * KIB, SilenceS: 100 };
  const { page, link } = await uploading({ bytes_per_s: 1000 * MBIT, round_trip_s: 0.1 }, { terms });
  link.says = { MaxChunkBytes: 4 * MIB };
  await page.pass(3);
  assert.equal(link.chunk_sizes.at(-1), 4 * MIB);
  link.round_trip_s = 5;
  await page.pass(1); // what is on its way is acknowledged by then
  link.says = {};
  link.round_trip_s = 0.1;
  await page.pass(6);
  const had = link.chunk_sizes.length - 1;
  await page.pass(2);
  const since = link.chunk_sizes.slice(had);
  assert.ok(since.length > 8 && since.filter((bytes) => bytes > 512 * KIB).length <= 4, `${since}`);
});

test('nonsense about the size of chunks is not heard', async () => {
  for (const nonsense of [0, -1, 0.5, 'x', null, NaN]) {
    const terms = { MaxChunkBytes: 512 * KIB };
    const { page, link } = await uploading({ bytes_per_s: 1000 * MBIT, round_trip_s: 0.1 }, { terms });
    link.says = { MaxChunkBytes: nonsense };
    await page.pass(0.8);
    assert.equal(link.chunk_sizes.at(-1), 512 * KIB);
  }
});

test('it begins with 64 KiB, and after a lost connection with half of what it had', async () => {
  const { page, link, uploader } = await uploading({ bytes_per_s: 100 * MBIT, round_trip_s: 0.1 });
  assert.equal(uploader.bytes_ahead, 64 * KIB);
  await page.pass(3);
  const had = uploader.bytes_ahead;
  page.socket.breaks();
  await page.seconds_until_dialled();
  link.sent_bytes = uploader.bytes_acked;
  await page.connects(uploader.bytes_acked, TERMS);
  assert.ok(Math.abs(uploader.bytes_ahead - had / 2) < had / 5, `${uploader.bytes_ahead} after ${had}`);
});

// ---- the page's own limit

/** Acknowledged bytes a second over so long. */
async function speed_over(page, link, seconds) {
  const before = link.stored_bytes;
  await page.pass(seconds);
  return (link.stored_bytes - before) / seconds;
}

test('a limit is kept within 5 %, with timers that come in time and with those of a hidden page', async () => {
  for (const grain_ms of [1, 1000]) {
    for (const limit of [20_000, 300_000, 5_000_000]) {
      const prepare = (uploader, page) => {
        uploader.max_bytes_per_s = limit;
        page.clock.grain_ms = grain_ms;
      };
      const { page, link } = await uploading({ bytes_per_s: 500 * MBIT, round_trip_s: 0.05 }, { prepare });
      await page.pass(3);
      const speed = await speed_over(page, link, 20);
      assert.ok(Math.abs(speed / limit - 1) < 0.05, `${limit} at ${grain_ms} ms: ${speed}`);
    }
  }
});

test('a limit sends no burst at its start, and none after a pause', async () => {
  const { page, link, uploader } = await uploading(
    { bytes_per_s: 500 * MBIT, round_trip_s: 0.05 }, { prepare: (u) => { u.max_bytes_per_s = 100_000; } });
  assert.ok(await speed_over(page, link, 1) <= 105_000);
  uploader.pause('pause');
  await page.pass(100);
  uploader.pause('unpause');
  link.sent_bytes = uploader.bytes_acked;
  await page.connects(uploader.bytes_acked, TERMS);
  assert.ok(await speed_over(page, link, 10) <= 115_000 * 1.05, 'what was saved is a second and a half at most');
});

test('a limit can be set, changed and lifted at any time', async () => {
  const { page, link, uploader } = await uploading({ bytes_per_s: 100 * MBIT, round_trip_s: 0.05 });
  await page.pass(2);
  for (const limit of [1_000_000, 200_000, 2_000_000]) {
    uploader.max_bytes_per_s = limit;
    assert.equal(uploader.max_bytes_per_s, limit);
    await page.pass(3);
    const speed = await speed_over(page, link, 10);
    assert.ok(Math.abs(speed / limit - 1) < 0.05, `${limit}: ${speed}`);
  }
  uploader.max_bytes_per_s = 0;
  await page.pass(2);
  assert.ok(await link.share_of(3) > 0.95);
});

test('a limit that changes sixty times a second does not slow the upload down, though a chunk takes longer to read', async () => {
  const around = (limit) => (i) => limit * (1 + 0.1 * Math.sin(i));
  for (const [name, limit_of, expected] of [
    ['the same again and again', () => 1_000_000, 1_000_000],
    ['around a small one', around(100_000), 100_000],
    ['around a middling one', around(1_000_000), 1_000_000],
    ['around one that the link can just keep', around(10_000_000), 10_000_000],
    ['beyond what the link can', around(1e9), 100 * MBIT],
  ]) {
    const { page, link, uploader } = await uploading({ bytes_per_s: 100 * MBIT, round_trip_s: 0.05 });
    page.later = (callback) => page.clock.set(callback, 30);
    for (let i = 0; i < 180; i++) {
      uploader.max_bytes_per_s = limit_of(i);
      await page.pass(1 / 60);
    }
    const before = link.stored_bytes;
    const began_ms = page.clock.now_ms;
    for (let i = 0; i < 600; i++) {
      uploader.max_bytes_per_s = limit_of(i);
      await page.pass(1 / 60);
    }
    const speed = (link.stored_bytes - before) / (page.clock.now_ms - began_ms) * 1000;
    assert.ok(Math.abs(speed / expected - 1) < 0.1, `${name}: ${speed} instead of ${expected}`);
  }
});

test('a limit that is lifted while it is waited for takes effect at once', async () => {
  const { page, link, uploader } = await uploading(
    { bytes_per_s: 100 * MBIT, round_trip_s: 0.05 }, { prepare: (u) => { u.max_bytes_per_s = 10; } });
  await page.pass(1);
  assert.equal(link.stored_bytes, 0);
  uploader.max_bytes_per_s = 0;
  await page.pass(1);
  assert.ok(link.stored_bytes > MIB);
});

test('what is no limit is a TypeError', () => {
  const uploader = new Page().uploader();
  for (const limit of [-1, NaN, Infinity, '1 MB', undefined]) {
    assert.throws(() => { uploader.max_bytes_per_s = limit; }, { name: 'TypeError', message: /max_bytes_per_s/ });
  }
  assert.equal(uploader.max_bytes_per_s, 0);
});

// ---- the speed that is shown

test('the speed and the time that is left are those of the link, and steady', async () => {
  const { page, link, uploader } = await uploading({ bytes_per_s: 80 * MBIT, round_trip_s: 0.1, jitter_s: 0.05 });
  assert.deepEqual([uploader.bytes_per_s, uploader.seconds_left], [0, null]);
  await page.pass(6);
  for (let i = 0; i < 40; i++) {
    await page.pass(0.25);
    assert.ok(Math.abs(uploader.bytes_per_s / link.bytes_per_s - 1) < 0.1, `${uploader.bytes_per_s}`);
    const left_s = (uploader.bytes_total - uploader.bytes_acked) / link.bytes_per_s;
    assert.ok(Math.abs(uploader.seconds_left / left_s - 1) < 0.1);
  }
});

test('the speed falls while nothing is stored, is 0 without a connection, and no longer old after it', async () => {
  const { page, link, uploader } = await uploading({ bytes_per_s: 80 * MBIT, round_trip_s: 0.1 });
  await page.pass(5);
  const before = uploader.bytes_per_s;
  link.free_at_ms = page.clock.now_ms + 7000;
  await page.pass(4);
  assert.ok(uploader.bytes_per_s < before / 2 && uploader.bytes_per_s > 0);
  await page.pass(3);
  assert.deepEqual([uploader.bytes_per_s, uploader.seconds_left, uploader.connected], [0, null, true]);
  page.socket.breaks();
  assert.deepEqual([uploader.bytes_per_s, uploader.seconds_left], [0, null]);
  await page.seconds_until_dialled();
  link.sent_bytes = uploader.bytes_acked;
  await page.connects(uploader.bytes_acked, TERMS);
  assert.equal(uploader.bytes_per_s, 0);
});

test('a clock alone makes no more than one call a second', async () => {
  const { page, link, uploader } = await uploading({ bytes_per_s: 80 * MBIT, round_trip_s: 0.1 });
  await page.pass(3);
  link.free_at_ms = Infinity;
  await page.pass(1);
  let calls = 0;
  uploader.onprogress = () => { calls += 1; };
  await page.pass(5);
  assert.ok(calls > 0 && calls <= 5, `${calls}`);
});
