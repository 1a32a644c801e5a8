// Controls for pictures and sounds: a file, how it becomes numbers, and what the model gets of it.

/** A place to choose a file, drop one, or paste one. */
function fileField(text, accept, take) {
  const field = make("input", { type: "file", accept, onchange: () => field.files[0] && take(field.files[0]) });
  const zone = make("div", {
    class: "drop",
    ondragover: (event) => { event.preventDefault(); zone.classList.add("over"); },
    ondragleave: () => zone.classList.remove("over"),
    ondrop: (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
    },
    onpaste: (event) => {
      const [file] = event.clipboardData.files;
      if (file) { event.preventDefault(); take(file); }
    },
  }, labelled(text, field, "or drop it here, or paste it"));
  return zone;
}

/** Whole numbers in a field, within bounds. */
function sizeField(value, fixed, changed) {
  return make("input", { type: "number", min: 1, max: 8192, value, disabled: fixed, oninput: changed });
}

const DRAWN = 256; // pixels of a side of the board to draw on

function pictureControl(input, changed) {
  const layouts = pictureLayouts(input.shape);
  let layout = layouts[0];
  let [picture, name, at] = [null, "", null];
  const canvas = make("canvas", { role: "img", class: "preview", hidden: true });
  const said = make("p", { class: "note", role: "status" });
  const wide = sizeField(224, false, () => update());
  const high = sizeField(224, false, () => update());
  const refit = () => {
    for (const [field, size, axis] of [[high, layout.height, "H"], [wide, layout.width, "W"]]) {
      const warm = input.example?.shape[layout.layout.indexOf(axis)];
      field.value = size > 0 ? size : warm > 7 ? warm : 224;
      field.disabled = size > 0;
    }
    order.replaceChildren(...(layout.channels === 1 ? [["rgb", "Grey"]] : [["rgb", "Red first (RGB)"], ["bgr", "Blue first (BGR)"]])
      .map(([value, text]) => make("option", { value }, text)));
  };
  const preset = choice([...Object.entries(PRESETS).map(([key, { text }]) => [key, text]), ["own", "My own"]], "zero-one", () => choose());
  const layoutField = choice(layouts.map((each, i) => [String(i), `${each.layout}${each.layout.startsWith("flat") ? `, ${each.width}×${each.height}×${each.channels}` : ""}`]), "0",
    () => { layout = layouts[layoutField.value]; refit(); choose(); });
  const own = () => { preset.value = "own"; update(); };
  const fit = choice(FITS, "stretch", own);
  const order = choice([], "", own);
  const text = (value) => make("input", { type: "text", inputMode: "decimal", value, autocomplete: "off", oninput: own });
  const [scale, mean, std] = [text("1"), text("0"), text("1")];
  const [invertField, invert] = tick("Invert: light becomes dark", false, own);
  const choose = () => {
    const chosen = PRESETS[preset.value];
    if (chosen) {
      const first = (list) => (layout.channels === 1 ? list.split(",")[0] : list);
      [fit.value, scale.value, mean.value, std.value] = [chosen.fit, chosen.scale, first(chosen.mean), first(chosen.std)];
      order.value = layout.channels === 1 ? "rgb" : chosen.order;
      for (const [field, axis] of [[high, "H"], [wide, "W"]]) {
        if (!field.disabled && chosen.side && !input.example?.shape[layout.layout.indexOf(axis)]) field.value = chosen.side;
      }
    }
    update();
  };
  const numbers = (field, label, count) => {
    const list = field.value.split(/[\s,;]+/).filter(Boolean).map(Number);
    if (!list.length || list.some((value) => !Number.isFinite(value)) || ![1, count].includes(list.length)) {
      throw new Problem(`${label} is “${field.value}”; write one number${count > 1 ? `, or ${count} with commas between` : ""}.`, input.name);
    }
    return list;
  };
  const how = () => ({
    fit: fit.value, order: order.value, layout: layout.layout, channels: layout.channels, invert: invert.checked,
    width: Math.max(1, Number(wide.value) || 1), height: Math.max(1, Number(high.value) || 1),
    scale: numbers(scale, "Divide by", 1)[0], mean: numbers(mean, "Mean", layout.channels), std: numbers(std, "Deviation", layout.channels),
  });
  const formula = make("span");
  const update = () => {
    const pixel = scale.value === "1" ? "pixel" : `pixel / ${scale.value}`;
    const centred = mean.value === "0" ? pixel : `${pixel} − (${mean.value})`;
    const formed = std.value === "1" ? centred : `(${centred}) / (${std.value})`;
    formula.textContent = `${wide.value} × ${high.value}, ${layout.layout}, ${layout.channels === 1 ? "grey" : order.value.toUpperCase()}, ${formed}`;
    if (picture) {
      try {
        at = drawPicture(canvas, picture, how());
        canvas.hidden = false;
        canvas.classList.toggle("small", canvas.width < 100);
        canvas.setAttribute("aria-label", `${name}, as the model sees it: ${canvas.width} by ${canvas.height} pixels`);
        said.textContent = `${name}, ${picture.width} × ${picture.height} pixels; above, as the model sees it.`;
      } catch (error) {
        said.textContent = error.message;
      }
    }
    changed();
  };
  const take = async (file) => {
    try {
      picture = await createImageBitmap(file);
      name = file.name;
      update();
    } catch {
      said.textContent = `${file.name} is no picture that this browser can read; choose a PNG, JPEG or WebP.`;
    }
  };
  const board = make("canvas", { width: DRAWN, height: DRAWN, class: "board", hidden: true, role: "img", "aria-label": "Board to draw on with a pointer" });
  const pen = board.getContext("2d");
  const wipe = () => {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, DRAWN, DRAWN);
  };
  const stroke = (event) => {
    if (event.buttons !== 1) return;
    const box = board.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) * DRAWN / box.width, (event.clientY - box.top) * DRAWN / box.height];
    if (event.type === "pointerdown") {
      board.setPointerCapture(event.pointerId);
      pen.beginPath();
      pen.moveTo(x, y);
    }
    [pen.lineWidth, pen.lineCap, pen.lineJoin, pen.strokeStyle] = [DRAWN / 9, "round", "round", "#000"];
    pen.lineTo(x, y);
    pen.stroke();
    [picture, name] = [board, "Your drawing"];
    update();
  };
  for (const type of ["pointerdown", "pointermove"]) board.addEventListener(type, stroke);
  const draw = make("button", {
    type: "button", class: "quiet",
    onclick: () => {
      wipe();
      board.hidden = false;
      draw.textContent = "Wipe the board";
      [picture, name] = [board, "Your drawing"];
      update();
    },
  }, "Draw one instead");
  preset.value = input.datatype === "UINT8" ? "raw" : "zero-one";
  refit();
  choose();
  const settings = make("details", {},
    make("summary", {}, "How it becomes numbers: ", formula),
    make("div", { class: "row" },
      labelled("Values", preset), labelled("Fit", fit), labelled("Layout", layoutField), labelled("Width", wide), labelled("Height", high),
      labelled("Colours", order), labelled("Divide by", scale), labelled("Mean", mean), labelled("Deviation", std)),
    invertField);
  return {
    element: make("div", {}, fileField("Picture", "image/*", take), draw, make("div", { class: "boards" }, board, canvas), said, settings),
    read: () => (picture ? pictureValues(canvas, how(), input.datatype) : null),
    picture: () => picture && { source: picture, canvas, at, name },
    missing: "Choose a picture first.",
  };
}

