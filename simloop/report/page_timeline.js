/* The timeline of an episode: captures, inferences, actions, contacts. */
let shown = null, now = 0, playing = false, last = 0, zoom = 1;
const rowHeight = 22, labelWidth = 150;
function timelineRows(log) {
  return [...log.sensors.map((s) => ({ name: s.name, kind: "sensor", sensor: s })), { name: "inference", kind: "inference" },
    { name: "action", kind: "action" }, { name: "contacts", kind: "contacts" }];
}
/* The stretch of time that is shown, which traces and timeline share. */
function timeAxis(width) {
  const span = shown.end / zoom, start = Math.min(Math.max(now - span / 2, 0), shown.end - span);
  const plot = width - labelWidth - 14;
  return { span, start, plot, x: (t) => labelWidth + ((t - start) / span) * plot };
}
function drawTimeTicks(g, axis, y) {
  g.fillStyle = color("--soft");
  const step = [50, 100, 200, 500, 1000, 2000, 5000, 10000].find((s) => (s / axis.span) * axis.plot > 54) ?? 20000;
  for (let t = Math.ceil(axis.start / step) * step; t <= axis.start + axis.span; t += step) {
    g.fillRect(axis.x(t), y, 1, 4); g.textAlign = "center"; g.fillText((t / 1000).toFixed(step < 1000 ? 1 : 0) + " s", axis.x(t), y + 12); g.textAlign = "left";
  }
}
const requestColor = (request) => color(`--s${((request % 8) + 8) % 8}`);
function drawTimeline() {
  const log = shown.log, rows = timelineRows(log), canvas = $("timeline");
  const lanes = laneOf(log.inferences), numLanes = Math.max(...lanes, 0) + 1;
  const heightOf = (row) => (row.kind === "inference" ? rowHeight * 1.9 : rowHeight);
  canvas.style.height = `${rows.reduce((sum, row) => sum + heightOf(row), 0) + 36}px`;
  const [g, width, height] = fit(canvas);
  const { span, start, plot, x } = timeAxis(width);
  g.font = "12px system-ui, sans-serif"; g.textBaseline = "middle";
  let y = 10;
  const clip = () => { g.save(); g.beginPath(); g.rect(labelWidth, 0, plot, height - 22); g.clip(); };
  for (const row of rows) {
    const tall = heightOf(row), middle = y + tall / 2;
    g.fillStyle = color("--soft"); g.fillText(row.name.length > 21 ? row.name.slice(0, 20) + "…" : row.name, 14, middle);
    clip();
    if (row.kind === "sensor") {
      g.fillStyle = color("--soft");
      for (const t of row.sensor.used) { g.beginPath(); g.arc(x(t), middle, 2.6, 0, 7); g.fill(); }
    } else if (row.kind === "inference") {
      log.inferences.forEach(([request, seen, trigger, begin, done, deliver], i) => {
        const c = requestColor(request), h = (tall - 8) / numLanes - 1, top = y + 4 + lanes[i] * (h + 1);
        const end = deliver >= 0 ? deliver : shown.end;
        g.fillStyle = c; g.globalAlpha = 0.3; g.fillRect(x(trigger), top, Math.max(x(end) - x(trigger), 2), h);
        g.globalAlpha = 1; if (begin >= 0) g.fillRect(x(begin), top, Math.max(x(done >= 0 ? done : shown.end) - x(begin), 2), h);
        g.beginPath(); g.arc(x(seen), top + h / 2, 2.2, 0, 7); g.fill();
      });
    } else if (row.kind === "action") {
      for (const [t, n, request] of log.actions) {
        g.fillStyle = request < 0 ? color("--lane") : requestColor(request); g.globalAlpha = request < 0 ? 0.6 : 0.85;
        g.fillRect(x(t), y + 4, Math.max(x(t + n * log.period) - x(t) - 0.8, 1), tall - 8); g.globalAlpha = 1;
      }
    } else {
      for (const [t, , isCollision] of log.contacts) { g.fillStyle = color(isCollision ? "--bad" : "--soft"); g.fillRect(x(t) - 1, y + 4, isCollision ? 3 : 1.5, tall - 8); }
    }
    g.restore();
    g.strokeStyle = color("--faint"); g.lineWidth = 1; g.beginPath(); g.moveTo(0, y + tall + 0.5); g.lineTo(width, y + tall + 0.5); g.stroke();
    y += tall;
  }
  drawTimeTicks(g, { span, start, plot, x }, y);
  g.fillStyle = color("--bad"); g.fillRect(x(now) - 0.75, 4, 1.5, y - 2);
  drawNow(log);
}
/* Requests that overlap in time get a lane each, up to three. */
function laneOf(inferences) {
  const ends = [-1, -1, -1];
  return inferences.map(([, , trigger, , , deliver]) => {
    const lane = Math.max(ends.findIndex((e) => e <= trigger), 0);
    ends[lane] = deliver < 0 ? Infinity : deliver; return lane;
  });
}
function drawNow(log) {
  const run = log.actions.findLast(([t]) => t <= now + 1e-6);
  if (!run) { $("now").textContent = ""; return; }
  const [t, n, request, age] = run, since = Math.min(Math.floor((now - t) / log.period + 1e-6), n - 1);
  if (request < 0) { $("now").textContent = "No action is there: the hold acts."; return; }
  const inference = log.inferences.find(([r]) => r === request);
  $("now").textContent = `Chunk ${request} acts, ${since + 1} of ${n} ticks in a row. It was computed from what was seen at ` +
    `${(inference[1] / 1000).toFixed(3)} s and arrived ${inference[7]} ticks later; the action is ${Math.round(age + since * log.period)} ms old.`;
}
