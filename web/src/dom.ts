// Elements without markup: text is text, whatever it says.

type Child = Node | string | null | undefined | false;
type Properties = Record<string, unknown>;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K, properties: Properties | null, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value as EventListener);
    else if (name === "class") element.className = String(value);
    else if (name === "value" || name === "checked") (element as unknown as Properties)[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((c): c is Node | string => c !== null && c !== undefined && c !== false));
  return element;
}

export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error("no element " + id);
  return element;
}

// A <select> with a label of its own.
export function choice(
  label: string, options: [value: string, text: string][], value: string, change: (value: string) => void): HTMLLabelElement {
  const select = h("select", { onchange: () => change(select.value) },
    ...options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
  return h("label", { class: "field" }, h("span", null, label), select);
}

export function button(text: string, action: () => void, properties: Properties = {}): HTMLButtonElement {
  return h("button", { type: "button", onclick: action, ...properties }, text);
}

let announcement = 0;
// For those who hear the page.
export function announce(text: string): void {
  clearTimeout(announcement);
  announcement = setTimeout(() => { byId("live").textContent = text; }, 150) as unknown as number;
}
