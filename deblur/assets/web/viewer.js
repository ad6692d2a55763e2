// One photo, large: two pictures under a line, the strength, and where the restoration applies.

import { address, picture } from "/static/server.js";

const $ = (id) => document.getElementById(id);
const NEAR = 28;  // pixels around the line within which a finger takes hold of it
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export class Viewer {
  constructor(changed) {
    this.changed = changed;  // told when what would be downloaded has changed
    this.photo = null;
    this.split = 50;
    this.full = false;
    this.corner = { x: 0, y: 0 };  // of the part that is shown at 100%
    this.pictures = {};
    this.listen();
    new ResizeObserver(() => this.photo && this.fit()).observe($("stage"));
  }

  listen() {
    const scene = $("scene");
    scene.addEventListener("pointerdown", (event) => this.press(event));
    scene.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) scene.addEventListener(name, () => this.release());
    $("stage").addEventListener("keydown", (event) => this.key(event));
    $("split").addEventListener("input", () => { this.split = Number($("split").value); this.place(); });
    $("strength").addEventListener("input", () => {
      this.photo.strength = Number($("strength").value) / 100;
      this.place();
      this.changed();
    });
    $("zoom").addEventListener("change", () => this.zoom($("zoom").value === "full"));
    $("kind").addEventListener("change", () => { this.photo.region.kind = $("kind").value; this.limit(); });
    $("feather").addEventListener("input", () => { this.photo.region.feather = $("feather").value / 100; this.limit(); });
    $("wipe").addEventListener("click", () => { this.photo.region.wipe(); this.limit(); });
    for (const input of document.querySelectorAll("[data-edge]")) {
      input.addEventListener("input", () => {
        this.photo.region.rectangle[input.dataset.edge] = clamp(Number(input.value), 0, 100) / 100;
        this.limit();
      });
    }
  }

  async show(photo) {
    const other = this.photo !== photo;
    this.photo = photo;
    if (other) {
      this.corner = { x: photo.size[0] / 2, y: photo.size[1] / 2 };
      this.full = false;
      $("zoom").value = "fit";
    }
    $("strength").value = 100 * photo.strength;
    $("kind").value = photo.region.kind;
    $("feather").value = 100 * photo.region.feather;
    await this.load();
  }

  // The part of the photo that is shown at 100%: left, top, width, height.
  box() {
    const [width, height] = this.photo.size, ratio = window.devicePixelRatio || 1;
    const wide = Math.min(width, 2048, Math.round($("stage").clientWidth * ratio));
    const high = Math.min(height, 2048, Math.round(0.65 * window.innerHeight * ratio));
    const left = Math.round(clamp(this.corner.x - wide / 2, 0, width - wide));
    const top = Math.round(clamp(this.corner.y - high / 2, 0, height - high));
    return [left, top, wide, high];
  }

  async load() {
    const { photo } = this, box = this.full ? this.box() : null;
    const names = new Set(["original", photo.left, photo.right]);
    this.loading?.abort();
    this.loading = new AbortController();
    const { signal } = this.loading;
    try {
      const found = await Promise.all([...names].map(async (name) => {
        const url = address(photo.key, name, box);
        const kept = this.pictures[name]?.url === url ? this.pictures[name] : null;
        return [name, kept ?? { url, image: await picture(url, signal) }];
      }));
      if (signal.aborted) return;
      this.pictures = Object.fromEntries(found);
      this.shown = box;
      $("veil").hidden = true;
    } catch (error) {
      if (signal.aborted) return;
      $("veil").hidden = false;
      $("veil").textContent = error.message;
      return;
    }
    this.fit();
    this.draw();
  }

  fit() {
    const scene = $("scene"), [width, height] = this.photo.size;
    const room = $("stage").clientWidth, tall = 0.65 * window.innerHeight;
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = this.shown
      ? [this.shown[2] / ratio, this.shown[3] / ratio]
      : [Math.min(room, tall * width / height), Math.min(tall, room * height / width)];
    scene.style.width = `${wide}px`;
    scene.style.height = `${high}px`;
    document.body.classList.toggle("full", this.full && this.photo.region.kind === "whole");
    this.place();
  }

  draw() {
    const { photo } = this, original = this.pictures.original.image;
    const mask = photo.region.canvas();
    for (const [id, name] of [["after", photo.right], ["before", photo.left]]) {
      const canvas = $(id), context = canvas.getContext("2d");
      canvas.hidden = name === "original";
      [canvas.width, canvas.height] = [original.width, original.height];
      if (canvas.hidden) continue;
      context.drawImage(this.pictures[name].image, 0, 0, canvas.width, canvas.height);
      if (!mask) continue;
      const [left, top, width, height] = this.shown ?? [0, 0, ...photo.size];
      const across = mask.width / photo.size[0], down = mask.height / photo.size[1];
      context.globalCompositeOperation = "destination-in";
      context.drawImage(mask, left * across, top * down, width * across, height * down, 0, 0, canvas.width, canvas.height);
      context.globalCompositeOperation = "source-over";
    }
    const url = this.pictures.original.url;
    if ($("base").getAttribute("src") !== url) $("base").src = url;
    $("base").alt = `${photo.name}, as it was`;
    this.place();
  }

  // Place what costs nothing to move: the line, the strength, the frame, the labels.
  place() {
    const { photo, split } = this;
    const after = $("after"), before = $("before");
    after.style.opacity = before.style.opacity = photo.strength;
    after.style.clipPath = `inset(0 0 0 ${split}%)`;
    before.style.clipPath = `inset(0 ${100 - split}% 0 0)`;
    $("line").style.left = `${split}%`;
    $("split").value = split;
    $("percent").textContent = `${Math.round(100 * photo.strength)}%`;
    $("lefttag").textContent = label(photo.left);
    $("righttag").textContent = label(photo.right);
    const { kind, rectangle } = photo.region, frame = $("frame");
    document.body.classList.toggle("drawing", kind !== "whole");
    frame.hidden = kind !== "rectangle" || this.full;
    for (const [edge, share] of Object.entries(rectangle)) frame.style[edge] = `${100 * share}%`;
    $("region").hidden = kind === "whole";
    $("howto").textContent = kind === "brush" ? "Paint on the photo what is to be restored" : "Draw a rectangle on the photo, or type it";
    for (const kindly of ["brush", "rectangle"]) {
      for (const one of document.querySelectorAll(`#region .${kindly}`)) one.hidden = kind !== kindly;
    }
    for (const input of document.querySelectorAll("[data-edge]")) {
      if (input !== document.activeElement) input.value = Math.round(100 * rectangle[input.dataset.edge]);
    }
  }

  // The region has changed.
  limit() {
    this.changed();
    document.body.classList.toggle("full", this.full && this.photo.region.kind === "whole");
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  zoom(full) {
    this.full = full;
    this.load();
  }

  // Where an event is on the photo, each side 0 to 1.
  point(event) {
    const area = $("scene").getBoundingClientRect(), [width, height] = this.photo.size;
    const [left, top, wide, high] = this.shown ?? [0, 0, width, height];
    return {
      x: clamp((left + (event.clientX - area.left) / area.width * wide) / width, 0, 1),
      y: clamp((top + (event.clientY - area.top) / area.height * high) / height, 0, 1),
    };
  }

  press(event) {
    if (event.button !== 0) return;
    const area = $("scene").getBoundingClientRect();
    const near = Math.abs(event.clientX - area.left - area.width * this.split / 100) < NEAR;
    const { kind } = this.photo.region;
    const drag = kind !== "whole" ? kind : this.full && !near ? "pan" : "line";
    this.drag = { drag, start: this.point(event), last: this.point(event), x: event.clientX, y: event.clientY, corner: { ...this.corner } };
    $("scene").setPointerCapture(event.pointerId);
    this.move(event);
  }

  move(event) {
    if (!this.drag) return;
    const { drag, start, last, x, y, corner } = this.drag, now = this.point(event);
    const area = $("scene").getBoundingClientRect(), { region } = this.photo;
    if (drag === "line") {
      this.split = clamp(100 * (event.clientX - area.left) / area.width, 0, 100);
      this.place();
    } else if (drag === "pan") {
      const ratio = window.devicePixelRatio || 1;
      this.pan(corner.x - (event.clientX - x) * ratio, corner.y - (event.clientY - y) * ratio);
    } else if (drag === "rectangle") {
      region.rectangle = {
        left: Math.min(start.x, now.x), top: Math.min(start.y, now.y),
        width: Math.abs(now.x - start.x), height: Math.abs(now.y - start.y),
      };
      this.limit();
    } else {
      region.paint(last, now, 0.002 * $("size").value, $("paints").value === "1");
      this.drag.last = now;
      this.limit();
    }
  }

  release() { this.drag = null; }

  pan(x, y) {
    const [width, height] = this.photo.size, [, , wide, high] = this.box();
    this.corner = { x: clamp(x, wide / 2, width - wide / 2), y: clamp(y, high / 2, height - high / 2) };
    clearTimeout(this.later);
    this.later = setTimeout(() => this.load(), 60);
  }

  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step || event.target !== $("stage")) return;
    if (event.altKey || event.ctrlKey || event.metaKey) return;  // the browser's own: back, for one
    if (this.full) {
      this.pan(this.corner.x + 200 * step[0], this.corner.y + 200 * step[1]);
    } else if (step[0]) {
      this.split = clamp(this.split + 2 * step[0], 0, 100);
      this.place();
    } else return;
    event.preventDefault();
  }
}

// What a picture is called: "small", or "small, half size".
export function label(name) {
  if (name === "original") return "before";
  const at = name.lastIndexOf("@"), scale = name.slice(at + 1);
  const sizes = { 1: "", 2: ", half size", 4: ", quarter size", auto: ", size chosen" };
  return name.slice(0, at) + sizes[scale];
}
