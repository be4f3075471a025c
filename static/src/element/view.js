// What the element shows, as plain values: a pure function of what there is. panel.js draws it.

import { formats } from '../../queue.mjs';
import { kind_of } from './kinds.js';

/** @typedef {import('./texts.js').Texts} Texts */

/**
 * A file or a folder: an item of the queue with its uploader, a folder that is being read, or an upload of an earlier visit.
 * `state` is that of its uploader; `waiting`, `asking` (for a ticket), `reading`, `begun` (one click continues), or
 * `missing` (it has to be chosen again). `upload` is what its uploader says; without one it is empty.
 * @typedef {{
 *   key: string, path: string, type?: string, size: number, state: string, reason?: string, message: string, bytes_acked: number,
 *   files_total?: number, can_pause?: boolean, can_cancel?: boolean, can_retry?: boolean, upload: UploadNow,
 * }} FileNow
 *
 * @typedef {{bytes_per_s?: number, seconds_left?: number | null, next_retry_at?: number | null, files_acked?: number,
 *   current_file?: string, left_out?: readonly string[]}} UploadNow
 *
 * @typedef {{failed: number, bytes_acked: number, bytes_total: number, frac_complete: number, bytes_per_s: number,
 *   seconds_left: number | null}} TotalNow
 *
 * @typedef {{
 *   files: FileNow[], begun: FileNow[], total: TotalNow, refused: string[], trouble: string, now_ms: number,
 *   disabled: boolean, multiple: boolean, directory: boolean, camera: boolean, max_bytes: number, asking_to_cancel: boolean, touch: boolean,
 * }} Now
 *
 * @typedef {'pause' | 'resume' | 'retry_now' | 'retry' | 'continue' | 'find_file' | 'find_folder' | ''} Go
 * @typedef {'cancel' | 'dismiss' | 'forget' | ''} Stop
 * @typedef {'' | 'soft' | 'good' | 'bad' | 'warn'} Tone
 * @typedef {{key: string, path: string, kind: string, tone: Tone, facts: string[], inside: string[], lacks?: number,
 *   fraction: number, bar: boolean, waits?: boolean, go: Go, stop: Stop}} Row `inside`: the files of a folder. `lacks`: some are missing
 * @typedef {ReturnType<typeof view>} View
 */

/**
 * What is special about each state. `is_still`: nothing moves, and that is all right. `waits`: for somebody else.
 * @typedef {{tone?: Tone, go?: Go, has_ended?: true, is_still?: true, waits?: true}} About
 */
/** @type {About} */
const STILL = { tone: 'soft', is_still: true };
/** @type {About} */
const WAITS = { waits: true };
/** @type {Record<string, About>} */
const STATES = {
  waiting: STILL,
  asking: { ...STILL, ...WAITS },
  reading: STILL,
  begun: { ...STILL, go: 'continue' },
  missing: { ...STILL, go: 'find_file' },
  connecting: WAITS,
  checking: WAITS,
  retrying: { tone: 'warn', go: 'retry_now' },
  elsewhere: { tone: 'soft' },
  paused: { ...STILL, go: 'resume' },
  waiting_for_app: WAITS,
  cancelling: WAITS,
  finished: { tone: 'good', has_ended: true },
  cancelled: { tone: 'soft', has_ended: true },
  failed: { tone: 'bad', has_ended: true, go: 'retry' },
  refused: { tone: 'bad', has_ended: true },
};
const NAMES_SHOWN = 3; // of the files of a folder that were left out

/** @param {{state: string}} file */
const about = ({ state }) => STATES[state] || {};

/**
 * @param {Now} now @param {Texts} texts @param {string} lang
 */
export function view(now, texts, lang) {
  const format = formats(lang, texts);
  const { begun, files, refused, multiple } = now;
  const count = files.length;
  return {
    ...now,
    zone: now.trouble ? '' : multiple || !count ? (count + begun.length ? 'compact' : 'large') : '', // a single file takes its place
    disabled: now.disabled || now.trouble !== '',
    title: title_of(now, texts),
    hint: now.max_bytes ? (now.directory ? texts.limit_folders : texts.limit)(format.size(now.max_bytes)) : now.touch ? texts.resumes : multiple ? texts.paste_files : texts.paste_file,
    choose: multiple ? texts.choose_files : texts.choose_file,
    refused: refused.length > 3 ? [...refused.slice(0, 3), texts.and_more(refused.length - 3)] : refused,
    refused_title: refused.length ? texts.not_added(refused.length) : '',
    begun: begun.map((upload) => row_of(upload, now, texts, format)),
    continue_all: begun.filter(({ state }) => state === 'begun').length > 1,
    total: count > 1 ? total_of(now, texts, format) : null,
    count,
    /** Rows are made when they are needed: a list of thousands shows a few. @param {number} index */
    row_at: (index) => row_of(files[index], now, texts, format),
    /** @param {string} key */
    index_of: (key) => files.findIndex((file) => file.key === key),
    /** The first one that has not ended, or -1. */
    index_of_open: () => files.findIndex((file) => !about(file).has_ended),
    index_of_failed: () => files.findIndex(({ state }) => state === 'failed'),
  };
}

/** @param {Now} now @param {Texts} texts */
function title_of({ multiple, directory, touch }, texts) {
  if (touch) return multiple ? texts.add_files : texts.add_file; // nothing can be dropped with a finger
  if (directory) return texts.drop_folders;
  return multiple ? texts.drop_files : texts.drop_file;
}

