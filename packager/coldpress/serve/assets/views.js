// Ways to look at an output: bars, a table, a picture, text, a list of facts.

const MOST_ROWS = 50;
const MOST_COLUMNS = 16;

function dataTable(caption, heads, rows, more = "") {
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell, i) =>
    make(i === 0 ? "th" : "td", i === 0 ? { scope: "row" } : {}, cell instanceof Node ? cell : String(cell)))));
  const table = make("table", {}, make("caption", { class: "sr" }, caption),
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))), make("tbody", {}, ...body));
  return make("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": caption }, table, more ? make("p", { class: "note" }, more) : null);
}

/** The largest of a list, however long: arguments of a function may only be so many. */
const largest = (values) => values.reduce((most, value) => (value > most ? value : most), -Infinity);

function softmax(values) {
  const top = largest(values);
  const powers = values.map((value) => Math.exp(value - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
}

/** The largest of some scores as bars; `names` are the classes. */
function bars(caption, scores, names, { top, soft }) {
  const values = soft ? softmax(scores) : scores;
  const place = (i) => (Number.isNaN(values[i]) ? -Infinity : values[i]); // what is no number is no best class
  const order = values.map((_, i) => i).sort((a, b) => (place(a) === place(b) ? a - b : place(a) < place(b) ? 1 : -1)).slice(0, top);
  const shares = values.every((value) => value >= 0 && value <= 1.0001);
  const most = shares ? 1 : largest(values.filter(Number.isFinite).map(Math.abs)) || 1;
  const length = (value) => (Number.isFinite(value) ? Math.abs(value) / most : Number.isNaN(value) ? 0 : 1);
  const rows = order.map((i, rank) => {
    const bar = make("span", { class: values[i] < 0 ? "bar below" : "bar" });
    bar.style.width = `${100 * length(values[i])}%`;
    const row = make("tr", { class: rank === 0 ? "first" : null }, make("th", { scope: "row", title: names[i] ?? "" }, names[i] ?? `class ${i}`),
      make("td", { class: "track", "aria-hidden": "true" }, bar), make("td", { class: "num" }, show(values[i])));
    return row;
  });
  return make("table", { class: "bars" }, make("caption", { class: "sr" }, caption),
    make("thead", { class: "sr" }, make("tr", {}, make("th", { scope: "col" }, "Class"), make("td"), make("th", { scope: "col" }, "Score"))),
    make("tbody", {}, ...rows));
}

/** A tensor as a table of its last two axes. */
function tensorTable(name, { shape, flat }) {
  if (!shape.length || flat.length === 1) return make("p", { class: "figure" }, show(flat[0]));
  if (!flat.length) return make("p", { class: "note" }, `It is empty: ${showShape(shape)}.`);
  const columns = shape.length === 1 ? 1 : shape.at(-1);
  const total = flat.length / columns;
  const shown = Math.min(columns, MOST_COLUMNS);
  const outer = shape.length === 1 ? shape : shape.slice(0, -1);
  const rows = Array.from({ length: Math.min(total, MOST_ROWS) }, (_, row) => {
    const at = [];
    for (let rest = row, axis = outer.length - 1; axis >= 0; rest = Math.floor(rest / outer[axis]), axis--) at.unshift(rest % outer[axis]);
    return [at.join(", "), ...Array.from(flat.slice(row * columns, row * columns + shown), show)];
  });
  const heads = ["at", ...(columns === 1 ? ["value"] : Array.from({ length: shown }, (_, i) => i))];
  const left = [];
  if (total > MOST_ROWS) left.push(`${(total - MOST_ROWS).toLocaleString("en")} more rows`);
  if (columns > shown) left.push(`${(columns - shown).toLocaleString("en")} more columns`);
  return dataTable(`${name}, ${showShape(shape)}`, heads, rows, left.length ? `… and ${left.join(" and ")}; the raw answer below has them all.` : "");
}

/** The largest element of each row, as where a sequence of steps is classified. */
function bestTable(name, { shape, flat }, names) {
  const columns = shape.at(-1);
  const rows = [];
  for (let row = 0; row < Math.min(flat.length / columns, MOST_ROWS * 4); row++) {
    let best = 0;
    for (let i = 1; i < columns; i++) if (toNumber(flat[row * columns + i]) > toNumber(flat[row * columns + best])) best = i;
    rows.push([row, names[best] ?? `class ${best}`, show(flat[row * columns + best])]);
  }
  return dataTable(`Best class of each row of ${name}`, ["row", "best class", "score"], rows);
}

/** Whether the last axes of a tensor can be a picture: its planes, else null. */
function asPlanes({ shape, flat }) {
  const inner = shape.filter((size, i) => size !== 1 || i >= shape.length - 2);
  const body = inner.length === 4 && inner[0] > 1 ? inner.slice(1) : inner;
  const two = (h, w) => h >= 8 && w >= 8 && h <= 4096 && w <= 4096;
  if (body.length === 2 && two(...body)) return { height: body[0], width: body[1], channels: 1, planar: true, flat };
  if (body.length === 3 && CHANNELS.has(body[0]) && two(body[1], body[2])) return { height: body[1], width: body[2], channels: body[0], planar: true, flat };
  if (body.length === 3 && CHANNELS.has(body[2]) && two(body[0], body[1])) return { height: body[0], width: body[1], channels: body[2], planar: false, flat };
  return shape.length === 4 && shape[3] === 1 && two(shape[1], shape[2]) ? { height: shape[1], width: shape[2], channels: 1, planar: true, flat } : null;
}

function planesPicture(name, { height, width, channels, planar, flat }) {
  const size = height * width;
  const values = Array.from(flat.slice(0, size * channels), toNumber);
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low >= 0 && high <= 1) [low, high] = [0, 1];
  else if (low >= 0 && high <= 255 && high > 1) [low, high] = [0, 255];
  const canvas = make("canvas", { width, height, class: "preview", role: "img", "aria-label": `${name} as a picture, ${width} by ${height}` });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) {
      const plane = channels >= 3 ? c : 0;
      const value = values[planar ? plane * size + i : i * channels + plane];
      image.data[4 * i + c] = high > low ? (255 * (value - low)) / (high - low) : 128;
    }
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  canvas.classList.toggle("small", width < 100);
  return make("figure", {}, canvas, make("figcaption", { class: "note" }, `Black is ${show(low)}, white is ${show(high)}.`));
}

