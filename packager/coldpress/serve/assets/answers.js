// The answer: what came, how long each part took, and every output as people look at it.

/** Whether this is an answer of the protocol: what a hook returns may have `outputs` too. */
const isProtocols = (document) => Array.isArray(document?.outputs)
  && document.outputs.every((output) => typeof output?.name === "string" && typeof output.datatype === "string" && Array.isArray(output.shape));

/** Outputs by name out of any of the forms in which the function answers. */
function outputsOf(document, model) {
  const tensorOf = (name, datatype, value) => {
    const tensor = flatten(value);
    const plain = tensor && tensor.flat.every((item) => item === null || typeof item !== "object" || "b64" in item);
    return plain ? { name, datatype, value, tensor } : { name, datatype: null, value }; // a sequence or a map
  };
  const known = (name) => model.outputs.find((output) => output.name === name);
  if (isProtocols(document)) {
    return document.outputs.map(({ name, datatype, shape, data, parameters }) => {
      if (!data) return { name, datatype, note: `${showBytes(parameters?.binary_data_size ?? 0)} of ${datatype} ${showShape(shape)}, which JSON has no numbers for.` };
      if (parameters?.content_type === "application/json") return { name, datatype: "JSON", value: data.map((text) => parseJson(text)) };
      return { name, datatype, tensor: { shape, flat: data }, value: data };
    });
  }
  const byName = (values) => Object.entries(values).map(([name, value]) => tensorOf(name, known(name)?.datatype, value));
  if (!model.postprocessed && document?.outputs) return byName(document.outputs);
  if (!model.postprocessed && Array.isArray(document?.predictions)) {
    const rows = document.predictions;
    if (model.outputs.length === 1) return byName({ [model.outputs[0].name]: rows });
    return byName(Object.fromEntries(model.outputs.map(({ name }) => [name, rows.map((row) => row[name])])));
  }
  return [{ name: "result", value: document, datatype: null }];
}

/** Maps of classes to scores, as scikit-learn's classifiers return them: one map, or a list of them. */
function scoreMaps(value) {
  const rows = Array.isArray(value) ? value : [value];
  const maps = rows.length > 0 && rows.length <= 8 && rows.every((row) => row && typeof row === "object" && !Array.isArray(row)
    && Object.keys(row).length > 1 && Object.values(row).every(isNumber));
  return maps ? rows : null;
}

const TOPS = [["5", "5"], ["10", "10"], ["25", "25"], ["1000000", "all"]];

/** Bars of one row of scores or of several, with what can be chosen about them. */
function barsView(name, rows, names, state) {
  const place = make("div");
  const draw = () => {
    [state.top, state.soft] = [top.value, soft.checked];
    place.replaceChildren(...rows.flatMap(({ labels, scores }, i) => [
      rows.length > 1 ? make("h4", {}, `row ${i}`) : null,
      bars(`Scores in ${name}${rows.length > 1 ? `, row ${i}` : ""}`, scores, labels ?? names, { top: Number(top.value), soft: soft.checked }),
    ].filter(Boolean)));
  };
  const top = choice(TOPS, state.top ?? "5", draw);
  const [softField, soft] = tick("Softmax", state.soft ?? false, draw);
  draw();
  return make("div", {}, place, make("div", { class: "row low" }, labelled("Show the highest", top), softField));
}

