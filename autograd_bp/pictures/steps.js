// The page that steps through the passes. steps.py and views.py say what its data hold.

const nodes = page.nodes.map((node) => ({ ...node, data: Number(node.data), d: node.d.map(Number) }));
const C = nodes[page.root].name;
const roles = [];
for (const { boxes } of page.views) for (const [id, , , , , role] of boxes) if (id[0] === "n") roles[id.slice(1)] = role;

// --- the steps: forward, the seed, backward -------------------------------------------------------

const steps = [{ phase: "start" }];
const computedAt = new Map();
for (const i of page.forward) {
  computedAt.set(i, steps.length);
  steps.push({ phase: "forward", node: i });
}
const firstBackward = steps.length;
steps.push({ phase: "seed", node: page.root });
for (const i of page.backward) steps.push({ phase: "backward", node: i });
steps.push({ phase: "end" });

// The gradients after step k, added up in the engine's order; NaN where nothing has arrived yet.
function gradientsAfter(k) {
  const grads = new Float64Array(nodes.length);
  const known = new Uint8Array(nodes.length);
  forEachContribution(k, ({ node, added }) => {
    grads[node] += added;
    known[node] = 1;
  }, grads);
  return { grads, known };
}

function forEachContribution(k, visit, grads = new Float64Array(nodes.length)) {
  for (let step = firstBackward; step <= k; step++) {
    const { phase, node: i } = steps[step];
    if (phase === "seed") visit({ step, node: i, added: 1 });
    if (phase !== "backward") continue;
    const { parents, d } = nodes[i];
    for (let j = 0; j < parents.length; j++) {
      visit({ step, node: parents[j], added: carry(grads[i], d[j]), from: i, grad: grads[i], d: d[j] });
    }
  }
}

// All that has happened to a node up to step k, as text.
function history(i, k) {
  const events = [];
  const made = computedAt.get(i);
  if (made && made <= k) events.push(`step ${made}: ${nodes[i].name} = ${nodes[i].numbers} = ${number(nodes[i].data)}`);
  const grads = new Float64Array(nodes.length);
  forEachContribution(k, ({ step, node, added, from, grad, d }) => {
    const had = grads[node] !== 0;
    grads[node] += added;
    if (node !== i) return;
    const what = from === undefined ? "= 1, the start" : `+= ${number(grad)} · ${bracketed(d)} = ${number(carry(grad, d))}, from ${nodes[from].name}`;
    events.push(`step ${step}: ${derivative(C, nodes[i].name)} ${what}${had ? `; in all ${number(grads[i])}` : ""}`);
  }, grads);
  return events;
}

// --- the picture ----------------------------------------------------------------------------------
//
// Elements are made when they are first seen: of a graph of thousands of boxes only few are in
// the document, so that a step costs the same as in a small one.

const KEPT = 400; // boxes, up to which all of them stay in the document
const stage = $("graph");
const ruler = document.createElement("canvas").getContext("2d");
let picture = null; // the view that is shown, with its parts by name
let camera = { x: 0, y: 0, scale: 1 }; // the point of the graph in the corner, pixels per point
let size = { width: 0, height: 0 }; // of the stage
let whole = true; // whether the camera keeps the whole graph in sight
let following = false;
let shown = 0; // the step

