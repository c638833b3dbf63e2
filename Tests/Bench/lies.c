/* What a laptop may tell a program: LD_PRELOAD this, and the text file that ESS_LIES names says which.
 *
 *   wall MILLISECONDS   CLOCK_REALTIME, gettimeofday and time are off by so much
 *   boot MILLISECONDS   CLOCK_BOOTTIME is off by so much: the laptop slept for that time
 *   space BYTES         every file system has so many bytes free, whatever is true
 *
 * The file is read again each time that its modification time changes; write it beside and rename it. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { int64_t wall, boot, space; } told = {0, 0, -1};
static struct timespec read_at;

static void look(void) {
    const char *path = getenv("ESS_LIES");
    struct stat facts;
    int kept = errno;
    if (path && !stat(path, &facts)) {
        pthread_mutex_lock(&lock);
        if (facts.st_mtim.tv_sec != read_at.tv_sec || facts.st_mtim.tv_nsec != read_at.tv_nsec) {
            FILE *file = fopen(path, "re");
            if (file) {
                char word[16];
                long long number;
                told.wall = told.boot = 0;
                told.space = -1;
                while (fscanf(file, "%15s %lld", word, &number) == 2) {
                    if (!strcmp(word, "wall")) told.wall = number;
                    if (!strcmp(word, "boot")) told.boot = number;
                    if (!strcmp(word, "space")) told.space = number;
                }
                fclose(file);
                read_at = facts.st_mtim;
            }
        }
        pthread_mutex_unlock(&lock);
    }
    errno = kept;
}

static void shift(struct timespec *time, int64_t milliseconds) {
    int64_t nanoseconds = time->tv_nsec + milliseconds % 1000 * 1000000;
    time->tv_sec += milliseconds / 1000;
    if (nanoseconds < 0) nanoseconds += 1000000000, time->tv_sec--;
    if (nanoseconds >= 1000000000) nanoseconds -= 1000000000, time->tv_sec++;
    time->tv_nsec = nanoseconds;
}

int clock_gettime(clockid_t clock, struct timespec *result) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, result);
    if (status || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE && clock != CLOCK_BOOTTIME)) return status;
    look();
    shift(result, clock == CLOCK_BOOTTIME ? told.boot : told.wall);
    return 0;
}

int gettimeofday(struct timeval *restrict result, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    result->tv_sec = now.tv_sec;
    result->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

int statvfs(const char *restrict path, struct statvfs *restrict result) {
    static int (*real)(const char *, struct statvfs *);
    if (!real) real = dlsym(RTLD_NEXT, "statvfs");
    int status = real(path, result);
    look();
    if (!status && told.space >= 0) {
        result->f_bavail = result->f_bfree = (fsblkcnt_t)told.space / result->f_frsize;
        if (result->f_blocks < result->f_bfree) result->f_blocks = result->f_bfree;
    }
    return status;
}

int statvfs64(const char *restrict path, struct statvfs64 *restrict result) {
    return statvfs(path, (struct statvfs *)result);
}
