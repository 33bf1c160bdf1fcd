// Votes of a judge on the ends of trees: the right ends that it turns down, the wrong ones that it lets through.

const RULES = { majority: "more than half of the votes are in favour", unanimous: "all votes are in favour" };

async function votesView(root, route) {
  const stages = await load("votes");
  const stage = stages.find((entry) => entry.stage === route.get("stage")) || stages[0], verdicts = Object.keys(stage.counts);
  const rule = route.get("rule") in RULES ? route.get("rule") : "majority";
  const verdict = verdicts.includes(route.get("verdict")) ? route.get("verdict") : verdicts.at(-1);
  const passed = route.get("passed") || (verdict === "correct" ? "no" : "yes");
  const ends = stage.ends.filter((end) => end.verdict === verdict && (passed === "any" || end[rule] === (passed === "yes")));
  const pages = Math.max(1, Math.ceil(ends.length / PAGE)), page = Math.min(Number(route.get("page") || 0), pages - 1);
  const change = (changed) => go("votes", { stage: stage.stage, rule, verdict, passed, ...changed });
  build(root, {}, [
    h("h2", {}, `Votes: ${stage.stage}`),
    h("p", { class: "note" }, `A model judges ${plural(stage.total, "end")} of the trees that "${stage.trees}" made. An end passes when ${RULES[rule]}.`),
    h("div", { class: "controls" },
      stages.length > 1 && select("Judge", stages.map((entry) => [entry.stage, entry.stage]), stage.stage, (value) => go("votes", { stage: value })),
      select("An end passes by", Object.keys(RULES).map((name) => [name, name === "majority" ? "majority" : "all votes"]), rule, (value) => change({ rule: value })),
      verdicts.length > 1 && select("Ends that are", verdicts.map((name) => [name, name]), verdict, (value) => change({ verdict: value, passed: "" })),
      select("and", [["yes", "pass"], ["no", "do not pass"], ["any", "either"]], passed, (value) => change({ passed: value }))),
    panel("Ends by the verifier's verdict and the judge's votes", passTable(stage, verdicts),
      h("div", { class: "grid" }, verdicts.map((name) => h("div", {}, h("h4", {}, `${name} ends by votes in favour`), barChart(`${name} ends by votes in favour`, stage.counts[name].map(([votes, ends]) => [String(votes), ends])))))),
    verdicts.length === 1 && h("p", { class: "note" }, "Only correct ends were voted on; with `ends: all` the stage also shows which wrong ones it lets through."),
    panel(`${count(ends.length)} ${verdict} ${ends.length === 1 ? "end" : "ends"} that ${{ yes: "pass", no: "do not pass", any: "were voted on" }[passed]}`,
      stage.shown < stage.total && h("p", { class: "note" }, `This report lists ${count(stage.shown)} of ${count(stage.total)} ends, the judge's mistakes first; \`astro-factory show SPEC:${stage.stage} --filter verdict=${verdict}\` lists all.`),
      ends.slice(page * PAGE, (page + 1) * PAGE).map((end) => endItem(stage, end)),
      pages > 1 && h("p", { class: "noprint" }, h("button", { type: "button", disabled: page === 0, onclick: () => change({ page: page - 1 }) }, "Previous"), ` page ${page + 1} of ${pages} `, h("button", { type: "button", disabled: page + 1 >= pages, onclick: () => change({ page: page + 1 }) }, "Next"))),
  ]);
}

function passTable(stage, verdicts) {
  const votes = Math.max(...stage.ends.map((end) => end.votes), 1);
  const rows = verdicts.map((name) => {
    const total = stage.counts[name].reduce((sum, [, ends]) => sum + ends, 0);
    const share = (least) => { const found = stage.counts[name].reduce((sum, [yes, ends]) => sum + (yes >= least ? ends : 0), 0); return number(`${count(found)} (${((100 * found) / total).toFixed(1)}%)`); };
    return [name, number(count(total)), share(Math.floor(votes / 2) + 1), share(votes)];
  });
  return table(["verdict", number("ends"), number("majority"), number(`all ${votes}`)], rows, "Ends that pass");
}

function endItem(stage, end) {
  return h("section", { class: "end", "aria-label": `${end.problem}, node ${end.node}` },
    h("h4", {}, h("a", { href: `#trees?${new URLSearchParams({ stage: stage.trees, tree: end.problem })}` }, end.problem), ` node ${end.node}: ${end.in_favour} of ${end.votes} in favour, `, verdictMark(end.verdict), end.answer && `, answer ${end.answer}`),
    h("p", { class: "text" }, withMath(end.question)), h("ol", { class: "lines" }, end.steps.map((text) => line("step", text))));
}
