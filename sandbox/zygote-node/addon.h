// The parts of the addon.
#ifndef HATCHWAY_ADDON_H
#define HATCHWAY_ADDON_H

#include "napi.h"

// Forks on request, see park.c. Returns in children only: with the end of the child's control socket.
int park(int socket);

// Tells when nothing is left to do, see keep.c.
int keep(napi_env env, napi_value told);

// Enters a Landlock domain, see confine.c.
int confine(void);

#endif
