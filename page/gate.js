// What somebody without a good token sees: what to do, in plain words, and how to get in.
import { announce, byId, setText } from './dom.js';
import { sentence } from './format.js';
import { session } from './session.js';

/** Listens for tokens that are refused, pasted, or come with another link. */
export function showGate() {
  session.addEventListener('refused', ({ detail }) => {
    lockOut(detail);
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

/** Shows how to get in, and why that is needed again: `refusal` is the server's. */
export function lockOut(refusal = null) {
  // A token that was good once is worth renewing; of any other nobody but a developer can make anything.
  const expired = refusal && !refusal.final;
  setText(byId('gate-title'), refusal ? (expired ? 'Your link has expired' : 'This link doesn’t work') : 'You need a link');
  setText(byId('gate-why'), refusal ? (expired ? EXPIRED : BROKEN) : NONE);
  setText(byId('gate-detail'), refusal ? `The server says: ${sentence(refusal.message)}` : '');
  byId('drop').hidden = true;
  byId('gate').hidden = false;
}

const NONE = 'Files here are private. To see yours and upload new ones, open this page with your personal link.';
const EXPIRED = 'For your safety, links work only for some hours. Nothing is lost: a new link takes you back to where you were.';
const BROKEN = 'It may be incomplete, or made for another server. Open the whole link once more, or ask for a new one.';
