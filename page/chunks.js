// How files are split into chunks: pure arithmetic with sizes in bytes.
import { Refusal } from './api.js';

const MIN_SIZE = 64 * 1024;
/** Small enough that a photo has several chunks, and that little is lost when a connection breaks. */
const USUAL_SIZE = 1024 * 1024;
/** Large files have larger chunks, up to this size, because each chunk waits for a reply. */
const LARGE_SIZE = 5 * 1024 * 1024;
/** Number of chunks above which their size grows. */
const USUAL_COUNT = 64;
/** Servers limit the number of chunks of a file, so very large files have even larger chunks. */
const MAX_COUNT = 20_000;

/** A server may accept less at once. When it first refuses a chunk, all later ones become smaller. */
let limit = Infinity;

/** Returns the chunk size for a file of `size` bytes. */
export function chunkSizeFor(size) {
  const wanted = Math.max(USUAL_SIZE, Math.min(LARGE_SIZE, size / USUAL_COUNT), size / MAX_COUNT);
  return Math.min(limit, Math.ceil(wanted / MIN_SIZE) * MIN_SIZE);
}

/** Makes chunks smaller from now on, because one of `refused` bytes was too large. Returns false if they can't be. */
export function shrinkChunks(refused) {
  if (refused <= MIN_SIZE) return false;
  limit = Math.min(limit, Math.max(MIN_SIZE, Math.floor(refused / 4)));
  return true;
}

/** Returns how many chunks of `chunkSize` a file has. An empty file has one. */
export const countChunks = (size, chunkSize) => Math.max(1, Math.ceil(size / chunkSize));

/** Returns the size of the chunks into which another program split an upload. Throws a Refusal if it is unknown. */
export function chunkSizeOf({ totalparts, totalfilesize, received, parts }) {
  const count = parts.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  const hasLast = parts.at(-1)?.[1] === totalparts - 1;
  if (totalparts === 1) return Math.max(1, totalfilesize);
  const size = hasLast ? (totalfilesize - received) / (totalparts - count) : received / count;
  if (Number.isInteger(size) && countChunks(totalfilesize, size) === totalparts) return size;
  throw new Refusal(409, {
    error: 'Another program started this upload in a way that can’t be continued here.',
    preventRetry: true,
  });
}
