// The page of a training. The module beside says what its data hold.

// --- frames, samples ------------------------------------------------------------------------------

const bytes = Uint8Array.from(atob(page.frames), (c) => c.charCodeAt(0));
const numbers = new Float32Array(bytes.buffer);
const frames = page.epochs.map((epoch, k) => ({
  epoch,
  loss: page.losses[k] === null ? null : Number(page.losses[k]),
  parameters: numbers.subarray(k * page.parameters, (k + 1) * page.parameters),
}));
const samples = page.samples;
const tapes = page.tapes.map((tape) => ({ ...tape, run: new Tape(tape) }));
const nin = samples[0].x.length;
const nout = tapes[0].outputs.length;
const isClass = samples[0].label !== null;
const classes = isClass ? Math.max(nout, 2) : 0;

let frame = 0;
let sample = 0;
let values = null; // of the chosen sample, by node of its tape
let grads = null;

// The outputs for inputs x, at the parameters of the present frame.
function outputs(x, tape = tapes[0].run) {
  tape.forward(frames[frame].parameters, x, { toLoss: false });
  return tape.outputs.map((i) => tape.values[i]);
}

// Those of all samples, found once for each frame.
let known = { frame: -1, all: [] };
function outputsOfSamples() {
  if (known.frame !== frame) known = { frame, all: samples.map(({ x }) => outputs(x)) };
  return known.all;
}

function classOf(y) {
  if (nout === 1) return y[0] > page.threshold ? 1 : 0;
  return y.indexOf(Math.max(...y));
}

const vector = (x) => (x.length === 1 ? number(x[0]) : x.length <= 4 ? `(${x.map((v) => number(v)).join(", ")})` : `(${x.slice(0, 3).map((v) => number(v)).join(", ")}, … ${x.length} numbers)`);

// --- colours --------------------------------------------------------------------------------------

const CLASSES = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7a7a7a", "#b2182b", "#5e3c99"];
const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
let theme = {};
function readTheme() {
  theme = Object.fromEntries(["paper", "ink", "faint", "line", "plus", "minus", "panel"].map((name) => [name, css(`--${name}`)]));
}
readTheme();

// A share of a colour on the paper, as [r, g, b].
function tint(hex, share) {
  const [paper, colour] = [rgb(theme.paper), rgb(hex)];
  const t = Math.max(0, Math.min(1, share));
  return paper.map((p, k) => Math.round(p + (colour[k] - p) * t));
}
const toCss = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
const signed = (x) => (x >= 0 ? theme.plus : theme.minus);
const classColour = (k) => (classes === 2 && nout === 1 ? [theme.minus, theme.plus][k] : CLASSES[k % CLASSES.length]);

// --- canvases -------------------------------------------------------------------------------------

function prepared(canvas) {
  const ratio = devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, Helvetica, Arial, sans-serif";
  return { pen, width, height };
}

function range(list, margin = 0.08) {
  let [low, high] = [Infinity, -Infinity];
  for (const x of list) if (Number.isFinite(x)) [low, high] = [Math.min(low, x), Math.max(high, x)];
  if (low > high) return [0, 1];
  const wide = high - low || 1;
  return [low - margin * wide, high + margin * wide];
}

// Where a chart puts its numbers on the canvas, and the axes around it.
function axes(pen, width, height, xs, ys, names, { log = false } = {}) {
  const box = { left: 46, right: width - 16, top: 8, bottom: height - 30 };
  const across = (x) => box.left + ((x - xs[0]) / (xs[1] - xs[0])) * (box.right - box.left);
  const scale = log ? Math.log : (y) => y;
  const up = (y) => box.bottom - ((scale(y) - scale(ys[0])) / (scale(ys[1]) - scale(ys[0]))) * (box.bottom - box.top);
  const draw = () => {
    pen.strokeStyle = theme.line;
    pen.lineWidth = 1;
    pen.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    pen.fillStyle = theme.faint;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const x of ticks(...xs)) pen.fillText(number(x), across(x), box.bottom + 4);
    pen.fillText(names[0], (box.left + box.right) / 2, box.bottom + 17);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const y of log ? powers(...ys) : ticks(...ys, Math.max(2, Math.min(6, (box.bottom - box.top) / 32)))) pen.fillText(number(y), box.left - 5, up(y));
    if (names[1]) {
      pen.save();
      pen.translate(9, (box.top + box.bottom) / 2);
      pen.rotate(-Math.PI / 2);
      pen.textAlign = "center";
      pen.fillText(names[1], 0, 0);
      pen.restore();
    }
  };
  const inverse = (px) => xs[0] + ((px - box.left) / (box.right - box.left)) * (xs[1] - xs[0]);
  return { box, across, up, draw, inverse };
}