function open(view) {
  const boxes = view.boxes.map(([id, x, y, width, height, role, lines]) => ({ id, x, y, width, height, role, lines }));
  const middle = (box) => (view.down ? [box.y + box.height / 2, box.x] : [box.x + box.width / 2, box.y]);
  const places = new Map(boxes.map((box) => [box, middle(box)]));
  boxes.sort((a, b) => places.get(a)[0] - places.get(b)[0] || places.get(a)[1] - places.get(b)[1]); // for Tab
  const edges = view.edges.map(([tail, head, path, x, y, text]) => {
    const numbers = path.match(/-?[\d.]+/g).map(Number);
    const points = numbers.flatMap((across, k) => (k % 2 ? [] : [[across, numbers[k + 1]]]));
    const pieces = [];
    for (let k = 0; k + 3 < points.length; k += 3) pieces.push(hull(points.slice(k, k + 5))); // to the tip of the arrow
    pieces.push(hull([[x - 20, y - 8], [x + 20, y + 8]]));
    return { tail, head, path, at: [x, y], text, pieces };
  });
  const between = new Map();
  for (const edge of edges) {
    const key = `${edge.tail} ${edge.head}`;
    between.set(key, [...(between.get(key) ?? []), edge]);
  }
  const boxOf = nodes.map((_, i) => `n${i}`);
  for (const [id, [, inside]] of Object.entries(view.folded)) for (const i of inside) boxOf[i] = id;
  picture = { view, boxes, edges, between, boxOf, byId: new Map(boxes.map((box) => [box.id, box])), keepsAll: boxes.length <= KEPT };
  stage.parentElement.classList.toggle("large", !picture.keepsAll);
  stage.setAttribute("aria-label", `Graph of ${nodes.length} nodes`);
  $("frames").replaceChildren(...view.frames.map(([x, y, width, height]) => make("svg:rect", { x, y, width, height, rx: 12 })));
  $("titles").replaceChildren(...view.frames.map(([x, y, , , title]) => make("svg:text", { x: x + 10, y: y + 16 }, title)));
  $("boxes").replaceChildren();
  $("edges").replaceChildren();
  following = tooSmall();
  fit();
  drawChoices();
}

// A rectangle around points, and how far they reach across the line from the first to the last.
function hull(points) {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  const across = points.length > 2 ? [ys[0] - ys[ys.length - 1], xs[xs.length - 1] - xs[0]] : [0, 0];
  const reach = points.map(([px, py]) => px * across[0] + py * across[1]);
  return { x, y, width: Math.max(...xs) - x, height: Math.max(...ys) - y, across, from: Math.min(...reach), to: Math.max(...reach) };
}

function boxElement(box) {
  const { id, x, y, width, height, role, lines } = box;
  const element = make("svg:g", { class: `box ${role}`, tabindex: 0, role: role === "folded" ? "button" : "img" });
  element.append(make("svg:rect", { x, y, width, height, rx: 10 }));
  const isNode = role !== "folded";
  lines.forEach(([baseline, runs], k) => {
    const line = make("svg:text", { x: x + width / 2, y: baseline });
    if (isNode && k === lines.length - 1) {
      box.symbol = role === "pre-activation" ? ["δ", "b"] : ["grad", "f"];
      box.data = make("svg:tspan");
      box.grad = make("svg:tspan");
      box.numbers = line;
      line.append(make("svg:tspan", { class: "f" }, "data"), box.data, make("svg:tspan", { class: box.symbol[1] }, box.symbol[0]), box.grad);
    } else {
      let raised = false;
      for (const [text, style] of runs) {
        const attributes = { class: style };
        if ((style === "s") !== raised) attributes.dy = style === "s" ? -4 : 4;
        raised = style === "s";
        line.append(make("svg:tspan", attributes, text));
      }
      squeeze(line, runs, width);
    }
    element.append(line);
  });
  if (isNode) {
    box.node = Number(id.slice(1));
    element.dataset.node = box.node;
  } else {
    const [scope, inside] = picture.view.folded[id];
    element.dataset.scope = scope;
    element.setAttribute("aria-label", `Group ${scope} of ${inside.length} nodes, folded: open it`);
    element.setAttribute("aria-expanded", "false");
  }
  return element;
}

// Graphviz guesses how wide a text will be. One that is wider than its box is drawn narrower.
function squeeze(line, runs, width) {
  let needed = 0;
  for (const [text, style] of runs) {
    ruler.font = `${style === "b" ? "bold " : ""}${style === "f" ? 10 : 12}px Helvetica, Arial, sans-serif`;
    needed += ruler.measureText(text).width;
  }
  if (needed > width - 8) {
    line.setAttribute("textLength", width - 8);
    line.setAttribute("lengthAdjust", "spacingAndGlyphs");
  } else {
    line.removeAttribute("textLength");
  }
}

function edgeElement({ path, at: [x, y], text }, state = "") {
  return make("svg:g", { class: `edge ${state}` }, make("svg:path", { d: path }), make("svg:text", { x, y: y + 3.5 }, text));
}

