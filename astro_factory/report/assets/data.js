// What is in the problem sets, trees and traces.

async function dataView(root, route) {
  const all = await load("data"), chosen = route.get("stage");
  const entries = chosen && all.some((entry) => entry.stage === chosen) ? all.filter((entry) => entry.stage === chosen) : all;
  build(root, {}, [
    h("h2", {}, "Data"),
    h("div", { class: "controls" }, select("Stage", [["", "all"], ...all.map((entry) => [entry.stage, `${entry.stage} (${entry.makes})`])], chosen || "", (value) => go("data", value ? { stage: value } : {}))),
    !chosen && problemSets(all.filter((entry) => entry.makes === "problems")),
    entries.map((entry) => panel(`${entry.stage}: ${count(entry.rows)} ${entry.makes}`,
      entry.duplicates !== undefined && h("p", { class: "note" }, entry.duplicates ? `${count(entry.duplicates)} rows repeat the text of another row (${((100 * entry.duplicates) / entry.rows).toFixed(1)}%).` : "No row repeats the text of another row."),
      h("dl", { class: "facts" }, factsOf(entry).map(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, value)])),
      h("div", { class: "grid" },
        Object.entries(entry.counts).filter(([, rows]) => rows.length > 1).map(([name, rows]) => h("div", {}, h("h4", {}, name), barChart(name, rows))),
        Object.entries(entry.histograms).filter(([, found]) => found.counts.length > 1).map(([name, found]) => h("div", {}, h("h4", {}, name), histogramChart(name, found)))))),
  ]);
}

// Figures, then what is the same in every row: a bar would say no more.
function factsOf(entry) {
  const figures = Object.entries(entry.figures || {}).filter(([, value]) => typeof value === "number").map(([name, value]) => [name, figure(value)]);
  return [...figures, ...Object.entries(entry.counts).filter(([, rows]) => rows.length === 1).map(([name, [[value]]]) => [name, `${value} in every row`])];
}

// Problems by set and level.
function problemSets(sets) {
  if (sets.length < 2) return null;
  const of = (set) => new Map(set.counts.level), levels = [...new Set(sets.flatMap((set) => [...of(set).keys()]))].sort();
  const rows = levels.map((level) => [level, ...sets.map((set) => number(of(set).has(level) ? count(of(set).get(level)) : "–"))]);
  return panel("Problems by set and level", table(["level", ...sets.map((set) => number(set.stage))], [...rows, ["all", ...sets.map((set) => number(count(set.rows)))]], "Problems by set and level"));
}
