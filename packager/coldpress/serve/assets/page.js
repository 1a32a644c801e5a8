// The page itself: ask the function what it is, build the request, send it, show the answer.

const BASE = "/playground";
const state = { model: null, about: null, cards: [], file: null, busy: false, document: null, outputs: null, views: new Map() };

async function getJson(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error ?? `${path} answered ${response.status}.`);
  return response.json();
}

/** What kind of value an input is that the protocol shows as texts: a sequence, a map, an optional; null for a tensor. */
function compositeOf(schema) {
  if (!schema) return null;
  if (schema.type === "object") return "a map";
  if (schema.anyOf?.[0]?.type === "null") return "optional";
  return schema.type === "array" && schema.items && !schema.items.anyOf?.some(({ type }) => type === "string") ? "a sequence" : null;
}

function readModel(about, metadata, api) {
  const schemas = api.components.schemas;
  const request = schemas.PredictRequest;
  const named = (request.anyOf?.[0] ?? request).properties?.inputs?.properties ?? {};
  const inputs = metadata.inputs.map((input) => {
    const composite = input.datatype === "BYTES" && input.shape.length === 1 ? compositeOf(named[input.name]) : null;
    return { ...input, composite, optional: composite === "optional", example: about.examples.find(({ name }) => name === input.name) ?? null };
  });
  return {
    name: metadata.name, inputs, outputs: metadata.outputs,
    preprocessed: !Object.keys(request).length, postprocessed: !Object.keys(schemas.PredictResponse).length,
  };
}

const mode = () => document.querySelector("input[name=mode]:checked").value;
const picture = () => (mode() === "inputs" ? state.cards.map((card) => card.picture()).find(Boolean) ?? null : null);

function currentRequest() {
  if (mode() === "json") {
    return { path: byId("path").value, headers: { "content-type": "application/json" }, body: byId("body").value };
  }
  if (mode() === "file") {
    if (!state.file) throw new Problem("Choose a file first.");
    return { path: "/predict", headers: { "content-type": byId("type").value || "application/octet-stream" }, body: state.file, file: state.file.name };
  }
  return requestOf(state.model, new Map(state.cards.map((card) => [card.input.name, card.read()])));
}

const sizeOf = (body) => (typeof body === "string" ? utf8.encode(body).length : body.size ?? body.length);

let waiting = 0;
function changed() {
  clearTimeout(waiting);
  waiting = setTimeout(showCurl, 120);
}

function showCurl() {
  const save = byId("save");
  try {
    const request = currentRequest();
    const { text, saved } = curlOf(request);
    byId("curl").textContent = text;
    const size = sizeOf(request.body);
    const most = state.about.limits.request_bytes;
    byId("size").textContent = `POST ${request.path}, ${showBytes(size)}${size > most ? `: over this function's limit of ${showBytes(most)}` : ""}`;
    save.hidden = !saved;
    if (saved) {
      save.textContent = `Save ${saved}`;
      save.onclick = () => saveFile(saved, request.body, "application/octet-stream");
    }
    byId("copy").disabled = false;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    byId("curl").textContent = `# ${error.message}`;
    byId("size").textContent = "";
    save.hidden = byId("copy").disabled = true;
  }
}

async function send() {
  if (state.busy) return;
  clearTimeout(waiting);
  showCurl();
  byId("problem").textContent = "";
  let request;
  try {
    request = currentRequest();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const card = state.cards.find(({ input }) => input.name === error.input);
    if (card && mode() === "inputs") card.showProblem(error.message);
    else byId("problem").textContent = error.message;
    return;
  }
  state.busy = true;
  byId("send").setAttribute("aria-disabled", "true");
  byId("status").textContent = "Sending…";
  const shown = picture();
  const began = performance.now();
  try {
    const answer = await ask(request);
    if (!answer) return;
    showAnswer(...answer, performance.now() - began, shown);
    if (byId("status").getBoundingClientRect().bottom > innerHeight) byId("answer-title").scrollIntoView();
    askForSteps();
  } finally {
    state.busy = false;
    byId("send").removeAttribute("aria-disabled");
  }
}