const MOST_TEXT = 100_000;

/** One value: large when it is short, else as text of which no more is shown than a page can hold. */
function oneValue(value) {
  const text = show(value);
  return text.length <= 200 ? make("p", { class: "figure" }, text) : make("pre", { tabIndex: 0 }, text.slice(0, MOST_TEXT));
}

/** Any JSON value: facts as a list, rows as a table, the rest as text. */
function valueView(name, value) {
  if (Array.isArray(value) && value.length && value.every((row) => row && typeof row === "object" && !Array.isArray(row))) {
    const keys = [...new Set(value.flatMap((row) => Object.keys(row)))].slice(0, MOST_COLUMNS);
    const rows = value.slice(0, MOST_ROWS).map((row, i) => [i, ...keys.map((key) => (key in row ? show(row[key]) : "–"))]);
    return dataTable(`Rows of ${name}`, ["row", ...keys], rows, value.length > MOST_ROWS ? `… and ${value.length - MOST_ROWS} more rows.` : "");
  }
  if (value && typeof value === "object" && !Array.isArray(value)) {
    const entries = Object.entries(value);
    if (entries.length > 2 && entries.every(([, item]) => isNumber(item))) {
      return bars(name, entries.map(([, item]) => toNumber(item)), entries.map(([key]) => key), { top: MOST_COLUMNS });
    }
    return make("dl", { class: "facts" }, ...entries.flatMap(([key, item]) => [
      make("dt", {}, key), make("dd", {}, item && typeof item === "object" ? valueView(key, item) : show(item))]));
  }
  const tensor = Array.isArray(value) ? flatten(value) : null;
  if (tensor && tensor.flat.every((item) => item === null || typeof item !== "object")) return tensorTable(name, tensor);
  return typeof value === "object" && value !== null ? make("pre", { tabIndex: 0 }, jsonText(value, "  ").slice(0, MOST_TEXT)) : oneValue(value);
}
