// What the element shows of each situation: view.js, without a page.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kind_of } from '../../static/src/element/kinds.js';
import { TEXTS as OWN } from '../../static/src/element/texts.js';
import GERMAN from '../../static/src/texts/de.js';
import { view } from '../../static/src/element/view.js';
import { NOW_MS, SCENES, at, begun, ended, file, folder, moving, now, with_files } from './scenes.mjs';

const TEXTS = { trying_again: 'Trying again soon.', ...OWN }; // one of the library
const seen = (scene, texts = TEXTS, lang = 'en') => view(scene, texts, lang);
const plain = (text) => text.replace(/\u00a0/g, ' ');
const facts = (...args) => seen(with_files([file(...args)])).row_at(0).facts.map(plain).join(' · ');
const row = (...args) => seen(with_files([file(...args)])).row_at(0);

test('one line says how far an upload is, how fast, and how long it takes', () => {
  assert.equal(facts('a', 'uploading', { ...at(0.61), bytes_per_s: 4.02e6, seconds_left: 8.4 }), '61 % · 4.0 MB/s · 9 s left');
  assert.equal(facts('a', 'uploading', at(0.61)), '61 % of 124.6 MB');
  assert.equal(facts('a', 'uploading', { ...at(0.999999), bytes_per_s: 1, seconds_left: null }), '99 % · 1 B/s');
  assert.equal(facts('a', 'uploading', { ...at(0.5), bytes_per_s: 5, reason: 'slow_read', message: 'Slow.' }), '50 % · Slow');
  assert.equal(facts('a', 'failed', { ...ended, message: 'It is gone. Try again.' }), 'It is gone. Try again.', 'two sentences have their full stops');
});

test('the sentence of a lost connection counts down', () => {
  const lost = { ...at(0.5), reason: 'connection_lost', message: 'The connection was lost. Trying again soon.', can_retry: true };
  assert.equal(facts('a', 'retrying', { ...lost, next_retry_at: NOW_MS + 7001 }), 'The connection was lost. Trying again in 8 s.');
  assert.equal(facts('a', 'retrying', { ...lost, next_retry_at: NOW_MS - 1 }), lost.message);
  assert.equal(facts('a', 'retrying', { ...lost, next_retry_at: null }), lost.message);
  const offline = 'You are offline. The upload resumes when you are online again.';
  assert.equal(facts('a', 'retrying', { ...lost, message: offline, next_retry_at: NOW_MS + 7001 }), offline);
});

test('each state has its buttons, and no other', () => {
  const buttons = (...args) => {
    const { go, stop } = row(...args);
    return [go, stop];
  };
  assert.deepEqual(buttons('a', 'waiting'), ['pause', 'cancel']);
  assert.deepEqual(buttons('a', 'uploading'), ['pause', 'cancel']);
  assert.deepEqual(buttons('a', 'paused'), ['resume', 'cancel']);
  assert.deepEqual(buttons('a', 'retrying', { can_retry: true }), ['retry_now', 'cancel']);
  assert.deepEqual(buttons('a', 'retrying'), ['pause', 'cancel'], 'it tries at this moment');
  assert.deepEqual(buttons('a', 'waiting_for_app', ended), ['', '']);
  assert.deepEqual(buttons('a', 'cancelling', ended), ['', '']);
  assert.deepEqual(buttons('a', 'failed', { ...ended, can_retry: true }), ['retry', 'dismiss']);
  assert.deepEqual(buttons('a', 'finished', ended), ['', 'dismiss']);
  assert.deepEqual(buttons('a', 'cancelled', ended), ['', 'dismiss']);
});

test('a bar is there while an upload has to move, and gone once it has ended', () => {
  for (const state of ['connecting', 'checking', 'uploading', 'retrying', 'elsewhere', 'waiting_for_app', 'cancelling']) assert(row('a', state).bar, state);
  for (const state of ['finished', 'failed', 'cancelled']) assert(!row('a', state, { ...at(1), ...ended }).bar, state);
  assert(!row('a', 'waiting').bar);
  assert(row('a', 'paused', at(0.2)).bar);
  assert.equal(row('a', 'finished', { size: 0, bytes_acked: 0, ...ended }).fraction, 1, 'an empty file');
});

