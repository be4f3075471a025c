// What the queue has for its page, beside the list: sums, restrictions, files of a drop, tickets over HTTP.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { check_file, file_of, files_of, formats, incoming, is_accepted, pass, queue_of, settled, ticket_from } from './queue_page.mjs';

// ---- totals ----

test('totals count what was neither cancelled nor refused', async () => {
  const queue = await queue_of(4, { restrictions: { max_bytes: 1000 } });
  queue.items[3].cancel();
  queue.add(file_of(5000));
  queue.items[0].uploader.arrive();
  queue.items[0].uploader.finish();
  queue.items[1].uploader.ack(50);
  const { bytes_per_s, seconds_left, ...totals } = queue.totals();
  assert.deepEqual(totals, {
    files: 3, waiting: 0, running: 2, paused: 0, finished: 1, failed: 0, cancelled: 1, refused: 1,
    bytes_total: 300, bytes_acked: 150, frac_complete: 0.5,
  });
});

test('totals of empty files count files', async () => {
  const queue = await queue_of(0);
  assert.equal(queue.totals().frac_complete, 0);
  queue.add(file_of(0, 'a'));
  queue.add(file_of(0, 'b'));
  await settled();
  queue.items[0].uploader.finish();
  assert.equal(queue.totals().frac_complete, 0.5);
});

test('sums are right after any course of events', async () => {
  const queue = await queue_of(30, { at_once: 3 });
  let seed = 1;
  const chance = (count) => { seed = (seed * 16807) % 2147483647; return seed % count; };
  const acts = [
    (item) => item.pause(), (item) => item.resume(), (item) => item.retry(), (item) => queue.move(item, chance(9)), (item) => queue.remove(item),
    ({ uploader }) => uploader?.ack(chance(101)), ({ uploader, ended }) => !ended && uploader?.fail(chance(2) ? 100 : 32),
    ({ uploader, ended }) => !ended && uploader?.finish(), (item) => chance(9) || item.cancel(), () => queue.add(file_of(chance(200))),
    () => chance(20) || queue.clear('failed', 'cancelled'),
  ];
  for (let step = 0; step < 3000; step += 1) {
    const item = queue.items[chance(queue.items.length || 1)];
    if (item) acts[chance(acts.length)](item);
    if (step % 10 === 0) await settled();
    const counted = queue.items.filter(({ state }) => state !== 'cancelled');
    const sum = (name) => counted.reduce((total, one) => total + name(one), 0);
    const totals = queue.totals();
    assert.deepEqual(
      [totals.files, totals.bytes_total, totals.bytes_acked, totals.failed],
      [counted.length, sum(({ file }) => file.size), sum(({ bytes_acked }) => bytes_acked), queue.in_state('failed').length],
    );
    const running = queue.in_state('running').length;
    assert.ok(running <= 3 && (running === 3 || !queue.in_state('waiting').length), `step ${step}: ${running} run`);
  }
  assert.ok(queue.items.length > 30);
});

test('the speed is that of the last seconds, over all files', async () => {
  const queue = await queue_of(2);
  assert.equal(queue.totals().bytes_per_s, 0);
  queue.items[0].uploader.ack(10);
  await pass(0.5);
  assert.deepEqual([queue.totals().bytes_per_s, queue.totals().seconds_left], [0, null], 'too early to tell');
  queue.items[1].uploader.ack(20);
  await pass(1.5);
  assert.equal(queue.totals().bytes_per_s, 15);
  assert.equal(queue.totals().seconds_left, 170 / 15);
  for (let s = 3; s <= 20; s += 1) {
    await pass(1);
    queue.totals();
  }
  assert.deepEqual([queue.totals().bytes_per_s, queue.totals().seconds_left], [0, null], 'it stands');
});

