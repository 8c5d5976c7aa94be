// A run: its stacks as a tree, and what each of them did in a window of time.
import { RunData, sumInto } from "./data";
import { shown } from "./format";

export type Metric = "growth" | "touched" | "allocating" | "samples" | "bytes" | "objects";
export type Group = "line" | "function" | "file";

// `raw` is what the text was made of: backslashes are doubled there.
export interface Label { text: string; raw: string; module: string; kind: number; file: string; line: number }

// What a tree of stacks is drawn and summed up from: nodes (parents first; 0 is the empty stack), and the
// label of each in every way of grouping.
export interface Stacks {
  parent: Int32Array;
  frame: Int32Array;
  labels: Record<Group, { of: Int32Array; all: Label[] }>;  // of: by frame
  children: { first: Int32Array; list: Int32Array };
}

function moduleOf(path: string, kind: number, library: string | undefined): string {
  if (kind === 2 || path === "") return "";
  if (kind === 1) return (library ?? path).replace(/^.*\//, "");
  const packages = /\/(?:site|dist)-packages\/([^/]+)/.exec(path);
  if (packages) return packages[1]!.replace(/\.py$/, "");
  if (/\/lib(?:64)?\/python\d[\d.]*\//.test(path) || path.startsWith("<frozen")) return "Python's library";
  const folder = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  return folder === "" ? path : folder.slice(folder.lastIndexOf("/") + 1) + "/";
}

class Labels {
  all: Label[] = [];
  private index = new Map<string, number>();
  intern(text: string, make: () => Label): number {
    let at = this.index.get(text);
    if (at === undefined) {
      at = this.all.length;
      this.index.set(text, at);
      this.all.push(make());
    }
    return at;
  }
}

export function childrenOf(parent: Int32Array): { first: Int32Array; list: Int32Array } {
  const size = parent.length;
  const first = new Int32Array(size + 1);
  for (let i = 1; i < size; ++i) ++first[parent[i]! + 1]!;
  for (let i = 0; i < size; ++i) first[i + 1]! += first[i]!;
  const next = first.slice(0, size);
  const list = new Int32Array(Math.max(0, size - 1));
  for (let i = 1; i < size; ++i) list[next[parent[i]!]!++] = i;
  return { first, list };
}

interface Columns { frames: RunData["frames"]; count: number }

function labelsOf({ frames, count }: Columns): Stacks["labels"] {
  const out = {} as Stacks["labels"];
  for (const group of ["line", "function", "file"] as const) {
    const labels = new Labels();
    const of = new Int32Array(count);
    for (let i = 0; i < count; ++i) {
      const kind = frames.kind[i]!;
      const file = kind === 2 ? undefined : frames.files[frames.file[i]!];
      const name = frames.function[i]!;
      const line = group === "line" ? frames.line[i]! : 0;
      const place = file?.name ?? "";
      const raw = file === undefined ? name : group === "file" ? place : `${name} (${place}${line > 0 ? ":" + line : ""})`;
      of[i] = labels.intern(file === undefined ? raw : group + file.path + "\n" + raw, () => ({
        text: shown(raw), raw, kind, line, file: shown(file?.path ?? ""), module: shown(moduleOf(file?.path ?? "", kind, frames.modules[frames.module[i]!])),
      }));
    }
    out[group] = { of, all: labels.all };
  }
  return out;
}

export interface Window { from: number; to: number }  // seconds of the run

export class Run implements Stacks {
  parent: Int32Array;
  frame: Int32Array;
  labels: Stacks["labels"];
  children: Stacks["children"];
  readonly bucket: Int32Array;
  readonly node: Int32Array;
  readonly width: number;
  readonly time: boolean;  // CPU time is told, in nanoseconds, and not bytes
  private amount: number[];
  private returned: number[] | null;
  private samples: number[];
  private rests: { bucket: Int32Array; node: number[]; process: number[]; bytes: number[] };
  private cpu: { bucket: Int32Array; nanoseconds: number[] };

  constructor(readonly data: RunData) {
    const size = data.nodes.above.length + 1;
    this.parent = new Int32Array(size);
    this.frame = new Int32Array(size);
    for (let i = 1; i < size; ++i) {
      this.parent[i] = i - data.nodes.above[i - 1]!;
      this.frame[i] = data.nodes.frame[i - 1]!;
    }
    this.labels = labelsOf({ frames: data.frames, count: data.frames.function.length });
    this.children = childrenOf(this.parent);
    const { growth, allocation } = data;
    const cells = (growth ?? allocation)!;
    this.time = allocation !== undefined;
    this.bucket = sumInto(cells.bucket);
    this.node = sumInto(cells.node);
    this.width = cells.bucket_seconds;
    this.amount = growth?.touched_bytes ?? allocation!.nanoseconds;
    this.returned = growth?.returned_bytes ?? null;
    this.samples = cells.samples;
    const rests = data.unattributed ?? { bucket: [], process: [], node: [], bytes: [] };
    this.rests = { ...rests, bucket: sumInto(rests.bucket) };
    const cpu = data.user_cpu ?? { bucket: [], nanoseconds: [] };
    this.cpu = { ...cpu, bucket: sumInto(cpu.bucket) };
  }

  get seconds(): number { return this.data.head.end_seconds - this.data.head.begin_seconds; }

  // The window at bounds of buckets, as the sums are.
  snap(window: Window): Window {
    const { begin_seconds: begin, end_seconds: end } = this.data.head;
    const from = Math.max(0, Math.floor(window.from / this.width + 0.05)) * this.width;
    const to = Math.max(from + this.width, Math.ceil(window.to / this.width - 0.05) * this.width);
    return { from: Math.max(begin, from), to: to >= end - this.width / 20 ? end : to };
  }

  // [first, last) of the window's buckets; all of them without one.
  buckets(window: Window | null): [number, number] {
    if (window === null) return [0, Infinity];
    return [Math.round(window.from / this.width), Math.max(1, Math.ceil(window.to / this.width - 0.05))];
  }

  // What a comparison is at the same pace of: time, of CPU time as much.
  get pace(): number { return this.time ? this.userCpu(null) : this.seconds; }

  // Of all threads, in user mode.
  userCpu(window: Window | null): number {
    const [first, last] = this.buckets(window);
    const { bucket, nanoseconds } = this.cpu;
    let sum = 0;
    for (let i = 0; i < bucket.length; ++i) if (bucket[i]! >= first && bucket[i]! < last) sum += nanoseconds[i]!;
    return sum;
  }

  // By bucket, of each second: CPU time in user mode, and how much of it was spent allocating.
  clock(): { cpu: Float64Array; allocating: Float64Array } {
    const size = 1 + Math.max(-1, ...this.cpu.bucket.slice(-1));
    const cpu = new Float64Array(size), allocating = new Float64Array(size);
    this.cpu.bucket.forEach((at, i) => { cpu[at]! += this.cpu.nanoseconds[i]! / this.width; });
    this.bucket.forEach((at, i) => { allocating[at]! += this.amount[i]! / this.width; });
    return { cpu, allocating };
  }

  // The bucket that a tick has closed.
  bucketAt(seconds: number): number {
    const interval = this.data.head.interval_seconds;
    return Math.max(0, Math.floor((Math.round(seconds / interval) - 1) / Math.round(this.width / interval)));
  }

  // Own bytes, or nanoseconds, of each node. Net growth that is not positive is shrink, and counts for nothing; as
  // `memspy report --from --to`.
  sums(metric: Metric, window: Window | null): Float64Array {
    const own = new Float64Array(this.parent.length);
    const [first, last] = this.buckets(window);
    const values = metric === "samples" ? this.samples : this.amount;
    const less = metric === "growth" ? this.returned : null;
    for (let i = 0; i < this.bucket.length; ++i) {
      if (this.bucket[i]! < first || this.bucket[i]! >= last) continue;
      own[this.node[i]!]! += values[i]! - (less === null ? 0 : less[i]!);
    }
    for (let i = 0; i < own.length; ++i) if (own[i]! < 0) own[i] = 0;
    if (metric !== "samples") this.addRests(own, first, last);
    return own;
  }

  private addRests(own: Float64Array, first: number, last: number): void {
    const sums = new Map<number, [node: number, bytes: number]>();
    const { bucket, node, process, bytes } = this.rests;
    for (let i = 0; i < bucket.length; ++i) {
      if (bucket[i]! < first || bucket[i]! >= last) continue;
      const sum = sums.get(process[i]!) ?? [node[i]!, 0];
      sum[1] += bytes[i]!;
      sums.set(process[i]!, sum);
    }
    for (const [at, sum] of sums.values()) if (sum > 0) own[at]! += sum;
  }

  // What each label did over the whole run, in so many steps: what rows draw small.
  history(group: Group, steps: number): (label: number) => Float64Array {
    const { of } = this.labels[group];
    const rows = new Map<number, Float64Array>();
    const { amount, returned } = this;
    const all = Math.max(1, Math.ceil(this.data.head.end_seconds / this.width - 0.05));
    for (let i = 0; i < this.bucket.length; ++i) {
      const label = of[this.frame[this.node[i]!]!]!;
      let row = rows.get(label);
      if (row === undefined) rows.set(label, row = new Float64Array(steps));
      row[Math.min(steps - 1, Math.floor((this.bucket[i]! * steps) / all))]! += amount[i]! - (returned === null ? 0 : returned[i]!);
    }
    return (label) => rows.get(label) ?? new Float64Array(steps);
  }
}

export interface Row { label: Label; index: number; own: number; total: number }

// Own and cumulative sums by label; a stack counts once for a label that it passes twice.
export function tabulate(stacks: Stacks, own: Float64Array, group: Group): Row[] {
  const { of, all } = stacks.labels[group];
  const rows: Row[] = all.map((label, index) => ({ label, index, own: 0, total: 0 }));
  const total = totals(stacks.parent, own);
  const inside = new Int32Array(all.length);
  const { first, list } = stacks.children;
  const path: number[] = [];
  const next: number[] = [first[0]!];
  let node = 0;
  for (;;) {
    const at = next[next.length - 1]!;
    if (at < first[node + 1]!) {
      ++next[next.length - 1]!;
      const child = list[at]!;
      if (total[child] === 0) continue;
      const label = of[stacks.frame[child]!]!;
      const row = rows[label]!;
      row.own += own[child]!;
      if (inside[label]!++ === 0) row.total += total[child]!;
      path.push(child);
      next.push(first[child]!);
      node = child;
      continue;
    }
    if (path.length === 0) break;
    --inside[of[stacks.frame[path.pop()!]!]!]!;
    next.pop();
    node = path.length > 0 ? path[path.length - 1]! : 0;
  }
  return rows.filter((row) => row.total > 0);
}

// Native code and markers charged to the line of Python that they were called from, if there is one.
export function chargeToPython(stacks: Stacks, own: Float64Array): Float64Array {
  const { of, all } = stacks.labels.line;
  const place = new Int32Array(own.length);
  const charged = new Float64Array(own.length);
  for (let i = 1; i < own.length; ++i) {
    place[i] = all[of[stacks.frame[i]!]!]!.kind === 0 ? i : place[stacks.parent[i]!]!;
    charged[place[i] === 0 ? i : place[i]!]! += own[i]!;
  }
  return charged;
}

// The line with the most of its own, by that charge.
export function largestLabel(stacks: Stacks, own: Float64Array): { label: Label; own: number } | null {
  const { of, all } = stacks.labels.line;
  const sums = new Float64Array(all.length);
  const charged = chargeToPython(stacks, own);
  for (let i = 1; i < own.length; ++i) sums[of[stacks.frame[i]!]!]! += charged[i]!;
  let best = -1;
  for (let i = 0; i < sums.length; ++i) if (sums[i]! > 0 && (best < 0 || sums[i]! > sums[best]!)) best = i;
  return best < 0 ? null : { label: all[best]!, own: sums[best]! };
}

export function totals(parent: Int32Array, own: Float64Array): Float64Array {
  const total = own.slice();
  for (let i = parent.length - 1; i > 0; --i) total[parent[i]!]! += total[i]!;
  return total;
}
