// Navigation: the part of the address after # names a view and what it shows.

const VIEWS = { pipeline: pipelineView, comparison: comparisonView, samples: samplesView, trees: treesView, votes: votesView, training: trainingView, data: dataView };
let shortcuts = {}, drawn = 0;

function go(view, values) {
  const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  location.hash = kept.length ? `${view}?${new URLSearchParams(kept)}` : view;
}

const keys = (found) => Object.assign(shortcuts, found);

async function draw() {
  const [name, query] = location.hash.slice(1).split(/\?(.*)/s), overview = await load("overview");
  if (name === "main") return;
  const view = overview.views.includes(name) ? name : "pipeline", turn = ++drawn, root = h("div", {});
  const active = document.activeElement, focused = active?.id, same = document.querySelector("nav a[aria-current]")?.dataset.view === view;
  shortcuts = {};
  let after;
  try {
    after = await VIEWS[view](root, new URLSearchParams(query || ""));
  } catch (error) {
    build(root, {}, [h("p", { class: "incorrect", role: "alert" }, `This view cannot be drawn: ${error.message}`)]);
    console.error(error);
  }
  if (turn !== drawn) return;
  for (const link of root.querySelectorAll("a[href^='#']")) {
    const to = link.getAttribute("href").slice(1).split("?")[0];
    if (to in VIEWS && !overview.views.includes(to)) link.replaceWith(...link.childNodes);
  }
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  const top = same ? scrollY : 0;
  document.getElementById("main").replaceChildren(root);
  document.documentElement.dataset.ready = view;
  scrollTo(0, top);
  after?.();
  if (same && focused) document.getElementById(focused)?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (shortcuts[event.key]) { event.preventDefault(); shortcuts[event.key](); }
});

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

async function start() {
  const overview = await load("overview");
  formulas = overview.formulas;
  clear(document.getElementById("subtitle"), `astro-factory ${overview.version}${overview.made ? `, ${overview.made}` : ""}`);
  build(document.getElementById("nav"), {}, overview.views.map((view) => h("a", { href: `#${view}`, "data-view": view }, view[0].toUpperCase() + view.slice(1))));
  addEventListener("hashchange", draw);
  await draw();
}

let width = innerWidth;
addEventListener("resize", () => {
  if (Math.abs(innerWidth - width) < 40) return;
  width = innerWidth;
  draw();
});

start();
