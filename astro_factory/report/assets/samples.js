// Samples of an evaluation: filter, list, one in full with the graph it draws.

const PAGE = 50;
const OPERATORS = /^\s*(\w+)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*$/;
const KINDS = { s: "step", w: "words", b: "jump", u: "unresolved", a: "answer" };
const SIGNS = { step: "", words: "?", jump: "↩", unresolved: "⚠", answer: "✓", reflect: "?", verdict: "!", backtrack: "↩", restart: "⟲" };
const SPOKEN = { words: "reflection", jump: "goes back", unresolved: "goes back to a state that is not there", answer: "answer", reflect: "reflection", verdict: "verdict", backtrack: "goes back", restart: "goes back to the start" };

// The language of `show --filter`: key=value, key>number, joined by commas. Returns a test of a row, or throws.
function parseFilter(text, stage) {
  const tests = text.split(",").filter((part) => part.trim()).map((part) => {
    const found = OPERATORS.exec(part);
    if (!found) throw new Error(`'${part.trim()}' is not like key=value or key>number`);
    const [, key, operator, value] = found;
    const read = FIELDS[key];
    if (!read) throw new Error(`there is no key '${key}'; keys are ${Object.keys(FIELDS).join(", ")}`);
    return (row) => compared(read(stage, row, value), operator, value);
  });
  return (row) => tests.every((test) => test(row));
}

const FIELDS = {
  arm: (stage, row) => stage.values.arm[stage.columns.arm[row]],
  verdict: (stage, row) => stage.values.outcome[stage.columns.outcome[row]],
  problem: (stage, row) => stage.problems.id[stage.columns.problem[row]],
  source: (stage, row) => stage.problems.source[stage.columns.problem[row]],
  level: (stage, row) => stage.problems.level[stage.columns.problem[row]],
  sample: (stage, row) => stage.columns.sample[row],
  tokens: (stage, row) => stage.columns.tokens[row],
  backtracks: (stage, row) => stage.columns.backtracks[row],
  dead_ends: (stage, row) => stage.columns.dead_ends[row],
  revisited: (stage, row) => stage.columns.revisited[row],
  unresolved: (stage, row) => stage.columns.unresolved[row],
  truncated: (stage, row) => (stage.values.finish[stage.columns.finish[row]] === "length" ? "yes" : "no"),
  answer: (stage, row) => stage.columns.extracted[row],
  solved_by: (stage, row, arm) => (solves(share(stage, row, arm)) ? arm : ""),
  missed_by: (stage, row, arm) => (solves(share(stage, row, arm)) ? "" : arm),
};

function share(stage, row, arm) {
  if (!stage.solved[arm]) throw new Error(`there is no arm '${arm}'; arms are ${Object.keys(stage.solved).join(", ")}`);
  stage.places ||= new Map(stage.problems.all_ids.map((id, index) => [id, index]));
  return stage.solved[arm][stage.places.get(stage.problems.id[stage.columns.problem[row]])];
}

function compared(found, operator, value) {
  if (found === null || found === undefined) return operator === "!=";
  if (operator === "=" || operator === "!=") {
    const equal = typeof found === "number" ? found === Number(value) : found === value;
    return equal === (operator === "=");
  }
  const number = Number(value);
  if (value === "" || Number.isNaN(number)) throw new Error(`'${value}' is not a number`);
  return { ">": found > number, "<": found < number, ">=": found >= number, "<=": found <= number }[operator];
}

