// The page's program. The graph comes as data; see __init__.py for what it holds.

const graph = JSON.parse(document.getElementById("data").textContent);
const nodes = graph.nodes.map((node) => ({ ...node, data: Number(node.data), d: node.d.map(Number) }));
const $ = (id) => document.getElementById(id);

// --- the steps: forward, the seed, backward -------------------------------------------------------

const C = nodes[graph.root].name;
const steps = [{ phase: "start" }];
for (const i of graph.forward) steps.push({ phase: "forward", node: i });
steps.push({ phase: "seed", node: graph.root });
for (const i of graph.backward) steps.push({ phase: "backward", node: i });
steps.push({ phase: "end" });
const firstBackward = 1 + graph.forward.length;

// What each step adds to which gradient, added up in the engine's order.
const grads = [new Float64Array(nodes.length)]; // grads[k]: after step k
const history = nodes.map(() => []); // of each node: {step, text}
for (let k = 1; k < steps.length; k++) {
  const { phase, node: i } = steps[k];
  let after = grads[k - 1];
  if (phase === "seed") {
    after = after.slice();
    after[i] = 1;
    history[i].push({ step: k, text: `∂${C}/∂${nodes[i].name} = 1, the start` });
  } else if (phase === "backward") {
    after = after.slice();
    nodes[i].parents.forEach((p, j) => {
      after[p] += after[i] * nodes[i].d[j];
      history[p].push({ step: k, text: `+= ${number(after[i])} · ${number(nodes[i].d[j])} from ${nodes[i].name} → ${number(after[p])}` });
    });
  } else if (phase === "forward") {
    history[i].push({ step: k, text: `${nodes[i].name} = ${nodes[i].numbers} = ${number(nodes[i].data)}` });
  }
  grads.push(after);
}

function number(x) {
  if (!Number.isFinite(x)) return String(x).replace("-", "−").replace("Infinity", "∞");
  const size = Math.abs(x);
  const text = x !== 0 && (size < 1e-4 || size >= 1e6) ? x.toExponential(3) : String(Number(x.toPrecision(4)));
  return text.replace("-", "−").replace(/e([+-])/, (_, sign) => `e${sign === "-" ? "−" : ""}`);
}

// --- the picture ----------------------------------------------------------------------------------

const stage = $("graph");
let boxes = new Map(); // SVG element of each node that is drawn by itself
let edges = new Map(); // "3_0": the edge into node 3 from its first parent
let open = graph.views[0].open;
let box = null; // the part of the picture that is seen: [x, y, width, height]
let whole = null;

function show(view) {
  open = view.open;
  stage.innerHTML = view.svg; // made by Graphviz, which escaped every label
  const svg = stage.querySelector("svg");
  svg.setAttribute("role", "group");
  svg.setAttribute("aria-label", `Graph of ${nodes.length} nodes`);
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  whole = svg.getAttribute("viewBox").split(/\s+/).map(Number);
  boxes = new Map();
  edges = new Map();
  for (const title of svg.querySelectorAll("title")) title.remove(); // they are Graphviz's names
  for (const element of svg.querySelectorAll("g.node")) {
    element.setAttribute("tabindex", "0");
    const id = element.id;
    if (id.startsWith("n")) {
      const i = Number(id.slice(1));
      const texts = [...element.querySelectorAll("text")];
      const at = texts.findIndex((text) => ["grad", "δ"].includes(text.textContent));
      boxes.set(i, { element, grad: texts[at + 1], data: texts[at - 1] });
      element.setAttribute("role", "img");
      element.dataset.node = i;
    } else {
      element.classList.add("folded");
      element.setAttribute("role", "button");
      const scope = element.querySelector("text")?.textContent ?? "";
      element.dataset.scope = scope;
      element.setAttribute("aria-label", `Group ${scope}, folded: open it`);
    }
  }
  for (const element of svg.querySelectorAll("g.edge")) edges.set(element.id.slice(1), element);
  fit();
  drawScopes();
}

function drawScopes() {
  const all = graph.views[0].open;
  const holder = document.querySelector(".scopes");
  if (holder.childElementCount !== all.length) {
    holder.replaceChildren(...all.map((scope) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = scope;
      button.addEventListener("click", () => toggle(scope));
      return button;
    }));
  }
  [...holder.children].forEach((button, i) => button.setAttribute("aria-pressed", String(open.includes(all[i]))));
}

