// Copies a file's link to the clipboard, and confirms it.
import { announce, setIcon } from './dom.js';
import { showTrouble } from './notice.js';

const COPIED_MS = 2_000;

/** Copies the link. `button` shows a check mark for a moment. */
export async function copyLink({ url }, button) {
  const done = await copyText(url, button.parentElement);
  if (!done) return showTrouble('This browser doesn’t allow copying. Copy the address of “Download” instead.');
  announce('Link copied.');
  setIcon(button, 'check');
  button.classList.add('done');
  setTimeout(() => {
    setIcon(button, 'link');
    button.classList.remove('done');
  }, COPIED_MS);
}

async function copyText(text, parent) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // On plain http, browsers have the clipboard API only for localhost.
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'quiet';
    const focused = document.activeElement;
    parent.append(area); // while a modal dialog is open, nothing outside it can be selected
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    focused?.focus();
    return done;
  }
}