async function samplesView(root, route) {
  const stages = await load("samples");
  const stage = stages.find((entry) => entry.stage === route.get("stage")) || stages[0];
  const filter = route.get("filter") || "", text = route.get("text") || "", sort = route.get("sort") || "order";
  const change = (changed) => go("samples", { stage: stage.stage, filter, text, sort, ...changed });
  let rows = [], fault = "";
  if (text) await needTexts(stage, stage.columns.problem.keys());
  try {
    rows = matches(stage, filter, text, sort);
  } catch (error) {
    fault = error.message;
  }
  const row = Number(route.get("row") ?? rows[0] ?? -1);
  if (row >= 0) await needTexts(stage, [row]);
  build(root, {}, [
    h("h2", {}, `Samples: ${stage.stage}`),
    stage.shown < stage.total && h("p", { class: "note" }, `This report holds ${count(stage.shown)} of ${count(stage.total)} samples; \`astro-factory show SPEC:${stage.stage} --filter …\` reads all of them.`),
    controls(stages, stage, { filter, text, sort }, change),
    fault ? h("p", { class: "incorrect", role: "alert" }, fault) : h("p", { id: "found" }, plural(rows.length, "sample"), filter && h("span", { class: "note" }, ` with ${filter}`)),
    h("div", { class: "split" }, sampleList(stage, rows, row, change, Number(route.get("page") || 0), { filter, text, sort }), row >= 0 && sampleDetail(stage, row, text)),
  ]);
  keys({ j: () => step(1), k: () => step(-1), "/": () => document.getElementById("filter").focus() });
  function step(by) {
    const next = rows[rows.indexOf(row) + by];
    if (next !== undefined) change({ row: next, page: Math.floor(rows.indexOf(next) / PAGE) });
  }
}

const LONG = ["text", "kinds", "states", "starts"];

// In the folder form the texts of samples come in parts.
async function needTexts(stage, rows) {
  if (!stage.parts) return;
  for (const name of LONG) stage.columns[name] ||= [];
  for (const row of rows) {
    if (stage.columns.text[row] !== undefined) continue;
    const [found, start] = await partOf(stage.parts, row);
    for (const name of LONG) found[name].forEach((value, place) => { stage.columns[name][start + place] = value; });
  }
}

function matches(stage, filter, text, sort) {
  const test = parseFilter(filter, stage), wanted = text.toLowerCase(), found = [];
  const { text: texts, problem } = stage.columns;
  for (let row = 0; row < problem.length; row++) {
    if (!test(row)) continue;
    if (wanted && !texts[row].toLowerCase().includes(wanted) && !stage.problems.question[problem[row]].toLowerCase().includes(wanted) && !stage.problems.id[problem[row]].toLowerCase().includes(wanted)) continue;
    found.push(row);
  }
  const by = stage.columns[sort];
  return by ? found.sort((a, b) => (by[b] ?? -1) - (by[a] ?? -1)) : found;
}

// Sets or removes one key of a filter.
function withKey(filter, key, value, operator = "=") {
  const rest = filter.split(",").filter((part) => part.trim() && OPERATORS.exec(part)?.[1] !== key);
  return [...rest, ...(value === "" ? [] : [`${key}${operator}${value}`])].join(",");
}

function controls(stages, stage, { filter, text, sort }, change) {
  const current = (key) => filter.split(",").map((part) => OPERATORS.exec(part)).find((part) => part?.[1] === key)?.[3] ?? "";
  const pick = (label, key, values) => select(label, [["", "any"], ...values.map((value) => [value, value])], current(key), (value) => change({ filter: withKey(filter, key, value) }));
  const arms = stage.values.arm, measured = stage.columns.backtracks.some((value) => value !== null);
  return h("form", { class: "controls", role: "search", onsubmit: (event) => { event.preventDefault(); change({ filter: document.getElementById("filter").value, text: document.getElementById("text").value }); } },
    stages.length > 1 && select("Evaluation", stages.map((entry) => [entry.stage, entry.stage]), stage.stage, (value) => go("samples", { stage: value })),
    pick("Arm", "arm", arms), pick("Verdict", "verdict", stage.values.outcome),
    measured && h("label", {}, "Backtracks, at least", h("input", { type: "number", min: 0, value: current("backtracks"), onchange: (event) => change({ filter: withKey(filter, "backtracks", event.target.value, ">=") }) })),
    pick("Truncated", "truncated", ["yes", "no"]), pick("Problem solved by", "solved_by", arms), pick("Problem missed by", "missed_by", arms),
    select("Sort", [["order", "as sampled"], ["tokens", "longest first"], ...(measured ? [["backtracks", "most backtracks first"]] : [])], sort, (value) => change({ sort: value })),
    h("label", {}, "Text contains", h("input", { type: "text", id: "text", value: text })),
    h("label", {}, "Filter, such as arm=astro_rl,backtracks>2", h("input", { type: "text", id: "filter", value: filter, spellcheck: "false", autocomplete: "off" })),
    h("button", {}, "Search"), h("button", { type: "button", onclick: () => change({ filter: "", text: "" }) }, "Clear"));
}

