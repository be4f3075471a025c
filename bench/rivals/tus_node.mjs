// `node tus_node.mjs DIRECTORY PORT`: a tus server as its documentation sets one up; prints its port when it listens.

import { FileStore } from '@tus/file-store';
import { Server } from '@tus/server';

const server = new Server({ path: '/files', datastore: new FileStore({ directory: process.argv[2] }) });
const http = server.listen({ host: '127.0.0.1', port: Number(process.argv[3] ?? 0) }, () => console.log(http.address().port));
