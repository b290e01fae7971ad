/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/request.h"

#include <stdio.h>
#include <string.h>

typedef enum field_type { FIELD_NUMBER, FIELD_FLAG, FIELD_PEER, FIELD_TEXT } field_type;

typedef struct field {
    const char *name;
    field_type type;
    size_t offset;
    int64_t min; /* Of a number, or of the length of a text. */
    int64_t max;
    unsigned verbs; /* A bit for each verb that has it. */
} field;

#define BIT(verb) (1u << PLN_REQUEST_##verb)
#define AT(member) offsetof(pln_request, member)

/* clang-format off */
static const char *const verb_names[PLN_REQUEST_VERBS] = {
    [PLN_REQUEST_BENCH]          = "bench",
    [PLN_REQUEST_CONNECT]        = "connect",
    [PLN_REQUEST_DIAGNOSE]       = "diagnose",
    [PLN_REQUEST_DISCONNECT]     = "disconnect",
    [PLN_REQUEST_INFO]           = "info",
    [PLN_REQUEST_METRICS]        = "metrics",
    [PLN_REQUEST_NETCHECK]       = "netcheck",
    [PLN_REQUEST_PING]           = "ping",
    [PLN_REQUEST_RELOAD]         = "reload",
    [PLN_REQUEST_REVOKE]         = "revoke",
    [PLN_REQUEST_SERVE]          = "serve",
    [PLN_REQUEST_SHUTDOWN]       = "shutdown",
    [PLN_REQUEST_STATUS]         = "status",
    [PLN_REQUEST_STATUS_ALL]     = "status_all",
    [PLN_REQUEST_STREAM_CONNECT] = "stream_connect",
    [PLN_REQUEST_STREAM_LISTEN]  = "stream_listen",
    [PLN_REQUEST_UNSERVE]        = "unserve",
    [PLN_REQUEST_WATCH]          = "watch",
};

static const field fields[] = {
    {"peer",         FIELD_PEER,   AT(peer),         0, 0,
     BIT(BENCH) | BIT(PING) | BIT(REVOKE) | BIT(STREAM_CONNECT)},
    {"provider",     FIELD_TEXT,   AT(peer),         0, PLN_REQUEST_PEER_BYTES - 1,
     BIT(CONNECT) | BIT(DISCONNECT)},
    {"service",      FIELD_TEXT,   AT(service),      1, PLN_REQUEST_SERVICE_BYTES - 1,
     BIT(CONNECT) | BIT(DISCONNECT) | BIT(SERVE) | BIT(UNSERVE)},
    {"bind",         FIELD_TEXT,   AT(bind),         0, PLN_REQUEST_BIND_BYTES - 1, BIT(CONNECT)},
    {"local_port",   FIELD_NUMBER, AT(local_port),   0, 65535, BIT(CONNECT)},
    {"port",         FIELD_NUMBER, AT(port),         1, 65535,
     BIT(SERVE) | BIT(STREAM_CONNECT) | BIT(STREAM_LISTEN)},
    {"count",        FIELD_NUMBER, AT(count),        0, INT32_MAX, BIT(METRICS) | BIT(PING)},
    {"interval_ms",  FIELD_NUMBER, AT(interval_ms),  1, PLN_REQUEST_TIMEOUT_MS_MAX, BIT(PING)},
    {"timeout_ms",   FIELD_NUMBER, AT(timeout_ms),   1, PLN_REQUEST_TIMEOUT_MS_MAX,
     BIT(BENCH) | BIT(PING) | BIT(STREAM_CONNECT) | BIT(STREAM_LISTEN)},
    {"seconds",      FIELD_NUMBER, AT(seconds),      1, 60, BIT(BENCH)},
    {"size",         FIELD_NUMBER, AT(size),         0, PLN_REQUEST_PING_SIZE_MAX, BIT(PING)},
    {"sure",         FIELD_FLAG,   AT(sure),         0, 0, BIT(REVOKE)},
    {"until_direct", FIELD_FLAG,   AT(until_direct), 0, 0, BIT(PING)},
};
/* clang-format on */

enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

static bool refuse(char *why, const char *what, const char *name) {
    snprintf(why, PLN_REQUEST_WHY_BYTES, "%s '%.32s'", what, name);
    return false;
}

static const field *find_field(const char *name, pln_request_verb verb) {
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(fields[i].name, name) == 0 && (fields[i].verbs & (1u << verb)) != 0) {
            return &fields[i];
        }
    }
    return NULL;
}

