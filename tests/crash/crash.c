/* Preloaded into the program: counts its writes, renames, removals and syncs under the folder that CRASH_UNDER names, and
   raises CRASH_SIGNAL at the CRASH_AT-th: before it, or with CRASH_HALF in the middle of a write. Each of them is a line in
   the file CRASH_LOG. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static long count;

#define REAL(type, name, ...)                                \
    static type (*real)(__VA_ARGS__);                        \
    if (!real)                                               \
        real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static int is_under(const char *path) {
    const char *folder = getenv("CRASH_UNDER");
    if (!folder || !path)
        return 0;
    char whole[PATH_MAX];
    if (path[0] != '/' && getcwd(whole, sizeof whole)) {
        size_t length = strlen(whole);
        snprintf(whole + length, sizeof whole - length, "/%s", path);
        path = whole;
    }
    return strncmp(path, folder, strlen(folder)) == 0;
}

static const char *path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

/* Whether this call, on `path`, is the one. */
static int is_due(const char *call, const char *path) {
    if (!is_under(path))
        return 0;
    const char *at = getenv("CRASH_AT");
    pthread_mutex_lock(&one_at_a_time);
    long number = ++count;
    const char *log = getenv("CRASH_LOG");
    int file = log ? open(log, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (file >= 0) {
        dprintf(file, "%s %s\n", call, path);
        close(file);
    }
    pthread_mutex_unlock(&one_at_a_time);
    return at && number == atol(at);
}

static void strike(void) {
    const char *number = getenv("CRASH_SIGNAL");
    kill(getpid(), number ? atoi(number) : SIGKILL);
    /* A signal that is handled is handled on another thread. */
    usleep(50000);
}

static void strike_if_due(const char *call, const char *path) {
    if (is_due(call, path))
        strike();
}

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    char path[PATH_MAX];
    if (fd > 2 && is_due("write", path_of(fd, path))) {
        if (getenv("CRASH_HALF"))
            real(fd, bytes, length / 2);
        strike();
    }
    return real(fd, bytes, length);
}

int fsync(int fd) {
    REAL(int, fsync, int);
    char path[PATH_MAX];
    strike_if_due("fsync", path_of(fd, path));
    return real(fd);
}

int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    char path[PATH_MAX];
    strike_if_due("fdatasync", path_of(fd, path));
    return real(fd);
}

int ftruncate64(int fd, off64_t length) {
    REAL(int, ftruncate64, int, off64_t);
    char path[PATH_MAX];
    strike_if_due("ftruncate", path_of(fd, path));
    return real(fd, length);
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    strike_if_due("rename", to);
    return real(from, to);
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    strike_if_due("unlink", path);
    return real(path);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    strike_if_due("mkdir", path);
    return real(path, mode);
}
