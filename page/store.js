// Unfinished uploads that outlive the page, in IndexedDB: what each is, and its file where the browser can keep it.
// Everything here may fail (private windows, full disks); then the page works on and remembers less.

/** Files are kept up to this size together: the browser copies them to a folder of its own. */
const KEEP_BYTES = 1024 ** 3;
/** The server forgets unfinished uploads earlier than that. */
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

/** Runs one request on a store in a transaction of its own; resolves when that is complete. */
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

/** Remembers what an upload is; `record` has its `id`. */
export const remember = (record) => write('uploads', (store) => store.put(record)).catch(warn);

/** Keeps an upload's file, if there is room; whether it did. */
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

/** Keeps an upload's file no longer. */
export async function dropFile(id) {
  kept.delete(id);
  await write('files', (store) => store.delete(id)).catch(warn);
}

/** Forgets an upload and its file. */
export async function forget(id) {
  await Promise.all([write('uploads', (store) => store.delete(id)).catch(warn), dropFile(id)]);
}

/** The record with this `id`, if there is one, with its `file`, if that is kept. */
export async function recall(id) {
  const record = await read('uploads', (store) => store.get(id));
  return record && { ...record, file: (await read('files', (store) => store.get(id))) ?? null };
}

/** All records of a user, oldest first, without files. */
export async function recallAll(user) {
  const records = (await read('uploads', (store) => store.getAll())) ?? [];
  const stale = ({ added }) => added < Date.now() - STALE_MS;
  for (const { id } of records.filter(stale)) forget(id);
  return records.filter((record) => record.user === user && !stale(record)).sort((a, b) => a.added - b.added);
}
