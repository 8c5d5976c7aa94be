// The time series, with the gaps and the window that flame graph and tables are of.
import uPlot from "uplot";
import { alertList, alertSummary, drawAlerts } from "./alerts";
import { AlertData, RunData, sumSteps } from "./data";
import { button, choice, h } from "./dom";
import { bytes, clock, count, duration, time, visible } from "./format";
import { Run, Window } from "./run";

interface Line { column: string; name: string; colour: string; fill?: boolean; dash?: number[] }
interface Plot { key: string; name: string; unit: "bytes" | "count" | "percent" | "time"; lines: Line[] }

const plots: Plot[] = [
  { key: "memory", name: "Memory", unit: "bytes", lines: [
    { column: "rss_bytes", name: "RSS", colour: "--series-1", fill: true },
    { column: "pss_bytes", name: "PSS", colour: "--series-2" },
    { column: "uss_bytes", name: "USS", colour: "--series-3" },
    { column: "swap_bytes", name: "swap", colour: "--series-4" },
    { column: "cgroup_limit_bytes", name: "limit", colour: "--series-6", dash: [6, 4] }] },
  { key: "clock", name: "Time spent allocating", unit: "time", lines: [
    { column: "allocating", name: "allocating", colour: "--series-1", fill: true },
    { column: "user_cpu", name: "CPU time in user mode", colour: "--series-2" }] },
  { key: "cgroup", name: "Control group", unit: "bytes", lines: [
    { column: "cgroup_usage_bytes", name: "in use", colour: "--series-1", fill: true },
    { column: "cgroup_limit_bytes", name: "limit", colour: "--series-6", dash: [6, 4] }] },
  { key: "kinds", name: "RSS by kind", unit: "bytes", lines: [
    { column: "rss_anon_bytes", name: "anonymous", colour: "--series-1" },
    { column: "rss_file_bytes", name: "files", colour: "--series-2" },
    { column: "rss_shmem_bytes", name: "shared", colour: "--series-3" }] },
  { key: "python", name: "Python's heap", unit: "bytes", lines: [
    { column: "arena_bytes", name: "arenas", colour: "--series-1", fill: true },
    { column: "pymalloc_used_bytes", name: "in use", colour: "--series-2" },
    { column: "pymalloc_free_bytes", name: "free", colour: "--series-3" }] },
  { key: "growth", name: "Growth explained", unit: "bytes", lines: [
    { column: "attributed_bytes", name: "by stacks", colour: "--series-1", fill: true },
    { column: "unattributed_bytes", name: "by none", colour: "--series-4" }] },
  { key: "gc", name: "Garbage collections", unit: "count", lines: [
    { column: "gc0_collections", name: "generation 0", colour: "--series-1" },
    { column: "gc1_collections", name: "1", colour: "--series-2" },
    { column: "gc2_collections", name: "2", colour: "--series-3" }] },
  { key: "cpu", name: "CPU", unit: "percent", lines: [{ column: "cpu_percent", name: "CPU", colour: "--series-1", fill: true }] },
  { key: "threads", name: "Threads and files", unit: "count", lines: [
    { column: "threads", name: "threads", colour: "--series-1" }, { column: "open_files", name: "open files", colour: "--series-2" }] },
  { key: "faults", name: "Page faults", unit: "count", lines: [
    { column: "minor_faults", name: "minor", colour: "--series-1" }, { column: "major_faults", name: "major", colour: "--series-4" }] },
];

interface Series { times: number[]; columns: Record<string, (number | null)[]> }

function decode(series: RunData["series"][number]): Series {
  const columns: Series["columns"] = {};
  for (const [name, steps] of Object.entries(series.columns))
    columns[name] = sumSteps(steps, series.thousandths.includes(name) ? 1000 : 1);
  return { times: sumSteps(series.microseconds, 1e6) as number[], columns };
}

// All processes at once: at each time the last that is known of each. A control group is the same one for most
// of them: of its columns the largest, not the sum.
function together(all: Series[]): Series {
  const names = new Set(all.flatMap((series) => Object.keys(series.columns)));
  const times = [...new Set(all.flatMap((series) => series.times))].sort((a, b) => a - b);
  const columns: Series["columns"] = {};
  for (const name of names) {
    const sums: (number | null)[] = new Array(times.length).fill(null);
    for (const series of all) {
      const values = series.columns[name];
      if (values === undefined) continue;
      let at = 0, last: number | null = null;
      // A process that has ended holds nothing.
      const end = series.times[series.times.length - 1]!;
      for (let i = 0; i < times.length && times[i]! <= end; ++i) {
        while (at < series.times.length && series.times[at]! <= times[i]!) { last = values[at] ?? last; ++at; }
        if (last === null) continue;
        sums[i] = name.startsWith("cgroup") ? Math.max(sums[i] ?? 0, last) : (sums[i] ?? 0) + last;
      }
    }
    columns[name] = sums;
  }
  return { times, columns };
}