function ticks(low, high, about = 5) {
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((k) => k * power >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(k * step);
  return found;
}
function powers(low, high, factors = [1]) {
  const found = [];
  for (let k = Math.floor(Math.log10(low)); 10 ** k <= high; k++) {
    found.push(...factors.map((factor) => factor * 10 ** k).filter((x) => x >= low && x <= high));
  }
  return found.length > 1 || factors.length > 1 ? found : powers(low, high, [1, 2, 5]);
}

function dot(pen, x, y, { colour, shape = 0, size = 4.2, chosen = false, edge = theme.paper }) {
  pen.beginPath();
  if (shape % 3 === 1) pen.rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8);
  else if (shape % 3 === 2) { pen.moveTo(x, y - size * 1.3); pen.lineTo(x + size * 1.2, y + size); pen.lineTo(x - size * 1.2, y + size); pen.closePath(); }
  else pen.arc(x, y, size, 0, 7);
  pen.fillStyle = colour;
  pen.fill();
  pen.lineWidth = 1.2;
  pen.strokeStyle = edge;
  pen.stroke();
  if (chosen) {
    pen.beginPath();
    pen.arc(x, y, size + 5, 0, 7);
    pen.lineWidth = 2.5;
    pen.strokeStyle = theme.ink;
    pen.stroke();
  }
}

// --- the map: what the network says, for every input or for the samples ---------------------------

const targets = samples.map(({ target }) => [target].flat());
const kind = nin === 2 && (nout === 1 || isClass) ? "plane" : nin === 1 && nout === 1 ? "line" : isClass && nout > 1 ? "table" : "scatter";
const MAPS = {
  plane: { title: isClass ? "Decision boundary" : "Output", draw: drawPlane },
  line: { title: "Output", draw: drawLine },
  table: { title: "Predictions", draw: drawTable },
  scatter: { title: "Outputs and targets", draw: drawScatter },
};
let spots = []; // where the samples are on the map: [x, y, sample]
let cost = 0.01; // milliseconds for one forward pass, measured

function colourOfSample(k) {
  if (isClass) return classColour(samples[k].label);
  const [low, high] = valueRange;
  return toCss(mix((targets[k][0] - low) / (high - low)));
}
const valueRange = range(targets.flat(), 0);
function mix(t) { // from minus over paper to plus
  const s = 2 * t - 1;
  return tint(signed(s), Math.abs(s));
}

// How far from the threshold an output is that gets the full colour: the same in all frames.
const spread = (() => {
  frame = frames.length - 1;
  const far = outputsOfSamples().map(([y]) => Math.abs(y - page.threshold)).filter(Number.isFinite).sort((a, b) => a - b);
  return far[Math.floor(far.length * 0.75)] || 1;
})();

function drawPlane(pen, width, height, budget) {
  const xs = range(samples.map(({ x }) => x[0]));
  const ys = range(samples.map(({ x }) => x[1]));
  const chart = axes(pen, width, height, xs, ys, ["x[0]", "x[1]"]);
  const { left, right, top, bottom } = chart.box;
  const n = Math.max(20, Math.min(160, Math.floor(Math.sqrt(budget / cost))));
  const field = new Float64Array((n + 1) * (n + 1));
  const image = new ImageData(n + 1, n + 1);
  const start = performance.now();
  for (let row = 0; row <= n; row++) {
    for (let column = 0; column <= n; column++) {
      const y = outputs([xs[0] + (column / n) * (xs[1] - xs[0]), ys[1] - (row / n) * (ys[1] - ys[0])]);
      const at = row * (n + 1) + column;
      field[at] = y[0] - page.threshold;
      image.data.set([...colourOf(y), 255], 4 * at);
    }
  }
  cost = 0.7 * cost + 0.3 * ((performance.now() - start) / field.length);
  const small = document.createElement("canvas");
  small.width = small.height = n + 1;
  small.getContext("2d").putImageData(image, 0, 0);
  pen.save();
  pen.beginPath();
  pen.rect(left, top, right - left, bottom - top);
  pen.clip();
  const half = [(right - left) / n / 2, (bottom - top) / n / 2];
  pen.imageSmoothingEnabled = nout === 1;
  pen.drawImage(small, left - half[0], top - half[1], right - left + 2 * half[0], bottom - top + 2 * half[1]);
  if (nout === 1 && isClass) contour(pen, field, n, (c) => left + (c / n) * (right - left), (r) => top + (r / n) * (bottom - top));
  pen.restore();
  chart.draw();
  spots = samples.map(({ x }, k) => [chart.across(x[0]), chart.up(x[1]), k]);
  drawSpots(pen);
}

