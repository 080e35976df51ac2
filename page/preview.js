// The dialog that shows one file. Knows which types browsers show and the server serves to be shown.
import { byId, iconOf, setIcon, setText } from './dom.js';
import { formatBytes } from './format.js';

const PICTURES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif', 'image/bmp'];

/** `image`, `video` or `audio` if the dialog can show this type, else null. */
export function canPreview(type) {
  if (PICTURES.includes(type)) return 'image';
  return /^(video|audio)\//.exec(type)?.[1] ?? null;
}

/** Opens the dialog for a file; closing it gives the focus back and stops what plays. */
export function preview(file) {
  const dialog = byId('preview');
  const kind = canPreview(file.mimetype);
  setText(byId('preview-name'), file.filename);
  setText(byId('preview-meta'), `${formatBytes(file.filesize)} · ${file.mimetype}`);
  byId('preview-download').href = `${file.url}&download`;
  byId('preview-download').download = file.filename;
  setIcon(byId('preview-none'), iconOf(file.mimetype));
  byId('preview-none').hidden = Boolean(kind);
  if (kind) byId('preview-stage').append(player(kind, file));
  dialog.addEventListener('close', () => byId('preview-stage').replaceChildren(), { once: true });
  dialog.showModal();
}

function player(kind, file) {
  const element = document.createElement(kind === 'image' ? 'img' : kind);
  if (kind === 'image') element.alt = file.filename;
  else Object.assign(element, { controls: true, preload: 'metadata', ariaLabel: file.filename });
  if (kind === 'video' && file.thumbnail) element.poster = file.thumbnail;
  element.onerror = () => {
    element.remove();
    byId('preview-none').hidden = false;
  };
  element.src = file.url;
  return element;
}

/** Lets a click beside the dialog's content close it; Escape does anyway. */
export function showPreview() {
  const dialog = byId('preview');
  dialog.addEventListener('click', ({ target }) => target === dialog && dialog.close());
  byId('preview-close').addEventListener('click', () => dialog.close());
}
