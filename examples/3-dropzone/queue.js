/**
 * Many uploads, a few at a time. Made to be copied: it needs incoming.js, and knows nothing of the page.
 *
 *     const queue = new Queue({ at_once: 3, get_ticket: async (item) => "a ticket's id", onchange: draw });
 *     queue.add(file, "folder/a.txt");
 *
 * An item waits for a place, runs, and ends. One that is paused gives its place to the next:
 *
 *     waiting -> running -> finished | failed | cancelled        waiting | running -> paused -> waiting
 *
 * @typedef {"waiting" | "running" | "paused" | "finished" | "failed" | "cancelled"} State
 */
const FILE_UNREADABLE = 100; // an error of incoming.js: the ticket is as good as before

export class Item {
  /** @param {Queue} queue @param {File} file @param {string} path @param {incoming.UnfinishedUpload} [begun] */
  constructor(queue, file, path, begun) {
    this.queue = queue;
    this.file = file;
    this.path = path;
    this.state = /** @type {State} */ ("waiting");
    this.message = ""; // a sentence for users: why it failed, or what it waits for
    this.bytes_acked = begun ? begun.bytes_acked : 0;
    this.upload_id = begun ? begun.upload_id : ""; // "" as long as it has no ticket
    this.asking = /** @type {Promise<string> | null} */ (null);
    this.uploader = /** @type {incoming.Uploader | null} */ (null);
  }

  get ended() { return ["finished", "failed", "cancelled"].includes(this.state); }
  get can_cancel() { return !this.ended && (!this.uploader || this.uploader.can_cancel); }
  get can_pause() { return this.can_cancel && this.state !== "paused"; }

  pause() {
    if (!this.can_pause) return;
    if (this.uploader) this.uploader.pause("pause");
    this.become("paused");
  }

  resume() { if (this.state === "paused") this.become("waiting"); }

  cancel() {
    if (this.uploader) this.uploader.cancel(); // `oncancelled` follows when the server knows
    else if (!this.ended) this.become("cancelled");
  }

  /** Tries again: what has failed, and at once what would do so by itself later. */
  retry() {
    const { uploader } = this;
    if (this.state === "running" && uploader && uploader.retrying) uploader.pause("pause").pause("unpause");
    if (this.state !== "failed") return;
    if (!uploader || uploader.error_code !== FILE_UNREADABLE) Object.assign(this, { upload_id: "", bytes_acked: 0 });
    this.uploader = null;
    this.become("waiting");
  }

  /** Takes a place; for the queue to call. */
  async run() {
    this.become("running");
    if (this.uploader) return void this.uploader.pause("unpause");
    if (!this.upload_id) await this.ask();
    if (this.state === "running" && this.upload_id && !this.uploader) this.upload(); // it may be paused by now
  }

  async ask() {
    try {
      this.asking = this.asking || this.queue.get_ticket(this); // once, however often it is paused and resumed
      this.upload_id = await this.asking;
    } catch (error) {
      if (this.state === "running") this.become("failed", error.message);
    }
    this.asking = null;
  }

  upload() {
    const uploader = this.uploader = new incoming.Uploader(this.upload_id, this.file);
    this.message = "";
    uploader.onprogress = () => this.queue.progressed(this, uploader.bytes_acked);
    uploader.onfinished = () => this.become("finished");
    uploader.oncancelled = () => this.become("cancelled", uploader.cancel_msg);
    uploader.onerror = () => this.become("failed", uploader.error_msg);
    uploader.start();
  }

  /** @param {State} state @param {string} [message] */
  become(state, message = "") {
    this.state = state;
    this.message = message;
    this.queue.changed(this);
  }
}

export class Queue {
  /**
   * @param {object} options
   * @param {number} options.at_once how many run at the same time
   * @param {(item: Item) => Promise<string>} options.get_ticket asks the app for an upload id; rejects with an Error for users
   * @param {(item: Item) => void} options.onchange called whenever something about an item has changed
   */
  constructor({ at_once, get_ticket, onchange }) {
    this.at_once = at_once;
    this.get_ticket = get_ticket;
    this.onchange = onchange;
    this.items = /** @type {Item[]} */ ([]);
    this.moved_bytes = 0; // by all items, ever
  }

  /** @param {File} file @param {string} path @param {incoming.UnfinishedUpload} [begun] resumes that one */
  add(file, path, begun) {
    const item = new Item(this, file, path, begun);
    this.items.push(item);
    this.changed(item);
    return item;
  }

  /** @param {...State} states */
  in_state(...states) { return this.items.filter((item) => states.includes(item.state)); }

  // Those that wait come first, or they would take the places of the others.
  pause() { [...this.in_state("waiting"), ...this.items].forEach((item) => item.pause()); }
  cancel() { [...this.in_state("waiting", "paused"), ...this.items].forEach((item) => item.cancel()); }
  resume() { this.items.forEach((item) => item.resume()); }
  retry() { this.items.forEach((item) => item.retry()); }

  /** Forgets an item that has ended. @param {Item} item */
  remove(item) { this.items = this.items.filter((other) => other !== item || !item.ended); }

  /** @param {Item} item */
  changed(item) {
    this.onchange(item);
    const next = this.items.find(({ state }) => state === "waiting");
    if (next && this.in_state("running").length < this.at_once) next.run();
  }

  /** @param {Item} item @param {number} bytes_acked */
  progressed(item, bytes_acked) {
    this.moved_bytes += Math.max(0, bytes_acked - item.bytes_acked);
    item.bytes_acked = Math.max(bytes_acked, item.bytes_acked); // a resumed upload starts at 0 for a moment
    this.onchange(item);
  }
}
