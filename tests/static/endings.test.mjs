// How uploads end before their time: the user's cancel, the app's, and errors (docs/reference/protocol.md, version 2).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page, endings } from './page.mjs';

const CANCEL = { MsgType: 'MsgCancel', MsgData: { Reason: 'enough' } };

// ---- the user cancels

test('cancelling says why, sends no more chunks and ends with the acknowledgement', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  uploader.cancel('enough');
  assert.deepEqual([uploader.cancelling, uploader.cancelled, uploader.can_cancel], [true, false, false]);
  assert.equal(uploader.cancel_msg, 'enough');
  assert.deepEqual(page.socket.messages.at(-1), CANCEL);
  await page.stores(2 * KIB); // these were on their way
  assert.equal(page.socket.chunks.length, 4);
  assert.equal(uploader.bytes_acked, 2 * KIB);
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.deepEqual([uploader.cancelling, uploader.cancelled, uploader.connected], [false, true, false]);
  assert.deepEqual(endings(uploader), ['cancelled']);
  assert.equal(page.socket.close_code, 1000);
});

test('cancelling reaches the server from before the start, from dialling and from the wait for the next try', async () => {
  for (const stage of ['new', 'held', 'looking', 'dialling', 'asking', 'waiting']) {
    const page = new Page();
    const uploader = page.uploader();
    if (stage === 'held') uploader.pause('pause');
    if (!['new', 'held'].includes(stage)) uploader.start();
    if (['dialling', 'asking', 'waiting'].includes(stage)) await page.pass(0);
    if (stage === 'asking') page.socket.open();
    if (stage === 'waiting') page.socket.breaks();
    uploader.cancel('enough');
    assert.equal(uploader.cancelling, true, stage);
    await page.pass(0);
    if (stage !== 'asking') page.socket.open();
    page.socket.confirms(0);
    assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgCancel'], stage);
    assert.deepEqual(page.socket.messages[1], CANCEL, stage);
    assert.deepEqual(page.socket.chunks, [], stage);
    page.socket.hears('MsgCancelAck', { Ack: true });
    assert.deepEqual(endings(uploader), ['cancelled'], stage);
  }
});

test('a cancel while the file is being compared is said at once', async () => {
  const page = new Page();
  const uploader = page.uploader().start();
  await page.pass(0);
  page.socket.open();
  page.socket.confirms(KIB, { Compare: [[0, KIB]] });
  uploader.cancel('enough');
  await page.pass(0);
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgCancel']);
});

test('a cancel that is not answered is said again over the next connection, for as long as it takes', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  uploader.cancel('enough');
  page.socket.breaks();
  for (let i = 0; i < 20; i++) {
    await page.seconds_until_dialled();
    page.socket.breaks();
  }
  assert.equal(uploader.cancelling, true);
  await page.seconds_until_dialled();
  page.socket.open();
  page.socket.confirms(KIB, { Compare: [[0, KIB]] });
  assert.deepEqual(page.socket.messages[1], CANCEL, 'without comparing anything');
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.equal(uploader.cancelled, true);
});

test('a cancel that the server is silent about is said over a new connection', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  uploader.cancel('enough');
  const silent = page.socket;
  await page.pass(9);
  assert.equal(silent.close_code, null);
  await page.pass(3);
  assert.equal(silent.close_code, 1000);
  page.socket.open();
  page.socket.confirms(0);
  assert.deepEqual(page.socket.messages[1], CANCEL);
  assert.equal(uploader.cancelling, true);
});

test('a cancel that got lost is said again to a server that answers everything else', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  uploader.cancel('enough');
  const { socket } = page;
  await page.stores(4 * KIB);
  const before = socket.messages.length;
  await page.pass_with_pongs(12);
  const again = socket.messages.slice(before).filter(({ MsgType }) => MsgType !== 'MsgPing');
  assert.deepEqual(again, [CANCEL], 'once, and the server has ten seconds for its answer');
  socket.hears('MsgCancelAck', { Ack: true });
  assert.equal(uploader.cancelled, true);
});

test('a cancel that came too late loses: all was sent and complete before the server read it', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(2 * KIB));
  uploader.cancel('enough');
  page.socket.stores(2 * KIB);
  assert.deepEqual([uploader.cancelling, uploader.can_cancel, uploader.cancel_msg], [false, false, '']);
  page.socket.finishes();
  assert.deepEqual(endings(uploader), ['finished']);
});

test('a cancel while disconnected loses when the upload turns out to have arrived', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.breaks();
  uploader.cancel('enough');
  await page.connects(10 * KIB, { Arrived: true });
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgAgree']);
  page.socket.finishes();
  assert.deepEqual(endings(uploader), ['finished']);
});

test('an upload whose bytes are all there can be cancelled as long as it is not complete', async () => {
  const page = new Page();
  const uploader = page.uploader().cancel('enough');
  await page.connects(10 * KIB);
  assert.deepEqual(page.socket.messages.at(-1), CANCEL);
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.deepEqual(endings(uploader), ['cancelled']);
});