test('a sum is there from two files on', () => {
  assert.equal(seen(with_files([file('a', 'uploading')])).total, null);
  const { total } = seen(SCENES['many, moving']);
  assert.equal(total.headline, '1 of 4 files uploaded');
  assert.equal(total.failed, '1 failed');
  assert.deepEqual(total.actions, ['retry_all', 'pause_all', 'cancel_all']);
  assert.deepEqual(seen(SCENES['many, paused']).total.actions, ['retry_all', 'resume_all', 'cancel_all']);
  assert.deepEqual(seen(SCENES['many, finished']).total.actions, ['clear']);
  assert.equal(seen(SCENES['many, finished']).total.tone, 'good');
});

test('a folder tells how many of its files are there, which one is on its way, and which are missing', () => {
  const inside = (...args) => {
    const scene = seen(with_files([folder(...args)])).row_at(0);
    assert.equal(scene.kind, 'folder');
    return [scene.inside.join(' · '), scene.lacks > 0];
  };
  assert.deepEqual(inside('a', 'waiting'), ['1,500 files', false]);
  assert.deepEqual(inside('a', 'waiting', { files_total: 1 }), ['1 file', false]);
  assert.deepEqual(inside('a', 'uploading', { ...moving(0.5), files_acked: 912, current_file: 'b/c.jpg' }), ['912 of 1,500 files · b/c.jpg', false]);
  assert.deepEqual(inside('a', 'failed', { ...ended, files_acked: 912, current_file: 'b/c.jpg' }), ['912 of 1,500 files · b/c.jpg', false]);
  assert.deepEqual(inside('a', 'finished', { ...ended, files_acked: 1500, current_file: 'b/c.jpg' }), ['1,500 files', false]);
  const left_out = ['x', 'y'];
  assert.deepEqual(inside('a', 'finished', { ...ended, files_acked: 1498, left_out }), ['1,498 of 1,500 files · 2 left out: x, y', true]);
  const many = Array.from({ length: 1400 }, (_, n) => `f${n}`);
  assert.match(inside('a', 'uploading', { files_acked: 9, left_out: many })[0], /^9 of 1,500 files · 1,400 left out: f0, f1, f2 and 1397 more$/);
  assert.equal(seen(with_files([file('a', 'uploading')])).row_at(0).inside.length, 0, 'a file has no files in it');
});

test('a sum counts the files of folders', () => {
  const { headline } = seen(with_files([
    folder('a', 'uploading', { ...moving(0.5), files_acked: 912 }), file('b', 'finished', ended), folder('c', 'cancelled', ended), file('d', 'waiting'),
  ])).total;
  assert.equal(headline, '913 of 1,502 files uploaded');
});

test('a folder that is being read says how many files there are so far, and can be cancelled', () => {
  const { facts: said, inside, go, stop, bar } = seen(SCENES.folders).row_at(3);
  assert.deepEqual([said.join(), inside, go, stop, bar], ['Reading the folder: 4,712 files so far', [], '', 'cancel', false]);
});

test('a field for folders says so', () => {
  assert.equal(seen(now({ directory: true })).title, 'Drop files or folders here');
  assert.equal(seen(now({ directory: true, max_bytes: 2e9 })).hint.replace('\u00a0', ' '), 'Up to 2.0 GB for each file or folder');
  const [{ go, facts: said }] = seen(now({ begun: [begun('Photos', 0.5, { files_total: 7, handle: {} })] })).begun;
  assert.equal(go, 'continue');
  assert.equal(plain(said.join()), '50 % of 3.1 GB');
});

test('a question whether to cancel all is gone once there is nothing to cancel', () => {
  assert.deepEqual(seen(SCENES['cancel all?']).total.actions, ['keep', 'cancel_really']);
  assert.deepEqual(seen({ ...SCENES['many, finished'], asking_to_cancel: true }).total.actions, ['clear']);
});

test('an upload of an earlier visit continues by a click, asks for its file, or is live elsewhere', () => {
  const { begun, continue_all, zone } = seen(SCENES.continue);
  assert.deepEqual(begun.map(({ go, stop }) => [go, stop]), [['continue', 'forget'], ['find_file', 'forget'], ['', ''], ['find_folder', 'forget']]);
  assert.equal(plain(begun[2].facts.join()), 'Uploading in another window,30 %');
  assert(!continue_all);
  assert.equal(zone, 'compact');
  assert(seen(SCENES['continue, all']).continue_all);
});

