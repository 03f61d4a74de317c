/* Heat maps: what a cell holds, by pointer or by arrow keys, and links to its episodes. */
const tip = $("tip");
let pinned = false;
function cellOf(svg, column, line) {
  const map = data.maps[Number(svg.closest("[data-map]").dataset.map)], width = map.x[1].length, height = map.y[1].length;
  if (column < 0 || line < 0 || column >= width || line >= height) return null;
  const [left, top, right, bottom] = svg.dataset.plot.split(" ").map(Number);
  const w = (right - left) / width, h = (bottom - top) / height;
  return { map, column, line, x: left + column * w, y: bottom - (line + 1) * h, w, h, content: map.panels[Number(svg.dataset.panel)][line * width + column] };
}
function cellAt(svg, event) {
  const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
  const px = ((event.clientX - box.left) / box.width) * view.width, py = ((event.clientY - box.top) / box.height) * view.height;
  const first = cellOf(svg, 0, 0);
  return cellOf(svg, Math.floor((px - first.x) / first.w), Math.floor((first.y + first.h - py) / first.h));
}
function markCell(svg, cell) {
  const cursor = svg.querySelector(".cursor");
  for (const other of document.querySelectorAll("svg.heat .cursor")) { other.setAttribute("width", 0); other.setAttribute("height", 0); }
  if (!cell) { tip.hidden = true; return; }
  for (const [name, value] of [["x", cell.x], ["y", cell.y], ["width", cell.w], ["height", cell.h]]) cursor.setAttribute(name, value);
  const { map, content } = cell;
  tip.replaceChildren(element("b", `${map.x[0]}: ${map.x[1][cell.column]}`), element("br"), element("b", `${map.y[0]}: ${map.y[1][cell.line]}`));
  if (!content) tip.append(element("p", "no episode here", "soft"));
  else {
    const [counts, ids] = content, list = element("p");
    counts.forEach((count, i) => { if (count) list.append(element("span", `${count} ${map.categories[i]}`), element("br")); });
    tip.append(list);
    for (const id of ids) {
      const known = data.rows.some((r) => r[at.episode] === id), link = element(known ? "a" : "code", id.slice(0, 8), "mono");
      if (known) link.href = `#/episode/${id}`;
      tip.append(link, " ");
    }
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (ids.length && ids.length < total) tip.append(element("span", `and ${total - ids.length} more`, "soft"));
  }
  tip.hidden = false;
  const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
  const left = box.left + (cell.x + cell.w) * scale + 10, top = box.top + cell.y * scale;
  tip.style.left = `${Math.min(left, innerWidth - tip.offsetWidth - 12) + scrollX}px`;
  tip.style.top = `${Math.min(top, innerHeight - tip.offsetHeight - 12) + scrollY}px`;
}
for (const svg of document.querySelectorAll("svg.heat")) {
  let chosen = [0, 0];
  svg.addEventListener("pointermove", (event) => { if (!pinned) markCell(svg, cellAt(svg, event)); });
  svg.addEventListener("pointerleave", () => { if (!pinned) markCell(svg, null); });
  svg.addEventListener("click", (event) => {
    const cell = cellAt(svg, event);
    pinned = Boolean(cell && cell.content); markCell(svg, pinned ? cell : null);
    if (cell) chosen = [cell.column, cell.line];
  });
  svg.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], Enter: [0, 0] }[event.key];
    if (!move) return;
    const next = [chosen[0] + move[0], chosen[1] + move[1]], cell = cellOf(svg, ...next);
    if (cell) { chosen = next; pinned = true; markCell(svg, cell); }
    if (event.key === "Enter") tip.querySelector("a")?.focus();
    event.preventDefault(); event.stopPropagation();
  });
}
function closeTip() { pinned = false; for (const svg of document.querySelectorAll("svg.heat")) markCell(svg, null); }
addEventListener("keydown", (event) => { if (event.key === "Escape" && pinned) closeTip(); });
addEventListener("click", (event) => { if (pinned && !event.target.closest("svg.heat, #tip")) closeTip(); });
