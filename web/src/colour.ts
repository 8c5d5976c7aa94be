// Colours of frames, for either theme.
import { Label } from "./run";

export interface Paint { fill: string; ink: string }

function hash(text: string): number {
  let sum = 2166136261;
  for (let i = 0; i < text.length; ++i) sum = Math.imul(sum ^ text.charCodeAt(i), 16777619);
  return sum >>> 0;
}

// Hues that stay apart from each other, and from the magenta of what was searched for.
const hues = [18, 38, 52, 84, 134, 168, 190, 208, 228, 256, 4, 110];

export function hueOf(module: string): number { return hues[hash(module) % hues.length]!; }

export function frameColour(label: Label, dark: boolean): string {
  if (label.module === "") return dark ? "hsl(40 4% 38%)" : "hsl(40 6% 80%)";
  const shade = hash(label.text) % 9;
  const native = label.kind === 1 ? -18 : 0;
  return dark ? `hsl(${hueOf(label.module)} ${52 + native}% ${36 + shade}%)` : `hsl(${hueOf(label.module)} ${74 + native}% ${70 + shade}%)`;
}

// Red grew more than before, blue less; grey the same. `change` from -1 to 1.
export function diffColour(change: number, dark: boolean): string {
  const strength = Math.min(1, Math.abs(change)) ** 0.5;
  if (strength < 0.02) return dark ? "hsl(40 4% 34%)" : "hsl(40 6% 86%)";
  const hue = change > 0 ? 4 : 214;
  return dark ? `hsl(${hue} ${20 + 50 * strength}% ${34 + 8 * strength}%)` : `hsl(${hue} ${40 + 45 * strength}% ${88 - 22 * strength}%)`;
}

export function isDark(): boolean {
  const theme = document.documentElement.dataset.theme;
  return theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
}
