// Starts the page: the token first, then what comes in (chosen, dropped, pasted), then what was left unfinished.
import { announce, byId, setText } from './dom.js';
import { loadFiles, showFiles } from './files.js';
import { formatCount, sentence } from './format.js';
import { showPreview } from './preview.js';
import { queue } from './queue.js';
import { session } from './session.js';
import { showUploads } from './uploads.js';

let restoredFor; // the user whose unfinished uploads are here

async function begin() {
  byId('gate').hidden = true;
  byId('drop').hidden = false;
  setText(byId('who'), session.user === null ? '' : `User ${session.user}`);
  if (restoredFor !== session.user) {
    restoredFor = session.user;
    await queue.restore();
  }
  await loadFiles();
}

function lockOut(message) {
  setText(byId('gate-reason'), message);
  byId('gate-reason').hidden = !message;
  byId('drop').hidden = true;
  byId('gate').hidden = false;
}

function listenAtTheGate() {
  session.addEventListener('granted', begin);
  session.addEventListener('refused', ({ detail }) => {
    lockOut(sentence(detail));
    announce('A new link is needed.');
  });
  byId('gate-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const field = byId('gate-token');
    const accepted = session.accept(field.value);
    byId('gate-error').hidden = accepted;
    field.setAttribute('aria-invalid', String(!accepted));
    if (accepted) field.value = '';
    else field.focus();
  });
  addEventListener('hashchange', () => session.acceptAddress());
}

function add(files) {
  if (!files.length || byId('drop').hidden) return;
  announce(`${formatCount(files.length, 'file')} added`);
  queue.add(files);
}

function listenForFiles() {
  const picker = byId('picker');
  byId('choose').addEventListener('click', () => picker.click());
  picker.addEventListener('change', () => {
    add([...picker.files]);
    picker.value = ''; // so that the same file can be chosen again
  });
  addEventListener('paste', ({ clipboardData, target }) => {
    if (target.closest?.('input')) return;
    add([...(clipboardData?.files ?? [])].map(named));
  });
}

/** Pasted pictures are all called image.png. */
function named(file) {
  if (!/^image\.\w+$/.test(file.name)) return file;
  const { type, lastModified } = file;
  const now = new Date();
  const local = new Date(now - now.getTimezoneOffset() * 60_000).toISOString();
  const time = local.slice(0, 19).replace('T', ' ').replaceAll(':', '.');
  return new File([file], file.name.replace('image', `Pasted ${time}`), { type, lastModified });
}

function listenForDrops() {
  let inside = 0; // dragenter and dragleave come in pairs for every element passed
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

/** Folders look like files until they are read. */
function filesOf({ items, files }) {
  const entries = [...items].filter(({ kind }) => kind === 'file').map((item) => item.webkitGetAsEntry?.());
  const folders = entries.filter((entry) => entry?.isDirectory);
  byId('folders').hidden = !folders.length;
  return [...files].filter((_, at) => !entries[at]?.isDirectory);
}

addEventListener('beforeunload', (event) => {
  if (queue.fragile) event.preventDefault(); // these would need their files again
});

byId('list-again').addEventListener('click', () => loadFiles());
showPreview();
showUploads();
showFiles();
listenAtTheGate();
listenForFiles();
listenForDrops();
session.acceptAddress(); // begins, if there is a token in it
if (!session.token) lockOut('');
else if (restoredFor === undefined) begin();
