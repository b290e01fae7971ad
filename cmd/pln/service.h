/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and ports of services, as people write them.
 *
 * A name is 1 to 64 bytes of UTF-8 without blanks and control characters.  One that is a number
 * names its own port and no other, so that a number given instead of a name has one meaning.
 */
#ifndef PLN_CMD_SERVICE_H
#define PLN_CMD_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pollen/cluster.h>

/* 1 to 65535 in decimal, without sign, blanks or leading zeros. */
bool pln_service_parse_port(const char *text, uint16_t *ret_port);

/* What is wrong with a name for this port, as in "the name ..."; NULL: nothing. */
const char *pln_service_name_problem(const char *name, uint16_t port);

/* A name of another member, for messages: what could steer a terminal becomes '?'. */
const char *pln_service_show_name(const char *name, char ret_text[POLLEN_SERVICE_NAME_BYTES]);

/* Is this service what the text, a name or a port, means? */
bool pln_service_has_name(const pollen_service *service, const char *text);
bool pln_service_has_port(const pollen_service *service, const char *text);

#endif
