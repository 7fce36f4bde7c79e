/**
 * The codecs that come as WebAssembly, loaded when the first batch needs them: 2 MB in each thread that an agent, which
 * speaks zstd alone, never uses.
 */
import { createRequire } from "node:module";
import type * as wasmUtils from "@platformatic/wasm-utils";

type WasmCodecs = typeof wasmUtils;

let loaded: WasmCodecs | undefined;

export function wasmCodecs(): WasmCodecs {
  loaded ??= createRequire(import.meta.url)("@platformatic/wasm-utils") as WasmCodecs;
  return loaded;
}
