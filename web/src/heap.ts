// The heap of a snapshot: where every byte of RSS is, by type, by owner, and the largest objects.
import { HeapDocument } from "./data";
import { h } from "./dom";
import { bytes, count, duration, percent, visible } from "./format";
import { Table } from "./table";
import { treemap } from "./treemap";

function shareCell(value: number, whole: number): HTMLElement {
  const bar = h("span", { class: "bar" }, percent(value, whole));
  bar.style.setProperty("--share", String(whole > 0 ? value / whole : 0));
  return bar;
}

export function heapHead(heap: HeapDocument): string {
  return `${visible(heap.source)}${heap.name ? " (" + visible(heap.name) + ")" : ""}, Python ${visible(heap.python)}, ${heap.time}: ${count(heap.objects.count)} objects with ${bytes(heap.objects.bytes)}, ` +
    `RSS ${bytes(heap.rss_bytes)}` + (heap.pause_seconds > 0 ? `; the process stood still for ${duration(heap.pause_seconds)}` : "");
}

export function heapTables(heap: HeapDocument): HTMLElement {
  const resident = heap.ledger.reduce((sum, row) => sum + row.bytes, 0);
  const ledger = new Table<HeapDocument["ledger"][number]>("The ledger of RSS", [
    { title: "Row", text: true, value: (row) => row.row, cell: (row) => visible(row.row) },
    { title: "Bytes", value: (row) => row.bytes, cell: (row) => bytes(row.bytes) },
    { title: "%", cell: (row) => shareCell(row.bytes, resident) },
    { title: "Note", text: true, cell: (row) => h("small", null, visible(row.note ?? "")) },
  ], 1, 12);
  ledger.show(heap.ledger);
  const types = new Table<HeapDocument["types"][number]>("Objects by type", [
    { title: "Type", text: true, value: (row) => row.type, cell: (row) => visible(row.type) },
    { title: "Objects", value: (row) => row.count, cell: (row) => count(row.count) },
    { title: "Bytes", value: (row) => row.bytes, cell: (row) => bytes(row.bytes) },
    { title: "%", cell: (row) => shareCell(row.bytes, heap.objects.bytes) },
    { title: "Retained", value: (row) => row.retained_bytes, cell: (row) => bytes(row.retained_bytes) },
  ], 2, 15);
  types.show(heap.types);
  const owners = new Table<HeapDocument["owners"][number]>("Objects by owner", [
    { title: "Owner", text: true, value: (row) => row.owner, cell: (row) => visible(row.owner) },
    { title: "Objects", value: (row) => row.count, cell: (row) => count(row.count) },
    { title: "Bytes", value: (row) => row.bytes, cell: (row) => bytes(row.bytes) },
    { title: "%", cell: (row) => shareCell(row.bytes, heap.objects.bytes) },
  ], 2, 15);
  owners.show(heap.owners);
  const largest = new Table<NonNullable<HeapDocument["largest"]>[number]>("Objects at which memory gathers", [
    { title: "Where", text: true, value: (row) => row.where, cell: (row) => visible(row.where || row.address) },
    { title: "Type", text: true, value: (row) => row.type, cell: (row) => h("span", null, visible(row.type)) },
    { title: "Bytes", value: (row) => row.bytes, cell: (row) => bytes(row.bytes) },
    { title: "Retained", value: (row) => row.retained_bytes, cell: (row) => bytes(row.retained_bytes) },
  ], 3, 15);
  largest.show(heap.largest ?? []);
  return h("div", null,
    heap.ledger.length > 0 && h("section", { "aria-labelledby": "h-ledger" }, h("h3", { id: "h-ledger" }, "Where every byte of RSS is"),
      treemap(heap.ledger.map((row) => ({ name: visible(row.row), bytes: row.bytes, note: visible(row.note ?? "") }))), ledger.element),
    h("div", { class: "pair" }, types.element, owners.element),
    (heap.largest?.length ?? 0) > 0 && largest.element);
}
