// The report of an evaluation: values with intervals, differences, accuracy against tokens, flips.

async function comparisonView(root, route) {
  const stages = await load("comparison");
  const stage = stages.find((entry) => entry.stage === route.get("stage")) || stages[0];
  const { report, analysis } = stage, arms = Object.keys(report.arms);
  const metrics = Object.keys(report.arms[arms[0]]);
  const metric = metrics.includes(route.get("metric")) ? route.get("metric") : metrics[0];
  build(root, {}, [
    sweepPanel(await load("sweep")),
    h("h2", {}, `Comparison: ${stage.stage}`),
    h("p", { class: "note" }, `${report.suite}: ${count(report.problems)} problems in ${count(report.clusters)} clusters, ${report.settings.samples} samples of each, temperature ${report.settings.temperature}, at most ${count(report.settings.max_tokens)} tokens. Intervals hold ${Math.round(report.settings.confidence * 100)}%.`),
    h("div", { class: "controls" },
      stages.length > 1 && select("Evaluation", stages.map((entry) => [entry.stage, entry.stage]), stage.stage, (value) => go("comparison", { stage: value })),
      select("Metric", metrics.map((name) => [name, name]), metric, (value) => go("comparison", { stage: stage.stage, metric: value }))),
    h("div", { class: "grid wide" },
      panel(metric, intervalChart(metric, arms.map((arm, index) => ({ name: arm, color: index, ...report.arms[arm][metric] })))),
      differencesPanel(report, analysis, metric),
      tokensPanel(report, arms, metrics),
      equalTokensPanel(report),
      sampleAndCheckPanel(report, arms),
      backtracksPanel(report, arms)),
    panel("All metrics", table(["arm", ...metrics.map(number)], arms.map((arm) => [h("a", { href: samplesLink(stage.stage, `arm=${arm}`) }, arm), ...metrics.map((name) => valueCell(report.arms[arm][name]))]), "All metrics")),
    flipsPanel(stage, arms, route),
    groupsPanel("By level", report.levels, arms, metric),
    groupsPanel("By source", report.sources, arms, metric),
    verdictsPanel(analysis, arms, stage),
  ]);
}

const samplesLink = (stage, filter) => `#samples?${new URLSearchParams({ stage, filter })}`;

function valueCell(found) {
  return number([figure(found.value), h("div", { class: "low" }, `${figure(found.low)} to ${figure(found.high)}`)]);
}

function differencesPanel(report, analysis, metric) {
  const found = report.paired.filter((entry) => entry.metric === metric);
  if (!found.length) return null;
  const tests = new Map((analysis.differences || []).map((entry) => [`${entry.arm} ${entry.baseline} ${entry.metric}`, entry]));
  const test = (entry) => tests.get(`${entry.arm} ${entry.baseline} ${entry.metric}`);
  const rows = found.map((entry, index) => ({ name: `${entry.arm} − ${entry.baseline}`, color: index + 1, value: entry.difference, low: entry.low, high: entry.high, note: test(entry)?.holds ? " *" : "" }));
  return panel(`Differences on the same problems: ${metric}`, intervalChart("Differences", rows, { zero: true }),
    found.some(test) && h("p", { class: "note" }, "* holds after correction for all comparisons of scores (Holm, 5%)."),
    found.some(test) && h("details", {}, h("summary", {}, "p-values"), table(["pair", number("difference"), number("p"), number("p, corrected")], found.filter(test).map((entry) => [`${entry.arm} − ${entry.baseline}`, number(signed(entry.difference)), number(figure(test(entry).p, 5)), number(figure(test(entry).p_corrected, 5))]), "p-values")));
}

function tokensPanel(report, arms, metrics) {
  const score = metrics.find((name) => name.startsWith("pass@1")) || metrics[0];
  if (!metrics.includes("tokens[mean]")) return null;
  const points = arms.map((arm, index) => ({ name: arm, color: index, x: report.arms[arm]["tokens[mean]"].value, y: report.arms[arm][score].value, low: report.arms[arm][score].low, high: report.arms[arm][score].high }));
  return panel("Accuracy against tokens", scatter(`${score} against tokens`, points, { x: "mean tokens of a response" }), h("p", { class: "note" }, `Upwards: ${score}.`));
}

