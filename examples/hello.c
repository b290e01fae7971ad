/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes of one cluster in one process:
 * a session between their keys, and one message over it. */
#include <pollen/pollen.h>
#include <stdio.h>

#define TRY(call)                                                                                  \
    if ((err = (call)) != POLLEN_OK)                                                               \
    return printf("%s: %s\n", #call, pollen_strerror(err)), 1

int main(void) {
    pollen_err err;
    pollen_seed seeds[3];
    for (int i = 0; i < 3; i++)
        TRY(pollen_seed_generate(&seeds[i]));

    /* The root makes the cluster and admits the node by its key. */
    pollen_credentials *root, *node;
    TRY(pollen_credentials_create(&seeds[0], &root));
    TRY(pollen_credentials_create_cluster(root, &seeds[1]));
    TRY(pollen_credentials_create(&seeds[2], &node));
    pollen_key root_key = pollen_credentials_key(root), node_key = pollen_credentials_key(node);
    pollen_invite_options options;
    pollen_invite_options_init(&options);
    char *token;
    TRY(pollen_join_token_create(root, &node_key, &options, &token));
    TRY(pollen_credentials_apply(node, token));

    pollen_mesh_config config;
    pollen_mesh_config_init(&config);
    pollen_mesh *a, *b;
    config.credentials = root;
    TRY(pollen_mesh_create(&config, &a));
    config.credentials = node;
    TRY(pollen_mesh_create(&config, &b));

    pollen_addr addr;
    char text[POLLEN_ADDR_TEXT_BYTES];
    snprintf(text, sizeof text, "127.0.0.1:%u", (unsigned)pollen_mesh_listen_port(a));
    TRY(pollen_addr_parse(text, &addr));
    TRY(pollen_mesh_connect(b, &root_key, &addr, 1, 5000, NULL));
    pollen_envelope hello = {POLLEN_ENVELOPE_PAYLOAD, (const uint8_t *)"hello", 5};
    TRY(pollen_mesh_send(b, &root_key, &hello));

    pollen_packet packet;
    TRY(pollen_mesh_recv(a, 5000, NULL, &packet));
    printf("%.*s\n", (int)packet.envelope.size, (const char *)packet.envelope.body);

    pollen_packet_fini(&packet);
    pollen_mesh_destroy(b);
    pollen_mesh_destroy(a);
    pollen_text_free(token);
    pollen_credentials_destroy(node);
    pollen_credentials_destroy(root);
    return 0;
}
