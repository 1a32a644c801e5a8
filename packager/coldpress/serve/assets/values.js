// Values as JSON carries them: nested lists of numbers, texts and booleans, exact to the last digit.

/** Parse JSON; whole numbers beyond 2^53 become BigInts where the browser shows their text. */
function parseJson(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context.source) : value);
}

const CONSTANTS = { NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity };

/** A 32-bit float by the fewest digits that mean it. */
function shortFloat(value) {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}

/** Write JSON; NaN and the infinities are strings, as the function reads them. */
function jsonText(value, indent = "") {
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : `"${value}"`;
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const list = Array.isArray(value) || ArrayBuffer.isView(value);
  const items = list ? Array.from(value, (item) => jsonText(item, indent && indent + "  "))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${jsonText(item, indent && indent + "  ")}`);
  const flat = !indent || (list && items.every((item) => !/[[{]/.test(item)));
  const [open, close] = list ? "[]" : "{}";
  return flat || !items.length ? open + items.join(", ") + close
    : `${open}\n${indent}${items.join(`,\n${indent}`)}\n${indent.slice(2)}${close}`;
}

/** Shape and elements of nested lists; null when they are no tensor. An object counts as one element. */
function flatten(nested) {
  const shape = [];
  for (let level = nested; Array.isArray(level); level = level[0]) shape.push(level.length);
  const flat = [];
  const walk = (value, depth) => {
    if (depth === shape.length) return !Array.isArray(value) && (flat.push(value), true);
    return Array.isArray(value) && value.length === shape[depth] && value.every((item) => walk(item, depth + 1));
  };
  return walk(nested, 0) ? { shape, flat } : null;
}

function nest(flat, shape) {
  if (!shape.length) return flat[0];
  const [size, ...rest] = shape;
  if (!rest.length) return Array.from(flat);
  const step = count(rest);
  return Array.from({ length: size }, (_, i) => nest(flat.slice(i * step, (i + 1) * step), rest));
}

const count = (shape) => shape.reduce((product, size) => product * size, 1);

/** A number out of an element, however JSON spelled it. */
const toNumber = (value) => (typeof value === "string" && Object.hasOwn(CONSTANTS, value) ? CONSTANTS[value] : Number(value));

const isNumber = (value) => typeof value === "number" || typeof value === "bigint"
  || (typeof value === "string" && Object.hasOwn(CONSTANTS, value));

/** An element as people read it. */
function show(value) {
  if (typeof value === "number" && !Number.isInteger(value)) {
    const size = Math.abs(value);
    if (!Number.isFinite(value)) return String(value).replace("Infinity", "∞");
    return size >= 1e-4 && size < 1e7 ? String(Number(value.toPrecision(5))) : value.toExponential(3);
  }
  return value === null ? "null" : typeof value === "object" ? jsonText(value) : String(value);
}

function showBytes(size) {
  if (size < 1000) return size === 1 ? "1 byte" : `${size} bytes`;
  return size < 1e6 ? `${(size / 1e3).toFixed(1)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}

const showMs = (ms) => `${ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`;

const showShape = (shape) => `[${shape.map((size) => (size < 0 ? "any" : size)).join(", ")}]`;
