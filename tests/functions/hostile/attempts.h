#ifndef ATTEMPTS_H
#define ATTEMPTS_H

#include <stddef.h>

enum { GOT_BYTES = 4096 };

// What came of an attempt: the error number, 0 where it succeeded, and what was got by it.
struct result {
    int error;
    char got[GOT_BYTES];
};

// Makes the attempt that `line` names: a verb and its words, with tabs between them. The line is taken apart.
void attempt(char *line, struct result *result);

#endif
