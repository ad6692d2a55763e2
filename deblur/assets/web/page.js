// The page: photos in a queue, of which one is shown in the viewer.

import { address, choose, discard, download, picture, restore, settings, upload, write } from "/static/server.js";
import { Region } from "/static/region.js";
import { Viewer, label } from "/static/viewer.js";

const $ = (id) => document.getElementById(id);
const AT_ONCE = 2;  // photos that are sent: while one is restored the next is uploaded
const photos = [];
const viewer = new Viewer(() => noteChoice(viewer.photo));
let server, shown = null;

const say = (text) => { $("status").textContent = text; };
const make = (tag, settings = {}) => Object.assign(document.createElement(tag), settings);
const model = () => document.querySelector("[name=model]:checked").value;
const wish = () => `${model()}@${$("scale").value}`;

function add(files) {
  if (!files.length) return;
  const focused = $("trying").contains(document.activeElement);
  for (const file of files) {
    const photo = { file, name: file.name, results: {}, state: "waiting", wish: wish(), left: "original", strength: 1 };
    if (file.size > server.megabytes * 2 ** 20) {
      Object.assign(photo, { state: "failed", refused: true, told: `Larger than the limit of ${server.megabytes} MB.` });
    }
    photos.push(photo);
    list(photo);
  }
  $("queue").hidden = false;
  $("trying").hidden = true;
  if (focused) photos.at(-1).cancel.focus();
  $("queue").scrollIntoView({ behavior: "smooth", block: "nearest" });
  say(`${files.length} added`);
  pump();
}

function list(photo) {
  const row = make("li"), open = make("button", { type: "button", className: "open" });
  photo.thumbs = [make("canvas"), make("canvas", { hidden: true })];
  open.append(...photo.thumbs, make("span", { className: "name", textContent: photo.name }));
  open.setAttribute("aria-label", `Show ${photo.name}`);
  open.addEventListener("click", () => { if (photo.right) show(photo, true); });
  photo.cancel = make("button", { type: "button" });
  photo.cancel.addEventListener("click", () => (photo.abort ? photo.abort.abort() : remove(photo)));
  photo.bar = make("progress", { max: 1 });
  photo.bar.setAttribute("aria-label", `Progress of ${photo.name}`);
  photo.line = make("p", { className: "told" });
  row.append(open, photo.cancel, photo.bar, photo.line);
  photo.row = row;
  $("photos").append(row);
  if (photo.state !== "failed") createImageBitmap(photo.file, { resizeWidth: 160 }).then((image) => thumb(photo, 0, image), () => {});
  tell(photo);
}

function thumb(photo, which, image) {
  const canvas = photo.thumbs[which];
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").drawImage(image, 0, 0);
  canvas.hidden = false;
}

function tell(photo) {
  const busy = photo.abort !== undefined;
  photo.cancel.textContent = busy ? "Stop" : "Remove";
  photo.cancel.setAttribute("aria-label", `${photo.cancel.textContent} ${photo.name}`);
  photo.bar.hidden = !busy;
  if (photo.total) photo.bar.value = photo.done / photo.total;
  else photo.bar.removeAttribute("value");
  photo.line.textContent = photo.trouble ?? { waiting: "Waiting for its turn." }[photo.state] ?? photo.told ?? "";
  photo.line.classList.toggle("wrong", photo.state === "failed" || photo.trouble !== undefined);
  const ready = photos.filter((one) => one.right);
  $("all").hidden = ready.length < 2;
  $("all").textContent = `Download all ${ready.length} (.zip)`;
  $("again").hidden = !photos.some(isLeft);
}

// Whether a photo could be restored with the present settings, but neither is nor will be.
function isLeft(photo) {
  const coming = photo.state === "waiting" && photo.wish === wish();
  return !photo.refused && !photo.abort && !photo.results[wish()] && !coming;
}

function pump() {
  for (const photo of photos) {
    const busy = photos.filter((one) => one.abort);
    if (busy.length >= AT_ONCE || busy.some((one) => !one.sent)) return;  // in the order of the list
    if (photo.state === "waiting") work(photo).finally(pump);
  }
}

