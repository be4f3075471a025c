// A folder as one upload: its list of files, its stream, files that can't be read, and the same folder again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page, chance_of, crc32c, look } from './page.mjs';

const AT_MS = 1700000000000;

/** A file at a place in a folder that was chosen. */
function placed(path, size, modified = AT_MS) {
  const file = new FakeFile(size, path.split('/').at(-1));
  file.byte_at = (i) => (i * 31 + size * 7 + path.length) & 255;
  return Object.assign(file, { webkitRelativePath: path, lastModified: modified });
}

/** What the stream of these files has to be: `lines` is its manifest, in its order. */
function stream_of(lines, files) {
  const manifest = new TextEncoder().encode(lines.map((line) => JSON.stringify(line) + '\n').join(''));
  const header = new DataView(new ArrayBuffer(32));
  [...'IncFold1'].forEach((letter, at) => header.setUint8(at, letter.charCodeAt(0)));
  header.setBigUint64(8, BigInt(manifest.length));
  header.setUint32(16, lines.length);
  header.setUint32(20, crc32c(manifest));
  header.setUint32(28, crc32c(new Uint8Array(header.buffer, 0, 28)));
  return Uint8Array.from([...new Uint8Array(header.buffer), ...manifest, ...files.flatMap((file) => [...file.bytes()])]);
}

const line = ({ webkitRelativePath, size, lastModified: modified_ms }) => (
  { path: webkitRelativePath.replace('photos/', ''), size, modified_ms });

/** The server of a folder: it stores what comes, takes chunks of up to `chunk_bytes`, and leaves out what it is asked to. */
class FolderServer {
  constructor(page, { chunk_bytes = 256 * KIB, ranges = [] } = {}) {
    Object.assign(this, { page, chunk_bytes, ranges, stored: new Uint8Array(0), chunks: [], left_out: [] });
  }

  /** Answers until nothing comes any more. */
  async serves(terms = {}) {
    const { page } = this;
    this.compare = terms.Compare || [];
    await page.pass(0);
    const { socket } = page;
    socket.open();
    socket.confirms(this.stored.length, {
      DestType: 'folder', MaxChunkBytes: this.chunk_bytes, MaxWindowBytes: 4 * this.chunk_bytes, LeftOut: this.left_out, ...terms,
    });
    for (let seen = 0, idle = 0; idle < 3 && socket.readyState === 1;) {
      await page.pass(0.1);
      const news = socket.said.slice(seen);
      seen = socket.said.length;
      idle = news.length ? 0 : idle + 1;
      for (const said of news) this.hears(socket, said);
    }
  }

  hears(socket, said) {
    if (said.bytes) {
      assert.equal(said.from, this.stored.length, 'nothing is missing');
      assert.equal(said.crc, crc32c(said.bytes));
      this.chunks.push([said.from, said.end]);
      this.stored = Uint8Array.from([...this.stored, ...said.bytes]);
      this.says_stored(socket);
    } else if (said.MsgType === 'MsgLeaveOut') {
      const { Index } = said.MsgData;
      const [from, to] = this.ranges[Index];
      assert.ok(from <= this.stored.length && this.stored.length <= to, 'it is the file of the next byte');
      this.left_out.push(Index);
      const stored = new Uint8Array(to);
      stored.set(this.stored.subarray(0, from));
      this.stored = stored;
      this.says_stored(socket);
    } else if (said.MsgType === 'MsgAgree') {
      const sums = this.compare.map(([from, to]) => crc32c(this.stored.subarray(from, to)));
      assert.deepEqual([...said.MsgData.Crc32c], sums, 'it is the folder that the upload started with');
    } else if (said.MsgType === 'MsgComplete') {
      assert.equal(said.MsgData.Crc32c, crc32c(this.stored), 'the checksum is that of all');
      assert.equal(look(this.page.current).bytes_acked, this.stored.length);
      this.is_complete = true;
      socket.finishes();
    }
  }

