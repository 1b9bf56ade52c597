// The little of Node-API that is used here (nodejs.org/api/n-api.html, version 2 of it), so that no
// header of Node has to be installed. It is stable across Node versions: one build serves all.
#ifndef HATCHWAY_NAPI_H
#define HATCHWAY_NAPI_H

#include <stddef.h>
#include <stdint.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef struct napi_ref__ *napi_ref;
typedef struct napi_handle_scope__ *napi_handle_scope;
typedef struct napi_async_context__ *napi_async_context;
typedef int napi_status;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);

napi_status napi_create_function(napi_env, const char *name, size_t length, napi_callback, void *data,
                                 napi_value *result);
napi_status napi_create_object(napi_env, napi_value *result);
napi_status napi_create_int64(napi_env, int64_t value, napi_value *result);
napi_status napi_get_cb_info(napi_env, napi_callback_info, size_t *count, napi_value *values,
                             napi_value *this_value, void **data);
napi_status napi_get_value_int32(napi_env, napi_value, int32_t *result);
napi_status napi_get_value_int64(napi_env, napi_value, int64_t *result);
napi_status napi_get_value_string_utf8(napi_env, napi_value, char *buffer, size_t size, size_t *length);
napi_status napi_set_named_property(napi_env, napi_value object, const char *name, napi_value value);

napi_status napi_create_string_utf8(napi_env, const char *text, size_t length, napi_value *result);
napi_status napi_get_global(napi_env, napi_value *result);
napi_status napi_create_reference(napi_env, napi_value, uint32_t count, napi_ref *result);
napi_status napi_get_reference_value(napi_env, napi_ref, napi_value *result);
napi_status napi_open_handle_scope(napi_env, napi_handle_scope *result);
napi_status napi_close_handle_scope(napi_env, napi_handle_scope);
napi_status napi_async_init(napi_env, napi_value resource, napi_value name, napi_async_context *result);
napi_status napi_make_callback(napi_env, napi_async_context, napi_value this_value, napi_value function, size_t count,
                               const napi_value *values, napi_value *result);

// libuv, of the same executable (docs.libuv.org).
struct uv_loop_s;
napi_status napi_get_uv_event_loop(napi_env, struct uv_loop_s **loop);
int uv_loop_fork(struct uv_loop_s *loop);
void uv_update_time(struct uv_loop_s *loop);
int uv_loop_alive(const struct uv_loop_s *loop);
// Handles are memory of a size that libuv tells.
enum { UV_PREPARE = 9 };
size_t uv_handle_size(int type);
int uv_prepare_init(struct uv_loop_s *loop, void *handle);
int uv_prepare_start(void *handle, void (*called)(void *handle));
void uv_ref(void *handle);
void uv_unref(void *handle);

#endif
