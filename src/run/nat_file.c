/* SPDX-License-Identifier: Apache-2.0 */
#include "run/nat_file.h"

#include "run/files.h"
#include "run/runtime.h"
#include "run/statedir.h"

typedef struct nat_write {
    pln_write write;
    pln_nat_memory memory;
} nat_write;

pollen_err pln_nat_file_init(pln_nat_file *file, const char *state_dir) {
    *file = (pln_nat_file){.path = NULL};
    return pln_statedir_dup_path(state_dir, PLN_FILE_NAT, &file->path);
}

void pln_nat_file_fini(pln_nat_file *file) {
    pln_free(file->path);
    file->path = NULL;
}

void pln_nat_file_load(pollen_mesh *mesh) {
    if (mesh->nat_file.path == NULL) {
        return;
    }
    pln_bytes text = {0};
    pln_nat_memory memory;
    pollen_err err =
        pln_file_read(mesh->nat_file.path, PLN_MODE_SECRET, PLN_NAT_MEMORY_TEXT_MAX, &text);
    if (err == POLLEN_ENOENT) {
        return;
    }
    if (err == POLLEN_OK) {
        err = pln_nat_memory_decode((const char *)text.data, text.size, &memory);
    }
    if (err == POLLEN_OK) {
        pln_node_load_nat_memory(mesh->node, &memory);
    } else {
        pln_logf(&mesh->log, PLN_LOG_WARN, "run", "%s: %s; the NAT will be found out anew",
                 mesh->nat_file.path, pollen_strerror(err));
    }
    pln_bytes_fini(&text);
}

static pollen_err encode(pln_write *write, pln_bytes *ret_text) {
    const nat_write *job = (const nat_write *)(const void *)write;
    return pln_nat_memory_encode(&job->memory, ret_text);
}

static void done(pln_write *write, pollen_mesh *mesh) {
    if (write->err != POLLEN_OK && write->err != POLLEN_ECLOSED) {
        pln_logf(&mesh->log, PLN_LOG_WARN, "run", "what NAT this is: %s", write->words);
    }
    mesh->nat_file.under_way = false;
    pln_free(write);
}

void pln_nat_file_step(pollen_mesh *mesh) {
    pln_nat_file *file = &mesh->nat_file;
    pln_nat_memory memory;
    if (file->under_way || !pln_node_take_nat_memory(mesh->node, &memory) || file->path == NULL) {
        return;
    }
    nat_write *job = pln_calloc(1, sizeof *job);
    if (job == NULL) {
        return; /* Kept with the next change. */
    }
    *job = (nat_write){
        .write = {.path = file->path, .mode = PLN_MODE_SECRET, .encode = encode, .done = done},
        .memory = memory};
    file->under_way = pln_writer_push(&mesh->writer, &job->write);
    if (!file->under_way) {
        pln_free(job);
    }
}
