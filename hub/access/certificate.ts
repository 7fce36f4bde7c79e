/** A TLS certificate with its key, read from two PEM files and checked before anybody is served with it. */
import { X509Certificate, createPrivateKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { StreamError } from "../../shared/errors.ts";
import { describeReadError } from "../../shared/config/config-file.ts";

export type CertificateFiles = {
  /** The hub's certificate; those of its issuers may follow. */
  readonly certFile: string;
  readonly keyFile: string;
};

export type Certificate = {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly subject: string;
  readonly validFromMs: number;
  readonly validToMs: number;
};

/** Longer files are no certificates: a path to something else. */
const FILE_BYTES_MAX = 1024 * 1024;
const GROUP_AND_OTHERS = 0o077;

/** @throws StreamError CERTIFICATE_INVALID, which names the file and what is wrong with it. */
export async function readCertificate({ certFile, keyFile }: CertificateFiles): Promise<Certificate> {
  const cert = await readPem(certFile);
  const key = await readPem(keyFile);
  await checkPrivate(keyFile);
  const parsed = parse(certFile, () => new X509Certificate(cert));
  const privateKey = parse(keyFile, () => createPrivateKey(key));
  if (!belongsTo(parsed, privateKey)) {
    throw invalid(`the key in ${keyFile} is not that of the certificate in ${certFile}`);
  }
  return {
    cert,
    key,
    subject: parsed.subject.replaceAll("\n", ", "),
    validFromMs: parsed.validFromDate.getTime(),
    validToMs: parsed.validToDate.getTime(),
  };
}

/** Why clients will refuse the certificate at this time; undefined when they have no reason in it. */
export function validityProblem({ validFromMs, validToMs }: Certificate, nowMs: number): string | undefined {
  if (nowMs > validToMs) return `it expired on ${new Date(validToMs).toISOString()}`;
  if (nowMs < validFromMs) {
    return `it is not valid before ${new Date(validFromMs).toISOString()}; perhaps this machine's clock is wrong`;
  }
  return undefined;
}

async function readPem(file: string): Promise<Buffer> {
  try {
    const { size } = await stat(file);
    if (size > FILE_BYTES_MAX) throw invalid(`${file} is larger than ${FILE_BYTES_MAX} bytes`);
    return await readFile(file);
  } catch (error) {
    if (error instanceof StreamError) throw error;
    throw invalid(`${file} cannot be read: ${describeReadError(error)}`, error);
  }
}

/** A key that others can read is no secret. Windows has no such bits. */
async function checkPrivate(keyFile: string): Promise<void> {
  const { mode } = await stat(keyFile);
  if (process.platform === "win32" || (mode & GROUP_AND_OTHERS) === 0) return;
  const bits = (mode & 0o777).toString(8).padStart(4, "0");
  throw invalid(`${keyFile} can be used by others than its owner (mode ${bits}); chmod 600 ${keyFile}`);
}

function parse<Parsed>(file: string, read: () => Parsed): Parsed {
  try {
    return read();
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === "ERR_MISSING_PASSPHRASE" ? "it is encrypted" : "not PEM";
    throw invalid(`${file} cannot be used: ${reason}`, error);
  }
}

function belongsTo(certificate: X509Certificate, key: KeyObject): boolean {
  try {
    return certificate.checkPrivateKey(key);
  } catch {
    return false;
  }
}

function invalid(problem: string, cause?: unknown): StreamError {
  return new StreamError("CERTIFICATE_INVALID", problem, { cause });
}
