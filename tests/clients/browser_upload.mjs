// The page of the tests: uploads the chosen files with tus-js-client or Uppy's plugin Tus, and notes what it sees.
//
// `begin(client, endpoints, options)` gives each chosen file the endpoint at its place. `seen` has what happened.

import Uppy from "@uppy/core";
import Tus from "@uppy/tus";
import { Upload } from "tus-js-client";

window.seen = [];
const tell = (event, about = {}) => window.seen.push({ event, ...about });

const watching = {
  removeFingerprintOnSuccess: true,
  onAfterResponse(request, answer) {
    const offset = Number(answer.getHeader("Upload-Offset") ?? -1);
    tell("answer", { method: request.getMethod(), status: answer.getStatus(), offset });
  },
};

const CLIENTS = {
  "tus-js-client": (files, endpoints, options) => {
    const uploads = files.map((file, nth) => new Upload(file, {
      ...watching,
      metadata: { filename: file.name },
      endpoint: endpoints[nth],
      ...options,
      onSuccess: () => tell("success", { name: file.name }),
      onError: (error) => tell("error", { name: file.name, message: error.message }),
    }));
    const start = async (upload) => {
      const [begun] = await upload.findPreviousUploads();
      if (begun) upload.resumeFromPreviousUpload(begun);
      upload.start();
    };
    uploads.forEach(start);
    window.pause = () => uploads.forEach((upload) => upload.abort());
    window.resume = () => uploads.forEach((upload) => upload.start());
  },
  Uppy: (files, endpoints, options) => {
    const uppy = new Uppy().use(Tus, { ...watching, ...options });
    uppy.on("upload-success", ({ name }) => tell("success", { name }));
    uppy.on("upload-error", ({ name }, error) => tell("error", { name, message: error.message }));
    files.forEach((data, nth) => {
      const id = uppy.addFile({ name: data.name, data });
      uppy.setFileState(id, { tus: { endpoint: endpoints[nth] } });
    });
    uppy.upload();
    window.pause = () => uppy.pauseAll();
    window.resume = () => uppy.resumeAll();
  },
};

window.begin = (client, endpoints, options) => {
  CLIENTS[client]([...document.querySelector("input").files], endpoints, options);
};