  says_stored(socket) {
    if (socket.readyState === 1) socket.stores(this.stored.length); // else the page has hung up
  }
}

/** Starts the upload of a folder. */
function begin(page, files, options = {}) {
  page.current = page.uploader(files, 'ticket-1', options).start();
  return page.current;
}

/** The places of the files of a stream in it. */
function ranges_of(stream, files) {
  let at = stream.length - files.reduce((sum, { size }) => sum + size, 0);
  return files.map(({ size }) => [at, at += size]);
}

/** Starts the upload of three files, the middle one of which is large. What the page can't read is left out. */
function begin_three(page) {
  const files = [placed('photos/a', 300), placed('photos/b', 20 * KIB), placed('photos/c', 300)];
  const stream = stream_of(files.map(line), files);
  const ranges = ranges_of(stream, files);
  return { files, stream, ranges, uploader: begin(page, files, { when_unreadable: 'leave_out' }) };
}

const SMALL = [placed('photos/a.txt', 10), placed('photos/b/c.txt', 0), placed('photos/b/d.txt', 700), placed('photos/z', 20 * KIB)];

test('a folder is its list, sorted by path, and then the bytes of all files', async () => {
  const page = new Page();
  const uploader = begin(page, [...SMALL].reverse());
  const server = new FolderServer(page);
  await server.serves();
  const stream = stream_of(SMALL.map(line), SMALL);
  assert.deepEqual(server.stored, stream);
  const [{ MsgData }] = page.socket.said;
  assert.deepEqual([MsgData.Name, MsgData.LengthBytes, MsgData.LastModifiedMs], ['photos', stream.length, AT_MS]);
  const { bytes_total, files_total, files_acked, filename, left_out, finished } = look(uploader);
  assert.deepEqual([bytes_total, files_total, files_acked, filename, left_out, finished], [stream.length, 4, 4, 'photos', [], true]);
});

test('without a worker, and in Firefox, the bytes are the same', async () => {
  const stream = stream_of(SMALL.map(line), SMALL);
  for (const kind of [{ no_worker: 'throws' }, { firefox: true }]) {
    const page = new Page(kind);
    begin(page, SMALL);
    const server = new FolderServer(page);
    await server.serves();
    assert.deepEqual(server.stored, stream, JSON.stringify(kind));
    assert.ok(server.is_complete);
  }
});

test('files of several folders and of none keep their paths, and an empty folder is an entry', async () => {
  const page = new Page();
  const folder = (name, ...inside) => ({
    isDirectory: true, name, fullPath: '/' + name,
    createReader: () => ({ readEntries: (resolve) => resolve(inside.splice(0, 2)) }),
  });
  const file = (name, size) => ({ isFile: true, name, fullPath: '/x/' + name, file: (resolve) => resolve(placed(name, size)) });
  const entries = [folder('x', file('1', 3), file('2', 4), folder('empty'), file('3', 5)), new FakeFile(6, 'alone')];
  begin(page, { items: entries.map((entry) => ({ kind: 'file', webkitGetAsEntry: () => entry.isDirectory ? entry : null, getAsFile: () => entry })) });
  const server = new FolderServer(page);
  await server.serves();
  const manifest = new TextDecoder().decode(server.stored.subarray(32)).split('\n').slice(0, 5).map((text) => JSON.parse(text).path);
  assert.deepEqual(manifest, ['alone', 'x/1', 'x/2', 'x/3', 'x/empty/']);
  assert.equal(page.socket.said[0].MsgData.Name, 'upload');
  assert.equal(look(page.current).files_total, 4);
});

