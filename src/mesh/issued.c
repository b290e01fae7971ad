/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates that were last issued by renewal, by subject. */
#include "mesh/core.h"

#include "base/assert.h"

static pln_issued *find(const pln_mesh *mesh, const pollen_key *subject) {
    pln_issued *issued = NULL;
    PLN_MAP_FIND(&mesh->hash_key, mesh->issued, subject, sizeof(*subject), issued);
    return issued;
}

static void forget(pln_mesh *mesh, pln_issued *issued) {
    HASH_DEL(mesh->issued, issued);
    pln_bytes_fini(&issued->answer);
    pln_free(issued);
}

const pln_issued *pln_issued_find(const pln_mesh *mesh, const pollen_key *subject) {
    return find(mesh, subject);
}

void pln_issued_note(pln_mesh *mesh, const pln_member_cert *cert, pln_bytes *answer, pln_now now) {
    pln_issued *old = find(mesh, &cert->subject_pub);
    if (old == NULL && HASH_COUNT(mesh->issued) >= PLN_ISSUED_MAX) {
        old = mesh->issued; /* The oldest: elements stand in the order they were added. */
    }
    if (old != NULL) {
        forget(mesh, old);
    }
    PLN_ASSERT(HASH_COUNT(mesh->issued) < PLN_ISSUED_MAX);
    pln_issued *issued = pln_calloc(1, sizeof(*issued));
    if (issued == NULL) {
        return;
    }
    issued->subject = cert->subject_pub;
    issued->serial = cert->serial;
    issued->not_before = cert->not_before;
    issued->not_after = cert->not_after;
    issued->at = now.mono;
    PLN_MAP_ADD(&mesh->hash_key, mesh->issued, subject, sizeof(issued->subject), issued);
    if (!PLN_MAP_ADDED(issued)) {
        pln_free(issued);
        return;
    }
    issued->answer = *answer;
    *answer = (pln_bytes){.data = NULL};
}

void pln_issued_destroy_all(pln_mesh *mesh) {
    while (mesh->issued != NULL) {
        forget(mesh, mesh->issued);
    }
}
