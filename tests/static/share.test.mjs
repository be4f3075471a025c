// Several uploaders of one ticket in one browser: one of them uploads, and the others show how it gets along.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Browser, FakeFile, KIB, Page, endings, look, pass } from './page.mjs';

const CALLBACKS = ['onprogress', 'onfinished', 'oncancelled', 'onerror'];

/** All that a page sees of an upload. What runs in another window is shown as `elsewhere`. */
function shown(uploader) {
  const all = look(uploader);
  for (const name of CALLBACKS) delete all[name];
  const { state } = all;
  return { ...all, state: ['connecting', 'checking', 'uploading'].includes(state) ? 'elsewhere' : state };
}

/** Two tabs of one browser: the first uploads, and the second has just started the same ticket. */
async function two_tabs(file = () => new FakeFile(10 * KIB)) {
  const browser = new Browser();
  const tabs = [browser.tab(), browser.tab()];
  const first = await tabs[0].uploading(file());
  const second = tabs[1].uploader(file()).start();
  await pass(0, ...tabs);
  return { browser, tabs, first, second };
}

test('a second tab does not take the ticket from the first, and shows the same', async () => {
  const { tabs, first, second } = await two_tabs();
  for (let i = 1; i <= 5; i++) {
    await tabs[0].stores(i * KIB);
    await pass(1, ...tabs);
    tabs[0].socket.hears('MsgPong', {});
    await pass(0, ...tabs);
    assert.deepEqual(shown(second), shown(first));
  }
  assert.equal(second.state_msg, 'Uploading.');
  assert.equal(second.bytes_acked, 5 * KIB);
  assert.deepEqual([tabs[0].sockets.length, tabs[1].sockets.length], [1, 0]);
  await pass(60, tabs[1], tabs[0]);
  assert.equal(tabs[1].sockets.length, 0);
});

test('the callbacks of the second tell each change of what it shows, and no other', async () => {
  const { tabs, second } = await two_tabs();
  second.seen.length = 0;
  for (let i = 1; i <= 5; i++) {
    await tabs[0].stores(i * KIB);
    await pass(0, ...tabs);
    assert.deepEqual(second.seen.at(-1), look(second));
  }
  second.seen.slice(1).forEach((seen, i) => assert.notDeepEqual(seen, second.seen[i]));
});

test('when the first tab is closed the second takes over within two seconds, where the first one was', async () => {
  for (const says_so of [true, false]) {
    const { tabs, second } = await two_tabs();
    await tabs[0].stores(4 * KIB);
    await pass(0, ...tabs);
    if (says_so) tabs[0].fire('pagehide');
    tabs[0].closes();
    await pass(2, ...tabs);
    assert.equal(tabs[1].sockets.length, 1);
    assert.equal(second.bytes_acked, 4 * KIB);
    await tabs[1].connects(4 * KIB);
    await tabs[1].stores(8 * KIB);
    await tabs[1].stores(10 * KIB);
    tabs[1].socket.finishes();
    assert.deepEqual([second.finished, ...endings(second)], [true, 'finished']);
    assert.equal(await second.done, second);
  }
});

test('a page that is left lets go of its upload, and goes on with it when it is shown again as it was', async () => {
  const browser = new Browser();
  const tab = browser.tab();
  const uploader = await tab.uploading(new FakeFile(10 * KIB));
  await tab.stores(4 * KIB);
  const [socket] = tab.sockets;
  tab.fire('pagehide');
  assert.deepEqual([socket.readyState > 1, uploader.bytes_acked], [true, 4 * KIB]);
  await pass(0, tab);
  tab.fire('pageshow');
  await pass(0, tab);
  assert.equal(tab.sockets.length, 2);
  await tab.connects(4 * KIB);
  await tab.stores(8 * KIB);
  await tab.stores(10 * KIB);
  tab.socket.finishes();
  assert.deepEqual([uploader.finished, ...endings(uploader)], [true, 'finished']);
});

test('a page that is left lets go of its paused uploads, too: the next page may offer them at once', async () => {
  const browser = new Browser();
  const tab = browser.tab();
  const uploader = await tab.uploading(new FakeFile(10 * KIB));
  await tab.stores(4 * KIB);
  uploader.pause();
  await pass(0, tab);
  tab.fire('pagehide');
  await pass(0, tab);
  const [{ bytes_acked, upload_id }] = browser.tab().incoming.unfinished();
  assert.deepEqual([bytes_acked, upload_id], [4 * KIB, 'ticket-1']);
  tab.fire('pageshow');
  uploader.pause('unpause');
  await pass(0, tab);
  await tab.connects(4 * KIB);
  await tab.stores(8 * KIB);
  await tab.stores(10 * KIB);
  tab.socket.finishes();
  assert.deepEqual([uploader.finished, ...endings(uploader)], [true, 'finished']);
});

