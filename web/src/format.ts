// Numbers and names for people. Names come from the target: any text, so never markup.

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

// As memspy prints them: "0 B", "1023 B", "1.4 GiB", "151 MiB".
export function bytes(count: number): string {
  let value = Math.abs(count);
  let unit = 0;
  while (value >= (unit === 0 ? 1024 : 1023.5) && unit < units.length - 1) {
    value /= 1024;
    ++unit;
  }
  const digits = unit > 0 && value < 99.95 ? 1 : 0;
  return (count < 0 ? "−" : "") + value.toFixed(digits) + " " + units[unit];
}

// CPU time, as memspy prints it: "0 µs", "240 µs", "1.1 ms", "12.3 s".
export function time(nanoseconds: number): string {
  const size = Math.abs(nanoseconds);
  const text = size < 1e6 ? (size / 1e3).toFixed(0) + " µs" : size < 1e9 ? (size / 1e6).toFixed(1) + " ms" : size < 6e10 ? (size / 1e9).toFixed(1) + " s" : duration(size / 1e9);
  return (nanoseconds < 0 ? "−" : "") + text;
}

export function count(value: number): string {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

export function percent(part: number, whole: number): string {
  const share = whole > 0 ? (100 * part) / whole : 0;
  if (share <= 0) return "0 %";
  if (share < 0.01) return "<0.01 %";
  return share.toFixed(share < 0.1 ? 2 : share < 9.95 ? 1 : 0) + " %";
}

// "850 ms", "12.5 s", "2 m 05 s", "3 h 20 m".
export function duration(seconds: number): string {
  if (seconds > 0 && seconds < 1) return Math.round(seconds * 1000) + " ms";
  if (seconds < 60) return (Number.isInteger(seconds) ? seconds : seconds.toFixed(1)) + " s";
  const whole = Math.round(seconds);
  const two = (value: number) => value.toString().padStart(2, "0");
  if (whole < 3600) return Math.floor(whole / 60) + " m " + two(whole % 60) + " s";
  return Math.floor(whole / 3600) + " h " + two(Math.floor(whole / 60) % 60) + " m";
}

// Characters that turn the direction of text, or show nothing, would make a name look like another one.
const deceptive = /[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
export function visible(name: string): string {
  return name.replace(deceptive, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
}

// Names of frames and of their files come with backslashes doubled, so that those of escapes are told apart;
// people see one.
export const shown = (name: string): string => visible(name.replace(/\\\\/g, "\\"));

// A point of the run by the wall clock, in the reader's own time zone.
export function clock(seconds: number): string {
  const two = (value: number) => value.toString().padStart(2, "0");
  const at = new Date(seconds * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