function toggle(scope) {
  const all = graph.views[0].open;
  const wanted = all.filter((s) => (s === scope ? !open.includes(s) : open.includes(s)));
  const view = graph.views.find((v) => v.open.length === wanted.length && v.open.every((s) => wanted.includes(s)))
    ?? graph.views[wanted.includes(scope) ? 0 : 1];
  show(view);
  shown = null;
  go(now);
}

// --- one step on the screen -----------------------------------------------------------------------

let now = 0;
let shown = null; // the gradients and marks that the picture shows, to change only what differs

function go(k) {
  now = Math.max(0, Math.min(steps.length - 1, k));
  const { phase, node: i } = steps[now];
  document.body.classList.toggle("is-backward", now >= firstBackward);
  document.body.classList.toggle("is-forward", now < firstBackward);
  mark(now);
  describe(now);
  $("slider").value = now;
  $("slider").setAttribute("aria-valuetext", `${phase} ${i === undefined ? "" : nodes[i].name}`);
  $("count").value = `${now} / ${steps.length - 1}`;
  for (const id of ["first", "back"]) $(id).disabled = now === 0;
  for (const id of ["next", "last"]) $(id).disabled = now === steps.length - 1;
  drawQueue();
  if (following) follow(now);
}

const computedAt = new Map(graph.forward.map((i, k) => [i, k + 1]));

function mark(k) {
  const { phase, node: active } = steps[k];
  const touched = new Set(phase === "backward" ? nodes[active].parents : []);
  const carries = new Set();
  if (phase === "forward" || phase === "backward") nodes[active].parents.forEach((_, j) => carries.add(`${active}_${j}`));
  const before = shown ?? { carries: new Set(), first: true };
  for (const [i, { element, grad, data }] of boxes) {
    const waiting = (computedAt.get(i) ?? 0) > k && k < firstBackward;
    const state = `${waiting}${i === active && phase !== "end"}${touched.has(i)}`;
    if (element.dataset.state !== state) {
      element.dataset.state = state;
      element.classList.toggle("waiting", waiting);
      element.classList.toggle("active", i === active);
      element.classList.toggle("touched", touched.has(i));
    }
    const known = history[i].some((event) => event.step <= k && event.step >= firstBackward);
    const text = k < firstBackward || !known ? " ·" : ` ${number(grads[k][i])}`;
    if (grad && grad.textContent !== text) {
      grad.textContent = text;
      element.setAttribute("aria-label", `${nodes[i].name}: ${nodes[i].op || "leaf"}, data ${number(nodes[i].data)}, gradient ${known ? number(grads[k][i]) : "not yet known"}`);
    }
    if (data) {
      const shownData = waiting ? " ·   " : ` ${number(nodes[i].data)}   `;
      if (data.textContent !== shownData) data.textContent = shownData;
    }
  }
  for (const id of before.carries) edges.get(id)?.classList.remove("carries");
  for (const id of carries) edges.get(id)?.classList.add("carries");
  shown = { carries };
}

function paragraph(symbols, numbers) {
  const p = document.createElement("p");
  p.append(symbols);
  const small = document.createElement("span");
  small.className = "numbers";
  const at = numbers.lastIndexOf("=");
  const result = document.createElement("b");
  result.textContent = numbers.slice(at + 1);
  small.append(numbers.slice(0, at + 1), result);
  p.append(small);
  return p;
}