/** The ways to look at an output: `[key, text, draw]`, and the one to begin with. */
function viewsOf(output, all, picture, names, state) {
  const { name, tensor, value, datatype } = output;
  const maps = tensor ? null : scoreMaps(value);
  if (maps) {
    const rows = maps.map((map) => ({ labels: Object.keys(map), scores: Object.values(map).map(toNumber) }));
    return [[["bars", "Bars", () => barsView(name, rows, names, state)], ["list", "Table", () => valueView(name, maps)]], "bars"];
  }
  if (!tensor) return [[["list", "As it is", () => valueView(name, value)]], "list"];
  const views = [];
  const { shape, flat } = tensor;
  const last = shape.at(-1) ?? 1;
  const rows = last ? flat.length / last : 0;
  const numeric = flat.length > 0 && flat.every(isNumber);
  const scores = numeric && last >= 2 && (datatype ? isFloat(datatype) : true);
  if (scores && rows <= 8 && last <= 20_000) {
    const lists = Array.from({ length: rows }, (_, i) => ({ scores: Array.from(flat.slice(i * last, (i + 1) * last), toNumber) }));
    views.push(["bars", "Bars", () => barsView(name, lists, names, state)]);
  }
  if (scores && rows > 8) views.push(["best", "Best class of each row", () => bestTable(name, tensor, names)]);
  const table = numeric && picture ? boxTable(tensor) : null;
  if (table) {
    const others = all.filter((each) => each !== output && each.tensor && each.tensor.flat.length && each.tensor.flat.length % table.rows === 0 && each.tensor.flat.every(isNumber))
      .map((each) => ({ name: each.name, flat: each.tensor.flat }));
    views.push(["boxes", "Boxes on the picture", () => boxesView(name, tensor, table, others, picture, names)]);
  }
  const planes = numeric ? asPlanes(tensor) : null;
  if (planes) views.push(["picture", "Picture", () => planesPicture(name, planes)]);
  views.push(["table", "Table", () => tensorTable(name, tensor)]);
  const first = planes && shape.length === 4 ? "picture" : views[0][0] === "bars" && last <= 2000 ? "bars" : "table";
  return [views, first];
}

/** The card of one output; `state` keeps what was chosen from one answer to the next. */
function outputCard(output, all, picture, names, state) {
  const title = make("h3", { id: newId("output") }, output.name);
  const place = make("div");
  const type = output.tensor && output.datatype ? `${output.datatype} ${showShape(output.tensor.shape)}` : output.datatype ?? "";
  const head = make("div", { class: "card-head" }, title, make("span", { class: "type" }, type));
  if (output.note) place.append(make("p", { class: "note" }, output.note));
  else {
    const [views, first] = viewsOf(output, all, picture, names, state);
    const draw = (key) => place.replaceChildren((views.find(([each]) => each === key) ?? views[0])[2]());
    const chosen = views.some(([key]) => key === state.view) ? state.view : first;
    if (views.length > 1) {
      const select = choice(views, chosen, () => { state.view = select.value; draw(select.value); });
      select.id = newId("view");
      head.append(make("div", { class: "as" }, make("label", { for: select.id }, "Show"), select));
    }
    draw(chosen);
  }
  return make("section", { class: "card", "aria-labelledby": title.id }, head, place);
}

/** Where the time went, from the Server-Timing header and the whole round trip. */
function timingView(header, total) {
  const told = Object.fromEntries([...(header ?? "").matchAll(/([\w-]+);dur=([\d.]+)/g)].map(([, name, ms]) => [name, Number(ms)]));
  const inside = (told.decode ?? 0) + (told.run ?? 0) + (told.encode ?? 0);
  const steps = [];
  for (const [step, text] of [["decode", "decode"], ["run", "run the model"], ["encode", "encode"]]) if (told[step] > 0) steps.push([step, text, told[step]]);
  if (told.function) steps.push(["around", "around it", Math.max(0, told.function - inside)]);
  steps.push(["way", "browser and network", Math.max(0, total - (told.function ?? inside))]);
  const bar = make("div", { class: "times", "aria-hidden": "true" }, ...steps.map(([kind, , ms]) => {
    const part = make("span", { class: `time ${kind}` });
    part.style.flexGrow = ms;
    return part;
  }));
  return make("div", {}, bar, make("dl", { class: "legend" }, ...steps.map(([kind, text, ms]) =>
    make("div", {}, make("dt", {}, make("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), text), make("dd", {}, showMs(ms)))),
    make("div", { class: "whole" }, make("dt", {}, "round trip"), make("dd", {}, showMs(total)))));
}

/** An answer that is no JSON: a picture, a sound, text, or bytes to save. */
function mediaView(type, bytes) {
  const [kind] = type.split("/");
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  if (kind === "image") return make("img", { src: url, class: "preview", alt: "The picture that the function answered with" });
  if (kind === "audio") return make("audio", { src: url, controls: true });
  if (kind === "text") return make("pre", { tabIndex: 0 }, new TextDecoder().decode(bytes).slice(0, MOST_TEXT));
  return make("p", { class: "note" }, `${showBytes(bytes.length)} of ${type || "no content type"}; save them below.`);
}
