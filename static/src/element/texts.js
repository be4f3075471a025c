// Every sentence of <incoming-upload> that users see or hear. A page replaces entries with its property `texts`, or for
// all elements with `incoming.set_texts`. Entries are shown as text, never as HTML.

/** @typedef {import('../../element.mjs').ElementTexts} Texts */

/** @type {Texts} */
export const TEXTS = {
  // Adding files.
  drop_files: 'Drop files here',
  drop_file: 'Drop a file here',
  drop_now: 'Drop to upload',
  add_files: 'Add files',
  add_file: 'Add a file',
  paste_files: 'or paste them. Uploads resume after a lost connection.',
  paste_file: 'or paste it. Uploads resume after a lost connection.',
  resumes: 'Uploads resume after a lost connection.',
  choose_files: 'Choose files',
  choose_file: 'Choose a file',
  choose_folder: 'Choose a folder',
  take_photo: 'Take a photo',
  limit: (size) => `Up to ${size} for each file`,
  no_server: 'The upload server does not respond. Please try again later.',
  no_tickets: 'This page does not say where its upload tickets come from.',
  unreadable: 'The file cannot be read.',
  not_added: (count) => (count === 1 ? '1 file was not added' : `${count} files were not added`),
  and_more: (count) => `and ${count} more`,
  wrong_file: (name) => `This is not the same ${name}. Choose the file that the upload was started with.`,

  // States of a file.
  waiting: 'Waiting',
  connecting: 'Connecting',
  checking: 'Checking the file',
  elsewhere: 'Uploading in another window',
  paused: 'Paused',
  waiting_for_app: 'Arrived, waiting for the app to accept it',
  cancelling: 'Cancelling',
  finished: 'Uploaded',
  cancelled: 'Cancelled',
  failed: 'The upload failed.',
  retry_in: (time) => `Trying again in ${time}.`,
  left: (time) => `${time}\u00a0left`,
  part_of: (percent, size) => `${percent} of ${size}`,

  // Actions.
  pause: 'Pause',
  resume: 'Resume',
  retry_now: 'Try now',
  retry: 'Try again',
  cancel: 'Cancel',
  dismiss: 'Remove from the list',
  pause_all: 'Pause all',
  resume_all: 'Resume all',
  retry_all: 'Retry failed',
  cancel_all: 'Cancel all',
  cancel_really: 'Cancel all uploads?',
  keep: 'Keep uploading',
  clear: 'Clear',
  continue: 'Continue',
  continue_all: 'Continue all',
  find_file: 'Choose the file',
  forget: 'Forget this upload',
  close: 'Close',

  // Everything together.
  uploads: 'Uploads',
  continue_title: 'Continue where you stopped',
  progress_of: (name) => `Progress of ${name}`,
  all_progress: 'Progress of all files',
  files_done: (done, all) => `${done} of ${all} files uploaded`,
  files_failed: (count) => `${count} failed`,

  // For the form.
  missing: 'Please upload a file.',
  busy: 'Please wait until the uploads have finished.',

  // Said aloud.
  said_added: (count) => (count === 1 ? '1 file added.' : `${count} files added.`),
  said_finished: (name) => `${name} is uploaded.`,
  said_finished_many: (count) => `${count} files are uploaded.`,
  said_all_finished: (count) => (count === 1 ? 'The upload has finished.' : `All ${count} files are uploaded.`),
  said_failed: (name, why) => `${name} failed. ${why}`,
  said_retrying: (why) => `${why} The uploads resume without your help.`,
  said_running: 'The connection is back.',
  said_cancelled: (name) => `${name} is cancelled.`,

  units: ['bytes', 'kB', 'MB', 'GB', 'TB'],
  per_second: (size) => `${size}/s`,
  seconds: (s) => `${s}\u00a0s`,
  minutes: (min) => `${min}\u00a0min`,
  hours: (h, min) => `${h}\u00a0h\u00a0${min}\u00a0min`,
};
