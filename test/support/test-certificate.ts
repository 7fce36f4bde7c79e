/** Certificates for tests, made on the spot: nothing that expires is kept in the repository. */
import type { webcrypto } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { CertificateFiles } from "../../hub/access/certificate.ts";

// The library finds its parts by metadata, which has to be there before it.
await import("reflect-metadata");
const { BasicConstraintsExtension, SubjectAlternativeNameExtension, X509CertificateGenerator } =
  await import("@peculiar/x509");

export type TestCertificate = { readonly cert: string; readonly key: string };

export type CertificateTerms = {
  readonly fromMs?: number;
  readonly toMs?: number;
  /** What it is for; 127.0.0.1 and localhost unless said otherwise. */
  readonly names?: readonly { readonly type: "ip" | "dns"; readonly value: string }[];
};

const DAY_MS = 86_400_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const LOOPBACK = [
  { type: "ip", value: "127.0.0.1" },
  { type: "dns", value: "localhost" },
] as const;

/** Self-signed, for 127.0.0.1 and localhost, valid from yesterday to tomorrow unless said otherwise. */
export async function testCertificate(name = "hub", terms: CertificateTerms = {}): Promise<TestCertificate> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    ...common(terms),
    extensions: [new BasicConstraintsExtension(true, undefined, true), namesOf(terms)],
  });
  return { cert: certificate.toString("pem"), key: await pemOf(keys.privateKey) };
}

/** An authority of one's own, as companies have them. */
export class TestAuthority {
  readonly cert: string;
  readonly #subject: string;
  readonly #keys: webcrypto.CryptoKeyPair;

  private constructor(cert: string, subject: string, keys: webcrypto.CryptoKeyPair) {
    this.cert = cert;
    this.#subject = subject;
    this.#keys = keys;
  }

  static async create(name = "authority"): Promise<TestAuthority> {
    const keys = await newKeys();
    const subject = `CN=${name}`;
    const extensions = [new BasicConstraintsExtension(true, undefined, true)];
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: subject,
      keys,
      ...common({}),
      extensions,
    });
    return new TestAuthority(certificate.toString("pem"), subject, keys);
  }

  async issue(terms: CertificateTerms = {}): Promise<TestCertificate> {
    const { publicKey, privateKey } = await newKeys();
    const certificate = await X509CertificateGenerator.create({
      subject: "CN=hub",
      issuer: this.#subject,
      publicKey,
      signingKey: this.#keys.privateKey,
      ...common(terms),
      extensions: [new BasicConstraintsExtension(false, undefined, true), namesOf(terms)],
    });
    return { cert: certificate.toString("pem"), key: await pemOf(privateKey) };
  }
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

function common({ fromMs = Date.now() - DAY_MS, toMs = Date.now() + DAY_MS }: CertificateTerms) {
  return { signingAlgorithm: ALGORITHM, notBefore: new Date(fromMs), notAfter: new Date(toMs) };
}

function namesOf({ names = LOOPBACK }: CertificateTerms) {
  return new SubjectAlternativeNameExtension([...names]);
}

async function pemOf(privateKey: webcrypto.CryptoKey): Promise<string> {
  const key = Buffer.from(await crypto.subtle.exportKey("pkcs8", privateKey)).toString("base64");
  const lines = key.match(/.{1,64}/g)?.join("\n") ?? "";
  return `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`;
}

/** Writes both files, the key so that only its owner can read it. */
export function writeCertificate(directory: string, { cert, key }: TestCertificate): CertificateFiles {
  const files = { certFile: path.join(directory, "hub.crt"), keyFile: path.join(directory, "hub.key") };
  writeFileSync(files.certFile, cert);
  writeFileSync(files.keyFile, key, { mode: 0o600 });
  chmodSync(files.keyFile, 0o600);
  return files;
}