test('a pause does not make the speed after it lower', async () => {
  const queue = await queue_of(1);
  queue.totals();
  queue.items[0].uploader.ack(20);
  await pass(2);
  assert.equal(queue.totals().bytes_per_s, 10);
  queue.pause();
  await pass(58);
  assert.equal(queue.totals().bytes_per_s, 0);
  queue.resume();
  await pass(1);
  queue.items[0].uploader.ack(40);
  await pass(2);
  assert.equal(queue.totals().bytes_per_s, 10);
});

test('there is no speed while no upload has a connection', async () => {
  const queue = await queue_of(2);
  queue.totals();
  queue.items[0].uploader.ack(20);
  queue.items[0].uploader.retrying = true;
  await pass(2);
  assert.equal(queue.totals().bytes_per_s, 10, 'the other one continues');
  queue.items[1].uploader.retrying = true;
  assert.equal(queue.totals().bytes_per_s, 0);
});

test('those who look hear that the speed changes although nothing happens, as long as something runs', async () => {
  const queue = await queue_of(1);
  const speeds = [];
  const end = queue.subscribe(() => speeds.push(queue.snapshot().totals.bytes_per_s));
  queue.items[0].uploader.ack(40);
  await pass(4);
  assert.deepEqual(speeds, [0, 40, 20, 40 / 3, 10].slice(0, speeds.length));
  assert.ok(speeds.length >= 4);
  queue.items[0].uploader.finish();
  const { length } = speeds;
  await pass(5);
  assert.equal(speeds.length, length, 'it is over');
  end();
});

// ---- restrictions ----

const KB = 1000;
for (const [code, restrictions, file] of [
  ['too_large', { max_bytes: 99 }, file_of(100)],
  ['too_small', { min_bytes: 101 }, file_of(100)],
  ['not_accepted', { accept: 'image/*' }, file_of(100)],
  ['not_accepted', { accept: ['.pdf', 'image/png'] }, file_of(100, 'a.pdf.txt')],
]) {
  test(`a file that is ${code} is refused with a sentence, and nobody is asked for a ticket (${JSON.stringify(restrictions)})`, async () => {
    const refusal = check_file(file, restrictions);
    assert.equal(refusal.code, code);
    assert.match(refusal.message, /^[A-Z][^<>&]*\.$/);
    let asked = 0;
    const queue = await queue_of(0, { restrictions, get_ticket: async () => { asked += 1; return 'x'; } });
    const { added, refused } = await queue.add_all([file]);
    assert.deepEqual([added, refused[0].code, refused[0].file, queue.items.length], [[], code, file, 0]);
    const item = queue.add(file);
    await settled();
    assert.deepEqual([item.state, item.reason, item.message, item.ended, asked], ['refused', code, refusal.message, true, 0]);
    assert.deepEqual([item.can_retry, item.can_cancel, item.can_pause], [false, false, false]);
    queue.retry();
    assert.equal(item.state, 'refused');
  });
}

test('limits themselves are allowed, and what is not set is no limit', () => {
  assert.equal(check_file(file_of(100), { max_bytes: 100, min_bytes: 100, accept: '' }), null);
  assert.equal(check_file(file_of(1e15), {}), null);
  assert.equal(check_file(file_of(0), { max_bytes: null, min_bytes: null, max_files: undefined, accept: null }), null);
  assert.equal(check_file(file_of(1), { max_bytes: 0 }).code, 'too_large');
});

test('the number of files and their size count with those in the list, without the cancelled ones', async () => {
  const queue = await queue_of(0, { restrictions: { max_files: 3, max_total_bytes: 250 } });
  const { added, refused } = await queue.add_all([file_of(100, 'a'), file_of(100, 'b'), file_of(100, 'c'), file_of(50, 'd'), file_of(0, 'e')]);
  assert.deepEqual([added.map(({ path }) => path), refused.map(({ code, path }) => `${path} ${code}`)], [['a', 'b', 'd'], ['c total_too_large', 'e too_many']]);
  added[0].uploader.says('cancelled', { cancel_msg: '' });
  assert.equal(check_file(file_of(101), queue.restrictions, queue).code, 'total_too_large');
  assert.equal(check_file(file_of(100), queue.restrictions, queue), null);
});