function describe(k) {
  const { phase, node: i } = steps[k];
  const lines = [];
  let head = "";
  if (phase === "start") {
    $("phase").textContent = "Before the start";
    head = "Only the leaves are known";
    lines.push(text(`${nodes.length - graph.forward.length} numbers were given. ${graph.forward.length} are computed from them, and the last of them is ${C}.`));
  } else if (phase === "forward") {
    $("phase").textContent = "Forward";
    head = `compute ${nodes[i].name}`;
    lines.push(paragraph(`${nodes[i].name} = ${nodes[i].formula}`, `= ${nodes[i].numbers} = ${number(nodes[i].data)}`));
  } else if (phase === "seed") {
    $("phase").textContent = "Backward";
    head = `start at ${C}`;
    lines.push(paragraph(`∂${C}/∂${C} = 1`, "= 1"));
    lines.push(text(`${C} changes exactly as much as itself. All other gradients start at 0.`));
  } else if (phase === "backward") {
    $("phase").textContent = "Backward";
    head = `${nodes[i].name} hands on its gradient, ${number(grads[k][i])}`;
    const running = grads[k - 1].slice();
    nodes[i].parents.forEach((p, j) => {
      const from = running[p];
      const d = nodes[i].d[j];
      running[p] += grads[k][i] * d;
      const sum = from === 0 ? "" : `${number(from)} + `;
      lines.push(paragraph(
        `∂${C}/∂${nodes[p].name} += ∂${C}/∂${nodes[i].name} · ∂${nodes[i].name}/∂${nodes[p].name}`,
        `∂${nodes[i].name}/∂${nodes[p].name} = ${nodes[i].rules[j]} → ${sum}${number(grads[k][i])} · ${number(d)} = ${number(running[p])}`,
      ));
    });
  } else {
    $("phase").textContent = "Done";
    head = "Every gradient is known";
    const list = document.createElement("p");
    list.append(...nodes.flatMap((node, j) => (node.op ? [] : [`∂${C}/∂${node.name} = ${number(grads[k][j])}`, document.createElement("br")])).slice(0, 80));
    lines.push(list);
  }
  $("headline").textContent = head;
  const most = 40; // lines: a sum of a thousand terms is not read to its end
  $("formula").replaceChildren(...lines.slice(0, most), ...(lines.length > most ? [text(`… and ${lines.length - most} more`)] : []));
}

function text(words) {
  const p = document.createElement("p");
  p.textContent = words;
  return p;
}

// The queue shows the steps around the present one: of 2,000 no one reads all.
function drawQueue() {
  const backward = now >= firstBackward;
  const from = backward ? firstBackward + 1 : 1;
  const list = backward ? graph.backward : graph.forward;
  $("queue-note").textContent = backward ? "of the backward pass, results before what they use" : "of the forward pass, in topological order";
  const at = Math.max(0, Math.min(list.length - 1, now - from));
  const start = Math.max(0, Math.min(at - 12, list.length - 60));
  $("queue").replaceChildren(...list.slice(start, start + 60).map((i, j) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const k = from + start + j;
    button.type = "button";
    button.textContent = nodes[i].name;
    button.className = k < now ? "done" : "";
    if (k === now) button.setAttribute("aria-current", "step");
    button.addEventListener("click", () => go(k));
    item.append(button);
    return item;
  }));
}

// --- a node's history -----------------------------------------------------------------------------

function tip(target) {
  const element = target?.closest?.("[data-node]");
  $("tip").hidden = !element;
  if (!element) return;
  const i = Number(element.dataset.node);
  const title = document.createElement("b");
  title.textContent = nodes[i].op ? `${nodes[i].name} = ${nodes[i].formula}` : `${nodes[i].name}, given`;
  const events = document.createElement("ul");
  const past = history[i].filter((event) => event.step <= now);
  events.append(...past.slice(-12).map((event) => {
    const item = document.createElement("li");
    item.textContent = `step ${event.step}: ${event.text}`;
    return item;
  }));
  $("tip").replaceChildren(title, events);
  const there = element.getBoundingClientRect();
  const here = stage.getBoundingClientRect();
  const size = $("tip").getBoundingClientRect();
  const left = Math.max(8, Math.min(there.left - here.left, here.width - size.width - 8));
  const below = there.bottom - here.top + 8;
  $("tip").style.left = `${left}px`;
  $("tip").style.top = `${below + size.height < here.height ? below : Math.max(8, there.top - here.top - size.height - 8)}px`;
}
stage.addEventListener("pointerover", (event) => tip(event.target));
stage.addEventListener("focusin", (event) => tip(event.target));
stage.addEventListener("focusout", () => tip(null));
stage.addEventListener("pointerleave", () => tip(null));

// --- pan and zoom ---------------------------------------------------------------------------------

