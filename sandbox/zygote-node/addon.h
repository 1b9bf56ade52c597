// The parts of the addon.
#ifndef HATCHWAY_ADDON_H
#define HATCHWAY_ADDON_H

// Forks on request, see park.c. Returns in children only: with the end of the child's control socket.
int park(int socket);

// Enters a Landlock domain, see confine.c.
int confine(void);

#endif
