// The verbs of the hostile function in C. Those of Python and Node do the same with the means of their languages;
// which attempts are made with them, and what has to come of each, is in tests/hostile/table.rs.
#define _GNU_SOURCE
#include "attempts.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_WORDS = 16, LAST_PID = 512, MANY = 1 << 16 };

static long done(struct result *result, long value) {
    if (value == -1) result->error = errno;
    return value;
}

static void read_file(struct result *result, char **words) {
    int file = (int)done(result, open(words[0], O_RDONLY | O_CLOEXEC));
    if (file == -1) return;
    long length = done(result, read(file, result->got, GOT_BYTES - 1));
    result->got[length < 0 ? 0 : length] = '\0';
    close(file);
}

static void write_file(struct result *result, char **words) {
    int file = (int)done(result, open(words[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (file == -1) return;
    done(result, write(file, "1", 1));
    close(file);
}

static void list(struct result *result, char **words) {
    DIR *folder = opendir(words[0]);
    if (folder == NULL) {
        result->error = errno;
        return;
    }
    size_t used = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL && used < GOT_BYTES - 300;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            used += (size_t)sprintf(result->got + used, "%s ", entry->d_name);
    closedir(folder);
}

static void connect_to(struct result *result, const void *address, socklen_t size, int family) {
    int client = (int)done(result, socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (client == -1) return;
    struct timeval patience = {.tv_sec = 3};
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    done(result, connect(client, address, size));
    close(client);
}

static void tcp(struct result *result, char **words) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1]))};
    struct sockaddr_in6 address6 = {.sin6_family = AF_INET6, .sin6_port = address.sin_port};
    if (inet_pton(AF_INET, words[0], &address.sin_addr) == 1)
        connect_to(result, &address, sizeof address, AF_INET);
    else if (inet_pton(AF_INET6, words[0], &address6.sin6_addr) == 1)
        connect_to(result, &address6, sizeof address6, AF_INET6);
    else
        result->error = EINVAL;
}

static socklen_t unix_address(struct sockaddr_un *address, const char *name, int is_abstract) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t length = strnlen(name, sizeof address->sun_path - 1);
    memcpy(address->sun_path + is_abstract, name, length);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
}

static void connect_unix(struct result *result, char **words) {
    struct sockaddr_un address;
    connect_to(result, &address, unix_address(&address, words[0], 0), AF_UNIX);
}

static void connect_abstract(struct result *result, char **words) {
    struct sockaddr_un address;
    // Without the final zero: the length says where an abstract name ends.
    connect_to(result, &address, unix_address(&address, words[0], 1), AF_UNIX);
}

// Stays open for as long as this process lives, for another one to find.
static void bind_abstract(struct result *result, char **words) {
    struct sockaddr_un address;
    socklen_t size = unix_address(&address, words[0], 1);
    int listener = (int)done(result, socket(AF_UNIX, SOCK_STREAM, 0));
    if (listener != -1 && done(result, bind(listener, (struct sockaddr *)&address, size)) == 0) listen(listener, 1);
}

// A number, `s:` a string, `z:` so many zero bytes; `n` is the number of a process.
static long argument(char *word, long process) {
    static char zeros[6][4096];
    static int next;
    if (strncmp(word, "s:", 2) == 0) return (long)(word + 2);
    if (strncmp(word, "z:", 2) == 0) return (long)memset(zeros[next++ % 6], 0, sizeof zeros[0]);
    return strcmp(word, "n") == 0 ? process : strtol(word, NULL, 0);
}

static long by_number(char **words, long process) {
    long given[6] = {0};
    for (int i = 0; i < 6 && words[i + 1] != NULL; i++) given[i] = argument(words[i + 1], process);
    return syscall(strtol(words[0], NULL, 0), given[0], given[1], given[2], given[3], given[4], given[5]);
}

static void call(struct result *result, char **words) {
    sprintf(result->got, "%ld", done(result, by_number(words, 0)));
}

// Makes a call for every process that might be there and is not this one; gives the numbers for which it works.
static void each(struct result *result, char **words) {
    size_t used = 0;
    for (long process = 1; process <= LAST_PID; process++)
        if (process != getpid() && by_number(words, process) != -1)
            used += (size_t)sprintf(result->got + used, "%ld ", process);
}

