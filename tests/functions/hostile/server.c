// A server that makes the attempts in the body of a request, a line for each, and answers with JSON:
// [{"errno": 13, "got": ""}, ...]. One connection at a time, one request on each.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attempts.h"

enum { REQUEST_BYTES = 1 << 17 };

// Reads a request up to the end of its body; gives the body, NULL when there is none.
static char *receive(int client, char *request) {
    size_t used = 0, wanted = REQUEST_BYTES - 1;
    char *body = NULL;
    for (long part; used < wanted && (part = read(client, request + used, REQUEST_BYTES - 1 - used)) > 0;) {
        used += (size_t)part;
        request[used] = '\0';
        if (body == NULL && (body = strstr(request, "\r\n\r\n")) != NULL) {
            body += 4;
            char *length = strcasestr(request, "\r\ncontent-length:");
            wanted = (size_t)(body - request) + (length == NULL ? 0 : strtoul(length + 17, NULL, 10));
        }
    }
    return used == wanted ? body : NULL;
}

static void put_result(FILE *out, const struct result *result) {
    fprintf(out, "{\"errno\":%d,\"got\":\"", result->error);
    for (const char *c = result->got; *c != '\0'; c++) {
        if (*c < ' ' || *c == '"' || *c == '\\' || *c == 127)
            fprintf(out, "\\u%04x", (unsigned char)*c);
        else
            fputc(*c, out);
    }
    fputs("\"}", out);
}

static void answer(int client, char *lines) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const char *between = "[";
    for (char *line; (line = strsep(&lines, "\n")) != NULL && *line != '\0'; between = ",\n") {
        static struct result result;
        attempt(line, &result);
        fputs(between, out);
        put_result(out, &result);
    }
    fputs(*between == '[' ? "[]" : "]", out);
    fclose(out);
    dprintf(client, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", size);
    for (size_t sent = 0; sent < size;) {
        long part = write(client, text + sent, size - sent);
        if (part <= 0) break;
        sent += (size_t)part;
    }
    free(text);
}

int main(void) {
    static char request[REQUEST_BYTES];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("HATCHWAY_SOCKET");
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (path == NULL || snprintf(address.sun_path, sizeof address.sun_path, "%s", path) < 1) return 64;
    if (bind(listener, (struct sockaddr *)&address, sizeof address) == -1 || listen(listener, 16) == -1) return 71;
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client == -1) continue;
        char *lines = receive(client, request);
        if (lines != NULL) answer(client, lines);
        close(client);
    }
}