test('the place to drop files is large while there are none, and gone for a single file', () => {
  assert.equal(seen(now()).zone, 'large');
  assert.equal(seen(with_files([file('a', 'waiting')])).zone, 'compact');
  assert.equal(seen(with_files([file('a', 'waiting')], { multiple: false })).zone, '');
  assert.equal(seen(SCENES['no server']).zone, '');
  assert.equal(seen(now({ touch: true })).title, 'Add files', 'fingers drop nothing');
});

test('what was refused is named, and not endlessly', () => {
  const refused = Array.from({ length: 9 }, (_, n) => `file ${n}`);
  assert.deepEqual(seen(now({ refused })).refused, ['file 0', 'file 1', 'file 2', 'and 6 more']);
  assert.equal(seen(now({ refused })).refused_title, '9 files were not added');
});

test('rows are made for what is in sight only', () => {
  let made = 0;
  const counted = { get state() { made += 1; return 'waiting'; }, path: 'a', type: '', key: '1', size: 1, bytes_acked: 0, message: '', upload: {} };
  const scene = with_files([file('a', 'waiting')]);
  const { count, row_at } = seen({ ...scene, files: Array.from({ length: 5000 }, () => counted) });
  const before = made;
  row_at(4999);
  assert.equal(count, 5000);
  assert(made - before < 20, String(made - before));
});

test('German has the same texts, with the same parameters', () => {
  const kind = (table) => Object.entries(table).map(([key, text]) => [key, typeof text, typeof text === 'function' ? text.length : 0]);
  assert.deepEqual(kind(GERMAN.element), kind(OWN));
  const same = Object.keys(OWN).filter((key) => typeof OWN[key] === 'string' && OWN[key] === GERMAN.element[key]);
  assert.deepEqual(same, ['uploads'], 'and all of them are German');
});

test('texts and digits are those of the page', () => {
  const texts = { ...TEXTS, left: (time) => `noch ${time}` };
  const { facts: parts } = seen(with_files([file('a', 'uploading', { ...at(0.5), bytes_per_s: 1.25e6, seconds_left: 4000 })]), texts, 'de').row_at(0);
  assert.equal(plain(parts.join(' · ')), '50 % · 1,3 MB/s · noch 1 h 7 min');
  assert.match(seen(with_files([file('a', 'uploading', at(0.5))]), TEXTS, 'ar-EG').row_at(0).facts[0], /٥٠/);
  assert.match(seen(with_files([file('a', 'uploading', at(0.5))]), TEXTS, 'not a language').row_at(0).facts[0], /50/);
});

test('the icon follows the type of a file, or else its name', () => {
  const kinds = [['a.JPG', ''], ['a', 'image/png'], ['x.tar.gz', ''], ['data.csv', 'text/csv'], ['m.xml', ''], ['notes.txt', 'text/plain'], ['noise.flac', ''], ['clip.mov', ''], ['jpg', '']];
  assert.deepEqual(kinds.map((each) => kind_of(...each)), ['image', 'image', 'archive', 'text', 'text', 'text', 'audio', 'video', 'file']);
  assert.equal(kind_of('photos.zip', '', 3), 'folder', 'whatever it is called');
});

test('every state of the library has a scene with words in it', () => {
  const states = ['connecting', 'checking', 'uploading', 'retrying', 'elsewhere', 'paused', 'waiting_for_app', 'cancelling', 'finished', 'cancelled', 'failed'];
  const shown = new Set(Object.values(SCENES).flatMap(({ files }) => files.map(({ state }) => state)));
  assert.deepEqual(states.filter((state) => !shown.has(state)), []);
  for (const [name, scene] of Object.entries(SCENES)) {
    const drawn = seen(scene);
    for (let index = 0; index < drawn.count; index += 1) {
      const text = drawn.row_at(index).facts.join(' ');
      assert(text && !/undefined|NaN|null/.test(text), `${name}: ${text}`);
    }
  }
});
