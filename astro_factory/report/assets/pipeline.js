// The pipeline: what was made from what, and what it took.

const SHOWN_BY = { report: "comparison", trees: "trees", votes: "votes", traces: "trees", model: "training", problems: "data" };

async function pipelineView(root, route) {
  const stages = await load("pipeline");
  const overview = await load("overview");
  const named = new Map(stages.map((stage) => [stage.name, stage]));
  const chosen = named.get(route.get("stage"));
  const total = (name) => stages.reduce((sum, stage) => sum + (stage[name] || 0), 0);
  build(root, {}, [
    h("h2", {}, "Pipeline"),
    h("p", {}, overview.published ? `${stages.length} stages led to this publication. The files of ${stages.filter((stage) => stage.built).length} are part of it, of the others the records.` : `${stages.filter((stage) => stage.built).length} of ${stages.length} stages are in the store: ${duration(total("seconds"))} of work, ${count(total("tokens"))} tokens, ${count(total("calls"))} model calls.`),
    overview.notes.map((note) => h("p", { class: "note" }, note)),
    panel("What is made from what", h("p", { class: "note" }, `${overview.published ? "Solid green: published. Dashed: its files are not here." : "Solid green: in the store. Dashed: its files are not here, or it is not built yet."} A stage leads to its details below.`),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Graph of the pipeline" }, graph(stages, chosen))),
    chosen && details(chosen, stages, overview),
    panel("Stages", table(["stage", "kind", "state", number("time"), number("tokens"), number("calls"), number("size"), "reads"],
      stages.map((stage) => [h("a", { href: `#pipeline?stage=${encodeURIComponent(stage.name)}` }, stage.name), stage.kind, state(stage),
        number(duration(stage.seconds)), number(stage.tokens ? count(stage.tokens) : "–"), number(stage.calls ? count(stage.calls) : "–"), number(bytes(stage.bytes)), stage.reads.join(", ")]), "Stages")),
  ]);
  if (chosen) return () => document.getElementById("details").scrollIntoView({ block: "nearest" });
}

// A stage whose result is known can be without its files: nothing else reads them.
const state = (stage) => (stage.built ? "built" : stage.status === "hit" ? "not here" : stage.status);

function graph(stages, chosen) {
  const wide = 138, high = 44, gapX = 34, gapY = 14, rows = new Map(), places = new Map();
  const readers = (name) => stages.filter((stage) => stage.reads.includes(name));
  for (const stage of stages) {
    // a source stands just before its first reader, so that lines are short
    const layer = stage.reads.length ? stage.layer : Math.max(0, Math.min(...readers(stage.name).map((reader) => reader.layer), Infinity) - 1);
    const column = Number.isFinite(layer) ? layer : 0;
    const row = rows.get(column) || 0;
    rows.set(column, row + 1);
    places.set(stage.name, { x: 4 + column * (wide + gapX), y: 4 + row * (high + gapY) });
  }
  const width = 8 + (Math.max(...rows.keys()) + 1) * (wide + gapX) - gapX, height = 8 + Math.max(...rows.values()) * (high + gapY);
  const near = chosen ? new Set([chosen.name, ...chosen.reads, ...readers(chosen.name).map((stage) => stage.name)]) : new Set();
  const edges = stages.flatMap((stage) => stage.reads.map((source) => {
    const from = places.get(source), to = places.get(stage.name), x1 = from.x + wide, y1 = from.y + high / 2, x2 = to.x, y2 = to.y + high / 2;
    const on = chosen && (stage.name === chosen.name || source === chosen.name);
    return s("path", { class: on ? "edge on" : "edge", d: `M${x1},${y1} C${x1 + 30},${y1} ${x2 - 30},${y2} ${x2},${y2}` });
  }));
  const boxes = stages.map((stage) => {
    const { x, y } = places.get(stage.name), took = stage.built ? `${stage.kind}, ${duration(stage.seconds)}` : `${stage.kind}, ${state(stage)}`;
    return s("a", { href: `#pipeline?stage=${encodeURIComponent(stage.name)}` },
      s("rect", { class: `box ${stage.built ? "hit" : "todo"} ${near.has(stage.name) ? "on" : ""}`, x, y, width: wide, height: high, rx: 6 }),
      s("text", { x: x + 10, y: y + 18 }, shortened(stage.name, 18)), s("text", { class: "soft", x: x + 10, y: y + 35 }, shortened(took, 21)));
  });
  return s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Stages and what they read" }, edges, boxes);
}

function details(stage, stages, overview) {
  const readers = stages.filter((other) => other.reads.includes(stage.name)).map((other) => other.name);
  const links = (names) => names.flatMap((name, index) => [index ? ", " : "", h("a", { href: `#pipeline?stage=${encodeURIComponent(name)}` }, name)]);
  const facts = [
    ["kind", stage.kind], ["state", `${stage.status}: ${stage.reason}`], ["makes", stage.makes], ["reads", stage.reads.length ? links(stage.reads) : "nothing"],
    ["read by", readers.length ? links(readers) : "nothing"], ["time", duration(stage.seconds)], ["tokens", stage.tokens ? count(stage.tokens) : "–"],
    ["size", bytes(stage.bytes)], ["key", stage.key ? h("code", {}, stage.key.slice(0, 16)) : "–"],
    ["versions", Object.entries(stage.versions || {}).map(([name, version]) => `${name} ${version}`).join(", ") || "–"],
  ];
  const view = SHOWN_BY[stage.makes];
  return h("section", { class: "panel", id: "details", "aria-label": `Details of ${stage.name}` }, h("h3", {}, stage.name),
    view && stage.built && overview.views.includes(view) && h("p", {}, h("a", { href: `#${view}?stage=${encodeURIComponent(stage.name)}` }, `Look at what it made: ${view}`)),
    h("div", { class: "grid wide" }, h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      h("div", {}, h("h4", {}, "What the spec sets"), stage.config.length ? h("dl", { class: "facts" }, stage.config.map(([name, value]) => [h("dt", {}, name), h("dd", {}, shortened(value, 200))])) : h("p", { class: "note" }, "nothing"))));
}
