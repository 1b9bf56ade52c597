// A stem cell waits, and takes what it is given. What is said is told in sandbox/src/protocol/stem.rs.

#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

// As long as a packet can be.
enum { ORDER_BYTES = 160 * 1024 + 1 };
enum { STDOUT, STDERR, LISTENER, READY, GIVEN };

// Where a function has them. The cell's own socket stands where the listener goes, and closes by that.
static const int places[] = {[STDOUT] = 1, [STDERR] = 2, [LISTENER] = 3, [READY] = 4};

char *await_order(int socket) {
    char *text = malloc(ORDER_BYTES);
    if (text == NULL) return NULL;
    int given[GIVEN];
    hold_ready();
    if (receive(socket, text, ORDER_BYTES, given, GIVEN) != GIVEN) give_up("an order that is none");
    for (int i = 0; i < GIVEN; i++) {
        dup3(given[i], places[i], places[i] <= STDERR_FILENO ? 0 : O_CLOEXEC);
        close(given[i]);
    }
    return text;
}

// Both limits, to what is wanted or to what we have where that is less: raising one takes a right that nobody has here.
static int lower(int resource, int64_t wanted) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) == -1) return -errno;
    if ((rlim_t)wanted < limit.rlim_max) limit.rlim_max = (rlim_t)wanted;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(resource, &limit) == -1 ? -errno : 0;
}

int lower_limits(int64_t files, int64_t processes) {
    int failed = lower(RLIMIT_NOFILE, files);
    return failed == 0 && processes >= 0 ? lower(RLIMIT_NPROC, processes) : failed;
}