// Which other processes have a readable file of that name in /proc.
static void peek(struct result *result, char **words) {
    size_t used = 0;
    for (int process = 1; process <= LAST_PID; process++) {
        char path[128], byte;
        if (process == getpid()) continue;
        snprintf(path, sizeof path, "/proc/%d/%s", process, words[0]);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file == -1) continue;
        if (read(file, &byte, 1) > 0) used += (size_t)sprintf(result->got + used, "%d ", process);
        close(file);
    }
}

static void exhaust_files(struct result *result, char **words) {
    static int files[MANY];
    (void)words;
    int opened = 0;
    while (opened < MANY && (files[opened] = open("/dev/null", O_RDONLY | O_CLOEXEC)) != -1) opened++;
    result->error = errno;
    sprintf(result->got, "%d", opened);
    while (opened-- > 0) close(files[opened]);
}

static void exhaust_names(struct result *result, char **words) {
    char path[300];
    int made = 0;
    for (int file; snprintf(path, sizeof path, "%s/name-%d", words[0], made) > 0; made++) {
        if ((file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) == -1) break;
        close(file);
    }
    result->error = errno;
    sprintf(result->got, "%d", made);
    while (made-- > 0 && snprintf(path, sizeof path, "%s/name-%d", words[0], made) > 0) unlink(path);
}

static void exhaust_space(struct result *result, char **words) {
    static char block[65536];
    char path[300];
    snprintf(path, sizeof path, "%s/filler", words[0]);
    int file = (int)done(result, open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (file == -1) return;
    long long written = 0;
    for (long part; (part = write(file, block, sizeof block)) > 0;) written += part;
    result->error = errno;
    sprintf(result->got, "%lld", written);
    close(file);
    unlink(path);
}

// Runs a program to its end; gives what it has printed.
static void run(struct result *result, char **words) {
    int ends[2], status;
    if (done(result, pipe2(ends, O_CLOEXEC)) == -1) return;
    pid_t child = (pid_t)done(result, fork());
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execv(words[0], words);
        _exit(127);
    }
    close(ends[1]);
    size_t used = 0;
    for (long part; (part = read(ends[0], result->got + used, GOT_BYTES - 1 - used)) > 0;) used += (size_t)part;
    result->got[used] = '\0';
    close(ends[0]);
    if (child > 0) waitpid(child, &status, 0);
}

// As `run`, of a copy of the program that no file system knows.
static void run_from_memory(struct result *result, char **words) {
    static char block[65536];
    int memory = (int)done(result, memfd_create("hostile", 0)), program = open(words[0], O_RDONLY | O_CLOEXEC);
    if (memory == -1) return;
    for (long part; (part = read(program, block, sizeof block)) > 0;) done(result, write(memory, block, (size_t)part));
    close(program);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", getpid(), memory);
    words[0] = path;
    run(result, words);
    close(memory);
}

void attempt(char *line, struct result *result) {
    static const struct {
        const char *name;
        void (*make)(struct result *, char **);
        int words;
    } verbs[] = {
        {"read", read_file, 1},      {"write", write_file, 1},           {"list", list, 1},
        {"tcp", tcp, 2},             {"unix", connect_unix, 1},          {"abstract", connect_abstract, 1},
        {"bind", bind_abstract, 1},  {"call", call, 1},                  {"each", each, 1},
        {"peek", peek, 1},           {"files", exhaust_files, 0},        {"names", exhaust_names, 1},
        {"space", exhaust_space, 1}, {"run", run, 1},                    {"memory", run_from_memory, 1},
    };
    char *words[MAX_WORDS + 1] = {NULL};
    int count = 0;
    for (char *word; count < MAX_WORDS && (word = strsep(&line, "\t")) != NULL;) words[count++] = word;
    *result = (struct result){.error = 0};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (count > verbs[i].words && strcmp(words[0], verbs[i].name) == 0) {
            verbs[i].make(result, words + 1);
            return;
        }
    }
    result->error = EBADMSG;
}
