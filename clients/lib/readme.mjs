// The code snippets for clients in README.md, as users copy them.
import { readFileSync } from 'node:fs';

const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** The code below `**<client>**` in the README, for a server at `url` and a user's `token`. */
export function snippet(client, { url, token }) {
  const [, code] = new RegExp(`^\\*\\*${client}\\*\\*.*?^\`\`\`jsx?\n(.*?)^\`\`\``, 'ms').exec(README);
  return `const token = ${JSON.stringify(token)};\n${code.replaceAll('http://127.0.0.1:8080', url)}`;
}
