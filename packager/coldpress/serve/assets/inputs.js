// One card for each input of the model: what is given for it, and how.

const SOUNDS_LIKE = /audio|wave?|sound|speech|pcm|signal/i;

const SOURCES = {
  picture: ["picture", pictureControl], sound: ["sound", soundControl], numbers: ["numbers", numbersControl],
  text: ["text", textControl], json: ["JSON", jsonControl], example: ["warm-up input", exampleControl],
};

/** The sources that an input can come from, and the one to begin with. */
function sourcesOf(input) {
  if (input.composite) return [["json"], "json"];
  if (input.datatype === "BYTES") return [["text", "json"], "text"];
  const size = count(closedShape(input));
  const can = [];
  const layouts = input.datatype === "BOOL" ? [] : pictureLayouts(input.shape);
  if (layouts.length) can.push("picture");
  if (sampleAxis(input.shape) >= 0 && (isFloat(input.datatype) || input.datatype === "INT16")) can.push("sound");
  if (size <= MOST_FIELDS) can.push("numbers");
  can.push("json");
  if (input.example || size > WRITTEN_OUT) can.push("example");
  const coloured = layouts.some(({ layout }) => layout.includes("C"))
    && input.shape.some((axis) => CHANNELS.has(axis)) && input.shape.length >= 3;
  const audible = can.includes("sound") && (SOUNDS_LIKE.test(input.name) || Math.max(...input.shape) >= 4000);
  const first = coloured ? "picture" : audible ? "sound" : size <= MOST_FIELDS ? "numbers" : size <= WRITTEN_OUT ? "json" : "example";
  return [can, first];
}

/** The card of one input. */
function inputCard(input, changed) {
  const [can, first] = sourcesOf(input);
  const place = make("div");
  const problem = make("p", { class: "problem", role: "alert" });
  let control = null;
  const use = (source) => {
    control = SOURCES[source][1](input, () => { problem.textContent = ""; changed(); });
    place.replaceChildren(control.element);
    changed();
  };
  const select = choice(can.map((key) => [key, SOURCES[key][0]]), first, () => use(select.value));
  select.id = newId("source");
  const title = make("h3", { id: newId("input") }, input.name);
  const element = make("section", { class: "card", "aria-labelledby": title.id },
    make("div", { class: "card-head" }, title, make("span", { class: "type" }, input.composite ?? `${input.datatype} ${showShape(input.shape)}`),
      can.length > 1 ? make("div", { class: "as" }, make("label", { for: select.id }, "Give as"), select) : null),
    place, problem);
  return {
    element,
    input,
    start: () => use(first),
    showProblem: (text) => { problem.textContent = text; },
    picture: () => control.picture?.() ?? null,
    read: () => {
      const given = control.read();
      if (given === null && !input.optional) throw new Problem(control.missing ?? "Give this input first.", input.name);
      return given;
    },
    fill: () => {
      select.value = can.includes(first) && !["picture", "sound"].includes(first) ? first : can.includes("example") ? "example" : first;
      use(select.value);
    },
  };
}