// Brings the document in line with what the camera sees.
function look() {
  const { x, y, scale } = camera;
  for (const world of document.querySelectorAll(".world")) world.setAttribute("transform", `scale(${scale}) translate(${-x} ${-y})`);
  stage.parentElement.classList.toggle("far", scale < FAR);
  const [width, height] = [size.width / scale, size.height / scale];
  const meets = (part) => part.x < x + width && part.y < y + height && part.x + part.width > x && part.y + part.height > y;
  const touches = (piece) => { // for long slanting lines, whose rectangles are nearly everywhere
    if (!meets(piece)) return false;
    const [a, b] = piece.across;
    const middle = a * (x + width / 2) + b * (y + height / 2);
    const half = (Math.abs(a) * width + Math.abs(b) * height) / 2;
    return piece.from <= middle + half && piece.to >= middle - half;
  };
  const seen = (part) => picture.keepsAll || (part.pieces ? part.pieces.some(touches) : meets(part));
  for (const [parts, holder, element] of [[picture.boxes, $("boxes"), boxElement], [picture.edges, $("edges"), edgeElement]]) {
    const added = [];
    for (const part of parts) {
      if (seen(part)) {
        if (!part.element) added.push(part.element = element(part));
      } else if (part.element) {
        part.element.remove();
        part.element = part.before = part.waiting = null;
      }
    }
    if (added.length) holder.append(...added);
  }
  mark(shown);
}

// --- camera ---------------------------------------------------------------------------------------

function bounds() {
  const [width, height] = picture.view.size;
  return { x: -8, y: -8, width: width + 16, height: height + 16 };
}
function scaleToFit(area) {
  return Math.min(size.width / area.width, size.height / area.height);
}
function tooSmall() {
  return scaleToFit(bounds()) < 0.55;
}
function centre(area, scale) {
  whole = false;
  camera = { scale, x: area.x + area.width / 2 - size.width / scale / 2, y: area.y + area.height / 2 - size.height / scale / 2 };
  look();
}
function fit() {
  centre(bounds(), Math.min(scaleToFit(bounds()), 1.8));
  whole = true;
}
function zoom(factor, x = size.width / 2, y = size.height / 2) {
  const scale = Math.max(Math.min(camera.scale * factor, 6), Math.min(0.2, scaleToFit(bounds()) / 2));
  const [px, py] = [camera.x + x / camera.scale, camera.y + y / camera.scale];
  camera = { scale, x: px - x / scale, y: py - y / scale };
  whole = false;
  look();
}
function pan(dx, dy) {
  camera = { ...camera, x: camera.x - dx / camera.scale, y: camera.y - dy / camera.scale };
  whole = false;
  look();
}

// Where the whole graph is too small to read, the camera follows the node that is at work: with
// all that it takes if they can be read together, else with the nearest.
function setFollowing(on) {
  following = on;
  $("follow").setAttribute("aria-pressed", String(on));
  if (on) follow(shown);
}
const READABLE = 0.8;
const FAR = 0.25; // below it, boxes are drawn without their texts
function follow(k) {
  const { phase } = steps[k];
  const between = phase === "start" || phase === "end";
  if (between && scaleToFit(bounds()) >= FAR) return fit();
  // Of a huge graph one would see nothing: at the start then the first box to be computed.
  const i = phase === "start" ? page.forward[0] ?? page.root : phase === "end" ? page.root : steps[k].node;
  const active = picture.byId.get(picture.boxOf[i]);
  const parts = nodes[i].parents.map((p) => picture.byId.get(picture.boxOf[p]));
  const distance = (part) => Math.hypot(part.x - active.x, part.y - active.y);
  let area = active;
  for (const part of [...new Set(parts)].sort((a, b) => distance(a) - distance(b))) {
    const [x, y] = [Math.min(area.x, part.x), Math.min(area.y, part.y)];
    const wider = { x, y, width: Math.max(area.x + area.width, part.x + part.width) - x, height: Math.max(area.y + area.height, part.y + part.height) - y };
    if (scaleToFit(padded(wider)) < READABLE) break;
    area = wider;
  }
  centre(area, Math.max(READABLE, Math.min(1.3, scaleToFit(padded(area)))));
}
function padded({ x, y, width, height }) {
  return { x: x - 25, y: y - 25, width: width + 50, height: height + 50 };
}

new ResizeObserver(() => {
  const { width, height } = stage.getBoundingClientRect();
  size = { width, height };
  if (!picture) return;
  if (whole) fit(); else look();
}).observe(stage);

