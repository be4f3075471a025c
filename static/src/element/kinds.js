// What kind of file a name and a MIME type tell of: one icon for each.

/** @type {[kind: string, pattern: RegExp][]} */
const KINDS = [
  ['image', /^image|\.(jpe?g|png|gif|webp|avif|hei[cf]|tiff?|svg|raw|dng|psd)$/],
  ['video', /^video|\.(mp4|mov|mkv|avi|webm|m4v|mpe?g)$/],
  ['audio', /^audio|\.(mp3|wav|flac|ogg|m4a|aac|aiff?|opus)$/],
  ['archive', /zip$|\.(tar|t?gz|bz2|xz|7z|rar|zst|iso|dmg)$/],
  ['table', /csv$|\.(tsv|xlsx?|ods)$/],
  ['text', /^text|\.(pdf|docx?|odt|txt|md|rtf|pptx?|json|xml)$/],
];

/** @param {string} path @param {string} type */
export function kind_of(path, type) {
  const name = path.toLowerCase();
  const found = KINDS.find(([, pattern]) => pattern.test(type) || pattern.test(name));
  return found ? found[0] : 'file';
}
