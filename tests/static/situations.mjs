// The situations of an upload, and the way into each: for the tests that go through all of them.

import { KIB } from './page.mjs';

/** Lets the library dial, and the server answer the request with nothing yet. */
async function asks(page) {
  await page.pass(0);
  page.socket.open();
}

async function uploads(page, uploader) {
  uploader.start();
  await asks(page);
  page.socket.confirms();
  await page.pass(0);
}

async function arrives(page, uploader) {
  await uploads(page, uploader);
  await page.stores(2 * KIB);
}

/** Every situation that the table has a row for, and the way there. */
export const SITUATIONS = {
  'not started': () => {},
  'paused before its start': (page, uploader) => uploader.pause('pause'),
  'on its way to the server': (page, uploader) => uploader.start(),
  'asking the server': async (page, uploader) => {
    uploader.start();
    await asks(page);
  },
  'comparing what the server has': async (page, uploader) => {
    uploader.start();
    await asks(page);
    page.socket.confirms(KIB, { Compare: [[0, KIB]] });
  },
  'sending': uploads,
  'waiting for the next try': async (page, uploader) => {
    await uploads(page, uploader);
    page.socket.breaks();
  },
  'trying again': async (page, uploader) => {
    await uploads(page, uploader);
    page.socket.breaks();
    await page.seconds_until_dialled();
  },
  'paused': async (page, uploader) => {
    await uploads(page, uploader);
    uploader.pause('pause');
  },
  'arrived, the app takes it': arrives,
  'arrived, the app does not answer': async (page, uploader) => {
    await arrives(page, uploader);
    page.socket.news('waiting_for_app');
  },
  'arrived, the app does not answer, and the server says why': async (page, uploader) => {
    await arrives(page, uploader);
    page.socket.news('waiting_for_app', 0, { Why: 'the app could not be reached: it refuses connections' });
  },
  'arrived, connection lost': async (page, uploader) => {
    await arrives(page, uploader);
    page.socket.breaks();
  },
  'cancelled by the user, not confirmed': async (page, uploader) => {
    await uploads(page, uploader);
    uploader.cancel('enough');
  },
  'the same, connection lost': async (page, uploader) => {
    await uploads(page, uploader);
    uploader.cancel('enough');
    page.socket.breaks();
  },
  'finished': async (page, uploader) => {
    await arrives(page, uploader);
    page.socket.finishes();
  },
  'cancelled': async (page, uploader) => {
    await uploads(page, uploader);
    uploader.cancel('enough');
    page.socket.hears('MsgCancelAck', { Ack: true });
  },
  'failed': async (page, uploader) => {
    await uploads(page, uploader);
    page.socket.refuses(31, 'expired');
  },
};