// --- folding --------------------------------------------------------------------------------------

const scopes = [...new Set(page.views.flatMap((view) => [...view.open, ...Object.values(view.folded).map(([scope]) => scope)]))];

function drawChoices() {
  const holder = $("choices");
  holder.hidden = scopes.length === 0;
  holder.setAttribute("aria-label", "Groups of nodes: open or folded");
  if (holder.childElementCount === 0) {
    holder.append(...scopes.map((scope) => {
      const button = make("button", { type: "button" }, scope);
      button.addEventListener("click", () => toggle(scope));
      return button;
    }));
  }
  [...holder.children].forEach((button, k) => button.setAttribute("aria-expanded", String(picture.view.open.includes(scopes[k]))));
}

function toggle(scope) {
  const isOpen = picture.view.open.includes(scope);
  const wanted = scopes.filter((s) => (s === scope ? !isOpen : picture.view.open.includes(s)));
  // Not every combination has been laid out for a large graph, or for many scopes: take the
  // nearest of those that do what was asked for, with more open where two are as near.
  const differences = ({ open }) => scopes.filter((s) => open.includes(s) !== wanted.includes(s)).length;
  const found = page.views.filter((view) => view.open.includes(scope) !== isOpen);
  found.sort((a, b) => differences(a) - differences(b) || b.open.length - a.open.length);
  open(found[0]);
  redraw();
  $("choices").children[scopes.indexOf(scope)].focus({ preventScroll: true });
}

// --- one step on the screen -----------------------------------------------------------------------

// The explanation is open at first, where there is room for it.
const help = document.querySelector(".help");
for (const part of help.querySelectorAll("[data-role]")) part.hidden = !roles.includes(part.dataset.role);
let introducing = help.open = innerWidth > 760;

function showStep(k) {
  shown = k;
  if (introducing && k > 0) introducing = help.open = false;
  document.body.classList.toggle("is-backward", k >= firstBackward);
  document.body.classList.toggle("is-forward", k < firstBackward);
  if (following) follow(k); else mark(k);
  describe(k);
  drawQueue(k);
  $("tip").hidden = true;
}

function mark(k) {
  const { phase, node: active } = steps[k];
  const { grads, known } = gradientsAfter(k);
  const box = (i) => picture.boxOf[i];
  const moves = phase === "forward" || phase === "backward";
  const parents = moves ? nodes[active].parents : [];
  const touched = new Set(phase === "backward" ? parents.map(box) : []);
  const activeBox = active === undefined ? null : box(active);
  for (const part of picture.boxes) {
    if (!part.element) continue;
    const i = part.node;
    const waiting = i !== undefined && k < (computedAt.get(i) ?? 0);
    const work = part.id === activeBox ? " active" : touched.has(part.id) ? " touched" : "";
    const gradient = known[i] ? grads[i] : null;
    const { before } = part;
    if (before && before.waiting === waiting && before.work === work && Object.is(before.gradient, gradient)) continue;
    part.before = { waiting, work, gradient };
    part.element.setAttribute("class", `box ${part.role}${waiting ? " waiting" : ""}${work}`);
    if (i === undefined) continue;
    const grad = known[i] ? number(gradient) : "·";
    const data = waiting ? "·" : number(nodes[i].data);
    part.data.textContent = ` ${data}   `;
    part.grad.textContent = ` ${grad}`;
    squeeze(part.numbers, [["data", "f"], [` ${data}    ${grad}`, ""], part.symbol], part.width);
    part.element.setAttribute("aria-label", `${nodes[i].name}: ${called(nodes[i].op) || "given"}, data ${waiting ? "not yet computed" : data}, gradient ${known[i] ? grad : "not yet known"}`);
    part.element.dataset.gradient = known[i] ? String(gradient) : "";
  }
  for (const edge of picture.edges) { // a local derivative is known when the box at its head is
    if (!edge.element || edge.head[0] !== "n") continue;
    const waiting = k < (computedAt.get(Number(edge.head.slice(1))) ?? 0);
    if (edge.waiting !== waiting) edge.element.classList.toggle("waiting", edge.waiting = waiting);
  }
  const carrying = [...new Set(parents.map(box))].flatMap((p) => picture.between.get(`${p} ${box(active)}`) ?? []);
  $("carrying").replaceChildren(...carrying.filter((edge) => edge.element).map((edge) => edgeElement(edge, "carries")));
}