function colourOf(y) {
  if (nout === 1 && isClass) return tint(signed(y[0] - page.threshold), 0.12 + 0.5 * Math.min(1, Math.abs(y[0] - page.threshold) / spread));
  if (nout === 1) return mix((y[0] - valueRange[0]) / (valueRange[1] - valueRange[0]));
  const best = classOf(y);
  const second = Math.max(...y.filter((_, k) => k !== best));
  return tint(classColour(best), 0.2 + 0.4 * Math.min(1, (y[best] - second) / (2 * spread)));
}

// The line on which the field is 0, by marching squares.
function contour(pen, field, n, across, down) {
  pen.beginPath();
  const at = (r, c) => field[r * (n + 1) + c];
  for (let r = 0; r < n; r++) {
    for (let c = 0; c < n; c++) {
      const corners = [[r, c], [r, c + 1], [r + 1, c + 1], [r + 1, c]];
      const crossings = [];
      corners.forEach(([r0, c0], k) => {
        const [r1, c1] = corners[(k + 1) % 4];
        const [a, b] = [at(r0, c0), at(r1, c1)];
        if (a > 0 === b > 0) return;
        const t = a / (a - b);
        crossings.push([across(c0 + t * (c1 - c0)), down(r0 + t * (r1 - r0))]);
      });
      for (let k = 0; k + 1 < crossings.length; k += 2) {
        pen.moveTo(...crossings[k]);
        pen.lineTo(...crossings[k + 1]);
      }
    }
  }
  pen.lineWidth = 2;
  pen.strokeStyle = theme.ink;
  pen.stroke();
}

function drawSpots(pen, size) {
  const order = [...spots.filter(([, , k]) => k !== sample), ...spots.filter(([, , k]) => k === sample)];
  for (const [x, y, k] of order) {
    dot(pen, x, y, { colour: colourOfSample(k), shape: samples[k].label ?? 0, size, chosen: k === sample, edge: isClass ? theme.paper : theme.ink });
  }
}

function drawLine(pen, width, height) {
  const xs = range(samples.map(({ x }) => x[0]));
  const points = Array.from({ length: 161 }, (_, k) => xs[0] + (k / 160) * (xs[1] - xs[0]));
  const ys = range([...targets.flat(), ...(isClass ? [0, 1] : [])], 0.15);
  const chart = axes(pen, width, height, xs, ys, ["x[0]", "output and target"]);
  const { left, right, top, bottom } = chart.box;
  chart.draw();
  pen.save();
  pen.beginPath();
  pen.rect(left, top, right - left, bottom - top);
  pen.clip();
  pen.beginPath();
  for (const x of points) pen.lineTo(chart.across(x), chart.up(outputs([x])[0]));
  pen.lineWidth = 2.5;
  pen.strokeStyle = theme.plus;
  pen.stroke();
  pen.restore();
  spots = samples.map(({ x }, k) => [chart.across(x[0]), chart.up(targets[k][0]), k]);
  drawSpots(pen);
}

function drawScatter(pen, width, height) {
  const all = outputsOfSamples();
  const xs = range(targets.flat(), isClass ? 0.35 : 0.15);  // room for what is set aside below
  const ys = range([...targets.flat(), ...frameOutputs], 0.1);
  const chart = axes(pen, width, height, xs, ys, ["target", "output"]);
  const { left, right, top, bottom } = chart.box;
  chart.draw();
  pen.save();
  pen.beginPath();
  pen.rect(left, top, right - left, bottom - top);
  pen.clip();
  pen.beginPath();
  pen.setLineDash([5, 4]);
  pen.strokeStyle = theme.faint;
  if (isClass) {
    pen.moveTo(left, chart.up(page.threshold));
    pen.lineTo(right, chart.up(page.threshold));
  } else {
    pen.moveTo(chart.across(ys[0]), chart.up(ys[0]));
    pen.lineTo(chart.across(ys[1]), chart.up(ys[1]));
  }
  pen.stroke();
  pen.setLineDash([]);
  // Classes stand in columns, so their points are spread a little.
  const aside = (k) => (isClass ? (((k * 0.618034) % 1) - 0.5) * 0.5 * (chart.across(1) - chart.across(0)) : 0);
  spots = all.flatMap((y, k) => y.map((v, j) => [chart.across(targets[k][j] ?? targets[k][0]) + aside(k), chart.up(v), k]));
  drawSpots(pen, 3.6);
  pen.restore();
}
// The outputs of the first and the last frame, so that the axis stays in between.
const frameOutputs = [0, frames.length - 1].flatMap((k) => {
  frame = k;
  return outputsOfSamples().flat();
});

