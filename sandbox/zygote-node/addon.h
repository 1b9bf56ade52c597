// The parts of the addon.
#ifndef HATCHWAY_ADDON_H
#define HATCHWAY_ADDON_H

#include "napi.h"

#include <stddef.h>
#include <stdint.h>

// Forks on request, see park.c. Returns in children only: with the end of the child's control socket.
int park(int socket);

// Waits to be told what to become, see stem.c. The text is the caller's to free; NULL with errno set when it cannot be heard.
char *await_order(int socket);

// Lowers the limits of this process, see stem.c. A negative error number when one cannot be.
int lower_limits(int64_t files, int64_t processes);

// One packet, as a string, and the descriptors beside it, at most `most`; gives how many. Ends the process when the socket
// has closed: the spawner needs it no longer.
int receive(int socket, char *text, size_t size, int *given, int most);

// Puts something harmless at the number of the ready pipe, which closes that, until its next owner comes.
void hold_ready(void);

_Noreturn void give_up(const char *what);

// Tells when nothing is left to do, see keep.c.
int keep(napi_env env, napi_value told);

// Enters a Landlock domain, see confine.c.
int confine(void);

#endif
