// Where it grew, or spent time allocating: the flame graph of the window, its search, and the tables below it.
import { HeapData, SourceData } from "./data";
import { hueOf } from "./colour";
import { announce, button, choice, h } from "./dom";
import { Flame } from "./flame";
import { bytes, count, percent, shown, time } from "./format";
import { chargeToPython, childrenOf, Group, Label, largestLabel, Metric, Row, Run, Stacks, tabulate, Window } from "./run";
import { byCodePoint, csv, foldedName, save } from "./save";
import { Table } from "./table";
import { Tree } from "./tree";
import { sourceView } from "./source";

const historySteps = 30;

// What can be drawn: the growth of the run, or who holds the heap.
export interface Picture {
  stacks: Stacks;
  metrics: [Metric, string][];
  groups: [Group, string][];
  own: (metric: Metric, window: Window | null) => Float64Array;
  base?: (metric: Metric) => Float64Array;
  run?: Run;
  words: Words;
}

interface Words { rows: string; nothing: string; more: string; less: string; before: string; own: string }
const growthWords: Words = { rows: "What grew, by ", nothing: "Nothing grew", more: "grew more than before", less: "less", before: "to before at the same pace", own: "Growth" };
const timeWords: Words = { rows: "What spent time allocating, by ", nothing: "Nothing was allocated", more: "more time than before", less: "less", before: "to before, of as much CPU time", own: "Allocating" };

export function picturesOfRun(run: Run, base: ((metric: Metric) => Float64Array) | null): Picture {
  const net = run.data.head.mode === "live" ? "Growth of the heap" : "Growth";
  return {
    stacks: run, run, own: (metric, window) => run.sums(metric, window), base: base ?? undefined, words: run.time ? timeWords : growthWords,
    metrics: run.time ? [["allocating", "Time spent allocating"], ["samples", "Samples"]] : [["growth", net], ["touched", "Touched (gross)"], ["samples", "Samples"]],
    groups: [["line", "lines"], ["function", "functions"], ["file", "files"]],
  };
}

// Owner stacks: an owner, then types down to the object.
export function pictureOfHeap(heap: HeapData): Picture {
  const parent = [0], frame = [0];
  const at: number[] = [];
  const index = new Map<number, number>();
  let place = 0;
  for (const length of heap.lengths) {
    let node = 0;
    for (let i = 0; i < length; ++i) {
      const name = heap.frames[place++]!;
      const key = node * heap.names.length + name;
      let next = index.get(key);
      if (next === undefined) {
        next = parent.length;
        index.set(key, next);
        parent.push(node);
        frame.push(name);
      }
      node = next;
    }
    at.push(node);
  }
  const all = heap.names.map((name): Label => {
    const text = shown(name);
    return { text, raw: name, module: text.split(".")[0]!, kind: 0, file: "", line: 0 };
  });
  const labels = { of: Int32Array.from(all.keys()), all };
  const parents = Int32Array.from(parent);
  const stacks: Stacks = { parent: parents, frame: Int32Array.from(frame), labels: { line: labels, function: labels, file: labels }, children: childrenOf(parents) };
  const own = (metric: Metric) => {
    const sums = new Float64Array(parents.length);
    at.forEach((node, i) => { sums[node]! += (metric === "objects" ? heap.objects : heap.bytes)[i]!; });
    return sums;
  };
  return { stacks, own, words: { ...growthWords, rows: "" }, metrics: [["bytes", "Bytes held"], ["objects", "Objects held"]], groups: [["line", "owners and types"]] };
}

export class Growth {
  readonly element: HTMLElement;
  private metric: Metric;
  private group: Group = "line";
  private window: Window | null = null;
  private own: Float64Array = new Float64Array(0);
  private pattern = "";
  private tree: Tree | null = null;
  private trees = new Map<Group, Tree>();
  readonly flame: Flame;
  private tableGroup: Group;
  private rows: Row[] = [];
  private table: Table<Row>;
  private history: ((label: number) => Float64Array) | null = null;
  private readonly details = h("p", { class: "details" });
  private readonly matched = h("output", { class: "matched", for: "" });
  private readonly search: HTMLInputElement;
  private readonly legend = h("div", { class: "legend" });
  private readonly summary = h("p", { class: "summary" });
  private readonly tableBox = h("div", { class: "tab-panel", role: "tabpanel" });
  private readonly resetZoom = button("Reset zoom", () => { this.flame.select(0); this.flame.zoom(0); }, { class: "quiet", disabled: true });