test('handles, and files with paths of the page, are a folder, too', async () => {
  const page = new Page();
  const handle = (name, size) => ({ kind: 'file', name, getFile: async () => placed(name, size) });
  const values = async function* () {
    yield handle('b', 5);
    yield handle('a', 4);
  };
  begin(page, { kind: 'directory', name: 'trip', values });
  let server = new FolderServer(page);
  await server.serves();
  assert.deepEqual([page.socket.said[0].MsgData.Name, look(page.current).files_acked], ['trip', 2]);
  begin(page, [{ path: 'q/2', file: placed('a', 4) }, { path: 'q/1', file: placed('b', 5) }]);
  server = new FolderServer(page);
  await server.serves();
  const both = [{ path: '1', size: 5, modified_ms: AT_MS }, { path: '2', size: 4, modified_ms: AT_MS }];
  assert.deepEqual(server.stored, stream_of(both, [placed('b', 5), placed('a', 4)]));
});

test('no file that is smaller than a chunk is in two chunks, and no chunk has more than 32 files', async () => {
  const page = new Page();
  const files = Array.from({ length: 200 }, (_, i) => placed(`photos/${1000 + i}`, 1 + (i % 40) * 40));
  begin(page, files);
  const stream = stream_of(files.map(line), files);
  const server = new FolderServer(page, { chunk_bytes: 16 * KIB });
  await server.serves();
  assert.deepEqual(server.stored, stream);
  const edges = new Set(server.chunks.flat());
  const ranges = ranges_of(stream, files);
  for (const [from, to] of ranges.slice(1)) {
    const inside = [...edges].filter((edge) => edge > from && edge < to);
    assert.deepEqual(inside, [], 'a chunk ends within a small file');
  }
  for (const [from, to] of server.chunks) assert.ok(ranges.filter(([start]) => start >= from && start < to).length <= 32);
});

test('files_acked and current_file follow what is stored', async () => {
  const page = new Page();
  const files = [placed('photos/a', 3 * KIB), placed('photos/b', 2 * KIB), placed('photos/c', 0)];
  const uploader = begin(page, files);
  await page.pass(0);
  const head = stream_of(files.map(line), []).length;
  page.socket.open();
  page.socket.confirms(0, { DestType: 'folder', MaxWindowBytes: 64 * KIB });
  await page.pass(0);
  const at = async (offset) => {
    await page.stores(offset);
    return [uploader.files_acked, uploader.current_file];
  };
  assert.deepEqual(await at(0), [0, '']);
  assert.deepEqual(await at(head), [0, 'a']);
  assert.deepEqual(await at(head + KIB), [0, 'a']);
  assert.deepEqual(await at(head + 3 * KIB), [1, 'b']);
  assert.deepEqual(await at(head + 5 * KIB), [3, '']);
});

test('the files are listed before the library dials, and the page hears how many there are', async () => {
  const page = new Page();
  let answer;
  const reader = { readEntries: (resolve) => { answer = resolve; } };
  const uploader = page.uploader({ isDirectory: true, name: 'x', fullPath: '/x', createReader: () => reader }).start();
  await page.pass(1);
  assert.equal(page.sockets.length, 0);
  assert.deepEqual([uploader.state, uploader.reason, uploader.bytes_total], ['connecting', 'listing', 0]);
  assert.match(uploader.state_msg, /0 files/);
  answer([{ isFile: true, name: 'a', file: (resolve) => resolve(placed('x/a', 5)) }]);
  await page.pass(0);
  answer([]);
  await page.pass(0);
  assert.deepEqual([uploader.files_total, uploader.reason, page.sockets.length], [1, '', 1]);
});

test('list_folder tells name, size and number, and an uploader takes what it returns', async () => {
  const page = new Page();
  const told = [];
  const folder = await page.incoming.list_folder(SMALL, { onprogress: (files) => told.push(files) });
  const stream = stream_of(SMALL.map(line), SMALL);
  assert.deepEqual([folder.name, folder.size, folder.files_total, folder.lastModified], ['photos', stream.length, 4, AT_MS]);
  assert.deepEqual(told, [4]);
  page.current = page.uploader(folder).start();
  const server = new FolderServer(page);
  await server.serves();
  assert.deepEqual(server.stored, stream);
  await assert.rejects(page.incoming.list_folder([]), /at least one file/);
});

