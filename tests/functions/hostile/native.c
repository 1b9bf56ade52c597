// What a package with a native module can do in Node: any system call.
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "napi.h"

napi_status napi_get_value_int64(napi_env, napi_value, int64_t *result);
napi_status napi_get_buffer_info(napi_env, napi_value, void **data, size_t *length);

// call(number, ...): each argument a number, or a buffer whose address is given; a negative error number when it fails.
static napi_value call(napi_env env, napi_callback_info info) {
    enum { MOST = 7 };
    size_t count = MOST;
    napi_value given[MOST], result = NULL;
    int64_t words[MOST] = {0};
    if (napi_get_cb_info(env, info, &count, given, NULL, NULL) != 0) return NULL;
    for (size_t i = 0; i < count && i < MOST; i++) {
        void *data = NULL;
        if (napi_get_value_int64(env, given[i], &words[i]) == 0) continue;
        if (napi_get_buffer_info(env, given[i], &data, NULL) == 0) words[i] = (int64_t)(intptr_t)data;
    }
    long value = syscall(words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
    napi_create_int64(env, value == -1 ? -errno : value, &result);
    return result;
}

// Found by Node by its name.
__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports) {
    napi_value value = NULL;
    napi_create_function(env, "call", (size_t)-1, call, NULL, &value);
    napi_set_named_property(env, exports, "call", value);
    napi_create_int64(env, SYS_memfd_create, &value);
    napi_set_named_property(env, exports, "memfdCreate", value);
    return exports;
}