  constructor(private picture: Picture, private readonly id: string, private readonly title: string,
              private readonly sources: SourceData[]) {
    this.metric = picture.metrics[0]![0];
    this.tableGroup = picture.groups.length > 1 ? "function" : "line";
    if (picture.run?.data.head.gross && !picture.run.time) this.metric = "touched";
    this.search = h("input", { type: "search", id: id + "-search", placeholder: "regular expression", spellcheck: "false", autocomplete: "off", oninput: () => this.find(this.search.value) });
    this.flame = new Flame({
      describe: (node) => this.describe(node),
      onHover: (node) => this.showDetails(node),
      onZoom: (node) => { this.resetZoom.disabled = node === 0; this.showDetails(node); },
    });
    this.flame.canvas.setAttribute("aria-label", title);
    this.table = this.makeTable();
    this.element = h("div", null, this.summary, this.tools(), this.legend, this.flame.element, this.details,
      picture.groups.length > 1 && this.tabs(), this.tableBox, this.exports());
    this.matched.setAttribute("for", id + "-search");
  }

  private number(value: number): string {
    if (this.metric === "allocating") return time(value);
    return this.metric === "samples" || this.metric === "objects" ? count(value) : bytes(value);
  }

  // In files, time is in microseconds, as in those that memspy writes.
  private written(value: number): number { return this.metric === "allocating" ? Math.floor(value / 1000) : value; }

  private tools(): HTMLElement {
    const { metrics, groups } = this.picture;
    return h("div", { class: "tools" },
      metrics.length > 1 && choice("Width is", metrics, this.metric, (value) => { this.metric = value as Metric; this.update(); }),
      groups.length > 1 && choice("by", groups, this.group, (value) => { this.group = value as Group; this.redraw(); }),
      choice("Roots", [["top", "above"], ["bottom", "below"]], "top", (value) => this.flame.flip(value === "bottom")),
      h("span", { class: "grow" }),
      h("label", { class: "field" }, h("span", null, "Search"), this.search), this.matched, this.resetZoom);
  }

  private tabs(): HTMLElement {
    const names: [Group, string][] = [["function", "Functions"], ["line", "Lines"], ["file", "Files"]];
    const list = h("div", { class: "tabs", role: "tablist", "aria-label": "Tables" });
    const panel = this.id + "-panel";
    this.tableBox.id = panel;
    const choose = (chosen: string, draw = true) => {
      for (const tab of list.children) {
        const own = (tab as HTMLElement).dataset.group === chosen;
        tab.setAttribute("aria-selected", String(own));
        tab.setAttribute("tabindex", own ? "0" : "-1");
        if (own) this.tableBox.setAttribute("aria-labelledby", tab.id);
      }
      if (!draw) return;
      if (chosen === "source") this.showSources();
      else { this.tableGroup = chosen as Group; this.showTable(true); }
    };
    const entries: [string, string][] = this.sources.length > 0 ? [...names, ["source", "Source"]] : names;
    list.append(...entries.map(([key, text]) =>
      h("button", { type: "button", role: "tab", id: `${this.id}-tab-${key}`, "data-group": key, "aria-controls": panel, onclick: () => choose(key) }, text)));
    list.addEventListener("keydown", (event) => {
      const all = [...list.children] as HTMLElement[];
      const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
      if (step === 0) return;
      const next = all[(all.indexOf(document.activeElement as HTMLElement) + step + all.length) % all.length]!;
      next.focus();
      next.click();
    });
    choose("function", false);
    return list;
  }

