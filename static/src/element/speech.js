// What those hear who do not see the page: few sentences, and none about every percent.

import { put } from './dom.js';

/** @typedef {import('./texts.js').Texts} Texts */

/**
 * What has happened since the last sentence: how many files were added, paths of others with why they ended, and why the
 * connection was lost, or "" when it is back.
 * @typedef {{added?: number[], finished?: string[][], failed?: string[][], cancelled?: string[][],
 *   left_out?: [string, readonly string[]][], connection?: string[]}} News
 */

const GATHER_MS = 300; // several files change together
const QUIET_MS = 5000; // so that a screen reader can say other things, too
const MANY = 3;

/**
 * Returns what is to be said; "" if nothing is.
 * @param {News} news
 * @param {{files: number, finished: number, waiting: number, running: number, paused: number}} totals how it is now
 * @param {Texts} texts
 */
export function sentence({ added = [], finished = [], failed = [], cancelled = [], left_out = [], connection = [] }, totals, texts) {
  const lost = connection.at(-1);
  return [
    added.length && texts.said_added(added.reduce((sum, files) => sum + files)),
    lost && texts.said_retrying(lost),
    lost === '' && totals.waiting + totals.running + totals.paused && texts.said_running,
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
  let news = /** @type {any} */ ({});
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
    news = {};
  }

  return {
    stop,

    /** @param {{added?: number, connection?: string, [state: string]: any}} more something new */
    hear(more) {
      for (const name in more) (news[name] ||= []).push(more[name]);
      timer ||= setTimeout(say, Math.max(GATHER_MS, said_ms + QUIET_MS - performance.now()));
    },
  };
}
