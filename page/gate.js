// What a user without a valid token sees: why, and how to get access.
import { announce, byId, setText } from './dom.js';
import { sentence } from './format.js';
import { session } from './session.js';

/** Starts to listen for tokens that are refused, pasted, or opened with another link. */
export function showGate() {
  session.addEventListener('refused', ({ detail }) => {
    lockOut(detail);
    announce('You need a new link.');
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

/** Shows how to get access, and the reason in the server's `refusal`, if there is one. */
export function lockOut(refusal = null) {
  // Users can ask for a new token if theirs has expired. Other refusals only mean something to developers.
  const expired = refusal && !refusal.final;
  setText(byId('gate-title'), refusal ? (expired ? 'Your link has expired' : 'This link doesn’t work') : 'You need a link');
  setText(byId('gate-why'), refusal ? (expired ? EXPIRED : BROKEN) : NONE);
  setText(byId('gate-detail'), refusal ? `The server says: ${sentence(refusal.message)}` : '');
  byId('drop').hidden = true;
  byId('gate').hidden = false;
}

const NONE = 'Files here are private. To see yours and upload new ones, open this page with your personal link.';
const EXPIRED = 'For your security, links work only for a few hours. Nothing is lost: a new link takes you back to where you were.';
const BROKEN = 'It may be incomplete, or made for another server. Open the whole link again, or ask for a new one.';