/** The response and its bytes; null when there was none, which is then said. */
async function ask({ path, headers, body }) {
  try {
    const response = await fetch(path, { method: "POST", headers, body, redirect: "manual" });
    if (response.type !== "opaqueredirect") return [response, new Uint8Array(await response.arrayBuffer())];
    sayNoAnswer("The function sends callers on to another address, where a page may not follow; ask it with curl.");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    sayNoAnswer("The server does not answer; look whether coldpress serve still runs.");
  }
  return null;
}

function sayNoAnswer(sentence) {
  clearAnswer();
  byId("status").textContent = "No answer";
  byId("status").className = "chip fail";
  byId("error").textContent = sentence;
}

function clearAnswer() {
  byId("error").textContent = "";
  for (const id of ["timing", "outputs"]) byId(id).replaceChildren();
  for (const id of ["raw-part", "names-part", "empty"]) byId(id).hidden = true;
}

function showAnswer(response, bytes, total, shown) {
  clearAnswer();
  const type = response.headers.get("content-type") ?? "";
  byId("status").textContent = `${response.status} ${response.statusText || (response.ok ? "OK" : "")} · ${showMs(total)} · ${showBytes(bytes.length)}`;
  byId("status").className = response.ok ? "chip pass" : "chip fail";
  byId("timing").replaceChildren(timingView(response.headers.get("server-timing"), total));
  const header = Number(response.headers.get("inference-header-content-length") ?? 0);
  let content;
  if (type.startsWith("application/json") || header) {
    try {
      content = parseJson(new TextDecoder().decode(header ? bytes.subarray(0, header) : bytes));
    } catch { /* shown as text */ }
  }
  state.document = content;
  showRaw(bytes, type, content);
  if (!response.ok) {
    const said = content?.error;
    byId("error").textContent = said ? (typeof said === "string" ? said : jsonText(said)) : `The function answered ${response.status}.`;
    if (byId("log-part").open) showLog();
    return;
  }
  if (content === undefined) {
    byId("outputs").replaceChildren(make("section", { class: "card", "aria-label": "Answer" }, mediaView(type, bytes)));
    return;
  }
  state.outputs = outputsOf(content, state.model);
  state.shown = shown;
  byId("names-part").hidden = false;
  showOutputs();
}

function showOutputs() {
  const names = byId("names").value.split("\n").map((line) => line.trim());
  while (names.length && !names.at(-1)) names.pop();
  byId("outputs").replaceChildren(...state.outputs.map((output) => {
    if (!state.views.has(output.name)) state.views.set(output.name, {});
    return outputCard(output, state.outputs, state.shown, names, state.views.get(output.name));
  }));
}

const MOST_RAW = 20_000;

function showRaw(bytes, type, content) {
  byId("raw-part").hidden = false;
  const text = content !== undefined ? jsonText(content, "  ") : type.startsWith("text/") ? new TextDecoder().decode(bytes) : "";
  byId("raw").textContent = text.length > MOST_RAW ? `${text.slice(0, MOST_RAW)}\n…` : text || `${showBytes(bytes.length)} of ${type || "no content type"}`;
  byId("save-answer").onclick = () => saveFile(content !== undefined ? "answer.json" : "answer.bin", bytes, type);
}

async function showLog() {
  try {
    const text = await (await fetch(`${BASE}/log`)).text();
    const lines = text.split("\n").filter((line) => !line.startsWith('{"_aws"')); // metrics: the line before says the same
    byId("log").textContent = lines.join("\n").trim() || "The function has written nothing.";
  } catch {
    byId("log").textContent = "The server does not answer.";
  }
}

function showMode() {
  for (const each of ["inputs", "json", "file"]) byId(`panel-${each}`).hidden = each !== mode();
  byId("fill").hidden = mode() === "file";
  changed();
}

// Names of classes stay in the browser, unless it keeps nothing for anybody.
function keepNames(model, text) {
  try { localStorage.setItem(`coldpress names ${model}`, text); } catch { /* they last as long as the page */ }
}

function keptNames(model) {
  try { return localStorage.getItem(`coldpress names ${model}`) ?? ""; } catch { return ""; }
}

