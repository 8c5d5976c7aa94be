// The data inside the page, schema memspy.page/1 (docs/json.md), and how it is unpacked.
import { gunzipSync } from "fflate";

export interface Head {
  memspy_version: string; mode: string; engine: string; engine_reason: string;
  start_time: string; host: string; kernel: string; note?: string;
  wall_start_milliseconds: number; interval_seconds: number; begin_seconds: number; end_seconds: number; gross: boolean;
  processes: { process: number; pid: number; name: string; python_version: string; executable: string }[];
  gaps: { time_seconds: number; duration_seconds: number; reason: string; samples: number }[];
  words: { title: string; verdict: string; evidence: string; loss: string };
}
export type Steps = (number | null)[];
export interface RunData {
  head: Head;
  frames: { function: string[]; file: number[]; line: number[]; kind: number[]; module: number[]; modules: string[]; files: { path: string; name: string }[] };
  nodes: { above: number[]; frame: number[] };
  growth?: { bucket_seconds: number; bucket: number[]; node: number[]; touched_bytes: number[]; returned_bytes: number[]; samples: number[] };
  unattributed?: { bucket: number[]; process: number[]; node: number[]; bytes: number[] };
  // Mode alloc has these in their place.
  allocation?: { bucket_seconds: number; bucket: number[]; node: number[]; nanoseconds: number[]; samples: number[] };
  user_cpu?: { bucket: number[]; nanoseconds: number[] };
  series: { process: number; microseconds: number[]; thousandths: string[]; columns: Record<string, Steps> }[];
}
export interface HeapDocument {
  pid: number; name: string; source: string; python: string; time: string; pause_seconds: number; rss_bytes: number;
  objects: { count: number; bytes: number };
  types: { type: string; count: number; bytes: number; retained_bytes: number }[];
  owners: { owner: string; bytes: number; count: number }[];
  largest?: { type: string; address: string; bytes: number; retained_bytes: number; where: string }[];
  ledger: { row: string; bytes: number; note?: string }[];
  garbage: { count: number; bytes: number };
  verdict: string;
}
export interface HeapData {
  document: HeapDocument | null; names: string[];
  lengths: number[]; frames: number[]; bytes: number[]; objects: number[];
}
export interface SourceData { file: string; newer: boolean; lines: { number: number; text: string }[] }
export interface AlertData { time_seconds: number; name: string; state: string; when: string }
export interface PageData { alerts?: AlertData[]; warning?: string; schema: string; run?: RunData; base?: RunData; comparison?: string; heap?: HeapData; sources?: SourceData[] }

// memspy.targets/1, as far as it is shown.
export interface TargetData {
  pid: number; service: string; name: string; growth_bytes_per_minute: number | null; alerts_firing: string[];
  figures: { rss_bytes?: number; cgroup_usage_bytes?: number; cgroup_limit_bytes?: number };
  tracer: { state: string; reason: string; trouble: string };
}
export interface TargetsData { targets: TargetData[] }

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const raw = atob(text);
  const data = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; ++i) data[i] = raw.charCodeAt(i);
  return data;
}

async function inflate(packed: Uint8Array<ArrayBuffer>): Promise<string> {
  if (typeof DecompressionStream === "undefined") return new TextDecoder().decode(gunzipSync(packed));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

export async function unpack(base64: string): Promise<PageData> {
  const data = JSON.parse(await inflate(fromBase64(base64))) as PageData;
  if (data.schema !== "memspy.page/1") throw new Error("this is not a page of memspy's: " + data.schema);
  return data;
}

// Each less the one before it, back to values; null stays.
export function sumSteps(steps: Steps, scale = 1): (number | null)[] {
  let sum = 0;
  return steps.map((step) => step === null ? null : (sum += step) / scale);
}
export function sumInto(steps: number[]): Int32Array {
  const out = new Int32Array(steps.length);
  let sum = 0;
  for (let i = 0; i < steps.length; ++i) out[i] = sum += steps[i]!;
  return out;
}