function drawTable(pen, width, height) {
  const box = { left: 46, right: width - 10, top: 8, bottom: height - 34 };
  const [w, h] = [(box.right - box.left) / classes, (box.bottom - box.top) / classes];
  const cells = new Map();
  const said = outputsOfSamples().map(classOf);
  samples.forEach(({ label }, k) => {
    const key = `${label} ${said[k]}`;
    cells.set(key, [...(cells.get(key) ?? []), k]);
  });
  const most = Math.max(...[...cells.values()].map((list) => list.length));
  const size = Math.max(1.2, Math.min(4.5, Math.sqrt((w * h) / most) / 2.6));
  const perRow = Math.max(1, Math.floor((w - 4) / (2.3 * size)));
  spots = [];
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  for (let row = 0; row < classes; row++) {
    for (let column = 0; column < classes; column++) {
      const [x, y] = [box.left + column * w, box.top + row * h];
      if (row === column) {
        pen.fillStyle = toCss(tint(theme.plus, 0.12));
        pen.fillRect(x, y, w, h);
      }
      pen.strokeStyle = theme.line;
      pen.lineWidth = 1;
      pen.strokeRect(x, y, w, h);
      (cells.get(`${row} ${column}`) ?? []).forEach((k, i) => {
        spots.push([x + 2 + size * 1.15 + (i % perRow) * 2.3 * size, y + 2 + size * 1.15 + Math.floor(i / perRow) * 2.3 * size, k]);
      });
    }
    pen.fillStyle = theme.faint;
    pen.fillText(row, box.left - 12, box.top + (row + 0.5) * h);
    pen.fillText(row, box.left + (row + 0.5) * w, box.bottom + 10);
  }
  pen.fillText("the network says", (box.left + box.right) / 2, box.bottom + 25);
  pen.save();
  pen.translate(14, (box.top + box.bottom) / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText("true class", 0, 0);
  pen.restore();
  for (const [x, y, k] of spots) {
    const right = samples[k].label === said[k];
    dot(pen, x, y, { colour: right ? theme.plus : theme.minus, shape: right ? 0 : 1, size, chosen: k === sample });
  }
}

// As fine as one frame has time for; and when the frame stays, finer.
const [QUICK, FINE] = [12, 150]; // milliseconds
let refining = null;

function drawMap(budget = QUICK) {
  clearTimeout(refining);
  if (kind === "plane" && budget === QUICK) refining = setTimeout(() => { drawMap(FINE); compute(); }, 250);
  const canvas = $("map");
  const { pen, width, height } = prepared(canvas);
  MAPS[kind].draw(pen, width, height, budget);
  if (isClass) {
    const right = outputsOfSamples().filter((y, k) => classOf(y) === samples[k].label).length;
    $("map-note").textContent = `${right} of ${samples.length} right`;
  }
  canvas.setAttribute("aria-label", `${MAPS[kind].title}, ${$("map-note").textContent}. The chosen sample is ${samples[sample].number}.`);
}
$("map-title").textContent = MAPS[kind].title;
if (kind === "plane" && nout === 1 && isClass) {
  $("map-legend").append(make("i", { class: "plus" }), " the network says class 1 ", make("i", { class: "minus" }), " class 0. A point is a sample, in the colour of its class. Click on one.");
} else {
  const said = {
    table: "Each point is a sample; on the diagonal the network is right. Click on one.",
    scatter: "Each point is a sample, set beside the others of its class. Click on one.",
  };
  $("map-legend").textContent = (isClass && said[kind]) || "Each point is a sample. Click on one.";
}

$("map").addEventListener("click", (event) => {
  const here = $("map").getBoundingClientRect();
  const [px, py] = [event.clientX - here.left, event.clientY - here.top];
  let [best, nearest] = [null, 30 ** 2];
  for (const [x, y, k] of spots) {
    const distance = (x - px) ** 2 + (y - py) ** 2;
    if (distance < nearest) [best, nearest] = [k, distance];
  }
  if (best !== null) choose(best);
});

// --- the loss curve -------------------------------------------------------------------------------

const training = frames.filter(({ loss }) => loss !== null).map(({ epoch, loss }) => [epoch, loss]);
const validation = page.curves.filter(([, , val]) => val !== null).map(([epoch, , val]) => [epoch, Number(val)]);
let chart = null;

function drawCurve() {
  const { pen, width, height } = prepared($("curve"));
  const all = [...training, ...validation].map(([, y]) => y);
  const positive = all.length > 0 && all.every((y) => y > 0);
  const log = positive && Math.max(...all) / Math.min(...all) > 20;
  const ys = log ? [Math.min(...all) / 1.2, Math.max(...all) * 1.2] : range(all);
  const first = frames[0].epoch;
  chart = axes(pen, width, height, [first, Math.max(frames[frames.length - 1].epoch, first + 1e-9)], ys, ["epoch", ""], { log });
  chart.draw();
  for (const [points, colour, dash] of [[training, theme.plus, []], [validation, theme.minus, [6, 3]]]) {
    pen.beginPath();
    for (const [x, y] of points) pen.lineTo(chart.across(x), chart.up(y));
    pen.setLineDash(dash);
    pen.lineWidth = 2;
    pen.strokeStyle = colour;
    pen.stroke();
  }
  pen.setLineDash([]);
  const x = chart.across(frames[frame].epoch);
  pen.beginPath();
  pen.moveTo(x, chart.box.top);
  pen.lineTo(x, chart.box.bottom);
  pen.strokeStyle = theme.ink;
  pen.lineWidth = 1.5;
  pen.stroke();
  const { loss } = frames[frame];
  if (loss !== null) dot(pen, x, chart.up(loss), { colour: theme.plus });
  $("loss-note").textContent = `epoch ${number(frames[frame].epoch)}${loss === null ? "" : `, ${number(loss)}`}`;
}
$("curve-legend").append(make("i", { class: "plus" }), " training: mean of the batches since the frame before", ...(validation.length ? [" ", make("i", { class: "minus" }), " validation"] : []));

const scrub = (event) => {
  const epoch = chart.inverse(event.clientX - $("curve").getBoundingClientRect().left);
  let best = 0;
  frames.forEach((f, k) => { if (Math.abs(f.epoch - epoch) < Math.abs(frames[best].epoch - epoch)) best = k; });
  go(best);
};
$("curve").addEventListener("pointerdown", (event) => { $("curve").setPointerCapture(event.pointerId); scrub(event); });
$("curve").addEventListener("pointermove", (event) => { if (event.buttons) scrub(event); });

// --- the network ----------------------------------------------------------------------------------
//
// A unit is an input, a neuron (its z and its a), another operation that leads to an output, or
// the cost C. A wire leads from one to the next, with a weight if the next is a neuron.

const UNITS = 400;
const WIRES = 3000;
const WIDEST = 5.5; // of the ring around a unit, in pixels

function networkOf({ ops, operands, inputs, outputs: outs, parameters, roles, labels }) {
  const parameterOf = new Map(parameters.map((i, k) => [i, k]).filter(([i]) => i >= 0));
  const needed = new Set();
  const waiting = [...outs];
  while (waiting.length) {
    const i = waiting.pop();
    if (needed.has(i) || parameterOf.has(i)) continue;
    needed.add(i);
    waiting.push(...operands[i].filter((x) => typeof x === "number"));
  }
  const units = [];
  const unitOf = new Map(); // by node, both z and a
  const add = (unit, ...nodes) => { units.push(unit); for (const i of nodes) unitOf.set(i, unit); };
  inputs.forEach((i, j) => i >= 0 && add({ name: `x[${j}]`, a: i, z: -1, wires: [], depth: 0, input: j }, i));
  for (const i of [...needed].sort((a, b) => a - b)) {
    if (unitOf.has(i) || ops[i] === "") continue;
    if (roles[i] === "activation" && unitOf.has(operands[i][0])) { // the a of a z
      const unit = unitOf.get(operands[i][0]);
      unit.a = i;
      unit.name = labels[i] || unit.name;
      unitOf.set(i, unit);
      continue;
    }
    const wires = [];
    const from = (x, weight) => { if (unitOf.has(x)) wires.push({ from: unitOf.get(x), weight }); };
    if (roles[i] === "pre-activation") {
      const n = (operands[i].length - 1) / 2;
      for (let j = 0; j < n; j++) {
        const [w, x] = [operands[i][j], operands[i][n + j]];
        if (parameterOf.has(w)) from(x, parameterOf.get(w)); else from(w, parameterOf.get(x));
      }
    } else {
      for (const x of new Set(operands[i])) from(x);
    }
    const depth = 1 + Math.max(0, ...wires.map((wire) => wire.from.depth));
    add({ name: labels[i] || ops[i], a: i, z: i, wires, depth }, i);
  }
  const last = ops.length - 1;
  if (!unitOf.has(last)) {
    const wires = [...new Set(outs)].map((i) => ({ from: unitOf.get(i) })).filter((wire) => wire.from);
    add({ name: "C", a: last, z: last, wires, depth: 1 + Math.max(...units.map((unit) => unit.depth)), isCost: true }, last);
  }
  return units;
}

const units = networkOf(tapes[0]);
let chosenUnit = units.find((unit) => unit.a === tapes[0].outputs[0]) ?? units[units.length - 1];
let showGradients = false;
let wires = [];

function placeUnits() {
  const { width, height } = $("stage").getBoundingClientRect();
  const svg = $("network");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const depth = Math.max(...units.map((unit) => unit.depth));
  const columns = Array.from({ length: depth + 1 }, (_, d) => units.filter((unit) => unit.depth === d));
  columns.forEach((column, d) => {
    const space = (height - 22) / column.length;
    const roomy = (space - 2 * WIDEST - 22) / 2; // the radius that leaves room for a name and the ring around the next
    const isNamed = roomy >= 13;
    const radius = Math.max(2, Math.min(18, isNamed ? roomy : (height - 20) / column.length / 2.7, width / (depth + 1) / 5));
    column.forEach((unit, k) => {
      unit.x = 40 + (d / Math.max(1, depth)) * (width - 80);
      unit.y = (k + 0.5) * space + 4;
      Object.assign(unit, { radius, isNamed });
    });
  });
  wires = units.flatMap((unit) => unit.wires.map((wire) => ({ ...wire, to: unit })));
  const left = wires.length - WIRES;
  if (left > 0) { // those that the training made strongest
    const final = frames[frames.length - 1].parameters;
    wires.sort((a, b) => Math.abs(final[b.weight] ?? 9) - Math.abs(final[a.weight] ?? 9));
    wires.length = WIRES;
  }
  for (const wire of wires) {
    const { from, to } = wire;
    wire.element = make("svg:line", { x1: from.x + from.radius, y1: from.y, x2: to.x - to.radius, y2: to.y });
  }
  for (const unit of units) {
    const { x, y, radius } = unit;
    unit.element = make("svg:g", { class: "unit", tabindex: 0, role: "button" });
    unit.disc = make("svg:circle", { class: "disc", cx: x, cy: y, r: radius });
    unit.ring = make("svg:circle", { class: "ring", cx: x, cy: y, r: radius });
    unit.element.append(unit.disc, unit.ring, make("svg:circle", { class: "chosen", cx: x, cy: y, r: radius + WIDEST + 2 }));
    unit.text = radius >= 13 ? make("svg:text", { x, y: y + 3.5 }) : null;
    if (unit.text) unit.element.append(unit.text);
    if (unit.isNamed) unit.element.append(make("svg:text", { class: "name", x, y: y + radius + WIDEST + 14 }, unit.name));
    unit.element.addEventListener("click", () => chooseUnit(unit));
    unit.element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      chooseUnit(unit);
    });
    unit.element.addEventListener("focus", () => { if (unit.element.matches(":focus-visible")) tip(unit); });
    unit.element.addEventListener("blur", () => { $("tip").hidden = true; });
    unit.element.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") tip(unit); });
    unit.element.addEventListener("pointerleave", () => { $("tip").hidden = true; });
  }
  svg.replaceChildren(...wires.map((wire) => wire.element), ...units.map((unit) => unit.element));
}