test('however many files are listed, the page gets a turn every few milliseconds', async () => {
  const page = new Page();
  let [began_ms, longest_ms] = [0, 0];
  const note = () => { longest_ms = Math.max(longest_ms, page.clock.now_ms - began_ms); };
  const Channel = page.context.MessageChannel;
  page.context.MessageChannel = class { // whose messages come in the page's next turn
    constructor() {
      const { port1, port2 } = new Channel();
      this.port1 = { set onmessage(heard) { port1.onmessage = () => { began_ms = page.clock.now_ms; heard(); }; }, close: () => port1.close() };
      this.port2 = { postMessage: (data) => { note(); port2.postMessage(data); } };
    }
  };
  const files = Array.from({ length: 3000 }, (_, i) => ({
    [Symbol.toStringTag]: 'File', name: `${i}`, webkitRelativePath: `photos/${(i * 7919) % 3000}`, lastModified: AT_MS,
    get size() {
      page.clock.now_ms += 0.3; // the browser asks the disk
      return 5;
    },
  }));
  const folder = await page.incoming.list_folder(files);
  note();
  assert.equal(folder.files_total, 3000);
  assert.ok(longest_ms > 1 && longest_ms < 50, `${longest_ms} ms without a turn`);
});

test('a folder resumes at the next byte after a lost connection, and after a reload', async () => {
  const files = [placed('photos/a', 5 * KIB), placed('photos/b', 7 * KIB)];
  const stream = stream_of(files.map(line), files);
  let page = new Page();
  begin(page, files);
  const server = new FolderServer(page, { chunk_bytes: KIB });
  await page.pass(0);
  page.socket.open();
  page.socket.confirms(0, { DestType: 'folder' });
  await page.pass(0);
  page.socket.breaks();
  server.stored = stream.slice(0, 6 * KIB);
  await page.seconds_until_dialled();
  page.socket.open();
  page.socket.confirms(6 * KIB, { DestType: 'folder' });
  await page.pass(0);
  const [begun] = page.incoming.unfinished().length ? page.incoming.unfinished() : [JSON.parse([...page.storage.values()][0])];
  assert.deepEqual([begun.filename, begun.files_total, begun.bytes_total], ['photos', 2, stream.length]);
  page = new Page();
  assert.ok(page.incoming.matches(begun, await page.incoming.list_folder(files)));
  begin(page, files);
  server.page = page;
  server.stored = stream.slice(0, 8 * KIB);
  await server.serves({ Compare: [[100, 8 * KIB]] });
  assert.deepEqual([...page.socket.last('MsgAgree').Crc32c], [crc32c(stream.subarray(100, 8 * KIB))]);
  assert.deepEqual(server.stored, stream);
  assert.ok(server.is_complete);
});

for (const chunk_bytes of [KIB, 64 * KIB]) {
  test(`a file that vanished ends the upload with its path, after some tries; chunks of ${chunk_bytes} bytes`, async () => {
    const page = new Page();
    const files = [placed('photos/a', 3 * KIB), placed('photos/b', 2 * KIB), placed('photos/c', 3 * KIB)];
    const uploader = begin(page, files);
    files[1].trouble = 'missing';
    const server = new FolderServer(page, { chunk_bytes });
    await server.serves();
    while (uploader.state !== 'failed') { // three tries without progress
      assert.equal(uploader.reason, 'file_unreadable');
      assert.ok(page.sockets.length < 6);
      await page.seconds_until_dialled();
      await server.serves();
    }
    assert.deepEqual([uploader.state, uploader.error_code, uploader.current_file], ['failed', 100, 'b']);
    assert.doesNotMatch(uploader.error_msg, /photos|\bb\b/);
  });

  test(`what can't be read is left out where the page says so; chunks of ${chunk_bytes} bytes`, async () => {
    const page = new Page();
    const files = [placed('photos/a', 3 * KIB), placed('photos/b', 2 * KIB), placed('photos/c', 3 * KIB), placed('photos/d', 9 * KIB)];
    const stream = stream_of(files.map(line), files);
    const ranges = ranges_of(stream, files);
    const uploader = begin(page, files, { when_unreadable: 'leave_out' });
    files[1].trouble = files[3].trouble = 'missing';
    const server = new FolderServer(page, { chunk_bytes, ranges });
    await server.serves();
    for (const index of [1, 3]) stream.fill(0, ...ranges[index]);
    assert.deepEqual(server.stored, stream);
    assert.deepEqual(server.left_out, [1, 3]);
    assert.ok(server.is_complete);
    const { left_out, files_acked, files_total, state } = look(uploader);
    assert.deepEqual([left_out, files_acked, files_total, state], [['b', 'd'], 2, 4, 'finished']);
  });
}

