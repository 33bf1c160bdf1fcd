// Search trees: one tree with visits, values and verdicts, its traces walked through it, two wordings side by side.

async function treesView(root, route) {
  const stages = await load("trees");
  const wanted = route.get("stage");
  const stage = stages.find((entry) => entry.stage === wanted || entry.trees.some((tree) => tree.traces.some((trace) => trace.stage === wanted))) || stages[0];
  const index = Math.max(0, stage.trees.findIndex(route.get("tree") ? (tree) => tree.id === route.get("tree") : (tree) => tree.traces.some((trace) => trace.backtracks > 1)));
  if (stage.parts) await needTree(stage, index);
  const tree = stage.trees[index];
  const walk = Math.min(Number(route.get("trace") || defaultTrace(tree, wanted)), tree.traces.length - 1), trace = tree.traces[walk];
  const change = (changed) => go("trees", { stage: stage.stage, tree: tree.id, trace: walk, left: route.get("left") || "", right: route.get("right") || "", ...changed });
  const where = h("p", { class: "note", "aria-live": "polite" });
  const drawing = drawTree(tree, trace, where);
  const asked = route.get("tree"), missing = asked && asked !== tree.id;
  build(root, {}, [
    h("h2", {}, `Trees: ${stage.stage}`),
    missing && h("p", { class: "incorrect", role: "alert" }, `The tree of ${asked} is not in this report.`),
    stage.shown < stage.total && h("p", { class: "note" }, `This report holds ${count(stage.shown)} of ${count(stage.total)} trees; \`astro-factory show SPEC:${stage.stage} --tree ID\` prints any of them.`),
    h("div", { class: "controls" },
      stages.length > 1 && select("Search", stages.map((entry) => [entry.stage, entry.stage]), stage.stage, (value) => go("trees", { stage: value })),
      select("Tree", stage.trees.map((entry) => [entry.id, `${entry.id} (${entry.size} nodes, ${entry.right} right, ${entry.traces.length} traces)`]), tree.id, (value) => change({ tree: value, trace: "" })),
      h("button", { type: "button", disabled: index === 0, onclick: () => change({ tree: stage.trees[index - 1].id, trace: "" }) }, "Previous tree"),
      h("button", { type: "button", disabled: index + 1 === stage.trees.length, onclick: () => change({ tree: stage.trees[index + 1].id, trace: "" }) }, "Next tree"),
      tree.traces.length > 0 && select("Trace", tree.traces.map((entry, place) => [String(place), `${entry.stage} row ${entry.row} (${entry.backtracks} backtracks)`]), String(walk), (value) => change({ trace: value }))),
    panel(null, h("p", { class: "text" }, withMath(tree.question)), h("p", { class: "note" }, `${plural(tree.nodes.parent.length, "node")}, ${plural(tree.iterations, "iteration")}, ${plural(tree.tokens, "token")}; ${plural(ends(tree, "correct"), "right end")} and ${ends(tree, "incorrect")} wrong ones. Known answer: `, tree.answer || "none", ". A circle is larger the more visits it has; its ring is green at a right end and red at a wrong one.", Object.keys(tree.votes).length > 0 && " \"In favour\" are votes of the judge.")),
    panel("The tree", trace && walkControls(drawing, trace), where, drawing.element),
    trace ? wordings(stage, tree, trace, route, change, drawing) : h("p", { class: "note" }, "No trace was made from this tree."),
  ]);
  drawing.show(-1);
}

// In the folder form the trees come in parts; the list has their heads.
async function needTree(stage, index) {
  const [found, start] = await partOf(stage.parts, index);
  found.forEach((tree, place) => { stage.trees[start + place] = tree; });
}

const fromRollouts = (nodes, node) => nodes.rollouts[node] ? ` (${plural(nodes.rollouts[node], "rollout")})` : "";
const ends = (tree, verdict) => tree.nodes.verdict.filter((found) => found === verdict).length;

