// Sources with what each line did beside it, where the page was made with them.
import { SourceData } from "./data";
import { h } from "./dom";
import { percent, shown, visible } from "./format";
import { Row } from "./run";

export function sourceView(sources: SourceData[], rows: Row[], total: number, heading: string, text: (value: number) => string): HTMLElement {
  return h("div", { class: "sources" }, ...sources.map((source) => {
    const file = shown(source.file);
    const lines = new Map<number, { own: number; total: number }>();
    for (const row of rows) {
      if (row.label.file !== file) continue;
      const line = lines.get(row.label.line) ?? { own: 0, total: 0 };
      line.own += row.own;
      line.total = Math.max(line.total, row.total);
      lines.set(row.label.line, line);
    }
    const own = [...lines.values()].reduce((sum, line) => sum + line.own, 0);
    let before = 0;
    const body: HTMLElement[] = [];
    for (const { number, text: code } of source.lines) {
      if (before !== 0 && number !== before + 1) body.push(h("tr", { class: "cut" }, h("td", { colspan: "4" }, "⋯")));
      before = number;
      const line = lines.get(number);
      const row = h("tr", { class: line !== undefined && line.own > 0 ? "hot" : null },
        h("td", null, String(number)), h("td", null, line !== undefined && line.own > 0 ? text(line.own) : ""),
        h("td", null, line !== undefined ? text(line.total) : ""), h("td", { class: "text" }, h("code", null, visible(code))));
      row.style.setProperty("--share", String(line !== undefined && total > 0 ? line.own / total : 0));
      body.push(row);
    }
    return h("details", { open: own > total / 100 }, h("summary", null, h("bdi", null, file), ` ${text(own)}, ${percent(own, total)}`),
      source.newer && h("p", { class: "warning" }, "The source is newer than the run: lines may have moved."),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Source of " + file }, h("table", { class: "code" },
        h("thead", null, h("tr", null, ...["Line", heading, "With calls", "Source"].map((name) => h("th", { scope: "col", class: name === "Source" ? "text" : null }, name)))),
        h("tbody", null, ...body))));
  }));
}
