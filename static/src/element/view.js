// What the element shows, as plain values: a pure function of what there is. panel.js draws it.

import { formats_for } from './format.js';
import { kind_of } from './kinds.js';

/** @typedef {import('./texts.js').Texts} Texts */

/**
 * A file of the queue: what its item and its uploader say.
 * @typedef {{
 *   key: string, path: string, type: string, size: number, state: string, reason: string, message: string,
 *   bytes_acked: number, bytes_per_s: number, seconds_left: number | null, next_retry_at: number | null,
 *   can_pause: boolean, can_cancel: boolean, can_retry: boolean,
 * }} FileNow
 *
 * An upload of an earlier visit. `has_handle`: one click opens its file again. `live`: another window uploads it now.
 * @typedef {{key: string, name: string, size: number, bytes_acked: number, has_handle: boolean, live: boolean}} BegunNow
 *
 * @typedef {{finished: number, files: number, failed: number, bytes_acked: number, bytes_total: number,
 *   bytes_per_s: number, seconds_left: number | null}} TotalNow
 *
 * @typedef {{
 *   files: FileNow[], begun: BegunNow[], total: TotalNow, refused: string[], trouble: string, trying_again: string,
 *   now_ms: number,
 *   disabled: boolean, multiple: boolean, directory: boolean, camera: boolean, max_bytes: number, asking_to_cancel: boolean, touch: boolean,
 * }} Now
 *
 * @typedef {'pause' | 'resume' | 'retry_now' | 'retry' | 'continue' | 'find_file' | ''} Go
 * @typedef {'cancel' | 'dismiss' | 'forget' | ''} Stop
 * @typedef {'' | 'soft' | 'good' | 'bad' | 'warn'} Tone
 * @typedef {{key: string, path: string, kind: string, tone: Tone, facts: string[], fraction: number, bar: boolean, waits: boolean,
 *   go: Go, stop: Stop}} Row
 * @typedef {ReturnType<typeof view>} View
 */

const ENDED = ['finished', 'failed', 'cancelled', 'refused'];
/** States in which nothing moves, and that is all right. */
const STILL = ['waiting', 'asking', 'paused', 'cancelled', 'new'];
/** States in which the page waits for somebody else. */
const WAITS = ['asking', 'connecting', 'checking', 'waiting_for_app', 'cancelling'];

/** @param {FileNow} file */
const has_ended = ({ state }) => ENDED.includes(state);

/**
 * @param {Now} now @param {Texts} texts @param {string} lang
 */
export function view(now, texts, lang) {
  const format = formats_for(texts, lang);
  const { begun, files, refused, multiple } = now;
  const is_empty = files.length + begun.length === 0;
  return {
    trouble: now.trouble,
    zone: now.trouble ? '' : multiple || !files.length ? (is_empty ? 'large' : 'compact') : '', // a single file takes its place
    disabled: now.disabled || now.trouble !== '',
    title: title_of(now, texts),
    hint: now.max_bytes ? texts.limit(format.size(now.max_bytes)) : now.touch ? texts.resumes : multiple ? texts.paste_files : texts.paste_file,
    choose: multiple ? texts.choose_files : texts.choose_file,
    directory: now.directory,
    camera: now.camera,
    refused: refused.length > 3 ? [...refused.slice(0, 3), texts.and_more(refused.length - 3)] : refused,
    refused_title: refused.length ? texts.not_added(refused.length) : '',
    begun: begun.map((upload) => begun_row(upload, texts, format)),
    continue_all: begun.filter((upload) => upload.has_handle && !upload.live).length > 1,
    total: files.length > 1 ? total_of(now, texts, format) : null,
    count: files.length,
    /** Rows are made when they are needed: a list of thousands shows a few. @param {number} index */
    row_at: (index) => row_of(files[index], now, texts, format),
    /** @param {string} key */
    index_of: (key) => files.findIndex((file) => file.key === key),
    /** The first one that has not ended, or -1. */
    index_of_open: () => files.findIndex((file) => !has_ended(file)),
    index_of_failed: () => files.findIndex(({ state }) => state === 'failed'),
  };
}

/** @param {Now} now @param {Texts} texts */
function title_of({ multiple, touch }, texts) {
  if (touch) return multiple ? texts.add_files : texts.add_file; // nothing can be dropped with a finger
  return multiple ? texts.drop_files : texts.drop_file;
}

/** @param {FileNow} file @param {Now} now @param {Texts} texts @param {ReturnType<typeof formats_for>} format @returns {Row} */
function row_of(file, now, texts, format) {
  const { state, bytes_acked, size } = file;
  const fraction = state === 'finished' ? 1 : size ? bytes_acked / size : 0;
  return {
    key: file.key,
    path: file.path,
    kind: kind_of(file.path, file.type),
    tone: tone_of(state),
    facts: facts_of(file, fraction, now, texts, format),
    fraction,
    bar: !has_ended(file) && (bytes_acked > 0 || !STILL.includes(state)),
    waits: WAITS.includes(state),
    go: go_of(file),
    stop: has_ended(file) ? 'dismiss' : file.can_cancel ? 'cancel' : '',
  };
}

