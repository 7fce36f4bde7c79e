import assert from "node:assert/strict";
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { pino } from "pino";
import { CHECK_INTERVAL_MS, CertificateWatch } from "../../../../hub/access/certificate-watch.ts";
import type { Certificate, CertificateFiles } from "../../../../hub/access/certificate.ts";
import { systemClock } from "../../../../shared/clock.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { tempDir } from "../../../support/temp-dir.ts";
import { testCertificate, writeCertificate } from "../../../support/test-certificate.ts";

type LogLine = { readonly level: number; readonly msg: string; readonly code?: string; readonly reason?: string };

const WARN = 40;
const first = await testCertificate("first");
const second = await testCertificate("second");

async function watch(t: TestContext, files: CertificateFiles, clock = systemClock) {
  const lines: LogLine[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as LogLine) });
  const watched = await CertificateWatch.open({ files, clock, logger });
  onCleanUp(t, () => watched.close());
  const seen: Certificate[] = [];
  watched.onChange((certificate) => seen.push(certificate));
  return { watched, seen, lines, subject: () => watched.current.subject };
}

suite("certificate watch", () => {
  test("new files are told of once; the same ones are not", async (t) => {
    const directory = tempDir(t);
    const { watched, seen, subject } = await watch(t, writeCertificate(directory, first));
    await watched.check();
    assert.equal(seen.length, 0);
    writeCertificate(directory, second);
    await watched.check();
    await watched.check();
    assert.deepEqual([seen.length, subject()], [1, "CN=second"]);
  });

  test("a symbolic link that is swapped is seen, as Kubernetes does it", async (t) => {
    const directory = tempDir(t);
    for (const [name, certificate] of [
      ["v1", first],
      ["v2", second],
    ] as const) {
      mkdirSync(path.join(directory, name));
      writeCertificate(path.join(directory, name), certificate);
    }
    const current = path.join(directory, "current");
    symlinkSync("v1", current);
    const files = { certFile: path.join(current, "hub.crt"), keyFile: path.join(current, "hub.key") };
    const { watched, subject } = await watch(t, files);
    symlinkSync("v2", `${current}.next`);
    renameSync(`${current}.next`, current);
    await watched.check();
    assert.equal(subject(), "CN=second");
  });

  test("files that cannot be used leave the old certificate; that is logged once, and mended files are taken", async (t) => {
    const directory = tempDir(t);
    const { watched, seen, lines, subject } = await watch(t, writeCertificate(directory, first));
    // The certificate is there before its key: between the two writes nothing fits.
    writeFileSync(path.join(directory, "hub.crt"), second.cert);
    await watched.check();
    await watched.check();
    assert.deepEqual([seen.length, subject()], [0, "CN=first"]);
    assert.deepEqual(
      lines.map(({ code }) => code),
      ["CERTIFICATE_INVALID"],
    );
    writeCertificate(directory, second);
    await watched.check();
    assert.deepEqual([seen.length, subject()], [1, "CN=second"]);
  });

  test("a certificate that is not valid now is served, with a warning", async (t) => {
    const clock = { ...systemClock, wallMs: () => Date.parse("2001-01-01T00:00:00Z") };
    const { lines } = await watch(t, writeCertificate(tempDir(t), first), clock);
    assert.deepEqual([lines[0]?.level, lines[0]?.msg], [WARN, "clients will refuse the TLS certificate"]);
    assert.match(lines[0]?.reason ?? "", /not valid before/);
  });

  test("the files are looked at every CHECK_INTERVAL_MS, until it is closed", async (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    const directory = tempDir(t);
    const { watched, subject } = await watch(t, writeCertificate(directory, first));
    writeCertificate(directory, second);
    t.mock.timers.tick(CHECK_INTERVAL_MS);
    // Joins the check that the timer began.
    await watched.check();
    assert.equal(subject(), "CN=second");
    await watched.close();
    writeCertificate(directory, first);
    t.mock.timers.tick(CHECK_INTERVAL_MS);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(subject(), "CN=second");
  });

  test("the hub does not start with files that cannot be used", async (t) => {
    const files = writeCertificate(tempDir(t), { cert: first.cert, key: second.key });
    await assert.rejects(watch(t, files), { code: "CERTIFICATE_INVALID" });
  });
});
