// Training curves: one small chart a measure, the runs overlaid.

const FIRST = ["reward", "loss", "verdict/correct", "verdict/incorrect", "verdict/no_answer", "length", "backtracks", "dead_ends", "unresolved_backtracks", "entropy", "clipped", "accuracy", "mean_token_accuracy"];
const TITLES = { length: "response length, tokens", clipped: "share of truncated responses", clipped_ratios: "share of clipped probability ratios", tokens: "tokens so far", num_tokens: "tokens so far" };

async function trainingView(root, route) {
  const all = await load("training"), kinds = [...new Set(all.map((run) => run.kind))];
  const wanted = all.find((run) => run.stage === route.get("stage"));
  const kind = route.get("kind") || (wanted ? wanted.kind : kinds.includes("grpo") ? "grpo" : kinds[0]);
  const runs = all.filter((run) => run.kind === kind);
  const hidden = new Set((route.get("hide") || "").split(",").filter(Boolean));
  const shown = runs.filter((run) => !hidden.has(run.stage));
  const measures = [...new Set(runs.flatMap((run) => Object.keys(run.series)))].sort((a, b) => (FIRST.indexOf(a) + 1 || 99) - (FIRST.indexOf(b) + 1 || 99) || a.localeCompare(b));
  const zero = (name) => shown.every((run) => (run.series[name] || []).every((value) => !value));
  const toggle = (stage) => go("training", { kind, hide: [...(hidden.has(stage) ? [...hidden].filter((name) => name !== stage) : [...hidden, stage])].join(",") });
  build(root, {}, [
    h("h2", {}, "Training"),
    h("div", { class: "controls" }, kinds.length > 1 && select("Kind of training", kinds.map((name) => [name, name]), kind, (value) => go("training", { kind: value })),
      runs.map((run, index) => h("label", { class: "line" }, h("input", { type: "checkbox", checked: !hidden.has(run.stage), onchange: () => toggle(run.stage) }), h("span", { class: `key ${color(index)}` }, run.stage)))),
    shown.length ? h("div", { class: "grid" }, measures.filter((name) => !zero(name)).map((name) => measurePanel(name, runs, shown))) : h("p", {}, "No run is chosen."),
    measures.some(zero) && h("p", { class: "note" }, `Always 0: ${measures.filter(zero).join(", ")}.`),
    shown.map((run) => run.rollouts.length > 0 && rolloutsPanel(run)),
    shown.length > 0 && h("details", {}, h("summary", {}, "The last values as a table"), table(["measure", ...shown.map((run) => number(run.stage))], measures.map((name) => [name, ...shown.map((run) => number(figure(run.series[name]?.findLast((value) => value !== null))))]), "Last values")),
  ]);
}

function measurePanel(name, runs, shown) {
  const lines = shown.filter((run) => run.series[name]?.some((value) => value !== null)).map((run) => ({ name: run.stage, color: runs.indexOf(run), steps: run.steps, values: run.series[name] }));
  return lines.length > 0 && panel(TITLES[name] || name.replaceAll("_", " "), lineChart(TITLES[name] || name, lines));
}

function rolloutsPanel(run) {
  const steps = run.rollouts.map((entry) => entry.step), body = h("div", { class: "grid wide" });
  const show = (step) => clear(body, run.rollouts.find((entry) => entry.step === step).rollouts.map((sample) => h("div", {}, h("h4", {}, `${sample.problem}: reward ${sample.reward === null ? "none" : figure(sample.reward)} `, sample.verdict && verdictMark(sample.verdict)), h("p", { class: "text" }, withMath(sample.text), sample.text ? "" : h("span", { class: "note" }, "(empty)")))));
  show(steps.at(-1));
  return panel(`Rollouts of ${run.stage}`, h("div", { class: "controls" }, select("Step", steps.map((step) => [String(step), String(step)]), String(steps.at(-1)), (value) => show(Number(value)))), body);
}