function defaultTrace(tree, stage) {
  const own = tree.traces.map((trace, index) => [trace, index]).filter(([trace]) => trace.stage === stage);
  const best = (own.length ? own : tree.traces.map((trace, index) => [trace, index])).sort(([a], [b]) => b.backtracks - a.backtracks)[0];
  return best ? best[1] : 0;
}

function layout(parents) {
  const children = parents.map(() => []), depth = parents.map(() => 0), y = parents.map(() => 0);
  parents.forEach((parent, index) => { if (parent >= 0) { children[parent].push(index); depth[index] = depth[parent] + 1; } });
  let row = 0;
  const order = [], pending = [0];
  while (pending.length) { const node = pending.pop(); order.push(node); pending.push(...[...children[node]].reverse()); }
  for (const node of order) if (!children[node].length) y[node] = row++;
  for (const node of [...order].reverse()) if (children[node].length) y[node] = (y[children[node][0]] + y[children[node].at(-1)]) / 2;
  return { children, depth, y, rows: row };
}

function drawTree(tree, trace, where) {
  const { nodes } = tree, { children, depth, y, rows } = layout(nodes.parent), longest = Math.min(34, Math.max(...nodes.text.map((text) => text.length), 8));
  const column = 64 + longest * 6.6, line = 34, px = (node) => 24 + depth[node] * column, py = (node) => 18 + y[node] * line;
  // nothing stands to the right of an end
  const names = nodes.text.map((text, node) => shortened(text.replaceAll("\n", " "), children[node].length ? longest : 80));
  const width = 40 + Math.max(...names.map((name, node) => px(node) + Math.max(name.length * 7.4, 220))), height = rows * line + 16, most = Math.max(...nodes.visits, 1);
  const visited = new Set(trace ? trace.sequence : []);
  const circles = nodes.parent.map((_, node) => {
    const verdict = nodes.verdict[node], ring = nodes.terminal[node] ? (verdict === "correct" ? "right" : "wrong") : "";
    return s("circle", { class: `state ${ring} ${visited.has(node) ? "visited" : ""}`, cx: px(node), cy: py(node), r: 4 + 5 * Math.sqrt(nodes.visits[node] / most) });
  });
  const edges = nodes.parent.map((parent, node) => parent >= 0 && s("path", { class: visited.has(node) && visited.has(parent) ? "edge on" : "edge", d: `M${px(parent)},${py(parent)} C${px(parent) + column * 0.8},${py(parent)} ${px(node) - column * 0.2},${py(node)} ${px(node)},${py(node)}` }));
  const labels = nodes.text.map((text, node) => s("text", { class: "code halo", x: px(node) + 13, y: py(node) - 5 }, node ? names[node] : "", s("title", {}, text || tree.question)));
  const figures = nodes.text.map((_, node) => s("text", { class: "soft halo", x: px(node) + (node ? 13 : -10), y: py(node) + (node ? 14 : 20) }, node ? `N ${nodes.visits[node]}  Q ${nodes.value[node].toFixed(2)}${fromRollouts(nodes, node)}` : "", nodes.terminal[node] ? `  ${nodes.verdict[node] === "correct" ? "✓" : "✗"} ${shortened(nodes.answer[node], 14)}${tree.votes[node] ? `, ${tree.votes[node]} in favour` : ""}` : ""));
  const back = s("path", { class: "back now" });
  const element = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Drawing of the tree" }, s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Search tree of ${nodes.parent.length} nodes` }, edges, back, circles, labels, figures));
  let place = -1;
  const listeners = [];
  function show(next) {
    if (!trace) return;
    place = Math.max(-1, Math.min(next, trace.sequence.length - 1));
    circles.forEach((circle) => circle.classList.remove("now"));
    back.setAttribute("d", "");
    if (place >= 0) {
      const node = trace.sequence[place], before = trace.sequence[place - 1];
      circles[node].classList.add("now");
      const jumped = place > 0 && before !== node && nodes.parent[node] !== before;
      if (jumped) back.setAttribute("d", `M${px(before)},${py(before)} Q${(px(before) + px(node)) / 2},${Math.max(py(before), py(node)) + 24} ${px(node)},${py(node)}`);
      const box = element.getBoundingClientRect();
      if (px(node) < element.scrollLeft || px(node) > element.scrollLeft + box.width - 120) element.scrollLeft = px(node) - box.width / 2;
      clear(where, `${place + 1} of ${trace.sequence.length}: ${jumped ? "goes back to" : before === node ? "looks at" : "node"} ${node} ${node ? `"${shortened(nodes.text[node], 80)}"` : "(the problem)"}, N ${nodes.visits[node]}, Q ${nodes.value[node].toFixed(2)}${fromRollouts(nodes, node)}`);
    } else clear(where, `Node sequence: ${trace.sequence.join(" → ")}`);
    listeners.forEach((listener) => listener(place));
  }
  return { element, show, step: (by) => show(place + by), listen: (listener) => listeners.push(listener) };
}

