// Begins: a page with its data inside shows them; one that a daemon serves asks it.
import { dashboard } from "./dashboard";
import { PageData, unpack } from "./data";
import { announce, byId, button, h } from "./dom";
import { visible } from "./format";
import { about, View } from "./view";

const themes = ["auto", "light", "dark"] as const;
let view: View | null = null;  // what is shown

function setTheme(theme: (typeof themes)[number], toggle: HTMLElement): void {
  document.documentElement.dataset.theme = theme;
  toggle.textContent = "Theme: " + theme;
  // A file's storage may be forbidden.
  try { localStorage.setItem("memspy-theme", theme); } catch { /* the choice is for this time only */ }
  view?.redraw();
}

function storedTheme(): (typeof themes)[number] {
  try { return themes.find((theme) => theme === localStorage.getItem("memspy-theme")) ?? "auto"; } catch { return "auto"; }
}

function themeButton(): HTMLElement {
  let at = themes.indexOf(storedTheme());
  const toggle = button("", () => { at = (at + 1) % themes.length; setTheme(themes[at]!, toggle); announce("Theme: " + themes[at]!); }, { class: "quiet", id: "theme" });
  setTheme(themes[at]!, toggle);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view?.redraw());
  return toggle;
}

function listenToKeys(): void {
  addEventListener("keydown", (event) => {
    const at = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName)) return;
    if (event.key === "/" && view !== null) { event.preventDefault(); view.growths[0]?.focusSearch(); }
    if (event.key === "t") byId("theme").click();
  });
}

function publish(shown: View | null): void {
  view = shown;
  // For tests, and for the curious.
  Object.assign(globalThis, { memspy: { growths: shown?.growths ?? [], charts: shown?.charts ?? [], data: shown?.data, view: shown } });
}

function fill(data: PageData): void {
  const shown = new View(data);
  publish(shown);
  byId("main").replaceChildren(...shown.sections);
  byId("main").after(about(data));
  shown.start();
  const name = data.run?.head.words.title || data.heap?.document?.source;
  if (name) document.title = "memspy: " + visible(name);
}

async function open(): Promise<void> {
  const element = byId("data");
  const content = element.textContent ?? "";
  element.textContent = "";
  byId("bar").append(h("strong", null, "memspy"), h("span", { class: "grow" }), themeButton());
  listenToKeys();
  if (content === "daemon") await dashboard(publish);
  else fill(await unpack(content));
  // Shown, not only made: two frames on.
  requestAnimationFrame(() => requestAnimationFrame(() => {
    performance.mark("memspy-ready");
    document.documentElement.dataset.ready = "yes";
  }));
}

open().catch((error: unknown) => {
  byId("main").replaceChildren(h("p", { class: "warning", role: "alert" }, "This page cannot show its data: " + String(error)));
  document.documentElement.dataset.ready = "failed";
});
