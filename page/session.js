// Who uses the page: the access token, taken from the link's fragment into this tab's session storage, and kept
// nowhere else. The server judges it; here it is only read for whose it is.

const KEY = 'haversack-token';
const TOKEN = /(?:#token=|^)([\w-]+\.[\w-]+\.[\w-]+)$/;

function userOf(token) {
  try {
    const claims = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(atob(claims)).user_id ?? null;
  } catch {
    return null;
  }
}

/** Says `granted` when there is a new token, `refused` (detail: the Refusal) when the server turned it away. */
class Session extends EventTarget {
  #token = sessionStorage.getItem(KEY) ?? '';

  get token() {
    return this.#token;
  }

  /** The user whom the token names, or null. */
  get user() {
    return userOf(this.#token);
  }

  /** Takes a token, or a link with one; false if `text` is neither. */
  accept(text) {
    const token = TOKEN.exec(text.trim())?.[1];
    if (!token) return false;
    sessionStorage.setItem(KEY, token);
    const another = this.user !== null && this.user !== userOf(token);
    if (another) {
      location.reload(); // what this page has still to do, it does in its own user's name
    } else {
      this.#token = token;
      this.dispatchEvent(new Event('granted'));
    }
    return true;
  }

  /** Takes the token out of the address bar, if there is one. */
  acceptAddress() {
    if (!location.hash.startsWith('#token=')) return;
    const { hash } = location;
    history.replaceState(null, '', location.pathname + location.search);
    this.accept(hash);
  }

  /** The server refused `token`; of an older one that is no news. */
  refuse(token, refusal) {
    if (token === this.#token) this.dispatchEvent(new CustomEvent('refused', { detail: refusal }));
  }
}

export const session = new Session();
