/*
 * A wall clock that a test controls, as a library for LD_PRELOAD. What it owns: the wall clock of the process it is loaded
 * into. What it leaves alone: every other clock, so that timers, timeouts and sleeps run in real time.
 *
 * $HOLDFAST_WALL_CLOCK names a file of three 64-bit words that the test rewrites while the process runs:
 *     mode    0: the real wall clock plus `micros`;  1: exactly `micros` since the epoch, standing still
 *     micros
 *     check   mode ^ micros; a reader that meets another value met a write half done, and reads again
 *
 * It makes raw system calls: the process may read the clock before its libraries are ready (jemalloc does).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MICROS_PER_SECOND 1000000

struct control {
    int64_t mode;
    int64_t micros;
    int64_t check;
};

static const volatile struct control *control;

__attribute__((constructor)) static void map_control(void) {
    const char *path = getenv("HOLDFAST_WALL_CLOCK");
    if (path == NULL) return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    /* A test that believes it moves the clock and does not would pass for the wrong reason. */
    if (fd < 0) abort();
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) abort();
    close(fd);
    control = mapped;
}

static void adjust(struct timespec *time) {
    if (control == NULL) return;
    int64_t mode, micros, check;
    do {
        mode = control->mode;
        micros = control->micros;
        check = control->check;
    } while (check != (mode ^ micros));

    int64_t now = micros;
    int64_t nanos = 0;
    if (mode == 0) {
        now += (int64_t)time->tv_sec * MICROS_PER_SECOND + time->tv_nsec / 1000;
        nanos = time->tv_nsec % 1000;
    }
    time->tv_sec = now / MICROS_PER_SECOND;
    time->tv_nsec = now % MICROS_PER_SECOND * 1000 + nanos;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) adjust(time);
    return result;
}

int gettimeofday(struct timeval *restrict value, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    if (result == 0) {
        value->tv_sec = now.tv_sec;
        value->tv_usec = now.tv_nsec / 1000;
    }
    return result;
}

time_t time(time_t *result) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return (time_t)-1;
    if (result != NULL) *result = now.tv_sec;
    return now.tv_sec;
}

/*
 * Valkey asks for the wall clock once a millisecond only, and adds what the processor counts meanwhile, once it has
 * found out there that this is a clock. Not finding that out, it asks for every command.
 */
static FILE *open_file(const char *path, const char *mode) {
    if (strcmp(path, "/proc/cpuinfo") == 0) {
        errno = ENOENT;
        return NULL;
    }
    FILE *(*original)(const char *, const char *);
    *(void **)&original = dlsym(RTLD_NEXT, "fopen");
    return original(path, mode);
}

FILE *fopen(const char *restrict path, const char *restrict mode) { return open_file(path, mode); }

FILE *fopen64(const char *restrict path, const char *restrict mode) { return open_file(path, mode); }
