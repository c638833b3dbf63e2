/* A file-level power cut: LD_PRELOAD this, and everything that a program does to the files below one directory is written
 * to a trace, in the order in which it happened and with the data. Tests/EndToEnd/test_powercut.py rebuilds from it what a
 * disk may hold after the power failed at any point.
 *
 *   ESS_POWERCUT_DIR    the directory (absolute, real path)
 *   ESS_POWERCUT_TRACE  the trace; appended to
 *
 * A record, little-endian: u8 kind, u8 zero, u16 path length, u32 data length, u64 offset or size, the path, the data.
 * Kinds: C created, W written, T truncated to, S synced, U unlinked, R renamed, L linked (the data is the new name),
 * D a directory was synced. An operation and its record are one step under a lock: the trace's order is the true one, and
 * its length after an answer bounds from above what was done before the answer.
 *
 * Memory maps are not seen: SQLite maps only its -shm file, which is rebuilt after a crash. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root;
static size_t root_length;
static int trace = -1;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);
static int (*real_ftruncate64)(int, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_openat64)(int, const char *, int, ...);
static int (*real_unlink)(const char *);
static int (*real_rename)(const char *, const char *);
static int (*real_link)(const char *, const char *);

__attribute__((constructor)) static void begin(void) {
    real_write = REAL(write);
    real_pwrite64 = REAL(pwrite64);
    real_ftruncate64 = REAL(ftruncate64);
    real_fsync = REAL(fsync);
    real_fdatasync = REAL(fdatasync);
    real_openat64 = REAL(openat64);
    real_unlink = REAL(unlink);
    real_rename = REAL(rename);
    real_link = REAL(link);
    root = getenv("ESS_POWERCUT_DIR");
    const char *path = getenv("ESS_POWERCUT_TRACE");
    if (!root || !path) return;
    root_length = strlen(root);
    trace = real_openat64(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (trace < 0) {
        perror("powercut: trace");
        _exit(99);
    }
}

static int concerns(const char *path) {
    return trace >= 0 && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length])
        && !strstr(path, "-shm");
}

/* The path of a descriptor that concerns us, or NULL. */
static const char *path_of(int file, char *buffer, size_t size) {
    char name[64];
    if (trace < 0 || file == trace) return NULL;
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t count = readlink(name, buffer, size - 1);
    if (count <= 0) return NULL;
    buffer[count] = 0;
    return concerns(buffer) ? buffer : NULL;
}

/* A relative or linked name as the trace knows it: a real directory and a name. */
static const char *real_name(const char *path, char *buffer) {
    char directory[4096];
    const char *slash = strrchr(path, '/');
    size_t count = slash ? (size_t)(slash - path) : 1;
    if (count >= sizeof directory) return NULL;
    memcpy(directory, slash ? path : ".", count);
    directory[count] = 0;
    if (!realpath(count ? directory : "/", buffer)) return NULL;
    size_t used = strlen(buffer);
    snprintf(buffer + used, 4096 - used, "/%s", slash ? slash + 1 : path);
    return concerns(buffer) ? buffer : NULL;
}

static void note(char kind, const char *path, uint64_t number, const void *data, uint32_t length) {
    path += root_length + (path[root_length] == '/');
    uint16_t name = (uint16_t)strlen(path);
    unsigned char head[16] = {(unsigned char)kind, 0};
    memcpy(head + 2, &name, 2);
    memcpy(head + 4, &length, 4);
    memcpy(head + 8, &number, 8);
    struct iovec parts[3] = {{head, sizeof head}, {(void *)path, name}, {(void *)data, length}};
    ssize_t wanted = (ssize_t)(sizeof head + name + length);
    /* A trace with a hole would prove nothing. */
    if (writev(trace, parts, 3) != wanted) {
        static const char complaint[] = "powercut: the trace can't be written\n";
        (void)!real_write(2, complaint, sizeof complaint - 1);
        _exit(99);
    }
}

#define STEP(...)                           \
    do {                                    \
        pthread_mutex_lock(&lock);          \
        __VA_ARGS__;                        \
        int kept_errno = errno;             \
        pthread_mutex_unlock(&lock);        \
        errno = kept_errno;                 \
    } while (0)

static ssize_t put(int file, const void *data, size_t count, off64_t offset, int has_offset) {
    char buffer[4096];
    const char *path = path_of(file, buffer, sizeof buffer);
    if (!path) return has_offset ? real_pwrite64(file, data, count, offset) : real_write(file, data, count);
    ssize_t done;
    STEP({
        if (!has_offset) {
            offset = fcntl(file, F_GETFL) & O_APPEND ? lseek64(file, 0, SEEK_END) : lseek64(file, 0, SEEK_CUR);
        }
        done = has_offset ? real_pwrite64(file, data, count, offset) : real_write(file, data, count);
        if (done > 0) note('W', path, (uint64_t)offset, data, (uint32_t)done);
    });
    return done;
}

ssize_t write(int file, const void *data, size_t count) {
    if (!real_write) real_write = REAL(write);
    return put(file, data, count, 0, 0);
}
ssize_t pwrite64(int file, const void *data, size_t count, off64_t offset) { return put(file, data, count, offset, 1); }
ssize_t pwrite(int file, const void *data, size_t count, off_t offset) { return put(file, data, count, offset, 1); }

