// The ledger of RSS as areas: every resident byte stands in one of them.
import { h } from "./dom";
import { bytes, percent } from "./format";
import { hueOf } from "./colour";

export interface Area { name: string; bytes: number; note: string }
interface Place { left: number; top: number; width: number; height: number }

// Squarified: rows of areas, each as long as keeps them near squares.
export function squarify(values: number[], width: number, height: number): Place[] {
  const places: Place[] = [];
  const sum = values.reduce((a, b) => a + b, 0);
  if (sum <= 0) return values.map(() => ({ left: 0, top: 0, width: 0, height: 0 }));
  const scale = (width * height) / sum;
  let left = 0, top = 0, wide = width, high = height;
  for (let at = 0; at < values.length;) {
    const side = Math.min(wide, high);
    let row = 0, end = at, worst = Infinity;
    while (end < values.length) {
      const more = row + values[end]! * scale;
      const largest = values[at]! * scale, smallest = Math.max(1e-9, values[end]! * scale);
      const ratio = Math.max((side * side * largest) / (more * more), (more * more) / (side * side * smallest));
      if (ratio > worst) break;
      worst = ratio;
      row = more;
      ++end;
    }
    const thick = side > 0 ? row / side : 0;
    let along = 0;
    for (; at < end; ++at) {
      const long = thick > 0 ? (values[at]! * scale) / thick : 0;
      places.push(wide >= high ? { left, top: top + along, width: thick, height: long } : { left: left + along, top, width: long, height: thick });
      along += long;
    }
    if (wide >= high) { left += thick; wide -= thick; } else { top += thick; high -= thick; }
  }
  return places;
}

export function treemap(areas: Area[]): HTMLElement {
  const sorted = areas.filter((area) => area.bytes > 0).sort((a, b) => b.bytes - a.bytes);
  const sum = sorted.reduce((a, b) => a + b.bytes, 0);
  const box = h("div", { class: "treemap", role: "img", "aria-label": "Areas: " + sorted.slice(0, 8).map((a) => `${a.name} ${percent(a.bytes, sum)}`).join(", ") });
  const draw = () => {
    const width = box.clientWidth, height = box.clientHeight;
    if (width === 0) return;
    const places = squarify(sorted.map((area) => area.bytes), width, height);
    box.replaceChildren(...sorted.map((area, i) => {
      const place = places[i]!;
      const cell = h("div", { class: "cell", title: `${area.name}: ${bytes(area.bytes)}, ${percent(area.bytes, sum)}${area.note ? "\n" + area.note : ""}` },
        place.width > 56 && place.height > 20 && h("span", null, area.name),
        place.width > 56 && place.height > 38 && h("small", null, `${bytes(area.bytes)} · ${percent(area.bytes, sum)}`));
      // One hue for what begins alike: "live objects: dict", "live objects: str".
      cell.style.setProperty("--hue", String(hueOf(area.name.split(":")[0]!)));
      Object.assign(cell.style, { left: place.left + "px", top: place.top + "px", width: Math.max(0, place.width - 1) + "px", height: Math.max(0, place.height - 1) + "px" });
      return cell;
    }));
  };
  new ResizeObserver(draw).observe(box);
  return box;
}
