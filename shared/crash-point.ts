/**
 * Named places at which the crash tests kill a program: TRIBUTARY_CRASH_AT=name ends the process with SIGKILL there, as
 * an unplugged machine would end it. TRIBUTARY_CRASH_AT=name:5 lets the place pass four times first.
 */
export const crashPoints = [
  "hub-before-append",
  "hub-before-fsync",
  "hub-before-ack",
  "hub-before-replace",
  "agent-before-fsync",
  "agent-before-puback",
] as const;
export type CrashPoint = (typeof crashPoints)[number];

const [chosen, countText] = (process.env["TRIBUTARY_CRASH_AT"] ?? "").split(":");
let passesLeft = Number(countText ?? 1);

/** Costs one comparison where no crash is asked for. */
export function crashPoint(name: CrashPoint): void {
  if (chosen !== name) return;
  passesLeft--;
  if (passesLeft <= 0) process.kill(process.pid, "SIGKILL");
}