function line(symbols, numbers = "", note = "") {
  const p = make("p", {}, ...unbroken(symbols), " ");
  if (!numbers) return p;
  const at = numbers.lastIndexOf("=");
  p.append(make("span", { class: "numbers" }, numbers.slice(0, at + 1), make("b", {}, numbers.slice(at + 1))));
  if (note) p.append(make("span", { class: "note" }, note));
  return p;
}
const sentence = (words) => make("p", { class: "plain" }, words);

let leaves = null;
function leavesByName() {
  const { compare } = new Intl.Collator("en", { numeric: true }); // far quicker than localeCompare
  leaves ??= [...nodes.keys()].filter((i) => nodes[i].op === "").sort((a, b) => compare(nodes[a].name, nodes[b].name));
  return leaves;
}

const WORDS = {
  __proto__: null,
  neuron: "Each input times its weight, all added up, plus the bias: what a neuron sums.",
  dot: "Products of pairs, added up.",
  sigmoid: "Squeezes any number into one between 0 and 1: σ(z) = 1 / (1 + e⁻ᶻ).",
  tanh: "Squeezes any number into one between −1 and 1.",
  relu: "Lets what is above 0 through, and makes 0 of the rest.",
  "+": "A sum.", "-": "A difference.", "*": "A product.", "/": "A quotient.", "**": "A power.",
  neg: "The same number with the other sign.", sum_of: "A sum.", mean: "An average.",
};

const TERMS = 6; // of a sum that are written out
const LINES = 40; // a sum of a thousand terms is not read to its end

function describe(k) {
  const { phase, node: i } = steps[k];
  const say = (where, headline, ...lines) => {
    $("phase").textContent = where;
    $("headline").replaceChildren(...unbroken(headline));
    $("formula").replaceChildren(...lines);
  };
  if (phase === "start") {
    const given = nodes.length - page.forward.length;
    say("Before the start", "Only the leaves are known", sentence(
      `${given} ${given === 1 ? "number was" : "numbers were"} given: the leaves of the graph. ${page.forward.length} more will be computed from them, the last of which is ${C}. Then comes the question: how does ${C} change with each of them?`));
  } else if (phase === "forward") {
    const { name, op, formula, numbers, data, parents, d } = nodes[i];
    const words = WORDS[roles[i] === "pre-activation" ? "neuron" : op] ?? "A function of its inputs.";
    const slopes = parents.length === 1
      ? `On its arrow stands how fast it changes with ${nodes[parents[0]].name}: ${number(d[0])} times as fast.`
      : "On each arrow that leads to it stands how fast it changes with that input.";
    say("Forward", `Compute ${name}`, sentence(`${words} ${slopes}`), line(`${name} = ${formula}`, `= ${numbers} = ${number(data)}`));
  } else if (phase === "seed") {
    say("Backward", `Start at ${C}`,
      sentence(`Read ∂${C}/∂x as: how fast ${C} changes with x, all else held fixed. It is the gradient of x. For ${C} itself it is 1, since ${C} changes exactly as much as itself.`),
      line(`${derivative(C, C)} = 1`),
      sentence("All other gradients start at 0; a dot says that nothing has arrived yet. From here on each box hands its own on to its inputs, which add up what they get: that is what += says."));
  } else if (phase === "backward") {
    describeBackward(i, k, say);
  } else {
    const { grads } = gradientsAfter(k);
    const list = make("ul", { id: "gradients" }, ...leavesByName().map((j) =>
      make("li", { "data-node": j, "data-gradient": String(grads[j]) }, `${derivative(C, nodes[j].name)} = ${number(grads[j])}`)));
    say("Done", "Every gradient is known",
      sentence(`To make ${C} a little smaller, move each number that may be changed against its gradient: that is gradient descent.`), list);
  }
}

