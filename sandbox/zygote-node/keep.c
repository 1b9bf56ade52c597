// The end of a child that has nothing left to do. When its event loop runs dry, Node waits for tasks that it has given
// to threads of V8's; a fork has none, and would wait for ever. So the loop of a child never runs dry: a handle of ours
// keeps it going, looks before each wait whether anything else does, and tells JavaScript when not.

#include "addon.h"

#include <stdlib.h>

static struct {
    struct uv_loop_s *loop;
    void *handle;
    napi_env env;
    napi_async_context context;
    napi_ref told;
} keeper;

static int is_dry(void) {
    uv_unref(keeper.handle);
    int alive = uv_loop_alive(keeper.loop);
    uv_ref(keeper.handle);
    return !alive;
}

// Exceptions are caught in JavaScript.
static void tell(int64_t stage) {
    napi_handle_scope scope = NULL;
    napi_value function = NULL, global = NULL, argument = NULL, result = NULL;
    napi_open_handle_scope(keeper.env, &scope);
    napi_get_reference_value(keeper.env, keeper.told, &function);
    napi_get_global(keeper.env, &global);
    napi_create_int64(keeper.env, stage, &argument);
    napi_make_callback(keeper.env, keeper.context, global, function, 1, &argument, &result);
    napi_close_handle_scope(keeper.env, scope);
}

static void look(void *handle) {
    (void)handle;
    if (!is_dry()) return;
    tell(0);
    // What it has been told may have made new work, by the next tick at the latest.
    if (is_dry()) tell(1);
}

// Calls told(0) each time nothing is left to do, and told(1) when that has made nothing new.
int keep(napi_env env, napi_value told) {
    napi_value name = NULL;
    keeper.env = env;
    keeper.handle = calloc(1, uv_handle_size(UV_PREPARE));
    int failed = keeper.handle == NULL;
    failed = failed || napi_get_uv_event_loop(env, &keeper.loop);
    failed = failed || napi_create_reference(env, told, 1, &keeper.told);
    failed = failed || napi_create_string_utf8(env, "hatchway", (size_t)-1, &name);
    failed = failed || napi_async_init(env, NULL, name, &keeper.context);
    failed = failed || uv_prepare_init(keeper.loop, keeper.handle);
    failed = failed || uv_prepare_start(keeper.handle, look);
    return failed ? -1 : 0;
}