  private makeTable(): Table<Row> {
    const share = (value: number) => percent(value, this.total());
    const names = { line: "Line", function: "Function", file: "File" };
    const heap = this.picture.run === undefined;
    return new Table<Row>(heap ? "What holds the heap" : this.picture.words.rows + this.tableGroup, [
      { title: heap ? "Owner or type" : names[this.tableGroup], text: true, value: (row) => row.label.text, cell: (row) => row.label.text },
      { title: "Own", value: (row) => row.own, cell: (row) => this.number(row.own) },
      { title: "%", cell: (row) => this.bar(row.own, share(row.own)) },
      { title: "With calls", value: (row) => row.total, cell: (row) => this.number(row.total) },
      { title: "%", cell: (row) => share(row.total) },
      ...(this.history === null ? [] : [{ title: "Over the run", cell: (row: Row) => this.spark(row.index) }]),
    ], 1, 25, (row) => this.searchFor("^" + row.label.text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") + (this.tableGroup === this.group ? "$" : "")), "Show it in the flame graph");
  }

  private bar(value: number, text: string): HTMLElement {
    const bar = h("span", { class: "bar" }, text);
    bar.style.setProperty("--share", String(this.total() > 0 ? value / this.total() : 0));
    return bar;
  }

  // A row over the run; the window is what lies within its lines.
  private spark(index: number): SVGElement {
    const values = this.history!(index);
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("class", "spark");
    svg.setAttribute("viewBox", `0 0 ${historySteps * 3} 18`);
    svg.setAttribute("aria-hidden", "true");
    let peak = 1;
    for (const value of values) peak = Math.max(peak, Math.abs(value));
    values.forEach((value, i) => {
      if (value === 0) return;
      const high = Math.max(1, (Math.abs(value) / peak) * 16);
      const rect = document.createElementNS(space, "rect");
      for (const [name, number] of Object.entries({ x: i * 3, y: 17 - high, width: 2.4, height: high })) rect.setAttribute(name, String(number));
      if (value < 0) rect.setAttribute("class", "fell");
      svg.append(rect);
    });
    return svg;
  }

  private total(): number { return this.tree?.total[0] ?? 0; }

  // Somebody looks closer: a frame is zoomed in, or something searched for.
  get busy(): boolean { return this.flame.zoomed !== 0 || this.pattern !== ""; }

  // Newer data of the same process; what was chosen stays so.
  replace(picture: Picture): void {
    this.picture = picture;
    this.trees.clear();
    if (this.history !== null) this.history = picture.run?.history(this.tableGroup, historySteps) ?? null;
    this.update();
  }

  setWindow(window: Window | null): void { this.window = window; this.update(); }

  update(): void {
    this.own = this.picture.own(this.metric, this.window);
    this.redraw();
    this.showTable(false);
    this.summarise();
  }

  redraw(): void {
    let tree = this.trees.get(this.group);
    if (tree === undefined) this.trees.set(this.group, tree = new Tree(this.picture.stacks, this.group));
    tree.fill(this.own, this.window === null ? this.picture.base?.(this.metric) ?? null : null);
    this.tree = tree;
    this.flame.show(tree);
    this.showLegend();
    this.showDetails(this.flame.zoomed);
    this.find(this.pattern);
  }

  private showTable(other: boolean): void {
    if (this.tableBox.dataset.shows === "source" && !other) { this.showSources(); return; }
    this.tableBox.dataset.shows = "table";
    if (other || this.tableBox.childElementCount === 0) {
      this.history = this.picture.run?.history(this.tableGroup, historySteps) ?? null;
      this.table = this.makeTable();
      this.tableBox.replaceChildren(this.table.element);
    }
    this.rows = tabulate(this.picture.stacks, this.own, this.tableGroup);
    this.table.show(this.rows);
  }

  private showSources(): void {
    this.tableBox.dataset.shows = "source";
    const rows = tabulate(this.picture.stacks, chargeToPython(this.picture.stacks, this.own), "line");
    this.tableBox.replaceChildren(sourceView(this.sources, rows, this.total(), this.picture.words.own, (value) => this.number(value)));
  }

  private summarise(): void {
    const total = this.total(), first = largestLabel(this.picture.stacks, this.own);
    if (first === null || total === 0) { this.summary.textContent = this.picture.words.nothing + (this.window === null ? "." : " in this window."); return; }
    this.summary.replaceChildren(
      this.window === null ? "" : "In this window: ",
      h("strong", null, this.number(total)), this.metric === "growth" ? " of growth; " : this.metric === "allocating" ? this.ofCpu(total) : "; ",
      h("span", { class: "name" }, first.label.text), ` has ${percent(first.own, total)} of it.`);
    if (this.window !== null) announce(this.summary.textContent ?? "");
  }

  private ofCpu(total: number): string {
    const cpu = this.picture.run!.userCpu(this.window);
    return ` spent allocating, ${percent(total, cpu)} of ${time(cpu)} of CPU time in user mode; `;
  }

  private showLegend(): void {
    const tree = this.tree!, { words } = this.picture;
    if (tree.base !== null) {
      this.legend.replaceChildren(h("span", { class: "chip more" }, words.more), h("span", { class: "chip less" }, words.less));
      return;
    }
    const sums = new Map<string, number>();
    for (let i = 1; i < tree.own.length; ++i) {
      const { module } = tree.labels[tree.label[i]!]!;
      if (module !== "" && tree.own[i]! > 0) sums.set(module, (sums.get(module) ?? 0) + tree.own[i]!);
    }
    const top = [...sums].sort((a, b) => b[1] - a[1]).slice(0, 7);
    this.legend.replaceChildren(...top.map(([module, own]) => {
      const chip = h("span", { class: "chip" }, module, h("small", null, percent(own, this.total())));
      chip.style.setProperty("--hue", String(hueOf(module)));
      return chip;
    }));
  }

  describe(node: number): string {
    const tree = this.tree!;
    let text = `${tree.name(node)}: ${this.number(tree.total[node]!)}, ${percent(tree.total[node]!, tree.total[0]!)}`;
    if (node !== 0 && tree.own[node]! > 0 && tree.own[node] !== tree.total[node]) text += `, own ${this.number(tree.own[node]!)}`;
    if (tree.base !== null) {
      const change = tree.total[node]! - tree.base[node]!;
      text += `; ${change >= 0 ? "+" : "−"}${this.number(Math.abs(change))} ${this.picture.words.before}`;
    }
    return text;
  }

  private showDetails(node: number | null): void {
    const shown = node ?? this.flame.zoomed;
    const tree = this.tree!;
    const label = shown === 0 ? null : tree.labels[tree.label[shown]!]!;
    this.details.replaceChildren(h("bdi", null, this.describe(shown)), label !== null && label.file !== "" ? h("small", null, label.file) : "");
  }

  searchFor(pattern: string): void {
    this.search.value = pattern;
    this.find(pattern);
    this.flame.element.scrollIntoView({ block: "nearest" });
  }

  private find(pattern: string): void {
    this.pattern = pattern;
    this.search.removeAttribute("aria-invalid");
    if (pattern === "") { this.matched.textContent = ""; this.flame.setHits(null); return; }
    let expression: RegExp;
    try { expression = new RegExp(pattern, "i"); } catch {
      this.search.setAttribute("aria-invalid", "true");
      this.matched.textContent = "not a regular expression";
      return;
    }
    const { labels, sum } = this.tree!.search((label) => expression.test(label.text));
    this.flame.setHits(labels);
    this.matched.textContent = `matched ${this.number(sum)}, ${percent(sum, this.total())}`;
  }

  focusSearch(): void { this.search.focus(); this.search.select(); }

  recolour(): void { this.flame.recolour(); }

  folded(): string {
    const tree = this.tree!;
    const lines: string[] = [];
    for (let node = 1; node < tree.own.length; ++node)
      if (this.written(tree.own[node]!) > 0) lines.push(tree.path(node).map((at) => foldedName(tree.labels[tree.label[at]!]!.raw)).join(";") + " " + this.written(tree.own[node]!) + "\n");
    return lines.sort(lines.some((line) => /[\ud800-\udfff]/.test(line)) ? byCodePoint : undefined).join("");
  }

  tableCsv(): string {
    const unit = this.metric === "allocating" ? "_microseconds" : "";
    return csv([["name", "file", "line", "own" + unit, "with_calls" + unit],
      ...this.rows.slice().sort((a, b) => b.own - a.own).map((row) => [row.label.text, row.label.file, row.label.line || "", this.written(row.own), this.written(row.total)])]);
  }

  private exports(): HTMLElement {
    const name = "memspy-" + this.id;
    const png = () => this.flame.canvas.toBlob((blob) => { if (blob) save(name + ".png", blob); });
    return h("p", { class: "exports" }, "Save what is shown: ",
      button("folded", () => save(name + ".folded", this.folded()), { class: "quiet" }),
      button("CSV", () => save(name + ".csv", this.tableCsv(), "text/csv;charset=utf-8"), { class: "quiet" }),
      button("SVG", () => save(name + ".svg", this.flame.svg(this.title), "image/svg+xml"), { class: "quiet" }),
      button("PNG", png, { class: "quiet" }));
  }
}

// What the base's stacks sum up to, laid over those of the run: matched by the text of their frames. Scaled to
// the run's time, or CPU time, so that a short run compares with a long one.
export function joinBase(run: Run, base: Run): (metric: Metric) => Float64Array {
  const size = run.parent.length;
  const texts = (of: Run) => { const { of: at, all } = of.labels.line; return Array.from(at, (i) => all[i]!); };
  const own = texts(run), other = texts(base);
  const index = new Map<string, number>();
  const key = (above: number, text: string) => above + "\n" + text;
  for (let i = 1; i < size; ++i) index.set(key(run.parent[i]!, own[run.frame[i]!]!.text), i);
  const place = new Int32Array(base.parent.length).fill(-1);
  place[0] = 0;
  // A stack that this run has not is charged to the part of it that it has.
  for (let i = 1; i < base.parent.length; ++i) {
    const above = place[base.parent[i]!]!;
    place[i] = index.get(key(above, other[base.frame[i]!]!.text)) ?? above;
  }
  const scale = base.pace > 0 ? run.pace / base.pace : 1;
  return (metric) => {
    const sums = base.sums(metric, null), out = new Float64Array(size);
    for (let i = 0; i < sums.length; ++i) out[place[i]!]! += sums[i]! * scale;
    return out;
  };
}