function setBox(next) {
  box = next;
  stage.querySelector("svg").setAttribute("viewBox", box.join(" "));
}
function fit() { setBox([...whole]); }
function zoom(factor, x = box[0] + box[2] / 2, y = box[1] + box[3] / 2) {
  const width = box[2] * factor;
  if (width > whole[2] * 4 || width < 40) return;
  setBox([x + (box[0] - x) * factor, y + (box[1] - y) * factor, width, box[3] * factor]);
}
function toGraph(event) {
  const matrix = stage.querySelector("svg").getScreenCTM().inverse();
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
}
// Where the whole graph is too small to read, the view follows the node that is at work.
let following = false;
function setFollowing(on) {
  following = on;
  $("follow").setAttribute("aria-pressed", String(on));
  if (on) follow(now);
}
function follow(k) {
  const { phase, node: active } = steps[k];
  if (phase === "start" || phase === "end") return fit();
  const parts = [active, ...nodes[active].parents].filter((i) => boxes.has(i)).slice(0, 8);
  if (parts.length === 0) return fit();
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const i of parts) {
    const { left: l, top: t, right: r, bottom: b } = boxes.get(i).element.getBoundingClientRect();
    const [p, q] = [toGraph({ clientX: l, clientY: t }), toGraph({ clientX: r, clientY: b })];
    [left, top, right, bottom] = [Math.min(left, p.x), Math.min(top, p.y), Math.max(right, q.x), Math.max(bottom, q.y)];
  }
  const margin = 25;
  setBox([left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin]);
}
function tooSmall() {
  const { width, height } = stage.getBoundingClientRect();
  return Math.min(width / whole[2], height / whole[3]) < 0.55;
}
const pointers = new Map();
let moved = false;
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const { x, y } = toGraph(event);
  zoom(Math.exp(event.deltaY * 0.0015), x, y);
}, { passive: false });
stage.addEventListener("pointerdown", (event) => {
  pointers.set(event.pointerId, event);
  moved = false;
});
stage.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const scale = 1 / stage.querySelector("svg").getScreenCTM().a;
  const dx = event.clientX - before.clientX;
  const dy = event.clientY - before.clientY;
  if (pointers.size === 1 && (moved || Math.hypot(dx, dy) > 4)) {
    if (!moved) stage.setPointerCapture(event.pointerId);
    setFollowing(false);
    moved = true;
    stage.classList.add("dragging");
    setBox([box[0] - dx * scale, box[1] - dy * scale, box[2], box[3]]);
    pointers.set(event.pointerId, event);
  } else if (pointers.size === 2) {
    const [other] = [...pointers.values()].filter((p) => p.pointerId !== event.pointerId);
    const distance = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
    const { x, y } = toGraph(other);
    zoom(distance(before) / Math.max(distance(event), 1), x, y);
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
  const scope = event.target.closest?.("[data-scope]");
  if (scope && !moved) toggle(scope.dataset.scope);
});

// --- controls -------------------------------------------------------------------------------------

let timer = null;
function play(on) {
  if (on && now === steps.length - 1) go(0);
  clearInterval(timer);
  timer = on ? setInterval(() => (now === steps.length - 1 ? play(false) : go(now + 1)), 900) : null;
  $("play").setAttribute("aria-pressed", String(on));
  $("play").textContent = on ? "❚❚ Pause" : "▶ Play";
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
}
const jump = (k) => () => { play(false); go(k()); };
$("first").addEventListener("click", jump(() => 0));
$("back").addEventListener("click", jump(() => now - 1));
$("next").addEventListener("click", jump(() => now + 1));
$("last").addEventListener("click", jump(() => steps.length - 1));
$("play").addEventListener("click", () => play(timer === null));
$("slider").addEventListener("input", () => { play(false); go(Number($("slider").value)); });
$("fit").addEventListener("click", () => { setFollowing(false); fit(); });
$("follow").addEventListener("click", () => setFollowing(!following));
$("zoom-in").addEventListener("click", () => zoom(0.8));
$("zoom-out").addEventListener("click", () => zoom(1.25));
$("theme").addEventListener("click", () => document.documentElement.classList.toggle("dark"));
if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark");

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const on = event.target;
  const scope = on.dataset?.scope;
  if (scope && (event.key === "Enter" || event.key === " ")) return event.preventDefault(), toggle(scope);
  if (on.matches?.("summary") || (on.matches?.("button") && event.key === " ")) return;
  const action = {
    ArrowRight: jump(() => now + 1), ArrowLeft: jump(() => now - 1),
    Home: jump(() => 0), End: jump(() => steps.length - 1),
    " ": () => play(timer === null),
  }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

document.querySelector("h1").textContent = graph.title;
$("slider").max = steps.length - 1;
show(graph.views[0]);
setFollowing(tooSmall());
go(0);
