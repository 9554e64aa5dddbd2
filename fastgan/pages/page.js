"use strict";
// The film: a slider over the grids, and a button that runs it.
const frames = [...document.querySelectorAll(".frames img[data-nimg]")];
const slider = document.getElementById("frame");
if (slider) {
  const when = document.getElementById("when"), play = document.getElementById("play");
  let timer = null;
  const show = (i) => {
    frames.forEach((image, k) => { image.hidden = k !== i; });
    slider.value = i;
    when.textContent = `${frames[i].dataset.nimg} images`;
  };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "play"; };
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) === frames.length - 1) show(0);
    play.textContent = "pause";
    timer = setInterval(() => {
      const next = Number(slider.value) + 1;
      if (next >= frames.length) return stop();
      show(next);
    }, 250);
  });
}
// The curves: the values under the pointer take the place of the last ones in the legend.
for (const svg of document.querySelectorAll("svg[data-plot]")) {
  const { x, px, series } = JSON.parse(svg.dataset.plot);
  const values = [...svg.closest("figure").querySelectorAll("[data-value]")];
  const last = values.map((node) => node.textContent);
  const cursor = svg.querySelector(".cursor");
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const at = x[0] + ((across - px[0]) / (px[1] - px[0])) * (x[1] - x[0]);
    const near = series.map(({ points }) =>
      points.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best)));
    near.forEach((point, i) => { values[i].textContent = `${point[1]} at ${point[0]}`; });
    const where = px[0] + ((near[0][0] - x[0]) / (x[1] - x[0])) * (px[1] - px[0]);
    cursor.setAttribute("transform", `translate(${where} 0)`);
    cursor.style.visibility = "visible";
  });
  svg.addEventListener("pointerleave", () => {
    values.forEach((node, i) => { node.textContent = last[i]; });
    cursor.style.visibility = "hidden";
  });
}