test('types are compared as in a file input', () => {
  const accepts = (name, type, accept) => is_accepted(file_of(1, name, { type }), accept);
  assert.equal(accepts('A.JPG', '', '.jpg, .png'), true);
  assert.equal(accepts('a.jpg', 'image/jpeg', 'image/*'), true);
  assert.equal(accepts('a.jpg', 'IMAGE/JPEG; x=y', ' image/jpeg ,'), true);
  assert.equal(accepts('a.svg', 'image/svg+xml', 'image/svg'), false);
  assert.equal(accepts('image', 'imagination/x', 'image/*'), false);
  assert.equal(accepts('a', '', 'image/*'), false);
  assert.equal(accepts('a', '', '*/*'), true);
  assert.equal(accepts('a', '', []), true);
  assert.equal(accepts('jpg', '', '.jpg'), false);
});

test('a page replaces the sentences, and a limit is written as people write it', () => {
  assert.equal(check_file(file_of(5 * KB), { max_bytes: 2 * KB }).message, 'This is too large. The limit is 2 kB.');
  assert.match(check_file(file_of(3e9), { max_bytes: 2.5e9 }).message, /2\.5 GB/);
  incoming.texts = { too_large: (most) => `Zu groß: höchstens ${most}.`, units: ['Byte', 'KB'] };
  assert.equal(check_file(file_of(5 * KB), { max_bytes: 2 * KB }).message, 'Zu groß: höchstens 2 KB.');
  incoming.texts = undefined; // an older library
  assert.match(check_file(file_of(5 * KB), { max_bytes: 2 * KB }).message, /too large/);
  incoming.texts = {};
});

const plain = (text) => text.replace(/\u00a0/g, ' ');

test('numbers are short, and time is never too short', () => {
  const format = formats('en');
  const sizes = [0, 999, 1000, 12345, 999949, 1e9, 5e15].map((bytes) => plain(format.size(bytes)));
  assert.deepEqual(sizes, ['0 B', '999 B', '1.0 kB', '12.3 kB', '999.9 kB', '1.0 GB', '5,000.0 TB']);
  const times = [0.1, 59, 59.1, 3600, 3601, 90000].map((s) => plain(format.time(s)));
  assert.deepEqual(times, ['1 s', '59 s', '1 min', '1 h 0 min', '1 h 1 min', '25 h 0 min']);
  assert.equal(plain(format.percent(0.99999)), '99 %');
  assert.equal(plain(format.percent(0.29)), '29 %', 'no error of floating point');
  const german = formats('de', { hours: (h, min) => `${h} Std. ${min} Min.` });
  assert.deepEqual([german.speed(1.25e6), german.count(12000), german.time(3601)].map(plain), ['1,3 MB/s', '12.000', '1 Std. 1 Min.']);
  assert.equal(plain(formats('not a language').count(50)), '50');
});

