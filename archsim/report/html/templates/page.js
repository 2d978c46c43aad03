"use strict";
const plots = JSON.parse(document.getElementById("plots").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
// buttons come with a pointer that can hover: on a screen that is touched they would stay
const drawn = { displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false, displaylogo: false, showSendToCloud: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

// colours are names of variables of the style sheet: their values are those of the moment
function painted(value, style) {
  if (typeof value === "string") return /^@(ink|mute|pale|ground|c\d+)$/.test(value) ? style.getPropertyValue("--" + value.slice(1)).trim() : value;
  if (Array.isArray(value)) return value.map((one) => painted(one, style));
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, painted(v, style)]));
  return value;
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  for (const place of document.querySelectorAll("[data-plot]")) {
    const plot = painted(plots[place.dataset.plot], style);
    Plotly.react(place, plot.data, plot.layout, drawn);
  }
}

draw();
dark.addEventListener("change", draw);

// paper is white, whatever the screen is
function onPaper(yes) {
  document.documentElement.classList.toggle("paper", yes);
  draw();
}
addEventListener("beforeprint", () => onPaper(true));
addEventListener("afterprint", () => onPaper(false));
