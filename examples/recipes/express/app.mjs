// An Express app whose uploads go through Incoming!!. README.md says how to run it, and what to copy.
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import express from "express";
import { IncomingServer, Refuse, move_into_place, secret_in_file } from "incoming-uploads/app";

const SERVER = process.env.UPLOAD_SERVER || "http://localhost:4000"; // Incoming!!, for this app and for browsers
const APP = process.env.APP_URL || "http://localhost:8080"; // this app, for Incoming!!
const UPLOADS = path.resolve("uploads");

const app = express();
const incoming = new IncomingServer({ url: SERVER, secret: await secret_in_file("upload-secret") });

app.get("/", async (request, response) => response.send(page(await stored_files())));

app.post("/ticket", async (request, response) => {
  // check here who the user is, and whether they may upload
  const { id } = await incoming.new_upload(`${APP}/arrived`, { remove_file_when_finished: false });
  response.type("text").send(id);
});

// Incoming!! calls this, maybe twice; the secret protects it
app.post("/arrived", express.urlencoded({ extended: false }), async (request, response) => {
  const { status, headers, body } = await incoming.answer(request.body, take);
  response.status(status).set(headers).send(body);
});

async function take(upload) {
  if (/\.exe$/i.test(upload.name)) throw new Refuse("This app takes no programs.");
  await move_into_place(upload.path, path.join(UPLOADS, upload.id, upload.safe_name));
}

async function stored_files() {
  const found = await readdir(UPLOADS, { recursive: true }).catch(() => []); // no folder: no files yet
  const names = found.filter((name) => /^[^/]+\/[^/.][^/]*$/.test(name));
  const files = await Promise.all(names.map(async (name) => ({ name: path.basename(name), ...(await stat(path.join(UPLOADS, name))) })));
  return files.sort((a, b) => b.mtimeMs - a.mtimeMs);
}

const escaped = (text) => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

const page = (files) => `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width">
  <title>Uploads</title>
  <link rel="icon" href="data:,">
  <script src="${SERVER}/incoming/frontend/incoming.js"></script>
  <script src="${SERVER}/incoming/frontend/incoming-upload.js"></script>
  <style>body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; font-family: system-ui, sans-serif; }</style>
</head>
<body>
  <h1>Uploads</h1>
  <incoming-upload tickets="/ticket" name="files" multiple>The upload server does not answer.</incoming-upload>
  <h2>Files</h2>
  <ul>${files.map(({ name, size }) => `<li>${escaped(name)}, ${size} bytes</li>`).join("") || "<li>There are none yet.</li>"}</ul>
  <script>addEventListener("all-finished", () => location.reload());</script>
</body>
</html>`;

app.listen(Number(process.env.PORT || 8080), "localhost");
