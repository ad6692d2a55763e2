// Write /openapi.json as a page; the usual viewers load their scripts from other computers.

const make = (tag, text = "") => Object.assign(document.createElement(tag), { textContent: text });

function table(heads, rows) {
  const box = make("div"), whole = make("table"), head = make("tr");
  box.className = "box";
  box.tabIndex = 0;
  head.append(...heads.map((text) => make("th", text)));
  whole.append(head, ...rows.map((cells) => {
    const row = make("tr");
    row.append(...cells.map((text, place) => {
      const cell = make("td", place ? text : "");
      if (!place) cell.append(make("code", text));
      return cell;
    }));
    return row;
  }));
  box.append(whole);
  return box;
}

function kind(schema) {
  const parts = (schema.anyOf ?? [schema]).filter((one) => one.type !== "null");
  return parts.map((one) => {
    if (one.enum) return one.enum.join(" | ");
    if (one.contentMediaType || one.format === "binary") return "file";
    const range = "minimum" in one ? `, ${one.minimum} to ${one.maximum}` : "";
    return (one.type ?? one.$ref?.split("/").pop() ?? "any") + (one.items ? ` of ${kind(one.items)}` : "") + range;
  }).join(" or ");
}

const described = await (await fetch("/openapi.json")).json();
const find = (ref) => ref.split("/").slice(1).reduce((place, name) => place[name], described);
const fields = (schema) => {
  const whole = schema.$ref ? find(schema.$ref) : schema;
  const inner = whole.items ?? whole, listed = inner.$ref ? find(inner.$ref) : inner;
  return Object.entries(listed.properties ?? {}).map(([name, one]) => [
    name, kind(one), one.default !== undefined ? String(one.default) : listed.required?.includes(name) ? "required" : "", one.description ?? "",
  ]);
};

document.getElementById("about").textContent = `${described.info.title} ${described.info.version}. ${described.info.description ?? ""}`;
for (const [path, methods] of Object.entries(described.paths)) {
  for (const [method, one] of Object.entries(methods)) {
    const section = make("section");
    section.append(make("h2", `${method.toUpperCase()} ${path}`), make("p", `${one.summary}.`));
    const form = Object.values(one.requestBody?.content ?? {})[0];
    if (form) section.append(make("h3", "Fields (multipart/form-data)"), table(["field", "kind", "default", "about"], fields(form.schema)));
    section.append(make("h3", "Answers"), table(["status", "about"], Object.entries(one.responses).map(([status, answer]) => [status, answer.description])));
    const json = one.responses[200]?.content?.["application/json"]?.schema;
    const rows = json ? fields(json) : [];
    if (rows.length) section.append(make("h3", "Keys of the JSON"), table(["key", "kind", "default", "about"], rows));
    document.getElementById("paths").append(section);
  }
}
