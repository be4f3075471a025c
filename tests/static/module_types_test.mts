// Never run, as types_test.ts: this is what pages that import the library write.

import incoming, { Uploader, forget, matches, set_server_hostname, unfinished, version } from "../../static/incoming.mjs";
import type { Callback, UnfinishedUpload, UploaderEvent } from "../../static/incoming.mjs";

declare const file: File;

set_server_hostname("uploads.example:4000");
const uploader: Uploader = Uploader("ticket", file).start();
const same: Uploader = new incoming.Uploader("ticket", file);
const hear: Callback = (u) => void [u.frac_complete, version];
const listen = (event: UploaderEvent): boolean => event.target === same;
uploader.onprogress = hear;
uploader.addEventListener("progress", listen);
const begun: UnfinishedUpload | undefined = unfinished().find((one) => matches(one, file));
if (begun) forget(begun.upload_id);

// @ts-expect-error: a name is no file
matches(begun, "holiday.mp4");
// @ts-expect-error: nothing else is exported
incoming.pause_all();