function equalTokensPanel(report) {
  if (!report.equal_tokens.length) return null;
  return panel("At equal tokens", h("p", { class: "note" }, "One sample of the arm against the majority vote of as many samples of the baseline as cost the same number of tokens."),
    table(["arm", "against", number("arm"), number("vote"), number("best of"), number("difference")], report.equal_tokens.map((entry) => [entry.arm, `${figure(entry.votes)} of ${entry.baseline}${entry.capped ? " (capped)" : ""}`, valueCell(entry.arm_value), valueCell(entry.baseline_value), valueCell(entry.oracle_value), valueCell({ value: entry.difference, low: entry.low, high: entry.high })]), "At equal tokens"));
}

const SEQUENTIAL = { sample_and_check: "whole response", check_steps: "its steps" };

function sampleAndCheckPanel(report, arms) {
  const found = report.equal_tokens.flatMap((entry) => Object.keys(SEQUENTIAL).filter((name) => entry[name]).map((name) => [entry, name, entry[name]]));
  if (!found.length) return null;
  const curves = report.curves || [];
  const names = { one_response: "one response", sample_and_check: "sampling until the check accepts", check_steps: "the same, its steps checked" };
  const lines = curves.filter((curve) => curve.control !== "check_steps").map((curve) => ({ name: `${curve.arm}: ${names[curve.control]}`, color: arms.indexOf(curve.arm), dashed: curve.control === "sample_and_check", steps: curve.points.map((point) => Math.round(point.tokens)), values: curve.points.map((point) => point.value.value) }));
  return panel("Sampling until the check accepts", h("p", { class: "note" }, "The baseline is sampled again and again until a check that reads nothing but the question accepts a response, for as many tokens as the arm spends. A check of the steps ends a failed response before its answer. Where the samples ran out, the interval of the difference covers whatever more of them would give."),
    table(["arm", "against", "check reads", number("tokens"), number("their tokens"), number("arm"), number("control"), number("difference")], found.map(([entry, name, control]) => [entry.arm, entry.baseline, SEQUENTIAL[name], number(figure(entry.tokens[entry.arm], 0)), number(`${figure(control.tokens, 0)}${control.exhausted > 0.01 ? " (too few samples)" : ""}`), valueCell(entry.arm_value), valueCell(control.value), valueCell({ value: control.difference, low: control.low, high: control.high })]), "Sampling until the check accepts, at equal tokens"),
    legend(lines.map((line) => line.name), lines.map((line) => line.color)), lineChart("Share correct by mean tokens spent", lines, { unit: "tokens", most: 620 }),
    h("details", {}, h("summary", {}, "Numbers"), curves.map((curve) => table(["limit", number("tokens"), number("correct")], curve.points.map((point) => [figure(point.limit, 0), number(figure(point.tokens, 0)), valueCell(point.value)]), `${curve.arm}: ${names[curve.control]}`))));
}

function backtracksPanel(report, arms) {
  const groups = Object.entries(report.correct_by_backtracks || {}).filter(([, found]) => Object.keys(found).length > 1);
  if (!groups.length) return null;
  const lines = groups.map(([arm, found]) => ({ name: arm, color: arms.indexOf(arm), steps: Object.keys(found).map(Number), values: Object.values(found).map((entry) => entry.correct) }));
  return panel("Share correct by number of backtracks", legend(lines.map((line) => line.name), lines.map((line) => line.color)), lineChart("Share correct by number of backtracks", lines, { unit: "backtracks", most: 620 }),
    h("details", {}, h("summary", {}, "Numbers"), groups.map(([arm, found]) => table([`${arm}: backtracks`, number("samples"), number("correct")], Object.entries(found).map(([name, entry]) => [name, number(count(entry.samples)), number(figure(entry.correct))]), `${arm} by backtracks`))));
}

const solves = (share) => share >= 0.5;

