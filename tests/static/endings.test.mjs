// How uploads end before their time: the user's cancel, the app's, and errors (CONTRACT 4 and 5).

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
  page.socket.acknowledges(KIB, 2); // these were on their way
  assert.equal(page.socket.chunks.length, 4);
  assert.equal(uploader.bytes_acked, 2 * KIB);
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.deepEqual([uploader.cancelling, uploader.cancelled, uploader.connected], [false, true, false]);
  assert.deepEqual(endings(uploader), ['cancelled']);
  assert.equal(page.socket.close_code, 1000);
});

test('cancelling reaches the server from before the start, from dialling and from the wait for the next try', async () => {
  for (const stage of ['new', 'held', 'probing', 'dialling', 'asking', 'waiting']) {
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
  page.socket.confirms(KIB);
  assert.deepEqual(page.socket.messages[1], CANCEL);
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.equal(uploader.cancelled, true);
});

test('a cancel that the server is silent about for 30 seconds is said over a new connection', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  uploader.cancel('enough');
  const silent = page.socket;
  await page.pass(30);
  assert.equal(silent.close_code, null);
  await page.pass(7);
  assert.equal(silent.close_code, 1000);
  page.socket.open();
  page.socket.confirms(0);
  assert.deepEqual(page.socket.messages[1], CANCEL);
  assert.equal(uploader.cancelling, true);
});

test('a cancel that came too late loses: all bytes were acknowledged before the server read it', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(2 * KIB));
  uploader.cancel('enough');
  page.socket.acknowledges(KIB, 2);
  assert.deepEqual([uploader.cancelling, uploader.can_cancel, uploader.cancel_msg], [false, false, '']);
  page.socket.hears('MsgAllDone', { Success: true });
  assert.deepEqual(endings(uploader), ['finished']);
});

test('a server that acknowledges the cancel after all bytes has decided so', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(KIB));
  uploader.cancel('enough');
  page.socket.acknowledges();
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.deepEqual([endings(uploader), uploader.cancel_msg], [['cancelled'], 'enough']);
});

test('a cancel while disconnected loses when the server turns out to have all bytes', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.breaks();
  uploader.cancel('enough');
  await page.connects(10 * KIB);
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgAck']);
  page.socket.hears('MsgAllDone', { Success: true });
  assert.deepEqual(endings(uploader), ['finished']);
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
  for (const code of [30, 31, 11, 22]) {
    const page = new Page();
    const uploader = page.uploader().cancel('enough');
    await page.pass(0);
    page.socket.open();
    page.socket.hears('MsgError', { ErrorCode: code, Msg: 'The upload was cancelled.' });
    assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgCancel']);
    page.socket.breaks(1000);
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

test('when the app cancels, the page answers, waits for the acknowledgement and knows why', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.hears('MsgCancel', { Reason: 'quota <b>&' });
  assert.deepEqual([uploader.cancelling, uploader.can_cancel, uploader.can_pause], [true, false, false]);
  assert.equal(page.socket.message_types.at(-1), 'MsgCancel');
  assert.equal(uploader.cancel_msg, 'quota (b)+');
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.deepEqual(endings(uploader), ['cancelled']);
});

test('when the app cancels and the acknowledgement does not come, it is over after some seconds or with the close', async () => {
  for (const how of ['silence', 'close']) {
    const page = new Page();
    const uploader = await page.uploading();
    page.socket.hears('MsgCancel', { Reason: 'quota' });
    if (how === 'silence') await page.pass(11);
    else page.socket.breaks();
    assert.deepEqual(endings(uploader), ['cancelled'], how);
    await page.pass(100);
    assert.equal(page.sockets.length, 1, how);
  }
});

test('what the app has cancelled while there was no connection is cancelled, and no error', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.breaks();
  await page.seconds_until_dialled();
  page.socket.open();
  page.socket.hears('MsgError', { ErrorCode: 30, Msg: 'This upload was cancelled.' });
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgCancel']);
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.deepEqual([uploader.cancel_msg, uploader.error_code], ['This upload was cancelled.', null]);
  assert.deepEqual(endings(uploader), ['cancelled']);
});

test('when both sides cancel at the same time, one MsgCancel from here is enough', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  uploader.cancel('enough');
  page.socket.hears('MsgCancel', { Reason: 'quota' });
  assert.equal(page.socket.message_types.filter((type) => type === 'MsgCancel').length, 1);
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.deepEqual(endings(uploader), ['cancelled']);
});

// ---- errors

test('an error of the server is answered with MsgCancel, shown at once, and final with the acknowledgement', async () => {
  const page = new Page();
  const uploader = page.uploader().start();
  await page.pass(0);
  page.socket.open();
  page.socket.hears('MsgError', { ErrorCode: 11, Msg: 'There is no <such> upload.' });
  assert.deepEqual([uploader.error_code, uploader.error_msg], [11, 'There is no (such) upload.']);
  assert.deepEqual([uploader.can_cancel, uploader.can_pause, uploader.connected], [false, false, true]);
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgCancel']);
  assert.deepEqual(endings(uploader), []);
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.deepEqual(endings(uploader), ['error']);
  await page.pass(1000);
  assert.equal(page.sockets.length, 1);
});

test('an error is final after some seconds without an acknowledgement, and when the connection breaks', async () => {
  for (const how of ['silence', 'close']) {
    const page = new Page();
    const uploader = await page.uploading();
    page.socket.hears('MsgError', { ErrorCode: 20, Msg: 'No.' });
    if (how === 'silence') await page.pass(11);
    else page.socket.breaks();
    assert.deepEqual(endings(uploader), ['error'], how);
    await page.pass(1000);
    assert.equal(page.sockets.length, 1, how);
  }
});

test('an app that does not take the file is an error after all bytes have arrived', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(KIB));
  page.socket.acknowledges();
  page.socket.hears('MsgError', { ErrorCode: 32, Msg: 'The app refused the file.' });
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.deepEqual([uploader.error_code, uploader.finished, uploader.frac_complete], [32, false, 1]);
  assert.deepEqual(endings(uploader), ['error']);

  const other = await page.uploading(new FakeFile(KIB));
  page.socket.acknowledges();
  page.socket.hears('MsgAllDone', { Success: false });
  assert.equal(other.error_code, 104);
});

test('a server that names an impossible offset or window is an error', async () => {
  for (const conf of [[-1], [10 * KIB + 1], ['5'], [0.5], [0, 0], [0, -1], [0, 1, 0], [0, 1, 'x']]) {
    const page = new Page();
    const uploader = page.uploader().start();
    await page.pass(0);
    page.socket.open();
    page.socket.confirms(...conf);
    assert.deepEqual([uploader.error_code, endings(uploader)], [102, ['error']], String(conf));
    assert.deepEqual(page.socket.chunks, []);
  }
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
    else page.socket.acknowledges();
    if (ending === 'finished') page.socket.hears('MsgAllDone', { Success: true });
    if (ending === 'error') page.socket.hears('MsgError', { ErrorCode: 32, Msg: 'No.' });
    if (ending !== 'finished') page.socket.hears('MsgCancelAck', { Ack: true });
    const { length } = uploader.events;
    assert.deepEqual(endings(uploader), [ending]);
    uploader.start().pause('toggle').pause('pause').pause('unpause').cancel('late');
    page.socket.breaks();
    page.fire('online');
    page.fire('pageshow');
    await page.pass(1000);
    assert.equal(uploader.events.length, length, ending);
    assert.equal(page.sockets.length, 1, ending);
    assert.equal(page.clock.timers.size, 0, ending);
  }
});
