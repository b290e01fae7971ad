/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "pln/home.h"
#include "pln/out.h"
#include "pln/verbs.h"

static pln_exit run(pln_cli *cli) {
    pollen_credentials *credentials = NULL;
    const pln_exit code = pln_home_load(cli, true, &credentials);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    char hex[POLLEN_KEY_HEX_BYTES];
    const pollen_key key = pollen_credentials_key(credentials);
    pollen_key_hex(&key, hex);
    pollen_credentials_destroy(credentials);
    if (cli->json) {
        pln_out_json(json_pack("{s:s, s:s}", "schema", "pollen.id/1", "id", hex));
    } else {
        puts(hex);
    }
    return PLN_EXIT_OK;
}

const pln_verb pln_verb_id = {
    .name = "id",
    .run = run,
    .summary = "show this node's id, its public key",
    .help = "Makes the node key when there is none yet.\n",
};
