// The page of a daemon: its targets, and one of them live. Everything is asked of who served the page; what needs a
// token is told it as any client is.
import { PageData, TargetData, TargetsData } from "./data";
import { announce, byId, button, choice, h } from "./dom";
import { bytes, clock, count, percent, visible } from "./format";
import { save } from "./save";
import { Table } from "./table";
import { about, View } from "./view";

const listPause = 2000, pagePause = 3000;  // milliseconds between two looks
const askTime = 30_000;
const windows: [string, string][] = [["60", "last minute"], ["300", "last 5 minutes"], ["900", "last 15 minutes"], ["1800", "last half hour"], ["999999999", "all that is kept"]];

class Refused extends Error {
  constructor(readonly status: number, text: string) { super(text); }
}

let token = "";
let asking: Promise<string> | null = null;
// For this tab alone, so that a reload need not ask.
try { token = sessionStorage.getItem("memspy-token") ?? ""; } catch { /* it is asked for again */ }

function askToken(wrong: boolean): Promise<string> {
  const shown = [...byId("main").childNodes];  // comes back
  return new Promise((done) => {
    const field = h("input", { type: "password", id: "token", autocomplete: "off", "aria-invalid": wrong ? "true" : null });
    const form = h("form", { class: "tools", onsubmit: (event: Event) => { event.preventDefault(); byId("main").replaceChildren(...shown); done(field.value.trim()); } },
      h("label", { class: "field", for: "token" }, "Token"), field, h("button", { type: "submit" }, "Show"));
    byId("main").replaceChildren(h("section", { "aria-labelledby": "h-token" }, h("h1", { id: "h-token", class: "verdict" }, wrong ? "That is not the token." : "This daemon asks for a token."),
      h("p", { class: "hint" }, "It is in the file that the daemon's configuration names: token_file in [http]. It is kept until this tab is closed."), form));
    document.documentElement.dataset.ready = "token";
    field.focus();
  });
}

async function ask(path: string): Promise<Response> {
  for (;;) {
    const headers: Record<string, string> = token === "" ? {} : { Authorization: "Bearer " + token };
    const answer = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(askTime) });
    if (answer.ok) return answer;
    if (answer.status !== 401) throw new Refused(answer.status, `${answer.status}: ${(await answer.text()).trim().slice(0, 200)}`);
    // Several answers may be refused at once: the question is one.
    asking ??= askToken(token !== "").finally(() => { asking = null; });
    token = await asking;
    try { sessionStorage.setItem("memspy-token", token); } catch { /* for this time only */ }
  }
}

const rate = (perMinute: number | null) => perMinute === null ? "–" : (perMinute > 0 ? "+" : "") + bytes(perMinute) + "/min";

// One of the two things that can be shown. `look` asks once and shows; what it throws is said.
interface Screen { pause: number; look: () => Promise<void>; leave: () => void; view: View | null }

class List implements Screen {
  readonly pause = listPause;
  readonly view = null;
  private all: TargetData[] = [];
  private readonly summary = h("h1", { class: "verdict" }, "…");
  private readonly filter = h("input", { type: "search", id: "filter", placeholder: "service, name or PID", oninput: () => this.show() });
  private readonly table = new Table<TargetData>("Processes that the daemon watches", [
    { title: "Service", text: true, value: (row) => row.service, cell: (row) => h("span", null, visible(row.service)) },
    { title: "PID", value: (row) => row.pid, cell: (row) => h("a", { href: "#/" + row.pid }, String(row.pid)) },
    { title: "Name", text: true, value: (row) => row.name, cell: (row) => h("span", null, visible(row.name)) },
    { title: "RSS", value: (row) => row.figures.rss_bytes ?? 0, cell: (row) => row.figures.rss_bytes === undefined ? "–" : bytes(row.figures.rss_bytes) },
    { title: "Growth", value: (row) => row.growth_bytes_per_minute ?? -Infinity, cell: (row) => rate(row.growth_bytes_per_minute) },
    { title: "Of its limit", value: share, cell: (row) => this.limit(row) },
    { title: "Tracer", text: true, value: (row) => row.tracer.state, cell: (row) => h("span", { title: visible(row.tracer.trouble || row.tracer.reason) }, row.tracer.state) },
    { title: "Alerts", text: true, value: (row) => row.alerts_firing.join(), cell: (row) => h("span", { class: row.alerts_firing.length > 0 ? "firing" : null }, visible(row.alerts_firing.join(", "))) },
  ], 3, 100);

  constructor() {
    byId("main").replaceChildren(h("section", { id: "targets", "aria-label": "Targets" }, this.summary,
      h("div", { class: "tools" }, h("label", { class: "field" }, h("span", null, "Filter"), this.filter)), this.table.element));
    document.title = "memspy: targets";
  }

  private limit(row: TargetData): HTMLElement | string {
    const limit = row.figures.cgroup_limit_bytes;
    if (limit === undefined) return "none";
    const bar = h("span", { class: "bar" }, `${percent(share(row), 1)} of ${bytes(limit)}`);
    bar.style.setProperty("--share", String(Math.min(1, share(row))));
    return bar;
  }

