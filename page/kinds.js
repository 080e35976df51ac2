// Kinds of files by media type: their names and icons, and whether browsers can show them. Knows no element of the
// page.

const PICTURES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif', 'image/bmp'];

/** Returns `image`, `video` or `audio` if browsers can show this type and the server serves it inline, or else null. */
export function canPreview(type) {
  if (PICTURES.includes(type)) return 'image';
  return /^(video|audio)\//.exec(type)?.[1] ?? null;
}

/** If another program uploads a file, only its name is known until it has been finished. */
const EXTENSIONS = [
  ['image', /\.(avif|bmp|gif|heic|jpe?g|png|tiff?|webp)$/i],
  ['video', /\.(3gp|avi|m4v|mkv|mov|mp4|mpe?g|webm)$/i],
  ['audio', /\.(aac|flac|m4a|mp3|ogg|opus|wav)$/i],
  ['text', /\.(csv|docx?|md|od[pst]|pdf|pptx?|rtf|txt|xlsx?)$/i],
  ['archive', /\.(7z|gz|rar|tar|zip)$/i],
];

/** Returns the icon of a media type, or of a name if the type is unknown. */
export function iconOf(type, name = '') {
  if (!type) return EXTENSIONS.find(([, pattern]) => pattern.test(name))?.[0] ?? 'file';
  const [kind] = type.split('/');
  if (['image', 'video', 'audio', 'text'].includes(kind)) return kind;
  if (/^application\/(pdf|json|xml|rtf|msword)$|document|sheet|presentation|excel|powerpoint|word/.test(type)) return 'text';
  return /zip|tar|compressed|rar|zstd|lz4|-xz|cab/.test(type) ? 'archive' : 'file';
}

/** Names of types that don't follow the pattern `<FORMAT> image`, `video` or `audio`. */
const NAMES = {
  'application/epub+zip': 'E-book',
  'application/gzip': 'GZIP archive',
  'application/java-archive': 'Java archive',
  'application/json': 'JSON',
  'application/msword': 'Word document',
  'application/pdf': 'PDF document',
  'application/postscript': 'PostScript',
  'application/rtf': 'RTF document',
  'application/vnd.android.package-archive': 'Android app',
  'application/vnd.apple.keynote': 'Keynote presentation',
  'application/vnd.apple.numbers': 'Numbers spreadsheet',
  'application/vnd.apple.pages': 'Pages document',
  'application/vnd.debian.binary-package': 'Debian package',
  'application/vnd.microsoft.portable-executable': 'Windows program',
  'application/vnd.ms-cab-compressed': 'CAB archive',
  'application/vnd.ms-excel': 'Excel spreadsheet',
  'application/vnd.ms-outlook': 'Outlook message',
  'application/vnd.ms-powerpoint': 'PowerPoint presentation',
  'application/vnd.rar': 'RAR archive',
  'application/vnd.sqlite3': 'SQLite database',
  'application/vnd.visio': 'Visio drawing',
  'application/x-7z-compressed': '7-Zip archive',
  'application/x-bzip2': 'BZIP2 archive',
  'application/x-executable': 'Program',
  'application/x-mach-binary': 'Program',
  'application/x-mobipocket-ebook': 'E-book',
  'application/x-msi': 'Windows installer',
  'application/x-rpm': 'RPM package',
  'application/x-tar': 'TAR archive',
  'application/x-xz': 'XZ archive',
  'application/xhtml+xml': 'Web page',
  'application/xml': 'XML',
  'application/zip': 'ZIP archive',
  'application/zstd': 'Zstandard archive',
  'audio/mp4': 'M4A audio',
  'audio/mpeg': 'MP3 audio',
  'audio/x-m4a': 'M4A audio',
  'image/svg+xml': 'SVG image',
  'image/vnd.adobe.photoshop': 'Photoshop image',
  'image/vnd.djvu': 'DjVu document',
  'image/vnd.dwg': 'AutoCAD drawing',
  'image/vnd.microsoft.icon': 'Icon',
  'text/calendar': 'Calendar',
  'text/css': 'Style sheet',
  'text/csv': 'CSV table',
  'text/html': 'Web page',
  'text/javascript': 'JavaScript',
  'text/tab-separated-values': 'TSV table',
  'text/vcard': 'Contact',
  'text/vtt': 'Subtitles',
  'text/xml': 'XML',
  'video/mp2t': 'MPEG video',
  'video/quicktime': 'QuickTime video',
  'video/x-flv': 'Flash video',
  'video/x-ms-asf': 'Windows Media video',
  'video/x-msvideo': 'AVI video',
};
/** Names of formats, most of which are not simply the subtype in capitals. */
const SPELLINGS = { jpeg: 'JPEG', webp: 'WebP', webm: 'WebM', matroska: 'Matroska', ogg: 'Ogg', '3gpp': '3GP', '3gpp2': '3GP' };
const FAMILIES = [
  [/openxmlformats.*wordprocessing|ms-word|opendocument\.text/, 'Text document'],
  [/openxmlformats.*spreadsheet|ms-excel|opendocument\.spreadsheet/, 'Spreadsheet'],
  [/openxmlformats.*presentation|ms-powerpoint|opendocument\.presentation/, 'Presentation'],
  [/opendocument\.graphics/, 'Drawing'],
];

/** Describes a kind of file: `JPEG image`, `MP3 audio`, `Text`. If the type is unknown, uses the name's extension. */
export function describeKind(type, name = '') {
  if (NAMES[type]) return NAMES[type];
  const family = FAMILIES.find(([pattern]) => pattern.test(type));
  if (family) return family[1];
  const [kind, format] = type.split('/');
  if (kind === 'text') return 'Text';
  if (kind === 'font') return 'Font';
  if (['image', 'video', 'audio'].includes(kind)) return describeFormat(kind, format.replace(/^x-|-sequence$/, ''));
  const extension = /\.([a-z0-9]{1,5})$/i.exec(name)?.[1];
  return extension ? `${extension.toUpperCase()} file` : 'File';
}

function describeFormat(kind, format) {
  const known = SPELLINGS[format] ?? (/^[a-z0-9]{2,5}$/.test(format) ? format.toUpperCase() : '');
  return known ? `${known} ${kind}` : kind.replace(/^./, (first) => first.toUpperCase());
}
