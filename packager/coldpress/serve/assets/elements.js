// Elements of the page, made by one function.
const byId = (id) => document.getElementById(id);

/** An element: `on…` properties are listeners, `class`, `for` and names with a dash are attributes, the rest properties. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class" || name === "for" || name === "role" || name === "scope" || name.includes("-")) {
      if (value !== null && value !== false) element.setAttribute(name, value);
    } else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

let lastId = 0;
const newId = (stem) => `${stem}-${++lastId}`;

/** A control under its label. */
function labelled(text, control, hint) {
  control.id ||= newId("field");
  return make("div", { class: "field" }, make("label", { for: control.id }, text), control,
    hint ? make("small", {}, hint) : null);
}

/** A select of `[value, text]` pairs. */
function choice(options, value, onchange) {
  const select = make("select", { onchange });
  for (const [key, text] of options) select.append(make("option", { value: key, selected: key === value }, text));
  return select;
}

/** A checkbox beside its label. */
function tick(text, checked, onchange) {
  const box = make("input", { type: "checkbox", checked, onchange, id: newId("tick") });
  return [make("div", { class: "tick" }, box, make("label", { for: box.id }, text)), box];
}

function saveFile(name, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** What the user gave cannot be sent; `input` names the one at fault. */
class Problem extends Error {
  constructor(message, input = null) {
    super(message);
    this.input = input;
  }
}
