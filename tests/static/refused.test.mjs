// Where no WebSocket opens, and HTTP is of no use either, the page says what plain HTTP answers (docs/reference/javascript.md).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KIB, Page } from './page.mjs';

/** An upload whose connection can't be opened, `times` in a row. */
async function refused(page, times) {
  const uploader = page.uploader().start();
  await page.pass(0);
  for (let i = 0; i < times; i++) {
    if (i) await page.seconds_until_dialled();
    page.socket.breaks();
  }
  await page.pass(0);
  return uploader;
}

test('an address that is reached, and no WebSocket there, is blamed on a proxy from the third try on', async () => {
  const page = new Page({ protocol: 'https:', host: 'app.example' });
  page.incoming.transport = 'websocket';
  page.fetch_status = 426;
  const uploader = await refused(page, 2);
  assert.deepEqual([uploader.state_msg, page.fetched.length], ['No connection to the server. Trying again soon.', 0]);
  await page.seconds_until_dialled();
  page.socket.breaks();
  await page.pass(0);
  assert.equal(
    uploader.state_msg, 'A proxy between you and the upload server blocks WebSockets. Trying again soon.');
  assert.deepEqual(page.fetched, [
    { url: 'https://app.example/incoming/frontend/upload_ws', credentials: 'omit', cache: 'no-store' }]);
  assert.equal(uploader.events.at(-1), 'progress');
  assert.deepEqual([uploader.retrying, uploader.error_msg, uploader.error_code], [true, '', null], 'it is no end');
});

test('once the proxy is mended the upload goes on, and later troubles are not blamed on it', async () => {
  const page = new Page();
  page.incoming.transport = 'websocket';
  page.fetch_status = 426;
  const uploader = await refused(page, 3);
  await page.seconds_until_dialled();
  await page.connects(0);
  assert.equal(uploader.state_msg, 'Uploading.');
  for (let i = 0; i < 5; i++) {
    page.socket.breaks();
    await page.seconds_until_dialled();
  }
  page.socket.breaks();
  await page.pass(0);
  assert.equal(uploader.state_msg, 'No connection to the server. Trying again soon.');
  assert.equal(page.fetched.length, 1);
});

test('an address that is something else, or a server that is down behind its proxy, is told by its status', async () => {
  for (const status of [404, 502]) {
    const page = new Page();
    page.fetch_status = page.http_status = status;
    const uploader = await refused(page, 3);
    assert.equal(
      uploader.state_msg, `The address of the upload server answered with HTTP status ${status}. Trying again soon.`);
  }
});

test('who has to wait because others of the same network have all connections is told so', async () => {
  const page = new Page();
  page.fetch_status = 429;
  const uploader = await refused(page, 3);
  assert.equal(
    uploader.state_msg,
    'Your network has too many connections to the upload server at the moment. Trying again soon.');
});

test('where plain HTTP knows nothing either, the page names the host that does not answer, and claims nothing', async () => {
  const page = new Page();
  const uploader = await refused(page, 4);
  assert.equal(page.fetched.length, 2 * 4, 'after each try, and once more in the way that hides the answer');
  assert.equal(uploader.state_msg, 'No connection to the upload server at app.example:8000. Trying again soon.');
});

test('what accepts WebSockets and is no upload server is not taken for a proxy that refuses them', async () => {
  for (const says of [null, 'hello', '{"MsgType":"MsgUploadReq","MsgData":{}}']) {
    const page = new Page();
    page.fetch_status = page.http_status = 404;
    const uploader = page.uploader().start();
    for (let i = 0; i < 3; i++) {
      await page.seconds_until_dialled();
      page.socket.open();
      if (says) page.socket.hears_text(says);
      if (page.socket.readyState === 1) await page.pass(15);
    }
    await page.pass(0);
    assert.match(uploader.state_msg, /^The server at app.example:8000 is not an upload server, or it is overloaded./, says);
  }
});

test('the author of a page reads about a wrong address in the console, once for each address', async () => {
  const page = new Page();
  await refused(page, 8);
  page.uploader(undefined, 'ticket-2').start();
  await page.pass(300);
  assert.equal(page.warned.length, 1);
  assert.match(page.warned[0], /ws:\/\/app.example:8000\/incoming\/frontend\/upload_ws.*set_server_hostname/);
  page.incoming.set_server_hostname('other.example');
  page.fetch_status = page.http_status = 404;
  await refused(page, 5);
  assert.equal(page.warned.length, 2);
  assert.match(page.warned[1], /HTTP status 404.*ws:\/\/other.example\/incoming/);
});

test('a server that was reached before, or a browser that is offline, gives no warning', async () => {
  const page = new Page();
  await page.uploading();
  for (let i = 0; i < 6; i++) {
    page.socket.breaks();
    await page.seconds_until_dialled();
  }
  const offline = new Page();
  offline.navigator.onLine = false;
  const uploader = await refused(offline, 5);
  assert.equal(uploader.state_msg, 'You are offline. The upload resumes when you are online again.');
  assert.deepEqual([page.warned, offline.warned], [[], []]);
});

test('an answer that comes after the next try has begun changes nothing', async () => {
  const page = new Page();
  let answer;
  page.fetch = () => new Promise((resolve) => { answer = resolve; });
  const uploader = await refused(page, 3);
  await page.seconds_until_dialled();
  answer({ status: 426 });
  await page.pass(0);
  assert.equal(uploader.state_msg, 'Connecting.');
  page.socket.breaks();
  await page.pass(0);
  assert.equal(uploader.state_msg, 'No connection to the server. Trying again soon.');
  uploader.cancel();
  answer({ status: 426 });
  await page.pass(0);
  assert.equal(uploader.cancelling, true);
  assert.equal(uploader.bytes_total, 10 * KIB);
});

test('another server is asked for itself', async () => {
  const page = new Page();
  await page.uploading();
  page.incoming.set_server_hostname('other.example/up');
  page.incoming.transport = 'websocket';
  page.fetch_status = 426;
  await refused(page, 3);
  assert.equal(page.fetched[0].url, 'http://other.example/up/incoming/frontend/upload_ws');
});