test('a page that is shown again follows another tab that has taken over meanwhile', async () => {
  const { tabs, first, second } = await two_tabs();
  await tabs[0].stores(4 * KIB);
  await pass(0, ...tabs);
  tabs[0].fire('pagehide');
  await pass(0, ...tabs);
  assert.equal(tabs[1].sockets.length, 1, 'it did not wait for its next tick');
  await tabs[1].connects(4 * KIB);
  tabs[0].fire('pageshow');
  await tabs[1].stores(6 * KIB);
  await pass(0, ...tabs);
  assert.deepEqual([tabs[0].sockets.length, first.state, first.bytes_acked], [1, 'elsewhere', 6 * KIB]);
  assert.equal(second.bytes_acked, 6 * KIB);
});

test('of several that follow, one takes over, and the others follow that one', async () => {
  const browser = new Browser();
  const tabs = [1, 2, 3, 4].map(() => browser.tab());
  const uploaders = [await tabs[0].uploading()];
  for (const tab of tabs.slice(1)) uploaders.push(tab.uploader().start());
  await pass(1, ...tabs);
  tabs[0].closes();
  await pass(3, ...tabs);
  const owner = tabs.slice(1).filter((tab) => tab.sockets.length);
  assert.equal(owner.length, 1);
  await owner[0].connects(0);
  await owner[0].stores(3 * KIB);
  await pass(2, ...tabs);
  for (const uploader of uploaders.slice(1)) assert.equal(uploader.bytes_acked, 3 * KIB);
});

for (const [name, end, expected] of [
  ['finished', (socket) => socket.finishes(), { finished: true, frac_complete: 1, state_msg: 'Finished.' }],
  ['cancelled', (socket) => socket.refuses(30, 'cancelled', { Msg: 'by the app' }), { cancelled: true, cancel_msg: 'by the app' }],
]) {
  test(`an upload that is ${name} in the first tab is ${name} in the second, which dials nobody`, async () => {
    const { browser, tabs, first, second } = await two_tabs();
    end(tabs[0].socket);
    await pass(3, ...tabs);
    assert.deepEqual(shown(second), shown(first));
    assert.deepEqual({ ...shown(second), ...expected }, shown(second));
    assert.deepEqual(endings(second), [name]);
    assert.equal(tabs[1].sockets.length, 0);
    assert.deepEqual([browser.held.size, browser.channels.size], [0, 0], 'nothing is kept after the end');
    assert.deepEqual(tabs.map((tab) => tab.clock.timers.size), [0, 0]);
    await second.done.then(() => assert.equal(name, 'finished'), (error) => assert.equal(error.reason, name));
  });
}

test('what the first can\'t read the second may: it takes over instead of failing', async () => {
  const browser = new Browser();
  const tabs = [browser.tab(), browser.tab()];
  const file = new FakeFile(10 * KIB);
  const first = await tabs[0].uploading(file);
  const second = tabs[1].uploader().start();
  await pass(0, ...tabs);
  file.trouble = 'missing';
  tabs[0].socket.breaks();
  await pass(10, ...tabs);
  assert.equal(first.error_code, 100);
  assert.equal(tabs[1].sockets.length, 1);
  await tabs[1].connects(0);
  assert.deepEqual([second.state_msg, endings(second)], ['Uploading.', []]);
});

test('pause, unpause and cancel in the second tab are heard in the first, and both show it', async () => {
  const { tabs, first, second } = await two_tabs();
  assert.equal(second.pause('pause'), second);
  assert.equal(second.paused, true, 'at once');
  await pass(0, ...tabs);
  assert.deepEqual([first.paused, second.paused, second.can_pause, first.connected], [true, true, true, false]);
  second.pause('toggle');
  await pass(0, ...tabs);
  assert.deepEqual([first.paused, second.paused], [false, false]);
  first.pause('pause');
  await pass(0, ...tabs);
  assert.equal(second.paused, true);
  second.pause('unpause');
  await pass(0, ...tabs);
  await tabs[0].connects(0);
  second.cancel('enough');
  assert.deepEqual([second.cancelling, second.can_cancel], [true, false]);
  await pass(0, ...tabs);
  assert.deepEqual(tabs[0].socket.last('MsgCancel'), { Reason: 'enough' });
  tabs[0].socket.hears('MsgCancelAck', { Ack: true });
  await pass(0, ...tabs);
  for (const uploader of [first, second]) {
    assert.deepEqual([uploader.cancelled, uploader.cancel_msg, ...endings(uploader)], [true, 'enough', 'cancelled']);
  }
});

