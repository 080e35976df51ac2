// Into which chunks files are cut: pure arithmetic over sizes in bytes.
import { Refusal } from './api.js';

const SMALLEST = 64 * 1024;
/** Small enough that a photo has several, and that little is lost when a connection breaks. */
const USUAL = 1024 * 1024;
/** Large files are cut into larger ones, up to this: each chunk waits once for its answer. */
const LARGE = 5 * 1024 * 1024;
const MANY = 64;
/** Servers limit how many chunks a file may have: very large files get even larger ones. */
const MOST = 20_000;

/** A server may take less at once; its first refusal makes chunks smaller for all that follow. */
let limit = Infinity;

/** The chunk size for a file of `size` bytes. */
export function chunkSizeFor(size) {
  const wanted = Math.max(USUAL, Math.min(LARGE, size / MANY), size / MOST);
  return Math.min(limit, Math.ceil(wanted / SMALLEST) * SMALLEST);
}

/** Makes chunks smaller from now on than `refused` bytes, which was too much; false if they can't be. */
export function shrinkChunks(refused) {
  if (refused <= SMALLEST) return false;
  limit = Math.min(limit, Math.max(SMALLEST, Math.floor(refused / 4)));
  return true;
}

/** Into how many chunks of `chunkSize` a file is cut; an empty file is one. */
export const countChunks = (size, chunkSize) => Math.max(1, Math.ceil(size / chunkSize));

/** The size into which another program cut an upload evenly; throws if that can't be told. */
export function chunkSizeOf({ totalparts, totalfilesize, received, parts }) {
  const count = parts.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  const hasLast = parts.at(-1)?.[1] === totalparts - 1;
  if (totalparts === 1) return Math.max(1, totalfilesize);
  const size = hasLast ? (totalfilesize - received) / (totalparts - count) : received / count;
  if (Number.isInteger(size) && countChunks(totalfilesize, size) === totalparts) return size;
  throw new Refusal(409, {
    error: 'Another program began this upload in a way that can’t be continued here.',
    preventRetry: true,
  });
}
