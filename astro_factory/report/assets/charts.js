// Static SVG charts. Each has a title for screen readers and a table of the same numbers near it.

function ticks(low, high, most = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(Math.abs(value) < step * 1e-6 ? 0 : value);
  return found;
}

const short = (value) => value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(0) : (Math.abs(value) >= 1e6 ? `${+(value / 1e6).toPrecision(3)}M` : Math.abs(value) >= 1e4 ? `${+(value / 1e3).toPrecision(3)}k` : String(+value.toPrecision(3)));

function scale(low, high, start, end) {
  const span = high - low || 1;
  return (value) => start + ((value - low) / span) * (end - start);
}

// A drawing is as wide as its place, so that its text keeps its size.
const room = (most) => Math.max(270, Math.min(most, innerWidth - 72));

function frame(width, height, label, ...children) {
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", role: "img", "aria-label": label }, children);
  svg.style.maxWidth = `${Math.round(width * 1.2)}px`;
  return svg;
}

let tip;

// Shows a line of text at the pointer while it is over a chart.
function hover(svg, text) {
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const found = text(((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width, ((event.clientY - box.top) / box.height) * svg.viewBox.baseVal.height);
    if (!tip) document.body.append((tip = h("div", { class: "tip", "aria-hidden": "true" })));
    tip.hidden = !found;
    clear(tip, found || "");
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - 200)}px`;
    tip.style.top = `${event.clientY + 14}px`;
  });
  svg.addEventListener("pointerleave", () => tip && (tip.hidden = true));
  return svg;
}

function axes(width, height, x, y, box, labels = {}) {
  return [
    y.ticks.map((value) => [s("line", { class: "axis", x1: box.left, x2: width - box.right, y1: y.at(value), y2: y.at(value) }), s("text", { class: "soft", x: box.left - 6, y: y.at(value) + 4, "text-anchor": "end" }, short(value))]),
    x.ticks.map((value) => s("text", { class: "soft", x: x.at(value), y: height - box.bottom + 16, "text-anchor": "middle" }, short(value))),
    labels.x && s("text", { class: "soft", x: width - box.right, y: height - 2, "text-anchor": "end" }, labels.x),
  ];
}

// Lines over steps; `lines`: [{name, color, steps, values}].
function lineChart(title, lines, { unit = "step", most = 380 } = {}) {
  const width = room(most), height = 210, box = { left: 46, right: 10, top: 8, bottom: 32 };
  const steps = lines.flatMap((line) => line.steps), values = lines.flatMap((line) => line.values).filter((value) => value !== null);
  let low = Math.min(...values), high = Math.max(...values);
  if (low >= 0 && low < high * 0.5) low = 0;
  if (low === high) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) * 0.1, high + Math.abs(high) * 0.1];
  const first = Math.min(...steps), last = Math.max(...steps);
  const x = { at: scale(first, last, box.left, width - box.right), ticks: ticks(first, last, 5) };
  const y = { at: scale(low, high, height - box.bottom, box.top), ticks: ticks(low, high, 4) };
  const paths = lines.map((line) => {
    const points = line.steps.map((step, index) => [x.at(step), line.values[index]]).filter(([, value]) => value !== null);
    return s("polyline", { class: `mark ${color(line.color)}${line.dashed ? " dashed" : ""}`, points: points.map(([px, value]) => `${px.toFixed(1)},${y.at(value).toFixed(1)}`).join(" ") });
  });
  const last_values = lines.map((line) => `${line.name} ends at ${figure(line.values.findLast((value) => value !== null))}`).join(", ");
  const svg = frame(width, height, `${title} by ${unit}: ${last_values}`, axes(width, height, x, y, box, { x: unit }), paths);
  return hover(svg, (px) => {
    const step = first + ((px - box.left) / (width - box.left - box.right)) * (last - first);
    const found = lines.map((line) => {
      const near = line.steps.reduce((best, value, index) => (Math.abs(value - step) < Math.abs(line.steps[best] - step) ? index : best), 0);
      return `${line.name}: ${figure(line.values[near])} (${unit} ${line.steps[near]})`;
    });
    return found.join("\n");
  });
}

// A row for each entry: a dot at the value, a line over its interval. `rows`: [{name, color, value, low, high, note}].
function intervalChart(title, rows, { zero = false } = {}) {
  const width = room(620), beside = 24 + 7.2 * Math.max(...rows.map((row) => row.name.length));
  // long names stand above their lines
  const above = beside > width * 0.45, left = above ? 12 : beside, line = above ? 44 : 30, height = rows.length * line + 34;
  let low = Math.min(...rows.map((row) => row.low)), high = Math.max(...rows.map((row) => row.high));
  if (zero) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  const margin = (high - low) * 0.06 || 0.05;
  const at = scale(low - margin, high + margin, left, width - 70);
  return frame(width, height, `${title}: ${rows.map((row) => `${row.name} ${figure(row.value)}, from ${figure(row.low)} to ${figure(row.high)}`).join("; ")}`,
    ticks(low, high, 6).map((value) => [s("line", { class: "axis", x1: at(value), x2: at(value), y1: 4, y2: height - 26 }), s("text", { class: "soft", x: at(value), y: height - 8, "text-anchor": "middle" }, short(value))]),
    zero && s("line", { class: "zero", x1: at(0), x2: at(0), y1: 4, y2: height - 26 }),
    rows.map((row, index) => {
      const y = index * line + (above ? 32 : 20);
      return s("g", { class: color(row.color) },
        s("text", { class: "halo", x: 4, y: above ? y - 12 : y + 4 }, shortened(row.name, Math.floor((above ? width - 72 : left) / 6.8))),
        s("line", { class: "mark", x1: at(row.low), x2: at(row.high), y1: y, y2: y }),
        s("circle", { class: "dot", cx: at(row.value), cy: y, r: 5 }),
        s("text", { class: "soft", x: width - 64, y: y + 4 }, (zero ? signed(row.value) : figure(row.value)) + (row.note || "")));
    }));
}

// Dots with names; `points`: [{name, color, x, y, low, high}].
function scatter(title, points, labels) {
  const width = room(620), height = 300, box = { left: 52, right: 90, top: 12, bottom: 36 };
  const highX = Math.max(...points.map((point) => point.x)) * 1.05 || 1;
  let low = Math.min(...points.map((point) => point.low)), high = Math.max(...points.map((point) => point.high));
  [low, high] = [Math.max(0, low - 0.04), high + 0.04];
  const x = { at: scale(0, highX, box.left, width - box.right), ticks: ticks(0, highX) };
  const y = { at: scale(low, high, height - box.bottom, box.top), ticks: ticks(low, high) };
  const placed = [];
  const texts = [...points].sort((a, b) => y.at(a.y) - y.at(b.y)).map((point) => {
    let py = y.at(point.y) + 4;
    while (placed.some(([ox, oy]) => Math.abs(ox - x.at(point.x)) < 90 && Math.abs(oy - py) < 14)) py += 14;
    placed.push([x.at(point.x), py]);
    return s("text", { x: x.at(point.x) + 9, y: py }, point.name);
  });
  return frame(width, height, `${title}: ${points.map((point) => `${point.name} ${figure(point.y)} at ${figure(point.x)}`).join("; ")}`,
    axes(width, height, x, y, box, { x: labels.x }),
    points.map((point) => s("g", { class: color(point.color) },
      s("line", { class: "mark", x1: x.at(point.x), x2: x.at(point.x), y1: y.at(point.low), y2: y.at(point.high) }),
      s("circle", { class: "dot", cx: x.at(point.x), cy: y.at(point.y), r: 5 }))), texts);
}

// Bars over bins of equal width.
function histogramChart(title, { edges, counts }) {
  const width = room(380), height = 190, box = { left: 46, right: 10, top: 8, bottom: 26 };
  if (!counts.length) return h("p", { class: "note" }, "no values");
  const most = Math.max(...counts), integral = edges.every(Number.isInteger);
  const x = { at: scale(edges[0], edges[edges.length - 1], box.left, width - box.right), ticks: ticks(edges[0], edges[edges.length - 1], 6).filter((value) => !integral || Number.isInteger(value)) };
  const y = { at: scale(0, most, height - box.bottom, box.top), ticks: ticks(0, most, 4) };
  const svg = frame(width, height, `${title}: ${counts.length} bins from ${figure(edges[0])} to ${figure(edges[edges.length - 1])}, the fullest with ${count(most)}`,
    axes(width, height, x, y, box),
    counts.map((value, index) => s("rect", { class: "bar", x: x.at(edges[index]) + 0.5, width: Math.max(x.at(edges[index + 1]) - x.at(edges[index]) - 1, 1), y: y.at(value), height: y.at(0) - y.at(value) })));
  return hover(svg, (px) => {
    const index = counts.findIndex((_, place) => px >= x.at(edges[place]) && px < x.at(edges[place + 1]));
    return index < 0 ? "" : `${figure(edges[index])} to ${figure(edges[index + 1])}: ${count(counts[index])}`;
  });
}

// Named bars, one a row; `rows`: [[name, count]].
function barChart(title, rows) {
  const total = rows.reduce((sum, [, value]) => sum + value, 0) || 1, most = Math.max(...rows.map(([, value]) => value), 1);
  const width = room(380), line = 22, left = Math.min(170, 20 + 7 * Math.max(...rows.map(([name]) => name.length), 1));
  const at = scale(0, most, left, width - 100);
  return frame(width, rows.length * line + 6, `${title}: ${rows.map(([name, value]) => `${name} ${count(value)}`).join(", ")}`,
    rows.map(([name, value], index) => [
      s("text", { x: left - 8, y: index * line + 16, "text-anchor": "end" }, shortened(name, 22)),
      s("rect", { class: "bar", x: left, y: index * line + 4, width: Math.max(at(value) - left, 1), height: line - 8 }),
      s("text", { class: "soft", x: at(value) + 6, y: index * line + 16 }, `${count(value)} (${((100 * value) / total).toFixed(0)}%)`),
    ]));
}
