// Takes files that are chosen, dropped or pasted, and adds them to the queue.
import { announce, byId } from './dom.js';
import { formatCount } from './format.js';
import { queue } from './queue.js';

/** Starts to take files. They are ignored while the user has no access. */
export function listenForFiles() {
  listenForChoices();
  listenForPastes();
  listenForDrops();
}

function add(files) {
  if (!files.length || byId('drop').hidden) return;
  announce(`${formatCount(files.length, 'file')} added`);
  queue.add(files);
}

function listenForChoices() {
  const picker = byId('picker');
  byId('choose').addEventListener('click', () => picker.click());
  picker.addEventListener('change', () => {
    add([...picker.files]);
    picker.value = ''; // so that the same file can be chosen again
  });
}

function listenForPastes() {
  addEventListener('paste', ({ clipboardData, target }) => {
    if (target.closest?.('input')) return;
    add([...(clipboardData?.files ?? [])].map(named));
  });
}

/** Renames pasted pictures, which browsers all call image.png. */
function named(file) {
  if (!/^image\.\w+$/.test(file.name)) return file;
  const { type, lastModified } = file;
  const now = new Date();
  const local = new Date(now - now.getTimezoneOffset() * 60_000).toISOString();
  const time = local.slice(0, 19).replace('T', ' ').replaceAll(':', '.');
  return new File([file], file.name.replace('image', `Pasted ${time}`), { type, lastModified });
}

function listenForDrops() {
  let inside = 0; // every element on the way gets a dragenter and a dragleave
  const listeners = {
    dragenter: () => (inside += 1),
    dragleave: () => (inside -= 1),
    dragover: () => {},
    drop({ dataTransfer }) {
      inside = 0;
      add(filesOf(dataTransfer));
    },
  };
  for (const [name, listener] of Object.entries(listeners)) {
    addEventListener(name, (event) => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      listener(event);
      document.body.classList.toggle('dropping', inside > 0 && !byId('drop').hidden);
    });
  }
}

/** Returns the dropped files without folders, which look like files until they are read. */
function filesOf({ items, files }) {
  const entries = [...items].filter(({ kind }) => kind === 'file').map((item) => item.webkitGetAsEntry?.());
  const folders = entries.filter((entry) => entry?.isDirectory);
  byId('folders').hidden = !folders.length;
  return [...files].filter((_, at) => !entries[at]?.isDirectory);
}
