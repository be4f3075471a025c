// An app: it uploads one file for each ticket that a test gives it, through the queue of the package.

import incoming, { set_server_hostname, type UploadError } from "incoming-uploads";
import { Queue, type ItemSnapshot, type QueueSnapshot } from "incoming-uploads/queue";

declare global {
  interface Window {
    begin(server: string, tickets: string[], bytes: number): void;
    shown: QueueSnapshot;
  }
}

function line_of({ path, state, frac_complete, message }: ItemSnapshot): string {
  return `${path}: ${state}, ${Math.floor(100 * frac_complete)} % ${message}`;
}

window.begin = (server, tickets, bytes) => {
  set_server_hostname(server);
  const queue = new Queue({
    at_once: 2,
    get_ticket: async () => tickets.shift() ?? Promise.reject(new Error("There is no ticket.")),
    restrictions: { min_bytes: 1 },
  });
  const draw = (): void => {
    window.shown = queue.snapshot();
    document.getElementById("state")!.textContent = window.shown.items.map(line_of).join("\n");
  };
  queue.subscribe(draw, { per_frame: true });
  const content = new Uint8Array(bytes).map((_, at) => (at * 31 + (at >>> 8) * 7) & 255);
  for (const name of tickets.map((_, at) => `${at}.bin`)) queue.add(new File([content], name));
  queue.items[0]?.uploader?.done.catch((error: UploadError) => console.error(error.reason));
  console.log(incoming.version);
};
