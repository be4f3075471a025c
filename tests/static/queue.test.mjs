// The queue of the package, built, in Node: with uploads that continue when a test says so.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Queue, Uploader, file_of, fire, incoming, listening, pass, queue_of, reported, settled, states } from './queue_page.mjs';

const refused = (more) => Promise.reject(Object.assign(new Error('Later.'), more));

test('a few run at once, and each that ends makes room for the next in line', async () => {
  const queue = await queue_of(4);
  assert.equal(states(queue), 'running running waiting waiting');
  queue.items[1].uploader.finish();
  assert.equal(states(queue), 'running finished running waiting');
  await settled();
  queue.items[0].uploader.fail(11);
  assert.equal(states(queue), 'failed finished running running');
  assert.equal(queue.items[0].message, 'Error 11.');
});

test('how many run at once can be changed, and what runs is left alone', async () => {
  const queue = await queue_of(5);
  queue.at_once = 3;
  assert.equal(states(queue), 'running running running waiting waiting');
  await settled();
  queue.at_once = 1;
  queue.items[0].uploader.finish();
  assert.equal(states(queue), 'finished running running waiting waiting');
  for (const wrong of [0, -1, 1.5, '2', undefined, NaN]) assert.throws(() => { queue.at_once = wrong; }, TypeError);
});

test('a queue cannot be made without a function that gets tickets', () => {
  for (const get_ticket of [undefined, '/tickets']) assert.throws(() => new Queue({ get_ticket }), { name: 'TypeError', message: /get_ticket/ });
  assert.throws(() => new Queue({ get_ticket() {}, at_once: 0 }), { name: 'TypeError', message: /at_once/ });
});

test('a ticket is asked for when there is a place, and not before', async () => {
  const asked = [];
  const queue = await queue_of(3, { get_ticket: async ({ path }) => { asked.push(path); return path; } });
  assert.deepEqual(asked, ['1.txt', '2.txt']);
  assert.deepEqual(queue.items.map(({ upload_id }) => upload_id), ['1.txt', '2.txt', '']);
});

test('a file without a ticket fails with the words of the app, and makes room', async () => {
  const queue = await queue_of(3, { at_once: 1, get_ticket: () => Promise.reject(new Error('No.')) });
  assert.equal(states(queue), 'failed failed failed');
  assert.deepEqual([queue.items[0].message, queue.items[0].reason], ['No.', 'ticket_refused']);
});

for (const [what, get_ticket] of Object.entries({
  'throws at once': () => { throw new Error('No.'); },
  'returns no id': async () => undefined,
  'returns an empty id': async () => '',
  'rejects with nothing': () => Promise.reject(), // eslint-disable-line
})) {
  test(`a file fails with a sentence when get_ticket ${what}`, async () => {
    const [item] = (await queue_of(1, { get_ticket })).items;
    assert.equal(item.state, 'failed');
    assert.match(item.message, /^[A-Z].*\.$/);
  });
}

test('an app that is busy is asked again, later each time, and the page is told why', async () => {
  let asked = 0;
  const queue = await queue_of(1, { get_ticket: () => (++asked < 4 ? refused({ retry: true }) : Promise.resolve('there')) });
  const [item] = queue.items;
  assert.deepEqual([item.state, item.message, item.reason], ['running', 'The upload could not start yet. Trying again soon.', 'no_ticket']);
  const waits = [];
  for (let tenths = 1; asked < 4 && tenths < 200; tenths += 1) {
    const before = asked;
    await pass(0.1);
    if (asked > before) waits.push(tenths / 10);
  }
  assert.equal(waits.length, 3);
  assert.ok(waits[1] - waits[0] > waits[0] && waits[2] - waits[1] > waits[1] - waits[0], `${waits}`);
  assert.deepEqual([item.upload_id, item.message, item.reason, item.uploader.calls], ['there', '', '', ['start']]);
});

