import { Tus } from "@uppy/core";
import { ask, server, uppy } from "/page.js";

const ALIVE = ["issued", "uploading", "paused", "handing_over", "waiting"];
const HOURS_MS = [0, 1000, 2000, 4000, ...Array(2000).fill(8000)];

uppy.use(Tus, {
  limit: 5, allowedMetaFields: ["name"], removeFingerprintOnSuccess: true,
  retryDelays: HOURS_MS, onShouldRetry: should_retry,
});

uppy.addPreProcessor((ids) => Promise.all(ids.map(async (id) => {
  let endpoint;
  uppy.emit("preprocess-progress", uppy.getFile(id), { mode: "indeterminate", message: "Waiting for a ticket" });
  while (uppy.getFile(id) && !(endpoint = await address(id))) await new Promise((done) => setTimeout(done, 2000));
  if (!endpoint) return; // the file was removed
  uppy.setFileState(id, { tus: { endpoint } });
  uppy.emit("preprocess-complete", uppy.getFile(id));
})));

async function address(id) { // of the ticket that the file had before a reload, or of a new one; "" for later
  const known = localStorage.getItem(id);
  if (known && await is_alive(known)) return known;
  const { ok, status, text } = await ask("/api/frontend/request_upload", { method: "POST" });
  if (!ok && status < 500) { // the app does not want it
    uppy.info(text, "error", 10000);
    uppy.removeFile(id);
  }
  if (!ok || !uppy.getFile(id)) return "";
  localStorage.setItem(id, `${server}incoming/frontend/uploads/${text}`);
  return localStorage.getItem(id);
}

async function is_alive(address) { // without a connection, the upload itself tries again
  const { ok, status, text } = await ask(address, { headers: { Accept: "application/json" } });
  return ok ? ALIVE.includes(JSON.parse(text).state) : status >= 500;
}

function should_retry(error, attempt, options, usual) {
  if (!error.originalResponse) uppy.info("The upload server can't be reached. Trying again.", "warning", 8000);
  return usual(error);
}

uppy.on("file-removed", ({ id }) => localStorage.removeItem(id));
uppy.on("upload-success", ({ id }) => localStorage.removeItem(id));
uppy.on("upload-error", (file, error, answer) => { // the server's words, such as why the app refused the file
  if (answer) uppy.info(answer.body.xhr.responseText, "error", 10000);
});
