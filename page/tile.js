// The tile of a file: its picture or icon, its name, and details.
import { setIcon, setText, stamp } from './dom.js';
import { formatBytes, formatDate, formatDuration, formatMoment } from './format.js';
import { canPreview, describeKind, iconOf } from './kinds.js';

/** A picture up to this size is shown itself if it has no thumbnail. */
const OWN_THUMBNAIL_BYTES = 1_000_000;

/** Creates the tile of a file. Its two controls call `open(event)` and `pick(event)`. */
export function makeTile(file, { open, pick }) {
  const tile = stamp('file-tile');
  const { filename, filesize, mimetype, duration, created } = file;
  setText(tile.name, filename);
  tile.root.dataset.name = filename;
  tile.open.title = filename;
  setText(tile.kind, describeKind(mimetype, filename));
  setText(tile.size, formatBytes(filesize));
  showDate(tile.date, created);
  setIcon(tile.thumb, iconOf(mimetype));
  setText(tile.badge, duration === null ? '' : formatDuration(duration));
  tile.open.addEventListener('click', open);
  tile.pick.addEventListener('click', pick);
  tile.pick.setAttribute('aria-label', `Select ${filename}`);
  tile.verb.dataset.verb = canPreview(mimetype) ? 'Preview' : 'Details of';
  setPicked(tile, false, false);
  showThumbnail(tile, thumbnailOf(file));
  return tile;
}

/** Shows whether the tile is selected, and whether a click selects it, which is so while any tile is selected. */
export function setPicked(tile, picked, picking) {
  tile.root.classList.toggle('picked', picked);
  tile.pick.checked = picked;
  setText(tile.verb, picking ? (picked ? 'Deselect' : 'Select') : tile.verb.dataset.verb);
}

/** Shows this picture once it has loaded. Until then, the icon stays. */
export function showThumbnail({ root, picture }, link) {
  if (!link) return;
  picture.onload = () => {
    picture.hidden = false;
    root.classList.add('pictured');
  };
  picture.src = link;
}

function thumbnailOf({ thumbnail, url, mimetype, filesize }) {
  if (thumbnail) return thumbnail;
  return canPreview(mimetype) === 'image' && filesize <= OWN_THUMBNAIL_BYTES ? url : null;
}

function showDate(element, seconds) {
  element.hidden = !seconds;
  if (!seconds) return;
  const date = new Date(seconds * 1000);
  element.dateTime = date.toISOString();
  element.title = formatMoment(date);
  setText(element, formatDate(date));
}
