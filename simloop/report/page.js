"use strict";
(() => {
  const root = document.documentElement;
  let numErrors = 0;
  const noteError = () => { root.dataset.errors = String(++numErrors); };
  root.dataset.errors = "0";
  addEventListener("error", noteError);
  addEventListener("unhandledrejection", noteError);
  addEventListener("securitypolicyviolation", noteError);

  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const element = (tag, text, className) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    return node;
  };
  const columns = data.columns;
  const at = Object.fromEntries(columns.map((name, i) => [name, i]));

  /* ---- theme ---- */
  $("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    drawGallery(); draw();
  });

  /* ---- pictures ---- */
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
    if (scene.actors) drawRoadScene(g, width, height, scene, t, compact);
    else drawPointScene(g, width, height, scene, t, compact);
  }
  function drawRoadScene(g, width, height, scene, t, compact) {
    const f = frameAt(scene.t, t), ego = scene.actors[0];
    const scale = compact ? width / 60 : Math.min(width / 90, 14);
    const cx = mix(ego.x, f), cy = mix(ego.y, f), heading = mix(ego.yaw, f);
    /* The view follows the ego with its mean heading up the page's x axis, so that roads stay level. */
    const course = scene.course ?? (scene.course = meanCourse(ego));
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
    if (!(scene.road || []).length) gridLines(g, width, height, cx, cy, course, scale);
    g.lineWidth = 2; g.strokeStyle = color("--accent"); g.globalAlpha = 0.4; g.beginPath();
    ego.x.forEach((x, i) => { if (x !== null) { const p = toScreen(x, ego.y[i]); if (i) g.lineTo(...p); else g.moveTo(...p); } });
    g.stroke(); g.globalAlpha = 1;
    [...scene.actors].reverse().forEach((a) => {
      const x = mix(a.x, f), y = mix(a.y, f), yaw = mix(a.yaw, f);
      if (x === null) return;
      const [px, py] = toScreen(x, y), isEgo = a.actor === 0;
      g.save(); g.translate(px, py); g.rotate(-(yaw - course));
      const l = a.length * scale, w = a.width * scale;
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
  function meanCourse(ego) {
    const n = ego.x.length - 1, dx = ego.x[n] - ego.x[0], dy = ego.y[n] - ego.y[0];
    return Math.hypot(dx, dy) > 1 ? Math.atan2(dy, dx) : ego.yaw[0] ?? 0;
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

  /* ---- timeline ---- */
  let shown = null, now = 0, playing = false, last = 0, zoom = 1;
  const rowHeight = 22, labelWidth = 150;
  function timelineRows(log) {
    return [...log.sensors.map((s) => ({ name: s.name, kind: "sensor", sensor: s })), { name: "inference", kind: "inference" },
      { name: "action", kind: "action" }, { name: "age", kind: "age" }, { name: "contacts", kind: "contacts" }];
  }
  const requestColor = (request) => color(`--s${((request % 8) + 8) % 8}`);
  function drawTimeline() {
    const log = shown.log, rows = timelineRows(log), canvas = $("timeline");
    const lanes = laneOf(log.inferences), numLanes = Math.max(...lanes, 0) + 1;
    const heightOf = (row) => (row.kind === "inference" || row.kind === "age" ? rowHeight * 1.9 : rowHeight);
    canvas.style.height = `${rows.reduce((sum, row) => sum + heightOf(row), 0) + 36}px`;
    const [g, width, height] = fit(canvas);
    const span = shown.end / zoom, start = Math.min(Math.max(now - span / 2, 0), shown.end - span);
    const plot = width - labelWidth - 14, x = (t) => labelWidth + ((t - start) / span) * plot;
    g.font = "12px system-ui, sans-serif"; g.textBaseline = "middle";
    let y = 10;
    const clip = () => { g.save(); g.beginPath(); g.rect(labelWidth, 0, plot, height - 22); g.clip(); };
    const peak = Math.max(1, ...log.actions.map(([, n, request, age]) => (request < 0 ? 0 : age + (n - 1) * log.period)));
    for (const row of rows) {
      const tall = heightOf(row), middle = y + tall / 2;
      if (row.kind === "age") row.name = `age, max ${Math.round(peak)} ms`;
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
      } else if (row.kind === "age") {
        g.strokeStyle = color("--ink"); g.lineWidth = 1.2; g.beginPath();
        for (const [t, n, request, age] of log.actions) {
          if (request < 0) continue;
          const level = (value) => y + tall - 4 - (value / peak) * (tall - 10);
          g.moveTo(x(t), level(age)); g.lineTo(x(t + (n - 1) * log.period), level(age + (n - 1) * log.period));
          if (n === 1) g.lineTo(x(t) + 2, level(age));
        }
        g.stroke();
      } else {
        for (const [t, , isCollision] of log.contacts) { g.fillStyle = color(isCollision ? "--bad" : "--soft"); g.fillRect(x(t) - 1, y + 4, isCollision ? 3 : 1.5, tall - 8); }
      }
      g.restore();
      g.strokeStyle = color("--faint"); g.lineWidth = 1; g.beginPath(); g.moveTo(0, y + tall + 0.5); g.lineTo(width, y + tall + 0.5); g.stroke();
      y += tall;
    }
    g.fillStyle = color("--soft");
    const step = [50, 100, 200, 500, 1000, 2000, 5000, 10000].find((s) => (s / span) * plot > 54) ?? 20000;
    for (let t = Math.ceil(start / step) * step; t <= start + span; t += step) {
      g.fillRect(x(t), y, 1, 4); g.textAlign = "center"; g.fillText((t / 1000).toFixed(step < 1000 ? 1 : 0) + " s", x(t), y + 12); g.textAlign = "left";
    }
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

  /* ---- episode page ---- */
  function draw() {
    if (!shown || !shown.log) return;
    drawScene($("view"), shown.log.scene, now, false);
    drawTimeline();
    $("clock").textContent = `${(now / 1000).toFixed(2)} / ${(shown.end / 1000).toFixed(2)} s`;
    $("seek").value = String((1000 * now) / shown.end);
  }
  function step(stamp) {
    if (!playing) return;
    now += Math.min(stamp - last, 100) * Number($("rate").value); last = stamp;
    if (now >= shown.end) { now = shown.end; setPlaying(false); }
    draw(); if (playing) requestAnimationFrame(step);
  }
  function setPlaying(value) {
    playing = value; $("play").textContent = value ? "Pause" : "Play";
    if (value) { if (now >= shown.end) now = 0; last = performance.now(); requestAnimationFrame(step); }
  }
  function endOf(log) {
    const lastRun = log.actions[log.actions.length - 1], lastFrame = log.scene ? log.scene.t[log.scene.t.length - 1] : 0;
    return Math.max(lastRun ? lastRun[0] + lastRun[1] * log.period : 0, lastFrame, 1);
  }
  function definition(list, name, value) { list.append(element("dt", name), element("dd", value)); }
  function openEpisode(id) {
    const row = data.rows.find((r) => r[at.episode] === id);
    if (!row) { location.hash = "#episodes"; return; }
    setPlaying(false);
    const detail = data.details[id] || null;
    shown = { id, log: detail && detail.log, end: 1 };
    if (shown.log) shown.end = endOf(shown.log);
    now = 0; zoom = shown.end > 8000 ? 2 : 1;
    $("overview").hidden = true; $("episode").hidden = false;
    $("e-title").textContent = `${row[at.scenario]}: ${row[at.status].replace("_", " ")}${row[at.reason] ? ` (${row[at.reason].replaceAll("_", " ")})` : ""}`;
    $("e-sub").textContent = `${row[at.agent]}, timing ${row[at.timing]}, strategy ${row[at.strategy]}, seed ${row[at.seed]}. Episode ${id}.` +
      (shown.log ? "" : " Its log is not in this page; replay it with the command below.");
    $("e-log").hidden = !shown.log;
    $("e-command").textContent = `simloop replay ${id}`;
    $("e-trace").hidden = !(detail && detail.trace); $("e-trace").textContent = detail ? detail.trace : "";
    const facts = $("e-facts"); facts.replaceChildren();
    for (const [title, values] of detail ? [["Parameters", detail.parameters], ["Metrics", detail.metrics]] : []) {
      const list = element("dl");
      for (const [name, value] of Object.entries(values)) definition(list, name, typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value));
      facts.append(element("h3", title), list);
    }
    draw(); scrollTo(0, 0); $("e-title").focus({ preventScroll: true });
  }
  $("play").addEventListener("click", () => setPlaying(!playing));
  $("seek").addEventListener("input", () => { now = (Number($("seek").value) / 1000) * shown.end; draw(); });
  $("copy").addEventListener("click", async () => {
    const text = $("e-command").textContent;
    try { await navigator.clipboard.writeText(text); $("copy").textContent = "Copied"; } catch {
      const range = document.createRange(); range.selectNodeContents($("e-command")); getSelection().removeAllRanges(); getSelection().addRange(range);
      $("copy").textContent = "Selected";
    }
    setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
  });
  $("timeline").addEventListener("pointerdown", (event) => {
    const box = $("timeline").getBoundingClientRect(), span = shown.end / zoom, start = Math.min(Math.max(now - span / 2, 0), shown.end - span);
    now = Math.min(Math.max(start + ((event.clientX - box.left - labelWidth) / (box.width - labelWidth - 14)) * span, 0), shown.end); draw();
  });
  addEventListener("keydown", (event) => {
    if ($("episode").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { location.hash = "#episodes"; return; }
    if (!shown.log || (event.key === " " && event.target.matches("button, select, input, a, summary"))) return;
    if (event.target.matches("select, input") && event.key.startsWith("Arrow")) return;
    const moves = { ArrowLeft: -shown.log.period, ArrowRight: shown.log.period, Home: -Infinity, End: Infinity };
    if (event.key === " ") setPlaying(!playing);
    else if (event.key === "+" || event.key === "=") { zoom = Math.min(zoom * 2, 64); draw(); }
    else if (event.key === "-") { zoom = Math.max(zoom / 2, 1); draw(); }
    else if (event.key in moves) { now = Math.min(Math.max(now + moves[event.key], 0), shown.end); draw(); }
    else return;
    event.preventDefault();
  });

  /* ---- list, filters, gallery ---- */
  const filters = ["scenario", "agent", "timing", "strategy", "status"];
  let limit = 100;
  for (const name of filters) {
    const select = $(`f-${name}`);
    select.append(new Option("all", ""));
    [...new Set(data.rows.map((r) => r[at[name]]))].forEach((value) => select.append(new Option(value, value)));
    select.addEventListener("input", () => { limit = 100; list(); });
  }
  $("f-text").addEventListener("input", () => { limit = 100; list(); });
  $("more").addEventListener("click", () => { limit += 500; list(); });
  function list() {
    const text = $("f-text").value.toLowerCase();
    const found = data.rows.filter((r) => filters.every((name) => { const v = $(`f-${name}`).value; return !v || r[at[name]] === v; }) &&
      (!text || r[at.reason].toLowerCase().includes(text) || r[at.episode].startsWith(text)));
    const body = document.createDocumentFragment();
    for (const r of found.slice(0, limit)) {
      const line = element("tr"), first = element("td"), link = element("a", r[at.episode].slice(0, 8), "mono");
      link.href = `#/episode/${r[at.episode]}`; first.append(link);
      if (data.details[r[at.episode]]?.log) first.append(element("span", " plays", "soft"));
      const status = element("td"); status.append(element("span", r[at.status].replace("_", " "), `mark ${r[at.status]}`));
      line.append(first, status, element("td", r[at.reason], "reason"));
      for (const name of ["scenario", "agent", "timing", "strategy"]) line.append(element("td", r[at[name]]));
      line.append(element("td", String(r[at.seed]), "num")); body.append(line);
    }
    $("rows").replaceChildren(body);
    $("shown").textContent = `${found.length} of ${data.rows.length} episodes`;
    $("more").hidden = found.length <= limit;
  }
  const gallery = [];
  function fillGallery() {
    const failing = data.rows.filter((r) => r[at.status] !== "success" && data.details[r[at.episode]]?.log).slice(0, 8);
    for (const r of failing) {
      const link = element("a"), canvas = element("canvas"), text = element("div");
      link.href = `#/episode/${r[at.episode]}`;
      text.append(element("b", (r[at.reason] || r[at.status]).replaceAll("_", " ")), element("br"), element("span", `${r[at.scenario]}, ${r[at.agent]}`),
        element("br"), element("span", `${r[at.timing]}, ${r[at.strategy]}`, "soft"));
      canvas.setAttribute("aria-hidden", "true"); link.append(canvas, text); $("gallery").append(link);
      gallery.push([canvas, data.details[r[at.episode]].log]);
    }
  }
  function drawGallery() { if (!$("overview").hidden) for (const [canvas, log] of gallery) drawScene(canvas, log.scene, endOf(log), true); }

  /* ---- routing ---- */
  function route() {
    const match = location.hash.match(/^#\/episode\/([0-9A-Za-z]+)$/);
    if (match) { openEpisode(match[1]); return; }
    setPlaying(false); shown = null;
    $("episode").hidden = true; $("overview").hidden = false; drawGallery();
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (target) target.scrollIntoView();
  }
  addEventListener("hashchange", route);
  addEventListener("resize", () => { drawGallery(); draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawGallery(); draw(); });
  fillGallery(); list(); route();
  addEventListener("load", () => {
    root.dataset.resources = String(performance.getEntriesByType("resource").filter((e) => !e.name.startsWith("data:")).length);
    root.dataset.ready = "true";
  });
})();
