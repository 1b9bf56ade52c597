// The zygote's life at its fork point: no JavaScript runs, no memory of its heap is touched, nothing is mapped.
// What is said on the socket is told in sandbox/src/protocol/zygote.rs.

#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LISTENER, READY, STDOUT, STDERR, CONTROL, GIVEN };

// Where a child has them: as every function has.
static const int places[] = {[LISTENER] = 3, [READY] = 4, [STDOUT] = 1, [STDERR] = 2};

// The children that the spawner has not collected yet.
struct living {
    uint64_t number;
    pid_t pid;
    struct living *next;
};

// V8 keeps its heap out of forked children (MADV_DONTFORK), who could then not run a line of JavaScript. Asked for
// every mapping: those where it is not allowed, or not needed, stay as they are.
static void let_memory_fork(void) {
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL) give_up("/proc/self/maps cannot be read");
    char line[512];
    unsigned long from, to;
    while (fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) madvise((void *)from, to - from, MADV_DOFORK);
    }
    fclose(maps);
}

// In the child, first thing: whatever is written to before it is in its own group is charged to the zygote. Told that it
// is, it goes on.
static void wait_for_group(int control, uint64_t number) {
    char text[80], told[80];
    int length = snprintf(text, sizeof text, "{\"here\":%llu,\"prepare\":true}", (unsigned long long)number);
    fcntl(control, F_SETFL, fcntl(control, F_GETFL) & ~O_NONBLOCK);
    ssize_t got = send(control, text, (size_t)length, MSG_NOSIGNAL);
    while (got > 0 && (got = recv(control, told, sizeof told, 0)) == -1 && errno == EINTR) got = 1;
    if (got <= 0) _exit(0);
}

// A session and descriptors of its own.
static void settle(int socket, int given[GIVEN]) {
    setsid();
    // The zygote's socket is replaced by the listener, which stands at its number.
    if (socket != places[LISTENER]) close(socket);
    for (int i = LISTENER; i < CONTROL; i++) {
        int is_standard = places[i] <= STDERR_FILENO;
        // Node may have made a stream of it, which expects the descriptor as it was.
        int blocking = fcntl(places[i], F_GETFL) & O_NONBLOCK;
        dup3(given[i], places[i], is_standard ? 0 : O_CLOEXEC);
        if (is_standard && blocking) fcntl(places[i], F_SETFL, fcntl(places[i], F_GETFL) | O_NONBLOCK);
        close(given[i]);
    }
}

static void tell_failure(int control, uint64_t number, int error) {
    char text[80];
    int length = snprintf(text, sizeof text, "{\"failed\":%llu,\"errno\":%d}", (unsigned long long)number, error);
    // Nobody is left to hear it when this fails.
    if (send(control, text, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) == -1) return;
}

// Waits for the child of that number, which has ended.
static struct living *collect(struct living *all, uint64_t number) {
    struct living **at = &all;
    while (*at != NULL && (*at)->number != number) at = &(*at)->next;
    if (*at == NULL) return all;
    struct living *found = *at;
    while (waitpid(found->pid, NULL, 0) == -1 && errno == EINTR) {
    }
    *at = found->next;
    free(found);
    return all;
}

int park(int socket) {
    struct living *all = NULL;
    // What is not written yet would be written by every child.
    fflush(NULL);
    hold_ready();
    let_memory_fork();
    for (;;) {
        char text[128];
        int given[GIVEN];
        unsigned long long number;
        int count = receive(socket, text, sizeof text, given, GIVEN);
        if (count == 0 && sscanf(text, " { \"collect\" : %llu", &number) == 1) {
            all = collect(all, number);
            continue;
        }
        if (count != GIVEN || sscanf(text, " { \"fork\" : %llu", &number) != 1) give_up("an order that is none");
        struct living *child = malloc(sizeof *child);
        pid_t pid = child == NULL ? -1 : fork();
        if (pid == 0) {
            wait_for_group(given[CONTROL], number);
            settle(socket, given);
            return given[CONTROL];
        }
        if (pid == -1) {
            tell_failure(given[CONTROL], number, errno);
            free(child);
        } else {
            *child = (struct living){.number = number, .pid = pid, .next = all};
            all = child;
        }
        for (int i = 0; i < GIVEN; i++) close(given[i]);
    }
}
