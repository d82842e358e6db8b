// What the pages have in common: their data, numbers as text, elements, and the row of controls.

const $ = (id) => document.getElementById(id);
const page = JSON.parse($("data").textContent);
$("data").remove(); // it would be in memory twice
document.querySelector("h1").textContent = page.title;

function number(x, digits = 4) {
  if (!Number.isFinite(x)) return String(x).replace("-", "−").replace("Infinity", "∞");
  const size = Math.abs(x);
  const small = x !== 0 && (size < 1e-4 || size >= 1e6);
  const text = small ? x.toExponential(digits - 1) : String(Number(x.toPrecision(digits)));
  return text.replace(/\.?0*e([+-])(\d)/, (_, sign, power) => `e${sign === "-" ? "−" : ""}${power}`).replace("-", "−");
}

// A gradient times a local derivative: what is exactly 0 carries nothing, be the other ∞ or NaN.
const carry = (grad, d) => (grad === 0 || d === 0 ? 0 : grad * d);

// A factor or a term, in brackets if it is negative.
const bracketed = (x) => (x < 0 ? `(${number(x)})` : number(x));

const OPERATIONS = { __proto__: null, "+": "sum", "-": "difference", "*": "product", "/": "quotient", "**": "power", neg: "negative", dot: "weighted sum" };
const called = (op) => OPERATIONS[op] ?? op;

// "∂of/∂by", with brackets around names that are no single words.
function derivative(of, by) {
  return [of, by].map((name) => `∂${/^[\w.#'\[\]]+$/.test(name) ? name : `(${name})`}`).join("/");
}

// Text always goes in as text: no label is ever read as markup.
function make(name, attributes = {}, ...children) {
  const element = name.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Text that breaks only between words, unless one is longer than a line: not within "∂C/∂z[1][0]".
function unbroken(text) {
  return text.split(" ").flatMap((word, k) => [...(k ? [" "] : []), make("span", { class: "word" }, word)]);
}

// --- the controls: buttons, slider, keys, play ----------------------------------------------------

// `show(k)` shows step k; `steps` is how many there are; `pause` the milliseconds between two.
function controls({ steps, show, words, pause }) {
  let now = 0;
  let timer = null;
  $("slider").max = steps - 1;

  function go(k) {
    now = Math.max(0, Math.min(steps - 1, k));
    show(now);
    $("slider").value = now;
    $("slider").setAttribute("aria-valuetext", words(now));
    $("count").value = `${now} / ${steps - 1}`;
    for (const id of ["first", "back"]) $(id).disabled = now === 0;
    for (const id of ["next", "last"]) $(id).disabled = now === steps - 1;
  }
  function play(on) {
    if (on && now === steps - 1) go(0);
    clearInterval(timer);
    timer = on ? setInterval(() => (now === steps - 1 ? play(false) : go(now + 1)), pause) : null;
    $("play").firstElementChild.textContent = on ? "❚❚ Pause" : "▶ Play";
    $("play").setAttribute("aria-label", on ? "Pause" : "Play");
  }
  const jump = (k) => () => { play(false); go(k()); };
  const actions = {
    first: jump(() => 0), back: jump(() => now - 1), next: jump(() => now + 1),
    last: jump(() => steps - 1), play: () => play(timer === null),
  };
  for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);
  $("slider").addEventListener("input", jump(() => Number($("slider").value)));

  const keys = { ArrowRight: "next", ArrowLeft: "back", Home: "first", End: "last", " ": "play" };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    const name = keys[event.key];
    const on = event.target;
    // What has the focus may have its own use for a key.
    const taken = event.key === " " ? "button, summary, select" : "select";
    if (!name || on.matches?.(taken)) return;
    event.preventDefault();
    actions[name]();
  });
  return { go, redraw: () => go(now), now: () => now };
}

const root = document.documentElement;
root.classList.toggle("dark", matchMedia("(prefers-color-scheme: dark)").matches);
$("theme").addEventListener("click", () => {
  root.classList.toggle("dark");
  document.dispatchEvent(new Event("themechange")); // for what is painted, not styled
});

// Puts the tip beside a rectangle on the screen, inside `holder`.
function placeTip(there, holder, ...content) {
  const tip = $("tip");
  tip.hidden = false;
  tip.replaceChildren(...content);
  const here = holder.getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const left = Math.max(8, Math.min(there.left - here.left, here.width - size.width - 8));
  const below = there.bottom - here.top + 8;
  const above = there.top - here.top - size.height - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${below + size.height < here.height ? below : Math.max(8, above)}px`;
}
document.addEventListener("keydown", (event) => { if (event.key === "Escape") $("tip").hidden = true; });