/* Printable ASCII without blanks: it is echoed in messages. */
static bool read_peer(const json_t *value, char *ret) {
    const char *text = json_string_value(value);
    const size_t length = json_string_length(value);
    if (text == NULL || length == 0 || length >= PLN_REQUEST_PEER_BYTES) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false;
        }
    }
    memcpy(ret, text, length + 1);
    return true;
}

/* UTF-8, as all strings that jansson gives, without control characters. */
static bool read_text(const field *f, const json_t *value, char *ret) {
    const char *text = json_string_value(value);
    const size_t length = json_string_length(value);
    if (text == NULL || length < (size_t)f->min || length > (size_t)f->max) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
            return false;
        }
    }
    memcpy(ret, text, length + 1);
    return true;
}

static bool read_field(const field *f, const json_t *value, pln_request *request) {
    char *at = (char *)request + f->offset;
    switch (f->type) {
    case FIELD_PEER:
        return read_peer(value, at);
    case FIELD_TEXT:
        return read_text(f, value, at);
    case FIELD_FLAG:
        if (!json_is_boolean(value)) {
            return false;
        }
        *(bool *)at = json_is_true(value);
        return true;
    case FIELD_NUMBER:
        if (!json_is_integer(value) || json_integer_value(value) < f->min ||
            json_integer_value(value) > f->max) {
            return false;
        }
        *(int64_t *)(void *)at = json_integer_value(value);
        return true;
    }
    return false;
}

static bool read_verb(const json_t *object, pln_request *request, char *why) {
    const char *schema = json_string_value(json_object_get(object, "schema"));
    const char *verb = json_string_value(json_object_get(object, "verb"));
    if (schema == NULL || strcmp(schema, PLN_REQUEST_SCHEMA) != 0) {
        return refuse(why, "the schema is not", PLN_REQUEST_SCHEMA);
    }
    for (size_t i = 0; verb != NULL && i < PLN_REQUEST_VERBS; i++) {
        if (strcmp(verb, verb_names[i]) == 0) {
            request->verb = (pln_request_verb)i;
            return true;
        }
    }
    return refuse(why, "unknown verb", verb == NULL ? "" : verb);
}

static bool read_fields(json_t *object, pln_request *request, char *why) {
    unsigned seen = 0;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) {
        if (strcmp(name, "schema") == 0 || strcmp(name, "verb") == 0) {
            continue;
        }
        const field *f = find_field(name, request->verb);
        if (f == NULL) {
            return refuse(why, "unknown field", name);
        }
        if (!read_field(f, value, request)) {
            return refuse(why, "wrong type or range of", name);
        }
        seen |= 1u << (f - fields);
    }
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if ((fields[i].verbs & (1u << request->verb)) != 0 && (seen & (1u << i)) == 0) {
            return refuse(why, "missing field", fields[i].name);
        }
    }
    return true;
}

pollen_err pln_request_parse(const char *line, size_t size, pln_request *ret, char *why) {
    pln_request request = {0};
    json_error_t error;
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, &error);
    bool ok;
    if (object == NULL) {
        ok = refuse(why, "not JSON:", error.text);
    } else if (!json_is_object(object)) {
        ok = refuse(why, "not an object:", "request");
    } else {
        ok = read_verb(object, &request, why) && read_fields(object, &request, why);
    }
    json_decref(object);
    if (!ok) {
        return POLLEN_EINVAL;
    }
    *ret = request;
    return POLLEN_OK;
}

static json_t *encode_field(const field *f, const pln_request *request) {
    const char *at = (const char *)request + f->offset;
    switch (f->type) {
    case FIELD_PEER:
    case FIELD_TEXT:
        return json_string(at);
    case FIELD_FLAG:
        return json_boolean(*(const bool *)at);
    case FIELD_NUMBER:
        return json_integer(*(const int64_t *)(const void *)at);
    }
    return NULL;
}

json_t *pln_request_encode(const pln_request *request) {
    json_t *object =
        json_pack("{s:s, s:s}", "schema", PLN_REQUEST_SCHEMA, "verb", verb_names[request->verb]);
    for (size_t i = 0; object != NULL && i < FIELD_COUNT; i++) {
        if ((fields[i].verbs & (1u << request->verb)) != 0 &&
            json_object_set_new(object, fields[i].name, encode_field(&fields[i], request)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}
