// The user of the page: keeps the access token from the link's fragment in this tab's session storage, and nowhere
// else. Only the server verifies it. The page only reads its user id.

const KEY = 'haversack-token';
const TOKEN = /(?:#token=|^)([\w-]+\.[\w-]+\.[\w-]+)$/;

/** The user's id as text: as a number, a long one would be rounded to that of somebody else. */
function userOf(token) {
  try {
    const claims = atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'));
    return JSON.parse(claims.replace(/("user_id"\s*:\s*)(-?\d+)/g, '$1"$2"')).user_id ?? null;
  } catch {
    return null;
  }
}

/** Dispatches `granted` when there is a new token, and `refused` (detail: the Refusal) when the server refuses it. */
class Session extends EventTarget {
  #token = sessionStorage.getItem(KEY) ?? '';

  get token() {
    return this.#token;
  }

  /** The user id in the token, as text, or null. */
  get user() {
    return userOf(this.#token);
  }

  /** Accepts a token, or a link with one. Returns false if `text` is neither. */
  accept(text) {
    const token = TOKEN.exec(text.trim())?.[1];
    if (!token) return false;
    sessionStorage.setItem(KEY, token);
    const isAnotherUser = this.user !== null && this.user !== userOf(token);
    if (isAnotherUser) {
      location.reload(); // whatever this page still has to do needs the token of its own user
    } else {
      this.#token = token;
      this.dispatchEvent(new Event('granted'));
    }
    return true;
  }

  /** Moves the token out of the address bar, if there is one. */
  acceptAddress() {
    if (!location.hash.startsWith('#token=')) return;
    const { hash } = location;
    history.replaceState(null, '', location.pathname + location.search);
    this.accept(hash);
  }

  /** Reports that the server refused `token`. Ignored if there is a newer one by now. */
  refuse(token, refusal) {
    if (token === this.#token) this.dispatchEvent(new CustomEvent('refused', { detail: refusal }));
  }
}

export const session = new Session();