static ssize_t put_all(int file, const struct iovec *parts, int count, off64_t offset, int has_offset) {
    ssize_t total = 0;
    for (int i = 0; i < count; i++) {
        ssize_t done = put(file, parts[i].iov_base, parts[i].iov_len, offset + total, has_offset);
        if (done < 0) return total ? total : done;
        total += done;
        if ((size_t)done < parts[i].iov_len) break;
    }
    return total;
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real) real = REAL(writev);
    char buffer[4096];
    return path_of(file, buffer, sizeof buffer) ? put_all(file, parts, count, 0, 0) : real(file, parts, count);
}
ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t offset) {
    return put_all(file, parts, count, offset, 1);
}
ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset) {
    return put_all(file, parts, count, offset, 1);
}

int ftruncate64(int file, off64_t size) {
    char buffer[4096];
    const char *path = path_of(file, buffer, sizeof buffer);
    if (!path) return real_ftruncate64(file, size);
    int result;
    STEP({
        result = real_ftruncate64(file, size);
        if (!result) note('T', path, (uint64_t)size, NULL, 0);
    });
    return result;
}
int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

/* Allocation changes at most the size. */
int fallocate64(int file, int mode, off64_t offset, off64_t length) {
    static int (*real)(int, int, off64_t, off64_t);
    if (!real) real = REAL(fallocate64);
    char buffer[4096];
    const char *path = path_of(file, buffer, sizeof buffer);
    if (!path) return real(file, mode, offset, length);
    int result;
    STEP({
        result = real(file, mode, offset, length);
        struct stat64 facts;
        if (!result && !fstat64(file, &facts)) note('T', path, (uint64_t)facts.st_size, NULL, 0);
    });
    return result;
}
int fallocate(int file, int mode, off_t offset, off_t length) { return fallocate64(file, mode, offset, length); }

static int sync_file(int file, int (*real)(int)) {
    char buffer[4096];
    const char *path = path_of(file, buffer, sizeof buffer);
    if (!path) return real(file);
    int result;
    STEP({
        struct stat64 facts;
        int is_directory = !fstat64(file, &facts) && S_ISDIR(facts.st_mode);
        result = real(file);
        if (!result) note(is_directory ? 'D' : 'S', path, 0, NULL, 0);
    });
    return result;
}
int fsync(int file) { return sync_file(file, real_fsync); }
int fdatasync(int file) { return sync_file(file, real_fdatasync); }

static int open_at(int directory, const char *path, int flags, mode_t mode) {
    if (!real_openat64) real_openat64 = REAL(openat64);
    char buffer[4096];
    const char *name = NULL;
    if (trace >= 0 && directory == AT_FDCWD && flags & (O_CREAT | O_TRUNC)) name = real_name(path, buffer);
    if (!name) return real_openat64(directory, path, flags, mode);
    int result;
    STEP({
        struct stat64 facts;
        int is_new = stat64(path, &facts) != 0;
        result = real_openat64(directory, path, flags, mode);
        if (result >= 0 && is_new) note('C', name, 0, NULL, 0);
        if (result >= 0 && !is_new && flags & O_TRUNC) note('T', name, 0, NULL, 0);
    });
    return result;
}

#define MODE(flags, last)                               \
    mode_t mode = 0;                                    \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {            \
        va_list list;                                   \
        va_start(list, last);                           \
        mode = va_arg(list, mode_t);                    \
        va_end(list);                                   \
    }

int open64(const char *path, int flags, ...) {
    MODE(flags, flags)
    return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
int open(const char *path, int flags, ...) {
    MODE(flags, flags)
    return open_at(AT_FDCWD, path, flags, mode);
}
int openat64(int directory, const char *path, int flags, ...) {
    MODE(flags, flags)
    return open_at(directory, path, flags | O_LARGEFILE, mode);
}
int openat(int directory, const char *path, int flags, ...) {
    MODE(flags, flags)
    return open_at(directory, path, flags, mode);
}

int unlink(const char *path) {
    char buffer[4096];
    const char *name = trace >= 0 ? real_name(path, buffer) : NULL;
    if (!name) return (real_unlink ? real_unlink : REAL(unlink))(path);
    int result;
    STEP({
        result = real_unlink(path);
        if (!result) note('U', name, 0, NULL, 0);
    });
    return result;
}

static int move(const char *from, const char *to, char kind, int (*real)(const char *, const char *)) {
    char first[4096], second[4096];
    const char *old = trace >= 0 ? real_name(from, first) : NULL, *new = trace >= 0 ? real_name(to, second) : NULL;
    if (!old || !new) return real(from, to);
    int result;
    STEP({
        result = real(from, to);
        if (!result) note(kind, old, 0, new + root_length + 1, (uint32_t)strlen(new + root_length + 1));
    });
    return result;
}
int rename(const char *from, const char *to) { return move(from, to, 'R', real_rename ? real_rename : REAL(rename)); }
int link(const char *from, const char *to) { return move(from, to, 'L', real_link ? real_link : REAL(link)); }
