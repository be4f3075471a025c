// Protocol version 2 (docs/reference/protocol.md): the server's messages as events, and the header of a chunk.

import { CANCELLED_CODE, NOT_TAKEN, TOO_OLD, reason_of_code } from './errors.js';
import { readable_size, without_html } from './texts.js';

/** @typedef {{offset: number, max_chunk_bytes: number, max_window_bytes: number, silence_s: number,
 *   idle_silence_s: number, compare: [number, number][], arrived: boolean, is_folder: boolean, left_out: number[]}} Terms */

/** @typedef {{type: 'stored', offset: number, taken: number, max_chunk_bytes: number, max_window_bytes: number}} StoredEvent */

/**
 * What a connection reports to its upload. The first two lines are about the connection, the rest are the
 * server's messages.
 * @typedef {{type: 'opened'} | {type: 'tick'} | {type: 'lost', code: number, reason: string}
 *   | {type: 'bad_address'} | {type: 'ignored'} | {type: 'pong'} | {type: 'not_understood'}
 *   | {type: 'confirmed', terms: Terms} | StoredEvent
 *   | {type: 'resend', offset: number, round: number}
 *   | {type: 'news', news: string, retry_after_s: number, why: string} | {type: 'cancel_acknowledged'} | {type: 'finished'}
 *   | {type: 'cancelled', reason: string} | {type: 'error', error: import('./errors.js').UploadError}
 *   | {type: 'passing_error', word: string, msg: string}} ConnectionEvent
 */

/** The bytes of a chunk's header. */
export const HEADER_BYTES = 16;

/** @type {Record<string, (data: any) => ConnectionEvent>} */
const READERS = {
  MsgUploadConf: (data) => (
    data.Version === 2 ? { type: 'confirmed', terms: terms_of(data) } : { type: 'error', error: TOO_OLD }),
  MsgStored: (data) => ({
    type: 'stored', offset: data.Offset, taken: Number(data.Taken) || 0,
    max_chunk_bytes: Number(data.MaxChunkBytes) || 0, max_window_bytes: Number(data.MaxWindowBytes) || 0,
  }),
  MsgResend: (data) => ({ type: 'resend', offset: data.Offset, round: data.Round }),
  MsgNews: (data) => ({
    type: 'news', news: data.News, retry_after_s: Number(data.RetryAfterS) || 0, why: String(data.Why || ''),
  }),
  MsgPong: () => ({ type: 'pong' }),
  MsgCancelAck: () => ({ type: 'cancel_acknowledged' }),
  MsgAllDone: (data) => (data.Success ? { type: 'finished' } : { type: 'error', error: NOT_TAKEN }),
  MsgError: read_error,
};

/** Never throws: an unknown type is `ignored`, because a newer server may send more. @param {any} text @returns {ConnectionEvent} */
export function read_message(text) {
  try {
    const { MsgType, MsgData } = JSON.parse(text);
    const reader = Object.prototype.hasOwnProperty.call(READERS, MsgType) && READERS[MsgType];
    return reader ? reader(MsgData) : { type: 'ignored' };
  } catch (error) {
    return { type: 'not_understood' };
  }
}

/** @param {any} data @returns {Terms} */
function terms_of(data) {
  return {
    offset: data.Offset, max_chunk_bytes: data.MaxChunkBytes, max_window_bytes: data.MaxWindowBytes,
    silence_s: data.SilenceS, idle_silence_s: Number(data.IdleSilenceS) || 0, // older servers do not send it
    compare: data.Compare, arrived: data.Arrived, is_folder: data.DestType === 'folder', left_out: data.LeftOut || [],
  };
}

/** Whether terms are possible for a file of this length. @param {Terms} terms @param {number} bytes_total */
export function are_valid(terms, bytes_total) {
  const { offset, max_chunk_bytes, max_window_bytes, silence_s, compare } = terms;
  const whole = [offset, max_chunk_bytes, max_window_bytes].every(Number.isSafeInteger);
  const fits = offset >= 0 && offset <= bytes_total && max_chunk_bytes > 0 && max_window_bytes > 0 && silence_s > 0;
  const in_file = (/** @type {[number, number]} */ [from, to]) => from >= 0 && from <= to && to <= bytes_total;
  return whole && fits && Array.isArray(compare) && compare.every(in_file);
}

/** @param {any} data @returns {ConnectionEvent} */
function read_error(data) {
  const msg = without_html(data.Msg);
  if (data.Retryable === true) return { type: 'passing_error', word: String(data.Code), msg };
  if (data.ErrorCode === CANCELLED_CODE) return { type: 'cancelled', reason: msg };
  const other_file = ['wrong_file', 'length_mismatch'].includes(data.Code) && data.FileLengthBytes; // which may not be known
  const code = Number(data.ErrorCode);
  return { type: 'error', error: { code, reason: reason_of_code(code), msg, expected: other_file ? expected_file(data) : null, index: data.Index } };
}

/** @param {any} data of an error: the file that the upload was started with @returns {[string, string, string]} */
function expected_file({ FileName: name, FileLengthBytes: bytes, FileLastModifiedMs: changed_ms }) {
  const changed = changed_ms > 0 ? new Date(changed_ms).toLocaleString() : '';
  return [`\u2068${without_html(name)}\u2069`, readable_size(bytes), changed]; // isolated: a name that turns text turns only itself
}

/**
 * Writes the header of a chunk to the front of a buffer.
 * @param {ArrayBuffer} buffer @param {number} offset @param {number} crc
 * @param {number} round how often the server has asked for something again
 */
export function write_header(buffer, offset, crc, round) {
  const header = new DataView(buffer);
  header.setUint32(0, Math.floor(offset / 2 ** 32));
  header.setUint32(4, offset % 2 ** 32);
  header.setUint32(8, crc);
  header.setUint32(12, round);
}