test('an app says after how long it wants to be asked again', async () => {
  let asked = 0;
  const queue = await queue_of(1, { get_ticket: () => (++asked < 2 ? refused({ retry: true, retry_after_s: 20 }) : Promise.resolve('there')) });
  await pass(19);
  assert.equal(asked, 1);
  await pass(2);
  assert.equal(queue.items[0].upload_id, 'there');
});

for (const [what, act] of Object.entries({
  'the user asks for it': ([item]) => item.retry(),
  'the user tries all again': (items, queue) => queue.retry(),
  'the browser is online again': () => fire('online'),
  'it was paused and resumed': ([item]) => { item.pause(); item.resume(); },
})) {
  test(`an app that was busy is asked at once when ${what}`, async () => {
    let asked = 0;
    const queue = await queue_of(1, { get_ticket: () => (++asked < 2 ? refused({ retry: true, retry_after_s: 1000 }) : Promise.resolve('there')) });
    assert.equal(queue.items[0].can_retry, true);
    act(queue.items, queue);
    await settled();
    assert.equal(queue.items[0].upload_id, 'there');
    assert.equal(listening(), 0, 'nothing is left behind');
  });
}

test('a paused file asks nobody, and its place is free', async () => {
  let asked = 0;
  const queue = await queue_of(2, { at_once: 1, get_ticket: () => { asked += 1; return refused({ retry: true }); } });
  queue.items[0].pause();
  await settled();
  assert.equal(states(queue), 'paused running');
  assert.equal(asked, 2);
  queue.pause();
  await pass(100);
  assert.equal(asked, 2);
});

test('a paused upload gives its place to the next, and waits for one when it is resumed', async () => {
  const queue = await queue_of(3);
  const [first, , third] = queue.items;
  first.pause();
  assert.equal(states(queue), 'paused running running');
  first.resume();
  assert.equal(states(queue), 'waiting running running');
  await settled();
  third.uploader.finish();
  assert.equal(states(queue), 'running running finished');
  assert.deepEqual(first.uploader.calls, ['start', 'pause', 'unpause']);
});

test('an upload whose bytes have all arrived can be neither paused nor cancelled', async () => {
  const [item] = (await queue_of(1)).items;
  item.uploader.arrive();
  item.pause();
  assert.equal(item.state, 'running');
  assert.equal(item.can_cancel, false);
});

test('one that is paused and resumed while it gets its ticket starts once, with that ticket', async () => {
  let give;
  let asked = 0;
  const get_ticket = () => { asked += 1; return new Promise((resolve) => { give = resolve; }); };
  const [item] = (await queue_of(1, { get_ticket })).items;
  item.pause();
  item.resume();
  give('the ticket');
  await settled();
  assert.equal(asked, 1);
  assert.deepEqual([item.state, item.upload_id, item.uploader.calls], ['running', 'the ticket', ['start']]);
});

test('one that is paused or cancelled while it gets its ticket does not start', async () => {
  const gives = [];
  const signals = [];
  const get_ticket = (item, signal) => { signals.push(signal); return new Promise((resolve) => gives.push(resolve)); };
  const queue = await queue_of(2, { get_ticket });
  const [paused, cancelled] = queue.items;
  paused.pause();
  cancelled.cancel();
  assert.deepEqual(signals.map(({ aborted }) => aborted), [false, true]);
  gives.forEach((give, n) => give(`ticket ${n}`));
  await settled();
  assert.equal(states(queue), 'paused cancelled');
  assert.deepEqual([paused.uploader, cancelled.uploader, cancelled.reason], [null, null, 'user']);
  paused.resume();
  await settled();
  assert.equal(paused.uploader.upload_id, 'ticket 0');
});

test('a cancelled upload keeps its place until the server knows', async () => {
  const queue = await queue_of(3);
  const [item] = queue.items;
  item.cancel();
  assert.equal(states(queue), 'running running waiting');
  item.uploader.says('cancelled', { cancel_msg: 'By the user.', reason: 'user' });
  assert.equal(states(queue), 'cancelled running running');
  assert.deepEqual([item.message, item.reason], ['By the user.', 'user']);
});

