/**
 * A real ext4 of its own, in a file, whose power can be cut: the kernel's EXT4_IOC_SHUTDOWN stops the file system between
 * two of its own writes and throws away what was not flushed, journal included. Mounted again, it recovers as after a
 * power cut. Takes root on Linux and a loop device.
 *
 * Not the same as the replayed journals of this directory: there the disk is a model and every write a place to cut; here
 * the file system is real, and the place is chance.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { onCleanUp } from "../../support/clean-up.ts";
import type { After } from "../../support/clean-up.ts";
import { tempDir } from "../../support/temp-dir.ts";

const IMAGE_BYTES = 512 * 1024 * 1024;
/** _IOR('X', 125, __u32) with EXT4_GOING_FLAGS_NOLOGFLUSH (fs/ext4/ext4.h); Node has no ioctl. */
const CUT = `
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))
`;

export class Ext4Disk {
  /** Where it is mounted. */
  readonly directory: string;
  readonly #image: string;

  private constructor(directory: string, image: string) {
    this.directory = directory;
    this.#image = image;
  }

  /** Mounted and empty. */
  static make(t: After): Ext4Disk {
    const home = tempDir(t);
    const disk = new Ext4Disk(path.join(home, "disk"), path.join(home, "image"));
    mkdirSync(disk.directory);
    writeFileSync(disk.#image, "");
    truncateSync(disk.#image, IMAGE_BYTES);
    execFileSync("mkfs.ext4", ["-q", "-F", disk.#image], {
      env: withSystemPrograms(),
      stdio: ["ignore", "ignore", "pipe"],
    });
    disk.mount();
    onCleanUp(t, () => spawnSync("umount", ["--lazy", disk.directory]));
    return disk;
  }

  mount(): void {
    execFileSync("mount", ["-o", "loop", this.#image, this.directory], { stdio: ["ignore", "ignore", "pipe"] });
  }

  /** From now on every write fails, and what was not flushed is gone. */
  cut(): void {
    execFileSync("python3", ["-c", CUT, this.directory], { stdio: ["ignore", "ignore", "pipe"] });
  }

  /** As after an error that the file system cannot get over: reads go on, and nothing is written any more. */
  abort(): void {
    const options = "remount,errors=remount-ro,abort";
    execFileSync("mount", ["-o", options, this.directory], { stdio: ["ignore", "ignore", "pipe"] });
  }

  /** The power is back. Whatever used the disk has ended. */
  remount(): void {
    execFileSync("umount", [this.directory], { stdio: ["ignore", "ignore", "pipe"] });
    this.mount();
  }
}

/** Why this machine has no such disk. */
export function obstacleToExt4(t: After): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "It takes root on Linux";
  try {
    const disk = Ext4Disk.make(t);
    disk.cut();
    disk.remount();
    return undefined;
  } catch (error) {
    return `No file system of one's own here: ${String((error as { stderr?: unknown }).stderr ?? error).trim()}`;
  }
}

/** mkfs.ext4 is not on everybody's path. */
function withSystemPrograms(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` };
}
