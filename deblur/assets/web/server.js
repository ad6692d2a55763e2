// What the page asks of the server.

export class Failed extends Error {}

const sleep = (seconds, signal) => new Promise((done, fail) => {
  const timer = setTimeout(done, 1000 * seconds);
  signal?.addEventListener("abort", () => { clearTimeout(timer); fail(signal.reason); }, { once: true });
});

async function ask(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (options?.signal?.aborted) throw error;
    throw new Failed("The server does not answer; is it still running?");
  }
}

async function check(answer) {
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const reason = typeof told.detail === "string" ? told.detail : `The server answered ${answer.status}.`;
  throw Object.assign(new Failed(reason), { refused: answer.status < 500 && answer.status !== 408 });
}

export const settings = async () => (await check(await ask("/page/settings"))).json();

export async function upload(file, name, signal) {
  const body = new FormData();
  await file.slice(0, 1).arrayBuffer().catch(() => {
    throw new Failed("This file cannot be read; was it moved or changed, or is it a folder?");
  });
  body.append("file", file, name);
  return (await check(await ask("/page/photos", { method: "POST", body, signal }))).json();
}

// Restore an uploaded photo; `tell` hears how far it is. Waits where the queue is full.
export async function restore(key, model, scale, signal, tell) {
  const body = JSON.stringify({ model, scale });
  const headers = { "Content-Type": "application/json" };
  for (;;) {
    const answer = await ask(`/page/photos/${key}/results`, { method: "POST", body, headers, signal });
    if (answer.status !== 429) return follow(await check(answer), signal, tell);
    tell({ before: null });
    await sleep(Math.min(5, Number(answer.headers.get("Retry-After")) || 1), signal);
  }
}

async function follow(answer, signal, tell) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      if (signal.aborted) throw error;
      return { done: true };
    });
    if (done) throw new Failed("The server ended before the photo was restored.");
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const told = JSON.parse(line);
      if (told.failed) throw new Failed(told.failed);
      if (told.result) return told;
      tell(told);
    }
  }
}

export const address = (key, picture, box) =>
  `/page/photos/${key}/pictures/${encodeURIComponent(picture)}${box ? `?box=${box.join(",")}` : ""}`;

export async function picture(url, signal) {
  return createImageBitmap(await (await check(await ask(url, { signal }))).blob());
}

// What is to be downloaded; format and quality are empty for the photo's own.
export async function choose(key, { result, strength, format, quality, mask }) {
  const body = new FormData();
  body.append("result", result);
  body.append("strength", strength);
  if (format) body.append("format", format);
  if (quality) body.append("quality", quality);
  if (mask) body.append("mask", mask, "mask.png");
  await check(await ask(`/page/photos/${key}/choice`, { method: "PUT", body }));
}

// Let the file be written; what could not be kept as it was is said.
export async function write(key) {
  return (await (await check(await ask(`/page/photos/${key}/file`, { method: "POST" }))).json()).notes;
}

export function download(url) {
  const link = document.createElement("a");
  link.href = url;
  link.download = "";
  document.body.append(link);
  link.click();
  link.remove();
}

export const discard = (keys) => keys.length && navigator.sendBeacon("/page/discard", keys.join(" "));