/** @param {string} state @returns {Tone} */
function tone_of(state) {
  if (state === 'finished') return 'good';
  if (state === 'failed' || state === 'refused') return 'bad';
  if (state === 'retrying') return 'warn';
  return STILL.includes(state) || state === 'elsewhere' ? 'soft' : '';
}

/** @param {FileNow} file @returns {Go} */
function go_of({ state, can_pause, can_retry }) {
  if (state === 'failed') return 'retry';
  if (state === 'paused') return 'resume';
  if (state === 'retrying' && can_retry) return 'retry_now';
  return can_pause && !ENDED.includes(state) ? 'pause' : '';
}

/**
 * The line below a name, in parts that stay together.
 * @param {FileNow} file @param {number} fraction @param {Now} now @param {Texts} texts
 * @param {ReturnType<typeof formats_for>} format @returns {string[]}
 */
function facts_of(file, fraction, now, texts, format) {
  const { state, reason, message, size, bytes_acked, bytes_per_s, seconds_left, next_retry_at } = file;
  const amount = bytes_acked ? texts.part_of(format.percent(fraction), format.size(size)) : format.size(size);
  const table = /** @type {Record<string, any>} */ (texts);
  switch (state) {
    case 'finished':
      return [texts.finished, format.size(size)];
    case 'failed':
    case 'refused':
      return [message || texts.failed];
    case 'cancelled':
      return [message || texts.cancelled];
    case 'cancelling':
      return [texts.cancelling];
    case 'waiting_for_app':
      return [reason ? message : texts.waiting_for_app];
    case 'retrying': {
      // The library's sentence ends with "Trying again soon.": here it says when.
      const wait_s = next_retry_at === null ? 0 : (next_retry_at - now.now_ms) / 1000;
      const says_soon = now.trying_again !== '' && message.endsWith(now.trying_again);
      if (!says_soon || wait_s <= 0) return [message];
      return [message.slice(0, -now.trying_again.length) + texts.retry_in(format.time(wait_s))];
    }
    case 'uploading':
    case 'elsewhere': {
      const speed = bytes_per_s ? [format.speed(bytes_per_s)] : [];
      const left = seconds_left === null || !bytes_per_s ? [] : [texts.left(format.time(seconds_left))];
      if (state === 'elsewhere') return [texts.elsewhere, format.percent(fraction), ...left];
      if (reason) return [format.percent(fraction), message];
      return speed.length ? [format.percent(fraction), ...speed, ...left] : [amount];
    }
    case 'asking':
      return [texts.connecting, amount];
    default:
      return [table[state] || texts.waiting, amount];
  }
}

/** @param {BegunNow} upload @param {Texts} texts @param {ReturnType<typeof formats_for>} format @returns {Row} */
function begun_row({ key, name, size, bytes_acked, has_handle, live }, texts, format) {
  const fraction = size ? bytes_acked / size : 0;
  return {
    key,
    path: name,
    kind: kind_of(name, ''),
    tone: 'soft',
    facts: live ? [texts.elsewhere, format.percent(fraction)] : [texts.part_of(format.percent(fraction), format.size(size))],
    fraction,
    bar: true,
    waits: false,
    go: live ? '' : has_handle ? 'continue' : 'find_file',
    stop: live ? '' : 'forget',
  };
}

/** @param {Now} now @param {Texts} texts @param {ReturnType<typeof formats_for>} format */
function total_of({ files, total, asking_to_cancel }, texts, format) {
  const open = files.filter((file) => !has_ended(file));
  const fraction = total.bytes_total ? total.bytes_acked / total.bytes_total : total.finished / (total.files || 1);
  const speed = total.bytes_per_s ? [format.speed(total.bytes_per_s)] : [];
  const left = total.bytes_per_s && total.seconds_left !== null ? [texts.left(format.time(total.seconds_left))] : [];
  const can_pause = open.some((file) => file.can_pause && file.state !== 'paused');
  const can_cancel = open.some((file) => file.can_cancel);
  const asks = asking_to_cancel && can_cancel;
  /** @type {Record<string, boolean>} */
  const possible = {
    retry_all: total.failed > 0,
    pause_all: can_pause,
    resume_all: !can_pause && open.some(({ state }) => state === 'paused'),
    cancel_all: can_cancel,
    clear: !open.length,
  };
  return {
    headline: texts.files_done(total.finished, total.files),
    failed: total.failed ? texts.files_failed(total.failed) : '',
    facts: open.length ? [texts.part_of(format.percent(fraction), format.size(total.bytes_total)), ...speed, ...left]
      : [format.size(total.bytes_acked)],
    fraction,
    tone: /** @type {Tone} */ (open.length ? '' : total.failed ? 'bad' : 'good'),
    /** Whether it asks if everything is to be cancelled. */
    asks,
    actions: asks ? ['keep', 'cancel_really'] : Object.keys(possible).filter((name) => possible[name]),
  };
}
