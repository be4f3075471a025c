// Every state of the element as plain values: for the gallery and for the tests of the view.

import { begun_now, reading_now } from '../../static/src/element/now.js';
import { TEXTS } from '../../static/src/element/texts.js';

const MB = 1e6;
export const NOW_MS = Date.UTC(2026, 10, 30, 12);

export const file = (path, state, more = {}) => ({
  key: path, path, type: '', size: 124.6 * MB, state, reason: '', message: '', bytes_acked: 0, bytes_per_s: 0,
  seconds_left: null, next_retry_at: null, files_total: 0, files_acked: 0, current_file: '', left_out: [],
  can_pause: true, can_cancel: true, can_retry: false, ...more,
});
export const at = (fraction, size = 124.6 * MB) => ({ size, bytes_acked: fraction * size });
export const moving = (fraction, more = {}) => ({ ...at(fraction), bytes_per_s: 4.02 * MB, seconds_left: 9, ...more });
export const ended = { can_pause: false, can_cancel: false };
export const folder = (path, state, more = {}) => file(path, state, { files_total: 1500, ...more });
export const begun = (filename, fraction, more = {}) => (
  begun_now({ upload_id: filename, filename, bytes_total: 3.12e9, bytes_acked: fraction * 3.12e9, handle: null, live: false, ...more }));

export const now = ({ files = [], ...more } = {}) => ({
  begun: [], refused: [], trouble: '', now_ms: NOW_MS, disabled: false, multiple: true, directory: false, camera: false, max_bytes: 0,
  asking_to_cancel: false, touch: false, ...more, files: files.map((each) => ({ upload: each, ...each })),
});

/** Scenes with files: the total is what a queue would say. */
export function with_files(files, more = {}) {
  const sum = (name) => files.reduce((all, each) => all + (each[name] || 0), 0);
  const count = (state) => files.filter((each) => each.state === state).length;
  const bytes_per_s = sum('bytes_per_s');
  const total = {
    failed: count('failed'), bytes_total: sum('size'), bytes_acked: sum('bytes_acked'), frac_complete: sum('bytes_acked') / (sum('size') || 1),
    bytes_per_s, seconds_left: bytes_per_s ? (sum('size') - sum('bytes_acked')) / bytes_per_s : null,
  };
  return now({ files, total, ...more });
}

const MIXED = [
  file('holiday/IMG_2034 at the lake, early in the morning before breakfast.jpeg', 'finished', { ...at(1, 8.4 * MB), ...ended }),
  file('holiday/The long way home, director’s cut, final version 3.mov', 'uploading', moving(0.61)),
  file('field recording.wav', 'waiting', at(0, 88.2 * MB)),
  file('results 2026.csv', 'failed', { ...at(0.2, 2.1 * MB), ...ended, message: 'The file can no longer be read: it was changed, moved or deleted.' }),
];

const LOST = { ...at(0.34), reason: 'connection_lost', message: 'The connection was lost. Trying again soon.', next_retry_at: NOW_MS + 7400, can_retry: true };
const BLOCKED = 'A proxy between you and the upload server blocks WebSockets. Trying again soon.';

const SEVERAL = [
  file('holiday/IMG_2034 at the lake.jpeg', 'finished', { ...at(1, 8.4 * MB), ...ended }),
  file('holiday/The long way home.mov', 'uploading', moving(0.61)),
  file('proposal.pdf', 'uploading', { ...at(0.34, 31.5 * MB), bytes_per_s: 2.6 * MB, seconds_left: 8 }),
  file('field recording.wav', 'waiting', at(0, 88.2 * MB)),
];
const IN_TROUBLE = [
  file('interview.mp3', 'retrying', LOST),
  file('drawings.zip', 'paused', at(0.45)),
  file('main.py', 'waiting_for_app', { ...at(1, 12345), ...ended, message: 'All data has arrived. Waiting for the app to accept the file.' }),
];

const FOLDERS = [
  folder('Holiday at the lake', 'uploading', { ...moving(0.61, { bytes_per_s: 4.02 * MB }), files_acked: 912, current_file: 'day 3/at the lake, early in the morning/IMG_2034.jpeg' }),
  folder('Recordings', 'waiting', { ...at(0, 88.2 * MB), files_total: 12000 }),
  folder('Scans', 'finished', { ...at(1), ...ended, files_acked: 1498, left_out: ['2019/page 7.tiff', '2021/page 12.tiff'] }),
  reading_now('Archive', 'Reading the folder: 4,712 files so far.'),
  file('field recording.wav', 'waiting', at(0, 88.2 * MB)),
];

