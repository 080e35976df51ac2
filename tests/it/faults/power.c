/* What a program does to the files below one directory, written down in order, and failures on demand.
 *
 * Preloaded into the server by the tests (LD_PRELOAD). Owns the format of the journal and of the control
 * block; faults/shim.rs and faults/journal.rs repeat both. Knows nothing of Haversack but the names of its
 * files, by which a test chooses among them. Nothing is really synced: the tests cut the power in a replay
 * of the journal, and the page cache is enough for the rest.
 *
 *   POWER_DIR      the directory, absolute and without symbolic links
 *   POWER_JOURNAL  the file to append to; outside of it
 *   POWER_CONTROL  the control block: 64 bytes
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum class { NONE, BLOB, SHARD, BLOBS, MARKER, DB, WAL, DATA, PARENT, SECRET, OTHER };
enum operation { OPEN = 1, READ = 2, WRITE = 4, SYNC = 8, TRUNCATE = 16, RENAME = 32, UNLINK = 64, MKDIR = 128 };

/* One failure, as a test orders it; and what came of it. */
struct control {
    uint32_t operations; /* bits of enum operation; 0: nothing fails */
    uint32_t classes;    /* bits: 1 << enum class */
    uint32_t error;      /* errno; 0: a write that is cut short */
    uint32_t forever;    /* from then on, not once */
    uint64_t after;      /* so many of these succeed first */
    uint64_t seen;       /* how many of these came */
    uint64_t failed;     /* how many of them failed */
    uint64_t unused[3];
};

struct entry {
    uint8_t kind;
    uint8_t class;
    uint16_t unused;
    uint32_t path_length;
    uint32_t data_length;
    uint32_t unused2;
    uint64_t inode;
    uint64_t offset;
};

#define FILES 65536
static struct { uint8_t class; uint8_t is_dir; uint64_t inode; } files[FILES];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static int journal = -1;
static struct control *control;

#define REAL(name) ({ static __typeof__(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name); real; })

static void stop(const char *what, const char *path) {
    dprintf(2, "power.c panicked: %s: %s\n", what, path);
    abort();
}

__attribute__((constructor)) static void begin(void) {
    const char *dir = getenv("POWER_DIR"), *to = getenv("POWER_JOURNAL"), *block = getenv("POWER_CONTROL");
    if (!dir || !to || !block) return;
    strncpy(root, dir, sizeof root - 1);
    root_length = strlen(root);
    int fd = REAL(open64)(block, O_RDWR | O_CLOEXEC);
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || control == MAP_FAILED) stop("no control block", block);
    journal = REAL(open64)(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (journal < 0) stop("no journal", to);
}

/* The path below the directory; NULL when it isn't there. */
static const char *below(const char *path) {
    if (journal < 0 || !path || strncmp(path, root, root_length)) return NULL;
    if (strstr(path, "/../")) stop("a path that goes up", path);
    if (path[root_length] == 0) return path + root_length;
    return path[root_length] == '/' ? path + root_length + 1 : NULL;
}

static int ends(const char *path, const char *with) {
    size_t length = strlen(path), end = strlen(with);
    return length >= end && !strcmp(path + length - end, with);
}

static enum class class_of(const char *path) {
    const char *blobs = strstr(path, "/blobs");
    if (*path == 0) return PARENT;
    if (!strchr(path, '/')) return DATA;
    if (ends(path, "-shm")) return NONE; /* memory, not storage */
    if (ends(path, "-wal")) return WAL;
    if (ends(path, "haversack.db")) return DB;
    if (strstr(path, "/jwt-secret")) return SECRET;
    if (strstr(path, "/store-id")) return MARKER;
    if (!blobs || ends(path, "/probe")) return OTHER;
    if (blobs[6] == 0) return BLOBS;
    return strchr(blobs + 7, '/') ? BLOB : SHARD;
}

static void note(char kind, enum class class, uint64_t inode, uint64_t offset, const char *path,
                 const void *data, size_t length) {
    struct entry entry = { .kind = kind, .class = class, .path_length = path ? strlen(path) : 0,
                           .data_length = length, .inode = inode, .offset = offset };
    struct iovec pieces[] = { { &entry, sizeof entry }, { (void *)path, entry.path_length },
                              { (void *)data, length } };
    ssize_t whole = sizeof entry + entry.path_length + length;
    if (REAL(writev)(journal, pieces, 3) != whole) stop("the journal can't be written", "");
}