function tip(unit) {
  const rows = [make("b", {}, unit.name)];
  const row = (text) => rows.push(make("div", {}, text));
  if (unit.input !== undefined) row(`${unit.name} = ${number(values[unit.a])}`);
  else if (unit.isCost) row(`C = ${number(values[unit.a])}`);
  else {
    if (unit.z !== unit.a) row(`z = ${number(values[unit.z])}`);
    row(`a = ${number(values[unit.a])}`);
    row(`δ = ${number(grads[unit.z])}`);
  }
  placeTip(unit.element.getBoundingClientRect(), $("stage"), ...rows);
}

function drawNetwork() {
  const { parameters } = frames[frame];
  const tape = tapes[samples[sample].tape];
  const weightOf = ({ weight }) => (showGradients ? grads[tape.parameters[weight]] : parameters[weight]);
  const strengths = wires.filter((wire) => wire.weight !== undefined).map((wire) => Math.abs(weightOf(wire)));
  const strongest = strengths.reduce((a, b) => Math.max(a, b), 1e-300);
  for (const wire of wires) {
    if (wire.weight === undefined) {
      wire.element.setAttribute("class", "plain");
      continue;
    }
    const w = weightOf(wire);
    const share = Math.abs(w) / strongest;
    wire.element.setAttribute("stroke", signed(w));
    wire.element.setAttribute("stroke-width", (0.3 + 5 * share).toFixed(2));
    wire.element.setAttribute("stroke-opacity", (0.12 + 0.75 * share).toFixed(3));
  }
  const inner = units.filter((unit) => unit.input === undefined && !unit.isCost);
  const largestDelta = inner.reduce((m, { z }) => Math.max(m, Math.abs(grads[z])), 1e-300);
  for (const unit of units) {
    const a = values[unit.a];
    unit.disc.setAttribute("fill", toCss(tint(unit.isCost ? theme.faint : signed(a), 0.08 + 0.5 * Math.tanh(Math.abs(a)))));
    const delta = inner.includes(unit) ? grads[unit.z] : 0;
    unit.ring.setAttribute("stroke", delta === 0 ? theme.faint : signed(delta));
    const wide = 0.8 + (WIDEST - 0.8) * Math.abs(delta) / largestDelta;
    unit.ring.setAttribute("stroke-width", wide.toFixed(2));
    unit.ring.setAttribute("r", (unit.radius + wide / 2).toFixed(2)); // outwards: inside stands a number
    unit.element.classList.toggle("is-chosen", unit === chosenUnit);
    if (unit.text) {
      unit.text.textContent = short(a);
      unit.text.style.fontSize = `${Math.min(11, (1.55 * unit.radius) / (0.56 * unit.text.textContent.length))}px`;
    }
    unit.element.setAttribute("aria-label", `${unit.name}: ${number(a)}${inner.includes(unit) ? `, δ ${number(delta)}` : ""}`);
    Object.assign(unit.element.dataset, { node: unit.a, value: String(a), gradient: String(grads[unit.a]), delta: unit.z >= 0 ? String(grads[unit.z]) : "" });
  }
}

