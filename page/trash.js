// Deletes files: from the page at once, and from the server a few seconds later, unless the user undoes it.
import { remove, removeWhenGone } from './api.js';
import { announce } from './dom.js';
import { fileList } from './filelist.js';
import { sentence, shorten } from './format.js';
import { showTrouble } from './notice.js';
import { undo } from './undo.js';

/**
 * The files that are being deleted in this tab. They are remembered, so that they don't come back after a reload. Maps
 * each uuid to a function that stops the browser from deleting the file once the page is closed.
 */
const KEY = 'haversack-deleting';
const pending = new Map(JSON.parse(sessionStorage.getItem(KEY) ?? '[]').map((uuid) => [uuid, () => {}]));
const left = [...pending.keys()].map((uuid) => ({ uuid })); // files that the page before the reload left

/** Removes files from the page, and deletes them once this can no longer be undone. */
export function trash(files) {
  fileList.hide(files);
  for (const { uuid } of files) pending.set(uuid, removeWhenGone(`${uuid}/`));
  remember();
  const text = files.length === 1 ? `“${shorten(files[0].filename)}” deleted` : `${files.length} files deleted`;
  announce(`${text}. Press Control+Z to undo.`);
  undo.offer({
    text,
    restore() {
      settle(files);
      fileList.show(files);
      fileList.tileOf(files[0].uuid)?.open.focus();
    },
    commit: () => erase(files),
  });
}

/** Whether a file is being deleted. */
export const isTrashed = (uuid) => pending.has(uuid);

/** Deletes the files that the page before the reload left. Only the first call does anything. */
export async function finishTrash() {
  const files = left.splice(0);
  await Promise.all(files.map(({ uuid }) => remove(`${uuid}/`).catch(() => {}))); // if it fails, the list shows them
  settle(files);
}

async function erase(files) {
  const failures = await Promise.all(files.map(eraseOne));
  settle(files);
  const kept = files.filter((_, at) => failures[at]);
  fileList.remove(files.filter((file) => !kept.includes(file)));
  fileList.show(kept);
  if (!kept.length) return;
  const what = kept.length === 1 ? `“${shorten(kept[0].filename)}” was` : `${kept.length} files were`;
  showTrouble(`${what} not deleted. ${sentence(failures.find(Boolean).message)}`);
}

/** Deletes a file. Resolves with the error if it failed, or else null. */
async function eraseOne({ uuid }) {
  try {
    await remove(`${uuid}/`);
    return null;
  } catch (error) {
    return [404, 410].includes(error.status) ? null : error;
  }
}

function settle(files) {
  for (const { uuid } of files) {
    pending.get(uuid)?.();
    pending.delete(uuid);
  }
  remember();
}

function remember() {
  if (pending.size) sessionStorage.setItem(KEY, JSON.stringify([...pending.keys()]));
  else sessionStorage.removeItem(KEY);
}
