// From a sound file to the samples that a model takes: decoded and resampled by the browser, mixed to one channel.

const RATES = [8000, 16000, 22050, 24000, 32000, 44100, 48000];

/** The axis of this shape along which samples lie, -1 when none can. */
function sampleAxis(shape) {
  const open = shape.lastIndexOf(-1);
  const longest = shape.indexOf(Math.max(...shape));
  if (shape.length && shape[longest] >= 64 && shape.every((size, i) => i === longest || size === 1 || size === -1)) return longest;
  return open >= 0 && shape.every((size, i) => i === open || size === 1 || size === -1) ? open : -1;
}

async function decodeSound(bytes, rate) {
  const context = new OfflineAudioContext(1, 1, rate);
  const buffer = await context.decodeAudioData(bytes);
  const mono = new Float32Array(buffer.length);
  for (let c = 0; c < buffer.numberOfChannels; c++) {
    const channel = buffer.getChannelData(c);
    for (let i = 0; i < mono.length; i++) mono[i] += channel[i] / buffer.numberOfChannels;
  }
  return mono;
}

/** `samples` from `start` on, cut or filled up with silence to the length that the model takes (-1: any). */
function cutSound(samples, start, length) {
  const rest = samples.subarray(Math.min(start, samples.length));
  if (length < 0) return rest.slice();
  const cut = new Float32Array(length);
  cut.set(rest.subarray(0, length));
  return cut;
}

function soundValues(samples, shape, axis, datatype) {
  const whole = LIMITS[datatype];
  const flat = whole ? fitted(samples.map((value) => value * whole[1]), datatype) : samples;
  return { shape: shape.map((_, i) => (i === axis ? samples.length : 1)), flat };
}

/** Draw the loudness over time. */
function drawWave(canvas, samples) {
  const context = canvas.getContext("2d");
  const [width, height] = [canvas.width, canvas.height];
  context.clearRect(0, 0, width, height);
  context.fillStyle = getComputedStyle(canvas).color;
  for (let x = 0; x < width; x++) {
    const from = Math.floor((x * samples.length) / width);
    const to = Math.max(from + 1, Math.floor(((x + 1) * samples.length) / width));
    let [low, high] = [0, 0];
    for (let i = from; i < to && i < samples.length; i++) {
      low = Math.min(low, samples[i]);
      high = Math.max(high, samples[i]);
    }
    context.fillRect(x, height / 2 - (high * height) / 2, 1, Math.max(1, ((high - low) * height) / 2));
  }
}
