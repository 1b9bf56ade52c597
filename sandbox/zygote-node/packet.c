// What the spawner says, as zygotes and stem cells hear it.

#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READY = 4, MOST_GIVEN = 8 };

_Noreturn void give_up(const char *what) {
    dprintf(STDERR_FILENO, "hatchway: %s\n", what);
    _exit(70);
}

void hold_ready(void) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null == -1) give_up("/dev/null cannot be opened");
    if (null == READY) return;
    dup3(null, READY, O_CLOEXEC);
    close(null);
}

int receive(int socket, char *text, size_t size, int *given, int most) {
    union {
        char bytes[CMSG_SPACE(MOST_GIVEN * sizeof(int))];
        struct cmsghdr aligned;
    } beside;
    struct iovec part = {.iov_base = text, .iov_len = size - 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &beside, .msg_controllen = CMSG_SPACE((size_t)most * sizeof(int))};
    ssize_t length;
    do length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (length == -1 && errno == EINTR);
    if (length == -1) give_up(strerror(errno));
    if (length == 0) _exit(0);
    text[length] = '\0';
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL || header->cmsg_type != SCM_RIGHTS) return 0;
    size_t bytes = header->cmsg_len - CMSG_LEN(0);
    if (bytes > (size_t)most * sizeof(int)) give_up("more descriptors than were asked for");
    memcpy(given, CMSG_DATA(header), bytes);
    return (int)(bytes / sizeof(int));
}
