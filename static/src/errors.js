// Errors by number. The server's are below 100 (docs/reference/javascript.md, "Errors"); the others are found here.

import * as TEXTS from './texts.js';

export const CANCELLED_CODE = 30;
export const UNKNOWN_TICKET_CODE = 11;
/** The server could not read a message of ours, which was correct when it was sent. */
export const NOT_UNDERSTOOD_CODES = [20, 21];
/** After these the ticket can no longer be used for this file. */
export const TICKET_ENDED_CODES = [11, 23, 31, 32, 104];

export const FILE_UNREADABLE = { code: 100, msg: TEXTS.FILE_UNREADABLE };
/** A folder that was dropped onto a file input looks like this. */
export const NEVER_READABLE = { code: 100, msg: TEXTS.NEVER_READABLE };
export const FILE_CHANGED = { code: 101, msg: TEXTS.FILE_CHANGED };
export const NOT_UNDERSTOOD = { code: 102, msg: TEXTS.NOT_UNDERSTOOD };
export const BAD_ADDRESS = { code: 103, msg: TEXTS.BAD_ADDRESS };
export const NOT_TAKEN = { code: 104, msg: TEXTS.NOT_TAKEN };
export const TOO_OLD = { code: 105, msg: TEXTS.TOO_OLD };
