// The sample filter in C, without an SDK: what crosses the boundary is all
// there is to see. README.md beside it says what the filter does.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The host's functions, and the constants of proxy-wasm ABI 0.2.1 that are used.
#define HOST(name, ...) \
    __attribute__((import_module("env"), import_name(#name))) uint32_t name(__VA_ARGS__)
#define CALLED_BY_HOST(name) __attribute__((export_name(#name))) name

typedef const void *in;

HOST(proxy_set_tick_period_milliseconds, uint32_t);
HOST(proxy_set_effective_context, uint32_t);
HOST(proxy_continue_stream, uint32_t);
HOST(proxy_get_property, in, size_t, char **, size_t *);
HOST(proxy_get_header_map_value, uint32_t, in, size_t, char **, size_t *);
HOST(proxy_add_header_map_value, uint32_t, in, size_t, in, size_t);
HOST(proxy_replace_header_map_value, uint32_t, in, size_t, in, size_t);
HOST(proxy_remove_header_map_value, uint32_t, in, size_t);
HOST(proxy_get_buffer_bytes, uint32_t, size_t, size_t, char **, size_t *);
HOST(proxy_set_buffer_bytes, uint32_t, size_t, size_t, in, size_t);
HOST(proxy_send_local_response, uint32_t, in, size_t, in, size_t, in, size_t, uint32_t);
HOST(proxy_http_call, in, size_t, in, size_t, in, size_t, in, size_t, uint32_t, uint32_t *);
HOST(proxy_get_shared_data, in, size_t, char **, size_t *, uint32_t *);
HOST(proxy_set_shared_data, in, size_t, in, size_t, uint32_t);
HOST(proxy_register_shared_queue, in, size_t, uint32_t *);
HOST(proxy_enqueue_shared_queue, uint32_t, in, size_t);
HOST(proxy_dequeue_shared_queue, uint32_t, char **, size_t *);
HOST(proxy_define_metric, uint32_t, in, size_t, uint32_t *);
HOST(proxy_increment_metric, uint32_t, int64_t);
HOST(proxy_record_metric, uint32_t, uint64_t);

enum { OK = 0, CAS_MISMATCH = 8 };
enum { CONTINUE = 0, PAUSE = 1 };
enum { REQUEST_HEADERS = 0, RESPONSE_HEADERS = 2, CALL_HEADERS = 6 };
enum { REQUEST_BODY = 0, RESPONSE_BODY = 1, VM_CONFIGURATION = 6, PLUGIN_CONFIGURATION = 7 };
enum { COUNTER = 0, GAUGE = 1, HISTOGRAM = 2 };
enum { REQUEST = 0 };

#define TEXT(s) (s), strlen(s)

// One VM serves one plugin; its streams are found by their context's id.
enum { MAX_STREAMS = 64, MAX_PATH = 256 };

static struct stream {
    uint32_t id; // 0: free
    char path[MAX_PATH];
    bool waits;    // for the tick
    uint32_t call; // that it waits for
} streams[MAX_STREAMS];

static uint32_t queue, requests, active, path_bytes;
static char *vm_config;

static struct stream *stream_of(uint32_t id) {
    for (int i = 0; i < MAX_STREAMS; i++)
        if (streams[i].id == id) return &streams[i];
    static struct stream none;
    return &none;
}

// taken copies what the host allocated in our memory into a string, and frees it.
static char *taken(char *data, size_t size) {
    char *text = calloc(1, size + 1);
    if (size > 0) memcpy(text, data, size);
    free(data);
    return text;
}

static char *configuration(uint32_t which, size_t size) {
    char *data = NULL;
    size_t got = 0;
    proxy_get_buffer_bytes(which, 0, size, &data, &got);
    return taken(data, got);
}

void CALLED_BY_HOST(proxy_abi_version_0_2_1)(void) {}

uint32_t CALLED_BY_HOST(proxy_on_vm_start)(uint32_t root, size_t size) {
    setvbuf(stdout, NULL, _IOLBF, 0); // a line is a line of the host's log
    vm_config = configuration(VM_CONFIGURATION, size);
    return true;
}

uint32_t CALLED_BY_HOST(proxy_on_configure)(uint32_t root, size_t size) {
    char *config = configuration(PLUGIN_CONFIGURATION, size);
    printf("start vm=%s plugin=%s\n", vm_config, config);
    free(config);
    proxy_define_metric(COUNTER, TEXT("sample.requests"), &requests);
    proxy_define_metric(GAUGE, TEXT("sample.active"), &active);
    proxy_define_metric(HISTOGRAM, TEXT("sample.path"), &path_bytes);
    return proxy_register_shared_queue(TEXT("sample"), &queue) == OK && proxy_set_tick_period_milliseconds(50) == OK;
}

void CALLED_BY_HOST(proxy_on_context_create)(uint32_t id, uint32_t root) {
    if (root != 0) *stream_of(0) = (struct stream){.id = id};
}

void CALLED_BY_HOST(proxy_on_tick)(uint32_t root) {
    for (int i = 0; i < MAX_STREAMS; i++) {
        if (!streams[i].waits) continue;
        streams[i].waits = false;
        proxy_set_effective_context(streams[i].id);
        proxy_add_header_map_value(REQUEST_HEADERS, TEXT("x-woken"), TEXT("tick"));
        proxy_continue_stream(REQUEST);
    }
}

void CALLED_BY_HOST(proxy_on_queue_ready)(uint32_t root, uint32_t ready) {
    char *data;
    size_t size;
    if (proxy_dequeue_shared_queue(ready, &data, &size) == OK) {
        char *path = taken(data, size);
        printf("queue %s\n", path);
        free(path);
    }
}

// count adds 1 to the proxy's count of requests.
static int count(void) {
    for (;;) {
        char *data = NULL, text[16];
        size_t size = 0;
        uint32_t cas = 0;
        proxy_get_shared_data(TEXT("requests"), &data, &size, &cas);
        char *old = taken(data, size);
        int n = atoi(old) + 1;
        free(old);
        snprintf(text, sizeof text, "%d", n);
        if (proxy_set_shared_data(TEXT("requests"), TEXT(text), cas) != CAS_MISMATCH) return n;
    }
}

// pairs lays out a header map as the ABI wants it: how many, all the lengths, all the texts.
static size_t pairs(char *to, const char *fields[][2], uint32_t n) {
    uint32_t *sizes = (uint32_t *)to;
    char *texts = to + 4 + 8 * n;
    *sizes++ = n;
    for (uint32_t i = 0; i < 2 * n; i++) {
        const char *text = fields[i / 2][i % 2];
        *sizes++ = strlen(text);
        strcpy(texts, text);
        texts += strlen(text) + 1;
    }
    return texts - to;
}

static uint32_t ask(struct stream *s, const char *cluster) {
    _Alignas(4) char request[256];
    size_t size = pairs(request, (const char *[][2]){{":method", "GET"}, {":path", "/answer"}, {":authority", cluster}}, 3);
    if (proxy_http_call(TEXT(cluster), request, size, NULL, 0, NULL, 0, 300, &s->call) == OK) return PAUSE;
    proxy_add_header_map_value(REQUEST_HEADERS, TEXT("x-asked"), TEXT("refused"));
    return CONTINUE;
}

void CALLED_BY_HOST(proxy_on_http_call_response)(uint32_t root, uint32_t call, uint32_t headers, size_t body, uint32_t trailers) {
    char *data = NULL, text[32];
    size_t size = 0;
    proxy_get_header_map_value(CALL_HEADERS, TEXT(":status"), &data, &size);
    char *status = taken(data, size);
    snprintf(text, sizeof text, "%s %zu", status, body);
    free(status);
    for (int i = 0; i < MAX_STREAMS; i++) {
        if (streams[i].id == 0 || streams[i].call != call) continue;
        streams[i].call = 0;
        proxy_set_effective_context(streams[i].id);
        proxy_add_header_map_value(REQUEST_HEADERS, TEXT("x-asked"), TEXT(text));
        proxy_continue_stream(REQUEST);
    }
}

uint32_t CALLED_BY_HOST(proxy_on_request_headers)(uint32_t id, uint32_t n, uint32_t end) {
    struct stream *s = stream_of(id);
    char *data = NULL, text[16];
    size_t size = 0;
    proxy_get_header_map_value(REQUEST_HEADERS, TEXT(":path"), &data, &size);
    char *path = taken(data, size);
    snprintf(s->path, sizeof s->path, "%s", path);
    free(path);
    proxy_increment_metric(requests, 1);
    proxy_increment_metric(active, 1);
    proxy_record_metric(path_bytes, size);
    snprintf(text, sizeof text, "%d", count());
    proxy_add_header_map_value(REQUEST_HEADERS, TEXT("x-count"), TEXT(text));
    if (strcmp(s->path, "/deny") == 0) {
        _Alignas(4) char headers[64];
        size_t length = pairs(headers, (const char *[][2]){{"x-reason", "policy"}}, 1);
        proxy_send_local_response(403, NULL, 0, TEXT("denied\n"), headers, length, -1);
        return PAUSE;
    }
    if (strcmp(s->path, "/ask") == 0) return ask(s, "backend");
    if (strcmp(s->path, "/ask-nobody") == 0) return ask(s, "nobody");
    if (strcmp(s->path, "/later") == 0) {
        s->waits = true;
        return PAUSE;
    }
    if (strcmp(s->path, "/old") == 0) proxy_replace_header_map_value(REQUEST_HEADERS, TEXT(":path"), TEXT("/new"));
    if (strcmp(s->path, "/wrap") == 0) proxy_remove_header_map_value(REQUEST_HEADERS, TEXT("content-length"));
    return CONTINUE;
}

uint32_t CALLED_BY_HOST(proxy_on_request_body)(uint32_t id, size_t size, uint32_t end) {
    if (strcmp(stream_of(id)->path, "/wrap") != 0) return CONTINUE;
    if (!end) return PAUSE;
    proxy_set_buffer_bytes(REQUEST_BODY, 0, 0, TEXT("["));
    proxy_set_buffer_bytes(REQUEST_BODY, INT32_MAX, 0, TEXT("]"));
    return CONTINUE;
}

uint32_t CALLED_BY_HOST(proxy_on_response_headers)(uint32_t id, uint32_t n, uint32_t end) {
    proxy_add_header_map_value(RESPONSE_HEADERS, TEXT("x-sample"), TEXT("c"));
    if (strcmp(stream_of(id)->path, "/wrap") == 0) proxy_remove_header_map_value(RESPONSE_HEADERS, TEXT("content-length"));
    return CONTINUE;
}

uint32_t CALLED_BY_HOST(proxy_on_response_body)(uint32_t id, size_t size, uint32_t end) {
    if (end && strcmp(stream_of(id)->path, "/wrap") == 0) proxy_set_buffer_bytes(RESPONSE_BODY, INT32_MAX, 0, TEXT("!"));
    return CONTINUE;
}

uint32_t CALLED_BY_HOST(proxy_on_done)(uint32_t id) {
    struct stream *s = stream_of(id);
    if (s->id != id) return true; // the root
    proxy_increment_metric(active, -1);
    char *data = NULL;
    size_t size = 0;
    uint64_t status = 0;
    if (proxy_get_property("response\0code", 13, &data, &size) == OK && size == sizeof status) memcpy(&status, data, size);
    free(data);
    printf("done %s %llu\n", s->path, status);
    proxy_enqueue_shared_queue(queue, TEXT(s->path));
    return true;
}

void CALLED_BY_HOST(proxy_on_delete)(uint32_t id) {
    if (stream_of(id)->id == id) *stream_of(id) = (struct stream){0};
}