function walkControls(drawing) {
  keys({ n: () => drawing.step(1), p: () => drawing.step(-1) });
  return h("p", { class: "noprint" }, h("button", { type: "button", onclick: () => drawing.show(-1) }, "Whole trace"), " ", h("button", { type: "button", onclick: () => drawing.step(-1) }, "Step back"), " ", h("button", { type: "button", id: "forward", onclick: () => drawing.step(1) }, "Step forward"), h("span", { class: "note" }, "  keys: n forward, p back"));
}

function wordings(stage, tree, trace, route, change, drawing) {
  const versions = { stored: trace.segments, ...trace.texts }, names = Object.keys(versions);
  const twin = tree.traces.find((other) => other.stage !== trace.stage && other.sequence.at(-1) === trace.sequence.at(-1)) || tree.traces.find((other) => other.stage !== trace.stage);
  if (twin) versions[`${twin.stage} row ${twin.row}`] = twin.segments;
  const all = Object.keys(versions), left = all.includes(route.get("left")) ? route.get("left") : "stored", right = all.includes(route.get("right")) ? route.get("right") : names[1] || all[1] || "stored";
  const named = (name) => (name === "stored" ? `${trace.stage} row ${trace.row}, as stored` : name);
  const side = (chosen, label, key) => panel(null, h("div", { class: "controls" }, select(label, all.map((name) => [name, named(name)]), chosen, (value) => change({ [key]: value }))), segmentLines(tree, versions[chosen], drawing, trace));
  return h("section", { "aria-label": "Texts" }, h("h3", {}, "The text, in two wordings"), h("div", { class: "grid wide" }, side(left, "Left", "left"), side(right, "Right", "right")));
}

function segmentLines(tree, segments, drawing, trace) {
  const right = new Set();
  for (let node = trace.sequence.at(-1); node > 0; node = tree.nodes.parent[node]) right.add(node);
  const items = segments.map(([kind, node, text]) => {
    const shown = text ?? tree.nodes.text[node], wrong = kind === "step" && !right.has(node);
    return { kind, node, item: line(kind, shown, "", { class: `${kind === "verdict" ? "verdict-piece" : kind} ${wrong ? "bad" : ""}` }) };
  });
  drawing.listen((place) => {
    const target = place >= 0 ? segmentAt(segments, tree, trace, place) : -1;
    items.forEach(({ item }, index) => { if (index === target) item.setAttribute("data-on", ""); else item.removeAttribute("data-on"); });
  });
  return h("ol", { class: "lines" }, items.map(({ item }) => item));
}

// The index of the segment for a position of the sequence: a step, or the words of a jump or a pause.
function segmentAt(segments, tree, trace, place) {
  let at = -1;
  for (let index = 1; index <= place; index++) {
    const node = trace.sequence[index], kinds = tree.nodes.parent[node] === trace.sequence[index - 1] ? ["step"] : node === trace.sequence[index - 1] ? ["reflect", "verdict"] : ["backtrack", "restart"];
    const next = segments.findIndex(([kind, own], candidate) => candidate > at && own === node && kinds.includes(kind));
    if (next >= 0) at = next; else if (index === place) return -1;
  }
  return at;
}
