// What a page shows of its data: the verdict first, then when, where, and what the heap holds.
import { Chart } from "./chart";
import { PageData } from "./data";
import { h } from "./dom";
import { visible } from "./format";
import { Growth, joinBase, pictureOfHeap, picturesOfRun } from "./growth";
import { heapHead, heapTables } from "./heap";
import licences from "./licences.txt";
import { Run } from "./run";

function section(id: string, title: string, ...children: (Node | string)[]): HTMLElement {
  return h("section", { id, "aria-labelledby": "h-" + id }, h("h2", { id: "h-" + id }, title), ...children);
}

function verdictOf(data: PageData): HTMLElement {
  const head = data.run?.head, heap = data.heap?.document;
  const loss = [head?.words.loss, head?.note].filter((text) => text);
  return h("section", { id: "verdict", "aria-label": "Verdict" },
    h("p", { class: "title" }, visible(head?.words.title || heap?.source || "")),
    head !== undefined && h("h1", { class: "verdict" }, visible(head.words.verdict || "A run without a verdict")),
    data.comparison !== undefined && h("p", { class: "verdict second" }, h("small", null, "Compared with " + visible(data.base?.head.words.title ?? "")), visible(data.comparison)),
    data.warning !== undefined && h("p", { class: "warning", role: "note" }, "Mind: " + visible(data.warning)),
    loss.length > 0 && h("p", { class: "warning" }, visible(loss.join("; "))),
    head !== undefined && h("p", { class: "evidence" }, visible(head.words.evidence)),
    heap && h(head === undefined ? "h1" : "p", { class: head === undefined ? "verdict" : "verdict second" }, h("small", null, "Heap"), visible(heap.verdict)));
}

export function about(data: PageData): HTMLElement {
  const head = data.run?.head;
  const facts = head === undefined ? [] : [["memspy", head.memspy_version], ["host", head.host], ["kernel", head.kernel],
    ["engine", `${head.engine}: ${head.engine_reason}`], ["begun", head.start_time]];
  return h("footer", null,
    h("dl", null, ...facts.flatMap(([name, value]) => [h("dt", null, name!), h("dd", null, visible(value!))])),
    h("details", null, h("summary", null, "Keys"), h("p", { id: "flame-help" },
      "In a flame graph: arrow keys go from frame to frame, Enter zooms in, Escape zooms out. / searches, t changes the theme.")),
    h("details", null, h("summary", null, "Licences"), h("pre", { tabindex: "0" }, licences)));
}

export class View {
  readonly sections: HTMLElement[] = [];
  readonly growths: Growth[] = [];
  readonly charts: Chart[] = [];
  private verdict: HTMLElement;

  // `live`: times are those of the wall clock.
  constructor(public data: PageData, live = false) {
    this.sections.push(this.verdict = verdictOf(data));
    if (data.run !== undefined) this.showRun(data, live);
    if (data.heap !== undefined) this.showHeap(data.heap);
  }

  private showRun(data: PageData, live: boolean): void {
    const run = new Run(data.run!);
    const base = data.base === undefined ? null : joinBase(run, new Run(data.base));
    const growth = new Growth(picturesOfRun(run, base), run.time ? "allocating" : "growth", run.time ? "Time spent allocating, by stack" : "Growth by stack", data.sources ?? []);
    const chart = new Chart(run, data.alerts ?? [], live, (window) => growth.setWindow(window));
    this.growths.push(growth);
    this.charts.push(chart);
    this.sections.push(section("time", run.time ? "The process meanwhile" : "When it grew", chart.element), section("where", run.time ? "Where it spent time allocating" : "Where it grew", growth.element));
  }

  private showHeap(heap: NonNullable<PageData["heap"]>): void {
    const growth = new Growth(pictureOfHeap(heap), "heap", "The heap by owner", []);
    this.growths.push(growth);
    this.sections.push(section("heap", "What the heap holds", heap.document === null ? "" : h("p", { class: "hint" }, heapHead(heap.document)),
      heap.document === null ? "" : heapTables(heap.document), h("h3", null, "By owner, down to the objects"), growth.element));
  }

  // In the document, where there is room to measure.
  start(): void { for (const growth of this.growths) growth.update(); }

  // Somebody looks closer at what is there: it had better stand still.
  get busy(): boolean {
    return this.charts.some((chart) => chart.window !== null) || this.growths.some((growth) => growth.busy);
  }

  // Newer data of the same process, in place of what is shown: what was chosen stays chosen.
  replace(data: PageData): void {
    this.data = data;
    const run = new Run(data.run!);
    const verdict = verdictOf(data);
    this.verdict.replaceWith(verdict);
    this.sections[0] = this.verdict = verdict;
    this.charts[0]!.replace(run, data.alerts ?? []);
    this.growths[0]!.replace(picturesOfRun(run, null));
  }

  redraw(): void {
    for (const chart of this.charts) chart.draw();
    for (const growth of this.growths) growth.recolour();
  }
}
