// A table that sorts by its heads, shows the first rows, and more on demand.
import { button, h } from "./dom";

export interface Column<Row> {
  title: string;
  value?: (row: Row) => number | string;  // to sort by; none: not sortable
  cell: (row: Row) => Node | string;
  text?: boolean;  // aligned left, ascending first
}

export class Table<Row> {
  readonly element = h("div", { class: "table-box" });
  private rows: Row[] = [];
  private sorted: number;
  private falling = true;
  private shown: number;

  constructor(private readonly caption: string, private readonly columns: Column<Row>[], sortBy: number,
              private readonly page = 25, private readonly choose?: (row: Row) => void,
              private readonly chosenTitle?: string) {
    this.sorted = sortBy;
    this.shown = page;
  }

  show(rows: Row[]): void {
    const buttons = () => [...this.element.querySelectorAll<HTMLElement>("button")];
    const focused = buttons().indexOf(document.activeElement as HTMLElement);
    this.rows = rows.slice();
    this.sort();
    this.draw();
    if (focused >= 0) buttons()[focused]?.focus();
  }

  private sort(): void {
    const value = this.columns[this.sorted]!.value!;
    const sign = this.falling ? -1 : 1;
    this.rows.sort((a, b) => {
      const one = value(a), two = value(b);
      return sign * (one < two ? -1 : one > two ? 1 : 0);
    });
  }

  private by(index: number): void {
    if (this.sorted === index) this.falling = !this.falling;
    else { this.sorted = index; this.falling = !this.columns[index]!.text; }
    this.sort();
    this.draw();
    this.element.querySelectorAll<HTMLElement>("th button")[this.columns.slice(0, index).filter((c) => c.value).length]?.focus();
  }

  private head(): HTMLElement {
    return h("thead", null, h("tr", null, ...this.columns.map((column, i) => {
      const order = this.sorted !== i ? null : this.falling ? "descending" : "ascending";
      return h("th", { scope: "col", class: column.text ? "text" : null, "aria-sort": order },
        column.value ? h("button", { type: "button", onclick: () => this.by(i) }, column.title, h("span", { "aria-hidden": "true" }, order === null ? "" : this.falling ? " ▾" : " ▴")) : column.title);
    })));
  }

  private row(row: Row): HTMLElement {
    return h("tr", null, ...this.columns.map((column) => {
      const inside = column.cell(row);
      const linked = column.text && this.choose !== undefined && typeof inside === "string";
      return h("td", { class: column.text ? "text" : null },
        linked ? h("button", { type: "button", class: "link", title: this.chosenTitle, onclick: () => this.choose!(row) }, inside) : inside);
    }));
  }

  private draw(): void {
    const rest = this.rows.length - this.shown;
    this.element.replaceChildren(
      h("table", null, h("caption", null, this.caption), this.head(),
        h("tbody", null, ...this.rows.slice(0, this.shown).map((row) => this.row(row)))),
      this.rows.length === 0 ? h("p", { class: "hint" }, "Nothing here.") : "",
      rest > 0 ? button(`${Math.min(rest, 4 * this.page)} more of ${rest}`, () => { this.shown += 4 * this.page; this.draw(); }, { class: "quiet" }) : "");
  }
}