function short(x) {
  const size = Math.abs(x);
  return (size < 0.005 && x !== 0) || size >= 10 ? number(x, 1) : x.toFixed(2).replace("-", "−");
}

function chooseUnit(unit) {
  chosenUnit = unit;
  drawNetwork();
  describe();
}

// --- the numbers of one neuron --------------------------------------------------------------------

const TERMS = 6;

function line(symbols, ...rows) {
  return make("p", {}, ...unbroken(symbols), " ", ...rows.filter(Boolean).map((row) => make("span", { class: "numbers" }, row)));
}
function sum(terms) {
  const shown = terms.length <= TERMS ? terms : [...terms.slice(0, TERMS - 1), `… (${terms.length - TERMS + 1} more)`];
  return shown.join(" + ");
}

function describe() {
  const unit = chosenUnit;
  const { ops, operands, labels, run, outputs: outs } = tapes[samples[sample].tape];
  const name = (i) => labels[i];
  const d = derivative;
  const entry = (i, j) => {
    const from = run.from[i][j];
    return bracketed(from < 0 ? run.plain[i][j] : values[from]);
  };
  const lines = [];
  $("unit").textContent = unit.isCost ? "C, the cost of this sample" : unit.name;
  const { z, a } = unit;

  if (unit.input === undefined && !unit.isCost) {
    if (ops[z] === "dot") {
      const n = (operands[z].length - 1) / 2;
      const products = Array.from({ length: n }, (_, j) => `${entry(z, j)}·${entry(z, n + j)}`);
      lines.push(line(`${name(z)} = w·a + b`, `= ${sum([...products, entry(z, 2 * n)])}`, `= ${number(values[z])}`));
    } else {
      lines.push(line(`${name(z)} = ${ops[z]}(${sum(operands[z].map((_, j) => entry(z, j)))})`, `= ${number(values[z])}`));
    }
    if (a !== z) lines.push(line(`${name(a)} = ${ops[a] === "sigmoid" ? "σ" : ops[a]}(${name(z)})`, `= ${number(values[a])}`));
  }
  if (unit.isCost) lines.push(line("C", `= ${number(values[a])}`), line("∂C/∂C", "= 1"));
  else {
    const uses = [];
    operands.forEach((list, i) => {
      if (!list.some((_, j) => run.from[i][j] === a) || ops[i] === "") return;
      run.partials(i).forEach((partial, j) => { if (run.from[i][j] === a) uses.push({ i, partial }); });
    });
    const terms = uses.map(({ i, partial }) => `${bracketed(grads[i])}·${bracketed(partial)}`);
    const symbols = uses.length <= 2 ? uses.map(({ i }) => `${d("C", name(i))} · ${d(name(i), name(a))}`).join(" + ") : `Σ ∂C/∂z · ∂z/∂${name(a)}, over the ${uses.length} nodes z that use it`;
    const made = uses.length <= 2 ? uses.filter(({ i }) => /^v\d+$/.test(name(i))).map(({ i }) => `${name(i)} is a ${called(ops[i])}`) : [];
    const ofNeurons = uses.length > 2 && uses.every(({ i }) => ops[i] === "dot");
    const where = made.length ? `where ${made.join(" and ")}, on the way to C` : ofNeurons && "where ∂C/∂z is the δ of a neuron in the next layer, and ∂z/∂a its weight";
    const isDelta = a === z && ops[z] === "dot";
    lines.push(line(`${isDelta ? "δ = " : ""}${d("C", name(a))} = ${symbols || "0"}`, `= ${sum(terms) || "0"}`, `= ${number(grads[a])}`, where));
    if (a !== z && z >= 0) {
      const slope = run.partials(a)[0];
      lines.push(line(`δ = ${d("C", name(z))} = ${d("C", name(a))} · ${d(name(a), name(z))}`, `= ${number(grads[a])} · ${number(slope)}`, `= ${number(grads[z])}`));
    }
    if (z >= 0 && ops[z] === "dot") {
      const n = (operands[z].length - 1) / 2;
      const delta = bracketed(grads[z]);
      const input = (j) => units.find((other) => other.a === run.from[z][n + j])?.name ?? entry(z, n + j);
      const each = (j) => [`${d("C", name(run.from[z][j]))} = δ · ${input(j)}`, `= ${delta}·${entry(z, n + j)} = ${number(grads[run.from[z][j]])}`];
      for (let j = 0; j < Math.min(n, 3); j++) if (run.from[z][j] >= 0) lines.push(line(...each(j)));
      const more = n > 3 ? `and so on for ${n - 3} more weights: ∂C/∂w = δ · a` : "";
      if (run.from[z][2 * n] >= 0) lines.push(line(`${d("C", name(run.from[z][2 * n]))} = δ`, `= ${number(grads[z])}`, more));
    }
  }
  $("formula").replaceChildren(...lines);
  const { x, target, number: k } = samples[sample];
  const y = outs.map((i) => values[i]);
  $("sample-name").textContent = `for sample ${k}`;
  $("sample-note").textContent = `x = ${vector(x)}, target ${vector([target].flat())}, output ${vector(y)}, C = ${number(values[ops.length - 1])}`;
}

