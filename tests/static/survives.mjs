// Is the library still whole after a bundler has had it? INCOMING_TEST_LIBRARY names the bundle.
//
// A file is uploaded, and the messages of the worker are counted: if the worker were spoiled, the page's own thread would
// do the work, and nobody would notice.

import assert from 'node:assert/strict';
import { FakeFile, KIB, Page } from './page.mjs';

const page = new Page({ has: { AbortController } });
const file = new FakeFile(10 * KIB);
const uploader = await page.uploading(file);
const [worker] = page.workers;
const heard = [];
const { onmessage } = worker;
worker.onmessage = (event) => {
  heard.push(event.data.action || event.data.event);
  onmessage(event);
};
for (let bytes = KIB; bytes <= file.size; bytes += KIB) await page.stores(bytes);
page.socket.finishes();
await uploader.done;

assert.equal(uploader.finished, true);
assert.equal(page.workers.length, 1);
assert.equal(worker.context === null, false);
assert.ok(heard.length >= 10, `the worker said ${heard}`);
assert.deepEqual([page.reported, page.warned], [[], []]);
if (page.context.Queue) {
  const queue = new page.context.Queue({ get_ticket: async () => 'ticket-2' });
  const item = queue.add(new FakeFile(2 * KIB, 'b.txt'));
  await page.pass(0);
  await page.connects(0);
  await page.stores(2 * KIB);
  page.socket.finishes();
  assert.equal(item.state, 'finished');
}
console.log(heard.length);