test('the docs name every sentence', async () => {
  const { ENGLISH } = await import('../../static/src/queue/texts.js');
  const docs = readFileSync(new URL('../../docs/reference/queue.md', import.meta.url), 'utf8').split('## Texts')[1];
  const cells = docs.split('\n').filter((line) => line.startsWith('| `')).map((line) => line.split('|')[1]);
  const named = cells.flatMap((cell) => [...cell.matchAll(/`([a-z_]+)/g)].map(([, name]) => name));
  assert.deepEqual(named.sort(), Object.keys(ENGLISH).sort());
});

// ---- what is dropped, chosen or pasted: entries and handles as browsers give them ----

const file_entry = (fullPath, readable = true) => ({
  fullPath, name: fullPath.split('/').pop(), isDirectory: false,
  file: (resolve, reject) => (readable ? resolve(`content of ${fullPath}`) : reject(new Error('gone'))),
});

function folder_entry(fullPath, children, readable = true) {
  const createReader = () => {
    const left = [...children];
    return { readEntries: (resolve, reject) => (readable ? resolve(left.splice(0, 100)) : reject(new Error('no'))) };
  };
  return { fullPath, name: fullPath.split('/').pop(), isDirectory: true, createReader };
}

async function found_in(source) {
  const found = [];
  for await (const { path, file, handle } of files_of(source)) found.push(handle ? [path, file, handle.name] : [path, file]);
  return found;
}

test('a folder is walked to its end, in the order that a person would expect', async () => {
  const many = Array.from({ length: 250 }, (_, n) => file_entry(`/album/photos/${250 - n}.jpg`));
  const list = { items: undefined };
  const items = [file_entry('/a.txt'), folder_entry('/album', [folder_entry('/album/photos', many), folder_entry('/album/empty', [])])];
  list.items = { ...items.map((entry) => ({ kind: 'file', webkitGetAsEntry: () => entry })), length: 2, [Symbol.iterator]: Array.prototype[Symbol.iterator] };
  const found = await found_in(list);
  assert.deepEqual(found[0], ['a.txt', 'content of /a.txt']);
  assert.deepEqual(found.slice(1).map(([path]) => path), Array.from({ length: 250 }, (_, n) => `album/photos/${n + 1}.jpg`));
});

/** A DataTransfer, which the browser empties after the event. */
function transfer(items, files = []) {
  const list = Object.assign(Object.create({ * [Symbol.iterator]() { for (let i = 0; i in this; i += 1) yield this[i]; } }), items);
  queueMicrotask(() => Object.keys(list).forEach((key) => delete list[key]));
  return { items: list, files };
}

test('what can not be read is named, and keeps nothing else away', async () => {
  const album = folder_entry('/album', [file_entry('/album/1', false), folder_entry('/album/2', [], false), file_entry('/album/3')]);
  const found = await found_in(transfer([{ kind: 'file', webkitGetAsEntry: () => album }]));
  assert.deepEqual(found, [['album/1', null], ['album/2', null], ['album/3', 'content of /album/3']]);
});

test('a dropped text is no file, and a pasted image is one', async () => {
  assert.deepEqual(await found_in(transfer([{ kind: 'string', webkitGetAsEntry: () => null, getAsFile: () => null }])), []);
  const image = file_of(10, 'image.png');
  const found = await found_in(transfer([{ kind: 'string' }, { kind: 'file', webkitGetAsEntry: () => null, getAsFile: () => image }]));
  assert.deepEqual(found, [['image.png', image]]);
});

const file_handle = (name, file = `content of ${name}`) => ({ kind: 'file', name, getFile: async () => file });
const folder_handle = (name, children) => ({
  kind: 'directory', name,
  async* values() { yield* children; },
});

test('files come with their handles where the browser has some, in folders, too', async () => {
  const handle = folder_handle('album', [folder_handle('sub', [file_handle('1')]), file_handle('2')]);
  const entry = folder_entry('/album', [folder_entry('/album/sub', [file_entry('/album/sub/1')]), file_entry('/album/2')]);
  const found = await found_in(transfer([
    { kind: 'file', webkitGetAsEntry: () => entry, getAsFileSystemHandle: async () => handle },
    { kind: 'file', webkitGetAsEntry: () => file_entry('/a'), getAsFileSystemHandle: async () => file_handle('a') },
    { kind: 'file', webkitGetAsEntry: () => file_entry('/b'), getAsFileSystemHandle: () => Promise.reject(new Error('no')) },
  ]));
  assert.deepEqual(found, [
    ['album/2', 'content of 2', '2'], ['album/sub/1', 'content of 1', '1'],
    ['a', 'content of a', 'a'], ['b', 'content of /b'],
  ]);
});

test('a folder that does not open by its handle is walked by its entry', async () => {
  const handle = { ...folder_handle('album', []), values() { throw new Error('no'); } };
  const entry = folder_entry('/album', [file_entry('/album/2')]);
  const found = await found_in(transfer([{ kind: 'file', webkitGetAsEntry: () => entry, getAsFileSystemHandle: async () => handle }]));
  assert.deepEqual(found, [['album/2', 'content of /album/2']]);
});

test('folders are given whole where the page wants that: of a drop, of a dialog, and handles', async () => {
  const wholes = async (source) => {
    const found = [];
    for await (const { path, file, folder, handle } of files_of(source, { folders: true })) found.push([path, file, folder, handle]);
    return found;
  };
  const [entry, handle] = [{ ...folder_entry('/album', []), name: 'album' }, folder_handle('album', [])];
  const dropped = transfer([
    { kind: 'file', webkitGetAsEntry: () => entry, getAsFileSystemHandle: async () => handle },
    { kind: 'file', webkitGetAsEntry: () => file_entry('/a') },
  ]);
  assert.deepEqual(await wholes(dropped), [['album', null, entry, handle], ['a', 'content of /a', undefined, undefined]]);
  assert.deepEqual(await wholes([handle]), [['album', null, handle, handle]]);
  const [a, b, c] = [file_of(1, 'a'), file_of(1, 'b', { webkitRelativePath: 'x/b' }), file_of(1, 'c', { webkitRelativePath: 'x/y/c' })];
  assert.deepEqual(await wholes([b, a, c]), [
    ['a', a, undefined, undefined], ['x', null, [{ path: 'x/b', file: b }, { path: 'x/y/c', file: c }], undefined],
  ]);
});

test('a handle that does not open gives way to the entry', async () => {
  const handle = { ...file_handle('a'), getFile: () => Promise.reject(new Error('no')) };
  const found = await found_in(transfer([{ kind: 'file', webkitGetAsEntry: () => file_entry('/a'), getAsFileSystemHandle: async () => handle }]));
  assert.deepEqual(found, [['a', 'content of /a']]);
});

test('files are found in whatever holds them', async () => {
  const [a, b] = [file_of(1, 'a'), file_of(1, 'b', { webkitRelativePath: 'folder/b' })];
  assert.deepEqual(await found_in([a, b]), [['a', a], ['folder/b', b]]);
  assert.deepEqual(await found_in({ files: [a] }), [['a', a]], 'a file input');
  assert.deepEqual(await found_in(a), [['a', a]]);
  assert.deepEqual(await found_in([{ path: 'x/a', file: a }]), [['x/a', a]]);
  assert.deepEqual(await found_in(folder_handle('f', [file_handle('1')])), [['f/1', 'content of 1', '1']]);
  assert.deepEqual(await found_in((async function* () { yield b; })()), [['folder/b', b]]);
  assert.deepEqual(await found_in([]), []);
});

test('unreadable files are reported by the queue, and the others are added', async () => {
  const queue = await queue_of(0);
  const album = folder_entry('/album', [file_entry('/album/1', false)]);
  const { added, refused } = await queue.add_all(transfer([{ kind: 'file', webkitGetAsEntry: () => album }]));
  assert.deepEqual([added, refused], [[], [{ code: 'unreadable', message: 'The file cannot be read.', file: null, path: 'album/1' }]]);
});

// ---- tickets over HTTP ----

const item = { file: file_of(100, 'a.txt'), path: 'folder/a.txt' };

/** Asks an app that gives this answer. */
async function ask({ status = 200, text = '', retry_after = null, fails = null, of = item }, options, signal = new AbortController().signal) {
  const asked = [];
  globalThis.fetch = async (url, init) => {
    asked.push({ url, ...init });
    if (fails) throw fails;
    return { status, text: async () => text, headers: { get: () => retry_after } };
  };
  const result = await ticket_from('/tickets', options)(of, signal).catch((error) => error);
  return { asked, result };
}

test('the app gets name, size, type and path, and what the page adds', async () => {
  const { asked: [{ url, method, body, headers, credentials }] } = await ask({ text: 'id' }, { fields: { album: '7' }, headers: ({ path }) => ({ 'X-Path': path }) });
  assert.deepEqual([url, method, `${body}`, headers, credentials],
    ['/tickets', 'POST', 'name=a.txt&size=100&type=text%2Fplain&path=folder%2Fa.txt&album=7', { 'X-Path': 'folder/a.txt' }, 'same-origin']);
});

test('the app hears that it is a folder, and of how many files', async () => {
  const of = { file: { name: 'photos', size: 500, type: '', files_total: 3 }, path: 'photos' };
  const { asked: [{ body }] } = await ask({ text: 'id', of });
  assert.equal(`${body}`, 'name=photos&size=500&type=&path=photos&destType=folder&files=3');
});

for (const [text, ticket] of [
  ['0b8a-1', '0b8a-1'], [' 0b8a-1\n', '0b8a-1'], ['"0b8a-1"', '0b8a-1'], ['{"id": "0b8a-1"}', '0b8a-1'], ['12', '12'], ['1e3', '1e3'],
  ['{"url": "https://x/incoming/frontend/uploads/0b8a-1"}', '0b8a-1'], ['{"id": "a", "url": "/uploads/b"}', 'a'],
]) {
  test(`the ticket in ${JSON.stringify(text)} is ${ticket}`, async () => {
    assert.equal((await ask({ text })).result, ticket);
  });
}

for (const text of ['', '<!doctype html><p>Log in', '{}', 'null', '{"id": 5}', 'two words', '[]', '{"url": ""}']) {
  test(`there is no ticket in ${JSON.stringify(text)}`, async () => {
    const { result } = await ask({ text });
    assert.deepEqual([result.message, result.retry], ['The app sent an invalid response.', false]);
  });
}

for (const status of [408, 423, 425, 429, 500, 502, 503, 504]) {
  test(`status ${status} means later`, async () => {
    const { result } = await ask({ status, text: 'Busy.', retry_after: '7' });
    assert.deepEqual([result.retry, result.retry_after_s, result.message], [true, 7, 'The upload could not start yet. Trying again soon.']);
  });
}

for (const [text, message] of [
  ['The album is full.', 'The album is full.'], ['"No."', 'No.'], ['{"message": "No."}', 'No.'], ['{"error": {"code": "x", "message": "No."}}', 'No.'],
  ['{"detail": "No."}', 'No.'], ['', 'The app did not accept the file.'], ['<html><title>403', 'The app did not accept the file.'], ['x'.repeat(9000), 'x'.repeat(500)],
]) {
  test(`a refusal of ${JSON.stringify(text.slice(0, 40))} is shown as ${message.slice(0, 40)}`, async () => {
    const { result } = await ask({ status: 403, text });
    assert.deepEqual([result.message, result.retry], [message, false]);
  });
}

test('without a network the app is asked again, and not once nobody wants the ticket', async () => {
  assert.equal((await ask({ fails: new TypeError('Failed to fetch') })).result.retry, true);
  const wanted = new AbortController();
  wanted.abort();
  assert.equal((await ask({ fails: new Error('AbortError') }, {}, wanted.signal)).result.retry, false);
});

test('an app that does not answer is given up after a minute, to be asked again', async () => {
  let aborted = false;
  globalThis.fetch = (url, { signal }) => new Promise((_, reject) => {
    signal.addEventListener('abort', () => { aborted = true; reject(signal.reason); });
  });
  const asking = ticket_from('/tickets')(item, new AbortController().signal).catch((error) => error);
  await pass(59);
  assert.equal(aborted, false);
  await pass(2);
  assert.deepEqual([aborted, (await asking).retry], [true, true]);
});
