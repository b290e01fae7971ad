/* SPDX-License-Identifier: Apache-2.0 */
#include "run/state_file.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/key.h"
#include "run/files.h"
#include "run/last_error.h"
#include "run/statedir.h"

void pln_state_file_fini(pln_state_file *file) {
    pln_saved_state_fini(&file->saved);
    pln_bytes_fini(&file->text);
    *file = (pln_state_file){.is_flawed = false};
}

/* ---- Reading --------------------------------------------------------------------------------- */

static pollen_err decode(const char *path, const pln_log *log, pln_state_file *file) {
    char why[128] = "";
    const char *text = (const char *)file->text.data;
    pollen_err err = pln_saved_state_decode(text, file->text.size, &file->saved, why);
    if (err == POLLEN_ESTATE) {
        pln_logf(log, PLN_LOG_ERROR, "run", "%s: %s; what can be read is taken", path, why);
        file->is_flawed = true;
        err = pln_saved_state_salvage(text, file->text.size, &file->saved);
    }
    return err;
}

/* What the file says in the name of this node, somebody else wrote. */
static void drop_own_words(pln_saved_state *saved, const pollen_key *self) {
    size_t kept = 0;
    for (size_t i = 0; i < saved->service_count; i++) {
        pln_saved_service *service = &saved->services[i];
        if (pln_key_equal(&service->provider, self)) {
            pln_free(service->name);
        } else {
            saved->services[kept++] = *service;
        }
    }
    saved->service_count = kept;
    saved->connection_count = 0;
}

static void judge_writer(const char *path, const pollen_key *self, const pln_log *log,
                         pln_state_file *file) {
    char text[PLN_KEY_SHORT_BYTES];
    if (!file->saved.has_local || pln_key_equal(&file->saved.local, self)) {
        return;
    }
    pln_logf(log, PLN_LOG_WARN, "run",
             "%s: is of another node, %s: its forwards and our services in it are not taken", path,
             pln_key_short(&file->saved.local, text));
    drop_own_words(&file->saved, self);
    file->is_flawed = true;
}

pollen_err pln_state_file_read(const char *path, const pollen_key *self, const pln_log *log,
                               pln_state_file *ret) {
    pln_state_file file = {.is_flawed = false};
    pollen_err err = pln_file_read(path, PLN_MODE_PUBLIC, PLN_STATE_TEXT_MAX, &file.text);
    if (err == POLLEN_ENOENT) {
        pln_last_error_clear();
        *ret = file;
        return POLLEN_OK;
    }
    if (err == POLLEN_OK && file.text.size == 0) {
        /* Not even the reference makes one: it was torn before anything reached the disk. */
        pln_logf(log, PLN_LOG_WARN, "run", "%s: is empty; what was known is lost", path);
    }
    if (err == POLLEN_OK) {
        err = decode(path, log, &file);
    }
    if (err != POLLEN_OK) {
        pln_state_file_fini(&file);
        return err;
    }
    judge_writer(path, self, log, &file);
    *ret = file;
    return POLLEN_OK;
}

/* ---- Keeping aside --------------------------------------------------------------------------- */

/* Named by its content, so that a node which starts again and again keeps one copy. */
static pollen_err keep_aside(const pln_state_file *file, const char *path, const pln_log *log) {
    static const pln_hash_key fixed = {.bytes = "state.yaml.kept"};
    char kept[PLN_PATH_BYTES];
    const uint64_t hash = pln_hash64(&fixed, file->text.data, file->text.size);
    if ((size_t)snprintf(kept, sizeof(kept), "%s" PLN_FILE_KEPT "%016llx", path,
                         (unsigned long long)hash) >= sizeof(kept)) {
        pln_last_error_set("%s: path too long", path);
        return POLLEN_EINVAL;
    }
    const pollen_err err = pln_file_write(kept, PLN_MODE_PUBLIC, file->text.data, file->text.size);
    if (err == POLLEN_OK) {
        pln_logf(log, PLN_LOG_WARN, "run", "%s: kept as %s", path, kept);
    }
    return err;
}

pollen_err pln_state_file_settle(const pln_state_file *file, const char *path,
                                 const pln_state_loaded *loaded, const pln_log *log,
                                 bool *ret_kept) {
    const pln_saved_state *saved = &file->saved;
    const size_t bad = saved->bad_revocations + loaded->refused_revocations;
    if (saved->mismatched_revocations > 0) {
        pln_logf(log, PLN_LOG_WARN, "run",
                 "%s: %zu revocations stand beside other keys than they "
                 "revoke",
                 path, saved->mismatched_revocations);
    }
    if (bad > 0) {
        pln_logf(log, PLN_LOG_ERROR, "run",
                 "%s: %zu revocations were not signed by the root of this cluster", path, bad);
    }
    if (loaded->dropped > 0) {
        pln_logf(log, PLN_LOG_WARN, "run", "%s: %zu entries were left out", path, loaded->dropped);
    }
    *ret_kept = file->is_flawed || bad > 0 || loaded->dropped > 0;
    return *ret_kept ? keep_aside(file, path, log) : POLLEN_OK;
}
