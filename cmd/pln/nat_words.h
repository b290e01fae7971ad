/* SPDX-License-Identifier: Apache-2.0 */
/* What the names in pollen.netcheck/1 mean, in words for people.  All are static; a name that this
 * version does not know has "". */
#ifndef PLN_CMD_NAT_WORDS_H
#define PLN_CMD_NAT_WORDS_H

/* doubt may be NULL; it says why a mapping is unknown, and what would settle it. */
const char *pln_nat_mapping_words(const char *mapping, const char *doubt);
const char *pln_nat_doubt_words(const char *doubt);
const char *pln_nat_allocation_words(const char *mapping, const char *allocation);
const char *pln_nat_role_words(const char *role);
const char *pln_port_mapping_words(const char *state);

#endif