function describeBackward(i, k, say) {
  const { name, parents, d, rules } = nodes[i];
  const { grads } = gradientsAfter(k - 1);
  const before = grads.slice();
  const grad = grads[i];
  const y = number(grad);
  const isDelta = roles[i] === "pre-activation";
  const lines = parents.slice(0, LINES).map((p, j) => {
    const from = before[p];
    before[p] += carry(grad, d[j]);
    const product = `${y} · ${bracketed(d[j])}`;
    const sum = from === 0 ? "" : `in all, with what it had: ${number(from)} + ${bracketed(carry(grad, d[j]))} = ${number(before[p])}`;
    const rule = rules[j] === number(d[j]) ? "" : `since ${derivative(name, nodes[p].name)} = ${rules[j]}`;
    const same = parents.filter((q) => q === p).length; // x·x has two arrows from x
    const arrow = same === 1 ? "" : `on arrow ${parents.slice(0, j + 1).filter((q) => q === p).length} of ${same} from ${nodes[p].name} alone`;
    return line(
      `${derivative(C, nodes[p].name)} += ${derivative(C, name)} · ${derivative(name, nodes[p].name)}`,
      `= ${product} = ${number(carry(grad, d[j]))}`,
      [[rule, arrow].filter(Boolean).join(", "), sum].filter(Boolean).join("; "),
    );
  });
  if (parents.length > LINES) lines.push(sentence(`… and ${parents.length - LINES} more`));
  const p = nodes[parents[0]].name;
  const change = i === page.root ? "" : `, and ${C} by ${y} times that`;
  const one = i === page.root ? ` As ${derivative(C, C)} is 1, local derivatives are handed on as they are.` : "";
  const others = parents.length > 1 ? " Likewise for the others." : "";
  const named = isDelta ? ` δ is the textbook's name for the gradient of a neuron's ${name}.` : "";
  const alone = parents.indexOf(parents[0], 1) > 0 ? " on one arrow alone" : i === page.root ? " and all else stays" : "";
  const why = sentence(`If ${p} grows by a little ε${alone}, ${name} changes by ${number(d[0])}·ε${change}.${others}${one}${named}`);
  lines.push(...recursion(i, grads));
  say("Backward", `${name} hands on its ${isDelta ? "δ =" : "gradient"} ${derivative(C, name)} = ${y}`, why, ...lines);
}

// Where an activation makes the δ of its neuron: how the textbook writes that in one line.
function recursion(i, grads) {
  const [z] = nodes[i].parents;
  if (roles[i] !== "activation" || roles[z] !== "pre-activation") return [];
  const uses = nodes.flatMap(({ parents, d, rules }, q) => parents.flatMap((p, j) => (p === i ? [{ q, d: d[j], rule: rules[j] }] : [])));
  const delta = (q) => `δ(${nodes[q].name})`;
  const slope = `σ′(${nodes[z].name})`;
  const made = number(carry(grads[i], nodes[i].d[0]));
  const says = (words) => sentence(`So ${nodes[z].name} has its δ. ${words}, times σ′, the slope of the activation function: the number on the arrow.`);
  if (uses.some(({ q }) => roles[q] !== "pre-activation")) {
    return [says("In the last layer it is the gradient of the activation"),
      line(`${delta(z)} = ${derivative(C, nodes[i].name)} · ${slope}`, `= ${number(grads[i])} · ${bracketed(nodes[i].d[0])} = ${made}`)];
  }
  const sum = (terms) => {
    const text = (terms.length > TERMS ? [...terms.slice(0, TERMS - 1), "…", terms.at(-1)] : terms).join(" + ");
    return terms.length > 1 ? `(${text})` : text;
  };
  return [says("It comes from the δ of the next layer, each times the weight that leads there"),
    line(`${delta(z)} = ${sum(uses.map(({ q, rule }) => `${delta(q)} · ${rule}`))} · ${slope}`,
      `= ${sum(uses.map(({ q, d }, j) => `${(j ? bracketed : number)(grads[q])} · ${bracketed(d)}`))} · ${bracketed(nodes[i].d[0])} = ${made}`)];
}

