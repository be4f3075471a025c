// Numbers as people read them: shares, counts, sizes, speeds and times.

import { text } from './texts.js';

/** One for whole numbers, and one with a decimal. @param {string} [lang] */
const formats_in = (lang) => [0, 1].map((decimals) => (
  new Intl.NumberFormat(lang, { minimumFractionDigits: decimals, maximumFractionDigits: decimals })));

/** @param {string} lang */
function valid_formats(lang) {
  try {
    return formats_in(lang || undefined);
  } catch (error) { // the page has an invalid `lang`
    return formats_in();
  }
}

/**
 * @param {string} [lang] a BCP 47 tag, or "" for the browser's language
 * @param {Partial<import('../../queue.mjs').QueueTexts>} [texts] in place of those for all
 */
export function formats(lang = '', texts = {}) {
  const [whole, decimal] = valid_formats(lang);
  /** @type {typeof text} */
  const say = (key) => texts[key] || text(key);
  const format = {
    /** Never rounded up: 100 % means that nothing is missing. @param {number} fraction */
    percent: (fraction) => `${format.count(Math.floor(100 * fraction + 1e-9))}\u00a0%`,

    /** @param {number} files */
    count: (files) => whole.format(files),

    /** @param {number} bytes */
    size(bytes) {
      const power = bytes < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
      return `${(power ? decimal : whole).format(bytes / 1000 ** power)}\u00a0${say('units')[power]}`;
    },

    /** @param {number} bytes_per_s */
    speed: (bytes_per_s) => say('per_second')(format.size(bytes_per_s)),

    /** @param {number} seconds rounded up */
    time(seconds) {
      const s = Math.ceil(seconds);
      const min = Math.ceil(seconds / 60);
      if (s < 60) return say('seconds')(s);
      return min < 60 ? say('minutes')(min) : say('hours')(Math.floor(min / 60), min % 60);
    },
  };
  return format;
}
