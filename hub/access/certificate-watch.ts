/**
 * Keeps a certificate as fresh as its files. They are looked at again and again rather than watched by the operating
 * system: that also sees a symbolic link that is swapped (as Kubernetes does) and files on a network.
 *
 * New files that cannot be used change nothing: the certificate that was good stays, and the reason is logged once.
 */
import { stat } from "node:fs/promises";
import type { Clock } from "../../shared/clock.ts";
import { toStreamError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";
import { readCertificate, validityProblem } from "./certificate.ts";
import type { Certificate, CertificateFiles } from "./certificate.ts";

export const CHECK_INTERVAL_MS = 10_000;

export type CertificateWatchParts = {
  readonly files: CertificateFiles;
  readonly clock: Clock;
  readonly logger: Logger;
};

export class CertificateWatch {
  readonly #parts: CertificateWatchParts;
  readonly #listeners = new Set<(certificate: Certificate) => void>();
  readonly #timer: NodeJS.Timeout;
  #current: Certificate;
  /** Of the files as they were looked at last, good or not. */
  #fingerprint: string;
  #checking: Promise<void> | undefined;

  private constructor(parts: CertificateWatchParts, current: Certificate, fingerprint: string) {
    this.#parts = parts;
    this.#current = current;
    this.#fingerprint = fingerprint;
    this.#timer = setInterval(() => void this.check(), CHECK_INTERVAL_MS).unref();
    this.#warnOfValidity();
  }

  /** @throws StreamError CERTIFICATE_INVALID. */
  static async open(parts: CertificateWatchParts): Promise<CertificateWatch> {
    // Before they are read: a change in between is seen as one.
    const fingerprint = await fingerprintOf(parts.files);
    return new CertificateWatch(parts, await readCertificate(parts.files), fingerprint);
  }

  get current(): Certificate {
    return this.#current;
  }

  onChange(listener: (certificate: Certificate) => void): void {
    this.#listeners.add(listener);
  }

  /** Looks at the files now; the timer does it every CHECK_INTERVAL_MS. Never rejects. */
  check(): Promise<void> {
    // A disk that hangs must not gather checks.
    this.#checking ??= this.#check().finally(() => (this.#checking = undefined));
    return this.#checking;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#listeners.clear();
    await this.#checking;
  }

  async #check(): Promise<void> {
    const { files, logger } = this.#parts;
    const fingerprint = await fingerprintOf(files);
    if (fingerprint === this.#fingerprint) return;
    this.#fingerprint = fingerprint;
    try {
      this.#current = await readCertificate(files);
    } catch (error) {
      const { code, message, hint } = toStreamError(error);
      logger.error({ code, reason: message, hint }, "the new TLS certificate cannot be used; the old one stays");
      return;
    }
    const { subject, validToMs } = this.#current;
    logger.info({ subject, validTo: new Date(validToMs).toISOString() }, "new TLS certificate in use");
    this.#warnOfValidity();
    for (const listener of this.#listeners) listener(this.#current);
  }

  #warnOfValidity(): void {
    const { files, clock, logger } = this.#parts;
    const problem = validityProblem(this.#current, clock.wallMs());
    if (problem === undefined) return;
    const fields = { certFile: files.certFile, subject: this.#current.subject, reason: problem };
    logger.warn(fields, "clients will refuse the TLS certificate");
  }
}

/** Changes whenever one of the files is written, replaced, or reached by another link; and when its mode changes. */
async function fingerprintOf({ certFile, keyFile }: CertificateFiles): Promise<string> {
  const parts = [certFile, keyFile].map(async (file) => {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
      return [dev, ino, size, mtimeNs, ctimeNs].join(" ");
    } catch (error) {
      return String((error as NodeJS.ErrnoException).code);
    }
  });
  return (await Promise.all(parts)).join("\n");
}
