"use strict";
// The page: chooses how to compute, starts and ends the worker, shows what comes of it.

const find = (id) => document.getElementById(id);
const RUNTIMES = {
  wasm: { script: "ort.wasm.bundle.min.mjs", wasm: "ort-wasm-simd-threaded.wasm" },
  webgpu: { script: "ort.webgpu.bundle.min.mjs", wasm: "ort-wasm-simd-threaded.asyncify.wasm" },
};
const MODEL = "small.onnx";
const INLINED = find(MODEL) !== null;
// Browsers share memory between threads only on pages whose server sends the two isolation headers.
const THREADS = self.crossOriginIsolated && !INLINED ? Math.min(navigator.hardwareConcurrency, 8) : 1;
const NAMES = { wasm: `${THREADS} processor ${THREADS === 1 ? "core" : "cores"}`, webgpu: "the graphics processor" };
let worker = null; // { provider, request, end } once it has started
let running = null; // an AbortController while a photo is restored

/** Return a file of this page: inlined in it, or from its server. */
async function load(name, signal) {
  const inlined = find(name);
  if (inlined) return unpack(inlined.textContent);
  const response = await fetch(name, { signal });
  if (!response.ok) throw new Error(`${name}: the server answered ${response.status}`);
  return response.arrayBuffer();
}

/** Decode base64 of gzip. */
function unpack(text) {
  const packed = atob(text);
  const bytes = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at++) bytes[at] = packed.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** Make a script's address. Workers from a blob are bound by this page's security policy. */
function makeAddress(content) {
  return URL.createObjectURL(new Blob([content], { type: "text/javascript" }));
}

/** Make the address of a module, which a page that is opened from a file cannot import from a blob. */
function makeModuleAddress(content) {
  if (!INLINED) return makeAddress(content);
  return `data:text/javascript,${encodeURIComponent(new TextDecoder().decode(content))}`;
}

/** Start a worker. Its requests resolve to its answers; `end` rejects the one that waits. */
function makeWorker(provider) {
  const own = new Worker(makeAddress(find("worker").textContent));
  let fail = () => {};
  const request = (message, onProgress) => new Promise((resolve, reject) => {
    fail = reject;
    own.onerror = (event) => reject(new Error(event.message || "the worker failed"));
    own.onmessage = ({ data }) => {
      if (data.error !== undefined) reject(new Error(data.error));
      else if (data.tiles) onProgress(data.done, data.tiles);
      else resolve(data);
    };
    own.postMessage(message);
  });
  const end = (reason) => {
    own.terminate();
    fail(reason);
  };
  return { provider, request, end };
}

/** Return a worker that is ready to restore, the one there is if it computes in the wanted way. */
async function startWorker(provider, signal) {
  if (worker?.provider === provider) return worker;
  endWorker();
  const { script, wasm } = RUNTIMES[provider];
  const [code, ...binaries] = await Promise.all(
    [script, wasm, MODEL].map((name) => load(name, signal)));
  signal.throwIfAborted(); // what is inlined is unpacked all the same
  worker = makeWorker(provider);
  await worker.request({
    start: { runtime: makeModuleAddress(code), wasm: binaries[0], model: binaries[1], provider, threads: THREADS },
  });
  return worker;
}

function endWorker(reason) {
  worker?.end(reason);
  worker = null;
}

/** Restore a decoded photo on the first of the providers that can; returns its files and the provider. */
async function restore(bitmap, file, providers, signal) {
  for (const [index, provider] of providers.entries()) {
    try {
      signal.throwIfAborted();
      tell(`Loading the network for ${NAMES[provider]} …`);
      const started = await startWorker(provider, signal);
      signal.throwIfAborted();
      tell(`Removing blur on ${NAMES[provider]} …`);
      const { restored } = await started.request({ restore: { bitmap, file } }, showProgress);
      return { restored, provider };
    } catch (error) {
      endWorker();
      if (signal.aborted || index + 1 === providers.length) throw error;
      console.info(`${provider} failed, so it is ${providers[index + 1]} now:`, error);
      // The next photo would fail there, too; whoever wants to try again can tick the box.
      find("gpu").checked = false;
    }
  }
}

