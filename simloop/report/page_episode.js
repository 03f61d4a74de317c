/* The page of one episode: player, facts, keys. */
function draw() {
  if (!shown || !shown.log) return;
  drawScene($("view"), shown.log.scene, now, false);
  drawTraces();
  drawTimeline();
  $("clock").textContent = `${(now / 1000).toFixed(2)} / ${(shown.end / 1000).toFixed(2)} s`;
  $("seek").value = String((1000 * now) / shown.end);
}
function step(stamp) {
  if (!playing) return;
  now += Math.max(0, Math.min(stamp - last, 100)) * Number($("rate").value); last = stamp;
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
  const label = row[at.label], avoided = detail && detail.avoided.length ? `, avoided by ${detail.avoided.join(", ")}` : "";
  $("e-label").hidden = !label; $("e-label").textContent = label + avoided; $("e-label").className = `label ${label.split(" ")[0]}`;
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
for (const id of ["timeline", "traces"]) $(id).addEventListener("pointerdown", (event) => {
  const box = $(id).getBoundingClientRect(), axis = timeAxis(box.width);
  now = Math.min(Math.max(axis.start + ((event.clientX - box.left - labelWidth) / axis.plot) * axis.span, 0), shown.end); draw();
});
addEventListener("keydown", (event) => {
  if ($("episode").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") { location.hash = "#episodes"; return; }
  if (!shown.log || (event.key === " " && event.target.matches("button, select, input, a, summary"))) return;
  if (event.target.matches("select, input") && event.key.startsWith("Arrow")) return;
  const moves = { ArrowLeft: -shown.log.period, ArrowRight: shown.log.period, Home: -Infinity, End: Infinity };
  if (event.key === " ") setPlaying(!playing);
  else if (event.key === "+" || event.key === "=") { zoom = Math.min(zoom * 2, 64); draw(); }
  else if ((event.key === "[" || event.key === "]") && hasArms()) lookFrom(event.key === "[" ? -0.15 : 0.15, 0);
  else if (event.key === "-") { zoom = Math.max(zoom / 2, 1); draw(); }
  else if (event.key in moves) { now = Math.min(Math.max(now + moves[event.key], 0), shown.end); draw(); }
  else return;
  event.preventDefault();
});
