// Export of what is shown, as files made in the browser.

export function save(name: string, data: Blob | string, type = "text/plain;charset=utf-8"): void {
  const blob = typeof data === "string" ? new Blob([data], { type }) : data;
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// A cell that a spreadsheet takes for a formula is none.
export function csv(rows: (string | number)[][]): string {
  const cell = (value: string | number) => {
    const text = typeof value === "number" ? String(value) : /^[=+\-@\t\r]/.test(value) ? "'" + value : value;
    return /[",\n\r]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  };
  return rows.map((row) => row.map(cell).join(",") + "\n").join("");
}

// As `report -f folded` has it: what separates frames is escaped, and the rest is already.
export const foldedName = (raw: string): string => raw.replace(/;/g, "\\x3b");

// The order of bytes of UTF-8. That of UTF-16 has pairs, which are what is beyond U+FFFF, before U+E000.
export function byCodePoint(a: string, b: string): number {
  const rank = (unit: number) => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);
  for (let i = 0; i < Math.min(a.length, b.length); ++i)
    if (a[i] !== b[i]) return rank(a.charCodeAt(i)) - rank(b.charCodeAt(i));
  return a.length - b.length;
}
