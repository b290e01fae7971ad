/* SPDX-License-Identifier: Apache-2.0 */
/* Requests on the control socket: whatever a client sends is refused with a reason, or is a request
 * that encodes to something that reads as the same request. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "pln/out.h"
#include "pln/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const pln_request *request) {
    char why[PLN_REQUEST_WHY_BYTES];
    pln_request back;
    json_t *object = pln_request_encode(request);
    PLN_ASSERT(object != NULL);
    char *line = pln_json_line(object);
    PLN_ASSERT(line != NULL);
    PLN_ASSERT(pln_request_parse(line, strlen(line), &back, why) == POLLEN_OK);
    PLN_ASSERT(back.verb == request->verb);
    PLN_ASSERT(strcmp(back.peer, request->peer) == 0);
    PLN_ASSERT(back.port == request->port && back.count == request->count);
    PLN_ASSERT(back.timeout_ms == request->timeout_ms && back.size == request->size);
    PLN_ASSERT(back.interval_ms == request->interval_ms);
    PLN_ASSERT(back.until_direct == request->until_direct);
    PLN_ASSERT(strcmp(back.service, request->service) == 0);
    PLN_ASSERT(strcmp(back.bind, request->bind) == 0 && back.local_port == request->local_port);
    free(line);
    json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char why[PLN_REQUEST_WHY_BYTES] = "";
    pln_request request;
    if (pln_request_parse((const char *)data, size, &request, why) == POLLEN_OK) {
        PLN_ASSERT(request.verb < PLN_REQUEST_VERBS);
        PLN_ASSERT(request.port >= 0 && request.port <= 65535);
        round_trip(&request);
    } else {
        PLN_ASSERT(why[0] != '\0');
    }
    return 0;
}
