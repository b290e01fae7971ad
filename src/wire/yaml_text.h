/* SPDX-License-Identifier: Apache-2.0 */
/* A scalar as the reference's YAML writer would write it. */
#ifndef PLN_WIRE_YAML_TEXT_H
#define PLN_WIRE_YAML_TEXT_H

#include "wire/outbuf.h"

/*
 * Plain where that reads back as the same text; in double quotes what would read as null, a
 * boolean, a number or a time, or has characters to escape; in single quotes the rest.
 */
void pln_yaml_put_scalar(pln_out *out, const char *text);

#endif
