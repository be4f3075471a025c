// What is said to those who do not see the page: speech.js, and where the server is: server.js.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { server_of } from '../../static/src/element/server.js';
import { make_speech, sentence } from '../../static/src/element/speech.js';
import { TEXTS } from '../../static/src/element/texts.js';

const said = (news, list = { files: 3, finished: 1, waiting: 1, running: 1 }) => (
  sentence(news, { waiting: 0, running: 0, paused: 0, ...list }, TEXTS));

test('few sentences say what has happened', () => {
  assert.equal(said({}), '');
  assert.equal(said({ added: [1, 2] }), '3 files added.');
  assert.equal(said({ finished: [['a.txt']] }), 'a.txt is uploaded.');
  assert.equal(said({ finished: [['a'], ['b']] }), '2 uploads have finished.');
  assert.equal(said({ finished: [['c']] }, { files: 3, finished: 3 }), 'All 3 uploads have finished.');
  assert.equal(said({ finished: [['c']] }, { files: 1, finished: 1 }), 'The upload has finished.');
  assert.equal(said({ finished: [['c']], failed: [['d', 'It is gone.']] }, { files: 3, finished: 2 }), 'd failed. It is gone. c is uploaded.');
  const left_out = [['photos', ['a', 'b', 'c', 'd']]];
  assert.equal(said({ finished: [['photos']], left_out }), 'photos: 4 left out: a, b, c. photos is uploaded.');
  assert.equal(said({ cancelled: [['a']] }), 'a is cancelled.');
});

test('a lost connection is said once, and that it is back only if something still has to be sent', () => {
  assert.equal(said({ connection: ['The connection was lost.'] }), 'The connection was lost. The uploads resume without your help.');
  assert.equal(said({ connection: ['Lost.', ''] }), 'The connection is back.');
  assert.equal(said({ connection: [''] }, { files: 1, finished: 1 }), '');
});

test('a hundred failures are not read out one by one', () => {
  const failed = Array.from({ length: 100 }, (_, n) => [`file ${n}`, 'Why.']);
  assert(said({ failed }).length < 120, said({ failed }));
  assert.match(said({ failed }), /100 failed/);
});

test('news are gathered, and five seconds of silence follow a sentence', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now_ms = 0;
  t.mock.method(performance, 'now', () => now_ms);
  const pass = (ms) => {
    now_ms += ms;
    t.mock.timers.tick(ms);
  };
  const heard = [];
  const place = { get textContent() { return ''; }, set textContent(text) { heard.push(text); } };
  const speech = make_speech((news) => `${news.added}`, place);
  for (let n = 0; n < 3; n += 1) speech.hear({ added: 1 });
  pass(299);
  assert.deepEqual(heard, []);
  pass(1);
  assert.deepEqual(heard, ['1,1,1']);
  speech.hear({ added: 1 });
  pass(4999);
  assert.deepEqual(heard, ['1,1,1']);
  pass(1);
  assert.deepEqual(heard, ['1,1,1', '1']);
  speech.hear({ connection: '' });
  speech.stop();
  pass(10000);
  assert.deepEqual(heard, ['1,1,1', '1']);
});

test('a script that the upload server has sent tells where it is', () => {
  assert.equal(server_of('https://up.example:4000/incoming/frontend/incoming-upload.js'), 'up.example:4000');
  assert.equal(server_of('https://example.com/files/incoming/0.1/frontend/incoming-upload.js?v=1'), 'example.com/files');
  assert.equal(server_of('https://cdn.example/npm/incoming-uploads/incoming-upload.js'), '');
  assert.equal(server_of(''), '');
});