async function work(photo) {
  const { signal } = (photo.abort = new AbortController());
  Object.assign(photo, { state: "busy", told: "Uploading.", trouble: undefined, total: 0, sent: false });
  tell(photo);
  try {
    if (!photo.key) {
      const kept = await upload(photo.file, photo.name, signal);
      photo.key = kept.key;
      photo.kept = kept.name;  // with the ending of what the file holds
      photo.size = kept.size;
      photo.region = new Region(...kept.size);
    }
    const at = photo.wish.lastIndexOf("@");
    const result = await restore(photo.key, photo.wish.slice(0, at), photo.wish.slice(at + 1), signal, (told) => hear(photo, told));
    photo.results[result.result] = result;
    photo.right = result.result;
    photo.state = "done";
    photo.told = [`${photo.size.join(" × ")} pixels, ${label(result.result)}, ${result.seconds} seconds.`, ...result.notes.map((note) => `${note}.`)].join(" ");
    noteChoice(photo);
    say(`${photo.name} is restored`);
  } catch (error) {
    const stopped = signal.aborted;
    photo.state = stopped ? "stopped" : "failed";
    photo.refused = !photo.key && error.refused;
    photo.told = stopped ? "Stopped." : explain(photo, error);
    if (!stopped) say(`${photo.name}: ${photo.told}`);
  }
  photo.abort = undefined;
  if (!photos.includes(photo)) return photo.key && discard([photo.key]);
  tell(photo);
  if (photo.state !== "done") return;
  await (shown === null || shown === photo ? show(photo, shown === null) : null);
  await makeThumbs(photo).catch(() => {});
}

function explain(photo, error) {
  return error.message.replace(`${photo.kept ?? photo.name}: `, "");
}

function hear(photo, told) {
  if (!photo.sent) {
    photo.sent = true;
    pump();
  }
  if (told.before !== undefined) {
    photo.told = told.before ? `Waiting for its turn: ${told.before} before it.` : "Waiting for its turn.";
  } else {
    photo.done = told.done;
    photo.total = told.total;
    photo.told = told.total ? `Restored ${told.done} of ${told.total} tiles.` : "Restoring.";
  }
  tell(photo);
}

async function makeThumbs(photo) {
  const small = async (name) => createImageBitmap(await picture(address(photo.key, name)), { resizeWidth: 160 });
  if (!photo.thumbs[0].getAttribute("width")) thumb(photo, 0, await small("original"));
  thumb(photo, 1, await small(photo.right));
}

async function show(photo, scroll) {
  shown = photo;
  for (const one of photos) one.row.classList.toggle("shown", one === photo);
  $("viewer").hidden = false;
  $("title").textContent = photo.name;
  nameDownload();
  choices($("left"), photo, photo.left, true);
  choices($("right"), photo, photo.right, false);
  $("notes").replaceChildren(...photo.results[photo.right].notes.map((note) => make("li", { textContent: `${note}.` })));
  await viewer.show(photo);
  if (scroll) $("viewer").scrollIntoView({ behavior: "smooth", block: "start" });
}

// What can be shown at one side: what there is, and what other models would make.
function choices(select, photo, chosen, original) {
  const there = [...(original ? ["original"] : []), ...Object.keys(photo.results)];
  const scale = $("scale").value;
  const others = server.models.map((one) => `${one.name}@${scale}`).filter((name) => !photo.results[name]);
  select.replaceChildren(
    ...there.map((name) => new Option(label(name), name, false, name === chosen)),
    ...others.map((name) => new Option(`restore by ${label(name)}`, `!${name}`)),
  );
}

function pick(side) {
  const photo = shown, name = $(side).value;
  if (!name.startsWith("!")) {
    photo[side] = name;
    noteChoice(photo);
    return show(photo, false);
  }
  if (photo.abort || photo.state === "waiting") {  // one after the other
    $(side).value = photo[side];
    return;
  }
  const before = photo.right;  // stays on the right where the left is chosen
  photo.wish = name.slice(1);
  photo.state = "waiting";
  $(side).value = photo[side];
  tell(photo);
  const wait = setInterval(() => {
    const removed = !photos.includes(photo);
    if (!removed && (photo.state === "waiting" || photo.abort)) return;
    clearInterval(wait);
    if (removed) return;
    if (photo.state === "done" && side === "left") Object.assign(photo, { left: photo.right, right: before });
    if (shown === photo) show(photo, false);
  }, 200);
  pump();
}

// Tell the server what would be downloaded, once it has been the same for a moment.
function noteChoice(photo) {
  clearTimeout(photo.later);
  photo.unsaved = true;
  photo.later = setTimeout(() => save(photo).catch(() => {}), 500);
}

async function save(photo) {
  clearTimeout(photo.later);
  while (photo.saving) await photo.saving.catch(() => {});
  if (!photo.unsaved) return;
  photo.unsaved = false;
  photo.saving = sendChoice(photo);
  try {
    await photo.saving;
  } catch (error) {
    photo.unsaved = true;
    throw error;
  } finally {
    photo.saving = undefined;
  }
}

async function sendChoice(photo) {
  const [format, quality] = [$("format").value, $("quality").disabled ? "" : $("quality").value];
  await choose(photo.key, { result: photo.right, strength: photo.strength, format, quality, mask: await photo.region.png() });
}

