/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets: whatever is pasted is refused, or is a ticket whose text reads as the same ticket. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "pln/ticket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char text[PLN_TICKET_TEXT_BYTES];
    pln_ticket ticket, back;
    char *input = malloc(size + 1);
    PLN_ASSERT(input != NULL);
    memcpy(input, data, size);
    input[size] = '\0';
    if (pln_ticket_parse(input, &ticket) == POLLEN_OK) {
        PLN_ASSERT(ticket.addr_count >= 1 && ticket.addr_count <= PLN_TICKET_ADDRS_MAX);
        pln_ticket_format(&ticket, text);
        PLN_ASSERT(pln_ticket_parse(text, &back) == POLLEN_OK);
        PLN_ASSERT(memcmp(&ticket.listener, &back.listener, sizeof back.listener) == 0);
        PLN_ASSERT(memcmp(&ticket.root, &back.root, sizeof back.root) == 0);
        PLN_ASSERT(ticket.addr_count == back.addr_count);
    }
    free(input);
    return 0;
}
