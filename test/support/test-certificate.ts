/** Certificates for tests, made on the spot: nothing that expires is kept in the repository. */
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { CertificateFiles } from "../../hub/access/certificate.ts";

// The library finds its parts by metadata, which has to be there before it.
await import("reflect-metadata");
const { BasicConstraintsExtension, SubjectAlternativeNameExtension, X509CertificateGenerator } =
  await import("@peculiar/x509");

export type TestCertificate = { readonly cert: string; readonly key: string };

const DAY_MS = 86_400_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** Self-signed, for 127.0.0.1 and localhost, valid from yesterday to tomorrow unless said otherwise. */
export async function testCertificate(
  name = "hub",
  { fromMs = Date.now() - DAY_MS, toMs = Date.now() + DAY_MS }: { fromMs?: number; toMs?: number } = {},
): Promise<TestCertificate> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(fromMs),
    notAfter: new Date(toMs),
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new SubjectAlternativeNameExtension([
        { type: "ip", value: "127.0.0.1" },
        { type: "dns", value: "localhost" },
      ]),
    ],
  });
  const key = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  const lines = key.match(/.{1,64}/g)?.join("\n") ?? "";
  return {
    cert: certificate.toString("pem"),
    key: `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`,
  };
}

/** Writes both files, the key so that only its owner can read it. */
export function writeCertificate(directory: string, { cert, key }: TestCertificate): CertificateFiles {
  const files = { certFile: path.join(directory, "hub.crt"), keyFile: path.join(directory, "hub.key") };
  writeFileSync(files.certFile, cert);
  writeFileSync(files.keyFile, key, { mode: 0o600 });
  chmodSync(files.keyFile, 0o600);
  return files;
}
