// Every sentence of <incoming-upload> that users see or hear. A page replaces entries with its property `texts`, or for
// all elements with `incoming.set_texts`. Entries are shown as text, never as HTML.

/** @typedef {import('../../element.mjs').ElementTexts & incoming.Texts} Texts those of the library and of the queue, too */

/** @type {import('../../element.mjs').ElementTexts} */
export const TEXTS = {
  // Adding files.
  drop_files: 'Drop files here',
  drop_file: 'Drop a file here',
  drop_folders: 'Drop files or folders here',
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
  limit_folders: (size) => `Up to ${size} for each file or folder`,
  no_server: 'The upload server does not respond. Please try again later.',
  no_tickets: 'This page does not say where its upload tickets come from.',
  not_added: (count) => (count === 1 ? '1 file was not added' : `${count} files were not added`),
  and_more: (count) => `and ${count} more`,
  not_the_same: (name) => `This is not the same ${name}. Choose it as it was when the upload was started.`,

  // States of a file.
  waiting: 'Waiting',
  asking: 'Connecting',
  elsewhere: 'Uploading in another window',
  paused: 'Paused',
  finished: 'Uploaded',
  cancelled: 'Cancelled',
  retry_in: (time) => `Trying again in ${time}.`,
  left: (time) => `${time}\u00a0left`,
  part_of: (part, all) => `${part} of ${all}`,
  files: (count, digits) => (count === 1 ? '1 file' : `${digits} files`),
  left_out: (count, names) => `${count} left out: ${names}`,

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
  find_folder: 'Choose the folder',
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
  said_finished_many: (count) => `${count} uploads have finished.`,
  said_all_finished: (count) => (count === 1 ? 'The upload has finished.' : `All ${count} uploads have finished.`),
  said_failed: (name, why) => `${name} failed. ${why}`,
  said_retrying: (why) => `${why} The uploads resume without your help.`,
  said_running: 'The connection is back.',
  said_cancelled: (name) => `${name} is cancelled.`,
};
