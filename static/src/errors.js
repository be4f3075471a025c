// Errors by number. The server's are below 100 (docs/reference/javascript.md, "Errors"); the others are found here.

/**
 * What ends an upload. `key` names its sentence, if that is not `reason`; `msg` is the server's; `expected` describes the
 * file that should have come, to `expected_file` in texts.js; `index` is that of the file of a folder that it is about.
 * @typedef {{code: number, reason: incoming.Reason, key?: string, msg?: string, expected?: [string, string, string] | null,
 *   index?: number}} UploadError
 */

export const CANCELLED_CODE = 30;
export const UNKNOWN_TICKET_CODE = 11;
/** The server could not read a message of ours, which was correct when it was sent. */
export const NOT_UNDERSTOOD_CODES = [20, 21];
/** After these the ticket can no longer be used for this file. */
export const TICKET_ENDED_CODES = [11, 23, 31, 32, 104];

/** The names of the server's. @type {Record<number, incoming.Reason>} */
const SERVER_REASONS = {
  11: 'unknown_ticket', 20: 'bad_message', 21: 'bad_chunk', 22: 'length_mismatch', 23: 'upload_too_large', 24: 'wrong_file',
  31: 'expired', 32: 'handover_failed', 92: 'bad_folder',
};

/** @param {number} code of the server @returns {incoming.Reason} */
export function reason_of_code(code) {
  return SERVER_REASONS[code] || 'refused';
}

/** @type {UploadError} */
export const FILE_UNREADABLE = { code: 100, reason: 'file_unreadable' };
/** A folder that was dropped onto a file input looks like this. @type {UploadError} */
export const NEVER_READABLE = { code: 100, reason: 'file_unreadable', key: 'file_never_readable' };
/** @type {UploadError} */
export const FOLDER_UNREADABLE = { code: 100, reason: 'file_unreadable', key: 'folder_unreadable' };
/** @type {UploadError} */
export const FILE_CHANGED = { code: 101, reason: 'file_changed' };
/** @type {UploadError} */
export const NOT_UNDERSTOOD = { code: 102, reason: 'invalid_response' };
/** @type {UploadError} */
export const BAD_ADDRESS = { code: 103, reason: 'bad_address' };
/** @type {UploadError} */
export const NOT_TAKEN = { code: 104, reason: 'not_taken' };
/** @type {UploadError} */
export const TOO_OLD = { code: 105, reason: 'server_too_old' };
/** The page wanted it so; the sentence of the last try comes first. @type {UploadError} */
export const GAVE_UP = { code: 106, reason: 'gave_up' };
/** @type {UploadError} */
export const NOT_RETRIED = { code: 107, reason: 'not_retried' };
/** A folder needs a ticket for a folder, and a file one for a file. @type {UploadError} */
export const OTHER_KIND = { code: 108, reason: 'wrong_dest_type' };
