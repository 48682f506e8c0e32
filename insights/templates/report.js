"use strict";
// One source: every text below was written into the page beside its table; this only moves them into place.
for (const panel of document.querySelectorAll("[data-reach]")) {
  const rows = JSON.parse(panel.querySelector("script").textContent);
  const slider = panel.querySelector("input");
  const texts = [...panel.querySelectorAll("[data-k]")];
  const picture = panel.querySelector(".hundred");
  const dots = [...picture.querySelectorAll("circle")];
  const marker = panel.querySelector(".marker");
  const [down, across] = marker.querySelectorAll("line");
  const buttons = [...panel.querySelectorAll("button")];
  const between = (from, to, part) => Number(from) + (to - from) * part;
  const place = (element, values) => Object.entries(values).forEach(([name, value]) => element.setAttribute(name, value));
  const show = () => {
    const row = rows[slider.value - 1];
    const x = between(marker.dataset.x0, marker.dataset.x1, row.x);
    const y = between(marker.dataset.y0, marker.dataset.y1, row.y);
    for (const text of texts) text.textContent = row[text.dataset.k];
    dots.forEach((dot, index) => dot.setAttribute("class", index < row.dots ? "on" : "off"));
    place(picture, { "aria-label": row.picture });
    place(down, { x1: x, x2: x, y1: y });
    place(across, { x2: x, y1: y, y2: y });
    place(marker.querySelector("circle"), { cx: x, cy: y });
    place(slider, { "aria-valuetext": `${row.at}. ${panel.querySelector("output").textContent}` });
    for (const button of buttons) place(button, { "aria-pressed": button.value === slider.value });
  };
  slider.addEventListener("input", show);
  for (const button of buttons) {
    button.addEventListener("click", () => { slider.value = button.value; show(); });
  }
  panel.querySelector(".slider").hidden = false;
  show();
}
const folded = [...document.querySelectorAll("details:not([open])")];
addEventListener("beforeprint", () => folded.forEach((one) => { one.open = true; }));
addEventListener("afterprint", () => folded.forEach((one) => { one.open = false; }));
