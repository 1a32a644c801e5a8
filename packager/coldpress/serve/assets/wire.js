// Bodies of requests: plain JSON, or the Open Inference Protocol with tensors as bytes behind the JSON.

const ARRAYS = {
  FP32: Float32Array, FP64: Float64Array, INT8: Int8Array, INT16: Int16Array, INT32: Int32Array,
  UINT8: Uint8Array, UINT16: Uint16Array, UINT32: Uint32Array, INT64: BigInt64Array, UINT64: BigUint64Array,
};
const LIMITS = {
  INT8: [-128, 127], INT16: [-32768, 32767], INT32: [-(2 ** 31), 2 ** 31 - 1],
  UINT8: [0, 255], UINT16: [0, 65535], UINT32: [0, 2 ** 32 - 1],
};
const isFloat = (datatype) => /^(FP|BF)\d/.test(datatype);
const utf8 = new TextEncoder();

/** The bits of a number as a 16-bit float, rounded to nearest, ties to even. */
function half(number) {
  const bits = new Uint32Array(new Float32Array([number]).buffer)[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) { // below the normal range: count in steps of 2^-24
    const scaled = Math.abs(number) * 2 ** 24;
    const low = Math.floor(scaled);
    const rest = scaled - low;
    return sign | (low + (rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? 1 : 0));
  }
  const shifted = magnitude - 0x38000000;
  return sign | ((shifted + 0xfff + ((shifted >>> 13) & 1)) >>> 13);
}

/** The bits of a number as a bfloat16, rounded likewise. */
function brain(number) {
  const bits = new Uint32Array(new Float32Array([number]).buffer)[0];
  return Number.isNaN(number) ? 0x7fc0 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** The elements of a tensor in the protocol's binary layout. */
function toBytes(datatype, flat) {
  if (datatype === "BYTES") {
    const texts = Array.from(flat, (text) => utf8.encode(String(text)));
    const bytes = new Uint8Array(texts.reduce((sum, text) => sum + 4 + text.length, 0));
    let place = 0;
    for (const text of texts) {
      new DataView(bytes.buffer).setUint32(place, text.length, true);
      bytes.set(text, place + 4);
      place += 4 + text.length;
    }
    return bytes;
  }
  if (datatype === "BOOL") return Uint8Array.from(flat, (value) => (value ? 1 : 0));
  if (datatype === "FP16") return new Uint8Array(Uint16Array.from(flat, (value) => half(toNumber(value))).buffer);
  if (datatype === "BF16") return new Uint8Array(Uint16Array.from(flat, (value) => brain(toNumber(value))).buffer);
  const kind = ARRAYS[datatype];
  if (!kind) throw new Problem(`${datatype} cannot be made of this here; send the body yourself, under JSON or with a client.`);
  const whole = datatype.endsWith("INT64");
  if (!whole && flat instanceof kind) return new Uint8Array(flat.buffer, flat.byteOffset, flat.byteLength);
  return new Uint8Array(kind.from(flat, (value) => (whole ? BigInt(value) : toNumber(value))).buffer);
}

const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}

/** The elements of a given value: as they are, or out of its JSON text. */
function elements(input, given) {
  if (given.flat) return given;
  let nested;
  try {
    nested = parseJson(given.text);
  } catch (error) {
    throw new Problem(`This is not JSON: ${error.message}.`, input.name);
  }
  if (input.composite) { // one JSON text an element of a sequence, one for a map
    const items = Array.isArray(nested) ? nested : [nested];
    return { shape: [items.length], flat: items.map((item) => jsonText(item)) };
  }
  const found = flatten(nested);
  if (!found) throw new Problem("The lists here are not equally long, so they are no tensor.", input.name);
  return found;
}

const plainNumbers = (flat) => Array.from(flat, flat instanceof Float32Array ? shortFloat : undefined);

const WRITTEN_OUT = 4096; // elements that still go as plain JSON

/**
 * The request for inputs and what is given for each: `{text}`, `{shape, flat}` or `{shape, bytes}`; null is left out.
 * Small values go as plain JSON to /predict, where people can read them; large ones, and those of a function whose own
 * preprocessing stands before /predict, go to the model by the protocol.
 */
function requestOf(model, given) {
  const pairs = model.inputs.map((input) => [input, given.get(input.name)]).filter(([, value]) => value);
  const size = pairs.reduce((sum, [, value]) => sum + (value.bytes ? Infinity : value.flat ? value.flat.length : value.text.length / 4), 0);
  const small = size <= WRITTEN_OUT;
  if (small && !model.preprocessed) {
    const items = pairs.map(([input, value]) =>
      `${JSON.stringify(input.name)}: ${value.text?.trim().replace(/\n\s*/g, " ") ?? jsonText(nest(plainNumbers(value.flat), value.shape))}`);
    return { path: "/predict", headers: { "content-type": "application/json" }, body: `{"inputs": {${items.join(", ")}}}` };
  }
  const parts = [];
  const inputs = pairs.map(([input, value]) => {
    const filled = value.bytes ? value : elements(input, value);
    const datatype = input.composite ? "BYTES" : input.datatype;
    const head = { name: input.name, datatype, shape: filled.shape };
    if (small) return { ...head, data: plainNumbers(filled.flat) };
    const bytes = filled.bytes ?? toBytes(datatype, filled.flat);
    parts.push(bytes);
    return { ...head, parameters: { binary_data_size: bytes.length } };
  });
  const path = `/v2/models/${encodeURIComponent(model.name)}/infer`;
  const text = jsonText({ inputs });
  if (small) return { path, headers: { "content-type": "application/json" }, body: text };
  const head = utf8.encode(text);
  const headers = { "content-type": "application/octet-stream", "inference-header-content-length": String(head.length) };
  return { path, headers, body: joined([head, ...parts]) };
}
