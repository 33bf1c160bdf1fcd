// What is in the problem sets, trees and traces.

async function dataView(root, route) {
  const all = await load("data"), chosen = route.get("stage");
  const entries = chosen && all.some((entry) => entry.stage === chosen) ? all.filter((entry) => entry.stage === chosen) : all;
  build(root, {}, [
    h("h2", {}, "Data"),
    h("div", { class: "controls" }, select("Stage", [["", "all"], ...all.map((entry) => [entry.stage, `${entry.stage} (${entry.makes})`])], chosen || "", (value) => go("data", value ? { stage: value } : {}))),
    entries.map((entry) => panel(`${entry.stage}: ${count(entry.rows)} ${entry.makes}`,
      entry.duplicates !== undefined && h("p", { class: "note" }, entry.duplicates ? `${count(entry.duplicates)} rows repeat the text of another row (${((100 * entry.duplicates) / entry.rows).toFixed(1)}%).` : "No row repeats the text of another row."),
      entry.figures && h("dl", { class: "facts" }, Object.entries(entry.figures).filter(([, value]) => typeof value === "number").map(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, figure(value))])),
      h("div", { class: "grid" },
        Object.entries(entry.counts).filter(([, rows]) => rows.length).map(([name, rows]) => h("div", {}, h("h4", {}, name), barChart(name, rows))),
        Object.entries(entry.histograms).filter(([, found]) => found.counts.length > 1).map(([name, found]) => h("div", {}, h("h4", {}, name), histogramChart(name, found)))))),
  ]);
}
