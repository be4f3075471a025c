// The browser's database of handles: one row for each upload. In a private window it may be missing, forbidden or
// full. Then nothing is kept, and nobody is told.

const NAME = 'incoming';
const STORE = 'handles';
const OPEN_TIMEOUT_MS = 3000; // WebKit had versions that never answered the first request

/** @typedef {{upload_id: string, handle: FileSystemHandle, kept_at_ms: number}} Row */

/**
 * Does something with the rows, in a transaction of its own. The connection is closed afterwards, because a page with
 * an open one is not kept for the Back button.
 * @template T @param {IDBTransactionMode} mode @param {(rows: IDBObjectStore) => IDBRequest<T>} act
 * @returns {Promise<T | null>} what the request gave; null if there is no database, or it did not work
 */
export async function with_rows(mode, act) {
  let database = null;
  try {
    database = await opened();
    const transaction = database.transaction(STORE, mode);
    const request = act(transaction.objectStore(STORE));
    await completed(transaction);
    return request.result;
  } catch (error) {
    return null;
  } finally {
    if (database) database.close();
  }
}

/** @returns {Promise<IDBDatabase>} */
function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    let is_late = false;
    const timer = setTimeout(() => {
      is_late = true;
      reject(new Error('timeout'));
    }, OPEN_TIMEOUT_MS);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'upload_id' });
    request.onerror = (event) => {
      event.preventDefault(); // Firefox reports it as an uncaught error
      clearTimeout(timer);
      reject(request.error);
    };
    request.onsuccess = () => {
      clearTimeout(timer);
      if (is_late) request.result.close();
      resolve(request.result);
    };
  });
}

/** @param {IDBTransaction} transaction @returns {Promise<void>} */
function completed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = (event) => {
      event.preventDefault();
      reject(transaction.error);
    };
  });
}