test('once all has arrived the second can neither pause nor cancel, as the first', async () => {
  const { tabs, second } = await two_tabs(() => new FakeFile(KIB));
  await tabs[0].stores(KIB);
  await pass(0, ...tabs);
  assert.deepEqual([second.can_pause, second.can_cancel, second.frac_complete], [false, false, 1]);
  second.pause('pause').cancel('too late');
  await pass(0, ...tabs);
  assert.deepEqual(tabs[0].socket.message_types.includes('MsgCancel'), false);
  tabs[0].closes();
  await pass(2, ...tabs);
  await tabs[1].connects(KIB, { Arrived: true });
  tabs[1].socket.finishes();
  assert.equal(second.finished, true);
});

test('an upload that was paused stays paused when its tab is closed, and the second can go on with it', async () => {
  const { tabs, first, second } = await two_tabs();
  first.pause('pause');
  await pass(0, ...tabs);
  tabs[0].closes();
  await pass(5, ...tabs);
  assert.deepEqual([second.paused, tabs[1].sockets.length], [true, 0]);
  second.pause('unpause');
  await pass(0, tabs[1]);
  await tabs[1].connects(0);
  assert.equal(second.state_msg, 'Uploading.');
});

test('a cancel that the server has not heard when the tab is closed is said by the second', async () => {
  const { tabs, first, second } = await two_tabs();
  tabs[0].socket.breaks();
  first.cancel('enough');
  await pass(0, ...tabs);
  tabs[0].closes();
  await pass(2, ...tabs);
  await tabs[1].connects(0);
  assert.deepEqual(tabs[1].socket.last('MsgCancel'), { Reason: 'enough' });
  assert.equal(second.cancelling, true);
});

for (const [name, unmount] of [['does nothing', () => {}], ['pauses', (uploader) => uploader.pause('pause')]]) {
  for (const lock_ms of [0, 20]) {
    for (const between_ms of [0, 10, 50]) {
      const times = `when a lock takes ${lock_ms} ms and ${between_ms} ms are between`;
      test(`a page that mounts twice has one upload that runs, when its unmount ${name}, ${times}`, async () => {
        const browser = new Browser();
        browser.lock_ms = lock_ms;
        const page = browser.tab();
        const file = new FakeFile(2 * KIB);
        const mounted = page.uploader(file).start();
        if (between_ms) await page.pass(between_ms / 1000);
        unmount(mounted);
        const again = page.uploader(file).start();
        await page.pass(0.1);
        await page.connects(0);
        await page.pass(0.1);
        assert.equal(again.state_msg, 'Uploading.');
        await page.stores(2 * KIB);
        page.socket.finishes();
        await page.pass(0);
        assert.deepEqual([again.finished, ...endings(again)], [true, 'finished']);
        assert.equal(page.sockets.filter((socket) => socket.said.length).length, 1);
      });
    }
  }
}

test('a second tab whose user starts the upload starts one that is paused in the first, or cancels it at once', async () => {
  const { tabs, first } = await two_tabs();
  first.pause('pause');
  await pass(0, ...tabs);
  const third = tabs[1].uploader().start();
  await pass(0, ...tabs);
  assert.equal(first.paused, false);
  await tabs[0].connects(0);
  await pass(0, ...tabs);
  assert.equal(third.state_msg, 'Uploading.');
  const fourth = tabs[1].uploader().cancel('enough');
  await pass(0, ...tabs);
  assert.deepEqual([first.cancelling, fourth.cancelling], [true, true]);
});

test('a tab that the system has stopped loses its upload after ten seconds, and follows when it is back', async () => {
  const { browser, tabs, first, second } = await two_tabs();
  tabs[0].is_gone = true; // but it was not closed: it holds the lock
  await pass(9, ...tabs);
  assert.equal(tabs[1].sockets.length, 0);
  await pass(3, ...tabs);
  await tabs[1].connects(0);
  await tabs[1].stores(KIB);
  tabs[0].is_gone = false;
  tabs[0].socket.breaks(4001);
  await pass(3, ...tabs);
  assert.deepEqual(shown(first), shown(second));
  assert.equal(browser.held.size, 1);
  await pass(60, ...tabs);
  assert.equal(tabs[0].sockets.length, 1, 'it does not take it back');
});