test('a file that has become shorter is left out, and of a longer one comes what the list says', async () => {
  for (const change of [-1, 1]) {
    const page = new Page();
    const files = [placed('photos/a', 3 * KIB), placed('photos/b', 2 * KIB), placed('photos/c', 3 * KIB)];
    const stream = stream_of(files.map(line), files);
    const ranges = ranges_of(stream, files);
    const uploader = begin(page, files, { when_unreadable: 'leave_out' });
    await page.pass(0);
    files[1].size += change;
    const server = new FolderServer(page, { ranges });
    await server.serves();
    if (change < 0) stream.fill(0, ...ranges[1]);
    assert.deepEqual(server.stored, stream, `${change}`);
    assert.deepEqual([uploader.state, [...uploader.left_out]], ['finished', change < 0 ? ['b'] : []]);
  }
});

test('a large file that is left out in its middle counts as zeros from its beginning', async () => {
  const page = new Page();
  const { files, stream, ranges } = begin_three(page);
  const server = new FolderServer(page, { chunk_bytes: KIB, ranges });
  const { hears } = server;
  server.hears = (socket, said) => {
    if (said.end > ranges[1][0] + 8 * KIB) files[1].trouble = 'missing';
    hears.call(server, socket, said);
  };
  await server.serves();
  stream.fill(0, ...ranges[1]);
  assert.deepEqual(server.stored, stream);
  assert.ok(server.is_complete, 'the checksum of all was right');
  assert.ok(server.chunks.some(([from, to]) => from > ranges[1][0] && to < ranges[1][1]), 'it was in its middle');
});

test('files that change while several chunks of them are read are left out over the same connection, in whatever order the reads end', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const page = new Page();
    const random = chance_of(seed);
    page.later = (callback) => page.clock.set(callback, 20 * random());
    const files = [placed('photos/a', 300), placed('photos/b', 20 * KIB), placed('photos/c', 20 * KIB), placed('photos/d', 300)];
    const stream = stream_of(files.map(line), files);
    const ranges = ranges_of(stream, files);
    const uploader = begin(page, files, { when_unreadable: 'leave_out' });
    const server = new FolderServer(page, { chunk_bytes: KIB, ranges });
    const { hears } = server;
    server.hears = (socket, said) => {
      if (said.end > ranges[1][0] + 5 * KIB) files[1].trouble = files[2].trouble = 'missing';
      hears.call(server, socket, said);
    };
    await page.pass(0.2);
    await server.serves();
    for (const index of [1, 2]) stream.fill(0, ...ranges[index]);
    assert.deepEqual([page.sockets.length, uploader.state, [...uploader.left_out]], [1, 'finished', ['b', 'c']], `seed ${seed}`);
    assert.deepEqual(server.stored, stream, `seed ${seed}`);
  }
});

