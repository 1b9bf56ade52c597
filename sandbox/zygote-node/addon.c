// What a Node zygote or stem cell cannot say in JavaScript: fork, descriptors, limits. Loaded by the adapters zygote/fork.cjs and
// stem.cjs; the other files do the work. A function that fails returns a negative error number.

#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static napi_value number(napi_env env, int64_t value) {
    napi_value result = NULL;
    napi_create_int64(env, value, &result);
    return result;
}

static int32_t first_argument(napi_env env, napi_callback_info info) {
    size_t count = 1;
    napi_value value = NULL;
    int32_t result = -1;
    if (napi_get_cb_info(env, info, &count, &value, NULL, NULL) == 0 && count == 1)
        napi_get_value_int32(env, value, &result);
    return result;
}

// park(socket): forks on request; comes back in every child, as { control, pid, errno }, and never in the zygote.
static napi_value park_here(napi_env env, napi_callback_info info) {
    struct uv_loop_s *loop = NULL;
    napi_get_uv_event_loop(env, &loop);
    int control = park(first_argument(env, info));
    // The loop's epoll, wake-up and signal descriptors are the zygote's: make new ones. Its clock stood still.
    int failed = uv_loop_fork(loop);
    uv_update_time(loop);
    napi_value result = NULL;
    napi_create_object(env, &result);
    napi_set_named_property(env, result, "control", number(env, control));
    napi_set_named_property(env, result, "pid", number(env, getpid()));
    napi_set_named_property(env, result, "errno", number(env, failed));
    return result;
}

// await(socket): blocks until this process is told what to become, takes what it is given, and gives the words.
static napi_value await_here(napi_env env, napi_callback_info info) {
    struct uv_loop_s *loop = NULL;
    napi_value result = NULL;
    char *text = await_order(first_argument(env, info));
    if (text == NULL) give_up("no memory for an order");
    napi_create_string_utf8(env, text, (size_t)-1, &result);
    free(text);
    // Its clock stood still: timers would be set for times that have passed.
    napi_get_uv_event_loop(env, &loop);
    uv_update_time(loop);
    return result;
}

// limit(files, processes): of this process; -1 for as many processes as there may be.
static napi_value limit_here(napi_env env, napi_callback_info info) {
    size_t count = 2;
    napi_value values[2] = {NULL, NULL};
    int64_t files = 0, processes = -1;
    if (napi_get_cb_info(env, info, &count, values, NULL, NULL) != 0 || count != 2) return number(env, -EINVAL);
    napi_get_value_int64(env, values[0], &files);
    napi_get_value_int64(env, values[1], &processes);
    return number(env, lower_limits(files, processes));
}

// confine(): a Landlock domain of its own; gives the version of Landlock, 0 where there is none.
static napi_value confine_here(napi_env env, napi_callback_info info) {
    (void)info;
    return number(env, confine());
}

// leave(code): ends the process at once. The ordinary end joins threads, which a forked child does not have.
static napi_value leave(napi_env env, napi_callback_info info) {
    int32_t code = first_argument(env, info);
    fflush(NULL);
    _exit(code);
}

// closeAtExec(descriptor): keeps it from programs that this process starts.
static napi_value close_at_exec(napi_env env, napi_callback_info info) {
    return number(env, fcntl(first_argument(env, info), F_SETFD, FD_CLOEXEC) == -1 ? -errno : 0);
}

// children(): 1 when this process has a child, dead or alive; it is not waited for.
static napi_value children(napi_env env, napi_callback_info info) {
    (void)info;
    siginfo_t unused;
    return number(env, waitid(P_ALL, 0, &unused, WEXITED | WNOHANG | WNOWAIT) == 0 ? 1 : 0);
}

// keep(told): in a child, see keep.c.
static napi_value keep_here(napi_env env, napi_callback_info info) {
    size_t count = 1;
    napi_value told = NULL;
    napi_get_cb_info(env, info, &count, &told, NULL, NULL);
    return number(env, keep(env, told));
}

// waits(descriptor): 1 when there is something to read, or its end.
static napi_value waits(napi_env env, napi_callback_info info) {
    struct pollfd watched = {.fd = first_argument(env, info), .events = POLLIN};
    return number(env, poll(&watched, 1, 0) == 1 ? 1 : 0);
}

// listen(path): a listening Unix socket there. Its descriptor is no handle of libuv's yet, as that of a child.
static napi_value listen_there(napi_env env, napi_callback_info info) {
    size_t count = 1, length = 0;
    napi_value path = NULL;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    napi_get_cb_info(env, info, &count, &path, NULL, NULL);
    napi_get_value_string_utf8(env, path, address.sun_path, sizeof address.sun_path, &length);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor == -1) return number(env, -errno);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) == 0 && listen(descriptor, 16) == 0)
        return number(env, descriptor);
    int failed = errno;
    close(descriptor);
    return number(env, -failed);
}

// Found by Node by its name.
__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports) {
    static const struct {
        const char *name;
        napi_callback call;
    } functions[] = {
        {"park", park_here},    {"confine", confine_here},      {"leave", leave},         {"waits", waits},
        {"children", children}, {"closeAtExec", close_at_exec}, {"listen", listen_there},
        {"keep", keep_here},    {"await", await_here},          {"limit", limit_here},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        napi_value function = NULL;
        napi_create_function(env, functions[i].name, (size_t)-1, functions[i].call, NULL, &function);
        napi_set_named_property(env, exports, functions[i].name, function);
    }
    return exports;
}
