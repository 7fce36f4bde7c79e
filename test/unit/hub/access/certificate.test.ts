import assert from "node:assert/strict";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { readCertificate, validityProblem } from "../../../../hub/access/certificate.ts";
import { tempDir } from "../../../support/temp-dir.ts";
import { testCertificate, writeCertificate } from "../../../support/test-certificate.ts";

const made = await testCertificate("hub.example");
const filesOf = (t: TestContext, certificate = made) => writeCertificate(tempDir(t), certificate);
const refused = (message: RegExp) => ({ code: "CERTIFICATE_INVALID", message });

suite("certificate", () => {
  test("both files are read, and what they say", async (t) => {
    const certificate = await readCertificate(filesOf(t));
    assert.equal(certificate.subject, "CN=hub.example");
    assert.ok(certificate.validFromMs < certificate.validToMs);
    assert.deepEqual([String(certificate.cert), String(certificate.key)], [made.cert, made.key]);
  });

  for (const mode of [0o640, 0o604, 0o660, 0o610, 0o644]) {
    test(`a key of mode ${mode.toString(8)} is refused, because others can use it`, async (t) => {
      const files = filesOf(t);
      chmodSync(files.keyFile, mode);
      await assert.rejects(readCertificate(files), refused(/hub\.key can be used by others .*chmod 600/));
    });
  }

  test("a key that only its owner can read is taken", async (t) => {
    const files = filesOf(t);
    chmodSync(files.keyFile, 0o400);
    await readCertificate(files);
  });

  test("a missing file, one that is no PEM, and one far too large are named", async (t) => {
    const files = filesOf(t);
    writeFileSync(files.certFile, "no certificate");
    await assert.rejects(readCertificate(files), refused(/hub\.crt cannot be used: not PEM/));
    writeFileSync(files.certFile, Buffer.alloc(2_000_000));
    await assert.rejects(readCertificate(files), refused(/hub\.crt is larger than/));
    writeFileSync(files.certFile, made.cert);
    writeFileSync(files.keyFile, made.key.slice(0, 60));
    await assert.rejects(readCertificate(files), refused(/hub\.key cannot be used: not PEM/));
    rmSync(files.keyFile);
    await assert.rejects(readCertificate(files), refused(/hub\.key cannot be read: there is no such file/));
  });

  test("the key of another certificate is refused", async (t) => {
    const other = await testCertificate("other");
    await assert.rejects(
      readCertificate(filesOf(t, { ...made, key: other.key })),
      refused(/is not that of the certificate/),
    );
  });

  test("the time at which a certificate is valid", async (t) => {
    const day = Date.parse("2026-06-15T00:00:00Z");
    const bounded = await testCertificate("hub", { fromMs: day, toMs: day + 1000 });
    const certificate = await readCertificate(filesOf(t, bounded));
    assert.match(validityProblem(certificate, day - 1) ?? "", /not valid before 2026-06-15T00:00:00/);
    assert.equal(validityProblem(certificate, day), undefined);
    assert.equal(validityProblem(certificate, day + 1000), undefined);
    assert.match(validityProblem(certificate, day + 1001) ?? "", /expired on 2026-06-15T00:00:01/);
  });
});
