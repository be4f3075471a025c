/// <reference path="../../static/incoming.d.ts" />
// Never run: `tsc -p .` compiles it, and that is the test. What a page may write has to compile, and every
// line after `@ts-expect-error` must not.

declare const file: File;
declare const button: HTMLButtonElement;
declare const bar: HTMLProgressElement;

incoming.set_server_hostname("uploads.example:4000");

const uploader: incoming.Uploader = incoming.Uploader("ticket", file);
const same: incoming.Uploader = new incoming.Uploader("ticket", new Blob(["text"]));
uploader.start().pause("toggle").pause().cancel("changed my mind").cancel();

uploader.onprogress = (u) => {
  bar.value = u.frac_complete;
  button.disabled = !u.can_pause;
  const texts: string[] = [u.filename, u.state_msg, u.error_msg, u.cancel_msg];
  const bytes: number[] = [u.bytes_total, u.bytes_tx, u.bytes_acked, u.bytes_ahead];
  const chunks: number[] = [u.chunks_tx_now, u.chunks_acked_now, u.chunks_ahead];
  const flags: boolean[] = [u.connected, u.paused, u.can_pause, u.can_cancel, u.cancelling, u.cancelled, u.finished];
  if (u.error_code !== null) bytes.push(u.error_code);
  return void [texts, bytes, chunks, flags];
};
uploader.onfinished = uploader.oncancelled = () => {};
uploader.onerror = null;

function hear(news: incoming.Callback, what: incoming.PauseRequest): boolean {
  news(uploader.pause(what));
  return same instanceof incoming.Uploader;
}
button.onclick = () => void hear(uploader.onprogress ?? (() => {}), "unpause");

// @ts-expect-error: progress is read-only
uploader.frac_complete = 1;
// @ts-expect-error: and so are the flags
uploader.paused = true;
// @ts-expect-error: there is no such request
uploader.pause("resume");
// @ts-expect-error: the file is missing
incoming.Uploader("ticket");
// @ts-expect-error: a name is no file
new incoming.Uploader("ticket", "holiday.mp4");
// @ts-expect-error: a ticket's id is a string
incoming.Uploader(7, file);
// @ts-expect-error: a callback hears an uploader, not an event
uploader.onerror = (event: Event) => event.preventDefault();
// @ts-expect-error: a code is null as long as there is no error
const code: number = uploader.error_code;
// @ts-expect-error: nothing else is in the global
incoming.pause_all();

async function waits(): Promise<string> {
  const u: incoming.Uploader = await uploader.done;
  return u.filename;
}
void waits().catch((error: incoming.UploadError) => [error.code, error.reason, error.uploader.error_msg]);

uploader.addEventListener("progress", (event) => {
  bar.value = event.target.frac_complete;
});
uploader.addEventListener("error", function () {
  bar.value = this.bytes_acked;
}, { once: true });
uploader.removeEventListener("finished", () => {});
uploader.max_bytes_per_s = 1_000_000;
uploader.warn_before_unload = true;
const next: Date | null = uploader.next_retry_at === null ? null : new Date(uploader.next_retry_at);
const speeds: [number, number | null, boolean] = [uploader.bytes_per_s, uploader.seconds_left, uploader.retrying];
void [next, speeds];

for (const begun of incoming.unfinished()) {
  const { upload_id, filename, bytes_total, bytes_acked, frac_complete, last_modified_ms, begun_at_ms } = begun;
  if (incoming.matches(begun, file)) incoming.Uploader(upload_id, file).start();
  else incoming.forget(upload_id);
  void [filename, bytes_total, bytes_acked, frac_complete, last_modified_ms, begun_at_ms, incoming.version];
}

class Card extends incoming.Uploader {
  label = this.filename;

  start(): this {
    return super.start();
  }

  percent(): number {
    return 100 * this.frac_complete;
  }
}
void new Card("ticket", file).start().pause().percent();

const frozen: Readonly<incoming.UploaderProperties> = uploader.snapshot();
const end: () => void = uploader.subscribe(() => void [frozen.state, frozen.reason], { per_frame: true });
const state: incoming.State = uploader.state;
const reason: incoming.Reason = uploader.reason;
if (uploader.can_retry && state === "retrying" && reason === "offline") uploader.retry_now().dispose();
incoming.set_texts({ uploading: "Wird hochgeladen.", http_status: (status) => `Status ${status.toFixed()}.` });
const sentence: string = incoming.texts.no_answer("uploads.example");
void [end, sentence];

const options: incoming.UploaderOptions = {
  server: "https://uploads.example", signal: new AbortController().signal, give_up_after_s: 60, max_bytes_per_s: 1e6,
  should_retry: ({ code, reason: why, message, tries }) => tries < 5 && code === null && why !== "offline" && message !== "",
  texts: { paused: "Angehalten." }, warn_before_unload: true,
};
new incoming.Uploader("ticket", file, options).start();
void [incoming.unfinished({ server: "https://uploads.example" }), incoming.set_texts({ drop_here: "Hierher." , new: "Neu." })];

// @ts-expect-error: there is no such option
incoming.Uploader("ticket", file, { speed: 1 });
// @ts-expect-error: a signal is an AbortSignal
incoming.Uploader("ticket", file, { signal: true });
// @ts-expect-error: there is no such state
void (uploader.state === "sleeping");
// @ts-expect-error: nor such a reason
void (uploader.reason === "bored");
// @ts-expect-error: this sentence has a parameter
incoming.set_texts({ http_status: (status: string) => status });
// @ts-expect-error: the table is replaced as a whole
incoming.texts.new = "x";
// @ts-expect-error: a limit is a number
uploader.max_bytes_per_s = "1 MB";
// @ts-expect-error: the promise is not for pages to replace
uploader.done = Promise.resolve(uploader);
// @ts-expect-error: the version is a fact
incoming.version = "1";

declare const drop: DataTransfer;
declare const input: HTMLInputElement;
declare const entries: FileSystemEntry[];
declare const folder_handle: FileSystemDirectoryHandle;
for (const files of [input.files!, drop, drop.items, entries, folder_handle, [file], [{ path: "a/b.txt", file }]]) {
  incoming.Uploader("ticket", files, { when_unreadable: "leave_out" });
}
incoming.list_folder(drop.items, { onprogress: (files) => files.toFixed() }).then((folder) => {
  const numbers: number[] = [folder.size, folder.files_total, folder.lastModified, incoming.Uploader("ticket", folder).files_acked];
  const paths: string[] = [folder.name, ...folder.unreadable, uploader.current_file, ...uploader.left_out, folder.entries[0].path];
  return [numbers, paths, incoming.unfinished().some((begun) => incoming.matches(begun, folder))];
});
// @ts-expect-error
incoming.Uploader("ticket", "a path");
// @ts-expect-error
incoming.Uploader("ticket", file, { when_unreadable: "skip" });
// @ts-expect-error
uploader.left_out.push("a");