// --- a frame, a sample ----------------------------------------------------------------------------

function compute() {
  const { tape, patches, x } = samples[sample];
  const { run } = tapes[tape];
  run.patch(patches);
  run.forward(frames[frame].parameters, x);
  run.backward();
  values = run.values.slice(); // the map will run the same tape for other inputs
  grads = run.grads.slice();
}

function showFrame(k) {
  frame = k;
  redraw();
}
function redraw() {
  compute();
  drawMap();
  drawCurve();
  compute(); // the tape's values are the sample's again, for `describe`
  drawNetwork();
  describe();
  $("tip").hidden = true;
}
function choose(k) {
  sample = (k + samples.length) % samples.length;
  $("sample").value = samples[sample].number;
  redraw();
}

$("sample").max = samples[samples.length - 1].number;
$("sample").addEventListener("change", () => {
  const wanted = Number($("sample").value);
  const distance = (k) => Math.abs(samples[k].number - wanted);
  choose(samples.reduce((best, _, k) => (distance(k) < distance(best) ? k : best), 0));
});
$("sample").addEventListener("keydown", (event) => { if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) event.stopPropagation(); });
$("sample-back").addEventListener("click", () => choose(sample - 1));
$("sample-next").addEventListener("click", () => choose(sample + 1));
for (const [id, wanted] of [["show-weights", false], ["show-gradients", true]]) {
  $(id).addEventListener("click", () => {
    showGradients = wanted;
    $("show-weights").setAttribute("aria-pressed", String(!wanted));
    $("show-gradients").setAttribute("aria-pressed", String(wanted));
    drawNetwork();
  });
}
document.addEventListener("themechange", () => { readTheme(); redraw(); });
const observer = new ResizeObserver(() => {
  placeUnits();
  redraw();
});
for (const holder of document.querySelectorAll(".holder")) observer.observe(holder);

// --- begin ----------------------------------------------------------------------------------------

const { go } = controls({
  steps: frames.length,
  show: showFrame,
  words: (k) => `epoch ${number(frames[k].epoch)}`,
  pause: 100,
});
document.querySelector(".buttons").setAttribute("aria-label", "Frames");
placeUnits();
$("sample").value = samples[0].number;
go(frames.length - 1);
