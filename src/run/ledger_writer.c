/* SPDX-License-Identifier: Apache-2.0 */
#include "run/ledger_writer.h"

#include <stdio.h>

#include "run/files.h"
#include "run/last_error.h"
#include "run/runtime.h"
#include "run/statedir.h"

typedef struct ledger_write {
    pln_write write;
    char token_id[PLN_TOKEN_ID_BYTES];
    pln_bytes text;
} ledger_write;

pollen_err pln_ledger_writer_init(pln_ledger_writer *ledger, const char *state_dir) {
    *ledger = (pln_ledger_writer){.path = NULL};
    return pln_statedir_dup_path(state_dir, PLN_FILE_LEDGER, &ledger->path);
}

void pln_ledger_writer_fini(pln_ledger_writer *ledger) {
    pln_free(ledger->path);
}

pollen_err pln_ledger_writer_load(pollen_mesh *mesh) {
    const char *path = mesh->ledger.path;
    if (path == NULL) {
        return POLLEN_OK;
    }
    pln_bytes text = {0};
    pollen_err err = pln_file_read(path, PLN_MODE_SECRET, PLN_LEDGER_TEXT_MAX, &text);
    if (err == POLLEN_ENOENT) {
        return POLLEN_OK;
    }
    char why[128] = "";
    if (err == POLLEN_OK) {
        err = pln_mesh_load_ledger(pln_node_mesh(mesh->node), (const char *)text.data, text.size,
                                   why);
        if (err != POLLEN_OK) {
            pln_last_error_set("%s: %s", path, why[0] != '\0' ? why : pollen_strerror(err));
        }
    }
    pln_bytes_fini(&text);
    return err;
}

static pollen_err encode(pln_write *write, pln_bytes *ret_text) {
    ledger_write *job = (ledger_write *)(void *)write;
    *ret_text = job->text;
    job->text = (pln_bytes){0};
    return POLLEN_OK;
}

static void free_job(ledger_write *job) {
    pln_bytes_fini(&job->text);
    pln_free(job);
}

static void done(pln_write *write, pollen_mesh *mesh) {
    ledger_write *job = (ledger_write *)(void *)write;
    if (write->err != POLLEN_ECLOSED) {
        if (write->err != POLLEN_OK) {
            pln_logf(&mesh->log, PLN_LOG_ERROR, "run", "redeemed invites: %s", write->words);
        }
        pln_mesh_ledger_written(pln_node_mesh(mesh->node), job->token_id, write->err, mesh->now);
    }
    free_job(job);
}

void pln_ledger_writer_push(pollen_mesh *mesh, const char *token_id, pln_bytes text) {
    const char *path = mesh->ledger.path;
    ledger_write *job = path == NULL ? NULL : pln_calloc(1, sizeof(*job));
    if (job != NULL) {
        *job = (ledger_write){
            .write = {.path = path, .mode = PLN_MODE_SECRET, .encode = encode, .done = done},
            .text = text};
        (void)snprintf(job->token_id, sizeof(job->token_id), "%s", token_id);
        if (pln_writer_push(&mesh->writer, &job->write)) {
            return;
        }
        pln_free(job);
    }
    const pollen_err err = path == NULL ? POLLEN_OK : POLLEN_ENOMEM;
    pln_mesh_ledger_written(pln_node_mesh(mesh->node), token_id, err, mesh->now);
    pln_bytes_fini(&text);
}
