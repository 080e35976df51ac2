// The list of finished files: its pages, and what comes new. Knows the queue only as the place for the list's
// unfinished entries.
import { call } from './api.js';
import { byId, setText } from './dom.js';
import { fileList } from './filelist.js';
import { sentence } from './format.js';
import { preview, showPreview } from './preview.js';
import { queue } from './queue.js';
import { isSelecting, pickedFiles, showSelection, togglePicked } from './selection.js';
import { makeTile, showThumbnail } from './tile.js';
import { finishTrash, isTrashed, trash } from './trash.js';

/** When to look for a thumbnail that is still being made. */
const LOOK_AGAIN_MS = [2_000, 8_000];

let next = '';
let loading = null; // a page that is on its way

/** Shows finished uploads as they come, and the list's buttons. */
export function showFiles() {
  const loadMore = async () => next && loadFiles(next);
  byId('more').addEventListener('click', loadMore);
  fileList.addEventListener('changed', () => (byId('empty').hidden = fileList.shown.length > 0));
  queue.addEventListener('finished', ({ detail: { result } }) => {
    add(result, true);
    look(result);
  });
  showSelection();
  showPreview(loadMore);
}

/** Loads the page of the list at `cursor`; the first one replaces what is shown. */
export function loadFiles(cursor = '') {
  loading ??= load(cursor).finally(() => (loading = null)); // a disabled button would lose the focus
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
    if (error.status === 401) return; // told elsewhere
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

/** By its key; the selection, if there is one. */
function discard(file) {
  trash(isSelecting() ? pickedFiles() : [file]);
}

/** A thumbnail may be ready a little later than its file. */
async function look(file) {
  if (file.thumbnail || !/^(image|video)\//.test(file.mimetype)) return;
  for (const wait of LOOK_AGAIN_MS) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    const fresh = await call('GET', `${file.uuid}/file/`).catch(() => null);
    if (!fresh || !fileList.has(file.uuid)) return;
    if (fresh.thumbnail) return showThumbnail(fileList.tileOf(file.uuid), fresh.thumbnail);
  }
}
