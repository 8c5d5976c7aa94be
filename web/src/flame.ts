// The flame graph, on a canvas: only what is at least half a pixel wide, and within the scrolled part, is
// drawn, so that its cost is that of the picture and not of the profile.
import { announce, h } from "./dom";
import { diffColour, frameColour, isDark } from "./colour";
import { Tree } from "./tree";

const rowHeight = 20;
const narrowest = 0.5;
const zoomTime = 160;  // milliseconds

interface Box { left: number; right: number; node: number; depth: number }

export interface FlameOptions {
  describe: (node: number) => string;
  onHover: (node: number | null) => void;
  onZoom: (node: number) => void;
}

export class Flame {
  readonly element: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly scroller: HTMLElement;
  tree: Tree | null = null;
  zoomed = 0;
  selected = 0;
  upsideDown = false;  // the outermost frame below: a flame
  private spacer: HTMLElement;
  private hits: Uint8Array | null = null;  // by label
  private view = { left: 0, right: 1 };    // of the whole width
  private boxes: Box[] = [];
  private rests: Box[] = [];  // where frames are too narrow to be drawn
  private colours: string[] = [];
  private hovered: number | null = null;
  private frame = 0;
  private moving: { from: { left: number; right: number }; to: { left: number; right: number }; since: number } | null = null;
  drawn = 0;  // frames, for measurements

  constructor(private readonly options: FlameOptions) {
    this.canvas = h("canvas", {
      tabindex: "0", role: "application", "aria-roledescription": "flame graph", "aria-label": "Flame graph",
      "aria-describedby": "flame-help",
    });
    this.spacer = h("div", { class: "flame-spacer" }, this.canvas);
    this.scroller = h("div", { class: "flame-scroller" }, this.spacer);
    this.element = this.scroller;
    this.canvas.addEventListener("mousemove", (event) => this.hover(event));
    this.canvas.addEventListener("mouseleave", () => this.setHovered(null));
    this.canvas.addEventListener("click", (event) => {
      const node = this.nodeAt(event);
      if (node !== null) { this.select(node); this.zoom(node); }
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("focus", () => this.redraw());
    this.canvas.addEventListener("blur", () => this.redraw());
    this.scroller.addEventListener("scroll", () => this.redraw());
    new ResizeObserver(() => this.redraw()).observe(this.scroller);
  }

  show(tree: Tree): void {
    const other = this.tree?.stacks !== tree.stacks || this.tree?.group !== tree.group;
    this.tree = tree;
    // Numbers of nodes are those of the tree before.
    if (other) { this.zoomed = this.selected = 0; this.hits = this.hovered = null; this.boxes = []; }
    if (tree.total[this.zoomed] === 0) this.zoomed = this.selected = 0;
    this.moving = null;
    this.view = this.rangeOf(this.zoomed);
    this.recolour();
    this.layout();
    if (other && this.upsideDown) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  setHits(hits: Uint8Array | null): void { this.hits = hits; this.redraw(); }

  flip(upsideDown: boolean): void {
    this.upsideDown = upsideDown;
    this.layout();
    this.scroller.scrollTop = upsideDown ? this.scroller.scrollHeight : 0;
    this.redraw();
  }

  recolour(): void {
    const dark = isDark();
    this.colours = this.tree === null ? [] : this.tree.labels.map((label) => frameColour(label, dark));
    this.redraw();
  }

  zoom(node: number): void {
    if (this.tree === null) return;
    this.zoomed = node;
    const to = this.rangeOf(node);
    this.moving = matchMedia("(prefers-reduced-motion: reduce)").matches ? null
      : { from: { ...this.view }, to, since: performance.now() };
    if (this.moving === null) this.view = to;
    this.options.onZoom(node);
    announce("Zoomed: " + this.options.describe(node));
    this.redraw();
  }

  // Where a node stands in the whole width, from 0 to 1.
  rangeOf(node: number): { left: number; right: number } {
    const tree = this.tree!;
    const whole = tree.total[0]!;
    if (whole === 0) return { left: 0, right: 1 };
    let left = 0;
    for (let at = node; at !== 0; at = tree.parent[at]!) {
      for (const sibling of tree.childrenOf(tree.parent[at]!)) {
        if (sibling === at) break;
        left += tree.total[sibling]!;
      }
    }
    return { left: left / whole, right: (left + tree.total[node]!) / whole };
  }

  private layout(): void {
    if (this.tree === null) return;
    this.spacer.style.height = (this.tree.deepest() + 1) * rowHeight + "px";
    this.redraw();
  }

  redraw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame((now) => { this.frame = 0; this.draw(now); });
  }

  private advance(now: number): void {
    if (this.moving === null) return;
    const part = Math.min(1, Math.max(0, (now - this.moving.since) / zoomTime));
    const eased = 1 - (1 - part) ** 3;
    const { from, to } = this.moving;
    this.view = { left: from.left + (to.left - from.left) * eased, right: from.right + (to.right - from.right) * eased };
    if (part >= 1) { this.view = to; this.moving = null; } else this.redraw();
  }

  private draw(now: number): void {
    if (this.tree === null) return;
    this.advance(now);
    const width = this.scroller.clientWidth, height = Math.min(this.scroller.clientHeight, this.spacer.offsetHeight);
    if (width === 0 || height === 0) return;
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.width = width + "px";
      this.canvas.style.height = height + "px";
    }
    const context = this.canvas.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.boxes = this.visibleBoxes(width, height, this.scroller.scrollTop);
    this.paint(context, this.boxes, this.scroller.scrollTop, document.activeElement === this.canvas);
    ++this.drawn;
  }

  top(depth: number): number {
    return this.upsideDown ? this.spacer.offsetHeight - (depth + 1) * rowHeight : depth * rowHeight;
  }

  private visibleBoxes(width: number, height: number, scrolled: number): Box[] {
    const tree = this.tree!;
    const boxes: Box[] = [];
    this.rests = [];
    const whole = tree.total[0]!;
    if (whole === 0) return boxes;
    const scale = width / (this.view.right - this.view.left);
    // A stack of our own: the browser's is too short for the deepest ones.
    const todo = [{ node: 0, left: -this.view.left * scale, depth: 0 }];
    for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
      const { node, left, depth } = next;
      const right = left + (tree.total[node]! / whole) * scale;
      const top = this.top(depth) - scrolled;
      if (top + rowHeight > 0 && top < height) boxes.push({ left, right, node, depth });
      // Rows further on are not seen, nor what hangs on them.
      if (this.upsideDown ? top < 0 : top > height) continue;
      let at = left;
      const below: typeof todo = [];
      for (const child of tree.childrenOf(node)) {
        const wide = (tree.total[child]! / whole) * scale;
        if (wide < narrowest) {  // so is the rest
          const end = left + ((tree.total[node]! - tree.own[node]!) / whole) * scale;
          if (end - at >= 1) this.rests.push({ left: at, right: end, node, depth: depth + 1 });
          break;
        }
        if (at >= width) break;
        if (at + wide > 0) below.push({ node: child, left: at, depth: depth + 1 });
        at += wide;
      }
      todo.push(...below.reverse());  // as many as are seen, at most
    }
    return boxes;
  }