/* What is to fail now: an errno, -1 for a short write, 0 for nothing. */
static int failure(enum operation operation, enum class class) {
    if (!(control->operations & operation) || !(control->classes & 1u << class)) return 0;
    uint64_t number = control->seen++;
    if (number < control->after || (number > control->after && !control->forever)) return 0;
    control->failed++;
    return control->error ? (int)control->error : -1;
}

/* Fails as ordered, or goes on. */
#define MAY_FAIL(operation, class) do { \
        int error = failure(operation, class); \
        if (error) { pthread_mutex_unlock(&lock); errno = error > 0 ? error : EIO; return -1; } \
    } while (0)

static int tracked(int fd) {
    return fd >= 0 && fd < FILES && files[fd].class != NONE;
}

static void track(int fd) {
    char link[64], path[PATH_MAX];
    struct stat stat;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || fstat(fd, &stat) || fd >= FILES) stop("a file that can't be followed", link);
    path[length] = 0;
    const char *rest = below(path);
    if (!rest) return; /* by way of .. */
    files[fd].class = class_of(rest);
    files[fd].is_dir = S_ISDIR(stat.st_mode);
    files[fd].inode = stat.st_ino;
}

static int open_with(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    const char *rest = below(path);
    enum class class = rest ? class_of(rest) : NONE;
    if (class == NONE) {
        int fd = real(path, flags, mode);
        if (fd >= 0 && fd < FILES) files[fd].class = NONE;
        return fd;
    }
    pthread_mutex_lock(&lock);
    MAY_FAIL(OPEN, class);
    int is_new = (flags & O_CREAT) && access(path, F_OK) != 0;
    int fd = real(path, flags, mode);
    if (fd >= 0) {
        track(fd);
        if (is_new) note('C', class, files[fd].inode, 0, rest, NULL, 0);
        else if (flags & O_TRUNC) note('T', class, files[fd].inode, 0, NULL, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE(flags) ({ mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } mode; })

int open(const char *path, int flags, ...) { return open_with(REAL(open), path, flags, MODE(flags)); }
int open64(const char *path, int flags, ...) { return open_with(REAL(open64), path, flags, MODE(flags)); }

int openat64(int dir, const char *path, int flags, ...) {
    if (below(path)) return open_with(REAL(open64), path, flags, MODE(flags));
    return REAL(openat64)(dir, path, flags, MODE(flags));
}
int openat(int dir, const char *path, int flags, ...) {
    if (below(path)) return open_with(REAL(open64), path, flags, MODE(flags));
    return REAL(openat)(dir, path, flags, MODE(flags));
}

int close(int fd) {
    if (fd >= 0 && fd < FILES) files[fd].class = NONE;
    return REAL(close)(fd);
}

/* A copy of a descriptor would be written unseen. */
int dup(int fd) {
    if (tracked(fd)) stop("dup", "");
    return REAL(dup)(fd);
}

/* Writes, all of it or the part that a failure leaves; at < 0: where the descriptor stands. */
static ssize_t write_to(int fd, const void *data, size_t length, off64_t at) {
    pthread_mutex_lock(&lock);
    int error = failure(WRITE, files[fd].class);
    if (error > 0) {
        pthread_mutex_unlock(&lock);
        errno = error;
        return -1;
    }
    if (error) length = length > 1 ? length / 2 : length;
    ssize_t written = at < 0 ? REAL(write)(fd, data, length) : REAL(pwrite64)(fd, data, length, at);
    if (written > 0) {
        off64_t begin = at < 0 ? lseek64(fd, 0, SEEK_CUR) - written : at;
        note('W', files[fd].class, files[fd].inode, begin, NULL, data, written);
    }
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t write(int fd, const void *data, size_t length) {
    return tracked(fd) ? write_to(fd, data, length, -1) : REAL(write)(fd, data, length);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) {
    return tracked(fd) ? write_to(fd, data, length, at) : REAL(pwrite64)(fd, data, length, at);
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return pwrite64(fd, data, length, at); }

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    /* A short write is one; nobody may rely on more. */
    if (tracked(fd)) return count ? write_to(fd, pieces[0].iov_base, pieces[0].iov_len, -1) : 0;
    return REAL(writev)(fd, pieces, count);
}
ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t at) {
    if (tracked(fd)) return count ? write_to(fd, pieces[0].iov_base, pieces[0].iov_len, at) : 0;
    return REAL(pwritev)(fd, pieces, count, at);
}

/* Reading: only to fail. */
static int read_fails(int fd) {
    if (!tracked(fd)) return 0;
    pthread_mutex_lock(&lock);
    MAY_FAIL(READ, files[fd].class);
    pthread_mutex_unlock(&lock);
    return 0;
}
ssize_t read(int fd, void *to, size_t length) { return read_fails(fd) ? -1 : REAL(read)(fd, to, length); }
ssize_t pread64(int fd, void *to, size_t length, off64_t at) {
    return read_fails(fd) ? -1 : REAL(pread64)(fd, to, length, at);
}

int ftruncate64(int fd, off64_t length) {
    if (!tracked(fd)) return REAL(ftruncate64)(fd, length);
    pthread_mutex_lock(&lock);
    MAY_FAIL(TRUNCATE, files[fd].class);
    int result = REAL(ftruncate64)(fd, length);
    if (!result) note('T', files[fd].class, files[fd].inode, length, NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int sync_of(int fd) {
    char link[64], path[PATH_MAX];
    pthread_mutex_lock(&lock);
    enum class class = files[fd].class;
    int error = failure(SYNC, class);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    char kind = files[fd].is_dir ? (error ? 'f' : 's') : (error ? 'F' : 'S');
    note(kind, class, files[fd].inode, 0, files[fd].is_dir ? below(path) : NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
    if (!error) return 0;
    errno = error > 0 ? error : EIO;
    return -1;
}
int fsync(int fd) { return tracked(fd) ? sync_of(fd) : REAL(fsync)(fd); }
int fdatasync(int fd) { return tracked(fd) ? sync_of(fd) : REAL(fdatasync)(fd); }

int rename(const char *from, const char *to) {
    const char *old = below(from), *new = below(to);
    if (!old || !new) return REAL(rename)(from, to);
    pthread_mutex_lock(&lock);
    MAY_FAIL(RENAME, class_of(old));
    int result = REAL(rename)(from, to);
    if (!result) note('R', class_of(new), 0, 0, old, new, strlen(new));
    pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *path) {
    const char *rest = below(path);
    enum class class = rest ? class_of(rest) : NONE;
    if (class == NONE) return REAL(unlink)(path);
    pthread_mutex_lock(&lock);
    MAY_FAIL(UNLINK, class);
    int result = REAL(unlink)(path);
    if (!result) note('U', class, 0, 0, rest, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int mkdir(const char *path, mode_t mode) {
    const char *rest = below(path);
    if (!rest) return REAL(mkdir)(path, mode);
    pthread_mutex_lock(&lock);
    MAY_FAIL(MKDIR, class_of(rest));
    int result = REAL(mkdir)(path, mode);
    if (!result) note('D', class_of(rest), 0, 0, rest, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

/* What the server does not do today; if it begins to, this file must learn it first. */
#define UNKNOWN(name, path) do { if (below(path)) stop("not followed yet: " #name, path); } while (0)
int creat(const char *path, mode_t mode) { UNKNOWN(creat, path); return REAL(creat)(path, mode); }
int creat64(const char *path, mode_t mode) { UNKNOWN(creat64, path); return REAL(creat64)(path, mode); }
int rmdir(const char *path) { UNKNOWN(rmdir, path); return REAL(rmdir)(path); }
int link(const char *from, const char *to) { UNKNOWN(link, to); return REAL(link)(from, to); }
int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    UNKNOWN(linkat, to);
    return REAL(linkat)(from_dir, from, to_dir, to, flags);
}
int symlink(const char *from, const char *to) { UNKNOWN(symlink, to); return REAL(symlink)(from, to); }
int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    UNKNOWN(renameat, to);
    return REAL(renameat)(from_dir, from, to_dir, to);
}
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    UNKNOWN(renameat2, to);
    return REAL(renameat2)(from_dir, from, to_dir, to, flags);
}
int truncate64(const char *path, off64_t length) { UNKNOWN(truncate64, path); return REAL(truncate64)(path, length); }
int truncate(const char *path, off_t length) { UNKNOWN(truncate, path); return REAL(truncate)(path, length); }
int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    if (tracked(fd)) stop("not followed yet: fallocate", "");
    return REAL(fallocate64)(fd, mode, offset, length);
}
int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    if (tracked(fd)) stop("not followed yet: posix_fallocate", "");
    return REAL(posix_fallocate64)(fd, offset, length);
}
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *begin, size_t length, unsigned flags) {
    if (tracked(to)) stop("not followed yet: copy_file_range", "");
    return REAL(copy_file_range)(from, at, to, begin, length, flags);
}