// Mode alloc: what the clock of all processes' threads has told, beside the series of the tick.
function addClock(series: Series, run: Run): Series {
  if (!run.time) return series;
  const { cpu, allocating } = run.clock();
  const at = (values: Float64Array) => series.times.map((seconds) => values[run.bucketAt(seconds)] ?? 0);
  return { times: series.times, columns: { ...series.columns, allocating: at(allocating), user_cpu: at(cpu) } };
}

// Where nothing was measured for long, the line is not drawn through.
function withHoles(series: Series, interval: number): Series {
  const holes: number[] = [];
  for (let i = 1; i < series.times.length; ++i)
    if (series.times[i]! - series.times[i - 1]! > Math.max(3 * interval, 0.5)) holes.push(i);
  if (holes.length === 0) return series;
  const cut = <T>(values: T[], fill: (i: number) => T): T[] => {
    const out: T[] = [];
    let next = 0;
    values.forEach((value, i) => {
      if (holes[next] === i) { out.push(fill(i)); ++next; }
      out.push(value);
    });
    return out;
  };
  const columns: Series["columns"] = {};
  for (const [name, values] of Object.entries(series.columns)) columns[name] = cut(values, () => null);
  return { times: cut(series.times, (i) => (series.times[i]! + series.times[i - 1]!) / 2), columns };
}

export class Chart {
  readonly element: HTMLElement;
  window: Window | null = null;
  private plot: Plot;
  private process = 0;  // 0: all
  private uplot: uPlot | null = null;
  private series = new Map<number, Series>();
  private readonly area = h("div", { class: "chart" });
  private readonly from = h("input", { type: "number", step: "any", min: "0", id: "from", onchange: () => this.typed() });
  private readonly to = h("input", { type: "number", step: "any", min: "0", id: "to", onchange: () => this.typed() });
  private readonly whole = button("Whole run", () => this.choose(null), { class: "quiet" });

  // `live`: the run goes on until now, and its axis is the clock's.
  constructor(private run: Run, private alerts: AlertData[], private readonly live: boolean, private readonly change: (window: Window | null) => void) {
    this.plot = plots[0]!;
    this.element = h("div", { class: "chart-box" });
    this.fill();
    this.draw();
    new ResizeObserver(() => this.resize()).observe(this.area);
  }

  // All but the picture itself.
  private fill(): void {
    const { data } = this.run;
    const interval = data.head.interval_seconds;
    const all = data.series.map((series) => [series.process, decode(series)] as const);
    this.series = new Map(all.map(([process, series]) => [process, withHoles(all.length > 1 ? series : addClock(series, this.run), this.live ? Math.max(interval, livePause) : interval)]));
    if (all.length > 1) this.series.set(0, withHoles(addClock(together(all.map(([, series]) => series)), this.run), interval));
    if (!this.series.has(this.process)) this.process = all.length > 1 ? 0 : all[0]?.[0] ?? 0;
    if (!this.available().includes(this.plot)) this.plot = this.available()[0] ?? plots[0]!;
    this.element.replaceChildren(this.tools(), this.area,
      h("p", { class: "hint" }, "Drag over the chart to choose a window: the flame graph and the tables are then of it alone."),
      ...[alertList(this.alerts, data.head.wall_start_milliseconds / 1000), this.gaps()].filter((part) => part !== false));
  }

  // Newer data of the same process.
  replace(run: Run, alerts: AlertData[]): void {
    const focused = document.activeElement as HTMLElement | null;
    this.run = run;
    this.alerts = alerts;
    // A list that somebody has open, or an element in use, stays as it is.
    if (this.element.contains(focused)) this.series = new Map(run.data.series.map((series) => [series.process, withHoles(decode(series), Math.max(run.data.head.interval_seconds, livePause))]));
    else this.fill();
    this.draw();
  }

  private available(): Plot[] {
    const series = this.series.get(this.process);
    return series === undefined ? [] : plots.filter((plot) => plot.lines.some((line) => series.columns[line.column]?.some((v) => v !== null)));
  }

  private tools(): HTMLElement {
    const processes = [...this.series.keys()].sort((a, b) => a - b);
    const name = (process: number) => {
      const found = this.run.data.head.processes.find((p) => p.process === process);
      return process === 0 ? "all processes" : found ? `${found.pid} ${found.name}` : `process ${process}`;
    };
    return h("div", { class: "tools" },
      choice("Show", this.available().map((plot) => [plot.key, plot.name]), this.plot.key, (key) => {
        this.plot = plots.find((plot) => plot.key === key)!;
        this.draw();
      }),
      processes.length > 1 && choice("of", processes.map((p) => [String(p), name(p)]), String(this.process), (value) => {
        this.process = Number(value);
        this.draw();
      }),
      h("span", { class: "grow" }),
      h("label", { class: "field" }, h("span", null, "From"), this.from, "s"),
      h("label", { class: "field" }, h("span", null, "to"), this.to, "s"),
      this.whole);
  }

