// Read by the compiler, and never run: what apps write, and what they are told when it is wrong.

import Uppy from "@uppy/core";
import { createElement, useState } from "react";
import { get } from "svelte/store";
import { ref } from "vue";
import { Queue, ticket_from } from "../../../static/queue.mjs";
import { IncomingUpload, useQueue, useUpload } from "../../../static/react.mjs";
import { queue_store, upload_store } from "../../../static/svelte.mjs";
import { IncomingUploader } from "../../../static/uppy.mjs";
import { useQueue as use_vue_queue, useUpload as use_vue_upload } from "../../../static/vue.mjs";

const get_ticket = ticket_from("/request_upload");

export function Uploads() {
  const { queue, items, totals } = useQueue({ get_ticket, at_once: 2 });
  const [uploader, set_uploader] = useState<incoming.Uploader | null>(null);
  const upload = useUpload(uploader);
  // @ts-expect-error there may be none
  void upload.state_msg;
  // @ts-expect-error a queue needs get_ticket
  useQueue({ at_once: 2 });
  const first = items.find((row) => row.can_pause);
  return createElement(
    "button",
    { onClick: () => (first ? first.item.pause() : set_uploader(queue.items[0].uploader)) },
    `${totals.finished} ${upload?.state_msg}`,
  );
}

/** A prop that is not set is as one that is left out. */
export function Field({ server, disabled }: { server: string | undefined; disabled?: boolean | undefined }) {
  return <IncomingUpload tickets="/request_upload" server={server} disabled={disabled} onChange={undefined} />;
}

export function setup(uploader: incoming.Uploader, own: Queue): string {
  const uploads = use_vue_queue(own);
  const upload = use_vue_upload(ref(uploader));
  const text = `${uploads.totals.value.files} ${upload.value?.frac_complete}`;
  // @ts-expect-error what an upload is can't be set
  upload.value = null;
  return text;
}

export function stores(uploader: incoming.Uploader): number {
  const uploads = queue_store({ get_ticket });
  uploads.queue.pause();
  return get(uploads).totals.frac_complete + get(upload_store(uploader)).frac_complete;
}

interface Meta extends Record<string, unknown> {
  album: number;
}
const uppy = new Uppy<Meta>().use(IncomingUploader, {
  tickets: "/request_upload",
  fields: (file) => ({ album: String(file.meta.album) }),
  headers: { "X-CSRF-Token": "token" },
});
uppy.getPlugin("IncomingUploader")?.queue.pause();
// @ts-expect-error no such option
new Uppy().use(IncomingUploader, { endpoint: "/request_upload" });
