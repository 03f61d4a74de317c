/* Traces under the picture: what the domain computed from the log, and the age of what the ego acts on. */
const traceHeight = 58;
function traceRows(log) {
  return [...log.traces.filter((trace) => trace.v.some((v) => v !== null)).map((trace) => ({ ...trace, kind: "trace" })), { name: "action age", unit: "ms", kind: "age" }];
}
function ageAt(log, t) {
  const run = log.actions.findLast(([start]) => start <= t + 1e-6);
  if (!run || run[2] < 0) return null;
  return run[3] + Math.min(Math.floor((t - run[0]) / log.period + 1e-6), run[1] - 1) * log.period;
}
function valueAt(trace, t) {
  const i = trace.t.findLastIndex((start) => start <= t + 1e-6);
  return i < 0 ? null : trace.v[i];
}
function drawTraces() {
  const log = shown.log, rows = traceRows(log), canvas = $("traces");
  canvas.style.height = `${rows.length * traceHeight + 26}px`;
  const [g, width] = fit(canvas), axis = timeAxis(width);
  g.textBaseline = "middle";
  rows.forEach((row, i) => {
    const top = i * traceHeight + 6, bottom = top + traceHeight - 12;
    const value = row.kind === "age" ? ageAt(log, now) : valueAt(row, now);
    g.font = "600 12px system-ui, sans-serif"; g.fillStyle = color("--ink"); g.fillText(row.name, 14, top + 10);
    g.font = "12px system-ui, sans-serif"; g.fillStyle = color("--soft");
    g.fillText(value === null ? "-" : `${Number(value.toPrecision(3))} ${row.unit.replace("^2", "²").replace("^3", "³")}`, 14, top + 27);
    const scale = traceScale(row, log);
    const level = (v) => bottom - (Math.min(Math.max(v, scale.low), scale.high) - scale.low) / (scale.high - scale.low) * (bottom - top);
    g.textAlign = "right"; g.font = "11px system-ui, sans-serif";
    g.fillText(String(Number(scale.high.toPrecision(2))), labelWidth - 6, top + 4); g.fillText(String(Number(scale.low.toPrecision(2))), labelWidth - 6, bottom - 3);
    g.textAlign = "left";
    g.strokeStyle = color("--faint"); g.lineWidth = 1; g.strokeRect(labelWidth, top, axis.plot, bottom - top);
    g.save(); g.beginPath(); g.rect(labelWidth, top - 1, axis.plot, bottom - top + 2); g.clip();
    if (row.kind === "age") drawAge(g, log, axis, level, top, bottom); else drawTrace(g, row, axis, level, i);
    g.restore();
  });
  const end = rows.length * traceHeight;
  g.font = "12px system-ui, sans-serif";
  drawTimeTicks(g, axis, end);
  g.fillStyle = color("--bad"); g.fillRect(axis.x(now) - 0.75, 4, 1.5, end - 6);
}
function traceScale(row, log) {
  if (row.kind === "age") return { low: 0, high: Math.max(100, ...log.actions.map(([, n, request, age]) => (request < 0 ? 0 : age + (n - 1) * log.period))) };
  const values = row.v.filter((v) => v !== null), limits = Object.values(row.thresholds);
  const high = Math.max(...values, ...limits, 0), low = Math.min(...values, 0);
  const capped = row.ceiling === null ? high : Math.min(high, row.ceiling);
  return { low, high: capped > low ? capped * 1.05 : low + 1 };
}
function drawTrace(g, row, axis, level, number) {
  g.strokeStyle = color("--bad"); g.lineWidth = 1; g.setLineDash([4, 4]); g.font = "11px system-ui, sans-serif"; g.fillStyle = color("--bad");
  let indent = labelWidth + 6;
  for (const [name, limit] of Object.entries(row.thresholds)) {
    const y = level(limit), text = `${name}: ${limit}`;
    g.beginPath(); g.moveTo(labelWidth, y); g.lineTo(labelWidth + axis.plot, y); g.stroke();
    g.fillText(text, indent, y > (level(0) + level(Infinity)) / 2 ? y - 7 : y + 8); indent += g.measureText(text).width + 18;
  }
  g.setLineDash([]); g.strokeStyle = color(`--s${number % 10}`); g.lineWidth = 1.6; g.beginPath();
  let pen = false;
  row.t.forEach((t, i) => {
    if (row.v[i] === null) { pen = false; return; }
    const p = [axis.x(t), level(row.v[i])];
    if (pen) g.lineTo(...p); else { g.moveTo(p[0], p[1]); g.lineTo(p[0] + 0.5, p[1]); }
    pen = true;
  });
  g.stroke();
}
/* The age as a saw: it grows with every tick that a chunk acts; below it the spans in which the agent computed. */
function drawAge(g, log, axis, level, top, bottom) {
  g.globalAlpha = 0.35;
  for (const [request, , , begin, done] of log.inferences) {
    if (begin < 0) continue;
    g.fillStyle = requestColor(request);
    g.fillRect(axis.x(begin), bottom - 7, Math.max(axis.x(done >= 0 ? done : shown.end) - axis.x(begin), 1.5), 7);
  }
  g.globalAlpha = 1; g.strokeStyle = color("--ink"); g.lineWidth = 1.2; g.beginPath();
  for (const [t, n, request, age] of log.actions) {
    if (request < 0) continue;
    g.moveTo(axis.x(t), level(age)); g.lineTo(axis.x(t + (n - 1) * log.period), level(age + (n - 1) * log.period));
    if (n === 1) g.lineTo(axis.x(t) + 2, level(age));
  }
  g.stroke();
}