function sampleList(stage, rows, chosen, change, page, kept) {
  const pages = Math.max(1, Math.ceil(rows.length / PAGE)), shown = rows.slice(page * PAGE, (page + 1) * PAGE), { columns } = stage;
  const link = (row) => `#samples?${new URLSearchParams({ stage: stage.stage, ...kept, row, page })}`;
  return h("section", { class: "panel", "aria-label": "Samples found" },
    h("div", { class: "scroll list", tabindex: "0", role: "region", "aria-label": "List of samples" }, h("table", {}, h("thead", {}, h("tr", {}, ["problem", "arm", "verdict"].map((name) => h("th", { scope: "col" }, name)), ["tokens", "back"].map((name) => h("th", { scope: "col", class: "number" }, name)))),
      h("tbody", {}, shown.map((row) => h("tr", { class: "pick", "data-row": row, "data-chosen": row === chosen, onclick: () => change({ row, page }) },
        h("td", {}, h("a", { href: link(row), "aria-current": row === chosen ? "true" : null }, shortened(FIELDS.problem(stage, row), 30)), ` #${columns.sample[row]}`),
        h("td", {}, FIELDS.arm(stage, row)), h("td", {}, verdictMark(FIELDS.verdict(stage, row))), h("td", { class: "number" }, columns.tokens[row]), h("td", { class: "number" }, columns.backtracks[row] ?? "–")))))),
    pages > 1 && h("p", { class: "noprint" }, h("button", { type: "button", disabled: page === 0, onclick: () => change({ page: page - 1 }) }, "Previous"), ` page ${page + 1} of ${pages} `, h("button", { type: "button", disabled: page + 1 >= pages, onclick: () => change({ page: page + 1 }) }, "Next")),
    h("p", { class: "note noprint" }, "Keys: j next, k previous, / filter."));
}

function sampleDetail(stage, row, wanted) {
  const { columns, problems } = stage, problem = columns.problem[row];
  const figures = ["tokens", "backtracks", "dead_ends", "revisited", "unresolved"].filter((name) => columns[name][row] !== null).map((name) => `${columns[name][row]} ${name.replaceAll("_", " ")}`);
  const others = stage.values.arm.filter((arm) => arm !== FIELDS.arm(stage, row));
  return h("div", {},
    h("section", { class: "panel", "aria-label": "Sample" },
      h("h3", {}, `${problems.id[problem]}, ${FIELDS.arm(stage, row)}, sample ${columns.sample[row]}`),
      h("p", {}, verdictMark(FIELDS.verdict(stage, row)), ` ${figures.join(", ")}${FIELDS.truncated(stage, row) === "yes" ? ", cut off" : ""}`),
      h("h4", {}, "Prompt"), h("p", { class: "text" }, withMath(problems.question[problem])),
      h("h4", {}, "Response"), kindsLegend(), responseLines(stage, row, wanted),
      h("dl", { class: "facts" }, h("dt", {}, "read as answer"), h("dd", {}, columns.extracted[row] || "(none)"), h("dt", {}, "known answer"), h("dd", {}, withMath(problems.answer[problem] || "(none)"))),
      h("p", { class: "note" }, "Same problem: ", others.flatMap((arm, index) => [index ? ", " : "", h("a", { href: samplesLink(stage.stage, `arm=${arm},problem=${problems.id[problem]}`) }, arm)]))),
    responseGraph(stage, row));
}

function kindsLegend() {
  return h("p", { class: "note" }, [["words", "reflection"], ["jump", "goes back"], ["unresolved", "goes back to nowhere"], ["answer", "answer"]].map(([name, text]) => [h("span", { class: name }, ` ${SIGNS[name]} ${text} `), " "]));
}

