// Controls for values that people type. A control is `{element, read}`; `read()` gives what `requestOf` takes, or null
// when there is nothing yet.

const MOST_FIELDS = 64;

/** The shape with its open axes as in the example, or 1. */
const closedShape = (input) => input.shape.map((size, i) => (size >= 0 ? size : input.example?.shape[i] ?? 1));

function blank(datatype) {
  return datatype === "BOOL" ? false : datatype === "BYTES" ? "" : 0;
}

/** The example's values, or blanks, as nested lists; null when they are too many to look at. */
function startValues(input) {
  if (input.example?.values !== undefined && input.example.values !== null) return input.example.values;
  const shape = closedShape(input);
  return count(shape) <= WRITTEN_OUT ? nest(new Array(count(shape)).fill(blank(input.datatype)), shape) : null;
}

function numbersControl(input, changed) {
  const start = flatten(startValues(input));
  let [shape, flat] = [start.shape, start.flat];
  const grid = make("div", { class: "numbers", role: "group", "aria-label": `Values of ${input.name}` });
  const sizes = make("div", { class: "row" });
  const parse = (text) => (isFloat(input.datatype) || /^-?\d+$/.test(text.trim())) && text.trim() !== "" && Number.isFinite(Number(text))
    ? parseJson(text.trim().replace(/^(-?)\+?0*(?=\d)/, "$1").replace(/^(-?)\./, "$10.").replace(/\.(?!\d)/, "")) : text;
  const draw = () => {
    const columns = shape.at(-1) ?? 1;
    grid.style.setProperty("--columns", columns <= 10 ? columns : columns % 8 === 0 ? 8 : 6);
    grid.replaceChildren(...flat.map((value, i) => {
      const at = [];
      for (let rest = i, axis = shape.length - 1; axis >= 0; rest = Math.floor(rest / shape[axis]), axis--) at.unshift(rest % shape[axis]);
      const label = shape.length ? `${input.name}[${at.join(", ")}]` : input.name;
      if (input.datatype === "BOOL") {
        return make("input", { type: "checkbox", checked: value, "aria-label": label, onchange: (event) => { flat[i] = event.target.checked; changed(); } });
      }
      return make("input", {
        type: "text", inputMode: isFloat(input.datatype) ? "decimal" : "numeric", value: show(value), "aria-label": label, autocomplete: "off", spellcheck: false,
        oninput: (event) => { flat[i] = parse(event.target.value); changed(); },
      });
    }));
  };
  input.shape.forEach((size, axis) => {
    if (size >= 0) return;
    const field = make("input", {
      type: "number", min: 1, value: shape[axis],
      onchange: () => {
        const wanted = Math.max(1, Math.min(Math.floor(MOST_FIELDS * 4 / (count(shape) / shape[axis])), Number(field.value) || 1));
        field.value = wanted;
        const grown = shape.with(axis, wanted);
        flat = Array.from({ length: count(grown) }, (_, i) => flat[i % flat.length] ?? blank(input.datatype));
        shape = grown;
        draw();
        changed();
      },
    });
    sizes.append(labelled(axis === 0 && shape.length > 1 ? "Rows" : `Size of axis ${axis}`, field));
  });
  draw();
  return { element: make("div", {}, sizes, grid), read: () => ({ shape, flat }) };
}

function jsonControl(input, changed) {
  const values = input.composite ? null : startValues(input);
  const text = values === null ? "" : jsonText(values, values.length > 1 || Array.isArray(values[0]?.[0]) ? "  " : "");
  const area = make("textarea", { value: text, rows: 6, spellcheck: false, oninput: changed, placeholder: input.hint ?? "" });
  return {
    element: labelled(`${input.name} as JSON`, area, input.composite ? `This is ${input.composite}.` : null),
    read: () => (area.value.trim() === "" && input.optional ? null : { text: area.value }),
  };
}

function textControl(input, changed) {
  const start = flatten(startValues(input) ?? [""]);
  const area = make("textarea", { value: start.flat.join("\n"), rows: 4, oninput: changed });
  return {
    element: labelled(`${input.name}, one text a line`, area),
    read: () => {
      const flat = input.shape.some((size) => size < 0) ? area.value.replace(/\n$/, "").split("\n") : [area.value];
      const open = input.shape.findIndex((size) => size < 0);
      return { shape: input.shape.map((size, axis) => (axis === open ? flat.length : Math.max(size, 1))), flat };
    },
  };
}

function exampleControl(input) {
  const shape = input.example?.shape ?? closedShape(input);
  const data = input.example?.data;
  const what = data ? "The input that the function warms itself up with" : "Zeros";
  const flat = () => Array.from({ length: count(shape) }, () => blank(input.datatype));
  return {
    element: make("p", { class: "note" }, `${what}: ${input.datatype} ${showShape(shape)}.`),
    read: () => (data ? { shape, bytes: fromBase64(data) } : { shape, bytes: toBytes(input.datatype, flat()) }),
  };
}

