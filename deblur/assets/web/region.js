// Where a restoration applies: everywhere, in a rectangle, or where a brush has painted; feathered.

const SIDE = 768;  // pixels of the longer side; the server enlarges it

export class Region {
  constructor(width, height) {
    const scale = Math.min(1, SIDE / Math.max(width, height));
    this.width = Math.max(1, Math.round(width * scale));
    this.height = Math.max(1, Math.round(height * scale));
    this.kind = "whole";
    this.feather = 0.3;
    this.rectangle = { left: 0.25, top: 0.25, width: 0.5, height: 0.5 };
    this.painted = new Uint8ClampedArray(this.width * this.height);
  }

  // Paint, or erase, a line between two points in [0, 1]; `radius` is a share of the longer side.
  paint(from, to, radius, paints) {
    const side = Math.max(this.width, this.height), reach = radius * side;
    const steps = Math.max(1, Math.ceil(Math.hypot((to.x - from.x) * this.width, (to.y - from.y) * this.height) / (reach / 2 + 1)));
    for (let step = 0; step <= steps; step++) {
      const x = (from.x + (to.x - from.x) * step / steps) * this.width;
      const y = (from.y + (to.y - from.y) * step / steps) * this.height;
      for (let row = Math.max(0, Math.floor(y - reach)); row < Math.min(this.height, y + reach + 1); row++) {
        for (let column = Math.max(0, Math.floor(x - reach)); column < Math.min(this.width, x + reach + 1); column++) {
          if (Math.hypot(column + 0.5 - x, row + 0.5 - y) <= reach) this.painted[row * this.width + column] = paints ? 255 : 0;
        }
      }
    }
  }

  wipe() { this.painted.fill(0); }

  // The mask as a canvas whose alpha is the share; null for everywhere.
  canvas() {
    if (this.kind === "whole") return null;
    let values = this.painted;
    if (this.kind === "rectangle") {
      const { left, top, width, height } = this.rectangle;
      values = new Uint8ClampedArray(this.width * this.height);
      for (let row = Math.round(top * this.height); row < Math.min(this.height, Math.round((top + height) * this.height)); row++) {
        values.fill(255, row * this.width + Math.round(left * this.width),
          row * this.width + Math.min(this.width, Math.round((left + width) * this.width)));
      }
    }
    const radius = Math.round(this.feather * 0.06 * Math.max(this.width, this.height));
    const soft = soften(values, this.width, this.height, radius);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [this.width, this.height];
    const pixels = new ImageData(this.width, this.height);
    soft.forEach((value, place) => { pixels.data[4 * place + 3] = value; });
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }

  // The mask as a PNG for the server: white where the restoration applies.
  async png() {
    const mask = this.canvas();
    if (!mask) return null;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [mask.width, mask.height];
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = "destination-in";
    context.drawImage(mask, 0, 0);
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }
}

// Blur by two box filters in each direction: a smooth slope of 4 radii, on every browser the same.
function soften(values, width, height, radius) {
  if (!radius) return values;
  for (let pass = 0; pass < 2; pass++) {
    values = average(values, width, height, radius, 1, width);
    values = average(values, height, width, radius, width, 1);
  }
  return values;
}

function average(values, length, lines, radius, step, stride) {
  const blurred = new Uint8ClampedArray(values.length);
  for (let line = 0; line < lines; line++) {
    const at = (place) => values[line * stride + Math.min(length - 1, Math.max(0, place)) * step];
    let sum = 0;
    for (let place = -radius; place <= radius; place++) sum += at(place);
    for (let place = 0; place < length; place++) {
      blurred[line * stride + place * step] = sum / (2 * radius + 1);
      sum += at(place + radius + 1) - at(place - radius);
    }
  }
  return blurred;
}
