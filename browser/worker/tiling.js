"use strict";
// Large photos in tiles, which overlap and fade into each other: deblur/restoration/tiling.py.

/** Cut a picture into rows and columns of tiles of `area` pixels at most, with the fewest pixels in all. */
function planTiles(height, width, area, overlap, stride) {
  if (height * width <= area) return { rows: placeTiles(height, 1), columns: placeTiles(width, 1) };
  let best = null;
  for (let across = 1; across < Math.floor(width / (overlap + stride)) + 2; across++) {
    const columns = placeTiles(width, across, overlap, stride);
    for (let down = 1; down < Math.floor(height / (overlap + stride)) + 2; down++) {
      const rows = placeTiles(height, down, overlap, stride);
      if (longest(rows) * longest(columns) > area) continue;
      const pixels = total(rows) * total(columns);
      if (best === null || pixels < best.pixels) best = { pixels, rows, columns };
      break;
    }
  }
  if (best === null) throw new Error(`tiles of ${area} pixels are too small for an overlap of ${overlap}`);
  return best;
}

/** Place so many tiles over a length; starts are multiples of the stride. */
function placeTiles(length, count, overlap, stride) {
  if (count === 1) return [{ start: 0, end: length }];
  const tile = Math.ceil((length + (count - 1) * overlap) / count);
  const starts = Array.from({ length: count }, (_, index) =>
    Math.floor(((tile - overlap) * index) / stride) * stride);
  return starts.map((start, index) => ({
    start,
    end: index + 1 < count ? starts[index + 1] + overlap : length,
  }));
}

function longest(spans) {
  return Math.max(...spans.map(({ start, end }) => end - start));
}

function total(spans) {
  return spans.reduce((sum, { start, end }) => sum + end - start, 0);
}

/** Return a tile's weights along one side: those of all tiles sum to one everywhere. */
function weigh(spans, index) {
  const { start, end } = spans[index];
  const weights = new Float32Array(end - start).fill(1);
  if (index > 0) {
    const shared = spans[index - 1].end - start;
    for (let at = 0; at < shared; at++) weights[at] *= rise(at, shared);
  }
  if (index + 1 < spans.length) {
    const shared = end - spans[index + 1].start;
    for (let at = 0; at < shared; at++) weights[end - start - shared + at] *= 1 - rise(at, shared);
  }
  return weights;
}

/** Rise from 0 to 1 over the middle half of a length, smoothly. */
function rise(at, length) {
  const place = Math.min(Math.max(((at + 0.5) / length) * 2 - 0.5, 0), 1);
  return place * place * (3 - 2 * place);
}

/**
 * Restore pixels tile by tile, in place; alpha stays.
 *
 * pixels: an ImageData. compute: takes a tile's red, green and blue planes in [0, 1] and its size,
 * and resolves to the restored ones. report: told how many tiles are done, and how many there are.
 */
async function restorePixels(pixels, { area, overlap, stride }, compute, report) {
  const { width, height } = pixels;
  const { rows, columns } = planTiles(height, width, area, overlap, stride);
  const grey = isGrey(pixels.data);
  let done = 0;
  let kept = new Float32Array(0);
  for (const [index, row] of rows.entries()) {
    // Only a row of tiles is kept in floats: for a whole photo they would take 12 bytes a pixel.
    const band = new Float32Array((row.end - row.start) * width * 3);
    band.set(kept);
    const down = weigh(rows, index);
    for (const [place, column] of columns.entries()) {
      const size = [row.end - row.start, column.end - column.start];
      const restored = await compute(cutTile(pixels, row, column), ...size);
      addTile(band, width, column, restored, down, weigh(columns, place));
      report(++done, rows.length * columns.length);
    }
    const rest = index + 1 < rows.length ? rows[index + 1].start : row.end;
    const finished = (rest - row.start) * width * 3;
    // Rows below stay blurred for now: the next row of tiles reads them.
    writeBand(pixels, row.start, band.subarray(0, finished), grey);
    kept = band.subarray(finished);
  }
}

/** Copy a tile's colours into planes. */
function cutTile(pixels, row, column) {
  const area = (row.end - row.start) * (column.end - column.start);
  const planes = new Float32Array(3 * area);
  let to = 0;
  for (let y = row.start; y < row.end; y++) {
    let from = (y * pixels.width + column.start) * 4;
    for (let x = column.start; x < column.end; x++, from += 4, to++) {
      for (let colour = 0; colour < 3; colour++) {
        planes[colour * area + to] = pixels.data[from + colour] / 255;
      }
    }
  }
  return planes;
}

/** Add a restored tile to its band, by its weights. */
function addTile(band, width, column, planes, down, across) {
  const area = down.length * across.length;
  let from = 0;
  for (let y = 0; y < down.length; y++) {
    let to = (y * width + column.start) * 3;
    for (let x = 0; x < across.length; x++, from++, to += 3) {
      const weight = down[y] * across[x];
      for (let colour = 0; colour < 3; colour++) {
        band[to + colour] += weight * planes[colour * area + from];
      }
    }
  }
}

/** Write rows as 8-bit colours; the clamped array rounds as Python does, half to even. */
function writeBand(pixels, top, band, grey) {
  let to = top * pixels.width * 4;
  for (let from = 0; from < band.length; from += 3, to += 4) {
    const mean = (band[from] + band[from + 1] + band[from + 2]) / 3;
    for (let colour = 0; colour < 3; colour++) {
      pixels.data[to + colour] = (grey ? mean : band[from + colour]) * 255;
    }
  }
}

/** Return whether a picture has no colour, so that none is added to it. */
function isGrey(data) {
  for (let at = 0; at < data.length; at += 4) {
    if (data[at] !== data[at + 1] || data[at] !== data[at + 2]) return false;
  }
  return true;
}
