// Asking for tickets: again and again while that can help, and over HTTP.

import { text } from './texts.js';

const FIRST_WAIT_S = 1;
const MAX_WAIT_S = 30;
const ANSWER_S = 60;
const MAX_TEXT = 500;
const LATER = [408, 423, 425, 429]; // and all from 500 on

/** @param {string} message @param {{retry?: boolean, retry_after_s?: number, code?: string}} more @returns {any} */
function failure(message, more) {
  return Object.assign(new Error(message), more);
}

/**
 * The seconds to wait before another try.
 * @param {number} tries so far @param {{retry_after_s?: number}} error @param {number} random 0 to 1
 */
export function wait_s(tries, { retry_after_s = 0 }, random) {
  const own_s = Math.min(FIRST_WAIT_S * 2 ** (tries - 1), MAX_WAIT_S) * (0.75 + random / 2);
  return Math.max(own_s, Number(retry_after_s) || 0);
}

/**
 * Returns a function for `get_ticket`, which asks the app at this address.
 * @param {string | URL} url
 * @param {import('../../queue.mjs').TicketOptions} [options]
 * @returns {import('../../queue.mjs').GetTicket}
 */
export function ticket_from(url, { headers = {}, fields = {}, credentials = 'same-origin' } = {}) {
  return async (item, signal) => {
    const { file, path } = item;
    const folder = 'files_total' in file ? { destType: 'folder', files: String(file.files_total) } : {};
    const sent = { name: file.name || 'upload', size: String(file.size), type: file.type || '', path, ...folder };
    const body = new URLSearchParams({ ...sent, ...of_item(fields, item) });
    const limit = new AbortController();
    const give_up = () => limit.abort();
    const timer = setTimeout(give_up, ANSWER_S * 1000);
    signal.addEventListener('abort', give_up);
    try {
      const answer = await fetch(String(url), {
        method: 'POST', body, headers: of_item(headers, item), credentials, signal: limit.signal,
      });
      return ticket_in(answer.status, await answer.text(), Number(answer.headers.get('Retry-After')));
    } catch (error) {
      if (/** @type {any} */ (error).retry !== undefined) throw error;
      throw failure(text('no_ticket'), { retry: !signal.aborted }); // the network, or no answer in time
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', give_up);
    }
  };
}

/** @param {any} value a value, or a function of the item @param {unknown} item */
function of_item(value, item) {
  return typeof value === 'function' ? value(item) : value;
}

/**
 * The ticket in an answer of the app.
 * @param {number} status @param {string} body @param {number} retry_after_s NaN where the app names no time
 * @returns {string}
 */
export function ticket_in(status, body, retry_after_s) {
  const answer = parsed(body);
  if (status >= 500 || LATER.includes(status)) {
    throw failure(text('no_ticket'), { retry: true, retry_after_s: retry_after_s || 0 });
  }
  if (status < 200 || status >= 300) throw failure(reason_in(answer) || text('ticket_refused'), { retry: false });
  const { id, url } = Object(answer);
  const ticket = typeof answer === 'string' ? answer : id || String(url || '').replace(/[?#].*/, '').split('/').pop();
  if (typeof ticket !== 'string' || !/^[\x21-\x7e]+$/.test(ticket) || ticket[0] === '<') {
    throw failure(text('not_a_ticket'), { retry: false });
  }
  return ticket;
}

/** @param {string} body of an answer @returns {any} what it has as JSON, or else its text */
function parsed(body) {
  try {
    const value = JSON.parse(body);
    return typeof value === 'number' ? body.trim() : value; // an id of digits only
  } catch (error) {
    return body.trim();
  }
}

/** @param {any} answer @returns {string} the app's own words; "" if there are none, or a whole page */
function reason_in(answer) {
  const { message, error, detail } = Object(answer);
  const words = [answer, message, error && error.message, error, detail].find((one) => typeof one === 'string' && one);
  return words && words[0] !== '<' ? words.slice(0, MAX_TEXT) : '';
}