function soundControl(input, changed) {
  const axis = sampleAxis(input.shape);
  let [samples, bytes, name] = [null, null, ""];
  const canvas = make("canvas", { width: 600, height: 72, role: "img", class: "wave", hidden: true });
  const player = make("audio", { controls: true, hidden: true });
  const said = make("p", { class: "note", role: "status" });
  const rate = choice(RATES.map((each) => [String(each), `${each.toLocaleString("en")} Hz`]), "16000", () => decode());
  const start = make("input", { type: "number", min: 0, step: "any", value: 0, oninput: () => update() });
  const fixed = input.shape[axis] > 0;
  const length = make("input", {
    type: "number", min: 1, disabled: fixed, value: fixed ? input.shape[axis] : input.example?.shape[axis] ?? "", placeholder: "all", oninput: () => update(),
  });
  const cut = () => cutSound(samples, Math.max(0, Math.round((Number(start.value) || 0) * rate.value)), Math.round(Number(length.value)) || -1);
  const update = () => {
    if (samples) {
      const taken = cut();
      canvas.hidden = false;
      drawWave(canvas, taken);
      const seconds = (taken.length / rate.value).toFixed(2);
      canvas.setAttribute("aria-label", `Loudness of the ${seconds} seconds that the model hears`);
      said.textContent = `${name}: the model hears ${taken.length.toLocaleString("en")} samples, ${seconds} s of ${(samples.length / rate.value).toFixed(2)} s.`;
    }
    changed();
  };
  const decode = async () => {
    if (!bytes) return;
    try {
      samples = await decodeSound(bytes.slice(0), Number(rate.value)); // decoding takes the buffer away
      update();
    } catch {
      samples = null;
      said.textContent = `${name} is no sound that this browser can read; choose a WAV, MP3, Ogg or FLAC file.`;
    }
  };
  const take = async (file) => {
    [bytes, name] = [await file.arrayBuffer(), file.name];
    player.src = URL.createObjectURL(file);
    player.hidden = false;
    await decode();
  };
  return {
    element: make("div", {}, fileField("Sound", "audio/*", take), player, canvas, said,
      make("div", { class: "row" }, labelled("Samples a second", rate), labelled("Begin at second", start), labelled("Samples", length))),
    read: () => (samples ? soundValues(cut(), input.shape, axis, input.datatype) : null),
    missing: "Choose a sound first.",
  };
}
