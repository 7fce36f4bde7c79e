/*
 * Journals what a program does to the files below one directory, for a replayer that builds what a power cut would leave, and
 * makes chosen calls fail. Loaded with LD_PRELOAD into the program under test; configured by its environment:
 *
 *   POWER_DIR      the directory, absolute and without symbolic links
 *   POWER_JOURNAL  the journal, outside of it; appended to, so that several lives of a program share one
 *   POWER_CONTROL  optional: a file with a `struct control` that the test changes while the program runs
 *
 * Each entry is appended by one writev, so a SIGKILL leaves a readable prefix, and entries of other processes (the test's
 * notes of what was acknowledged) fall into the same order. A change is journalled in the same critical section in which
 * it is made, so the order of entries is that of the changes. A flush is journalled twice: it covers the changes before its
 * `begin`, and only once its `end` is there.
 *
 * No table of descriptors is kept: libuv closes by raw system calls that nobody sees. /proc/self/fd tells what a
 * descriptor is when it is used. Memory-mapped writes are not seen; SQLite makes them to its -shm file only, which it builds
 * anew after a power cut.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* As test/crash/power/journal.ts reads them. */
enum kind { WRITE = 1, TRUNCATE, CREATE, RENAME, UNLINK, MKDIR, RMDIR, SYNC_BEGIN, SYNC_END, SYNC_LOST };

struct header {
  uint32_t length; /* of the entry, this header included */
  uint16_t kind;
  uint16_t path_length; /* relative to POWER_DIR; the data follow it */
  uint64_t offset;      /* of a write; the new size for a truncation; 1 for fdatasync */
  uint64_t flush;       /* pairs SYNC_BEGIN with SYNC_END */
};

/* As test/crash/power/faults.ts writes it. Zero is: no fault. */
struct control {
  uint32_t sync_fail_from;     /* flushes from this one on (1: the next) fail with EIO; counts down to 1 */
  uint32_t sync_fail_count;    /* so many of them */
  uint32_t sync_delay_ms;      /* each flush takes this much longer */
  uint32_t sync_lost_percent;  /* of the flushes answer without having been made */
  uint32_t write_errno;        /* whatever changes a file fails with it */
  uint32_t read_errno;         /* reads that touch the range of the file fail with it */
  uint64_t read_from, read_to;
  char read_name[64];          /* the file's name without directories */
  _Atomic uint64_t injected;   /* calls that failed, or flushes that were lost */
};

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static char directory[PATH_MAX];
static size_t directory_length;
static int journal = -1;
static struct control none;
static volatile struct control *control = &none;
static _Atomic uint64_t flush_count;
static _Atomic uint32_t random_state = 0x9e3779b9U;

