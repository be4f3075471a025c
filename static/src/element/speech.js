// What those hear who do not see the page: few sentences, and none about every percent.

import { put } from './dom.js';

/** @typedef {import('./texts.js').Texts} Texts */

/**
 * What has happened since the last sentence: paths of files, with why they ended.
 * @typedef {{added: number, finished: string[][], failed: string[][], cancelled: string[][],
 *   left_out: [string, readonly string[]][], connection: string | null}} News
 */

const GATHER_MS = 300; // several files change together
const QUIET_MS = 5000; // so that a screen reader can say other things, too
const MANY = 3;

/** @returns {News} */
export const no_news = () => ({ added: 0, finished: [], failed: [], cancelled: [], left_out: [], connection: null });

/**
 * Returns what is to be said; "" if nothing is.
 * @param {News} news `connection` is why it was lost, "" when it is back, and null without a change
 * @param {{files: number, finished: number, waiting: number, running: number, paused: number}} totals how it is now
 * @param {Texts} texts
 */
export function sentence({ added, finished, failed, cancelled, left_out, connection }, totals, texts) {
  return [
    added && texts.said_added(added),
    connection && texts.said_retrying(connection),
    connection === '' && totals.waiting + totals.running + totals.paused && texts.said_running,
    ...failed.slice(0, MANY).map(([name, why]) => texts.said_failed(name, why)),
    failed.length > MANY && texts.files_failed(failed.length),
    ...left_out.slice(0, MANY).map(([name, paths]) => `${name}: ${texts.left_out(String(paths.length), paths.slice(0, MANY).join(', '))}.`),
    ...cancelled.slice(0, 1).map(([name]) => texts.said_cancelled(name)),
    finished.length && (totals.files === totals.finished ? texts.said_all_finished(totals.finished)
      : finished.length > 1 ? texts.said_finished_many(finished.length) : texts.said_finished(finished[0][0])),
  ].filter(Boolean).join(' ');
}

/**
 * Gathers news, and says them from time to time.
 * @param {(news: News) => string} compose @param {Element} place where screen readers look for news
 */
export function make_speech(compose, place) {
  let news = no_news();
  let timer = 0;
  let said_ms = -QUIET_MS;

  function say() {
    const text = compose(news);
    stop();
    if (!text) return;
    said_ms = performance.now();
    put(place, text);
  }

  function stop() {
    clearTimeout(timer);
    timer = 0;
    news = no_news();
  }

  return {
    stop,

    /** @param {{added?: number, connection?: string, [state: string]: any}} more something new; it ignores other states */
    hear(more) {
      for (const [name, value] of Object.entries(more)) {
        const known = /** @type {any} */ (news)[name];
        if (Array.isArray(known)) known.push(value);
      }
      news.added += more.added || 0;
      if (more.connection !== undefined) news.connection = more.connection;
      timer = timer || setTimeout(say, Math.max(GATHER_MS, said_ms + QUIET_MS - performance.now()));
    },
  };
}
