// Loads the list of finished files page by page, and adds new files. Passes the unfinished entries of the list to the
// queue, and knows nothing else about it.
import { call } from './api.js';
import { byId, setText } from './dom.js';
import { fileList } from './filelist.js';
import { sentence } from './format.js';
import { preview, showPreview } from './preview.js';
import { queue } from './queue.js';
import { isSelecting, pickedFiles, showSelection, togglePicked } from './selection.js';
import { makeTile, showThumbnail } from './tile.js';
import { finishTrash, isTrashed, trash } from './trash.js';

/** Pauses before each check for a thumbnail that is still being made. */
const THUMBNAIL_PAUSES_MS = [2_000, 8_000];

let next = '';
let loading = null; // the page that is being loaded

/** Starts to show finished uploads, and handles the buttons of the list. */
export function showFiles() {
  const loadMore = async () => next && loadFiles(next);
  byId('more').addEventListener('click', loadMore);
  fileList.addEventListener('changed', () => (byId('empty').hidden = fileList.shown.length > 0));
  queue.addEventListener('finished', ({ detail: { result } }) => {
    add(result, true);
    waitForThumbnail(result);
  });
  showSelection();
  showPreview(loadMore);
}

/** Loads the page of the list at `cursor`. The first page replaces all files. */
export function loadFiles(cursor = '') {
  loading ??= load(cursor).finally(() => (loading = null)); // the button isn't disabled, or it would lose the focus
  return loading;
}

async function load(cursor) {
  try {
    if (!cursor) await finishTrash();
    const page = await call('GET', `?cursor=${cursor}`);
    if (!cursor) fileList.clear();
    for (const entry of page.results) if (entry.state === 'finished') add(entry);
    await queue.adopt(page.results.filter((entry) => entry.state === 'unfinished'));
    next = page.next;
    byId('more').hidden = next === null;
    byId('list-trouble').hidden = true;
    byId('files').hidden = false;
    byId('empty').hidden = fileList.shown.length > 0;
  } catch (error) {
    if (error.status === 401) return; // gate.js shows it
    setText(byId('list-error'), sentence(error.message));
    byId('list-trouble').hidden = false;
  }
}

function add(file, isNew = false) {
  const { uuid } = file;
  const tile = makeTile(file, {
    open: ({ shiftKey }) => (isSelecting() ? togglePicked(uuid, shiftKey) : preview(file)),
    pick: ({ shiftKey }) => togglePicked(uuid, shiftKey),
  });
  tile.open.addEventListener('keydown', ({ key, repeat }) => key === 'Delete' && !repeat && discard(file));
  tile.root.classList.toggle('new', isNew);
  tile.root.hidden = isTrashed(uuid);
  fileList.add(file, tile, isNew);
}

/** Deletes the selected files, or this one if none is selected. */
function discard(file) {
  trash(isSelecting() ? pickedFiles() : [file]);
}

/** Waits for a file's thumbnail, which may be ready a little later than the file. */
async function waitForThumbnail(file) {
  if (file.thumbnail || !/^(image|video)\//.test(file.mimetype)) return;
  for (const pause of THUMBNAIL_PAUSES_MS) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    const fresh = await call('GET', `${file.uuid}/file/`).catch(() => null);
    if (!fresh || !fileList.has(file.uuid)) return;
    if (fresh.thumbnail) return showThumbnail(fileList.tileOf(file.uuid), fresh.thumbnail);
  }
}
