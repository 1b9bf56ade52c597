// A Landlock domain for each child, so that siblings, which share a user id and a process-id namespace, can neither
// trace nor signal each other (landlock(7)). A domain has to take something away: making block devices, which nobody
// here could do anyway. From version 6 on, it also takes away signals and abstract sockets across its border.

#include "addon.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// Older headers lack these; the numbers are the same on every architecture.
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif

#define CREATE_RULESET_VERSION 1u
#define MAKE_BLOCK_DEVICE (1ull << 11)
#define SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS 3ull

struct ruleset {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

// The version of Landlock, 0 where the kernel has none, or a negative error number.
int confine(void) {
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
    if (version == -1) return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
    struct ruleset rules = {.handled_access_fs = MAKE_BLOCK_DEVICE};
    if (version >= 6) rules.scoped = SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS;
    // Before version 4 the structure had one field, before 6 it had two.
    size_t size = version < 4 ? offsetof(struct ruleset, handled_access_net)
                : version < 6 ? offsetof(struct ruleset, scoped)
                              : sizeof rules;
    long domain = syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (domain == -1) return -errno;
    // A sandbox has promised this already; the kernel asks for it.
    long done = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (done == 0) done = syscall(SYS_landlock_restrict_self, domain, 0);
    int result = done == 0 ? (int)version : -errno;
    close((int)domain);
    return result;
}
