"use strict";
// What a camera wrote beside the pixels. It is kept byte for byte but for what the upright, restored
// pixels make untrue, as in deblur/media/formats/metadata.py, and what pixels in sRGB make untrue.

const EXIF_HEAD = [0x45, 0x78, 0x69, 0x66, 0, 0]; // "Exif", of a JPEG's segment APP1
const ORIENTATION = 0x0112;
const INSIDE = 0x8769; // names the directory with the camera's settings
// A picture's width and height, and its density across and down.
const SIDES = [[0x0100, 0x0101], [0xa002, 0xa003], [0x011a, 0x011b]];
const COLOUR_SPACE = 0xa001; // 1 is sRGB
const INTEROPERABILITY = 0xa005; // names a directory
const INTEROPERABILITY_INDEX = 0x0001;

/** Return a JPEG's EXIF block, from its "II" or "MM" on; null if there is none. */
function readExif(bytes) {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  let at = 2;
  while (at + 4 <= bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda) {
    const end = at + 2 + bytes[at + 2] * 256 + bytes[at + 3];
    const isExif = EXIF_HEAD.every((byte, index) => bytes[at + 4 + index] === byte);
    if (bytes[at + 1] === 0xe1 && isExif) return bytes.slice(at + 10, end);
    at = end;
  }
  return null;
}

/**
 * Return the block for the upright, restored pixels, which are sRGB.
 *
 * The orientation becomes 1, what is said of both sides changes places if the photo lay on its side,
 * the colour space becomes sRGB, and the preview, which is blurred, is unlinked.
 */
function makeUpright(exif) {
  const changed = exif.slice();
  if (exif.length < 10 || !["II", "MM"].includes(decodeText(exif, 0, 2))) return changed;
  const directory = readNumber(exif, 4, 4);
  const own = listEntries(exif, directory);
  const entries = new Map([...followEntry(exif, own.get(INSIDE)), ...own]);
  const orientation = setToOne(changed, own.get(ORIENTATION));
  if (orientation >= 5 && orientation <= 8) swapSides(exif, changed, entries);
  setToOne(changed, entries.get(COLOUR_SPACE));
  const index = followEntry(exif, entries.get(INTEROPERABILITY)).get(INTEROPERABILITY_INDEX);
  if (index !== undefined && decodeText(exif, index + 8, 4) === "R03\0") {
    changed.set([0x52, 0x39, 0x38], index + 8); // "R98", sRGB; R03 is Adobe RGB
  }
  const link = directory + 2 + 12 * readNumber(exif, directory, 2);
  changed.fill(0, link, link + 4);
  return changed;
}

/** Swap what a block says of both sides in a copy of it. */
function swapSides(exif, changed, entries) {
  for (const [across, down] of SIDES) {
    if (!entries.has(across) || !entries.has(down)) continue;
    const [one, other] = [entries.get(across), entries.get(down)];
    // Types and counts go with the values.
    changed.set(exif.subarray(other + 2, other + 12), one + 2);
    changed.set(exif.subarray(one + 2, one + 12), other + 2);
  }
}

/** Set an entry's integer to 1 and return what it was; null if there is none. */
function setToOne(changed, entry) {
  if (entry === undefined) return null;
  const size = { 3: 2, 4: 4 }[readNumber(changed, entry + 2, 2)];
  if (size === undefined) return null;
  const before = readNumber(changed, entry + 8, size);
  changed.fill(0, entry + 8, entry + 8 + size);
  changed[entry + 8 + (isLittle(changed) ? 0 : size - 1)] = 1;
  return before;
}

/** Return where the entries of a directory lie, 12 bytes each, by their tags. */
function listEntries(exif, directory) {
  const start = directory + 2;
  const end = Math.min(start + 12 * readNumber(exif, directory, 2), exif.length - 11);
  const entries = new Map();
  for (let entry = start; entry < end; entry += 12) entries.set(readNumber(exif, entry, 2), entry);
  return entries;
}

/** Return the entries of the directory that an entry names, if there is one. */
function followEntry(exif, entry) {
  return entry === undefined ? new Map() : listEntries(exif, readNumber(exif, entry + 8, 4));
}

/** Return a number in the block's byte order, of what bytes there are. */
function readNumber(exif, at, size) {
  const bytes = exif.slice(at, at + size);
  if (isLittle(exif)) bytes.reverse();
  return bytes.reduce((number, byte) => number * 256 + byte, 0);
}

function isLittle(exif) {
  return exif[0] === 0x49;
}

function decodeText(exif, at, size) {
  return String.fromCharCode(...exif.subarray(at, at + size));
}

/** Return a file with an EXIF block; kind: jpeg or png. */
async function addExif(blob, kind, exif) {
  if (exif === null) return blob;
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const [at, part] = kind === "jpeg" ? [2, makeSegment(exif)] : [33, makeChunk(exif)];
  // After a JPEG's first marker, or a PNG's signature and header.
  return new Blob([bytes.subarray(0, at), part, bytes.subarray(at)], { type: blob.type });
}

/** Return a JPEG's segment APP1. */
function makeSegment(exif) {
  const size = 2 + EXIF_HEAD.length + exif.length;
  return new Uint8Array([0xff, 0xe1, size >> 8, size & 255, ...EXIF_HEAD, ...exif]);
}

/** Return a PNG's chunk eXIf: its length, name, content and checksum. */
function makeChunk(exif) {
  const chunk = new Uint8Array(exif.length + 12);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, exif.length);
  chunk.set([0x65, 0x58, 0x49, 0x66], 4);
  chunk.set(exif, 8);
  view.setUint32(exif.length + 8, checksum(chunk.subarray(4, exif.length + 8)));
  return chunk;
}

/** Return the CRC-32 of PNG. */
function checksum(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
