// Builds web/dist/page.html, the page without data, out of src/ and the pinned libraries.
//
//   node build.mjs           writes it
//   node build.mjs --check   says whether the one that is there is what the sources make
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const output = join(here, "dist", "page.html");
const read = (...path) => readFileSync(join(here, ...path), "utf8");

// Of everything that is bundled; the page shows it.
function licences() {
  const { dependencies } = JSON.parse(read("package.json"));
  return Object.keys(dependencies).map((name) => {
    const { version, license } = JSON.parse(read("node_modules", name, "package.json"));
    return `${name} ${version} (${license})\n\n${read("node_modules", name, "LICENSE").trim()}\n`;
  }).join("\n\n");
}

const plugin = {
  name: "licences",
  setup(esbuild) {
    esbuild.onResolve({ filter: /licences\.txt$/ }, () => ({ path: "licences", namespace: "licences" }));
    esbuild.onLoad({ filter: /.*/, namespace: "licences" }, () => ({ contents: licences(), loader: "text" }));
  },
};

async function bundle(options) {
  const done = await build({ absWorkingDir: here, bundle: true, minify: true, write: false, charset: "ascii", legalComments: "none", logLevel: "warning", ...options });
  return done.outputFiles[0].text.trim();
}

// A script element ends at the first of these, even inside a string.
function inline(text, end) {
  if (text.toLowerCase().includes(end) || text.includes("<!--")) throw new Error("the bundle would end its own element: " + end);
  return text;
}

const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

async function page() {
  const script = inline(await bundle({ entryPoints: ["src/main.ts"], format: "iife", target: "es2020", plugins: [plugin] }), "</script");
  const style = inline(read("node_modules", "uplot", "dist", "uPlot.min.css") +
    (await bundle({ stdin: { contents: read("src", "style.css"), loader: "css" }, target: "chrome111" })), "</style");
  const parts = { "@SCRIPT_HASH@": hash(script), "@STYLE_HASH@": hash(style), "@STYLE@": style, "@SCRIPT@": script };
  return read("src", "page.html").replace(/@[A-Z_]+@/g, (name) => parts[name]);
}

const built = await page();
if (process.argv.includes("--check")) {
  if (built !== read("dist", "page.html")) {
    console.error("web/dist/page.html is not what web/src makes: run `npm run build` in web/ and commit the result");
    process.exit(1);
  }
  console.log("web/dist/page.html is what web/src makes");
} else {
  writeFileSync(output, built);
  console.log(`wrote ${output}, ${built.length} bytes`);
}