  private colourOf(node: number, dark: boolean): string {
    const tree = this.tree!;
    if (node === 0) return dark ? "hsl(40 4% 30%)" : "hsl(40 8% 88%)";
    if (this.hits !== null && this.hits[tree.label[node]!]) return dark ? "hsl(300 60% 42%)" : "hsl(300 65% 80%)";
    if (tree.base !== null) return diffColour((tree.total[node]! - tree.base[node]!) / Math.max(tree.total[node]!, tree.base[node]!, 1), dark);
    return this.colours[tree.label[node]!]!;
  }

  private paint(context: CanvasRenderingContext2D, boxes: Box[], scrolled: number, focused: boolean): void {
    const tree = this.tree!;
    const dark = isDark();
    const width = this.canvas.clientWidth;
    context.font = "11.5px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace";
    context.textBaseline = "middle";
    const character = context.measureText("m").width;
    context.fillStyle = dark ? "hsl(40 4% 22%)" : "hsl(40 8% 93%)";
    for (const rest of this.rests) context.fillRect(rest.left, this.top(rest.depth) - scrolled, rest.right - rest.left, rowHeight - 1);
    for (const box of boxes) {
      const left = Math.max(0, box.left), right = Math.min(width, box.right);
      const top = this.top(box.depth) - scrolled;
      const wide = right - left;
      context.globalAlpha = box.depth < tree.depth[this.zoomed]! ? 0.55 : this.hits !== null && box.node !== 0 && !this.hits[tree.label[box.node]!] ? 0.5 : 1;
      context.fillStyle = this.colourOf(box.node, dark);
      context.fillRect(left, top, Math.max(narrowest, wide - (wide > 3 ? 1 : 0)), rowHeight - 1);
      context.globalAlpha = 1;
      if (box.node === this.hovered || (box.node === this.selected && focused)) {
        context.strokeStyle = dark ? "#fff" : "#1b1b1a";
        context.lineWidth = box.node === this.selected && focused ? 2 : 1.2;
        context.strokeRect(left + 1, top + 1, Math.max(0.5, wide - 2.5), rowHeight - 3);
      }
      const fits = Math.floor((wide - 8) / character);
      if (fits < 3) continue;
      const name = tree.name(box.node);
      context.fillStyle = dark ? "#f7f6f2" : "#1b1b1a";
      context.fillText(name.length <= fits ? name : name.slice(0, fits - 1) + "…", left + 4, top + rowHeight / 2);
    }
  }