  private show(): void {
    const wanted = this.filter.value.trim().toLowerCase();
    const focused = this.table.element.contains(document.activeElement) ? document.activeElement?.getAttribute("href") : null;
    this.table.show(this.all.filter((row) => `${row.service} ${row.name} ${row.pid}`.toLowerCase().includes(wanted)));
    if (focused) this.table.element.querySelector<HTMLElement>(`a[href="${focused}"]`)?.focus();
  }

  leave(): void { /* what comes late is shown where nobody looks */ }

  async look(): Promise<void> {
    const data = await (await ask("targets")).json() as TargetsData;
    this.all = data.targets;
    const services = new Set(this.all.map((row) => row.service)).size, alerts = this.all.filter((row) => row.alerts_firing.length > 0).length;
    const together = this.all.reduce((sum, row) => sum + (row.figures.rss_bytes ?? 0), 0);
    this.summary.textContent = this.all.length === 0 ? "No process that a rule is about runs." :
      `${count(this.all.length)} ${this.all.length === 1 ? "process" : "processes"} of ${services} ${services === 1 ? "service" : "services"}, ${bytes(together)} RSS` +
      (alerts > 0 ? `; alerts fire for ${alerts}` : "; no alert fires");
    this.show();
  }
}

function share(row: TargetData): number {
  const limit = row.figures.cgroup_limit_bytes;
  return limit === undefined || limit <= 0 ? 0 : (row.figures.cgroup_usage_bytes ?? row.figures.rss_bytes ?? 0) / limit;
}

class Target implements Screen {
  pause = pagePause;
  view: View | null = null;
  private seconds = "300";
  private live = true;
  private ended = false;
  private asked = 0;  // an answer to an earlier question than the last is nobody's any more
  private readonly state = h("p", { class: "hint", role: "status" });
  private readonly box = h("div", null);
  private readonly toggle = button("Stand still", () => { this.live = !this.live; this.toggle.textContent = this.live ? "Stand still" : "Go on"; }, { class: "quiet", id: "live-toggle" });

  constructor(private readonly pid: number, private readonly publish: (view: View | null) => void) {
    byId("main").replaceChildren(h("nav", { class: "tools", "aria-label": "Target" }, h("a", { href: "#/" }, "All targets"),
      choice("Show the", windows, this.seconds, (value) => { this.seconds = value; void this.fetch(true).catch(() => { /* the next look says why */ }); }),
      this.toggle, button("Save this page", () => void this.save(), { class: "quiet" })), this.state, this.box);
    document.title = `memspy: ${pid}`;
  }

  private path(kind: string): string { return `targets/${this.pid}/${kind}?seconds=${this.seconds}`; }

  private async save(): Promise<void> {
    try { save(`memspy-${this.pid}.html`, await (await ask(this.path("html"))).blob()); } catch (error) { announce("It cannot be saved: " + String(error)); }
  }

  async look(): Promise<void> {
    if (this.ended || !this.live) return;
    if (this.view?.busy) { this.state.textContent = "It stands still while you look closer: end the window, zoom or search to go on."; return; }
    await this.fetch(false);
  }

  private async fetch(chosen: boolean): Promise<void> {
    const begin = performance.now(), mine = ++this.asked;
    let data: PageData;
    try { data = await (await ask(this.path("page"))).json() as PageData; } catch (error) {
      if (mine !== this.asked) return;
      if (!(error instanceof Refused) || error.status !== 404) throw error;
      this.ended = true;
      this.state.textContent = "This process has ended, or is not watched any more" + (this.view === null ? "." : ": this is what was known last.");
      return;
    }
    if (mine !== this.asked || (!chosen && this.view?.busy)) return;
    if (this.view === null) this.begin(data); else this.view.replace(data);
    // A page that is dear to make is asked for more seldom: a twentieth of somebody's time, at most.
    this.pause = Math.max(pagePause, 20 * (performance.now() - begin));
    this.state.textContent = "As of " + clock(Date.now() / 1000) + ".";
  }

  leave(): void { this.asked = -1; }

  private begin(data: PageData): void {
    this.view = new View(data, true);
    this.publish(this.view);
    this.box.replaceChildren(...this.view.sections);
    this.view.start();
  }
}

export async function dashboard(publish: (view: View | null) => void): Promise<void> {
  const trouble = h("p", { class: "warning", role: "alert", hidden: true });
  byId("main").before(trouble);
  byId("main").after(about({ schema: "" }));
  let screen: Screen | null = null, turn = 0;
  const open = (): Promise<void> => {
    screen?.leave();
    publish(null);
    const pid = /^#\/(\d{1,9})$/.exec(location.hash);
    screen = pid === null ? new List() : new Target(Number(pid[1]), publish);
    return look(++turn, screen);
  };
  // One after the other; a screen that is left ends its own.
  const look = async (mine: number, shown: Screen): Promise<void> => {
    try {
      if (!document.hidden) await shown.look();
      trouble.hidden = true;
    } catch (error) {
      trouble.textContent = "The daemon does not answer (" + String(error) + "); it is asked again.";
      trouble.hidden = false;
    }
    if (mine === turn) setTimeout(() => { if (mine === turn) void look(mine, shown); }, shown.pause);
  };
  addEventListener("hashchange", () => void open());
  await open();
}
