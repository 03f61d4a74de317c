/* What every part of the page uses: the data, colours, elements, the theme. */
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