test('all are paused, resumed and cancelled without a single one starting in between', async () => {
  const asked = [];
  const queue = await queue_of(5, { get_ticket: async ({ path }) => { asked.push(path); return path; } });
  queue.pause();
  assert.equal(states(queue), 'paused paused paused paused paused');
  queue.resume();
  assert.equal(states(queue), 'running running waiting waiting waiting');
  queue.items[1].pause();
  await settled();
  queue.cancel();
  await settled();
  assert.equal(states(queue), 'running paused running cancelled cancelled');
  queue.items.slice(0, 3).forEach(({ uploader }) => uploader.says('cancelled', { cancel_msg: '' }));
  assert.equal(states(queue), 'cancelled cancelled cancelled cancelled cancelled');
  assert.deepEqual(asked, ['1.txt', '2.txt', '3.txt']);
});

test('what has failed is tried again from the start with a new ticket', async () => {
  const queue = await queue_of(1);
  const [item] = queue.items;
  item.uploader.ack(40);
  item.uploader.fail(32);
  queue.retry();
  await settled();
  assert.deepEqual([item.state, item.uploader.upload_id, item.bytes_acked], ['running', 'ticket 2', 0]);
});

for (const code of [20, 21, 100, 102, 103, 106, 107]) {
  test(`error ${code} leaves the ticket as it was: another try continues with it`, async () => {
    const [item] = (await queue_of(1)).items;
    item.uploader.ack(40);
    item.uploader.fail(code);
    item.retry();
    await settled();
    assert.deepEqual([item.state, item.uploader.upload_id, item.bytes_acked], ['running', 'ticket 1', 40]);
  });
}

test('an uploader that was replaced changes nothing any more', async () => {
  const [item] = (await queue_of(1)).items;
  const { uploader: old } = item;
  old.fail(32);
  item.retry();
  await settled();
  old.ack(70);
  old.finish();
  assert.deepEqual([item.state, item.bytes_acked], ['running', 0]);
});

test('an upload that waits for the network tries at once when it is told to', async () => {
  const queue = await queue_of(2);
  queue.items[0].uploader.retrying = true;
  queue.retry();
  assert.deepEqual(queue.items.map(({ uploader }) => uploader.calls), [['start', 'pause', 'unpause'], ['start']]);
  Object.assign(queue.items[1].uploader, { can_retry: true, retry_now() { this.calls.push('now'); } });
  queue.retry();
  assert.deepEqual(queue.items[1].uploader.calls, ['start', 'now']);
});

test('an upload of an earlier visit continues with its ticket, and its bar never goes back', async () => {
  const queue = await queue_of(0);
  const item = queue.add(file_of(), { path: 'old.txt', begun: { upload_id: 'old', bytes_acked: 60 } });
  assert.equal(item.uploader.upload_id, 'old');
  item.uploader.ack(0);
  assert.equal(item.bytes_acked, 60);
  item.uploader.ack(70);
  assert.equal(item.bytes_acked, 70);
});

test('files of earlier visits are found by themselves, if the page wants that, and each is used once', async () => {
  incoming.begun = [{ upload_id: 'old', filename: 'a.txt', bytes_acked: 60 }];
  const queue = await queue_of(0, { at_once: 1, resume_unfinished: true });
  const { added } = await queue.add_all([file_of(), file_of(), file_of(5, 'b.txt')]);
  assert.deepEqual(added.map(({ upload_id }) => upload_id), ['old', '', '']);
  assert.equal(queue.add(file_of()).upload_id, '', 'it is in the list');
  assert.equal((await queue_of(1)).items[0].upload_id, 'ticket 1', 'a page that does not want it');
  incoming.begun = [];
});

