// Signs access tokens as an application's own backend would: with HS256 and the shared secret.
// It knows the claims, and nothing about the server.
import { createHmac, randomUUID } from 'node:crypto';

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Creates an access token for `userId` that is valid for `ttl` seconds. */
export function signToken(secret, { userId, ttl = 3600 }) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { user_id: userId, token_type: 'access', iat: now, exp: now + ttl, jti: randomUUID() };
  const signed = `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
