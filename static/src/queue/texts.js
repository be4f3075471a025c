// The sentences of the queue for users. `incoming.set_texts` replaces them by the same keys, as it does those of the core.
// No sentence holds `<`, `>` or `&`: some pages write them into innerHTML.

import incoming from '../../incoming.mjs';

/** @type {import('../../queue.mjs').QueueTexts} */
export const ENGLISH = {
  no_ticket: 'The upload could not start yet. Trying again soon.',
  ticket_refused: 'The app did not accept the file.',
  not_a_ticket: 'The app sent an invalid response.',
  too_large: (most) => `This is too large. The limit is ${most}.`,
  too_small: (least) => `This is too small. It has to have at least ${least}.`,
  not_accepted: 'Files of this type are not accepted.',
  too_many: (most) => (most === 1 ? 'Only one file is accepted.' : `Only ${most} files are accepted.`),
  total_too_large: (most) => `All files together are too large. The limit is ${most}.`,
  unreadable: 'The file cannot be read.',
  no_files: 'There are no files in this folder.',
  duplicate: 'This is already in the list.',
  units: ['B', 'kB', 'MB', 'GB', 'TB'],
  per_second: (size) => `${size}/s`,
  seconds: (s) => `${s}\u00a0s`,
  minutes: (min) => `${min}\u00a0min`,
  hours: (h, min) => `${h}\u00a0h\u00a0${min}\u00a0min`,
};

/**
 * Returns an entry of the table: the page's, or else the English one.
 * @template {keyof import('../../queue.mjs').QueueTexts} Key
 * @param {Key} key @returns {import('../../queue.mjs').QueueTexts[Key]}
 */
export function text(key) {
  const { texts = {} } = /** @type {{texts?: any}} */ (incoming || {}); // an older library has no table
  return key in texts ? texts[key] : ENGLISH[key];
}

/** A size as people write it: a limit is mostly a round number. @param {number} bytes */
export function readable_size(bytes) {
  const power = bytes < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return (power ? (bytes / 1000 ** power).toFixed(1).replace(/\.0$/, '') : bytes) + ' ' + text('units')[power];
}
