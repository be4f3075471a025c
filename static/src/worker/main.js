// The worker. It reads the files, computes the checksums and holds the sockets, so that no byte of a file passes through
// the page's own thread. scripts/build-library.mjs makes a string of this module and its imports, which host.js starts.
//
// A chunk is read before it is sent, which shows that it can be read at all. A browser that can't read what it sends just
// drops the connection, with the close code of any lost connection (1006).

import { read, recycle } from './reader.js';

const scope = /** @type {Worker} */ (/** @type {unknown} */ (self));
/** @type {Map<number, WebSocket>} */
const sockets = new Map();

/** @type {Record<string, (order: any) => void>} */
const actions = {
  async read({ id, blob, seed, room }) {
    const { crc, buffer } = await read(blob, seed, room);
    scope.postMessage({ id, crc, buffer }, buffer ? [buffer] : []);
  },
  dial({ id, url }) {
    try {
      const socket = new WebSocket(url);
      socket.onopen = () => scope.postMessage({ id, event: 'open' });
      socket.onmessage = ({ data }) => scope.postMessage({ id, event: 'message', data });
      socket.onclose = ({ code, reason }) => scope.postMessage({ id, event: 'close', code, reason });
      sockets.set(id, socket);
    } catch (error) {
      scope.postMessage({ id, event: 'refused' });
    }
  },
  send({ id, data }) {
    const socket = sockets.get(id);
    if (socket) socket.send(data);
    if (data instanceof ArrayBuffer) recycle(data); // the browser has a copy
  },
  close({ id, code }) {
    const socket = sockets.get(id);
    sockets.delete(id);
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
  },
  ping() {
    scope.postMessage({});
  },
};

scope.onmessage = ({ data }) => actions[data.action](data);
