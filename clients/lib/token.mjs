// Signs access tokens the way an application's own backend would: HS256 over the shared secret.
// Knows the claims; knows nothing of the server.
import { createHmac, randomUUID } from 'node:crypto';

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** An access token for `userId`, good for `ttl` seconds. */
export function signToken(secret, { userId, ttl = 3600 }) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { user_id: userId, token_type: 'access', iat: now, exp: now + ttl, jti: randomUUID() };
  const signed = `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
