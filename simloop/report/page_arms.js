/* Arms as chains of rods, objects as solids, seen from a point that the pointer moves around them. */
const armsFrom = { turn: 0.45, rise: 0.5, zoom: 1 };
const armsStart = { ...armsFrom };
const armColors = ["--s0", "--s1", "--s4", "--s3", "--s2", "--s5", "--s6", "--s7", "--s8", "--s9"];
const boxFaces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]];
function undoChanges(changes, width, scale) {
  const frames = [];
  for (let i = 0; i < changes.length; i += width) {
    const before = frames[frames.length - 1];
    frames.push(Array.from({ length: width }, (_, k) => changes[i + k] / scale + (before ? before[k] : 0)));
  }
  return frames;
}
function prepareArms(arms) {
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  for (const link of arms.links) {
    link.positions = undoChanges(link.p, 3, 1000);
    if (link.q) link.turns = undoChanges(link.q, 4, 500);
    for (const p of link.positions) p.forEach((v, k) => { low[k] = Math.min(low[k], v); high[k] = Math.max(high[k], v); });
  }
  arms.middle = low.map((v, k) => (v + high[k]) / 2);
  arms.reach = 0.5 * Math.hypot(...low.map((v, k) => high[k] - v));
  let next = 0;
  arms.colors = arms.groups.map((name) => (name === "left_arm" ? "--s0" : name === "right_arm" ? "--s1" : name === "table" ? "--lane" : armColors[2 + (next++ % 8)]));
  arms.ready = true;
}
const mixAll = (frames, f) => {
  const i = Math.min(Math.floor(f), frames.length - 1), a = frames[i], b = frames[Math.min(i + 1, frames.length - 1)];
  return a.map((v, k) => v + (b[k] - v) * (f - i));
};
function turned([w, x, y, z], [a, b, c]) {
  const n = 2 / (w * w + x * x + y * y + z * z);
  return [
    a + n * (-(y * y + z * z) * a + (x * y - w * z) * b + (x * z + w * y) * c),
    b + n * ((x * y + w * z) * a - (x * x + z * z) * b + (y * z - w * x) * c),
    c + n * ((x * z - w * y) * a + (y * z + w * x) * b - (x * x + y * y) * c)];
}
/* A colour of the theme (hex), brighter or darker. */
function shaded(name, factor) {
  const hex = color(name), part = (i) => Math.min(255, Math.round(parseInt(hex.slice(i, i + 2), 16) * factor));
  return `rgb(${part(1)} ${part(3)} ${part(5)})`;
}
function solidOf(shape) {
  const [a, b, c] = shape.half;
  if (shape.kind === "cylinder") {
    const n = 12, rim = Array.from({ length: 2 * n }, (_, i) => [a * Math.cos((2 * Math.PI * (i % n)) / n), b * Math.sin((2 * Math.PI * (i % n)) / n), i < n ? -c : c]);
    const sides = Array.from({ length: n }, (_, i) => [i, (i + 1) % n, n + ((i + 1) % n), n + i]);
    return [rim, [...sides, rim.slice(0, n).map((_, i) => n - 1 - i), rim.slice(0, n).map((_, i) => n + i)]];
  }
  return [[-a, a].flatMap((x) => [-b, b].flatMap((y) => [-c, c].map((z) => [x, y, z]))), boxFaces];
}
function drawArmScene(g, width, height, scene, t, compact) {
  const arms = scene.arms;
  if (!arms.ready) prepareArms(arms);
  const from = compact ? armsStart : armsFrom, f = frameAt(scene.t, t);
  const ct = Math.cos(from.turn), st = Math.sin(from.turn), cr = Math.cos(from.rise), sr = Math.sin(from.rise);
  const distance = 3.2 * arms.reach, focal = (Math.min(width / 1.5, height) / 2) * (distance / arms.reach) * 1.15 * from.zoom;
  const light = [0.35 * ct + 0.25 * st, 0.35 * st - 0.25 * ct, 0.9];
  /* To the right, upward, and towards the eye; the eye is on +x at a turn of 0. */
  const see = (p) => {
    const d = p.map((v, k) => v - arms.middle[k]);
    const right = -d[0] * st + d[1] * ct, out = d[0] * ct + d[1] * st;
    const near = out * cr + d[2] * sr, up = d[2] * cr - out * sr, depth = Math.max(distance - near, 0.05);
    return [width / 2 + (right * focal) / depth, height * 0.54 - (up * focal) / depth, depth];
  };
  const parts = [], at = arms.links.map((link) => mixAll(link.positions, f));
  const face = (corners, name, behind) => {
    const [a, b, c] = corners, u = b.map((v, k) => v - a[k]), v = c.map((w, k) => w - a[k]);
    const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]], size = Math.hypot(...n) || 1;
    const seen = corners.map(see), factor = 0.7 + 0.35 * Math.abs((n[0] * light[0] + n[1] * light[1] + n[2] * light[2]) / size);
    parts.push({ depth: behind + seen.reduce((sum, p) => sum + p[2], 0) / seen.length, draw: () => {
      g.fillStyle = g.strokeStyle = shaded(name, factor); g.lineWidth = 0.6; g.beginPath();
      seen.forEach(([x, y], i) => (i ? g.lineTo(x, y) : g.moveTo(x, y))); g.closePath(); g.fill(); g.stroke();
    } });
  };
  for (const shape of arms.shapes) {
    const name = arms.colors[shape.group], link = arms.links[shape.link], base = link ? at[shape.link] : [0, 0, 0];
    const q = link ? mixAll(link.turns, f) : [1, 0, 0, 0];
    const place = (p) => turned(q, turned(shape.q, p).map((v, k) => v + shape.p[k])).map((v, k) => v + base[k]);
    if (shape.kind === "sphere") {
      const [x, y, depth] = see(place([0, 0, 0])), radius = (shape.half[0] * focal) / depth;
      parts.push({ depth: depth - shape.half[0], draw: () => { g.fillStyle = shaded(name, 1); g.beginPath(); g.arc(x, y, radius, 0, 2 * Math.PI); g.fill(); } });
      continue;
    }
    const [corners, faces] = solidOf(shape), placed = corners.map(place);
    /* What stands still lies under everything else: the eye is never below a table. */
    for (const order of faces) face(order.map((i) => placed[i]), name, link ? 0 : 100);
  }
  for (const order of arms.faces) face(order.map((i) => at[i]), arms.colors[arms.links[order[0]].group], 0);
  arms.links.forEach((link, i) => {
    if (link.parent < 0) return;
    const a = see(at[link.parent]), b = see(at[i]), depth = (a[2] + b[2]) / 2, isFinger = Boolean(link.q);
    parts.push({ depth: depth - 0.05, draw: () => {
      g.strokeStyle = shaded(arms.colors[link.group], 0.9); g.lineCap = "round"; g.lineWidth = ((isFinger ? 0.02 : 0.075) * focal) / depth;
      g.beginPath(); g.moveTo(a[0], a[1]); g.lineTo(b[0], b[1]); g.stroke();
      if (isFinger) return;
      g.fillStyle = shaded(arms.colors[link.group], 1.25); g.beginPath(); g.arc(b[0], b[1], (0.028 * focal) / b[2], 0, 2 * Math.PI); g.fill();
    } });
  });
  parts.sort((a, b) => b.depth - a.depth);
  for (const part of parts) part.draw();
  g.lineCap = "butt";
  if (!compact) drawArmLegend(g, width, height, arms);
}
function drawArmLegend(g, width, height, arms) {
  g.font = "12px system-ui, sans-serif";
  arms.groups.forEach((name, i) => {
    g.fillStyle = color(arms.colors[i]); g.fillRect(14, 12 + 17 * i, 10, 10);
    g.fillStyle = color("--ink"); g.fillText(name.replaceAll("_", " "), 30, 21 + 17 * i);
  });
  g.fillStyle = color("--soft"); g.textAlign = "right"; g.fillText("drag, or [ and ], to look from elsewhere; double-click for the first view", width - 14, 21); g.textAlign = "left";
}
function lookFrom(turn, rise) {
  armsFrom.turn += turn; armsFrom.rise = Math.min(Math.max(armsFrom.rise + rise, 0.02), 1.55);
  draw();
}
const hasArms = () => Boolean(shown && shown.log && shown.log.scene && shown.log.scene.arms);
let grabbed = null;
$("view").addEventListener("pointerdown", (event) => { if (hasArms()) { grabbed = [event.clientX, event.clientY]; $("view").setPointerCapture(event.pointerId); } });
$("view").addEventListener("pointermove", (event) => {
  if (!grabbed) return;
  const before = grabbed; grabbed = [event.clientX, event.clientY];
  lookFrom(-0.008 * (grabbed[0] - before[0]), 0.008 * (grabbed[1] - before[1]));
});
for (const name of ["pointerup", "pointercancel"]) $("view").addEventListener(name, () => { grabbed = null; });
$("view").addEventListener("dblclick", () => { if (hasArms()) { Object.assign(armsFrom, armsStart); draw(); } });
