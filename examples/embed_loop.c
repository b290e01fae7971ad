/* SPDX-License-Identifier: Apache-2.0 */
/* A node driven from a loop of one's own: one fd, one timeout, one dispatch.
 * No thread is started. */
#include <poll.h>
#include <pollen/pollen.h>
#include <stdio.h>
#include <stdlib.h>

enum { TURNS = 20, TURN_MS = 10 };

static void ok(pollen_err err) {
    if (err != POLLEN_OK) {
        fprintf(stderr, "%s: %s\n", pollen_strerror(err), pollen_last_error());
        exit(1);
    }
}

/* Whatever else the program does would have its fds in the same poll(). */
static void turn(pollen_mesh *mesh) {
    struct pollfd fd = {.fd = pollen_mesh_fd(mesh), .events = POLLIN};
    const int due_ms = pollen_mesh_timeout_ms(mesh);
    (void)poll(&fd, 1, due_ms < 0 || due_ms > TURN_MS ? TURN_MS : due_ms);
    ok(pollen_mesh_dispatch(mesh));
}

int main(void) {
    pollen_seed seed, root;
    pollen_credentials *me;
    ok(pollen_seed_generate(&seed));
    ok(pollen_seed_generate(&root));
    ok(pollen_credentials_create(&seed, &me));
    ok(pollen_credentials_create_cluster(me, &root));

    pollen_mesh_config config;
    pollen_mesh_config_init(&config);
    config.credentials = me;
    config.external_loop = true;
    pollen_mesh *mesh;
    ok(pollen_mesh_create(&config, &mesh));
    printf("listening on port %u\n", (unsigned)pollen_mesh_listen_port(mesh));

    for (int i = 0; i < TURNS; i++) {
        turn(mesh);
        pollen_event event;
        while (pollen_mesh_next_event(mesh, 0, NULL, &event) == POLLEN_OK) {
            printf("%s\n", pollen_event_kind_name(event.kind));
        }
        pollen_packet packet;
        while (pollen_mesh_recv(mesh, 0, NULL, &packet) == POLLEN_OK) {
            printf("%zu bytes\n", packet.envelope.size);
            pollen_packet_fini(&packet);
        }
    }
    pollen_mesh_destroy(mesh);
    pollen_credentials_destroy(me);
    return 0;
}
