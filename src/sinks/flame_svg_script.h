// What makes the SVG interactive, and how it looks. Private to sinks.
#pragma once

#include <string_view>

namespace memspy::sinks {

inline constexpr std::string_view kFlameStyle = R"css(
  svg { --ink: #1c1917; --soft: #57534e; --back: #fffdf8; font-family: ui-monospace, Menlo, monospace; font-size: 11px }
  @media (prefers-color-scheme: dark) { svg { --ink: #f5f5f4; --soft: #a8a29e; --back: #1c1917 } }
  .back { fill: var(--back) } .title { font-size: 15px; fill: var(--ink) } .note { fill: var(--soft) }
  .tool { fill: var(--ink); cursor: pointer; text-decoration: underline }
  .f { cursor: pointer } .f text { fill: #1c1917; pointer-events: none }
  .f:hover rect, .f:focus rect { stroke: var(--ink); stroke-width: 1.2 }
  .f:focus, .tool:focus { outline: none } .tool:focus { font-weight: bold }
  .f.above rect { opacity: 0.55 } .f.hit rect { fill: #c026d3 } .f.hit text { fill: #fff }
)css";

// Click or Enter zooms, Escape goes back, / or Ctrl-F searches; arrow keys go from frame to frame.
inline constexpr std::string_view kFlameScript = R"js("use strict";
(() => {
  const left = 10, whole = 1180, character = 6.6;
  const frames = [...document.querySelectorAll(".f")].map(g => {
    const rect = g.querySelector("rect"), text = g.querySelector("text");
    const title = g.querySelector("title").textContent;
    return {g, rect, text, name: title.slice(0, title.lastIndexOf(": ")), x: +rect.getAttribute("x"),
            y: +rect.getAttribute("y"), width: +rect.getAttribute("width")};
  });
  const root = frames[0], matched = document.getElementById("matched");
  let zoomed = root;
  const clip = (name, width) => {
    const all = [...name], fits = Math.floor((width - 6) / character);
    return fits < 3 ? "" : all.length <= fits ? name : all.slice(0, fits - 1).join("") + "…";
  };
  function zoom(to) {
    zoomed = to;
    const scale = whole / to.width, slack = 0.01;
    for (const f of frames) {
      const over = f.y > to.y && f.x <= to.x + slack && f.x + f.width >= to.x + to.width - slack;
      const inside = f.y <= to.y && f.x >= to.x - slack && f.x + f.width <= to.x + to.width + slack;
      f.g.style.display = over || inside ? "" : "none";
      f.g.classList.toggle("above", over);
      if (!over && !inside) continue;
      const x = over ? left : left + (f.x - to.x) * scale, width = over ? whole : f.width * scale;
      f.rect.setAttribute("x", x);
      f.rect.setAttribute("width", Math.max(0, width));
      f.text.setAttribute("x", x + 3);
      f.text.textContent = clip(f.name, width);
    }
    document.getElementById("reset").style.visibility = to === root ? "hidden" : "";
  }
  function search(pattern) {
    let expression = null;
    try { expression = pattern ? new RegExp(pattern, "i") : null; } catch (error) { matched.textContent = error.message; return; }
    const hits = frames.filter(f => {
      const hit = expression !== null && f !== root && expression.test(f.name);
      f.g.classList.toggle("hit", hit);
      return hit;
    });
    // A frame above another one that matches is not counted again.
    hits.sort((a, b) => a.x - b.x || b.width - a.width);
    let sum = 0, end = -1;
    for (const f of hits) if (f.x >= end - 0.005) { sum += f.width; end = f.x + f.width; }
    matched.textContent = expression ? "matched: " + (100 * sum / whole).toFixed(1) + " %" : "";
  }
  const ask = () => { const pattern = prompt("Search for (regular expression)", ""); if (pattern !== null) search(pattern); };
  const visible = f => f.g.style.display !== "none";
  function step(from, key) {
    const rows = {ArrowUp: -18, ArrowDown: 18}, row = rows[key];
    const near = frames.filter(f => visible(f) && (row ? f.y === from.y + row && f.x <= from.x + from.width && f.x + f.width >= from.x
                                                      : f.y === from.y));
    if (row) return near.sort((a, b) => b.width - a.width)[0];
    near.sort((a, b) => a.x - b.x);
    return near[near.indexOf(from) + (key === "ArrowRight" ? 1 : -1)];
  }
  for (const f of frames) f.g.addEventListener("click", () => zoom(f));
  document.getElementById("tools").style.display = "";
  for (const [id, action] of [["reset", () => zoom(root)], ["search", ask]]) {
    const tool = document.getElementById(id);
    tool.addEventListener("click", action);
    tool.addEventListener("keydown", event => { if (event.key === "Enter") { event.stopPropagation(); action(); } });
  }
  addEventListener("keydown", event => {
    const at = frames.find(f => f.g === document.activeElement);
    if (event.key === "Escape") { zoom(root); search(""); }
    else if (event.key === "/" || (event.key === "f" && event.ctrlKey)) { event.preventDefault(); ask(); }
    else if (event.key === "Enter" && at) zoom(at);
    else if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      const next = at ? step(at, event.key) : zoomed;
      if (next) next.g.focus();
    }
  });
  zoom(root);
  globalThis.memspy = {zoom, search, frames};
})();
)js";

}  // namespace memspy::sinks