/** Decode a photo; the browser turns it upright by its EXIF orientation. */
async function decode(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Error(`This browser cannot read ${file.name} as a picture.`);
  }
}

async function submit(event) {
  event.preventDefault();
  const [file] = find("photo").files;
  const providers = useGpu() ? ["webgpu", "wasm"] : ["wasm"];
  running = new AbortController();
  find("result").hidden = true;
  showBusy(true);
  tell("Reading the photo …");
  const begun = performance.now();
  let bitmap = null;
  try {
    bitmap = await decode(file);
    const { restored, provider } = await restore(bitmap, file, providers, running.signal);
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    showResult(file, restored);
    tell(`Done in ${seconds} seconds on ${NAMES[provider]}.`);
  } catch (error) {
    if (running.signal.aborted) tell("Cancelled.");
    else tell(`Could not restore the photo: ${error.message}`, true);
  } finally {
    bitmap?.close();
    running = null;
    showBusy(false);
  }
}

/** End the work at once: a runtime that computes cannot be interrupted, but its worker can end. */
function cancel() {
  running?.abort();
  endWorker(running?.signal.reason);
}

function useGpu() {
  return !find("gpu-field").hidden && find("gpu").checked;
}

function tell(text, wrong = false) {
  find("status").textContent = text;
  find("status").classList.toggle("wrong", wrong);
}

function showBusy(busy) {
  const keyboard = [find("restore"), find("cancel")].includes(document.activeElement);
  find("restore").disabled = find("photo").disabled = find("gpu").disabled = busy;
  find("cancel").disabled = !busy;
  find("working").hidden = !busy;
  // Without a value the bar only says that work goes on, as before the first tile is done.
  find("progress").removeAttribute("value");
  // A disabled button loses the focus, and with it the place of those who use the keyboard.
  if (keyboard) find(busy ? "cancel" : "restore").focus();
}

function showProgress(done, tiles) {
  find("progress").value = done / tiles;
  tell(`${done} of ${tiles} parts are done.`);
}

function showResult(file, { jpeg, png }) {
  const stem = file.name.replace(/\.[^.]*$/, "");
  const addresses = { before: file, after: png, "save-jpeg": jpeg, "save-png": png };
  for (const [id, blob] of Object.entries(addresses)) {
    const element = find(id);
    const attribute = element.tagName === "IMG" ? "src" : "href";
    if (element[attribute]) URL.revokeObjectURL(element[attribute]);
    element[attribute] = URL.createObjectURL(blob);
  }
  find("save-jpeg").download = `${stem}_restored.jpg`;
  find("save-png").download = `${stem}_restored.png`;
  find("result").hidden = false;
}

function moveDivider() {
  find("stage").style.setProperty("--place", `${find("slider").value}%`);
}

/** Let the pointer move the divider, too. */
function drag(event) {
  if (event.buttons !== 1) return;
  const { left, width } = find("stage").getBoundingClientRect();
  find("slider").value = ((event.clientX - left) / width) * 100;
  moveDivider();
}

/** Say how this page computes, and what would make it faster. */
function describeThreads() {
  if (THREADS > 1 || INLINED || navigator.hardwareConcurrency === 1) return `Computes on ${NAMES.wasm}.`;
  return "Computes on one processor core. For more, this page’s server must send the headers " +
    "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp.";
}

async function findGpu() {
  if (INLINED) return; // its runtime would make the file twice as large
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  find("gpu-field").hidden = !adapter;
}

function begin() {
  showBusy(false); // a browser may remember what was disabled before a reload
  find("threads").textContent = describeThreads();
  if (location.protocol === "file:" && !INLINED) {
    find("restore").disabled = true;
    tell("A page that is opened from a file cannot read the files beside it: open offline.html instead.", true);
    return;
  }
  find("form").addEventListener("submit", submit);
  find("cancel").addEventListener("click", cancel);
  find("slider").addEventListener("input", moveDivider);
  for (const name of ["pointerdown", "pointermove"]) find("stage").addEventListener(name, drag);
  findGpu();
}

begin();