test('a file that is on its way is not taken twice, and one that has failed makes room for itself and its ticket', async () => {
  const queue = await queue_of(0, { resume_unfinished: true, restrictions: { disallow_duplicates: true } });
  const { added: [failed] } = await queue.add_all([file_of()]);
  assert.deepEqual((await queue.add_all([file_of()])).refused.map(({ code }) => code), ['duplicate']);
  await settled();
  failed.uploader.fail(100);
  incoming.begun = [{ upload_id: failed.upload_id, filename: 'a.txt', bytes_acked: 60 }];
  const { added: [again] } = await queue.add_all([file_of()]);
  assert.deepEqual([queue.items, again.upload_id, again.bytes_acked], [[again], failed.upload_id, 60]);
  incoming.begun = [];
  again.uploader.finish();
  assert.equal((await queue.add_all([file_of()])).added.length, 1, 'one that has arrived may be sent again');
  assert.equal(queue.items.length, 2);
});

test('only what has ended can be taken off the list', async () => {
  const queue = await queue_of(2);
  const [first, second] = queue.items;
  first.uploader.finish();
  assert.deepEqual([queue.remove(first), queue.remove(first), queue.remove(second)], [true, false, false]);
  assert.deepEqual(queue.items, [second]);
});

test('the list is cleared of what has ended, of all of it or of some', async () => {
  const queue = await queue_of(4, { at_once: 3 });
  const [first, second, third, fourth] = queue.items;
  first.uploader.finish();
  second.uploader.fail(11);
  third.uploader.says('cancelled', { cancel_msg: '' });
  assert.deepEqual(queue.clear('finished', 'cancelled'), [first, third]);
  assert.deepEqual(queue.items, [second, fourth]);
  assert.deepEqual(queue.clear(), [second]);
  assert.deepEqual(queue.clear(), []);
  assert.equal(queue.totals().files, 1);
});

test('those that wait start in the order of the list, which can be changed', async () => {
  const queue = await queue_of(4, { at_once: 1 });
  const [first, second, third, fourth] = queue.items;
  queue.move(fourth, 1);
  assert.deepEqual(queue.items, [first, fourth, second, third]);
  first.uploader.finish();
  assert.equal(fourth.state, 'running');
  queue.move(third, 0);
  await settled();
  fourth.uploader.finish();
  assert.deepEqual([third.state, second.state], ['running', 'waiting']);
  queue.move({}, 0);
  assert.equal(queue.items.length, 4);
});

test('a page is told of every change', async () => {
  const drawn = [];
  const queue = await queue_of(1, { onchange: (item) => drawn.push(item ? `${item.state} ${item.bytes_acked}` : 'list') });
  const { uploader } = queue.items[0];
  uploader.ack(50);
  uploader.arrive();
  uploader.finish();
  queue.clear();
  assert.deepEqual(drawn, ['waiting 0', 'running 0', 'running 50', 'running 100', 'finished 100', 'list']);
});

test('a listener hears of each change, or once a frame, until it no longer wants to', async () => {
  const heard = { each: 0, frame: 0 };
  const queue = await queue_of(1);
  const ends = [queue.subscribe(() => { heard.each += 1; }), queue.subscribe(() => { heard.frame += 1; }, { per_frame: true })];
  const { uploader } = queue.items[0];
  for (let bytes = 1; bytes <= 10; bytes += 1) uploader.ack(bytes);
  assert.deepEqual(heard, { each: 10, frame: 0 });
  await pass(0.2);
  assert.deepEqual(heard, { each: 10, frame: 1 });
  uploader.ack(11);
  ends.forEach((end) => end());
  uploader.ack(12);
  await pass(0.2);
  assert.deepEqual(heard, { each: 11, frame: 1 });
});