test('a file that is stored in part, and can not be compared any more, is left out before the comparison', async () => {
  const page = new Page();
  const { files, stream, ranges } = begin_three(page);
  const at = ranges[1][0] + 5 * KIB;
  files[1].trouble = 'missing';
  const server = new FolderServer(page, { ranges });
  server.stored = stream.slice(0, at);
  await server.serves({ Compare: [[Math.max(0, at - 8 * KIB), at], [0, 100]] });
  stream.fill(0, ...ranges[1]);
  const sums = [[Math.max(0, at - 8 * KIB), at], [0, 100]].map(([from, to]) => crc32c(stream.subarray(from, to)));
  assert.deepEqual([...page.socket.last('MsgAgree').Crc32c], sums);
  assert.deepEqual(page.socket.said.filter(({ MsgType }) => MsgType).map(({ MsgType }) => MsgType),
    ['MsgUploadReq', 'MsgLeaveOut', 'MsgAgree', 'MsgComplete']);
  assert.deepEqual(server.stored, stream);
  assert.ok(server.is_complete);
});

test('a connection that is lost before the server has left out a file does not make the folder another one', async () => {
  for (const at_kib of [0, 5]) { // nothing of the file, or a part of it, is stored when the connection is lost
    const page = new Page();
    const { files, stream, ranges, uploader } = begin_three(page);
    const at = ranges[1][0] + at_kib * KIB;
    const server = new FolderServer(page, { chunk_bytes: KIB, ranges });
    const { hears } = server;
    server.hears = (socket, said) => {
      if (said.MsgType === 'MsgLeaveOut') socket.breaks();
      if (socket.readyState !== 1) return;
      if (said.end >= at) files[1].trouble = 'missing';
      hears.call(server, socket, said);
    };
    await server.serves();
    assert.deepEqual([look(uploader).left_out, server.left_out], [['b'], []], 'only the page knows');
    const stored = server.stored.length;
    assert.ok(stored >= at && stored < ranges[1][1]);
    delete server.hears;
    await page.seconds_until_dialled();
    await server.serves({ Compare: [[0, stored]] });
    stream.fill(0, ...ranges[1]);
    assert.deepEqual(server.stored, stream);
    assert.deepEqual([server.is_complete, uploader.state], [true, 'finished']);
  }
});

test('a request to leave out a file that gets no answer is made again over a new connection', async () => {
  for (const at_kib of [0, 5]) { // nothing of the file, or a part of it, is stored then
    const page = new Page();
    const { files, stream, ranges, uploader } = begin_three(page);
    const at = ranges[1][0] + at_kib * KIB;
    files[1].trouble = 'missing';
    const server = new FolderServer(page, { ranges });
    server.stored = stream.slice(0, at);
    const { hears } = server;
    server.hears = (socket, said) => (said.MsgType === 'MsgLeaveOut' ? 0 : hears.call(server, socket, said));
    await server.serves({ Compare: [[0, at]] });
    await page.pass_with_pongs(12);
    assert.equal(uploader.connected, false);
    delete server.hears;
    await page.seconds_until_dialled();
    await server.serves({ Compare: [[0, at]] });
    stream.fill(0, ...ranges[1]);
    assert.deepEqual(server.stored, stream);
    assert.deepEqual([server.is_complete, server.left_out], [true, [1]]);
  }
});

test('what was left out is told at the end, although the connection was lost then, and the server knows it no more', async () => {
  const page = new Page();
  const files = [placed('photos/a', 3 * KIB), placed('photos/b', 2 * KIB), placed('photos/c', 3 * KIB)];
  const ranges = ranges_of(stream_of(files.map(line), files), files);
  const uploader = begin(page, files, { when_unreadable: 'leave_out' });
  files[1].trouble = 'missing';
  const server = new FolderServer(page, { ranges });
  const { hears } = server;
  server.hears = (socket, said) => (said.MsgType === 'MsgComplete' ? socket.breaks() : hears.call(server, socket, said));
  await server.serves();
  await page.seconds_until_dialled();
  server.left_out = []; // its app has the folder
  await server.serves({ Arrived: true });
  page.socket.finishes();
  const { left_out, files_acked, state } = look(uploader);
  assert.deepEqual([left_out, files_acked, state], [['b'], 2, 'finished']);
});