test('an empty file can be cancelled before it is sent, unless the server says that it is done', async () => {
  for (const [type, data, ending] of [
    ['MsgCancelAck', { Ack: true }, 'cancelled'], ['MsgAllDone', { Success: true }, 'finished'],
  ]) {
    const page = new Page();
    const uploader = page.uploader(new FakeFile(0)).cancel('enough');
    await page.connects(0);
    assert.deepEqual(page.socket.messages.at(-1), CANCEL);
    page.socket.hears(type, data);
    assert.deepEqual(endings(uploader), [ending]);
  }
});

test('a cancel whose acknowledgement was lost, or whose ticket is gone, is the end that the user wanted', async () => {
  for (const [code, word] of [[30, 'cancelled'], [31, 'expired'], [11, 'unknown_ticket'], [22, 'length_mismatch']]) {
    const page = new Page();
    const uploader = page.uploader().cancel('enough');
    await page.pass(0);
    page.socket.open();
    page.socket.refuses(code, word);
    assert.deepEqual(endings(uploader), ['cancelled']);
    assert.deepEqual([uploader.error_msg, uploader.error_code, uploader.cancel_msg], ['', null, 'enough']);
  }
});

test('a cancel without a reason, or as an event handler, has a reason all the same', async () => {
  const page = new Page();
  assert.equal(page.uploader().cancel().cancel_msg, 'Cancelled by the user.');
  assert.equal(page.uploader().cancel({ type: 'click' }).cancel_msg, 'Cancelled by the user.');
});

// ---- the app cancels

test('when the app cancels, the page knows at once, and why', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.refuses(30, 'cancelled', { Msg: 'quota <b>&' });
  assert.deepEqual([uploader.cancelled, uploader.cancelling, uploader.error_code], [true, false, null]);
  assert.equal(uploader.cancel_msg, 'quota (b)+');
  assert.deepEqual(endings(uploader), ['cancelled']);
  await page.pass(100);
  assert.equal(page.sockets.length, 1);
});

test('what the app has cancelled while there was no connection is cancelled, and no error', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.breaks();
  await page.seconds_until_dialled();
  page.socket.open();
  page.socket.refuses(30, 'cancelled', { Msg: 'This upload was cancelled.' });
  assert.deepEqual([uploader.cancel_msg, uploader.error_code], ['This upload was cancelled.', null]);
  assert.deepEqual(endings(uploader), ['cancelled']);
});

test('when both sides cancel at the same time, it is the cancel of the user', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  uploader.cancel('enough');
  page.socket.refuses(30, 'cancelled', { Msg: 'quota' });
  assert.deepEqual([endings(uploader), uploader.cancel_msg], [['cancelled'], 'enough']);
});

// ---- errors

test('an error that trying again does not mend is final at once', async () => {
  const page = new Page();
  const uploader = page.uploader().start();
  await page.pass(0);
  page.socket.open();
  page.socket.refuses(11, 'unknown_ticket', { Msg: 'There is no <such> upload.' });
  assert.deepEqual([uploader.error_code, uploader.error_msg], [11, 'There is no (such) upload.']);
  assert.deepEqual([uploader.can_cancel, uploader.can_pause, uploader.connected], [false, false, false]);
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq']);
  assert.deepEqual(endings(uploader), ['error']);
  await page.pass(1000);
  assert.equal(page.sockets.length, 1);
});

test('an error that passes is told in its own words, and tried again', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.refuses(41, 'storage_full', { Msg: 'There is <no> room.', Retryable: true });
  assert.equal(uploader.state_msg, 'There is (no) room. Trying again soon.');
  assert.deepEqual([uploader.retrying, uploader.error_code], [true, null]);
  assert.equal(await page.seconds_until_dialled(), 1);
});

test('another file is refused with a sentence that tells which one is meant', async () => {
  for (const word of ['wrong_file', 'length_mismatch']) {
    const page = new Page();
    const uploader = await page.uploading();
    page.socket.refuses(22, word, {
      Msg: 'This is another file.',
      FileName: 'my <old> film.mp4', FileLengthBytes: 12_345_678, FileLastModifiedMs: Date.UTC(2026, 4, 17, 12),
    });
    assert.match(
      uploader.error_msg,
      /^This is another file\. The upload was started with "\u2068my \(old\) film\.mp4\u2069" \(12\.3 MB, last changed .*2026.*\)\.$/,
    );
  }
});

test('sizes of files are told as people say them, and what is not known is left out', async () => {
  for (const [bytes, text] of [[1, '1 B'], [999, '999 B'], [1000, '1.0 kB'], [5e9, '5.0 GB'], [7e15, '7000.0 TB']]) {
    const page = new Page();
    const uploader = await page.uploading();
    page.socket.refuses(22, 'length_mismatch', { FileName: 'a.txt', FileLengthBytes: bytes });
    assert.equal(uploader.error_msg, `No. The upload was started with "\u2068a.txt\u2069" (${text}).`);
  }
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.refuses(24, 'wrong_file', { FileName: 'a.txt', FileLengthBytes: 0 }); // it is not known yet
  assert.equal(uploader.error_msg, 'No.');
});

