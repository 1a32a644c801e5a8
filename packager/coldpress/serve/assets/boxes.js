// Boxes out of a detector's raw outputs, by a recipe that the user sees and chooses, drawn on the picture.

const BOX_FORMATS = [["xyxy", "left, top, right, bottom"], ["cxcywh", "centre, width, height"], ["xywh", "left, top, width, height"], ["yxyx", "top, left, bottom, right"]];
const SCORE_FORMATS = [["classes", "best class, from column 5 on"], ["objectness", "column 5 × best class"], ["columns", "column 5, class in column 6"], ["other", "another output"], ["none", "none"]];

/** How an output could hold boxes: `rows` of `columns`, and whether it lies on its side; null when it cannot. */
function boxTable({ shape, flat }) {
  const body = shape.filter((size, i) => size !== 1 || i === shape.length - 1);
  if (body.length === 1 && body[0] >= 4 && body[0] <= 7) return { rows: 1, columns: body[0], aside: false };
  if (body.length !== 2 || flat.some((value) => !isNumber(value))) return null;
  const [a, b] = body;
  if (b >= 4 && (b <= 7 || (b <= 256 && a > b))) return { rows: a, columns: b, aside: false };
  if (a >= 4 && a < b && a <= 256) return { rows: b, columns: a, aside: true };
  return null;
}

/** The recipe to begin with. */
function boxGuess({ columns, aside }, others) {
  const scores = columns === 4 ? (others.length ? "other" : "none") : columns <= 6 && !aside ? "columns" : aside ? "classes" : columns === 7 ? "columns" : "objectness";
  return { format: columns > 7 || aside ? "cxcywh" : "xyxy", scores };
}

function readBoxes({ flat }, table, how, scores) {
  const { rows, columns, aside } = table;
  const get = (row, column) => toNumber(aside ? flat[column * rows + row] : flat[row * columns + column]);
  const found = [];
  for (let row = 0; row < rows; row++) {
    let [score, label] = [1, null];
    const best = (from) => {
      let top = from;
      for (let column = from + 1; column < columns; column++) if (get(row, column) > get(row, top)) top = column;
      return [get(row, top), top - from];
    };
    if (how.scores === "classes" && columns > 4) [score, label] = best(4);
    else if (how.scores === "objectness" && columns > 5) {
      [score, label] = best(5);
      score *= get(row, 4);
    } else if (how.scores === "columns" && columns > 4) [score, label] = [get(row, 4), columns > 5 ? get(row, 5) : null];
    else if (how.scores === "other" && scores) {
      const width = scores.flat.length / rows;
      for (let i = 0, top = -Infinity; i < width; i++) {
        const value = toNumber(scores.flat[row * width + i]);
        if (value > top) [top, score, label] = [value, value, width > 1 ? i : null];
      }
    }
    if (!(score >= how.threshold)) continue;
    const [a, b, c, d] = [0, 1, 2, 3].map((column) => get(row, column));
    const [x0, y0, x1, y1] = { xyxy: [a, b, c, d], yxyx: [b, a, d, c], xywh: [a, b, a + c, b + d], cxcywh: [a - c / 2, b - d / 2, a + c / 2, b + d / 2] }[how.format];
    found.push({ x0, y0, x1, y1, score, label });
  }
  return found.sort((one, other) => other.score - one.score);
}

/** Of boxes of one class that overlap by more than `most`, keep the best. */
function suppress(boxes, most) {
  const kept = [];
  for (const box of boxes.slice(0, 3000)) {
    const area = (b) => Math.max(0, b.x1 - b.x0) * Math.max(0, b.y1 - b.y0);
    const overlaps = kept.some((other) => {
      if (other.label !== box.label) return false;
      const shared = Math.max(0, Math.min(box.x1, other.x1) - Math.max(box.x0, other.x0)) * Math.max(0, Math.min(box.y1, other.y1) - Math.max(box.y0, other.y0));
      return shared / (area(box) + area(other) - shared) > most;
    });
    if (!overlaps) kept.push(box);
    if (kept.length === 100) break;
  }
  return kept;
}

/** Boxes on the picture, with their recipe. `picture` is what was sent; `others` are the outputs that may hold scores. */
function boxesView(name, tensor, table, others, picture, names) {
  const guess = boxGuess(table, others);
  const update = () => draw();
  const format = choice(BOX_FORMATS, guess.format, update);
  const scores = choice(SCORE_FORMATS.filter(([key]) => key !== "other" || others.length), guess.scores, update);
  const other = choice(others.map((each, i) => [String(i), each.name]), "0", update);
  const units = choice([["auto", "as it looks"], ["pixels", "pixels of the input"], ["shares", "0 to 1"]], "auto", update);
  const field = (value) => make("input", { type: "number", min: 0, max: 1, step: 0.05, value, oninput: update });
  const [threshold, overlap] = [field(0.25), field(0.45)];
  const stage = make("div", { class: "stage" });
  const list = make("div");
  const draw = () => {
    const how = { format: format.value, scores: scores.value, threshold: Number(threshold.value) };
    const all = readBoxes(tensor, table, how, others[Number(other.value)]);
    const boxes = suppress(all, Number(overlap.value));
    const { source, canvas, at } = picture;
    const shares = units.value === "shares" || (units.value === "auto" && all.every((box) => Math.max(box.x1, box.y1) <= 1.5));
    const scale = shares ? [canvas.width, canvas.height] : [1, 1];
    const onX = (x) => (100 * (at.sx + ((x * scale[0] - at.dx) * at.sw) / at.dw)) / source.width;
    const onY = (y) => (100 * (at.sy + ((y * scale[1] - at.dy) * at.sh) / at.dh)) / source.height;
    const shown = make("canvas", { width: source.width, height: source.height, role: "img", "aria-label": `${picture.name} with ${boxes.length} boxes; the table below lists them` });
    shown.getContext("2d").drawImage(source, 0, 0);
    const text = (box) => [box.label === null ? "" : names[box.label] ?? `class ${box.label}`, how.scores === "none" ? "" : box.score.toFixed(2)].filter(Boolean).join(" ");
    stage.replaceChildren(shown, ...boxes.map((box) => {
      const [left, top, right, bottom] = [onX(box.x0), onY(box.y0), onX(box.x1), onY(box.y1)].map((share) => Math.min(100, Math.max(0, share)));
      const frame = make("div", { class: `box tone-${(box.label ?? 0) % 6}${top < 6 ? " top" : ""}${left > 70 ? " right" : ""}`, "aria-hidden": "true" }, text(box) ? make("span", {}, text(box)) : null);
      Object.assign(frame.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
      return frame;
    }));
    list.replaceChildren(boxes.length
      ? dataTable(`Boxes of ${name}`, ["box", "class", "score", "left", "top", "right", "bottom"], boxes.map((box, i) => [i + 1,
        box.label === null ? "–" : names[box.label] ?? box.label, how.scores === "none" ? "–" : box.score.toFixed(3),
        ...[onX(box.x0) * source.width, onY(box.y0) * source.height, onX(box.x1) * source.width, onY(box.y1) * source.height].map((value) => Math.round(value / 100))]),
      `${all.length} above the threshold, ${boxes.length} after overlaps; in pixels of the picture.`)
      : make("p", { class: "note" }, "No box is above the threshold."));
  };
  draw();
  return make("div", {}, stage, make("details", { open: false }, make("summary", {}, "How the numbers are read as boxes"),
    make("div", { class: "row" }, labelled("Box", format), labelled("Score", scores), others.length ? labelled("Other output", other) : null,
      labelled("Units", units), labelled("Least score", threshold), labelled("Most overlap", overlap))), list);
}