/** The request for JSON mode, from the examples: what people would write themselves. */
function exampleBody(model, path) {
  const parts = model.inputs.filter(({ optional }) => !optional).map((input) => [input, input.composite ? null : startValues(input)]);
  if (path === "/predict") return `{"inputs": {${parts.map(([{ name }, values]) => `${JSON.stringify(name)}: ${jsonText(values)}`).join(", ")}}}`;
  return jsonText({
    inputs: parts.map(([input, values]) => {
      const { shape, flat } = flatten(values ?? []) ?? { shape: [], flat: [] };
      return { name: input.name, shape, datatype: input.datatype, data: flat };
    }),
  });
}

function showFacts(about) {
  document.title = `${about.model} · coldpress serve`;
  byId("model").textContent = about.model;
  byId("where").textContent = `${about.runs_on}, Python ${about.python} · ready after ${showMs(about.init_ms)}`;
  byId("log-part").hidden = !about.log;
  const steps = Object.entries(about.steps).filter(([name]) => name !== "total_ms");
  byId("start-part").hidden = !steps.length;
  byId("steps").replaceChildren(...steps.map(([name, ms]) => make("div", {}, make("dt", {}, name.replace(/_ms$/, "")), make("dd", {}, showMs(ms)))));
}

/** The function says how it started together with its first answer. */
async function askForSteps() {
  if (byId("start-part").hidden) showFacts(await getJson(`${BASE}/about.json`).catch(() => state.about));
}

function listen() {
  byId("form").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); send(); }
  });
  for (const radio of document.querySelectorAll("input[name=mode]")) radio.addEventListener("change", showMode);
  for (const id of ["body", "type"]) byId(id).addEventListener("input", changed);
  byId("path").addEventListener("change", () => { byId("body").value = exampleBody(state.model, byId("path").value); changed(); });
  byId("fill").addEventListener("click", () => {
    if (mode() === "json") byId("body").value = exampleBody(state.model, byId("path").value);
    else for (const card of state.cards) card.fill();
    changed();
  });
  byId("copy").addEventListener("click", async () => {
    byId("copied").textContent = (await copyText(byId("curl").textContent)) ? "Copied" : "Select the text and copy it";
    setTimeout(() => { byId("copied").textContent = ""; }, 4000);
  });
  byId("log-part").addEventListener("toggle", () => { if (byId("log-part").open) showLog(); });
  byId("names").addEventListener("input", () => {
    keepNames(state.model.name, byId("names").value);
    showOutputs();
  });
}

async function open() {
  try {
    state.about = await getJson(`${BASE}/about.json`);
    showFacts(state.about);
    const [metadata, api] = await Promise.all([getJson(`/v2/models/${encodeURIComponent(state.about.model)}`), getJson("/openapi.json")]);
    state.model = readModel(state.about, metadata, api);
  } catch (error) {
    byId("where").textContent = error instanceof TypeError ? "The server does not answer; look whether coldpress serve still runs." : error.message;
    return;
  }
  const { model } = state;
  byId("names").value = keptNames(model.name);
  state.cards = model.inputs.map((input) => inputCard(input, changed));
  byId("panel-inputs").append(...(state.cards.length ? state.cards.map(({ element }) => element) : [make("p", { class: "note" }, "This model takes no inputs.")]));
  for (const card of state.cards) card.start();
  byId("path").append(...["/predict", `/v2/models/${encodeURIComponent(model.name)}/infer`].map((path) => make("option", { value: path }, path)));
  byId("body").value = model.preprocessed ? "{}" : exampleBody(model, "/predict");
  byId("panel-file").prepend(fileField("File", "", (file) => {
    state.file = file;
    byId("type").value = file.type || "application/octet-stream";
    byId("file-said").textContent = `${file.name}, ${showBytes(file.size)}`;
    changed();
  }));
  byId("mode-file").hidden = !model.preprocessed;
  if (model.preprocessed) document.querySelector("input[name=mode][value=file]").checked = true;
  byId("hooks-said").hidden = !model.preprocessed;
  listen();
  showMode();
  byId("form").hidden = false;
}

open();