// The pieces of a response, lines or what its step format calls a step, with their kinds and states.
function linesOf(stage, row) {
  const kinds = stage.columns.kinds[row], states = stage.columns.states[row], starts = stage.columns.starts[row], whole = stage.columns.text[row];
  const lines = starts ? starts.map((start, index) => whole.slice(start, starts[index + 1]).trim()) : whole.split("\n").filter((line) => line.trim());
  const last = stage.columns.extracted[row] ? lines.length - 1 : -1;
  return lines.map((text, index) => ({ text, kind: index === last && (KINDS[kinds[index]] || "step") === "step" ? "answer" : KINDS[kinds[index]] || "step", state: states ? states[index] : index + 1 }));
}

function responseLines(stage, row, wanted) {
  return h("ol", { class: "lines", id: "response" }, linesOf(stage, row).map(({ text, kind }) => line(kind, text, wanted)));
}

function line(kind, text, wanted = "", attributes = {}) {
  const at = wanted ? text.toLowerCase().indexOf(wanted.toLowerCase()) : -1;
  const body = at < 0 ? withMath(text) : [text.slice(0, at), h("mark", {}, text.slice(at, at + wanted.length)), text.slice(at + wanted.length)];
  return h("li", { class: kind === "verdict" ? "verdict-piece" : kind, ...attributes }, h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[kind] || " "), h("span", {}, SPOKEN[kind] && h("span", { class: "hidden" }, `${SPOKEN[kind]}: `), body));
}

// States by the order of their making, indented by depth; dashed lines go back.
function responseGraph(stage, row) {
  if (!stage.columns.states[row]) return null;
  const states = [{ text: "the problem", depth: 0, parent: -1 }], jumps = [];
  let here = 0;
  for (const { text, kind, state } of linesOf(stage, row)) {
    if (kind === "jump") jumps.push([here, state]);
    if (kind === "unresolved") jumps.push([here, null]);
    if (state === states.length) states.push({ text, parent: here, depth: states[here].depth + 1, answer: kind === "answer" });
    here = state;
  }
  const parents = new Set(states.map((state) => state.parent)), dead = new Set(jumps.filter(([from, to]) => to !== null && !parents.has(from)).map(([from]) => from));
  const lanes = Math.min(jumps.length, 8), left = 16 + lanes * 9, line = 26, height = states.length * line + 10, x = (state) => left + 10 + states[state].depth * 16, y = (state) => 16 + state * line;
  const width = Math.max(340, ...states.map((state, index) => x(index) + 16 + Math.min(state.text.length, 60) * 7.4 + 60));
  const label = [plural(states.length - 1, "state"), plural(jumps.length, "return"), plural(dead.size, "dead end")].join(", ");
  return panel("Graph of the response", h("p", { class: "note" }, `${label}. Dashed: goes back. Red: a dead end, or a return to nowhere.`), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Graph of the response" },
    s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
      states.map((state, index) => index > 0 && s("path", { class: "edge", d: `M${x(state.parent)},${y(state.parent)} V${y(index)} H${x(index)}` })),
      jumps.map(([from, to], index) => {
        const lane = left - 6 - (index % 8) * 9;
        if (to === null) return s("text", { class: "incorrect", x: x(from) + 16 + Math.min(states[from].text.length, 60) * 7.4 + 8, y: y(from) + 4 }, "⚠ nowhere");
        return s("g", {}, s("path", { class: "back", d: `M${x(from) - 6},${y(from) + 3} H${lane} V${y(to) + 3} H${x(to) - 8}` }), s("path", { class: "arrow", d: `M${x(to) - 5},${y(to) + 3} l-7,-4 v8 z` }));
      }),
      states.map((state, index) => s("g", {}, s("circle", { class: `state ${dead.has(index) ? "wrong" : state.answer ? "right" : ""}`, cx: x(index), cy: y(index), r: 5 }), s("text", { class: "code", x: x(index) + 12, y: y(index) + 4 }, shortened(state.text, 60)))))));
}
