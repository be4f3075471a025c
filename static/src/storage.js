// The storage of the browser, which can be forbidden, full, or missing: no upload depends on it.

/**
 * Returns null where the storage can't be used.
 * @template T @param {(storage: Storage) => T} use @returns {T | null}
 */
export function with_storage(use) {
  try {
    return use(localStorage);
  } catch (error) {
    return null;
  }
}
