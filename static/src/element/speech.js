// What those hear who do not see the page: few sentences, and none about every percent.

import { put } from './dom.js';

/** @typedef {import('./texts.js').Texts} Texts */

/**
 * What has happened since the last sentence: paths of files, with why they ended.
 * @typedef {{added: number, finished: string[][], failed: string[][], cancelled: string[][], connection: string | null}} News
 */

const GATHER_MS = 300; // several files change together
const QUIET_MS = 5000; // so that a screen reader can say other things, too
const MANY = 3;

/** @returns {News} */
export const no_news = () => ({ added: 0, finished: [], failed: [], cancelled: [], connection: null });

/**
 * Returns what is to be said; "" if nothing is.
 * @param {News} news `connection` is why it was lost, "" when it is back, and null without a change
 * @param {{files: number, finished: number, open: number}} list how it is now
 * @param {Texts} texts
 */
export function sentence({ added, finished, failed, cancelled, connection }, list, texts) {
  const all_finished = !list.open && list.files === list.finished;
  return [
    added && texts.said_added(added),
    connection && texts.said_retrying(connection),
    connection === '' && list.open && texts.said_running,
    ...failed.slice(0, MANY).map(([name, why]) => texts.said_failed(name, why)),
    failed.length > MANY && texts.files_failed(failed.length),
    ...cancelled.slice(0, 1).map(([name]) => texts.said_cancelled(name)),
    finished.length && (all_finished ? texts.said_all_finished(list.finished)
      : finished.length > 1 ? texts.said_finished_many(finished.length) : texts.said_finished(finished[0][0])),
  ].filter(Boolean).join(' ');
}

/** Gathers news, and says them from time to time. */
export class Speech {
  /** @param {(news: News) => string} compose @param {Element} place where screen readers look for news */
  constructor(compose, place) {
    this.compose = compose;
    this.place = place;
    this.news = no_news();
    this.timer = 0;
    this.said_ms = -QUIET_MS;
  }

  /** @param {{added?: number, connection?: string, [state: string]: any}} more something new; it ignores other states */
  hear(more) {
    const { news } = this;
    for (const name of Object.keys(more)) {
      const known = /** @type {any} */ (news)[name];
      if (Array.isArray(known)) known.push(more[name]);
    }
    news.added += more.added || 0;
    if (more.connection !== undefined) news.connection = more.connection;
    this.timer = this.timer || setTimeout(() => this.say(), Math.max(GATHER_MS, this.said_ms + QUIET_MS - performance.now()));
  }

  say() {
    const text = this.compose(this.news);
    this.stop();
    if (!text) return;
    this.said_ms = performance.now();
    put(this.place, text);
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.news = no_news();
  }
}