test('where locks are forbidden or stuck, or there are none, an upload runs all the same', async () => {
  for (const [trouble, within_s] of [['denied', 0], ['hangs', 21]]) {
    const browser = new Browser();
    browser.trouble = trouble;
    const page = browser.tab();
    page.uploader().start();
    await pass(within_s, page);
    assert.equal(page.sockets.length, 1, trouble);
  }
  for (const name of ['BroadcastChannel', 'locks']) {
    const page = new Browser().tab();
    if (name === 'locks') delete page.navigator.locks;
    else page.context.BroadcastChannel = class { constructor() { throw new Error('SecurityError'); } };
    page.uploader().start();
    await page.pass(0);
    assert.equal(page.sockets.length, 1, name);
  }
  const [one, two] = [new Page(), new Page()];
  for (const page of [one, two]) {
    await page.uploading();
    assert.equal(page.sockets.length, 1, 'each uploads, as ever');
  }
});

test('two tickets, or two servers, have nothing to do with each other', async () => {
  const browser = new Browser();
  const tabs = [browser.tab(), browser.tab(), browser.tab()];
  tabs[2].incoming.set_server_hostname('other.example');
  tabs[0].uploader(undefined, 'a').start();
  tabs[1].uploader(undefined, 'b').start();
  tabs[2].uploader(undefined, 'a').start();
  await pass(0, ...tabs);
  assert.deepEqual(tabs.map((tab) => tab.sockets.length), [1, 1, 1]);
});

test('a follower does not hold up its user who leaves the page: nothing stops by that', async () => {
  const { tabs, first, second } = await two_tabs();
  const asks = (page) => {
    let asked = false;
    page.fire('beforeunload', { preventDefault: () => { asked = true; } });
    return asked;
  };
  first.warn_before_unload = second.warn_before_unload = true;
  assert.deepEqual(tabs.map(asks), [true, false]);
  tabs[0].closes();
  await pass(2, ...tabs);
  assert.equal(asks(tabs[1]), true);
});

// ---- the list of unfinished uploads

const listed = (page) => page.incoming.unfinished().map((begun) => begun.upload_id).join();

test('an upload that is live in a tab is offered by none, from the server\'s agreement on', async () => {
  const { browser, tabs, first } = await two_tabs();
  const third = browser.tab();
  third.clock.now_ms = tabs[0].clock.now_ms;
  for (const step of [() => {}, () => pass(30, third, ...tabs), () => first.pause('pause'), () => pass(30, third, ...tabs)]) {
    await step();
    assert.deepEqual([...tabs, third].map(listed), ['', '', '']);
  }
});

test('a page that asks for live uploads sees that of another tab with its progress, and not its own', async () => {
  const { browser, tabs } = await two_tabs();
  const third = browser.tab();
  third.clock.now_ms = tabs[0].clock.now_ms;
  third.uploader(new FakeFile(KIB), 'its-own').start();
  await third.connects(0);
  const seen = (page) => page.incoming.unfinished({ live: true }).map(({ upload_id, bytes_acked, live }) => [upload_id, bytes_acked, live].join());
  for (const bytes of [3 * KIB, 5 * KIB]) {
    await tabs[0].stores(bytes);
    await pass(2, third, ...tabs);
    assert.deepEqual(seen(third).join(';'), `ticket-1,${bytes},true`);
    assert.deepEqual(seen(tabs[0]).join(';'), 'its-own,0,true');
  }
  tabs.forEach((tab) => tab.fire('pagehide'));
  assert.deepEqual(seen(third).join(';'), `ticket-1,${5 * KIB},false`);
  assert.equal('live' in third.incoming.unfinished()[0], false, 'it is as ever without being asked for');
});

test('it is offered as soon as its page is left or it has failed, and five seconds after its tab has crashed', async () => {
  const ways = {
    left: [(tab) => tab.fire('pagehide'), 0],
    crashed: [() => {}, 6],
    failed: [(tab) => tab.socket.refuses(24, 'wrong_file'), 0],
  };
  for (const [name, [end, within_s]] of Object.entries(ways)) {
    const browser = new Browser();
    const tab = browser.tab();
    await tab.uploading();
    await tab.stores(3 * KIB);
    await pass(2, tab);
    end(tab);
    if (name !== 'failed') tab.closes();
    const next = browser.tab();
    next.clock.now_ms = tab.clock.now_ms;
    if (within_s) assert.equal(listed(next), '', name);
    await pass(within_s, next);
    assert.equal(listed(next), 'ticket-1', name);
    const [begun] = next.incoming.unfinished();
    assert.equal(begun.bytes_acked, 3 * KIB, name);
    assert.equal(Object.keys(begun).join(),
      'upload_id,filename,bytes_total,bytes_acked,frac_complete,last_modified_ms,begun_at_ms');
  }
});
