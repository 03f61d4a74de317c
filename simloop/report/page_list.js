/* List, filters, gallery, and which page is shown. */
const filters = ["scenario", "agent", "timing", "strategy", "status", "label"];
let limit = 100;
for (const name of filters) {
  const select = $(`f-${name}`);
  select.append(new Option("all", ""));
  if (name === "label") select.closest("label").hidden = data.rows.every((r) => !r[at.label]);
  [...new Set(data.rows.map((r) => r[at[name]]))].filter(Boolean).forEach((value) => select.append(new Option(value, value)));
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
    if (r[at.label]) status.append(" ", element("span", r[at.label], `label ${r[at.label].split(" ")[0]}`));
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
    text.append(element("b", (r[at.reason] || r[at.status]).replaceAll("_", " ")), element("span", r[at.label] && ` ${r[at.label]}`, `label ${r[at.label].split(" ")[0]}`),
      element("br"), element("span", `${r[at.scenario]}, ${r[at.agent]}`),
      element("br"), element("span", `${r[at.timing]}, ${r[at.strategy]}`, "soft"));
    canvas.setAttribute("aria-hidden", "true"); link.append(canvas, text); $("gallery").append(link);
    gallery.push([canvas, data.details[r[at.episode]].log]);
  }
}
function drawGallery() { if (!$("overview").hidden) for (const [canvas, log] of gallery) drawScene(canvas, log.scene, endOf(log), true); }

/* ---- routing ---- */
function route() {
  const match = location.hash.match(/^#\/episode\/([0-9A-Za-z]+)$/);
  closeTip();
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
