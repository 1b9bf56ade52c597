// The parts of the addon.
#ifndef HATCHWAY_ADDON_H
#define HATCHWAY_ADDON_H

#include <stdint.h>

// A forked child: the number that the spawner chose, and its end of the control socket.
struct child {
    uint64_t number;
    int control;
};

// Forks on request, see park.c. Returns in children only.
struct child park(int socket);

// Enters a Landlock domain, see confine.c.
int confine(void);

#endif