for (const told of [[1], []]) {
  test(`a page that is reloaded at the very end hears that the app has the folder, told ${told.length} left out`, async () => {
    const page = new Page();
    const files = [placed('photos/a', 3 * KIB), placed('photos/b', 2 * KIB), placed('photos/c', 3 * KIB)];
    const uploader = begin(page, files); // it does not leave out anything itself
    for (const file of files) file.trouble = 'missing'; // nothing of them is needed any more
    const server = new FolderServer(page);
    server.left_out = told;
    server.stored = stream_of(files.map(line), files);
    await server.serves({ Arrived: true });
    page.socket.finishes();
    assert.deepEqual([uploader.state, [...uploader.left_out]], ['finished', told.length ? ['b'] : []]);
    assert.deepEqual(page.socket.said.map(({ MsgType }) => MsgType), ['MsgUploadReq', 'MsgAgree']);
  });
}

test('what the server has left out before a reload is zeros for all checksums', async () => {
  const page = new Page();
  const files = [placed('photos/a', 3 * KIB), placed('photos/b', 2 * KIB), placed('photos/c', 3 * KIB)];
  const stream = stream_of(files.map(line), files);
  const ranges = ranges_of(stream, files);
  stream.fill(0, ...ranges[1]);
  const uploader = begin(page, files);
  files[1].trouble = 'missing';
  const server = new FolderServer(page, { ranges });
  server.left_out = [1];
  server.stored = stream.slice(0, ranges[1][1]);
  await server.serves({ Compare: [[0, ranges[1][1]]] });
  assert.deepEqual([...page.socket.last('MsgAgree').Crc32c], [crc32c(stream.subarray(0, ranges[1][1]))]);
  assert.deepEqual(server.stored, stream);
  assert.deepEqual([look(uploader).left_out, server.is_complete], [['b'], true]);
});

test('a ticket of a folder with more files, of which some were left out, is compared like every other one', async () => {
  for (const indices of [[7], [2, 1, 300], [-1], [0.5]]) {
    const page = new Page();
    const files = [placed('photos/a', 300), placed('photos/b', 20 * KIB)];
    const uploader = begin(page, files, { when_unreadable: 'leave_out' });
    const server = new FolderServer(page);
    server.stored = stream_of(files.map(line), files).slice(0, 900);
    server.left_out = indices;
    server.hears = () => {}; // what it would answer is another test's
    await server.serves({ Compare: [[0, 900]] });
    assert.deepEqual([...uploader.left_out], indices.includes(1) ? ['b'] : [], `${indices}`);
    assert.ok(page.socket.said.length > 1, 'the server hears what the page has');
  }
});

test('where nothing can be read, a drive may be gone: nothing is left out', async () => {
  const page = new Page();
  const files = [placed('photos/a', 3 * KIB), placed('photos/b', 2 * KIB)];
  const uploader = begin(page, files, { when_unreadable: 'leave_out' });
  for (const file of files) file.trouble = 'missing';
  const server = new FolderServer(page);
  await server.serves();
  assert.equal(uploader.reason, 'file_unreadable');
  for (const file of files) file.trouble = null; // it is back
  await page.seconds_until_dialled();
  await server.serves();
  assert.deepEqual(server.stored, stream_of(files.map(line), files));
  assert.deepEqual([server.left_out, server.is_complete], [[], true]);
});

