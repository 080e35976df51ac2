// Which files are selected, and the bar with actions for all of them.
import { announce, byId, setText } from './dom.js';
import { fileList } from './filelist.js';
import { formatBytes } from './format.js';
import { setPicked } from './tile.js';
import { trash } from './trash.js';

/** Browsers ignore a download that starts too soon after another one. */
const BETWEEN_DOWNLOADS_MS = 400;

const picked = new Set(); // uuids
let anchor = null; // uuid of the file at which a range starts

/** Starts to handle the bar's buttons. */
export function showSelection() {
  byId('selection-clear').addEventListener('click', () => clear());
  byId('selection-all').addEventListener('click', () => {
    for (const { uuid } of fileList.shown) picked.add(uuid);
    drawAndAnnounce();
  });
  byId('selection-download').addEventListener('click', () => download(pickedFiles()));
  byId('selection-delete').addEventListener('click', () => {
    trash(pickedFiles());
    byId('files-title').focus();
  });
  addEventListener('keydown', ({ key }) => key === 'Escape' && picked.size && clear());
  fileList.addEventListener('changed', () => {
    const shown = new Set(fileList.shown.map(({ uuid }) => uuid));
    for (const uuid of picked) if (!shown.has(uuid)) picked.delete(uuid);
    draw();
  });
}

/** Whether any file is selected. In that case, a click on another file selects it, too. */
export const isSelecting = () => picked.size > 0;

/** Selects or deselects a file. With `range`, selects all files from the last one to this one. */
export function togglePicked(uuid, range = false) {
  const order = fileList.shown.map((file) => file.uuid);
  const from = range && picked.has(anchor) ? order.indexOf(anchor) : -1;
  const at = order.indexOf(uuid);
  if (from >= 0) for (const each of order.slice(Math.min(from, at), Math.max(from, at) + 1)) picked.add(each);
  else if (!picked.delete(uuid)) picked.add(uuid);
  anchor = uuid;
  drawAndAnnounce();
}

/** Returns the selected files, in order. */
export function pickedFiles() {
  return fileList.shown.filter(({ uuid }) => picked.has(uuid));
}

function clear() {
  const first = pickedFiles()[0];
  picked.clear();
  drawAndAnnounce();
  fileList.tileOf(first?.uuid)?.open.focus();
}

function drawAndAnnounce() {
  draw();
  announce(picked.size ? `${picked.size} selected` : 'Nothing is selected.');
}

function draw() {
  const chosen = pickedFiles();
  for (const { file, tile } of fileList.all) setPicked(tile, picked.has(file.uuid), picked.size > 0);
  byId('files').classList.toggle('selecting', picked.size > 0);
  byId('selection').hidden = !picked.size;
  byId('selection-all').setAttribute('aria-disabled', chosen.length === fileList.shown.length);
  setText(byId('selection-count'), `${chosen.length} selected`);
  setText(byId('selection-size'), formatBytes(chosen.reduce((sum, { filesize }) => sum + filesize, 0)));
}

async function download(chosen) {
  for (const { url, filename } of chosen) {
    const link = document.createElement('a');
    link.href = `${url}&download`;
    link.download = filename;
    link.click();
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_DOWNLOADS_MS));
  }
}
