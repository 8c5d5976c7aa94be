// The tree that the flame graph draws: stacks merged by label, with their sums.
import { childrenOf, Group, Label, Stacks, totals } from "./run";

export class Tree {
  parent!: Int32Array;
  label!: Int32Array;
  depth!: Uint16Array;
  labels: Label[];
  own!: Float64Array;
  total!: Float64Array;
  base: Float64Array | null = null;  // totals of what this is compared with, at this run's pace
  private children!: { first: Int32Array; list: Int32Array };
  private sorted!: Uint8Array;
  private place: Int32Array;  // of each stack: its node here

  constructor(readonly stacks: Stacks, readonly group: Group) {
    this.labels = stacks.labels[group].all;
    this.place = this.merge();
  }

  private merge(): Int32Array {
    const { of } = this.stacks.labels[this.group];
    const size = this.stacks.parent.length;
    if (of.length === this.labels.length) return this.takeOver(of);
    const place = new Int32Array(size);
    const parent = [0], label = [-1], depth = [0];
    // Numbers as keys: a node's children are told apart by label.
    const index = new Map<number, number>();
    const labels = this.labels.length;
    for (let i = 1; i < size; ++i) {
      const above = place[this.stacks.parent[i]!]!;
      const own = of[this.stacks.frame[i]!]!;
      // A file that calls itself is one frame.
      if (this.group === "file" && above !== 0 && label[above] === own) { place[i] = above; continue; }
      const key = above * labels + own;
      let at = index.get(key);
      if (at === undefined) {
        at = parent.length;
        index.set(key, at);
        parent.push(above);
        label.push(own);
        depth.push(Math.min(65535, depth[above]! + 1));
      }
      place[i] = at;
    }
    this.parent = Int32Array.from(parent);
    this.label = Int32Array.from(label);
    this.depth = Uint16Array.from(depth);
    this.children = childrenOf(this.parent);
    return place;
  }

  // Where each frame has a label of its own, stacks are merged as they come.
  private takeOver(of: Int32Array): Int32Array {
    const { parent, frame, children } = this.stacks;
    this.parent = parent;
    this.children = { first: children.first, list: children.list.slice() };  // sorted here
    this.label = frame.map((at, i) => i === 0 ? -1 : of[at]!);
    this.depth = new Uint16Array(parent.length);
    for (let i = 1; i < parent.length; ++i) this.depth[i] = Math.min(65535, this.depth[parent[i]!]! + 1);
    return Int32Array.from(parent.keys());
  }

  private gather(own: Float64Array): Float64Array {
    const out = new Float64Array(this.parent.length);
    for (let i = 0; i < own.length; ++i) out[this.place[i]!]! += own[i]!;
    return out;
  }

  fill(own: Float64Array, base: Float64Array | null): void {
    this.own = this.gather(own);
    this.total = totals(this.parent, this.own);
    this.base = base === null ? null : totals(this.parent, this.gather(base));
    this.sorted = new Uint8Array(this.parent.length);
  }

  // The largest first. Sorted when somebody looks.
  childrenOf(node: number): Int32Array {
    const part = this.children.list.subarray(this.children.first[node]!, this.children.first[node + 1]!);
    if (this.sorted[node] === 0) {
      this.sorted[node] = 1;
      const { total, label, labels } = this;
      if (part.length > 1)
        part.sort((a, b) => total[b]! - total[a]! || (labels[label[a]!]!.text < labels[label[b]!]!.text ? -1 : 1));
    }
    return part;
  }

  name(node: number): string { return node === 0 ? "all" : this.labels[this.label[node]!]!.text; }

  path(node: number): number[] {
    const path: number[] = [];
    for (let at = node; at !== 0; at = this.parent[at]!) path.push(at);
    return path.reverse();
  }

  // The sum of the stacks that pass through a frame that matches, and which labels do.
  search(matches: (label: Label) => boolean): { labels: Uint8Array; sum: number } {
    const labels = new Uint8Array(this.labels.length);
    this.labels.forEach((label, i) => { if (matches(label)) labels[i] = 1; });
    const covered = new Uint8Array(this.parent.length);
    let sum = 0;
    for (let i = 1; i < this.parent.length; ++i) {
      covered[i] = covered[this.parent[i]!]! | labels[this.label[i]!]!;
      if (covered[i]) sum += this.own[i]!;
    }
    return { labels, sum };
  }

  deepest(): number {
    let deepest = 0;
    for (let i = 0; i < this.depth.length; ++i)
      if (this.total[i]! > 0 && this.depth[i]! > deepest) deepest = this.depth[i]!;
    return deepest;
  }
}