function nameDownload() {
  const ending = $("format").value;
  const name = shown.kept.replace(/(\.[^.]*)?$/, (own) => `_restored${ending ? `.${ending}` : own}`);
  $("download").textContent = `Download ${name}`;
}

async function fetchFiles(button, chosen, find) {
  if (button.ariaBusy === "true") return;
  button.ariaBusy = "true";
  say("The files are written");
  const ready = [];
  for (const photo of chosen) {
    photo.trouble = undefined;
    try {
      await save(photo);
      noteSaved(photo, await write(photo.key));
      ready.push(photo);
    } catch (error) {
      photo.trouble = explain(photo, error);
      photo.unsaved = true;
      say(`${photo.name}: ${photo.trouble}`);
    }
    tell(photo);
  }
  button.ariaBusy = "false";
  if (ready.length) download(find(ready));
}

function noteSaved(photo, notes) {
  if (shown !== photo) return;
  const all = new Set([...photo.results[photo.right].notes, ...notes]);
  $("notes").replaceChildren(...[...all].map((note) => make("li", { textContent: `${note}.` })));
}

function remove(photo) {
  const place = photos.indexOf(photo), focused = photo.row.contains(document.activeElement);
  photos.splice(place, 1);
  photo.row.remove();
  photo.abort?.abort();
  if (photo.key && !photo.abort) discard([photo.key]);
  if (shown === photo) {
    shown = null;
    $("viewer").hidden = true;
    const next = photos.find((one) => one.right);
    if (next) show(next, false);
  }
  for (const one of photos) tell(one);
  $("queue").hidden = $("all").hidden = !photos.length;
  $("trying").hidden = photos.length > 0;
  if (photos.length) tell(photos[0]);
  else $("again").hidden = true;
  if (focused || !photos.length) ((photos[place] ?? photos.at(-1))?.cancel ?? $("files")).focus();
}

async function start() {
  server = await settings();
  server.models.forEach(({ name, about }, place) => {
    const line = make("label"), text = make("span", { textContent: name });
    line.append(make("input", { type: "radio", name: "model", value: name, checked: place === 0 }), text);
    if (about) text.append(make("small", { textContent: about }));
    $("models").append(line);
  });
  server.examples.forEach((url, place) => {
    const button = make("button", { type: "button" });
    button.append(make("img", { src: url, alt: `Example ${place + 1}` }));
    button.addEventListener("click", async () => {
      const content = await (await fetch(url)).blob();
      add([new File([content], url.split("/").pop(), { type: content.type })]);
    });
    $("examples").append(button);
  });
  $("format").append(...server.endings.map((ending) => new Option(ending.toUpperCase(), ending)));
  $("place").textContent = `Runs on ${server.place}; nothing is uploaded elsewhere.`;
}

$("files").addEventListener("change", () => { add([...$("files").files]); $("files").value = ""; });
for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => { event.preventDefault(); document.body.classList.add("over"); });
}
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  add([...event.dataTransfer.files]);
});
for (const side of ["left", "right"]) $(side).addEventListener("change", () => pick(side));
for (const part of ["models", "scale"]) {
  $(part).addEventListener("change", () => {
    if (photos.length) tell(photos[0]);
    if (shown) for (const side of ["left", "right"]) choices($(side), shown, shown[side], side === "left");
  });
}
$("again").addEventListener("click", () => {
  for (const photo of photos) {
    if (isLeft(photo)) {
      Object.assign(photo, { wish: wish(), state: "waiting" });
      tell(photo);
    }
  }
  pump();
});
$("clear").addEventListener("click", () => { for (const photo of [...photos]) remove(photo); });
$("download").addEventListener("click", () => fetchFiles($("download"), [shown], ([photo]) => `/page/photos/${photo.key}/file`));
$("all").addEventListener("click", () => {
  const ready = photos.filter((one) => one.right);
  fetchFiles($("all"), ready, (written) => `/page/archive?${written.map((one) => `key=${one.key}`).join("&")}`);
});
for (const part of ["format", "quality"]) {
  $(part).addEventListener("change", () => {
    $("quality").disabled = ["png", "tif"].includes($("format").value);
    const quality = $("quality").value;
    if (quality) $("quality").value = Math.min(100, Math.max(1, Math.round(quality)));
    for (const photo of photos) photo.unsaved = true;
    if (shown) nameDownload();
  });
}
addEventListener("pagehide", (event) => {
  if (!event.persisted) discard(photos.filter((one) => one.key).map((one) => one.key));
});
start().catch((error) => { $("place").textContent = error.message; });
