// Deleting files: they are gone from the page at once, and from the server a few seconds later, unless that is undone.
import { remove, removeWhenGone } from './api.js';
import { announce } from './dom.js';
import { fileList } from './filelist.js';
import { sentence, shorten } from './format.js';
import { showTrouble } from './notice.js';
import { undo } from './undo.js';

/**
 * What this tab was told to delete and has not seen deleted: a reload must not bring it back. For each uuid, what keeps
 * the browser from deleting it once the page has gone.
 */
const KEY = 'haversack-deleting';
const pending = new Map(JSON.parse(sessionStorage.getItem(KEY) ?? '[]').map((uuid) => [uuid, () => {}]));
const left = [...pending.keys()].map((uuid) => ({ uuid })); // by the page before

/** Takes files off the page; deletes them once it is too late to undo that. */
export function trash(files) {
  fileList.hide(files);
  for (const { uuid } of files) pending.set(uuid, removeWhenGone(`${uuid}/`));
  remember();
  const text = files.length === 1 ? `“${shorten(files[0].filename)}” deleted` : `${files.length} files deleted`;
  announce(`${text}. Control+Z takes it back.`);
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

/** Whether a file is to be deleted. */
export const isTrashed = (uuid) => pending.has(uuid);

/** Deletes what the page before, in this tab, was told to delete; once. */
export async function finishTrash() {
  const files = left.splice(0);
  await Promise.all(files.map(({ uuid }) => remove(`${uuid}/`).catch(() => {}))); // else the list shows it again
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

/** Answers why not, or null. */
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
