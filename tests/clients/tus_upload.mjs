// Uploads one file with tus-js-client, and prints what it sees as lines of JSON.
//
// argv: a file, and the options of tus-js-client as JSON. Beside these, `terminateAt` (bytes) cancels the upload
// there, and `inMemory` reads the file beforehand: version 4.3.1 declares a wrong Content-Length for the last chunk of
// a file whose length it defers.

import { createReadStream, readFileSync } from "node:fs";

import tus from "tus-js-client";

const [, , file, given] = process.argv;
const { terminateAt, inMemory, ...options } = JSON.parse(given);
const tell = (event, about = {}) => console.log(JSON.stringify({ event, ...about }));

const upload = new tus.Upload(inMemory ? readFileSync(file) : createReadStream(file), {
    ...options,
    onAfterResponse: (request, answer) => {
        const offset = Number(answer.getHeader("Upload-Offset") ?? -1);
        tell("answer", { method: request.getMethod(), status: answer.getStatus(), offset });
    },
    onChunkComplete: (_, accepted) => {
        if (terminateAt && accepted >= terminateAt) {
            upload.abort(true).then(() => tell("terminated"), (error) => tell("error", { message: String(error) }));
        }
    },
    onSuccess: () => tell("success"),
    onError: (error) => tell("error", { message: error.message }),
});
upload.start();