/** @param {FileNow} file @param {Now} now @param {Texts} texts @param {import('../../queue.mjs').Formats} format @returns {Row} */
function row_of(file, now, texts, format) {
  const { state, bytes_acked, size } = file;
  const { tone = '', has_ended, is_still, waits } = about(file);
  const fraction = state === 'finished' ? 1 : size ? bytes_acked / size : 0;
  return {
    key: file.key,
    path: file.path,
    kind: kind_of(file.path, file.type, file.files_total),
    tone,
    facts: facts_of(file, fraction, now, texts, format),
    inside: inside_of(file, texts, format),
    lacks: file.upload.left_out?.length,
    fraction,
    bar: !has_ended && (bytes_acked > 0 || !is_still),
    waits,
    go: go_of(file),
    stop: stop_of(file),
  };
}

/** @param {FileNow} file @returns {Go} */
function go_of(file) {
  const { go, has_ended } = about(file);
  if (go === 'find_file' && file.files_total) return 'find_folder';
  if (go && (go !== 'retry_now' || file.can_retry)) return go;
  return file.can_pause && !has_ended ? 'pause' : '';
}

/** @param {FileNow} file @returns {Stop} */
function stop_of(file) {
  const { go = '', has_ended } = about(file);
  if (has_ended) return 'dismiss';
  if (go === 'continue' || go === 'find_file') return 'forget';
  return file.can_cancel ? 'cancel' : '';
}

/**
 * The line below a name, in parts that stay together.
 * @param {FileNow} file @param {number} fraction @param {Now} now @param {Texts} texts
 * @param {import('../../queue.mjs').Formats} format @returns {string[]}
 */
function facts_of(file, fraction, now, texts, format) {
  const { state, reason, message, size, bytes_acked, upload } = file;
  const percent = format.percent(fraction);
  const amount = bytes_acked ? texts.part_of(percent, format.size(size)) : format.size(size);
  // The library's sentence. A single one has no full stop here.
  const what = message.replace(/^([^.]*)\.$/, '$1') || /** @type {any} */ (texts)[state];
  const pace = pace_of(upload, texts, format);
  switch (state) {
    case 'finished':
      return [texts.finished, format.size(size)];
    case 'retrying': {
      // The library's sentence ends with "Trying again soon.": here it says when.
      const wait_s = (Number(upload.next_retry_at) - now.now_ms) / 1000;
      return [wait_s > 0 ? message.replace(texts.trying_again, texts.retry_in(format.time(wait_s))) : message];
    }
    case 'uploading':
      if (reason) return [percent, what];
      return pace.length ? [percent, ...pace] : [amount];
    case 'elsewhere':
      return [texts.elsewhere, percent, ...pace.slice(1)];
    case 'begun':
    case 'missing':
      return [amount];
    case 'waiting':
    case 'asking':
    case 'connecting':
    case 'checking':
    case 'paused':
      return [what, amount];
    default:
      return [what];
  }
}

/** How fast it is, and how long it takes. @param {UploadNow} upload @param {Texts} texts @param {import('../../queue.mjs').Formats} format */
function pace_of({ bytes_per_s, seconds_left }, texts, format) {
  if (!bytes_per_s) return [];
  return [format.speed(bytes_per_s), ...(seconds_left == null ? [] : [texts.left(format.time(seconds_left))])];
}

/**
 * How many files of a folder are there, which are missing, and which one is being sent.
 * @param {FileNow} file @param {Texts} texts @param {import('../../queue.mjs').Formats} format @returns {string[]}
 */
function inside_of({ state, files_total, upload: { files_acked, current_file = '', left_out = [] } }, texts, format) {
  if (!files_total || state === 'reading') return [];
  const all = texts.files(files_total, format.count(files_total));
  const count = left_out.length;
  const names = left_out.slice(0, NAMES_SHOWN).join(', ') + (count > NAMES_SHOWN ? ' ' + texts.and_more(count - NAMES_SHOWN) : '');
  return [
    files_acked && files_acked < files_total ? texts.part_of(format.count(files_acked), all) : all,
    count ? texts.left_out(format.count(count), names) : '',
    state === 'finished' || state === 'cancelled' ? '' : current_file,
  ].filter(Boolean);
}

/** @param {Now} now @param {Texts} texts @param {import('../../queue.mjs').Formats} format */
function total_of({ files, total, asking_to_cancel }, texts, format) {
  const open = files.filter((file) => !about(file).has_ended);
  const fraction = total.frac_complete;
  const listed = files.filter(({ state }) => state !== 'cancelled' && state !== 'refused');
  const sum = (/** @type {(file: FileNow) => number} */ number_of) => format.count(listed.reduce((all, file) => all + number_of(file), 0));
  const can_pause = open.some((file) => file.can_pause && file.state !== 'paused');
  const can_cancel = open.some((file) => file.can_cancel);
  const asks = asking_to_cancel && can_cancel;
  return {
    headline: texts.files_done(
      sum(({ state, files_total, upload }) => (files_total ? upload.files_acked || 0 : Number(state === 'finished'))),
      sum(({ files_total }) => files_total || 1)),
    failed: total.failed ? texts.files_failed(total.failed) : '',
    facts: open.length ? [texts.part_of(format.percent(fraction), format.size(total.bytes_total)), ...pace_of(total, texts, format)]
      : [format.size(total.bytes_acked)],
    fraction,
    tone: /** @type {Tone} */ (open.length ? '' : total.failed ? 'bad' : 'good'),
    /** Whether it asks if everything is to be cancelled. */
    asks,
    actions: asks ? ['keep', 'cancel_really'] : [
      total.failed && 'retry_all',
      can_pause ? 'pause_all' : open.some(({ state }) => state === 'paused') && 'resume_all',
      can_cancel && 'cancel_all',
      !open.length && 'clear',
    ].filter(Boolean),
  };
}
