// Starts the page: reads the token, listens for files, and restores unfinished uploads.
import { byId, setText } from './dom.js';
import { loadFiles, showFiles } from './files.js';
import { lockOut, showGate } from './gate.js';
import { listenForFiles } from './intake.js';
import { showNotices } from './notice.js';
import { queue } from './queue.js';
import { session } from './session.js';
import { showUploads } from './uploads.js';

let restoredFor; // the user whose unfinished uploads have been restored

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

addEventListener('beforeunload', (event) => {
  if (queue.wouldLoseFiles) event.preventDefault(); // the user would have to choose these files again
});

session.addEventListener('granted', begin);
byId('list-again').addEventListener('click', () => loadFiles());
showNotices();
showUploads();
showFiles();
showGate();
listenForFiles();
session.acceptAddress(); // calls begin() if the address contains a token
if (!session.token) lockOut();
else if (restoredFor === undefined) begin();
