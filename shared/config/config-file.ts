/** The YAML file of a configuration: its values, and where in the file each of them stands. */
import { readFileSync, statSync } from "node:fs";
import { LineCounter, isMap, isNode, isPair, isScalar, parseDocument } from "yaml";
import type { Document } from "yaml";
import type { ConfigPath } from "./config-rows.ts";
import type { ConfigProblem } from "./config-problem.ts";

/** A configuration is written by hand; larger is a mistake, such as a path to the data. */
const FILE_BYTES_MAX = 1024 * 1024;

export type FilePosition = { readonly line: number; readonly column: number };

export class ConfigFile {
  readonly name: string;
  readonly values: unknown;
  readonly problems: readonly ConfigProblem[];
  readonly #document: Document | undefined;
  readonly #lines = new LineCounter();

  private constructor(name: string, text: string | undefined, problem?: string) {
    this.name = name;
    if (text === undefined) {
      this.problems = problem === undefined ? [] : [{ source: name, path: "", text: problem }];
      return;
    }
    const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    this.problems = document.errors.map((error) => {
      const { line, col } = this.#lines.linePos(error.pos[0]);
      return { source: name, line, column: col, path: "", text: error.message };
    });
    // Values of a file that could not be read in full would only give mistakes that are none.
    if (this.problems.length > 0) return;
    this.#document = document;
    this.values = document.toJS() as unknown;
  }

  /** Never throws: what is wrong with the file is among `problems`. */
  static read(name: string): ConfigFile {
    try {
      const { size } = statSync(name);
      if (size > FILE_BYTES_MAX) return new ConfigFile(name, undefined, `is larger than ${FILE_BYTES_MAX} bytes`);
      return new ConfigFile(name, readFileSync(name, "utf8"));
    } catch (error) {
      return new ConfigFile(name, undefined, `cannot be read: ${describeReadError(error)}`);
    }
  }

  static parse(name: string, text: string): ConfigFile {
    return new ConfigFile(name, text);
  }

  /** Of the value at `path`, or of the nearest part around it that the file has; undefined when it has none. */
  positionOf(path: ConfigPath): FilePosition | undefined {
    for (let length = path.length; length > 0; length--) {
      const offset = this.#offsetOf(path.slice(0, length));
      if (offset !== undefined) return this.#position(offset);
    }
    return undefined;
  }

  /** The key itself where there is one: that is where a misspelt one has to be mended. */
  #offsetOf(path: ConfigPath): number | undefined {
    const parent = path.length === 1 ? this.#document?.contents : this.#document?.getIn(path.slice(0, -1), true);
    const key = path.at(-1);
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === key);
      return isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
    }
    const node = this.#document?.getIn(path, true);
    return isNode(node) ? node.range?.[0] : undefined;
  }

  #position(offset: number): FilePosition {
    const { line, col } = this.#lines.linePos(offset);
    return { line, column: col };
  }
}

/** The reason in words; also for other files that a configuration names. */
export function describeReadError(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EISDIR") return "it is a directory";
  if (code === "EACCES") return "permission denied";
  return message;
}
