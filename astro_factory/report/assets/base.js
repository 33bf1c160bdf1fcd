// Elements, numbers, data. Text from models reaches the page through text nodes alone.

const SVG = "http://www.w3.org/2000/svg";
const MATHML = "http://www.w3.org/1998/Math/MathML";
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

// Control characters as signs one can see: terminal escapes and changes of direction do nothing.
function visible(text) {
  return String(text).replace(HIDDEN, (sign) => {
    const code = sign.charCodeAt(0);
    return code < 32 ? String.fromCharCode(0x2400 + code) : `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
  });
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
  return node;
}

const h = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

function clear(node, ...children) {
  node.replaceChildren();
  return build(node, {}, children);
}

const loaded = new Map();

// A section of the data, inflated when a view first needs it.
function load(name) {
  if (!loaded.has(name)) loaded.set(name, source(name).then(inflate));
  return loaded.get(name);
}

const arriving = new Map();

// A section in the page or, in the folder form, in a script beside it that calls `part`.
async function source(name) {
  const own = document.getElementById(`data-${name}`);
  if (own) return own.textContent;
  return new Promise((resolve, reject) => {
    arriving.set(name, resolve);
    const missing = () => reject(new Error(`data/${name}.js is missing beside this page`));
    document.head.append(h("script", { src: `data/${name}.js`, onerror: missing }));
  });
}

function part(name, text) {
  arriving.get(name)(text);
}

// Of the folder form: the part that holds an item, and where the part starts.
async function partOf({ name, starts }, item) {
  const index = starts.findLastIndex((start) => start <= item);
  return [await load(`${name}_${index}`), starts[index]];
}

async function inflate(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

const whole = new Intl.NumberFormat("en-US");
const count = (value) => whole.format(value);

function figure(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value)) return count(value);
  const size = Math.abs(value);
  return size >= 1000 ? count(Math.round(value)) : size >= 100 ? value.toFixed(1) : size >= 0.001 ? value.toFixed(digits) : value.toPrecision(2);
}

const signed = (value) => (value > 0 ? "+" : "") + figure(value);

function duration(seconds) {
  if (seconds === undefined || seconds === null) return "–";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return seconds < 3600 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(2)} h`;
}

function bytes(value) {
  if (value === undefined) return "–";
  const power = Math.min(4, Math.floor(Math.log10(Math.max(value, 1)) / 3));
  return `${(value / 1000 ** power).toPrecision(3)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

const plural = (value, name) => `${count(value)} ${name}${value === 1 ? "" : "s"}`;
const shortened = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
const color = (index) => `c${index % 8}`;

function verdictClass(verdict) {
  return verdict === "correct" ? "correct" : verdict === "incorrect" ? "incorrect" : "other";
}

function verdictMark(verdict) {
  const sign = verdict === "correct" ? "✓" : verdict === "incorrect" ? "✗" : "○";
  return h("span", { class: `verdict ${verdictClass(verdict)}` }, `${sign} `, h("span", { class: "word" }, verdict.replaceAll("_", " ")));
}

function option(value, text, chosen) {
  return h("option", { value, selected: value === chosen }, text);
}

function select(label, values, chosen, change) {
  const list = h("select", { onchange: (event) => change(event.target.value) }, values.map(([value, text]) => option(value, text, chosen)));
  return h("label", {}, label, list);
}

function table(header, rows, caption) {
  const cells = (row) => row.map((cell) => (cell && cell.number !== undefined ? h("td", { class: "number" }, cell.number) : h("td", {}, cell)));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "hidden" }, caption),
      h("thead", {}, h("tr", {}, header.map((name) => (name.number !== undefined ? h("th", { scope: "col", class: "number" }, name.number) : h("th", { scope: "col" }, name))))),
      h("tbody", {}, rows.map((row) => h("tr", {}, cells(row))))));
}

const number = (value) => ({ number: value });

function panel(title, ...children) {
  return h("section", { class: "panel" }, title && h("h3", {}, title), children);
}

function legend(names, colors) {
  return h("ul", { class: "legend", "aria-label": "Colours" }, names.map((name, index) => h("li", { class: `key ${color(colors ? colors[index] : index)}` }, name)));
}

const say = (text) => clear(document.getElementById("status"), text);

// Formulas: the pieces of a text between LaTeX delimiters that could be converted when the report was made.
const FORMULA = /\$\$([^$]+?)\$\$|\$([^$\n]+?)\$|\\\((.{1,400}?)\\\)|\\\[([\s\S]{1,400}?)\\\]/g;
const MATH_TAGS = new Set("math mrow mi mn mo ms mtext mspace msup msub msubsup mfrac msqrt mroot mover munder munderover mtable mtr mtd mstyle mpadded menclose mfenced".split(" "));
const MATH_ATTRIBUTES = new Set(["display", "mathvariant", "stretchy", "fence", "form", "linethickness", "columnalign", "displaystyle", "scriptlevel", "width", "accent"]);
let formulas = {};

function mathml([tag, attributes, ...children]) {
  if (!MATH_TAGS.has(tag)) return document.createTextNode("");
  const node = document.createElementNS(MATHML, tag);
  for (const [name, value] of Object.entries(attributes)) if (MATH_ATTRIBUTES.has(name)) node.setAttribute(name, value);
  for (const child of children) node.append(typeof child === "string" ? document.createTextNode(visible(child)) : mathml(child));
  return node;
}

function withMath(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(FORMULA)) {
    const source = found[1] ?? found[2] ?? found[3] ?? found[4];
    if (!Object.hasOwn(formulas, source)) continue;
    parts.push(text.slice(end, found.index), h("span", { title: found[0] }, mathml(formulas[source])));
    end = found.index + found[0].length;
  }
  return [...parts, text.slice(end)];
}