function flipsPanel(stage, arms, route) {
  if (!stage.solved || arms.length < 2) return null;
  const pair = stage.report.paired[0] || { arm: arms[arms.length - 1], baseline: arms[0] };
  const first = arms.includes(route.get("a")) ? route.get("a") : pair.baseline, second = arms.includes(route.get("b")) ? route.get("b") : pair.arm;
  const groups = { both: [], [`only ${first}`]: [], [`only ${second}`]: [], neither: [] };
  stage.problems.forEach((id, index) => {
    const one = solves(stage.solved[first][index]), other = solves(stage.solved[second][index]);
    groups[one && other ? "both" : one ? `only ${first}` : other ? `only ${second}` : "neither"].push(id);
  });
  const again = (changed) => go("comparison", { stage: stage.stage, a: first, b: second, ...changed });
  const link = (name) => ({ [`only ${first}`]: `solved_by=${first},missed_by=${second}`, [`only ${second}`]: `solved_by=${second},missed_by=${first}`, both: `solved_by=${first},solved_by=${second}`, neither: `missed_by=${first},missed_by=${second}` })[name];
  return panel("Flips: problems that one arm solves and the other does not",
    h("p", { class: "note" }, "An arm solves a problem when at least half of its samples are correct."),
    h("div", { class: "controls" }, select("Before", arms.map((arm) => [arm, arm]), first, (a) => again({ a })), select("After", arms.map((arm) => [arm, arm]), second, (b) => again({ b }))),
    table(["solved by", number("problems"), "which"], Object.entries(groups).map(([name, ids]) => [name, number(count(ids.length)), ids.length ? h("a", { href: samplesLink(stage.stage, link(name)) }, `samples of ${shortened(ids.slice(0, 3).join(", "), 70)}${ids.length > 3 ? ", …" : ""}`) : "–"]), "Flips"));
}

function groupsPanel(title, groups, arms, metric) {
  const names = Object.keys(groups || {});
  if (!names.length) return null;
  return panel(`${title}: ${metric}`, table(["", number("problems"), ...arms.map(number)], names.map((name) => [name || "(none)", number(count(groups[name].problems)), ...arms.map((arm) => valueCell(groups[name].arms[arm][metric]))]), title));
}

function verdictsPanel(analysis, arms, stage) {
  if (!analysis.verdicts) return null;
  const names = [...new Set(arms.flatMap((arm) => Object.keys(analysis.verdicts[arm].shares)))];
  return panel("Verdicts", table(["arm", ...names.map((name) => number(name.replaceAll("_", " ")))], arms.map((arm) => [arm, ...names.map((name) => {
    const share = analysis.verdicts[arm].shares[name];
    return number(share ? h("a", { href: samplesLink(stage.stage, `arm=${arm},verdict=${name}`) }, `${(100 * share).toFixed(1)}%`) : "–");
  })]), "Verdicts"));
}

// The variants of a sweep beside its baseline, and the mean of each seed apart.
function sweepPanel(sweep) {
  if (!sweep.rows) return null;
  const { rows } = sweep, arms = [...new Set(rows.map((row) => row.arm))], { metric } = rows[0];
  const named = (row) => Object.entries(row.settings).map(([name, value]) => `${name.split(".").at(-1)}=${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ") || "baseline";
  const others = (arm) => rows.filter((row) => row.arm === arm && row.difference !== undefined);
  const seeds = [...new Set(rows.flatMap((row) => Object.keys(row.by_seed)))];
  const header = ["variant", "arm", number(metric), number("difference"), number("p (Holm)"), ...(seeds.length > 1 ? seeds.map((seed) => number(seed || "seed")) : [])];
  const cells = (row) => [named(row) + (row.baseline ? " (baseline)" : ""), row.arm, number(figure(row.means[metric])), row.difference === undefined ? "–" : valueCell({ value: row.difference, low: row.low, high: row.high }), number(figure(row.p_holm)), ...(seeds.length > 1 ? seeds.map((seed) => number(figure(row.by_seed[seed]))) : [])];
  return panel(`The sweep, compared by ${sweep.stage}: ${metric}`,
    h("div", { class: "grid wide" }, arms.filter((arm) => others(arm).length).map((arm) => h("div", {}, h("h4", {}, `${arm}: difference from the baseline`), intervalChart(`Differences of ${arm} from the baseline`, others(arm).map((row, index) => ({ name: named(row), color: index + 1, value: row.difference, low: row.low, high: row.high })), { zero: true })))),
    table(header, rows.map(cells), "Variants"));
}
