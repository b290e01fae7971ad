/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/service.h"

#include <string.h>

bool pln_service_parse_port(const char *text, uint16_t *ret_port) {
    uint32_t port = 0;
    const size_t length = strlen(text);
    if (length == 0 || length > 5 || text[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (port > UINT16_MAX) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

static bool is_control(unsigned char c) {
    return c < ' ' || c == 0x7f;
}

const char *pln_service_name_problem(const char *name, uint16_t port) {
    const size_t length = strlen(name);
    uint16_t number;
    if (length == 0) {
        return "is empty";
    }
    if (length >= POLLEN_SERVICE_NAME_BYTES) {
        return "is longer than 64 bytes";
    }
    for (size_t i = 0; i < length; i++) {
        if (name[i] == ' ' || is_control((unsigned char)name[i])) {
            return "has blanks or control characters";
        }
    }
    if (strspn(name, "0123456789") == length &&
        (!pln_service_parse_port(name, &number) || number != port)) {
        return "is a number, but not the port's";
    }
    return NULL;
}

const char *pln_service_show_name(const char *name, char ret_text[POLLEN_SERVICE_NAME_BYTES]) {
    size_t i = 0;
    for (; name[i] != '\0' && i + 1 < POLLEN_SERVICE_NAME_BYTES; i++) {
        /* 0xc2 leads in the control characters beyond ASCII, and little else that names have. */
        const unsigned char c = (unsigned char)name[i];
        ret_text[i] = is_control(c) || c == 0xc2 ? '?' : name[i];
    }
    ret_text[i] = '\0';
    return ret_text;
}

bool pln_service_has_name(const pollen_service *service, const char *text) {
    return strcmp(service->name, text) == 0;
}

bool pln_service_has_port(const pollen_service *service, const char *text) {
    uint16_t port;
    return pln_service_parse_port(text, &port) && port == service->port;
}
