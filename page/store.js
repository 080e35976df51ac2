// Keeps unfinished uploads in IndexedDB, so that they outlive the page: a record of each, and its file if the browser
// can keep it. Everything here may fail (private windows, full disks). Then the page goes on, but remembers less.

/** Maximum size of all kept files together, because the browser copies them to its own folder. */
const KEEP_BYTES = 1024 ** 3;
/** Records older than this are deleted. The server forgets unfinished uploads earlier. */
const STALE_MS = 30 * 24 * 3600 * 1000;

const kept = new Map(); // id -> bytes
let opened;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('haversack', 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('uploads', { keyPath: 'id' });
      request.result.createObjectStore('files');
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

/** Runs a request on a store in a transaction of its own. Resolves when the transaction is complete. */
async function transact(store, mode, act) {
  const transaction = (await open()).transaction(store, mode);
  return new Promise((resolve, reject) => {
    const request = act(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

const read = (store, act) => transact(store, 'readonly', act).catch(warn);
const write = (store, act) => transact(store, 'readwrite', act);
const warn = (error) => console.warn('Uploads are not remembered:', error);

/** Stores an upload's record, which contains its `id`. */
export const remember = (record) => write('uploads', (store) => store.put(record)).catch(warn);

/** Keeps an upload's file if there is room. Resolves with whether it did. */
export async function keepFile(id, file) {
  const others = [...kept].reduce((sum, [other, bytes]) => (other === id ? sum : sum + bytes), 0);
  if (others + file.size > KEEP_BYTES) return false;
  kept.set(id, file.size);
  try {
    await write('files', (store) => store.put(file, id));
    return true;
  } catch (error) {
    warn(error);
    return false;
  }
}

/** Deletes an upload's file. */
export async function dropFile(id) {
  kept.delete(id);
  await write('files', (store) => store.delete(id)).catch(warn);
}

/** Deletes an upload's record and file. */
export async function forget(id) {
  await Promise.all([write('uploads', (store) => store.delete(id)).catch(warn), dropFile(id)]);
}

/** Returns the record with this `id`, if there is one. Its `file` is null if it isn't kept. */
export async function recall(id) {
  const record = await read('uploads', (store) => store.get(id));
  return record && { ...record, file: (await read('files', (store) => store.get(id))) ?? null };
}

/** Returns all records of a user, oldest first, without their files. Earlier versions of the page wrote ids as numbers. */
export async function recallAll(user) {
  const records = (await read('uploads', (store) => store.getAll())) ?? [];
  const stale = ({ added }) => added < Date.now() - STALE_MS;
  for (const { id } of records.filter(stale)) forget(id);
  return records.filter((record) => String(record.user) === user && !stale(record)).sort((a, b) => a.added - b.added);
}
