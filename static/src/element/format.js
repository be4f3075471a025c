// Numbers as people read them: shares, sizes, speeds and times.

/** @typedef {import('./texts.js').Texts} Texts */

/** @type {Record<string, Intl.NumberFormat>} */
const formats = {};

/**
 * A number with a fixed count of decimals, in the digits of a language.
 * @param {number} number @param {number} decimals @param {string} lang
 */
function decimal(number, decimals, lang) {
  const key = lang + decimals;
  const options = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  try {
    formats[key] = formats[key] || new Intl.NumberFormat(lang || undefined, options);
  } catch (error) { // the page has an invalid `lang`
    formats[key] = new Intl.NumberFormat(undefined, options);
  }
  return formats[key].format(number);
}

/** @param {Texts} texts @param {string} lang a BCP 47 tag, or "" for the browser's language */
export function formats_for(texts, lang) {
  const format = {
    /** Never rounded up: 100 % means that nothing is missing. @param {number} fraction */
    percent: (fraction) => `${decimal(Math.floor(100 * fraction + 1e-9), 0, lang)}\u00a0%`,

    /** @param {number} bytes */
    size(bytes) {
      const power = bytes < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
      return `${decimal(bytes / 1000 ** power, power ? 1 : 0, lang)}\u00a0${texts.units[power]}`;
    },

    /** @param {number} bytes_per_s */
    speed: (bytes_per_s) => texts.per_second(format.size(bytes_per_s)),

    /** @param {number} seconds rounded up */
    time(seconds) {
      const s = Math.ceil(seconds);
      const min = Math.ceil(seconds / 60);
      if (s < 60) return texts.seconds(s);
      return min < 60 ? texts.minutes(min) : texts.hours(Math.floor(min / 60), min % 60);
    },
  };
  return format;
}
