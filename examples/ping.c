/* SPDX-License-Identifier: Apache-2.0 */
/* ping DIR PEER-ID ADDR: measures a round trip to a peer.
 * The keys of a member are in DIR (pln init, pln join). */
#include <pollen/pollen.h>
#include <stdio.h>
#include <stdlib.h>

static void ok(pollen_err err) {
    if (err != POLLEN_OK) {
        fprintf(stderr, "%s: %s\n", pollen_strerror(err), pollen_last_error());
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    pollen_credentials *me;
    pollen_mesh_config config;
    pollen_mesh *mesh;
    pollen_key peer;
    pollen_addr addr;
    uint64_t rtt_us;
    ok(pollen_credentials_load(argv[1], &me));
    ok(pollen_key_parse(argv[2], &peer));
    ok(pollen_addr_parse(argv[3], &addr));
    pollen_mesh_config_init(&config);
    config.credentials = me;
    ok(pollen_mesh_create(&config, &mesh));
    ok(pollen_mesh_connect(mesh, &peer, &addr, 1, 5000, NULL));
    ok(pollen_mesh_ping(mesh, &peer, 0, 5000, NULL, &rtt_us));
    printf("%llu us\n", (unsigned long long)rtt_us);
    pollen_mesh_destroy(mesh);
    pollen_credentials_destroy(me);
    return 0;
}
