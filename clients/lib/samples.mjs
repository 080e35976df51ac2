// Files to upload. They have the same bytes in every run, and browsers can display or play them.
import { readFileSync } from 'node:fs';
import { crc32, deflateSync } from 'node:zlib';

/** `length` bytes that look random and are the same for the same `seed` (a 32-bit xorshift). */
export function noise(length, seed = 1) {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = Math.imul(seed, 0x9e3779b1) | 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return Buffer.from(words.buffer, 0, length);
}

/** A square PNG of noise: about 3 x side x side bytes, because noise does not compress. */
export function png(side) {
  const row = 1 + side * 3;
  const pixels = noise(row * side);
  for (let y = 0; y < side; y++) pixels[y * row] = 0; // filter type "none"
  return pngOf(side, side, pixels);
}

/** Encodes a PNG. `rows` has, row by row, a filter byte and three bytes per pixel. */
function pngOf(width, height, rows) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8); // 8 bits, truecolour
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, pngChunk('IHDR', header), pngChunk('IDAT', deflateSync(rows)), pngChunk('IEND')]);
}

/** A PNG of hills under a sky, different for each `seed`: something to look at, in a few kilobytes. */
export function landscape(width, height, seed = 1) {
  const random = noise(12, seed);
  const [hue, phase] = [random[1], random[5] / 40];
  const rows = Buffer.alloc((1 + width * 3) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const far = 0.5 + 0.1 * Math.sin(phase + (x / width) * 5);
      const near = 0.72 + 0.12 * Math.sin(phase * 2 + (x / width) * 8);
      const depth = y / height > near ? 2 : y / height > far ? 1 : 0;
      const light = depth === 0 ? 235 - (y / height) * 70 : depth === 1 ? 130 : 75;
      const at = y * (1 + width * 3) + 1 + x * 3;
      for (let channel = 0; channel < 3; channel++) {
        const tint = 40 * Math.sin((hue / 256) * 6.3 + channel * 2.1 + depth);
        rows[at + channel] = Math.max(0, Math.min(255, light + tint));
      }
    }
  }
  return pngOf(width, height, rows);
}

function pngChunk(type, data = Buffer.alloc(0)) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(data.length, 0);
  chunk.set(body, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return chunk;
}

/** A one-pixel GIF; decoders stop at its trailer and ignore the padding after it. */
export function gif(padding = 0) {
  const pixel = Buffer.from('R0lGODlhAQABAIAAAP8AAAAAACwAAAAAAQABAAACAkQBADs=', 'base64');
  return Buffer.concat([pixel, noise(padding, 2)]);
}

/** Two seconds of H.264 without metadata, made longer by media data that no track points at, which players skip. */
export function mp4(padding = 0) {
  const video = readFileSync(new URL('../fixtures/two-seconds.mp4', import.meta.url));
  const box = Buffer.alloc(8);
  box.writeUInt32BE(padding + 8, 0);
  box.write('mdat', 4, 'latin1');
  return Buffer.concat([video, box, noise(padding, 3)]);
}

/** A one-page PDF, with a stream of padding that the page does not use. */
export function pdf(padding = 0) {
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 100] /Contents 4 0 R >>',
    stream(Buffer.from('1 0 0 rg 20 20 160 60 re f')),
    stream(noise(padding, 4)),
  ];
  const parts = [Buffer.from('%PDF-1.4\n')];
  const offsets = [];
  let length = parts[0].length;
  for (const [index, object] of objects.entries()) {
    const part = Buffer.concat([Buffer.from(`${index + 1} 0 obj\n`), Buffer.from(object), Buffer.from('\nendobj\n')]);
    offsets.push(length);
    parts.push(part);
    length += part.length;
  }
  const rows = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('');
  const count = objects.length + 1;
  parts.push(Buffer.from(`xref\n0 ${count}\n0000000000 65535 f \n${rows}`));
  parts.push(Buffer.from(`trailer\n<< /Size ${count} /Root 1 0 R >>\nstartxref\n${length}\n%%EOF\n`));
  return Buffer.concat(parts);
}

function stream(bytes) {
  return Buffer.concat([Buffer.from(`<< /Length ${bytes.length} >>\nstream\n`), bytes, Buffer.from('\nendstream')]);
}

/** A second of silence, for players. */
export function wav() {
  const [rate, length] = [8000, 8000];
  const header = Buffer.alloc(44);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(36 + length, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20); // PCM
  header.writeUInt16LE(1, 22); // one channel
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(rate, 28);
  header.writeUInt16LE(1, 32);
  header.writeUInt16LE(8, 34); // bits
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(length, 40);
  return Buffer.concat([header, Buffer.alloc(length, 128)]);
}