test('a snapshot is the same object until something changes, and never changes itself', async () => {
  const queue = await queue_of(2);
  const before = queue.snapshot();
  assert.equal(queue.snapshot(), before);
  queue.items[0].uploader.ack(50);
  const after = queue.snapshot();
  assert.notEqual(after, before);
  assert.deepEqual([before.items[0].bytes_acked, after.items[0].bytes_acked, after.totals.bytes_acked], [0, 50, 50]);
  assert.equal(after.items[1], before.items[1], 'what has not changed is the same');
  assert.throws(() => { after.items[0].state = 'paused'; }, TypeError);
  assert.throws(() => after.items.push(1), TypeError);
  assert.equal(after.items[0].upload.bytes_acked, 50);
});

test('a listener that fails keeps the others from nothing', async () => {
  const queue = await queue_of(1, { onchange() { throw new Error('page'); } });
  let heard = 0;
  queue.subscribe(() => { throw new Error('listener'); });
  queue.subscribe(() => { heard += 1; });
  queue.items[0].uploader.ack(1);
  assert.equal(heard, 1);
  assert.deepEqual(reported.splice(0), ['page', 'page', 'page', 'listener']);
});

test('an uploader gets the options of the page, and is of its class', async () => {
  class Own extends Uploader {}
  const queue = await queue_of(1, { Uploader: Own, uploader_options: (item) => ({ server: `https://${item.path}` }) });
  const [{ uploader }] = queue.items;
  assert.ok(uploader instanceof Own);
  assert.deepEqual(uploader.options, { server: 'https://1.txt' });
  assert.deepEqual((await queue_of(1, { uploader_options: { a: 1 } })).items[0].uploader.options, { a: 1 });
});

test('an uploader that can not be made fails its item, for ten thousand as for one', async () => {
  const queue = await queue_of(0, { Uploader: class { constructor() { throw new TypeError('bad options'); } } });
  for (let n = 0; n < 10_000; n += 1) queue.add(file_of(), { path: `${n}`, begun: { upload_id: 'x', bytes_acked: 0 } });
  assert.equal(queue.totals().failed, 10_000);
  assert.deepEqual([queue.items[0].message, queue.items[0].reason], ['bad options', 'error']);
});

test('a queue that leaves what has not ended keeps the rest, and takes more', async () => {
  const tickets = [];
  const queue = await queue_of(5, { at_once: 3, get_ticket: (item) => new Promise((resolve) => tickets.push(() => resolve(item.path))) });
  tickets[0]();
  tickets[1]();
  await settled();
  const [finished, uploading, asking, waiting, paused] = queue.items;
  paused.pause();
  finished.uploader.finish();
  await settled();
  const { uploader } = uploading;
  uploader.dispose = function () { this.calls.push('dispose'); };
  queue.leave_unfinished();
  tickets.forEach((give) => give());
  uploader.ack(90);
  await settled();
  assert.deepEqual(queue.items, [finished]);
  assert.deepEqual(uploader.calls, ['start', 'dispose']);
  assert.deepEqual([uploading, asking, waiting, paused].map((item) => item.uploader), [null, null, null, null]);
  const { files, running, waiting: in_line, bytes_total } = queue.totals();
  assert.deepEqual([files, running, in_line, bytes_total], [1, 0, 0, finished.file.size]);
  queue.add(uploading.file);
  assert.equal(states(queue), 'finished running');
});

test('a queue that is disposed of leaves its uploads for others, and says nothing any more', async () => {
  let heard = 0;
  const queue = await queue_of(3, { onchange() { heard += 1; } });
  queue.subscribe(() => { heard += 1; });
  const [first, second, third] = queue.items;
  second.uploader.dispose = () => second.uploader?.calls.push('dispose');
  const uploaders = [first.uploader, second.uploader];
  uploaders[1].dispose = function () { this.calls.push('dispose'); };
  heard = 0;
  queue.dispose();
  queue.dispose();
  uploaders.forEach((uploader) => uploader.ack(90));
  await pass(5);
  assert.deepEqual(uploaders.map(({ calls }) => calls), [['start', 'pause'], ['start', 'dispose']]);
  assert.deepEqual([heard, third.uploader], [0, null]);
  assert.throws(() => queue.add(file_of()), TypeError);
});