test('an app that does not take the file is an error after all bytes have arrived', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(KIB));
  await page.stores(KIB);
  page.socket.refuses(32, 'handover_failed', { Msg: 'The app refused the file.' });
  assert.deepEqual([uploader.error_code, uploader.finished, uploader.frac_complete], [32, false, 1]);
  assert.deepEqual(endings(uploader), ['error']);

  const other = await page.uploading(new FakeFile(KIB));
  await page.stores(KIB);
  page.socket.hears('MsgAllDone', { Success: false });
  assert.equal(other.error_code, 104);
});

test('terms that nobody can keep are an error when they are named three times', async () => {
  const nonsense = [
    ['Offset', -1], ['Offset', 10 * KIB + 1], ['Offset', '5'], ['Offset', 0.5],
    ['MaxChunkBytes', 0], ['MaxChunkBytes', -1], ['MaxWindowBytes', 0], ['MaxWindowBytes', 'x'],
    ['SilenceS', 0], ['SilenceS', undefined], ['Compare', null], ['Compare', [[0, 10 * KIB + 1]]], ['Compare', [[5, 4]]],
    ['Compare', [[-1, 4]]], ['Compare', [[]]],
  ];
  for (const [member, value] of nonsense) {
    const page = new Page();
    const uploader = page.uploader().start();
    for (let i = 0; i < 3; i++) {
      await page.connects(0, { [member]: value });
      if (i < 2) await page.seconds_until_dialled();
    }
    assert.deepEqual([uploader.error_code, endings(uploader)], [102, ['error']], `${member} ${value}`);
    assert.deepEqual(page.socket.chunks, []);
  }
});

test('an error that only a spoilt message can have caused is believed when it comes three times in a row', async () => {
  for (const [code, word, known] of [[20, 'bad_message', false], [21, 'bad_chunk', false], [11, 'unknown_ticket', true]]) {
    const page = new Page();
    const uploader = page.uploader().start();
    await page.pass(0);
    if (known) {
      await page.connects(0);
      page.socket.breaks();
      await page.seconds_until_dialled();
    }
    const refuse = async () => {
      page.socket.open();
      page.socket.refuses(code, word, { Msg: 'What?' });
    };
    for (let i = 0; i < 2; i++) {
      await refuse();
      assert.equal(uploader.state_msg, 'What? Trying again soon.', word);
      await page.seconds_until_dialled();
    }
    await page.connects(KIB); // it was a mistake, indeed
    page.socket.breaks();
    for (let i = 0; i < 3; i++) {
      assert.equal(uploader.error_code, null);
      await page.seconds_until_dialled();
      await refuse();
    }
    assert.deepEqual([uploader.error_code, endings(uploader)], [code, ['error']]);
  }
});

test('a server that does not speak version 2 is an error that says so', async () => {
  const page = new Page();
  const uploader = page.uploader().start();
  await page.pass(0);
  page.socket.open();
  page.socket.hears('MsgUploadConf', { ChunkSizeKB: 512, FilePos: 0, SendAhead: 8 });
  assert.deepEqual([uploader.error_code, endings(uploader)], [105, ['error']]);
  assert.match(uploader.error_msg, /older/);
});

test('an address that the browser refuses is an error, not a reason to try for ever', async () => {
  const page = new Page();
  page.bad_address = true;
  const uploader = page.uploader().start();
  await page.pass(100);
  assert.deepEqual([uploader.error_code, endings(uploader)], [103, ['error']]);

  page.bad_address = false;
  const other = await page.uploading();
  page.socket.breaks();
  page.bad_address = true;
  await page.pass(2);
  assert.deepEqual([other.error_code, endings(other)], [103, ['error']], 'in the middle, too');
});

test('after an ending nothing changes and nothing is called any more', async () => {
  for (const ending of ['finished', 'cancelled', 'error']) {
    const page = new Page();
    const uploader = await page.uploading(new FakeFile(KIB));
    if (ending === 'cancelled') uploader.cancel('enough');
    else await page.stores(KIB);
    if (ending === 'finished') page.socket.finishes();
    if (ending === 'error') page.socket.refuses(32, 'handover_failed');
    if (ending === 'cancelled') page.socket.hears('MsgCancelAck', { Ack: true });
    const { length } = uploader.events;
    assert.deepEqual(endings(uploader), [ending]);
    uploader.start().pause('toggle').pause('pause').pause('unpause').cancel('late');
    uploader.max_bytes_per_s = 1000;
    page.socket.breaks();
    page.fire('online');
    page.fire('pageshow');
    await page.pass(1000);
    assert.equal(uploader.events.length, length, ending);
    assert.equal(page.sockets.length, 1, ending);
    assert.equal(page.clock.timers.size, 0, ending);
  }
});
