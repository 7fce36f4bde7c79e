/**
 * The authorities that a hub's certificate may come from, where they are not the system's: a PEM file, read at every
 * attempt to connect, so that a new one counts without a restart. While it cannot be used nobody is trusted, and the
 * agent keeps its records.
 */
import { X509Certificate } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { describeReadError } from "../../shared/config/config-file.ts";
import { StreamError } from "../../shared/errors.ts";

/** The system's own authorities are a third of it; longer files are something else. */
export const AUTHORITIES_BYTES_MAX = 1024 * 1024;
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** @throws StreamError CERTIFICATE_INVALID, which names the file and what is wrong with it. */
export async function readAuthorities(file: string): Promise<readonly string[]> {
  const certificates = (await read(file)).match(PEM_CERTIFICATE) ?? [];
  if (certificates.length === 0) throw invalid(`${file} holds no certificate in PEM form`);
  for (const [index, pem] of certificates.entries()) {
    try {
      void new X509Certificate(pem);
    } catch (error) {
      throw invalid(`certificate ${index + 1} in ${file} is damaged`, error);
    }
  }
  return certificates;
}

async function read(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > AUTHORITIES_BYTES_MAX) throw invalid(`${file} is larger than ${AUTHORITIES_BYTES_MAX} bytes`);
    return await readFile(file, "latin1");
  } catch (error) {
    if (error instanceof StreamError) throw error;
    throw invalid(`${file} cannot be read: ${describeReadError(error)}`, error);
  }
}

function invalid(problem: string, cause?: unknown): StreamError {
  const hint = "Name a PEM file with the authority's certificate in uplink.caFile; it is read again at every attempt.";
  return new StreamError("CERTIFICATE_INVALID", problem, { cause, hint });
}