// The queue shows the steps around the present one: of 2,000 no one reads all.
const SHOWN = 60;
function drawQueue(now) {
  const backward = now >= firstBackward;
  const from = backward ? firstBackward + 1 : 1;
  const list = backward ? page.backward : page.forward;
  $("queue-note").textContent = backward ? "of the backward pass: each after all that use it" : "of the forward pass: each after all that it uses";
  const at = Math.max(0, Math.min(list.length - 1, now - from));
  const start = Math.max(0, Math.min(at - 12, list.length - SHOWN));
  $("queue").replaceChildren(...list.slice(start, start + SHOWN).map((i, j) => {
    const k = from + start + j;
    const button = make("button", { type: "button", title: `Go to step ${k}`, class: k < now ? "done" : "" }, nodes[i].name);
    if (k === now) button.setAttribute("aria-current", "step");
    button.addEventListener("click", () => go(k));
    return make("li", {}, button);
  }));
}

// --- a node's history -----------------------------------------------------------------------------

function tip(element) {
  if (element?.dataset.node === undefined) return void ($("tip").hidden = true);
  const i = Number(element.dataset.node);
  const { name, op, formula } = nodes[i];
  const events = history(i, shown);
  const most = 12;
  const items = events.slice(-most).map((text) => make("li", {}, text));
  if (events.length > most) items.unshift(make("li", {}, `… ${events.length - most} before`));
  placeTip(element.getBoundingClientRect(), stage, make("b", {}, op ? `${name} = ${formula}` : `${name}, given`), make("ul", {}, ...items));
}
const boxAt = (event) => event.target.closest?.(".box");
stage.addEventListener("pointerover", (event) => { if (event.pointerType === "mouse") tip(boxAt(event)); });
stage.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") tip(null); });
stage.addEventListener("focusin", (event) => {
  const element = boxAt(event);
  if (!element?.matches(":focus-visible")) return;
  const { left, right, top, bottom } = element.getBoundingClientRect();
  const here = stage.getBoundingClientRect();
  if (left < here.left || right > here.right || top < here.top || bottom > here.bottom) {
    pan(here.left + here.width / 2 - (left + right) / 2, here.top + here.height / 2 - (top + bottom) / 2);
  }
  tip(element);
});
stage.addEventListener("focusout", () => tip(null));

// --- pointer and buttons --------------------------------------------------------------------------

const pointers = new Map();
let moved = false;
function at(event) {
  const here = stage.getBoundingClientRect();
  return [event.clientX - here.left, event.clientY - here.top];
}
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * 0.0015), ...at(event));
}, { passive: false });
stage.addEventListener("pointerdown", (event) => {
  pointers.set(event.pointerId, event);
  if (pointers.size === 1) moved = false;
});
stage.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
  if (pointers.size === 1 && (moved || Math.hypot(dx, dy) > 4)) {
    if (!moved) {
      stage.setPointerCapture(event.pointerId);
      tip(null);
      setFollowing(false);
    }
    moved = true;
    stage.classList.add("dragging");
    pan(dx, dy);
    pointers.set(event.pointerId, event);
  } else if (pointers.size === 2) {
    const other = [...pointers.values()].find((p) => p.pointerId !== event.pointerId);
    const distance = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
    zoom(distance(event) / Math.max(distance(before), 1), ...at(other));
    moved = true;
    pointers.set(event.pointerId, event);
  }
});
for (const name of ["pointerup", "pointercancel", "pointerleave"]) {
  stage.addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    stage.classList.remove("dragging");
  });
}
stage.addEventListener("click", (event) => {
  if (moved) return;
  const element = boxAt(event);
  if (element?.dataset.scope !== undefined) toggle(element.dataset.scope);
  else tip(element); // on a phone, where nothing hovers
});
stage.addEventListener("keydown", (event) => {
  const scope = event.target.dataset?.scope;
  if (scope === undefined || (event.key !== "Enter" && event.key !== " ")) return;
  event.preventDefault();
  toggle(scope);
});
$("fit").addEventListener("click", () => { setFollowing(false); fit(); });
$("follow").addEventListener("click", () => setFollowing(!following));
$("zoom-in").addEventListener("click", () => zoom(1.25));
$("zoom-out").addEventListener("click", () => zoom(0.8));

// --- begin ----------------------------------------------------------------------------------------

const { width, height } = stage.getBoundingClientRect();
size = { width, height };
const { go, redraw } = controls({
  steps: steps.length,
  show: showStep,
  words: (k) => `${steps[k].phase} ${nodes[steps[k].node]?.name ?? ""}`,
  pause: 1200,
});
open(page.views[0]);
setFollowing(following);
go(0);
