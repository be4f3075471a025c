// What kind of file a name and a MIME type indicate: one icon for each.

/** @type {[kind: string, pattern: RegExp][]} */
const KINDS = [
  ['image', /^image|\.(jpe?g|png|gif|webp|hei[cf]|tiff?|svg|raw|psd)$/],
  ['video', /^video|\.(mp4|mov|mkv|avi|webm)$/],
  ['audio', /^audio|\.(mp3|wav|flac|ogg|m4a)$/],
  ['archive', /zip\||\.(zip|tar|t?gz|xz|7z|rar|zst|iso|dmg)$/],
  ['text', /^text|\.(pdf|docx?|od[st]|txt|csv|md|rtf|pptx?|xlsx?|json|xml)$/],
];

/** @param {string} path @param {string} [type] @param {number} [files_total] of a folder; none for a file */
export function kind_of(path, type = '', files_total = 0) {
  if (files_total) return 'folder';
  const both = `${type}|${path}`.toLowerCase();
  return KINDS.find(([, pattern]) => pattern.test(both))?.[0] || 'file';
}