test('the same holds while a file that is stored in part is compared: the list of files can always be read', async () => {
  const page = new Page();
  const files = [placed('photos/a', 3 * KIB)];
  const uploader = begin(page, files, { when_unreadable: 'leave_out' });
  files[0].trouble = 'missing';
  const server = new FolderServer(page, { ranges: [[0, 4 * KIB]] });
  server.stored = stream_of(files.map(line), files).slice(0, KIB);
  await server.serves({ Compare: [[0, KIB]] });
  assert.deepEqual([uploader.reason, server.left_out], ['file_unreadable', []]);
});

test('a folder that could not be listed to its end fails before anything is sent, or leaves that out', async () => {
  for (const when_unreadable of ['stop', 'leave_out']) {
    const page = new Page();
    const file = { isFile: true, name: 'a', fullPath: '/x/a', file: (resolve) => resolve(placed('a', 5)) };
    const locked = { isDirectory: true, name: 'locked', fullPath: '/x/locked', createReader: () => ({ readEntries: (_, reject) => reject(new Error('no')) }) };
    const inside = [file, locked];
    const folder = { isDirectory: true, name: 'x', fullPath: '/x', createReader: () => ({ readEntries: (resolve) => resolve(inside.splice(0)) }) };
    const uploader = begin(page, folder, { when_unreadable });
    await page.pass(0);
    if (when_unreadable === 'stop') {
      assert.deepEqual([uploader.error_code, uploader.current_file, page.sockets.length], [100, 'x/locked', 0]);
    } else {
      await new FolderServer(page).serves();
      assert.deepEqual([uploader.state, [...uploader.left_out]], ['finished', ['x/locked']]);
    }
  }
});

test('a ticket of the other kind is an error before a byte is sent', async () => {
  for (const [file, terms] of [[SMALL, {}], [new FakeFile(KIB), { DestType: 'folder' }]]) {
    const page = new Page();
    const uploader = page.uploader(file).start();
    await page.connects(0, terms);
    assert.deepEqual([uploader.state, uploader.error_code, uploader.reason], ['failed', 108, 'wrong_dest_type']);
    assert.deepEqual(page.socket.said.map(({ MsgType }) => MsgType), ['MsgUploadReq']);
  }
});

test('a path that the server refuses is in current_file, and not in a sentence', async () => {
  const page = new Page();
  const uploader = begin(page, SMALL);
  await page.pass(0);
  page.socket.open();
  page.socket.confirms(0, { DestType: 'folder' });
  page.socket.refuses(92, 'bad_folder', { Index: 2 });
  assert.deepEqual([uploader.reason, uploader.error_code, uploader.current_file, uploader.error_msg], ['bad_folder', 92, 'b/d.txt', 'No.']);
});

test('over HTTP a folder is sent the same way, and nothing can be left out', async () => {
  const page = new Page();
  page.incoming.transport = 'http';
  const files = [placed('photos/a', 3 * KIB), placed('photos/b', 30 * KIB)];
  const stream = stream_of(files.map(line), files);
  const uploader = begin(page, files, { when_unreadable: 'leave_out' });
  const stored = [];
  const length = () => stored.reduce((sum, bytes) => sum + bytes.length, 0);
  for (let i = 0; i < 40 && uploader.state !== 'failed'; i++) {
    await page.pass(1);
    for (const request of page.waiting) {
      if (request.method === 'POST') {
        const terms = { MaxChunkBytes: KIB, MaxWindowBytes: 4 * KIB, SilenceS: 10, Compare: [], Arrived: false, DestType: 'folder' };
        request.says('MsgUploadConf', { Version: 2, Offset: length(), ...terms }, { 'Upload-Session': 'token' });
      } else if (request.method === 'PATCH' && Number(request.headers['Upload-Offset']) === length()) {
        stored.push([...request.body.bytes()]);
        request.says('MsgStored', { Offset: length() });
      }
    }
    if (length() > 100) files[1].trouble = 'missing';
  }
  assert.deepEqual(Uint8Array.from(stored.flat()), stream.slice(0, length()));
  assert.deepEqual([uploader.state, uploader.error_code, uploader.current_file], ['failed', 100, 'b']);
});
