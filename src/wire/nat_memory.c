/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/nat_memory.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/addr.h"
#include "base/assert.h"
#include "wire/outbuf.h"

/* ---- Reading --------------------------------------------------------------------------------- */

static bool read_ip(const json_t *value, pollen_addr *ret) {
    return json_is_string(value) &&
           pln_addr_parse_lenient(json_string_value(value), 0, ret) == POLLEN_OK && ret->port == 0;
}

static bool read_locals(const json_t *array, pln_nat_place *place) {
    const json_t *value;
    size_t i;
    if (!json_is_array(array) || json_array_size(array) > PLN_NAT_LOCALS_MAX) {
        return false;
    }
    json_array_foreach(array, i, value) {
        if (!read_ip(value, &place->locals[i])) {
            return false;
        }
        place->local_count++;
    }
    return place->local_count > 0;
}

static bool read_mapping(const json_t *value, pollen_nat_mapping *ret) {
    static const pollen_nat_mapping known[] = {POLLEN_NAT_MAPPING_NONE, POLLEN_NAT_MAPPING_EASY,
                                               POLLEN_NAT_MAPPING_HARD};
    for (size_t i = 0; json_is_string(value) && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(json_string_value(value), pollen_nat_mapping_name(known[i])) == 0) {
            *ret = known[i];
            return true;
        }
    }
    return false;
}

static bool read_allocation(const json_t *value, pollen_nat_allocation *ret) {
    for (pollen_nat_allocation i = POLLEN_NAT_ALLOCATION_UNKNOWN;
         json_is_string(value) && i <= POLLEN_NAT_ALLOCATION_RANDOM; i++) {
        if (strcmp(json_string_value(value), pollen_nat_allocation_name(i)) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool read_place(const json_t *object, pln_nat_place *place) {
    const json_t *step = json_object_get(object, "step");
    const json_t *at = json_object_get(object, "at");
    *place = (pln_nat_place){.local_count = 0};
    if (!read_ip(json_object_get(object, "external"), &place->external) ||
        !read_locals(json_object_get(object, "locals"), place) ||
        !read_mapping(json_object_get(object, "mapping"), &place->mapping) ||
        !read_allocation(json_object_get(object, "allocation"), &place->allocation) ||
        !json_is_integer(step) || !json_is_integer(at)) {
        return false;
    }
    const json_int_t number = json_integer_value(step);
    place->at = json_integer_value(at);
    place->step = number >= 0 && number <= UINT16_MAX ? (uint16_t)number : 0;
    return true;
}

pollen_err pln_nat_memory_decode(const char *text, size_t size, pln_nat_memory *ret) {
    json_error_t error;
    json_t *root = json_loadb(text, size, 0, &error);
    if (root == NULL && json_error_code(&error) == json_error_out_of_memory) {
        return POLLEN_ENOMEM;
    }
    const json_t *places = json_object_get(root, "places");
    if (!json_is_array(places)) {
        json_decref(root);
        return POLLEN_ESTATE;
    }
    const json_t *object;
    size_t i;
    *ret = (pln_nat_memory){.count = 0};
    json_array_foreach(places, i, object) {
        if (ret->count < PLN_NAT_PLACES_MAX && read_place(object, &ret->items[ret->count])) {
            ret->count++;
        }
    }
    json_decref(root);
    return POLLEN_OK;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void put_ip(pln_out *out, const pollen_addr *addr) {
    char text[POLLEN_ADDR_TEXT_BYTES];
    pln_out_text(out, "\"");
    pln_out_text(out, pln_addr_format_ip(addr, text)); /* Nothing in it needs an escape. */
    pln_out_text(out, "\"");
}

static void put_place(pln_out *out, const pln_nat_place *place) {
    pln_out_printf(out, "    {\n      \"at\": %" PRId64 ",\n      \"external\": ", place->at);
    put_ip(out, &place->external);
    pln_out_text(out, ",\n      \"locals\": [");
    PLN_ASSERT(place->local_count <= PLN_NAT_LOCALS_MAX);
    for (size_t i = 0; i < place->local_count; i++) {
        pln_out_text(out, i == 0 ? "" : ", ");
        put_ip(out, &place->locals[i]);
    }
    pln_out_printf(out, "],\n      \"mapping\": \"%s\",\n      \"allocation\": \"%s\",\n",
                   pollen_nat_mapping_name(place->mapping),
                   pollen_nat_allocation_name(place->allocation));
    pln_out_printf(out, "      \"step\": %u\n    }", place->step);
}

pollen_err pln_nat_memory_encode(const pln_nat_memory *memory, pln_bytes *ret_text) {
    pln_out out = {0};
    PLN_ASSERT(memory->count <= PLN_NAT_PLACES_MAX);
    pln_out_text(&out, "{\n  \"places\": [");
    for (size_t i = 0; i < memory->count; i++) {
        pln_out_text(&out, i == 0 ? "\n" : ",\n");
        put_place(&out, &memory->items[i]);
    }
    pln_out_text(&out, memory->count > 0 ? "\n  ]\n}\n" : "]\n}\n");
    return pln_out_finish(&out, ret_text);
}