  private nodeAt(event: MouseEvent): number | null {
    const bounds = this.canvas.getBoundingClientRect();
    const x = event.clientX - bounds.left, y = event.clientY - bounds.top + this.scroller.scrollTop;
    const depth = Math.floor((this.upsideDown ? this.spacer.offsetHeight - y : y) / rowHeight);
    for (const box of this.boxes) if (box.depth === depth && x >= box.left && x < box.right) return box.node;
    return null;
  }

  private hover(event: MouseEvent): void { this.setHovered(this.nodeAt(event)); }

  private setHovered(node: number | null): void {
    if (node === this.hovered) return;
    this.hovered = node;
    this.canvas.style.cursor = node === null ? "default" : "pointer";
    this.options.onHover(node);
    this.redraw();
  }

  select(node: number): void {
    this.selected = node;
    const tree = this.tree!;
    const top = this.top(tree.depth[node]!);
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    if (top + rowHeight > this.scroller.scrollTop + this.scroller.clientHeight)
      this.scroller.scrollTop = top + rowHeight - this.scroller.clientHeight;
    this.options.onHover(node);
    this.redraw();
  }

  private neighbour(key: string): number | null {
    const tree = this.tree!;
    const inward = this.upsideDown ? "ArrowUp" : "ArrowDown";
    if (key === inward) return tree.childrenOf(this.selected).find((child) => tree.total[child]! > 0) ?? null;
    if (this.selected === 0) return null;
    if (key === "ArrowUp" || key === "ArrowDown") return tree.parent[this.selected]!;
    const siblings = tree.childrenOf(tree.parent[this.selected]!);
    const next = siblings[siblings.indexOf(this.selected) + (key === "ArrowRight" ? 1 : -1)];
    return next !== undefined && tree.total[next]! > 0 ? next : null;
  }

  private key(event: KeyboardEvent): void {
    if (this.tree === null || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow")) {
      const next = this.neighbour(event.key);
      if (next !== null) { this.select(next); announce(this.options.describe(next)); }
    } else if (event.key === "Enter" || event.key === " ") this.zoom(this.selected);
    else if (event.key === "Escape" || event.key === "Backspace" || event.key === "0") { this.select(0); this.zoom(0); }
    else return;
    event.preventDefault();
  }

  // What is shown, as one SVG without scripts.
  svg(title: string): string {
    const width = 1200;
    const escape = (text: string) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[\x00-\x1f\ufffe\uffff]/g, "?");
    const tree = this.tree!;
    const height = (tree.deepest() + 1) * rowHeight;
    const boxes = this.visibleBoxes(width, height, 0);
    const body = boxes.map((box) => {
      const left = Math.max(0, box.left), wide = Math.min(width, box.right) - left;
      const fits = Math.floor((wide - 8) / 6.6), name = tree.name(box.node);
      const text = fits < 3 ? "" : name.length <= fits ? name : name.slice(0, fits - 1) + "…";
      const top = (this.upsideDown ? height - (box.depth + 1) * rowHeight : box.depth * rowHeight) + 30;
      return `<g><title>${escape(this.options.describe(box.node))}</title><rect x="${left.toFixed(1)}" y="${top}" width="${Math.max(0.5, wide - 0.5).toFixed(1)}" height="${rowHeight - 1}" fill="${this.colourOf(box.node, false)}"/><text x="${(left + 4).toFixed(1)}" y="${top + 14}">${escape(text)}</text></g>`;
    }).join("\n");
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height + 40}" font-family="monospace" font-size="11"><rect width="100%" height="100%" fill="#fff"/><text x="4" y="20" font-size="14">${escape(title)}</text>\n${body}\n</svg>\n`;
  }
}
