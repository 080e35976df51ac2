// Cancels uploads, which can be undone for a few seconds.
import { announce, byId } from './dom.js';
import { formatCount, shorten } from './format.js';
import { queue } from './queue.js';
import { undo } from './undo.js';

/** Cancels these uploads. Those that the server refused for good are removed from the list without an undo. */
export function cancelUploads(uploads) {
  const refused = uploads.filter((upload) => upload.rejected);
  queue.withdraw(uploads);
  queue.cancel(refused);
  const rest = uploads.filter((upload) => !refused.includes(upload));
  if (!rest.length) return announce(`${formatCount(refused.length, 'file')} removed from the list`);
  const text = rest.length === 1 ? `Upload of “${shorten(rest[0].name)}” cancelled` : `${rest.length} uploads cancelled`;
  announce(`${text}. Press Control+Z to undo.`);
  undo.offer({
    text,
    restore() {
      queue.putBack(rest);
      byId('uploads-title').focus();
    },
    commit: () => queue.cancel(rest),
  });
}
