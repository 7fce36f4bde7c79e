/**
 * The URL of a worker file beside the module that starts it: `.ts` when run unbuilt, `.js` in the published package.
 * `name` is relative to `moduleUrl` and has no extension.
 */
export function workerFile(moduleUrl: string, name: string): URL {
  const extension = moduleUrl.endsWith(".ts") ? ".ts" : ".js";
  return new URL(`${name}${extension}`, moduleUrl);
}