#define REAL(type, name, parameters)                                          \
  static type(*real_##name) parameters;                                       \
  if (real_##name == NULL) *(void **)(&real_##name) = dlsym(RTLD_NEXT, #name)

__attribute__((noreturn)) static void give_up(const char *what) {
  fprintf(stderr, "power.c: %s: %s\n", what, strerror(errno));
  abort();
}

__attribute__((constructor)) static void set_up(void) {
  const char *directory_name = getenv("POWER_DIR"), *journal_name = getenv("POWER_JOURNAL");
  if (directory_name == NULL || journal_name == NULL) return;
  directory_length = strlen(directory_name);
  if (directory_length >= sizeof directory) give_up("POWER_DIR is too long");
  memcpy(directory, directory_name, directory_length + 1);
  REAL(int, open, (const char *, int, ...));
  journal = real_open(journal_name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (journal < 0) give_up(journal_name);
  const char *control_name = getenv("POWER_CONTROL");
  if (control_name == NULL) return;
  int handle = real_open(control_name, O_RDWR | O_CLOEXEC);
  void *mapped = handle < 0 ? MAP_FAILED : mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
  if (mapped == MAP_FAILED) give_up(control_name);
  control = mapped;
  close(handle);
}

/* The path below the directory, or NULL. */
static const char *below(const char *path) {
  if (journal < 0 || strncmp(path, directory, directory_length) != 0) return NULL;
  if (path[directory_length] == '\0') return path + directory_length;
  return path[directory_length] == '/' ? path + directory_length + 1 : NULL;
}

/* Where the file of a descriptor is, below the directory; NULL when it is not there, or has no name any more. */
static const char *path_of(int handle, char buffer[PATH_MAX]) {
  if (journal < 0) return NULL;
  char link[32];
  int saved = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
  ssize_t length = readlink(link, buffer, PATH_MAX - 1);
  errno = saved;
  if (length < 0) return NULL;
  buffer[length] = '\0';
  static const char gone[] = " (deleted)";
  size_t gone_length = sizeof gone - 1;
  if ((size_t)length > gone_length && strcmp(buffer + length - gone_length, gone) == 0) return NULL;
  return below(buffer);
}

/* The same for a name, whose last part need not exist. */
static const char *path_at(int base, const char *name, char buffer[PATH_MAX]) {
  if (journal < 0) return NULL;
  char full[PATH_MAX], parent[PATH_MAX];
  int saved = errno;
  if (name[0] == '/' || base == AT_FDCWD) {
    if (snprintf(full, sizeof full, "%s", name) >= (int)sizeof full) return NULL;
  } else {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", base);
    ssize_t length = readlink(link, parent, sizeof parent - 1);
    errno = saved;
    if (length < 0) return NULL;
    parent[length] = '\0';
    if (snprintf(full, sizeof full, "%s/%s", parent, name) >= (int)sizeof full) return NULL;
  }
  size_t end = strlen(full);
  while (end > 1 && full[end - 1] == '/') full[--end] = '\0';
  char *slash = strrchr(full, '/');
  const char *last = slash == NULL ? full : slash + 1;
  if (slash != NULL) *slash = '\0';
  const char *real = realpath(slash == NULL ? "." : slash == full ? "/" : full, parent);
  errno = saved;
  if (real == NULL || snprintf(buffer, PATH_MAX, "%s/%s", real, last) >= PATH_MAX) return NULL;
  return below(buffer);
}

static void append(enum kind kind, const char *path, uint64_t offset, uint64_t flush, const struct iovec *data,
                   int count, size_t length) {
  struct iovec parts[2 + IOV_MAX];
  struct header header = {.kind = (uint16_t)kind, .path_length = (uint16_t)strlen(path), .offset = offset, .flush = flush};
  header.length = (uint32_t)(sizeof header + header.path_length + length);
  parts[0] = (struct iovec){&header, sizeof header};
  parts[1] = (struct iovec){(void *)(uintptr_t)path, header.path_length};
  int used = 2;
  /* What was written may be less than what was asked for. */
  for (int index = 0; index < count && length > 0; index++) {
    size_t part = data[index].iov_len < length ? data[index].iov_len : length;
    parts[used++] = (struct iovec){data[index].iov_base, part};
    length -= part;
  }
  int saved = errno;
  REAL(ssize_t, writev, (int, const struct iovec *, int));
  if (real_writev(journal, parts, used) != (ssize_t)header.length) give_up("the journal");
  errno = saved;
}

static void append_name(enum kind kind, const char *path, const char *other) {
  struct iovec data = {(void *)(uintptr_t)other, other == NULL ? 0 : strlen(other)};
  append(kind, path, 0, 0, &data, 1, data.iov_len);
}

/* Whether the call is to fail: sets errno. */
static int fails(uint32_t number) {
  if (number == 0) return 0;
  control->injected++;
  errno = (int)number;
  return 1;
}

/* `at` < 0: at the descriptor's own position, which is the end of the file after an O_APPEND. */
static ssize_t journalled(int handle, const struct iovec *data, int count, off_t at, const char *path,
                          ssize_t (*change)(int, const struct iovec *, int, off_t)) {
  if (fails(control->write_errno)) return -1;
  pthread_mutex_lock(&order);
  ssize_t done = change(handle, data, count, at);
  if (done > 0) {
    off_t offset = at >= 0 ? at : lseek(handle, 0, SEEK_CUR) - done;
    append(WRITE, path, (uint64_t)offset, 0, data, count, (size_t)done);
  }
  pthread_mutex_unlock(&order);
  return done;
}

static ssize_t plain_writev(int handle, const struct iovec *data, int count, off_t at) {
  (void)at;
  REAL(ssize_t, writev, (int, const struct iovec *, int));
  return real_writev(handle, data, count);
}

static ssize_t plain_pwritev(int handle, const struct iovec *data, int count, off_t at) {
  REAL(ssize_t, pwritev, (int, const struct iovec *, int, off_t));
  return real_pwritev(handle, data, count, at);
}

ssize_t writev(int handle, const struct iovec *data, int count) {
  char buffer[PATH_MAX];
  const char *path = path_of(handle, buffer);
  if (path == NULL) return plain_writev(handle, data, count, 0);
  return journalled(handle, data, count, -1, path, plain_writev);
}

ssize_t write(int handle, const void *bytes, size_t length) {
  char buffer[PATH_MAX];
  const char *path = path_of(handle, buffer);
  REAL(ssize_t, write, (int, const void *, size_t));
  if (path == NULL) return real_write(handle, bytes, length);
  struct iovec data = {(void *)(uintptr_t)bytes, length};
  return journalled(handle, &data, 1, -1, path, plain_writev);
}

ssize_t pwritev(int handle, const struct iovec *data, int count, off_t at) {
  char buffer[PATH_MAX];
  const char *path = path_of(handle, buffer);
  if (path == NULL) return plain_pwritev(handle, data, count, at);
  return journalled(handle, data, count, at, path, plain_pwritev);
}

ssize_t pwritev64(int handle, const struct iovec *data, int count, off64_t at) { return pwritev(handle, data, count, at); }

ssize_t pwrite(int handle, const void *bytes, size_t length, off_t at) {
  struct iovec data = {(void *)(uintptr_t)bytes, length};
  return pwritev(handle, &data, 1, at);
}

ssize_t pwrite64(int handle, const void *bytes, size_t length, off64_t at) { return pwrite(handle, bytes, length, at); }

static ssize_t failing_read(int handle, size_t length, off_t at) {
  if (control->read_errno == 0) return 0;
  char buffer[PATH_MAX], wanted[sizeof none.read_name];
  const char *path = path_of(handle, buffer);
  if (path == NULL) return 0;
  const char *slash = strrchr(path, '/');
  for (size_t index = 0; index < sizeof wanted; index++) wanted[index] = control->read_name[index];
  wanted[sizeof wanted - 1] = '\0';
  if (strcmp(slash == NULL ? path : slash + 1, wanted) != 0) return 0;
  if ((uint64_t)at >= control->read_to || (uint64_t)at + length <= control->read_from) return 0;
  return fails(control->read_errno);
}

ssize_t pread(int handle, void *bytes, size_t length, off_t at) {
  REAL(ssize_t, pread, (int, void *, size_t, off_t));
  return failing_read(handle, length, at) ? -1 : real_pread(handle, bytes, length, at);
}

ssize_t pread64(int handle, void *bytes, size_t length, off64_t at) { return pread(handle, bytes, length, at); }

ssize_t read(int handle, void *bytes, size_t length) {
  REAL(ssize_t, read, (int, void *, size_t));
  if (control->read_errno != 0) {
    off_t at = lseek(handle, 0, SEEK_CUR);
    if (at >= 0 && failing_read(handle, length, at)) return -1;
  }
  return real_read(handle, bytes, length);
}

int ftruncate(int handle, off_t size) {
  char buffer[PATH_MAX];
  const char *path = path_of(handle, buffer);
  REAL(int, ftruncate, (int, off_t));
  if (path == NULL) return real_ftruncate(handle, size);
  if (fails(control->write_errno)) return -1;
  pthread_mutex_lock(&order);
  int failed = real_ftruncate(handle, size);
  if (failed == 0) append(TRUNCATE, path, (uint64_t)size, 0, NULL, 0, 0);
  pthread_mutex_unlock(&order);
  return failed;
}

int ftruncate64(int handle, off64_t size) { return ftruncate(handle, size); }

int truncate(const char *name, off_t size) {
  char buffer[PATH_MAX];
  const char *path = path_at(AT_FDCWD, name, buffer);
  REAL(int, truncate, (const char *, off_t));
  if (path == NULL) return real_truncate(name, size);
  if (fails(control->write_errno)) return -1;
  pthread_mutex_lock(&order);
  int failed = real_truncate(name, size);
  if (failed == 0) append(TRUNCATE, path, (uint64_t)size, 0, NULL, 0, 0);
  pthread_mutex_unlock(&order);
  return failed;
}

int truncate64(const char *name, off64_t size) { return truncate(name, size); }

/* An allocation is at most a longer file to us. */
int fallocate(int handle, int mode, off_t at, off_t length) {
  char buffer[PATH_MAX];
  const char *path = path_of(handle, buffer);
  REAL(int, fallocate, (int, int, off_t, off_t));
  if (path == NULL) return real_fallocate(handle, mode, at, length);
  if (fails(control->write_errno)) return -1;
  /* Punched holes are not replayed. */
  if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0) return errno = EOPNOTSUPP, -1;
  struct stat before;
  pthread_mutex_lock(&order);
  int failed = fstat(handle, &before) != 0 || real_fallocate(handle, mode, at, length) != 0 ? -1 : 0;
  if (failed == 0 && mode == 0 && at + length > before.st_size)
    append(TRUNCATE, path, (uint64_t)(at + length), 0, NULL, 0, 0);
  pthread_mutex_unlock(&order);
  return failed;
}

int fallocate64(int handle, int mode, off64_t at, off64_t length) { return fallocate(handle, mode, at, length); }

int posix_fallocate(int handle, off_t at, off_t length) { return fallocate(handle, 0, at, length) == 0 ? 0 : errno; }

int posix_fallocate64(int handle, off64_t at, off64_t length) { return posix_fallocate(handle, at, length); }

static int opened(int base, const char *name, int flags, mode_t mode) {
  char buffer[PATH_MAX];
  int changes = (flags & (O_CREAT | O_TRUNC)) != 0;
  const char *path = changes ? path_at(base, name, buffer) : NULL;
  REAL(int, openat, (int, const char *, int, ...));
  if (path == NULL) return real_openat(base, name, flags, mode);
  if (control->write_errno != 0) {
    REAL(int, faccessat, (int, const char *, int, int));
    if (((flags & O_TRUNC) != 0 || real_faccessat(base, name, F_OK, 0) != 0) && fails(control->write_errno)) return -1;
  }
  pthread_mutex_lock(&order);
  int handle = real_openat(base, name, flags, mode);
  if (handle >= 0 && (flags & O_CREAT) != 0) append_name(CREATE, path, NULL); /* unless it is there already */
  if (handle >= 0 && (flags & O_TRUNC) != 0) append(TRUNCATE, path, 0, 0, NULL, 0, 0);
  pthread_mutex_unlock(&order);
  return handle;
}

#define MODE_OF(flags, mode)                                                  \
  mode_t mode = 0;                                                            \
  if (((flags) & O_CREAT) != 0 || ((flags) & O_TMPFILE) == O_TMPFILE) {       \
    va_list rest;                                                             \
    va_start(rest, flags);                                                    \
    mode = va_arg(rest, mode_t);                                              \
    va_end(rest);                                                             \
  }

int open(const char *name, int flags, ...) {
  MODE_OF(flags, mode)
  return opened(AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...) {
  MODE_OF(flags, mode)
  return opened(AT_FDCWD, name, flags, mode);
}

int openat(int base, const char *name, int flags, ...) {
  MODE_OF(flags, mode)
  return opened(base, name, flags, mode);
}

int openat64(int base, const char *name, int flags, ...) {
  MODE_OF(flags, mode)
  return opened(base, name, flags, mode);
}

int renameat(int base, const char *name, int new_base, const char *new_name) {
  char buffer[PATH_MAX], new_buffer[PATH_MAX];
  const char *path = path_at(base, name, buffer), *new_path = path_at(new_base, new_name, new_buffer);
  REAL(int, renameat, (int, const char *, int, const char *));
  if (path == NULL && new_path == NULL) return real_renameat(base, name, new_base, new_name);
  /* What is moved in or out is of no file that the replayer knows. */
  if (path == NULL || new_path == NULL) return errno = EXDEV, -1;
  if (fails(control->write_errno)) return -1;
  pthread_mutex_lock(&order);
  int failed = real_renameat(base, name, new_base, new_name);
  if (failed == 0) append_name(RENAME, path, new_path);
  pthread_mutex_unlock(&order);
  return failed;
}

int rename(const char *name, const char *new_name) { return renameat(AT_FDCWD, name, AT_FDCWD, new_name); }

/* What cannot be replayed is refused aloud. */
int linkat(int base, const char *name, int new_base, const char *new_name, int flags) {
  char buffer[PATH_MAX];
  REAL(int, linkat, (int, const char *, int, const char *, int));
  if (path_at(new_base, new_name, buffer) == NULL) return real_linkat(base, name, new_base, new_name, flags);
  return errno = EPERM, -1;
}

int link(const char *name, const char *new_name) { return linkat(AT_FDCWD, name, AT_FDCWD, new_name, 0); }

int unlinkat(int base, const char *name, int flags) {
  char buffer[PATH_MAX];
  const char *path = path_at(base, name, buffer);
  REAL(int, unlinkat, (int, const char *, int));
  if (path == NULL) return real_unlinkat(base, name, flags);
  if (control->write_errno == EROFS && fails(EROFS)) return -1;
  pthread_mutex_lock(&order);
  int failed = real_unlinkat(base, name, flags);
  if (failed == 0) append_name((flags & AT_REMOVEDIR) != 0 ? RMDIR : UNLINK, path, NULL);
  pthread_mutex_unlock(&order);
  return failed;
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }

int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int remove(const char *name) {
  if (unlink(name) == 0) return 0;
  return errno == EISDIR || errno == EPERM ? rmdir(name) : -1;
}

int mkdirat(int base, const char *name, mode_t mode) {
  char buffer[PATH_MAX];
  const char *path = path_at(base, name, buffer);
  REAL(int, mkdirat, (int, const char *, mode_t));
  if (path == NULL) return real_mkdirat(base, name, mode);
  if (fails(control->write_errno)) return -1;
  pthread_mutex_lock(&order);
  int failed = real_mkdirat(base, name, mode);
  if (failed == 0) append_name(MKDIR, path, NULL);
  pthread_mutex_unlock(&order);
  return failed;
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

static int sync_fails(void) {
  if (control->sync_fail_from == 0) return 0;
  if (control->sync_fail_from > 1) return control->sync_fail_from--, 0;
  if (control->sync_fail_count == 0) return 0;
  if (control->sync_fail_count != UINT32_MAX) control->sync_fail_count--;
  return fails(EIO);
}

static int sync_is_lost(void) {
  if (control->sync_lost_percent == 0) return 0;
  random_state = random_state * 1664525U + 1013904223U;
  if ((random_state >> 8) % 100 >= control->sync_lost_percent) return 0;
  control->injected++;
  return 1;
}

/* `of` NULL: all files. The lock is not held while the disk works: others go on, and are not covered. */
static int flushed(const char *path, uint64_t is_data_only, int handle, int (*flush)(int)) {
  uint64_t number = ((uint64_t)getpid() << 32) | ++flush_count;
  append(SYNC_BEGIN, path, is_data_only, number, NULL, 0, 0);
  struct timespec delay = {control->sync_delay_ms / 1000, (long)(control->sync_delay_ms % 1000) * 1000000L};
  if (control->sync_delay_ms > 0) nanosleep(&delay, NULL);
  pthread_mutex_lock(&order);
  int is_failed = sync_fails(), is_lost = !is_failed && sync_is_lost();
  pthread_mutex_unlock(&order);
  if (is_failed) return errno = EIO, -1;
  int failed = is_lost ? 0 : flush(handle);
  if (failed == 0) append(is_lost ? SYNC_LOST : SYNC_END, path, is_data_only, number, NULL, 0, 0);
  return failed;
}

int fsync(int handle) {
  char buffer[PATH_MAX];
  const char *path = path_of(handle, buffer);
  REAL(int, fsync, (int));
  return path == NULL ? real_fsync(handle) : flushed(path, 0, handle, real_fsync);
}

int fdatasync(int handle) {
  char buffer[PATH_MAX];
  const char *path = path_of(handle, buffer);
  REAL(int, fdatasync, (int));
  return path == NULL ? real_fdatasync(handle) : flushed(path, 1, handle, real_fdatasync);
}
