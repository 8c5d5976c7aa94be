// Alerts of the run's process: marked in the series, and told in words.
import uPlot from "uplot";
import { AlertData } from "./data";
import { h } from "./dom";
import { clock, duration, visible } from "./format";

// From one firing to what ended it; `to` is null while it fires.
export interface Firing { name: string; from: number; to: number | null }

export function firings(alerts: AlertData[]): Firing[] {
  const out: Firing[] = [];
  for (const alert of alerts) {
    if (alert.state === "firing") out.push({ name: alert.name, from: alert.time_seconds, to: null });
    const open = out.find((firing) => firing.name === alert.name && firing.to === null);
    if (alert.state === "resolved" && open !== undefined) open.to = alert.time_seconds;
  }
  return out;
}

const rowHeight = 15;
const labelRows = 4;

// Bands while they fire, and a flag with the name where they began; an end by the OOM killer is a line.
export function drawAlerts(u: uPlot, alerts: AlertData[]): void {
  if (alerts.length === 0) return;
  const context = u.ctx, { left, top, width, height } = u.bbox, scale = devicePixelRatio;
  const style = getComputedStyle(document.documentElement);
  const colour = style.getPropertyValue("--alert").trim(), paper = style.getPropertyValue("--panel").trim();
  const x = (seconds: number) => Math.min(left + width, Math.max(left, u.valToPos(seconds, "x", true)));
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.font = `${11 * scale}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.textAlign = "left";
  const last = u.scales.x!.max ?? 0, first = u.scales.x!.min ?? 0;
  const taken: number[] = new Array(labelRows).fill(-Infinity);  // how far to the right each row of flags is used
  const mark = (seconds: number, name: string) => {
    const at = x(seconds), text = visible(name.length > 40 ? name.slice(0, 39) + "…" : name);
    context.fillStyle = colour;
    context.fillRect(at - scale, top, 2 * scale, height);
    const wide = context.measureText(text).width + 10 * scale;
    const begin = Math.min(at, left + width - wide);
    const row = taken.findIndex((end) => end < begin);
    if (row < 0) return;  // the list below has it
    taken[row] = begin + wide;
    context.fillRect(begin, top + row * rowHeight * scale, wide, (rowHeight - 1) * scale);
    context.fillStyle = paper;
    context.fillText(text, begin + 5 * scale, top + (row + 0.5) * rowHeight * scale);
  };
  for (const { from, to } of firings(alerts)) {
    if (from > last || (to ?? last) < first) continue;
    context.globalAlpha = 0.13;
    context.fillStyle = colour;
    context.fillRect(x(from), top, Math.max(scale, x(to ?? last) - x(from)), height);
    context.globalAlpha = 1;
    if (to === null || to > last) continue;
    context.fillRect(x(to) - scale / 2, top, scale, height);
  }
  for (const alert of alerts)
    if (alert.state !== "resolved" && alert.time_seconds <= last) mark(alert.time_seconds, alert.state === "oom-killed" ? "killed: out of memory" : alert.name);
  context.restore();
}

function place(seconds: number, start: number): string {
  return `${seconds < 0 ? "before" : duration(seconds)} · ${clock(start + seconds)}`;
}

// The same in words; `start` is that of the run, by the wall clock.
export function alertList(alerts: AlertData[], start: number): HTMLElement | false {
  const shown = alerts.slice(-50);
  const verb = (state: string) => state === "firing" ? "fired" : state === "resolved" ? "was resolved" : "the OOM killer struck";
  return alerts.length > 0 && h("details", { class: "hint alerts", open: alerts.length <= 6 },
    h("summary", null, alerts.length === 1 ? "An alert is marked" : `Marked: ${alerts.length} alerts and ends of alerts`),
    h("ul", null, ...shown.map((alert) => h("li", null, place(alert.time_seconds, start) + ": ", h("strong", null, visible(alert.name)), " " + verb(alert.state),
      alert.state === "firing" && alert.when !== "" && h("code", null, " " + visible(alert.when)))),
      alerts.length > shown.length && h("li", null, `${alerts.length - shown.length} before`)));
}

export function alertSummary(alerts: AlertData[]): string {
  const names = firings(alerts).map((firing) => `${visible(firing.name)} at ${duration(Math.max(0, firing.from))}`);
  return names.length === 0 ? "" : "; alerts that fired: " + names.join(", ");
}