  // What is hatched, in words.
  private gaps(): HTMLElement | false {
    const { gaps } = this.run.data.head;
    const shown = gaps.slice(0, 100);
    return gaps.length > 0 && h("details", { class: "hint" },
      h("summary", null, `Hatched: ${gaps.length === 1 ? "a gap" : gaps.length + " gaps"}, in which memspy saw less than it should`),
      h("ul", null, ...shown.map((gap) => h("li", null,
        `${duration(gap.time_seconds)}${gap.duration_seconds > 0 ? ", for " + duration(gap.duration_seconds) : ""}: ${visible(gap.reason)}`)),
      gaps.length > shown.length && h("li", null, `${gaps.length - shown.length} more`)));
  }

  private format(value: number | null): string {
    if (value === null) return "–";
    switch (this.plot.unit) {
      case "bytes": return bytes(value);
      case "percent": return value.toFixed(0) + " %";
      case "time": return time(value) + "/s";
      default: return count(value);
    }
  }

  draw(): void {
    this.uplot?.destroy();
    this.area.replaceChildren();
    const series = this.series.get(this.process);
    if (series === undefined || series.times.length === 0) {
      this.area.append(h("p", { class: "hint" }, "The run has no time series."));
      return;
    }
    const lines = this.plot.lines.filter((line) => series.columns[line.column]?.some((v) => v !== null && v !== 0));
    const limits = lines.filter((line) => line.dash).map((line) => greatest(series.columns[line.column]!));
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "11px system-ui, sans-serif" };
    const start = this.run.data.head.wall_start_milliseconds / 1000;
    const data = [series.times, ...lines.map((line) => series.columns[line.column]!)] as uPlot.AlignedData;
    this.uplot = new uPlot({
      width: Math.max(200, this.area.clientWidth), height: 220, pxAlign: false,
      // Selecting is ours: with uPlot's own a finger cannot.
      cursor: { drag: { x: false, y: false }, bind: { mousedown: () => null, mouseup: () => null, dblclick: () => null }, y: false, points: { size: 7 } },
      scales: { x: { time: false }, y: { range: (_, low, high) => this.range(low, high, limits) } },
      axes: [
        { ...axis, values: (_, splits) => splits.map((s) => this.live ? clock(start + s).slice(11) : duration(s)), space: 80, incrs: clockSteps },
        { ...axis, size: 74, values: (_, splits) => splits.map((s) => this.format(s)), incrs: this.plot.unit === "bytes" ? binarySteps() : undefined },
      ],
      series: [
        { label: "Time", value: (_, v: number | null) => (v === null ? "–" : `${duration(v)} · ${clock(start + v)}`) },
        ...lines.map((line): uPlot.Series => ({
          label: line.name, stroke: colour(line.colour), width: line.fill ? 2.2 : 1.5, dash: line.dash, auto: !line.dash, spanGaps: series.columns[line.column]!.filter((v) => v !== null).length < series.times.length * 0.6,
          fill: line.fill ? colour(line.colour) + "22" : undefined, points: { show: series.times.length < 3 },
          value: (_, v: number | null) => this.format(v),
        }))],
      hooks: {
        drawClear: [(u) => this.drawGaps(u)], draw: [(u) => drawAlerts(u, this.alerts)], ready: [(u) => this.listen(u)],
        // Where nobody points: the end.
        setCursor: [(u) => { if (u.cursor.idx == null) u.setLegend({ idx: series.times.length - 1 }, false); }],
      },
    }, data, this.area);
    this.area.setAttribute("role", "img");
    this.area.setAttribute("aria-label", this.summary(series, lines));
    this.uplot.setLegend({ idx: series.times.length - 1 }, false);
    this.showWindow();
  }

  private range(low: number | null, high: number | null, limits: number[]): [number, number] {
    if (low === null || high === null) return [0, 1];
    // A limit that is far away would flatten what there is to see.
    for (const limit of limits) if (limit < 1.6 * high) high = Math.max(high, limit);
    // A large service that moves little is seen to move.
    const floor = this.plot.unit === "bytes" && low > 0.5 * high ? low - 0.15 * Math.max(high - low, high / 100) : Math.min(0, low);
    return [floor, high + 0.08 * Math.max(high - floor, 1e-9)];
  }

  private summary(series: Series, lines: Line[]): string {
    return this.plot.name + " over " + duration(series.times[series.times.length - 1]! - series.times[0]!) + ": " +
      lines.map((line) => {
        const values = series.columns[line.column]!.filter((v): v is number => v !== null);
        return `${line.name} from ${this.format(values[0]!)} to ${this.format(values[values.length - 1]!)}, at most ${this.format(greatest(values))}`;
      }).join("; ") + alertSummary(this.alerts);
  }

  private drawGaps(u: uPlot): void {
    const context = u.ctx;
    const { left, top, width, height } = u.bbox;
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--gap").trim();
    context.lineWidth = devicePixelRatio;
    for (const gap of this.run.data.head.gaps) {
      const end = u.valToPos(gap.time_seconds, "x", true);
      const begin = Math.min(end - 4 * devicePixelRatio, u.valToPos(gap.time_seconds - gap.duration_seconds, "x", true));
      // What is seen of it: a gap may be as long as the file says, and the window a part of it.
      const from = Math.max(begin, left), to = Math.min(end, left + width);
      if (!(to > from)) continue;
      context.save();
      context.beginPath();
      context.rect(from, top, to - from, height);
      context.clip();
      context.beginPath();
      const step = 7 * devicePixelRatio;
      for (let x = Math.floor((from - height) / step) * step; x < to; x += step) { context.moveTo(x, top + height); context.lineTo(x + height, top); }
      context.stroke();
      context.restore();
    }
    context.restore();
  }

  // Mouse, pen and finger alike; a finger that moves up or down scrolls the page.
  private listen(u: uPlot): void {
    const over = u.over;
    over.style.touchAction = "pan-y";
    let since: number | null = null;
    const place = (event: PointerEvent) => Math.min(over.clientWidth, Math.max(0, event.clientX - over.getBoundingClientRect().left));
    over.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      since = place(event);
      over.setPointerCapture(event.pointerId);
    });
    over.addEventListener("pointermove", (event) => {
      if (since === null) return;
      const at = place(event);
      u.setSelect({ left: Math.min(since, at), top: 0, width: Math.abs(at - since), height: over.clientHeight }, false);
    });
    over.addEventListener("pointercancel", () => { since = null; this.showWindow(); });
    over.addEventListener("pointerup", (event) => {
      if (since === null) return;
      const from = since, at = place(event);
      since = null;
      if (Math.abs(at - from) < 4) { if (this.window !== null) this.choose(null); else this.showWindow(); return; }
      this.choose({ from: u.posToVal(Math.min(from, at), "x"), to: u.posToVal(Math.max(from, at), "x") });
    });
    over.addEventListener("dblclick", () => this.choose(null));
  }

  private typed(): void {
    const { begin_seconds: begin, end_seconds: end } = this.run.data.head;
    const from = this.from.value === "" ? begin : Number(this.from.value);
    const to = this.to.value === "" ? end : Number(this.to.value);
    this.choose(to > from && (from > begin || to < end) ? { from, to } : null);
  }

  choose(window: Window | null): void {
    this.window = window === null ? null : this.run.snap(window);
    this.showWindow();
    this.change(this.window);
  }

  private showWindow(): void {
    const { begin_seconds: begin, end_seconds: end } = this.run.data.head;
    const digits = (value: number) => String(Math.round(value * 1000) / 1000);
    this.from.value = digits(this.window?.from ?? begin);
    this.to.value = digits(this.window?.to ?? end);
    this.whole.disabled = this.window === null;
    if (this.uplot === null) return;
    if (this.window === null) { this.uplot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false); return; }
    const left = this.uplot.valToPos(this.window.from, "x"), right = this.uplot.valToPos(this.window.to, "x");
    this.uplot.setSelect({ left, top: 0, width: right - left, height: this.uplot.over.clientHeight }, false);
  }

  private resize(): void {
    if (this.uplot === null || this.area.clientWidth === 0 || this.uplot.width === this.area.clientWidth) return;
    this.uplot.setSize({ width: this.area.clientWidth, height: 220 });
    this.showWindow();
  }
}

// The daemon records a figure that stays as it is this often, in seconds.
const livePause = 10;

function greatest(values: (number | null)[]): number {
  let greatest = -Infinity;
  for (const value of values) if (value !== null && value > greatest) greatest = value;
  return greatest;
}

// Ticks at whole seconds, minutes, hours.
const clockSteps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800,
  3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

// Ticks at whole KiB, MiB, GiB.
function binarySteps(): number[] {
  const steps: number[] = [];
  for (let unit = 1; unit < 2 ** 50; unit *= 1024) for (const n of [1, 2, 5, 10, 20, 50, 100, 200, 500]) steps.push(unit * n);
  return steps;
}
