"use strict";
// What a camera wrote beside the pixels. It is kept byte for byte but for what the upright, restored
// pixels make untrue, as in deblur/media/formats/metadata.py.

const EXIF_HEAD = [0x45, 0x78, 0x69, 0x66, 0, 0]; // "Exif", of a JPEG's segment APP1
const ORIENTATION = 0x0112;

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

/** Set the orientation to 1, for the pixels are upright, and unlink the preview, which is blurred. */
function makeUpright(exif) {
  const changed = exif.slice();
  const view = new DataView(changed.buffer);
  const little = changed[0] === 0x49;
  try {
    const directory = view.getUint32(4, little);
    const count = view.getUint16(directory, little);
    const link = directory + 2 + 12 * count;
    for (let entry = directory + 2; entry < link; entry += 12) {
      if (view.getUint16(entry, little) !== ORIENTATION) continue;
      if (view.getUint16(entry + 2, little) === 3) view.setUint16(entry + 8, 1, little);
      else view.setUint32(entry + 8, 1, little);
    }
    view.setUint32(link, 0, little);
  } catch (error) {
    // A block that ends too early: no program finds more in it than was found here.
    if (!(error instanceof RangeError)) throw error;
  }
  return changed;
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
