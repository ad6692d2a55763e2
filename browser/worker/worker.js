"use strict";
// Restores photos beside the page, so that this stays responsive and can end the work at any time.

const TILES = { area: 1024 ** 2, overlap: 240, stride: 8 };
// Overlap and stride are those that Python measures of `small`; tests compare them. Smaller tiles
// take less memory (at this size about 600 MB) and more time, for the overlap stays the same.
// JPEG is last, as the canvas is laid on white for it.
const FORMATS = { png: { type: "image/png" }, jpeg: { type: "image/jpeg", quality: 0.95 } };
let ort = null;
let session = null;

self.onmessage = async ({ data: { start, restore } }) => {
  try {
    if (start) postMessage({ ready: await startSession(start) });
    if (restore) postMessage({ restored: await restorePhoto(restore) });
  } catch (error) {
    postMessage({ error: error.message ?? String(error) });
  }
};

/** Load the runtime and the network; provider: webgpu or wasm. */
async function startSession({ runtime, wasm, model, provider, threads }) {
  ort = await import(runtime);
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmBinary = wasm;
  session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: [provider] });
  return true;
}

/** Restore a decoded photo; file: where its EXIF block is. Returns a file of each format. */
async function restorePhoto({ bitmap, file }) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const report = (done, tiles) => postMessage({ done, tiles });
  await restorePixels(pixels, TILES, runNetwork, report);
  context.putImageData(pixels, 0, 0);
  const found = readExif(new Uint8Array(await file.arrayBuffer()));
  const exif = found && makeUpright(found);
  const files = {};
  for (const [kind, options] of Object.entries(FORMATS)) {
    if (kind === "jpeg") layOnWhite(context);
    files[kind] = await addExif(await canvas.convertToBlob(options), kind, exif);
  }
  return files;
}

/** Fill what is transparent with white, as Python does for formats without transparency. */
function layOnWhite(context) {
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = "white";
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
}

/** Restore a tile: (1, 3, height, width) in [0, 1]. */
async function runNetwork(planes, height, width) {
  const blur = new ort.Tensor("float32", planes, [1, 3, height, width]);
  const { restored } = await session.run({ blur });
  const values = await restored.getData();
  restored.dispose();
  return values;
}
