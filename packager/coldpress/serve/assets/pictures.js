// From a picture to the numbers that a model takes. The presets are those of `coldpress pack --preprocess`.

const PRESETS = {
  raw: { text: "0 to 255", fit: "stretch", scale: 1, mean: "0", std: "1", order: "rgb" },
  "zero-one": { text: "0 to 1", fit: "stretch", scale: 255, mean: "0", std: "1", order: "rgb" },
  "minus-one-one": { text: "−1 to 1", fit: "stretch", scale: 127.5, mean: "1", std: "1", order: "rgb" },
  imagenet: { text: "ImageNet (torchvision)", fit: "crop", scale: 255, mean: "0.485, 0.456, 0.406", std: "0.229, 0.224, 0.225", order: "rgb", side: 224 },
  caffe: { text: "Caffe", fit: "stretch-crop", scale: 1, mean: "104, 117, 123", std: "1", order: "bgr", side: 224 },
  letterbox: { text: "Letterbox (YOLO)", fit: "letterbox", scale: 255, mean: "0", std: "1", order: "rgb", side: 640 },
};
const FITS = [["stretch", "Stretch"], ["crop", "Crop to the middle"], ["stretch-crop", "Stretch, then crop"], ["letterbox", "Whole, with margins"]];
const CHANNELS = new Set([1, 3, 4]);

/** Ways in which a tensor of this shape can be a picture, the likeliest first: layout, channels, height and width (-1: any). */
function pictureLayouts(shape) {
  const found = [];
  const add = (layout, channels, height, width) => {
    if ((CHANNELS.has(channels) || channels === -1) && [height, width].every((size) => size === -1 || (size > 7 && size <= 8192))) {
      found.push({ layout, channels: channels === -1 ? 3 : channels, height, width });
    }
  };
  if (shape.length === 4) {
    add("NCHW", shape[1], shape[2], shape[3]);
    add("NHWC", shape[3], shape[1], shape[2]);
    found.sort((a, b) => CHANNELS.has(shape[b.layout === "NCHW" ? 1 : 3]) - CHANNELS.has(shape[a.layout === "NCHW" ? 1 : 3]));
  } else if (shape.length === 3) {
    if (CHANNELS.has(shape[0])) add("CHW", shape[0], shape[1], shape[2]);
    if (CHANNELS.has(shape[2])) add("HWC", shape[2], shape[0], shape[1]);
    add("NHW", 1, shape[1], shape[2]);
  } else if (shape.length === 2) {
    for (const channels of [1, 3]) {
      const side = Math.sqrt(shape[1] / channels);
      if (Number.isInteger(side)) {
        add("flat", channels, side, side);
        if (channels === 3) add("flat, channels first", channels, side, side);
      }
    }
    if (!found.length) add("HW", 1, shape[0], shape[1]);
  }
  return found;
}

/** Where the picture goes: the part of it that is taken, and the part of the canvas that it fills. */
function place(picture, how) {
  const { width: w, height: h } = picture;
  const whole = { sx: 0, sy: 0, sw: w, sh: h, dx: 0, dy: 0, dw: how.width, dh: how.height };
  if (how.fit === "letterbox") {
    const ratio = Math.min(how.width / w, how.height / h);
    const [dw, dh] = [Math.max(1, Math.round(w * ratio)), Math.max(1, Math.round(h * ratio))];
    return { ...whole, dw, dh, dx: Math.round((how.width - dw) / 2 - 0.1), dy: Math.round((how.height - dh) / 2 - 0.1) };
  }
  if (how.fit === "stretch") return whole;
  let [sw, sh] = [w * 7 / 8, h * 7 / 8]; // 224 of 256 pixels, as both recipes have it
  if (how.fit === "crop") {
    const ratio = Math.max(how.width / sw, how.height / sh);
    [sw, sh] = [how.width / ratio, how.height / ratio];
  }
  return { ...whole, sx: (w - sw) / 2, sy: (h - sh) / 2, sw, sh };
}

/** Draw the picture as the model will see it; returns where it went. */
function drawPicture(canvas, picture, how) {
  canvas.width = how.width;
  canvas.height = how.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = how.fit === "letterbox" ? "rgb(114 114 114)" : "#fff";
  context.fillRect(0, 0, how.width, how.height);
  context.imageSmoothingQuality = "high";
  const at = place(picture, how);
  context.drawImage(picture, at.sx, at.sy, at.sw, at.sh, at.dx, at.dy, at.dw, at.dh);
  if (how.channels === 1 || how.invert) {
    const image = context.getImageData(0, 0, how.width, how.height);
    const { data } = image;
    for (let i = 0; i < data.length; i += 4) {
      if (how.channels === 1) data[i] = data[i + 1] = data[i + 2] = Math.round(0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]);
      if (how.invert) for (let c = 0; c < 3; c++) data[i + c] = 255 - data[i + c];
    }
    context.putImageData(image, 0, 0);
  }
  return at;
}

/** The values of a drawn canvas: `(pixel / scale - mean) / std`, in the model's layout and type. */
function pictureValues(canvas, how, datatype) {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const { channels } = how;
  const flat = new Float32Array(channels * width * height);
  const order = how.order === "bgr" ? [2, 1, 0, 3] : [0, 1, 2, 3];
  const planes = /CHW|first/.test(how.layout);
  for (let c = 0; c < channels; c++) {
    const [mean, std] = [how.mean[c % how.mean.length], how.std[c % how.std.length]];
    for (let pixel = 0; pixel < width * height; pixel++) {
      flat[planes ? c * width * height + pixel : pixel * channels + c] = (data[4 * pixel + order[c]] / how.scale - mean) / std;
    }
  }
  const sizes = { C: channels, H: height, W: width, N: 1 };
  const shape = how.layout.startsWith("flat") ? [1, flat.length] : [...how.layout].map((axis) => sizes[axis]);
  return { shape, flat: fitted(flat, datatype) };
}

/** Floats as whole numbers within the datatype's range, where it is one of whole numbers. */
function fitted(flat, datatype) {
  if (isFloat(datatype)) return flat;
  const [low, high] = LIMITS[datatype] ?? [-(2 ** 53), 2 ** 53];
  return flat.map((value) => Math.min(high, Math.max(low, Math.round(value))));
}
