// Puts a file's link on the clipboard, and shows that it is there.
import { announce, setIcon } from './dom.js';
import { showTrouble } from './notice.js';

const COPIED_MS = 2_000;

/** Copies the link; `button` says so for a moment. */
export async function copyLink({ url }, button) {
  const done = await putOnClipboard(url, button.parentElement);
  if (!done) return showTrouble('This browser doesn’t let the page copy. Copy the address of “Download” instead.');
  announce('The link is copied.');
  setIcon(button, 'check');
  button.classList.add('done');
  setTimeout(() => {
    setIcon(button, 'link');
    button.classList.remove('done');
  }, COPIED_MS);
}

async function putOnClipboard(text, place) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Plain http elsewhere than on localhost has no clipboard API.
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'quiet';
    const focused = document.activeElement;
    place.append(area); // beside a modal dialog nothing can be selected
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    focused?.focus();
    return done;
  }
}
