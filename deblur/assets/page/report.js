const LIMIT = 200;

function compare(figure) {
  const frame = figure.querySelector(".frame");
  const range = frame.querySelector("input");
  const buttons = figure.querySelectorAll("button");

  function move() {
    frame.style.setProperty("--cut", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${Math.round(range.value)}% blurred`);
  }

  function drag(event) {
    const box = frame.getBoundingClientRect();
    range.value = (100 * (event.clientX - box.left)) / box.width;
    move();
  }

  function show(chosen) {
    for (const button of buttons) button.setAttribute("aria-pressed", button === chosen);
    for (const picture of frame.querySelectorAll(".over")) {
      picture.hidden = picture.dataset.shows !== chosen.dataset.shows;
    }
    frame.querySelector(".right").textContent = chosen.textContent;
  }

  range.addEventListener("input", move);
  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    frame.setPointerCapture(event.pointerId);
    range.focus({ preventScroll: true });
    drag(event);
  });
  frame.addEventListener("pointermove", (event) => {
    if (frame.hasPointerCapture(event.pointerId)) drag(event);
  });
  // The mouse would take the focus away from the range again.
  frame.addEventListener("mousedown", (event) => event.preventDefault());
  for (const button of buttons) button.addEventListener("click", () => show(button));
  move();
}

function order(one, other, way) {
  const missing = (value) => value === null || Number.isNaN(value);
  if (missing(one) || missing(other)) return missing(one) - missing(other);
  if (typeof one === "string") return way * collator.compare(one, other);
  return one === other ? 0 : one < other ? -way : way;
}

const collator = new Intl.Collator("en", { numeric: true });

function write(value, digits) {
  if (digits === null) return value;
  if (value === null) return "";
  if (Number.isFinite(value)) return value.toFixed(digits);
  return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

function tabulate(section, { columns, rows: given }) {
  const head = section.querySelector("thead tr");
  const body = section.querySelector("tbody");
  const filter = section.querySelector("input");
  const all = section.querySelector(".all");
  const number = (value) => (value === null ? null : Number(value));
  const rows = given.map((row) => {
    const values = row.map((value, i) => (columns[i].digits === null ? value : number(value)));
    const text = values.filter((_, i) => columns[i].digits === null).join(" ").toLowerCase();
    return { values, text };
  });
  let limit = LIMIT;

  function line({ values }) {
    const row = document.createElement("tr");
    values.forEach((value, i) => {
      const cell = row.insertCell();
      cell.textContent = write(value, columns[i].digits);
      if (columns[i].digits !== null) cell.className = "n";
    });
    return row;
  }

  function draw() {
    const words = filter.value.toLowerCase().split(/\s+/);
    const found = rows.filter(({ text }) => words.every((word) => text.includes(word)));
    body.replaceChildren(...found.slice(0, limit).map(line));
    section.querySelector("output").textContent = `${found.length} of ${rows.length} rows`;
    all.hidden = found.length <= limit;
    all.textContent = `Show all ${found.length} rows`;
  }

  function sort(cell, i) {
    const way = cell.ariaSort === "ascending" ? -1 : 1;
    rows.sort((one, other) => order(one.values[i], other.values[i], way));
    for (const other of head.cells) other.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
    draw();
  }

  columns.forEach(({ title, digits }, i) => {
    const cell = document.createElement("th");
    const button = document.createElement("button");
    cell.scope = "col";
    if (digits !== null) cell.className = "n";
    button.type = "button";
    button.textContent = title;
    cell.append(button);
    cell.addEventListener("click", () => sort(cell, i));
    head.append(cell);
  });
  filter.addEventListener("input", () => {
    limit = LIMIT;
    draw();
  });
  all.addEventListener("click", () => {
    limit = Infinity;
    draw();
  });
  draw();
}

document.querySelectorAll(".compare").forEach(compare);
tabulate(document.getElementById("images"), JSON.parse(document.getElementById("rows").textContent));