export const SCENES = {
  'empty': now(),
  'empty, one file': now({ multiple: false }),
  'empty, folders and camera': now({ directory: true, camera: true, max_bytes: 2e9 }),
  'over': now(),
  'disabled': now({ disabled: true }),
  'no server': now({ trouble: TEXTS.no_server }),
  'connecting': with_files([file('proposal.pdf', 'connecting', { message: 'Connecting.' })]),
  'checking': with_files([file('proposal.pdf', 'checking', { ...at(0.34), message: 'Checking that it is the same file.' })]),
  'uploading': with_files([file('The long way home, director’s cut, final version 3.mov', 'uploading', moving(0.61))]),
  'uploading, slow': with_files([file('backup.tar.gz', 'uploading', moving(0.07, { bytes_per_s: 41200, seconds_left: 5100 }))], { multiple: false }),
  'uploading, slow drive': with_files([file('backup.tar.gz', 'uploading', moving(0.07, { reason: 'slow_read', message: 'Reading the file is slow: its drive does not respond.' }))]),
  'retrying': with_files([file('interview.mp3', 'retrying', LOST)]),
  'retrying, blocked': with_files([file('interview.mp3', 'retrying', { ...LOST, reason: 'websockets_blocked', message: BLOCKED })]),
  'paused': with_files([file('drawings.zip', 'paused', at(0.45))]),
  'elsewhere': with_files([file('drawings.zip', 'elsewhere', moving(0.45))]),
  'waiting for the app': with_files([IN_TROUBLE[2]]),
  'app in trouble': with_files([file('main.py', 'waiting_for_app', {
    ...at(1, 12345), can_pause: false, can_cancel: false, reason: 'app_trouble',
    message: 'All data has arrived, but the app could not be reached: it refuses connections. The server is trying again.' })]),
  'cancelling': with_files([file('drawings.zip', 'cancelling', { ...at(0.45), ...ended, message: 'Cancelling.' })]),
  'finished': with_files([file('proposal.pdf', 'finished', { ...at(1), ...ended })], { multiple: false }),
  'cancelled': with_files([file('proposal.pdf', 'cancelled', { ...at(0.3), ...ended })]),
  'failed': with_files([file('proposal.pdf', 'failed', { ...at(0.3), ...ended, message: 'The upload was started with “proposal.pdf” (124.6 MB, last changed 2026-11-12 09:30). Choose this file to continue.' })]),
  'many, moving': with_files(MIXED),
  'many, paused': with_files(MIXED.map((each) => (each.can_pause ? { ...each, state: 'paused', bytes_per_s: 0, seconds_left: null } : each))),
  'many, finished': with_files(MIXED.map((each) => ({ ...each, ...at(1, each.size), ...ended, state: 'finished', bytes_per_s: 0 }))),
  'many, failed': with_files(MIXED.map((each) => (each.state === 'failed' ? each : { ...each, ...at(1, each.size), ...ended, state: 'finished', bytes_per_s: 0 }))),
  'several': with_files(SEVERAL),
  'several, in trouble': with_files(IN_TROUBLE),
  'several, failed and refused': with_files([SEVERAL[0], MIXED[3]], { refused: ['“notes.txt” is not accepted here.', '“film.mov” is larger than 2.0 GB.'] }),
  'folders': with_files(FOLDERS, { directory: true }),
  'folder, failed': with_files([folder('Holiday at the lake', 'failed', { ...at(0.3), ...ended, files_acked: 912, current_file: 'day 3/IMG_2034.jpeg', message: 'A file of the folder can no longer be read: it was changed, moved or deleted.' })]),
  'cancel all?': with_files(MIXED, { asking_to_cancel: true }),
  'refused': now({ refused: ['“notes.txt” is not accepted here.', '“film.mov” is larger than 2.0 GB.'] }),
  'continue': now({ begun: [begun('raw footage, camera A.mov', 0.61, { handle: {} }), begun('backup.tar.gz', 0.08), begun('drawings.zip', 0.3, { live: true }), begun('Holiday at the lake', 0.3, { files_total: 1500 })] }),
  'continue, all': now({ begun: [begun('a.mov', 0.61, { handle: {} }), begun('b.mov', 0.2, { handle: {} })] }),
  'thousand': with_files(Array.from({ length: 1000 }, (_, n) => file(`scan ${n + 1}.tiff`, n < 400 ? 'finished' : n < 403 ? 'uploading' : 'waiting', n < 400 ? { ...at(1), ...ended } : n < 403 ? moving(0.4) : {}))),
};