test('a folder is one item, whose size and name are those of its list', async () => {
  const queue = await queue_of(0, { restrictions: { accept: 'image/*' } });
  const folder = { name: 'photos', size: 500, lastModified: 7, type: '', files_total: 3 };
  incoming.list_folder = async (source, { onprogress }) => {
    onprogress(3);
    assert.equal(source, 'a drop');
    return folder;
  };
  const told = [];
  const item = await queue.add_folder('a drop', { onprogress: (files) => told.push(files) });
  await settled();
  assert.deepEqual([item.path, item.state, told, queue.items.length], ['photos', 'running', [3], 1]);
  assert.equal(item.uploader.file, folder);
  assert.deepEqual([queue.totals().files, queue.totals().bytes_total], [1, 500]);
});

test('add_all takes folders whole, without the files that are not accepted', async () => {
  const queue = await queue_of(0, { restrictions: { accept: '.txt' } });
  const folder_of = (files) => ({
    name: 'photos', size: 500, lastModified: 7, type: '', files_total: files.length, entries: files.map((file) => ({ path: file.name, size: 1, file })),
  });
  incoming.list_folder = async (files, { onprogress } = {}) => {
    if (onprogress) onprogress(files.length);
    return folder_of(files.map(({ file }) => file));
  };
  const placed = (folder, ...names) => names.map((name) => ({ path: `${folder}/${name}`, file: file_of(1, name) }));
  const told = [];
  const { added, refused } = await queue.add_all([...placed('photos', 'a.txt', 'b.png', 'c.txt'), ...placed('none', 'd.png')], {
    folders: true,
    onlisting: (path, files) => told.push([path, files]),
    check: (file, path) => (path === 'photos' ? null : { code: 'unreadable', message: 'no', file, path }),
  });
  assert.deepEqual(added.map(({ path, file }) => [path, file.files_total]), [['photos', 2]]);
  assert.deepEqual(refused.map(({ path, code }) => [path, code]), [['photos/b.png', 'not_accepted'], ['photos/d.png', 'not_accepted']]);
  assert.deepEqual(told, [['photos', 0], ['photos', 3], ['photos', null], ['none', 0], ['none', 1], ['none', null]]);
});

test('a function says which uploads of earlier visits may resume', async () => {
  const begun = { upload_id: 'old', filename: 'a', bytes_total: 100, bytes_acked: 40 };
  incoming.matches = ({ filename }, file) => filename === file.name;
  const queue = await queue_of(0, { resume_unfinished: () => [begun] });
  const item = queue.add(file_of(100, 'a'));
  assert.deepEqual([item.upload_id, item.bytes_acked], ['old', 40]);
  assert.equal(queue.add(file_of(100, 'b')).upload_id, '');
});

test('with ten thousand files, news of one cost the same as with ten', async () => {
  const queue = await queue_of(0, { at_once: 3 });
  let scanned = 0;
  await queue.add_all(Array.from({ length: 10_000 }, (_, n) => file_of(100, `${n}.txt`)));
  const { items } = queue;
  Object.defineProperty(queue, 'items', { get() { scanned += 1; return items; } });
  for (let n = 0; n < 10_000; n += 1) {
    await settled();
    const { uploader } = items[n];
    uploader.ack(50);
    uploader.arrive();
    if (n === 0) assert.equal(scanned, 0, 'progress looks at nothing else');
    uploader.finish();
  }
  assert.ok(scanned < 10 * items.length, `${scanned} looks: each item is passed once`);
  const { finished, bytes_acked, frac_complete } = queue.totals();
  assert.deepEqual({ finished, bytes_acked, frac_complete }, { finished: 10_000, bytes_acked: 1_000_000, frac_complete: 1 });
});
