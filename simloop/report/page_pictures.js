/* Pictures of an episode at an instant: footprints on a road, or points in space. */
function fit(canvas) {
  const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  canvas.width = Math.max(1, Math.round(box.width * ratio));
  canvas.height = Math.max(1, Math.round(box.height * ratio));
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, box.width, box.height);
  return [g, box.width, box.height];
}
/* Fractional frame index of a time. */
function frameAt(times, t) {
  let low = 0, high = times.length - 1;
  if (t <= times[0]) return 0;
  if (t >= times[high]) return high;
  while (high - low > 1) { const mid = (low + high) >> 1; if (times[mid] <= t) low = mid; else high = mid; }
  return low + (t - times[low]) / (times[high] - times[low]);
}
function mix(values, f) {
  const i = Math.floor(f), a = values[i], b = values[Math.min(i + 1, values.length - 1)];
  if (a === null || b === null || a === undefined) return a === undefined ? null : a;
  return a + (b - a) * (f - i);
}
function drawScene(canvas, scene, t, compact) {
  const [g, width, height] = fit(canvas);
  if (!scene) { g.fillStyle = color("--soft"); g.fillText("This world records nothing that can be drawn.", 16, 26); return; }
  if (scene.arms) drawArmScene(g, width, height, scene, t, compact);
  else if (scene.actors) drawRoadScene(g, width, height, scene, t, compact);
  else drawPointScene(g, width, height, scene, t, compact);
}
function drawRoadScene(g, width, height, scene, t, compact) {
  const f = frameAt(scene.t, t), ego = scene.actors[0];
  const scale = compact ? width / 60 : Math.min(width / (scene.reach ?? (scene.reach = reachOf(scene))), 14);
  const cx = mix(ego.x, f), cy = mix(ego.y, f), heading = mix(ego.yaw, f);
  /* The view follows the ego; its course lies along the page, so that roads stay level. */
  const course = scene.course;
  const cos = Math.cos(course), sin = Math.sin(course);
  const toScreen = (x, y) => {
    const dx = x - cx, dy = y - cy;
    return [width * 0.36 + (dx * cos + dy * sin) * scale, height / 2 - (-dx * sin + dy * cos) * scale];
  };
  g.fillStyle = color("--road"); g.globalAlpha = 0.55; g.fillRect(0, 0, width, height); g.globalAlpha = 1;
  g.strokeStyle = color("--lane"); g.lineWidth = 1.5;
  for (const line of scene.road || []) {
    g.beginPath(); line.forEach(([x, y], i) => { const p = toScreen(x, y); if (i) g.lineTo(...p); else g.moveTo(...p); }); g.stroke();
  }
  drawMarkings(g, scene, t, toScreen, scale, compact);
  if (!(scene.road || []).length) gridLines(g, width, height, cx, cy, course, scale);
  g.lineWidth = 2; g.strokeStyle = color("--accent"); g.globalAlpha = 0.4; g.beginPath();
  ego.x.forEach((x, i) => { if (x !== null) { const p = toScreen(x, ego.y[i]); if (i) g.lineTo(...p); else g.moveTo(...p); } });
  g.stroke(); g.globalAlpha = 1;
  [...scene.actors].reverse().forEach((a) => {
    const x = mix(a.x, f), y = mix(a.y, f), yaw = mix(a.yaw, f);
    if (x === null) return;
    const [px, py] = toScreen(x, y), isEgo = a.actor === 0;
    g.save(); g.translate(px, py); g.rotate(-(yaw - course));
    const size = (value) => (Array.isArray(value) ? mix(value, f) : value) * scale;
    const l = size(a.length), w = size(a.width);
    g.fillStyle = color(isEgo ? "--accent" : "--soft"); g.beginPath(); g.roundRect(-l / 2, -w / 2, l, w, Math.min(4, w / 3)); g.fill();
    g.fillStyle = color("--panel"); g.globalAlpha = 0.75; g.fillRect(l * 0.12, -w * 0.36, l * 0.14, w * 0.72); g.globalAlpha = 1;
    g.restore();
    const v = mix(a.speed, f);
    if (!compact && v !== null) {
      g.fillStyle = color("--ink"); g.font = "11.5px system-ui, sans-serif"; g.textAlign = "center";
      g.fillText((isEgo ? "ego " : "") + v.toFixed(1) + " m/s", px, py - (w / 2 + 7)); g.textAlign = "left";
    }
  });
  if (!compact) scaleBar(g, height, scale, [50, 20, 10, 5]);
}
/* Paths that actors mean to follow, stop lines in the colour of their light, lights and signs. */
const signalColors = ["--good", "--warn", "--bad"];
function stateAt(signal, t) {
  const change = signal.changes.findLast(([start]) => start <= t + 1e-6);
  return change ? change[1] : null;
}
function drawMarkings(g, scene, t, toScreen, scale, compact) {
  g.save();
  g.lineWidth = 1.2; g.setLineDash([5, 5]); g.globalAlpha = 0.6;
  (scene.paths || []).forEach((line, i) => {
    g.strokeStyle = color(i ? "--soft" : "--accent"); g.beginPath();
    line.forEach(([x, y], k) => { const p = toScreen(x, y); if (k) g.lineTo(...p); else g.moveTo(...p); }); g.stroke();
  });
  g.setLineDash([]); g.globalAlpha = 1; g.lineWidth = Math.max(0.4 * scale, 2);
  for (const [[first, second], number] of scene.stops || []) {
    const state = number >= 0 ? stateAt(scene.signals[number], t) : null;
    g.strokeStyle = color(state === null ? "--ink" : signalColors[state]);
    g.beginPath(); g.moveTo(...toScreen(...first)); g.lineTo(...toScreen(...second)); g.stroke();
  }
  if (!compact) for (const signal of scene.signals || []) drawSignal(g, signal, stateAt(signal, t), toScreen(signal.x, signal.y));
  g.restore();
}
function drawSignal(g, signal, state, [x, y]) {
  g.lineWidth = 1.5; g.strokeStyle = color("--panel");
  const corners = signal.kind === "stop" ? 8 : signal.kind === "yield" ? 3 : 0;
  g.fillStyle = color(state === null ? "--bad" : signalColors[state]); g.beginPath();
  if (corners) for (let i = 0; i < corners; i++) {
    const angle = (corners === 8 ? Math.PI / 8 : Math.PI / 2) + (2 * Math.PI * i) / corners;
    g.lineTo(x + 7 * Math.cos(angle), y + 7 * Math.sin(angle));
  } else g.arc(x, y, 6, 0, 2 * Math.PI);
  g.closePath(); g.fill(); g.stroke();
}
/* Metres across the picture: so many that the nearest actor is mostly in it. */
function reachOf(scene) {
  const ego = scene.actors[0], nearest = scene.t.map((_, i) => Math.min(...scene.actors.slice(1).map((a) =>
    a.x[i] === null || ego.x[i] === null ? Infinity : Math.hypot(a.x[i] - ego.x[i], a.y[i] - ego.y[i])))).filter(Number.isFinite);
  nearest.sort((a, b) => a - b);
  const far = nearest.length ? nearest[Math.floor(0.9 * (nearest.length - 1))] : 0;
  return Math.min(Math.max(1.8 * far + 20, 70), 170);
}
function gridLines(g, width, height, cx, cy, course, scale) {
  const along = cx * Math.cos(course) + cy * Math.sin(course), step = 10;
  g.lineWidth = 1; g.globalAlpha = 0.6;
  for (let s = Math.ceil((along - width / scale) / step) * step; s < along + width / scale; s += step) {
    const x = width * 0.36 + (s - along) * scale; g.beginPath(); g.moveTo(x, 0); g.lineTo(x, height); g.stroke();
  }
  g.globalAlpha = 1;
}
function scaleBar(g, height, scale, lengths, unit = "m") {
  const length = lengths.find((l) => l * scale < 140) ?? lengths[lengths.length - 1];
  g.strokeStyle = color("--soft"); g.lineWidth = 2; g.beginPath(); g.moveTo(14, height - 14); g.lineTo(14 + length * scale, height - 14); g.stroke();
  g.fillStyle = color("--soft"); g.font = "11.5px system-ui, sans-serif"; g.fillText(`${length} ${unit}`, 14, height - 20);
}
function drawPointScene(g, width, height, scene, t, compact) {
  const f = frameAt(scene.t, t), upto = Math.floor(f);
  const range = (axis) => {
    const all = scene.points.flatMap((p) => p[axis].filter((v) => v !== null));
    return [Math.min(...all), Math.max(...all)];
  };
  const spans = scene.spans ?? (scene.spans = { x: range("x"), y: range("y"), z: range("z") });
  /* The level axis of both pictures is the one along which the points are spread most. */
  const flat = spans.x[1] - spans.x[0] > spans.y[1] - spans.y[0] ? ["x", "y"] : ["y", "x"];
  const views = compact ? [[flat[0], "z", "front"]] : [[flat[0], flat[1], "from above"], [flat[0], "z", "from the front"]];
  views.forEach(([h, v, label], k) => {
    const left = (width / views.length) * k, w = width / views.length, pad = compact ? 18 : 44;
    const size = Math.max(spans[h][1] - spans[h][0], ((spans[v][1] - spans[v][0]) * w) / height, 0.05);
    const scale = Math.min((w - 2 * pad) / size, (height - 2 * pad) / Math.max(spans[v][1] - spans[v][0], 0.05));
    const mh = (spans[h][0] + spans[h][1]) / 2, mv = (spans[v][0] + spans[v][1]) / 2;
    const to = (a, b) => [left + w / 2 + (a - mh) * scale, height / 2 - (b - mv) * scale];
    if (k) { g.strokeStyle = color("--line"); g.lineWidth = 1; g.beginPath(); g.moveTo(left, 0); g.lineTo(left, height); g.stroke(); }
    scene.points.forEach((p, i) => {
      const c = color(`--s${i % 8}`);
      g.strokeStyle = c; g.lineWidth = 1.5; g.globalAlpha = 0.35; g.beginPath();
      let pen = false;
      for (let j = 0; j <= upto; j++) { if (p[h][j] === null) { pen = false; continue; } const q = to(p[h][j], p[v][j]); if (pen) g.lineTo(...q); else g.moveTo(...q); pen = true; }
      g.stroke(); g.globalAlpha = 1;
      const a = mix(p[h], f), b = mix(p[v], f);
      if (a === null) return;
      const [x, y] = to(a, b);
      g.fillStyle = c; g.beginPath(); g.arc(x, y, compact ? 4 : 7, 0, 2 * Math.PI); g.fill();
      if (!compact) { g.fillStyle = color("--ink"); g.font = "12px system-ui, sans-serif"; const room = left + w - x > 22 + g.measureText(p.name).width; g.textAlign = room ? "left" : "right"; g.fillText(p.name, x + (room ? 11 : -11), y + 4); g.textAlign = "left"; }
    });
    if (!compact) {
      g.fillStyle = color("--soft"); g.font = "12px system-ui, sans-serif"; g.fillText(`${label} (${h} to the right, ${v} up)`, left + 14, 22);
      if (!k) scaleBar(g, height, scale, [1, 0.5, 0.2, 0.1, 0.05]);
    }
  });
}
