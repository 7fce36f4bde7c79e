/**
 * `npm run build`: the package to publish, in dist/, with a package.json of its own (`npm publish ./dist`).
 *
 *   tsc ▶ JavaScript ▶ what is none (routes of the demo, licence, README) ▶ package.json ▶ try it
 *
 * No declarations: the package is a command and has nothing to import.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

const repository = path.dirname(import.meta.dirname);
const dist = path.join(repository, "dist");

/** Read by the program, not imported. */
const assets = ["bin/**/*.yaml", "LICENSE", "README.md", "CHANGELOG.md"];
/** What users of the package need of package.json; the rest is for those who work on it. */
const publishedKeys = [
  "name",
  "version",
  "description",
  "license",
  "type",
  "engines",
  "dependencies",
  "optionalDependencies",
] as const;

function run(file: string, ...args: string[]): string {
  return execFileSync(file, args, { cwd: repository, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

rmSync(dist, { recursive: true, force: true });
try {
  run(path.join(repository, "node_modules", ".bin", "tsc"), "-p", "tsconfig.build.json");
} catch (error) {
  // The compiler tells on stdout what it does not like.
  process.stderr.write((error as { stdout?: string }).stdout ?? String(error));
  process.exit(1);
}

for (const asset of globSync(assets, { cwd: repository })) {
  mkdirSync(path.join(dist, path.dirname(asset)), { recursive: true });
  cpSync(path.join(repository, asset), path.join(dist, asset));
}

const manifest = JSON.parse(readFileSync(path.join(repository, "package.json"), "utf8")) as Record<string, unknown>;
const published = {
  ...Object.fromEntries(publishedKeys.map((key) => [key, manifest[key]])),
  bin: { tributary: "bin/tributary.js" },
};
writeFileSync(path.join(dist, "package.json"), `${JSON.stringify(published, null, 2)}\n`);

const program = path.join(dist, "bin", "tributary.js");
chmodSync(program, 0o755);
const version = run(process.execPath, program, "--version").trim();
process.stdout.write(`dist/ holds tributary ${version}; npm publish ./dist publishes it\n`);
