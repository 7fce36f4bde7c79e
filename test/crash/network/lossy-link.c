/*
 * A bad link between the kernel and itself, packet by packet, where `tc netem` is not to be had: every IPv4 packet that
 * leaves by the TUN interface comes in again by it, late, or not at all. What TCP then does (retransmissions, timeouts that
 * double, windows that shrink) is the kernel's own.
 *
 *   kernel ──▶ TUN ──▶ lost? ──no──▶ queue (delay) ──▶ TUN ──▶ kernel
 *                        └──yes──▶ counted
 *
 *   lossy-link INTERFACE SEED
 *
 * A line "LOSS_PERCENT DELAY_MS" on stdin sets what holds from the next packet on; it is answered by a line "PASSED LOST",
 * as is the start. The end of stdin ends the program, and with it the interface.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PACKET_BYTES_MAX = 65536, QUEUED_MAX = 10000, PERCENT = 100 };

struct packet {
  struct packet *next;
  uint64_t due_ms;
  size_t length;
  unsigned char bytes[];
};

static struct packet *first, **end = &first;
static unsigned queued;
static unsigned long passed, lost;
static unsigned loss_percent, delay_ms;
static uint32_t state;

static void fail(const char *what) {
  fprintf(stderr, "lossy-link: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* xorshift32: the seed repeats which packets are lost, though not which packets there are. */
static uint32_t next_random(void) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

static int open_tun(const char *name) {
  int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (tun < 0) fail("/dev/net/tun");
  struct ifreq request = {0};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(tun, TUNSETIFF, &request) < 0) fail(name);
  return tun;
}

static void take(int tun) {
  static unsigned char bytes[PACKET_BYTES_MAX];
  for (;;) {
    ssize_t length = read(tun, bytes, sizeof bytes);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) fail("read");
    /* IPv6 looks for neighbours here, and there are none. */
    if (bytes[0] >> 4 != 4) continue;
    if (next_random() % PERCENT < loss_percent || queued == QUEUED_MAX) {
      lost++;
      continue;
    }
    struct packet *packet = malloc(sizeof *packet + (size_t)length);
    if (packet == NULL) fail("memory");
    packet->next = NULL;
    packet->due_ms = now_ms() + delay_ms;
    packet->length = (size_t)length;
    memcpy(packet->bytes, bytes, (size_t)length);
    *end = packet;
    end = &packet->next;
    queued++;
  }
}

static void give(int tun) {
  uint64_t now = now_ms();
  while (first != NULL && first->due_ms <= now) {
    struct packet *packet = first;
    if (write(tun, packet->bytes, packet->length) < 0 && errno != EINVAL && errno != EIO) fail("write");
    first = packet->next;
    if (first == NULL) end = &first;
    free(packet);
    queued--;
    passed++;
  }
}

static void answer(void) {
  printf("%lu %lu\n", passed, lost);
  fflush(stdout);
}

/* False at the end of stdin. */
static int command(void) {
  char line[64];
  ssize_t length = read(0, line, sizeof line - 1);
  if (length <= 0) return 0;
  line[length] = 0;
  if (sscanf(line, "%u %u", &loss_percent, &delay_ms) != 2) fail(line);
  answer();
  return 1;
}

int main(int count, char **words) {
  if (count != 3) {
    fprintf(stderr, "lossy-link INTERFACE SEED\n");
    return 2;
  }
  state = (uint32_t)strtoul(words[2], NULL, 10) | 1;
  int tun = open_tun(words[1]);
  answer();
  for (;;) {
    struct pollfd ready[] = {{.fd = tun, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    uint64_t now = now_ms();
    int wait = first == NULL ? -1 : first->due_ms <= now ? 0 : (int)(first->due_ms - now);
    if (poll(ready, 2, wait) < 0 && errno != EINTR) fail("poll");
    if (ready[1].revents != 0 && !command()) return 0;
    give(tun);
    take(tun);
  }
}
